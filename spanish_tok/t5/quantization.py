"""Weights in eight bits: whole numbers from -127 to 127 and one float32 scale for each row."""

import numpy as np
from numpy.typing import NDArray

LARGEST = 127


def quantize(matrix: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """A matrix as int8 of the same shape and one scale a row, such that `dequantize` gives nearly the matrix.

    The largest number of a row becomes 127 or -127, so no error is above half of a scale. Quantizing what was
    dequantized gives the same int8 again.

    >>> numbers, scales = quantize(np.array([[0.5, -1.27], [0, 0]], dtype=np.float32))
    >>> numbers.tolist()
    [[50, -127], [0, 0]]
    """
    largest = np.abs(matrix).max(axis=1)
    scales = (largest / LARGEST).astype(np.float32)
    divisors = np.where(scales > 0, scales, np.float32(1))
    numbers = np.rint(matrix / divisors[:, None]).clip(-LARGEST, LARGEST)
    return numbers.astype(np.int8), scales


def dequantize(numbers: NDArray[np.int8], scales: NDArray[np.float32]) -> NDArray[np.float32]:
    """The float32 matrix that int8 numbers and the scales of their rows stand for."""
    result: NDArray[np.float32] = numbers * scales[:, None]
    return result
