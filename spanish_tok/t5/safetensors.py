"""safetensors files: written whole, read tensor by tensor, or some rows of one.

Layout: the length of the header in 8 bytes, little-endian; the header, JSON {name: {dtype, shape, data_offsets}};
the numbers of all tensors, one behind the other. Rows are read from their places in the file, so that a cut of a
large embedding costs no more memory than what is kept of it.
"""

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BufferedReader
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spanish_tok.errors import SpanishTokError
from spanish_tok.files import atomic_path

Precision = Literal["float32", "bfloat16", "int8"]
MOST_HEADER = 100_000_000  # bytes; the format's own bound
MOST_DIMENSIONS, MOST_LENGTH = 32, 1 << 40  # of a shape: what NumPy can hold, also where one length is 0
BLOCK = 1 << 24  # bytes that are copied at a time

# the format's name of a type -> NumPy's; bfloat16 as the upper halves of float32 numbers
TYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "uint16",
    "I64": "int64",
    "I32": "int32",
    "U8": "uint8",
    "I8": "int8",
}


class Stored(NamedTuple):
    """Numbers as a file holds them.

    For bfloat16 ("BF16") uint16, the upper halves of float32 numbers.
    """

    array: NDArray[Any]
    kind: str

    def numbers(self) -> NDArray[Any]:
        """Return the numbers; floats of every width as float32."""
        if self.kind == "BF16":
            return from_bfloat16(self.array)
        return self.array.astype(np.float32) if self.kind in ("F16", "F64") else self.array


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a safetensors file.

    Where its numbers lie. Nothing is read before it is asked for.
    """

    path: Path
    name: str
    kind: str
    shape: tuple[int, ...]
    begin: int  # of the numbers in the file

    @property
    def row_bytes(self) -> int:
        return math.prod(self.shape[1:]) * np.dtype(TYPES[self.kind]).itemsize

    def read(self, rows: NDArray[np.int64] | None = None) -> Stored:
        """Return the numbers, or those of some rows, each run of neighbours at once."""
        dtype = np.dtype(TYPES[self.kind])
        shape = self.shape if rows is None else (len(rows), *self.shape[1:])
        array = np.empty(shape, dtype)
        with open(self.path, "rb") as file:
            if rows is None:
                self._fill(file, 0, array)
            else:
                for first, last in _runs(rows):
                    self._fill(file, int(rows[first]), array[first:last])
        return Stored(array, self.kind)

    def _fill(self, file: BufferedReader, row: int, out: NDArray[Any]) -> None:
        file.seek(self.begin + row * self.row_bytes)
        if out.size and file.readinto(out.data.cast("B")) != out.nbytes:
            raise SpanishTokError(f"{self.path} is damaged or cut off", "Copy the file again.")


def _runs(rows: NDArray[np.int64]) -> Iterable[tuple[int, int]]:
    """Yield (first, last) of each run rows[first:last] of numbers.

    That follow one another.

    >>> list(_runs(np.array([3, 4, 5, 9, 2])))
    [(0, 3), (3, 4), (4, 5)]
    """
    ends = np.flatnonzero(np.diff(rows) != 1) + 1
    bounds = [0, *ends.tolist(), len(rows)]
    return ((first, last) for first, last in pairwise(bounds) if first < last)


def stored_tensors(path: str | os.PathLike[str]) -> dict[str, StoredTensor]:
    """Return the tensors of a safetensors file by name, without their numbers.

    Raises SpanishTokError that names the file where it is missing, cut off, damaged, or holds another type.
    """
    return {
        name: StoredTensor(Path(path), name, kind, shape, begin)
        for name, (kind, shape, begin) in _entries(_header(path), path).items()
    }


def _header(path: str | os.PathLike[str]) -> tuple[dict[str, Any], int, int]:
    """Return the header, where the numbers begin, and how many bytes they have."""
    try:
        size = os.path.getsize(path)
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(MOST_HEADER, size - 8):
                raise _damaged(path, "its header is too long")
            header = json.loads(file.read(length))
    except OSError as error:
        raise SpanishTokError(f"{path} cannot be read ({error.strerror})", "Check the folder.") from None
    except (ValueError, RecursionError):
        raise _damaged(path, "its header is not JSON") from None
    if not isinstance(header, dict):
        raise _damaged(path, "its header is not a JSON object")
    return header, 8 + length, size - 8 - length


def _entries(
    parts: tuple[dict[str, Any], int, int], path: str | os.PathLike[str]
) -> dict[str, tuple[str, tuple[int, ...], int]]:
    """Return name -> (type, shape, begin in the file).

    Once all fit without gap or overlap.
    """
    header, start, size = parts
    entries: dict[str, tuple[str, tuple[int, ...], int]] = {}
    spans = []
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        kind, shape, (begin, end) = _entry(name, entry, path)
        if end - begin != math.prod(shape) * np.dtype(TYPES[kind]).itemsize:
            raise _damaged(path, f"{name} has another length than its shape")
        spans.append((begin, end))
        entries[name] = kind, shape, start + begin
    at = 0
    for begin, end in sorted(spans):
        if begin != at:
            raise _damaged(path, "its tensors do not lie one behind the other")
        at = end
    if at != size:
        raise _damaged(path, f"it holds {size:,} bytes of numbers, not {at:,}")
    return entries


def _entry(
    name: str, entry: Any, path: str | os.PathLike[str]
) -> tuple[str, tuple[int, ...], tuple[int, int]]:
    if isinstance(entry, dict) and isinstance(entry.get("dtype"), str) and entry["dtype"] not in TYPES:
        raise SpanishTokError(
            f"{path}: {name} is of type {entry['dtype']}", "Store it as float32 or bfloat16."
        )
    try:
        kind, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        if not isinstance(kind, str) or not all(type(n) is int and n >= 0 for n in (*shape, begin, end)):
            raise ValueError
        if len(shape) > MOST_DIMENSIONS or max(shape, default=0) > MOST_LENGTH:
            raise ValueError
    except (KeyError, TypeError, ValueError):
        raise _damaged(path, f"the header's entry {name} is damaged") from None
    return kind, tuple(shape), (begin, end)


def _damaged(path: str | os.PathLike[str], why: str) -> SpanishTokError:
    return SpanishTokError(f"{path} is damaged or cut off ({why})", "Copy the file again.")


def read_tensors(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """Return the arrays of a safetensors file.

    bfloat16, float16 and float64 become float32.

    Raises SpanishTokError that names the file where it is missing, cut off, or holds another type.
    """
    return {name: tensor.read().numbers() for name, tensor in stored_tensors(path).items()}


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """Return the metadata of a safetensors file that `read_tensors` can read."""
    metadata = _header(path)[0].get("__metadata__")
    entries = metadata.items() if isinstance(metadata, dict) else ()
    return {name: value for name, value in entries if isinstance(value, str)}


def write_tensors(
    path: str | os.PathLike[str],
    tensors: Mapping[str, NDArray[Any]],
    precision: Precision = "float32",
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write arrays as one safetensors file, atomically.

    Floats are stored in `precision`, others as they are.
    """
    from safetensors import TensorSpec, serialize

    stored = {}
    for name, array in tensors.items():
        if precision == "bfloat16" and array.dtype == np.float32:
            stored[name] = (to_bfloat16(array), "bfloat16")
        else:
            stored[name] = (np.ascontiguousarray(array), array.dtype.name)
    specs = {
        name: TensorSpec(dtype=kind, shape=array.shape, data_ptr=array.ctypes.data, data_len=array.nbytes)
        for name, (array, kind) in stored.items()
    }
    with atomic_path(path) as partial:
        partial.write_bytes(serialize(specs, metadata={"format": "pt", **(metadata or {})}))


def write_stored(
    path: str | os.PathLike[str], tensors: Sequence[tuple[str, str, tuple[int, ...], Iterable[NDArray[Any]]]]
) -> None:
    """Write (name, type, shape, its numbers in parts) as one file.

    Atomically and part by part.

    No more than a part is in memory at a time.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, kind, shape, _ in tensors:
        size = math.prod(shape) * np.dtype(TYPES[kind]).itemsize
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with atomic_path(path) as partial, open(partial, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, _, _, parts in tensors:
            for part in parts:
                file.write(np.ascontiguousarray(part).data.cast("B") if part.size else b"")


def to_bfloat16(array: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Return the upper halves of float32 numbers, rounded to the nearest.

    Ties go to even; finite input only.

    >>> hex(to_bfloat16(np.array([1.0], dtype=np.float32))[0])
    '0x3f80'
    """
    bits = np.ascontiguousarray(array).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def from_bfloat16(halves: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Return the float32 numbers whose upper halves are given: exact.

    >>> from_bfloat16(np.array([0x3F80], dtype=np.uint16)).tolist()
    [1.0]
    """
    return (halves.astype(np.uint32) << 16).view(np.float32)
