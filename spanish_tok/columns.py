"""Arrow columns and the kernels: text in as bytes and offsets, tables packed as arrays."""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from spanish_tok.alphabet import CODE_POINTS, FIRST_MARK, Table, spanish_table
from spanish_tok.errors import SpanishTokError
from spanish_tok.kernels.normalize import DIGIT, LETTER, OTHER, SPACE, PackedTable, normalize_records

Column: TypeAlias = pa.Array | pa.ChunkedArray | Sequence[str | None]


def text_chunks(column: Column) -> list[pa.LargeStringArray]:
    """A text column as large_string arrays without nulls (a null becomes an empty text).

    Takes string, large_string, string_view, dictionary-encoded text, a chunked array of these, or a
    sequence of str. Raises SpanishTokError for anything else, and for a lone surrogate in a str.
    """
    if not isinstance(column, pa.Array | pa.ChunkedArray):
        column = _array(column)
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    return [_large_string(chunk) for chunk in chunks]


def _array(texts: Sequence[str | None]) -> pa.Array:
    advice = "Give a list of str or an Arrow column of strings."
    if isinstance(texts, str | bytes) or not isinstance(texts, Iterable):
        raise SpanishTokError(f"A column of text is wanted, not {type(texts).__name__}", advice)
    try:
        return pa.array(texts, pa.large_string())
    except UnicodeEncodeError as error:
        raise SpanishTokError(f"A text of the column is no Unicode ({error})", "Repair it first.") from None
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise SpanishTokError(f"The column does not hold text alone ({error})", advice) from None


def _large_string(chunk: pa.Array) -> pa.LargeStringArray:
    kind = chunk.type.value_type if pa.types.is_dictionary(chunk.type) else chunk.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        raise SpanishTokError(f"The column holds {chunk.type}, not text", "Give a column of strings.")
    chunk = chunk.cast(pa.large_string())
    return chunk.fill_null("") if chunk.null_count else chunk


def bytes_and_offsets(chunk: pa.LargeStringArray) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The buffers of a large_string array as they lie: uint8[bytes] and int64[records + 1], no copy."""
    _, offsets, data = chunk.buffers()
    if len(chunk) == 0 or offsets is None:
        return np.zeros(0, np.uint8), np.zeros(1, np.int64)
    window = np.frombuffer(offsets, np.int64, len(chunk) + 1, chunk.offset * 8)
    return np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(0, np.uint8), window


def text_array(data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> pa.LargeStringArray:
    """A large_string array over UTF-8 bytes and offsets, no copy."""
    return pa.LargeStringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(data))


def normalize_column(column: Column, table: Table | None = None) -> pa.ChunkedArray:
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


def pack(table: Table) -> PackedTable:
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
