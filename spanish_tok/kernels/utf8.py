"""Which rows of a column are not valid UTF-8 (RFC 3629: no overlong forms, no surrogates)."""

import numpy as np
from numpy.typing import NDArray

from spanish_tok.kernels import kernel


@kernel
def invalid_rows(data: NDArray[np.uint8], offsets: NDArray[np.int32]) -> NDArray[np.bool_]:
    """True for each row data[offsets[i]:offsets[i + 1]] that is not valid UTF-8."""
    invalid = np.zeros(len(offsets) - 1, np.bool_)
    for row in range(len(invalid)):
        invalid[row] = not is_valid(data, offsets[row], offsets[row + 1])
    return invalid


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
    """The bytes of the character beyond ASCII that begins at `position`: 2, 3, 4, or 0 where it is none."""
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
