"""Candidates of a sample on disk: sorted runs in one file, read back in the order of their keys.

An external merge sort whose merge goes by ranges of keys: a range is the slices of all runs between two
keys, sorted in memory. The file is written from front to back, and its state is how long it is: an
interrupted run is gone on with by cutting off what came after.
"""

import mmap
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from spanish_tok.errors import SpanishTokError
from spanish_tok.sample import SCHEMA, Keys, in_order


class Spill:
    """Sorted runs of (key, id, text) in a file; `ends` says where each of them ends, in bytes.

    Give the `ends` of an earlier Spill of the same file to go on after them.
    """

    def __init__(self, path: Path, ends: list[int]) -> None:
        self.path = path
        self.ends = ends
        size = path.stat().st_size if path.exists() else 0
        if size < self.size:
            raise SpanishTokError(
                f"{path} is shorter than it was", f"Delete {path.parent.parent}, and begin anew."
            )
        self._file = open(path, "r+b" if path.exists() else "w+b", buffering=0)  # noqa: SIM115
        self._file.truncate(self.size)
        self._file.seek(self.size)

    @property
    def size(self) -> int:
        """Bytes of all runs."""
        return self.ends[-1] if self.ends else 0

    def append(self, run: pa.RecordBatch) -> None:
        """Write a run, which must be in the order of its keys; an empty one is left out."""
        if run.num_rows:
            data = memoryview(run.serialize())
            written = 0
            while written < len(data):  # a write to a disk that is nearly full may be a part of it
                written += self._file.write(data[written:])
            self.ends.append(self.size + len(data))

    def sync(self) -> None:
        """Have the disk hold what was appended."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    def run_keys(self) -> Iterator[Keys]:
        """The keys of each run."""
        with _Mapped(self) as mapped:
            for run in mapped.runs():
                yield run.column("key").to_numpy()

    def ranges(self, keys: Keys, rows: int, before: int = 0, first: int = 0) -> Iterator[pa.RecordBatch]:
        """All records with keys up to the last of `keys`, `rows` at a time, from range `first` on.

        `keys` are the sorted keys of the records, and `before` is how many records with smaller keys there
        were: ranges end after every `rows` of all of them. Records with equal keys are never in two.
        """
        bounds = np.unique(np.append(keys[rows - 1 - before % rows :: rows], keys[-1:]))
        with _Mapped(self) as mapped:
            runs = list(mapped.runs())
            places = [np.searchsorted(run.column("key").to_numpy(), bounds, side="right") for run in runs]
            for number in range(first, len(bounds)):
                begins = [0 if number == 0 else int(place[number - 1]) for place in places]
                parts = [
                    run.slice(begin, int(place[number]) - begin)
                    for run, begin, place in zip(runs, begins, places, strict=True)
                ]
                yield in_order([part for part in parts if part.num_rows])
                mapped.forget()


class _Mapped:
    """The runs of a spill, mapped into memory without being held there."""

    def __init__(self, spill: Spill) -> None:
        self._spill = spill
        self._map: mmap.mmap | None = None

    def __enter__(self) -> "_Mapped":
        if self._spill.size:
            self._map = mmap.mmap(self._spill._file.fileno(), self._spill.size, access=mmap.ACCESS_READ)
        return self

    def __exit__(self, *_: object) -> None:
        """The map is closed by the last array that lies in it."""
        self._map = None

    def runs(self) -> Iterator[pa.RecordBatch]:
        if self._map is None:
            return
        whole = pa.py_buffer(self._map)
        begin = 0
        for end in self._spill.ends:
            yield pa.ipc.read_record_batch(whole.slice(begin, end - begin), SCHEMA)
            begin = end

    def forget(self) -> None:
        """Give back the memory of the pages that were looked at: the file holds them."""
        if self._map is not None and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)
