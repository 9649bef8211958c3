"""The normalization table packed into arrays for the kernels; `normalize_column`."""

from functools import cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from spanish_tok.errors import SpanishTokError
from spanish_tok.kernels.text.normalize import DIGIT, LETTER, OTHER, SPACE, PackedTable, normalize_records
from spanish_tok.text.alphabet import BASIC_LETTERS, CODE_POINTS, FIRST_MARK, LAST_MARK
from spanish_tok.text.arrow import Column, bytes_and_offsets, text_array, text_chunks
from spanish_tok.text.table import NormalizationTable, spanish_table

LONGEST_TARGET = 255  # bytes of an expansion; its length has 8 bits of an entry, and its place 24
MOST_TARGETS = 1 << 24


def normalize_column(column: Column, table: NormalizationTable | None = None) -> pa.ChunkedArray:
    """Normalize a whole column of text at memory speed, by compiled code.

    column: an Arrow string column of any kind, or a sequence of str; a null becomes an empty text. table: another
    table than the shipped one (see `build_table`). Returns a chunked large_string array, one entry a record, each equal
    to `normalize` of its text. Runs on one thread, without the GIL.

    Raises SpanishTokError for a column that does not hold text, and for a lone surrogate in a str.

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
    """Return the shipped table, packed once."""
    return pack(spanish_table())


def pack(table: NormalizationTable) -> PackedTable:
    """Pack a table into arrays; equal pages and equal expansions are stored once.

    The expansion of a code point is found in two steps, by its page of 256 code points:

        code = 0x00BD                                   # ½
        entry = pages[page_of[code >> 8], code & 255]   # (begin << 8 | length) in `targets`; 0 deletes
        targets[entry >> 8 : (entry >> 8) + (entry & 255)]  # b" 1/2"

    `pairs` holds such entries by base letter and mark: pairs[ord("n") << 6 | 0x303 - FIRST_MARK] stands for "ñ".

    Raises SpanishTokError for a table that these arrays cannot hold.
    """
    _check(table)
    targets = bytearray(b"\0")  # byte 0 is never used, so that the entry 0 can mean "deleted" and "no pair"
    entries: dict[str, int] = {"": 0}

    def entry_of(target: str) -> int:
        """Return the entry of an expansion; the first time, append its bytes to `targets`."""
        if target not in entries:
            encoded = target.encode()
            entries[target] = len(targets) << 8 | len(encoded)
            targets.extend(encoded)
        return entries[target]

    flat = np.zeros(CODE_POINTS, np.uint32)
    flat[[ord(char) for char in table.expansions]] = [
        entry_of(target) for target in table.expansions.values()
    ]
    rows = flat.reshape(-1, 256)
    first: dict[bytes, int] = {}  # bytes of a page -> its index in `pages`
    page_of = np.array([first.setdefault(row.tobytes(), len(first)) for row in rows], np.uint16)
    pages = np.frombuffer(b"".join(first), np.uint32).reshape(-1, 256).copy()
    pairs = np.zeros(128 << 6, np.uint32)
    for pair, letter in table.pairs.items():
        pairs[ord(pair[0]) << 6 | ord(pair[1]) - FIRST_MARK] = entry_of(letter)
    single = [table.expansions.get(chr(code), "") for code in range(128)]
    # at most how many bytes of the result a byte of text can become: the size of the kernel's buffer
    rules = [*table.expansions.items(), *table.pairs.items()]
    rules.append(("?", table.expansions.get("\ufffd", "")))  # a byte that is not UTF-8 counts as U+FFFD
    growth = max((len(target.encode()) / len(source.encode()) for source, target in rules), default=1.0)
    return PackedTable(
        page_of=page_of,
        pages=pages,
        targets=np.frombuffer(bytes(targets), np.uint8),
        pairs=pairs,
        ascii=np.array([ord(t) if len(t) == 1 and t.isascii() else 0 for t in single], np.uint8),
        kinds=_kinds(table),
        growth=int(np.ceil(growth)),
        plain=all(single[ord(char)] == char for char in " " + BASIC_LETTERS),
    )


def _check(table: NormalizationTable) -> None:
    """Raise SpanishTokError for a table that a kernel could read or write beyond."""
    targets, alphabet = {*table.expansions.values(), *table.pairs.values()}, {*table.alphabet, " "}
    sizes = {target: len(target.encode("utf-8", "replace")) for target in targets}
    if max(sizes.values(), default=0) > LONGEST_TARGET or sum(sizes.values()) >= MOST_TARGETS:
        longest = max(targets, key=len)
        raise SpanishTokError(f"A character becomes {longest[:20]!r}, and more", "Give shorter expansions.")
    if wrong := [target for target in targets if not alphabet.issuperset(target)]:
        raise SpanishTokError(
            f"A character becomes {wrong[0]!r}, which the alphabet lacks", "Add it to the alphabet."
        )
    if wrong := [source for source in table.expansions if len(source) != 1]:
        raise SpanishTokError(f"{wrong[0]!r} is not one character", "Only pairs have two.")
    for pair, target in table.pairs.items():
        letter = table.expansions.get(pair[:1], "").strip()
        is_pair = len(pair) == 2 and pair[0].isascii() and FIRST_MARK <= ord(pair[1]) <= LAST_MARK
        if not is_pair or not target or len(letter.encode()) != 1:
            raise SpanishTokError(
                f"{pair!r} is no pair",
                "Give an ASCII letter that becomes one byte, and a mark of U+0300-U+033F.",
            )


def _kinds(table: NormalizationTable) -> NDArray[np.uint8]:
    """Return uint8[0x10000]: LETTER, DIGIT or OTHER for each character, else 0."""
    kinds = np.zeros(0x10000, np.uint8)
    for char in table.alphabet:
        if ord(char) >= kinds.size:
            raise SpanishTokError(
                f"{char!r} lies above U+FFFF", "Use an alphabet of the Basic Multilingual Plane."
            )
        if ord(char) != SPACE:
            kinds[ord(char)] = LETTER if char in table.letters else DIGIT if char in table.digits else OTHER
    return kinds
