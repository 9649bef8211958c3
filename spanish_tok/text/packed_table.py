"""The normalization table packed as arrays for the kernels, and `normalize_column` on top of it."""

from functools import cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from spanish_tok.errors import SpanishTokError
from spanish_tok.kernels.text.normalize import DIGIT, LETTER, OTHER, SPACE, PackedTable, normalize_records
from spanish_tok.text.alphabet import CODE_POINTS, FIRST_MARK
from spanish_tok.text.arrow import Column, bytes_and_offsets, text_array, text_chunks
from spanish_tok.text.table import NormalizationTable, spanish_table


def normalize_column(column: Column, table: NormalizationTable | None = None) -> pa.ChunkedArray:
    """`normalize` for a whole column at memory speed: text in, a chunked large_string array out.

    >>> normalize_column(["¡Qué FRÍO!", None, "Man\\u0303ana"]).to_pylist()
    ['¡qué frío!', '', 'mañana']
    """
    packed = pack(table) if table else packed_spanish()
    chunks = [
        text_array(*normalize_records(*bytes_and_offsets(chunk), packed)) for chunk in text_chunks(column)
    ]
    return pa.chunked_array(chunks, pa.large_string())


@cache
def packed_spanish() -> PackedTable:
    """The shipped table, packed once."""
    return pack(spanish_table())


def pack(table: NormalizationTable) -> PackedTable:
    """Pack a table for the kernels: equal pages and equal expansions are kept once."""
    targets = bytearray(b"\0")  # place 0 is never used, so that 0 can mean "no pair"
    places: dict[str, int] = {"": 0}

    def place(target: str) -> int:
        if target not in places:
            encoded = target.encode()
            places[target] = len(targets) << 8 | len(encoded)
            targets.extend(encoded)
        return places[target]

    flat = np.zeros(CODE_POINTS, np.uint32)
    flat[[ord(char) for char in table.expansions]] = [place(target) for target in table.expansions.values()]
    rows = flat.reshape(-1, 256)
    first: dict[bytes, int] = {}  # a page -> its number
    page_of = np.array([first.setdefault(row.tobytes(), len(first)) for row in rows], np.uint16)
    pages = np.frombuffer(b"".join(first), np.uint32).reshape(-1, 256).copy()
    pairs = np.zeros(128 << 6, np.uint32)
    for pair, letter in table.pairs.items():
        pairs[ord(pair[0]) << 6 | ord(pair[1]) - FIRST_MARK] = place(letter)
    single = [table.expansions.get(chr(code), "") for code in range(128)]
    growth = max(len(target.encode()) / len(char.encode()) for char, target in table.expansions.items())
    return PackedTable(
        page_of=page_of,
        pages=pages,
        targets=np.frombuffer(bytes(targets), np.uint8),
        pairs=pairs,
        ascii=np.array([ord(t) if len(t) == 1 and t.isascii() else 0 for t in single], np.uint8),
        kinds=_kinds(table.alphabet),
        growth=int(np.ceil(growth)),
    )


def _kinds(alphabet: str) -> NDArray[np.uint8]:
    kinds = np.zeros(0x10000, np.uint8)
    for char in alphabet:
        if ord(char) >= kinds.size:
            raise SpanishTokError(
                f"{char!r} lies above U+FFFF", "Use an alphabet of the Basic Multilingual Plane."
            )
        if ord(char) != SPACE:
            kinds[ord(char)] = LETTER if char.isalpha() else DIGIT if char.isdigit() else OTHER
    return kinds
