"""Rows of raw bytes: their starts, first tabs, and fields as columns."""

import numpy as np
from numpy.typing import NDArray

from spanish_tok.kernels import kernel
from spanish_tok.kernels.bytes import load_word, store_word

Bytes = NDArray[np.uint8]
Positions = NDArray[np.int32]

NEWLINE = 0x0A
TAB = 0x09
EIGHT_NEWLINES = np.uint64(0x0A0A0A0A0A0A0A0A)
LOW_BITS = np.uint64(0x0101010101010101)
HIGH_BITS = np.uint64(0x8080808080808080)


@kernel
def row_starts(block: Bytes) -> Positions:
    """Return where each row of `block` begins, and the end of the last one.

    b"a\\nbc\\n" -> [0, 2, 5].

    `block` must end with a newline and be shorter than 2^31 bytes. Eight bytes are looked at at once: a
    word holds a newline exactly where (x - 01..) & ~x & 80.. is not zero, x = word ^ newlines.
    """
    rows = 0
    for byte in block:
        rows += byte == NEWLINE
    starts = np.empty(rows + 1, np.int32)
    starts[0] = 0
    row = 0
    words = block[: len(block) // 8 * 8].view(np.uint64)
    for word in range(len(words)):
        x = words[word] ^ EIGHT_NEWLINES
        if (x - LOW_BITS) & ~x & HIGH_BITS:
            for position in range(8 * word, 8 * word + 8):
                if block[position] == NEWLINE:
                    row += 1
                    starts[row] = position + 1
    for position in range(8 * len(words), len(block)):
        if block[position] == NEWLINE:
            row += 1
            starts[row] = position + 1
    return starts


@kernel
def last_newline(block: Bytes, end: int) -> int:
    """Return the position of the last newline before `end`, or -1."""
    for position in range(end - 1, -1, -1):
        if block[position] == NEWLINE:
            return position
    return -1


@kernel
def first_tabs(block: Bytes, starts: Positions) -> Positions:
    """Return the position of the first tab of each row, or -1 without one."""
    tabs = np.empty(len(starts) - 1, np.int32)
    for row in range(len(tabs)):
        tabs[row] = -1
        for position in range(starts[row], starts[row + 1] - 1):
            if block[position] == TAB:
                tabs[row] = position
                break
    return tabs


@kernel
def row_ends(block: Bytes, starts: Positions) -> Positions:
    """Where the text of each row ends: before its "\\n", or its "\\r\\n"."""
    ends = np.empty(len(starts) - 1, np.int32)
    for row in range(len(ends)):
        end = starts[row + 1] - 1
        if end > starts[row] and block[end - 1] == 0x0D:
            end -= 1
        ends[row] = end
    return ends


@kernel
def copy_fields(block: Bytes, begins: Positions, ends: Positions, offsets: Positions, data: Bytes) -> None:
    """Copy block[begins[i]:ends[i]] one after the other into `data`.

    Where each begins goes into `offsets`.

    `offsets` has one entry more than there are fields: with `data` it makes an Arrow string column.
    """
    position = 0
    for row in range(len(begins)):
        offsets[row] = position
        begin = begins[row]
        length = max(ends[row] - begin, 0)
        i = 0
        while i + 8 <= length:
            store_word(data, position + i, load_word(block, begin + i))
            i += 8
        while i < length:
            data[position + i] = block[begin + i]
            i += 1
        position += length
    offsets[len(begins)] = position
