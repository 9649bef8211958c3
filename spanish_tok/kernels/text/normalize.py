"""Normalization of UTF-8 bytes by the table of a closed alphabet.

One record or a whole column.
"""

from typing import NamedTuple

import numpy as np
from numba.cpython.unsafe.numbers import trailing_zeros
from numpy.typing import NDArray

from spanish_tok.kernels import inner_kernel, kernel
from spanish_tok.kernels.bytes import HIGHS, copy, enlarged, letters_of, load_word, spaces_of, store_word

SPACE = 0x20
MARK_LEAD = 0xCC  # the marks of pairs, U+0300-U+033F, are the bytes CC 80 to CC BF
UNTOUCHED, LETTER, DIGIT, OTHER = 0, 1, 2, 3  # the kinds of characters that make runs; 0 is the space


class PackedTable(NamedTuple):
    """The table of an alphabet as arrays.

    page_of: uint16[4352], code point >> 8 -> row of `pages`
    pages:   uint32[n, 256], code point & 255 -> place in `targets` << 8 | length in bytes
    targets: uint8[m], the expansions in UTF-8, one after the other
    pairs:   uint32[8192], ASCII letter << 6 | mark - 0x300 -> place << 8 | length, 0 where it is no pair
    ascii:   uint8[128], the byte that an ASCII byte becomes, 0 where it becomes nothing or several
    kinds:   uint8[65536], kind of a character of the alphabet: LETTER, DIGIT, OTHER
    growth:  the most bytes that one byte can become
    plain:   whether a-z and the space become themselves, as in every alphabet that ships
    """

    page_of: NDArray[np.uint16]
    pages: NDArray[np.uint32]
    targets: NDArray[np.uint8]
    pairs: NDArray[np.uint32]
    ascii: NDArray[np.uint8]
    kinds: NDArray[np.uint8]
    growth: int
    plain: bool

    # Á is U+00C1: pages[page_of[0x00], 0xC1] is p << 8 | 2 where targets[p:p + 2] is "á". The pair A and U+0301 is
    # pairs[0x41 << 6 | 0x01], which says the same.


@inner_kernel
def decode_character(data, i, end):
    """Return (code point, length in bytes) of the UTF-8 character at data[i].

    (U+FFFD, 1) if it is malformed.
    """
    lead = np.int64(data[i])
    if lead < 0x80:
        return lead, 1
    if 0xC2 <= lead < 0xE0 and i + 1 < end and (data[i + 1] & 0xC0) == 0x80:
        return (lead & 0x1F) << 6 | (data[i + 1] & 0x3F), 2
    if 0xE0 <= lead < 0xF0 and i + 2 < end and (data[i + 1] & 0xC0) == 0x80 and (data[i + 2] & 0xC0) == 0x80:
        code = (lead & 0x0F) << 12 | (np.int64(data[i + 1]) & 0x3F) << 6 | (data[i + 2] & 0x3F)
        if code >= 0x800 and not 0xD800 <= code < 0xE000:
            return code, 3
    elif 0xF0 <= lead < 0xF5 and i + 3 < end:
        if (data[i + 1] & 0xC0) == 0x80 and (data[i + 2] & 0xC0) == 0x80 and (data[i + 3] & 0xC0) == 0x80:
            code = (lead & 0x07) << 18 | (np.int64(data[i + 1]) & 0x3F) << 12
            code |= (np.int64(data[i + 2]) & 0x3F) << 6 | (data[i + 3] & 0x3F)
            if 0x10000 <= code < 0x110000:
                return code, 4
    return np.int64(0xFFFD), 1


@inner_kernel
def normalize_into(data, start, end, table, out, at):
    """Append the normalized data[start:end] to out[:at] and return the new end.

    A space is left out where `out` is empty or ends in one; a last space stays, for the caller to strip.
    `out` must have room for (end - start) * table.growth bytes more.
    """
    i = start
    while i < end:
        if table.plain:
            copied = copy_plain(data, i, end, out, at)
            i += copied
            at += copied
            if i == end:
                break
        byte = data[i]
        if byte < 0x80:
            target = table.ascii[byte]
            i += 1
            if target > SPACE:
                out[at] = target
                at += 1
                while i < end and data[i] < 0x80:  # the rest of a word, or what is too short for `copy_plain`
                    target = table.ascii[data[i]]
                    if target <= SPACE:
                        break
                    out[at] = target
                    at += 1
                    i += 1
            elif target == SPACE:
                if at > 0 and out[at - 1] != SPACE:
                    out[at] = SPACE
                    at += 1
            else:
                at = _append(table.targets, table.pages[table.page_of[0], byte], out, at)
            continue
        if byte == MARK_LEAD and i > start and i + 1 < end and data[i - 1] < 0x80:
            pair = table.pairs[np.int64(data[i - 1]) << 6 | (data[i + 1] & 0x3F)]
            if pair != 0:
                at = _append(table.targets, pair, out, at - 1)  # in place of the bare letter
                i += 2
                continue
        code, length = decode_character(data, i, end)
        at = _append(table.targets, table.pages[table.page_of[code >> 8], code & 0xFF], out, at)
        i += length
    return at


@inner_kernel
def copy_plain(data, start, end, out, at):
    """Copy what data[start:end] begins with, and stays as it is, to out[at:].

    That is a-z and single spaces, where the table is `plain`; eight bytes at once. Returns how many bytes; the last
    seven may be left.
    """
    i, at = start, at - start
    while i + 8 <= end:
        word = load_word(data, i)
        after_space = np.uint64(0x80 if at + i == 0 or out[at + i - 1] == SPACE else 0)
        store_word(out, at + i, word)
        spaces = spaces_of(word)
        others = ~(letters_of(word) | spaces & ~(spaces << np.uint64(8) | after_space)) & HIGHS
        if others != 0:
            return i - start + (np.int64(trailing_zeros(others)) >> 3)
        i += 8
    return i - start


@inner_kernel
def _append(targets, packed, out, at):
    first = np.int64(packed) >> 8
    for k in range(first, first + (np.int64(packed) & 0xFF)):
        byte = targets[k]
        if byte != SPACE or (at > 0 and out[at - 1] != SPACE):
            out[at] = byte
            at += 1
    return at


@inner_kernel
def end_of_part(data, start, end, size):
    """Return where a part of data[start:end] of about `size` bytes ends.

    It is never within a character, nor between a letter and its mark: parts can be normalized one by one. It has
    at most `size` + 5 bytes.
    """
    stop = min(start + size, end)
    most = min(stop + 3, end)
    while stop < most and (data[stop] & 0xC0) == 0x80:
        stop += 1
    if stop < end and data[stop] == MARK_LEAD and data[stop - 1] < 0x80:
        stop = min(stop + 2, end)
    return stop


@kernel
def normalize_records(data, offsets, table):
    """Normalize each record data[offsets[r]:offsets[r + 1]].

    data: uint8[n], offsets: int64[records + 1]. Returns (uint8[m] bytes, int64[records + 1] offsets).
    """
    records = offsets.size - 1
    ends = np.zeros(records + 1, np.int64)
    total = offsets[records] - offsets[0]
    out = np.empty(total + (total >> 4) + 64, np.uint8)
    at = 0
    scratch = np.empty(1024, np.uint8)
    for r in range(records):
        length = offsets[r + 1] - offsets[r]
        scratch = enlarged(scratch, length * table.growth)
        end = normalize_into(data, offsets[r], offsets[r + 1], table, scratch, 0)
        if end > 0 and scratch[end - 1] == SPACE:
            end -= 1
        out = enlarged(out, at + end)
        copy(scratch, end, out, at)
        at += end
        ends[r + 1] = at
    return out[:at], ends
