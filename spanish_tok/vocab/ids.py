"""Arrays of ids from a user or a file, checked before a kernel sees them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spanish_tok.errors import SpanishTokError

MOST_IDS = 1 << 31


def ids_array(ids: Any, size: int, name: str = "the ids") -> NDArray[Any]:
    """Return ids as an array [n] of whole numbers from 0 to `size` - 1.

    ids: a list, an array of NumPy, or a tensor of torch. An array keeps its type, else it is int64.

    Raises SpanishTokError that names the first place that holds anything else.

    >>> ids_array([70_000, 11], 250_100).tolist()
    [70000, 11]
    """
    try:
        array = np.asarray(ids if hasattr(ids, "__array__") else list(ids))
    except (TypeError, ValueError, OverflowError):
        array = np.empty(0, np.object_)
    if not array.size and array.ndim == 1 and array.dtype in (np.float64, np.int64):
        return np.empty(0, np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise SpanishTokError(
            f"{name.capitalize()} are {_described(ids, array)}, not whole numbers", "Give a flat list of ids."
        )
    if array.size and not (array.min() >= 0 and array.max() < size):
        position = int(np.flatnonzero((array < 0) | (array >= size))[0])
        raise SpanishTokError(
            f"Item {position} of {name} is {array[position]}, but ids go from 0 to {size - 1:,}",
            "Were they made with another vocabulary?",
        )
    return array


def _described(ids: Any, array: NDArray[Any]) -> str:
    if array.ndim != 1:
        return f"of {array.ndim} dimensions"
    if isinstance(ids, list | tuple):
        wrong = ((i, item) for i, item in enumerate(ids) if type(item) is not int or abs(item) >> 63)
        position, item = next(wrong, (0, ids[0] if ids else None))
        return f"{item!r} at place {position}"
    return f"of the type {array.dtype if array.dtype != np.object_ else type(ids).__name__}"


def check_offsets(offsets: NDArray[Any], size: int, name: str = "The offsets") -> None:
    """Raise SpanishTokError unless offsets divide `size` items into rows.

    offsets: whole numbers [rows + 1] that never fall, from 0 or more to at most `size`.
    """
    if offsets.ndim != 1 or offsets.dtype.kind not in "iu" or not offsets.size:
        raise SpanishTokError(f"{name} are not a flat array of whole numbers", "Give int64[rows + 1].")
    falling = np.flatnonzero(offsets[1:] < offsets[:-1])
    if falling.size or not 0 <= offsets[0] <= offsets[-1] <= size:
        fault = f"row {falling[0]}" if falling.size else f"{offsets[0]} to {offsets[-1]} of {size}"
        raise SpanishTokError(f"{name} are out of order or range ({fault})", "Is the file whole?")
