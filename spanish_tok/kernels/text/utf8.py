"""Which rows of a column are not valid UTF-8.

RFC 3629: no overlong forms, no surrogates.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spanish_tok.kernels import kernel
from spanish_tok.kernels.bytes import BLOCK, bits_of

ROWS = 64  # that are looked at together


@kernel
def invalid_rows(data: NDArray[np.uint8], offsets: NDArray[np.signedinteger[Any]]) -> NDArray[np.bool_]:
    """Return True for each row that is not valid UTF-8.

    Row i is data[offsets[i]:offsets[i + 1]].
    """
    invalid = np.zeros(len(offsets) - 1, np.bool_)
    for first in range(0, len(invalid), ROWS):
        last = min(first + ROWS, len(invalid))
        if not is_surely_valid(data, offsets[first : last + 1]):
            for row in range(first, last):
                invalid[row] = not is_valid(data, offsets[row], offsets[row + 1])
    return invalid


@kernel
def is_surely_valid(data: NDArray[np.uint8], offsets: NDArray[np.signedinteger[Any]]) -> bool:
    """Return whether 64 bytes at a time show that all rows are valid.

    This is the usual case.

    They are where every character has at most three bytes and no lead byte needs a second look (E0, ED, and
    what is in no valid text, C0 and C1): then it is valid to have continuation bytes after leads and nowhere else.
    Most blocks need four looks: Spanish has no other leads than C2, C3 and E2.
    """
    begin, end = np.int64(offsets[0]), np.int64(offsets[-1])
    before = np.uint64(0)  # bit 0 and 1: the next bytes that must be continuations
    while begin + BLOCK <= end:
        high = bits_of(data, begin, 0x80, 0x80)
        if high == 0:  # all ASCII
            if before != 0:
                return False
            begin += BLOCK
            continue
        following = bits_of(data, begin, 0xC0, 0x80)
        two = bits_of(data, begin, 0xFE, 0xC2)
        three = bits_of(data, begin, 0xFF, 0xE2)
        if following | two | three != high:  # other leads
            two = bits_of(data, begin, 0xE0, 0xC0)
            three = bits_of(data, begin, 0xF0, 0xE0)
            odd = bits_of(data, begin, 0xFE, 0xC0) | bits_of(data, begin, 0xF0, 0xF0)
            odd |= bits_of(data, begin, 0xFF, 0xE0) | bits_of(data, begin, 0xFF, 0xED)
            if odd != 0:
                return False
        leads = two | three
        if following != leads << np.uint64(1) | three << np.uint64(2) | before:
            return False
        before = leads >> np.uint64(63) | three >> np.uint64(62)
        begin += BLOCK
    for row in range(len(offsets) - 1):  # no row begins within a character
        if offsets[row] < end and data[offsets[row]] & 0xC0 == 0x80:
            return False
    if before != 0:  # the rest, from the character on that the last block cut
        begin -= 1
        while data[begin] & 0xC0 == 0x80:
            begin -= 1
    return bool(is_valid(data, begin, end))


@kernel
def is_valid(data: NDArray[np.uint8], begin: int, end: int) -> bool:
    """Whether data[begin:end] is valid UTF-8."""
    position = begin
    while position < end:
        if data[position] < 0x80:
            position += 1
            continue
        length = character_length(data, position, end)
        if length == 0:
            return False
        position += length
    return True


@kernel
def character_length(data: NDArray[np.uint8], position: int, end: int) -> int:
    """Return the bytes of the character beyond ASCII that begins at `position`.

    2, 3, 4, or 0 for none.
    """
    lead = data[position]
    second = data[position + 1] if position + 1 < end else np.uint8(0)
    lowest, highest = 0x80, 0xBF  # of the second byte
    if 0xC2 <= lead <= 0xDF:
        length = 2
    elif 0xE0 <= lead <= 0xEF:
        length = 3
        if lead == 0xE0:
            lowest = 0xA0
        elif lead == 0xED:
            highest = 0x9F
    elif 0xF0 <= lead <= 0xF4:
        length = 4
        if lead == 0xF0:
            lowest = 0x90
        elif lead == 0xF4:
            highest = 0x8F
    else:
        return 0
    if position + length > end or second < lowest or second > highest:
        return 0
    for later in range(position + 2, position + length):
        if data[later] & 0xC0 != 0x80:
            return 0
    return length
