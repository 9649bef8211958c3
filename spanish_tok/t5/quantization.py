"""Weights in eight bits.

Whole numbers from -127 to 127 and one float32 scale for each row.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spanish_tok.errors import SpanishTokError

LARGEST = 127
SCALE = ".scale"  # behind a matrix's name: the name of its scales


def quantize(matrix: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return a matrix as int8 and one scale a row.

    `dequantize` gives nearly the matrix again.

    The largest number of a row becomes 127 or -127, so no error is above half of a scale. Quantizing what was
    dequantized gives the same int8 again.

    >>> numbers, scales = quantize(np.array([[0.5, -1.27], [0, 0]], dtype=np.float32))
    >>> numbers.tolist()
    [[50, -127], [0, 0]]
    """
    largest = np.abs(matrix).max(axis=1)
    scales = (largest / LARGEST).astype(np.float32)
    divisors = np.where(scales > 0, scales, np.float32(1))
    rounded = np.rint(matrix / divisors[:, None]).clip(-LARGEST, LARGEST)
    return rounded.astype(np.int8), scales


def dequantize(rounded: NDArray[np.int8], scales: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the float32 matrix of int8 numbers and the scales of their rows."""
    result: NDArray[np.float32] = rounded * scales[:, None]
    return result


def quantize_tensors(tensors: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[Any]]:
    """Return a checkpoint's tensors with large matrices as int8 and scales.

    The small ones stay as they are.

    Small are the norms and the position biases: a thousandth of the size.
    """
    result: dict[str, NDArray[Any]] = {}
    for name, array in tensors.items():
        if array.ndim == 2 and "relative_attention_bias" not in name:
            result[name], result[name + SCALE] = quantize(array)
        else:
            result[name] = array
    return result


def dequantize_tensors(tensors: Mapping[str, NDArray[Any]], where: str) -> dict[str, NDArray[Any]]:
    """Return the float32 tensors that `quantize_tensors` was given, nearly.

    Raises SpanishTokError that names what does not fit.
    """
    result: dict[str, NDArray[Any]] = {}
    for name, array in tensors.items():
        if array.dtype == np.int8:
            scales = tensors.get(name + SCALE)
            if (
                scales is None
                or scales.dtype != np.float32
                or scales.shape != array.shape[:1]
                or array.ndim != 2
            ):
                raise SpanishTokError(f"{where}: {name} has no scale for each row", "Copy the file again.")
            result[name] = dequantize(array, scales)
        elif not name.endswith(SCALE):
            result[name] = array
    return result
