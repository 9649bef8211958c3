"""Candidates of a sample on disk, read back in the order of their keys.

They lie in one file as sorted runs.

An external merge sort whose merge goes by ranges of keys: a range is the slices of all runs between two
keys, sorted in memory. The file is written from front to back, and its state is the list of its runs: an
interrupted job resumes by cutting off what came after them. (Mapping the file into memory would be
shorter, but the system maps far more of it than is looked at, and counts that as memory of the process.)
"""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from spanish_tok.corpus.sampling import SCHEMA, Keys, chunk_ends, in_order
from spanish_tok.errors import SpanishTokError
from spanish_tok.text.arrow import bytes_and_offsets, text_chunks

Slice = tuple[list[int], int, int]  # a run, and rows of it from one up to another

RUN_BYTES = 32 << 20  # candidates are gathered up to here before they are sorted and written


class Spill:
    """Runs of (key, id, text) in a file.

    `runs` holds [place in the file, rows, bytes of ids, bytes of texts] of each. A run lies there as
    keys uint64[rows], offsets of ids and of texts int32[2, rows + 1], whether there is an id uint8[rows],
    the ids and the texts. Give the `runs` of an earlier Spill of the same file to go on after them.
    """

    def __init__(self, path: Path, runs: list[list[int]]) -> None:
        self.path = path
        self.runs = runs
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_bytes = 0
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        starts = [0, *map(_end_of, runs)]
        if [run[0] for run in runs] != starts[:-1] or os.fstat(self._file).st_size < self.size:
            raise self._damaged()
        os.truncate(self._file, self.size)

    @property
    def size(self) -> int:
        """Bytes of all runs."""
        return _end_of(self.runs[-1]) if self.runs else 0

    def append(self, candidates: pa.RecordBatch) -> None:
        """Add candidates of any order; they are on disk after `flush`."""
        self._waiting.append(candidates)
        self._waiting_bytes += candidates.nbytes
        if self._waiting_bytes >= RUN_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what was appended as a run."""
        run = in_order(self._waiting)
        self._waiting, self._waiting_bytes = [], 0
        if run.num_rows:
            valid = run.column("id").is_valid().to_numpy(zero_copy_only=False).astype(np.uint8)
            (id_offsets, ids), (text_offsets, texts) = map(_packed, (run.column("id"), run.column("text")))
            end = self.size
            for part in (run.column("key").to_numpy(), id_offsets, text_offsets, valid, ids, texts):
                end = _write(self._file, part.view(np.uint8).data, end)
            self.runs.append([self.size, run.num_rows, len(ids), len(texts)])

    def sync(self) -> None:
        """Have the disk hold the runs."""
        self.flush()
        os.fsync(self._file)

    def close(self) -> None:
        os.close(self._file)

    def keys_of(self, run: list[int]) -> Keys:
        """Return the keys of a run, in order."""
        keys = self._read(run[0], run[1], np.uint64)
        if (keys[1:] < keys[:-1]).any():
            raise self._damaged()
        return keys

    def _damaged(self) -> SpanishTokError:
        return SpanishTokError(
            f"{self.path} is damaged, or shorter than it was", "Delete the folder, and start over."
        )

    def ranges(
        self, keys: Keys, rows: int, before: int = 0, first: int = 0
    ) -> Iterator[list[Callable[[], pa.RecordBatch]]]:
        """Yield the records with keys up to the last of `keys`, `rows` at a time.

        It starts with range `first`. A range is a list of functions that read its parts: several where its texts are
        long (see `chunk_ends`).

        `keys` are the sorted keys of the records, and `before` is how many records with smaller keys there
        were: ranges end after every `rows` of all of them. Records with equal keys are never in two.
        """
        bounds = np.unique(np.append(keys[rows - 1 - before % rows :: rows], keys[-1:]))
        edges = [np.searchsorted(self.keys_of(run), bounds, side="right") for run in self.runs]
        for index in range(first, len(bounds)):
            slices = [
                (run, 0 if index == 0 else int(edge[index - 1]), int(edge[index]))
                for run, edge in zip(self.runs, edges, strict=True)
            ]
            yield [partial(self._records, part) for part in self._parts(slices)]

    def _parts(self, slices: list[Slice]) -> list[list[Slice]]:
        """Return slices of runs, divided into chunks.

        Chunks are made of their records in the order of keys.
        """
        keys = [self._read(run[0] + 8 * begin, end - begin, np.uint64) for run, begin, end in slices]
        lengths = [np.diff(self._text_offsets(run, begin, end)) for run, begin, end in slices]
        joined = np.concatenate(keys) if keys else np.empty(0, np.uint64)
        order = np.argsort(joined, kind="stable")
        ends = chunk_ends(np.concatenate(lengths)[order], len(order)) if len(order) else np.empty(0, np.int64)
        bounds = np.unique(joined[order][ends[ends < len(order)] - 1])  # the last keys of all parts but one
        parts, before = [], [0] * len(slices)
        for bound in [*bounds.tolist(), None]:
            after = [
                len(each) if bound is None else int(np.searchsorted(each, np.uint64(bound), side="right"))
                for each in keys
            ]
            parts.append(
                [
                    (run, begin + b, begin + a)
                    for (run, begin, _), b, a in zip(slices, before, after, strict=True)
                ]
            )
            before = after
        return [part for part in parts if any(begin < end for _, begin, end in part)] or parts[:1]

    def _records(self, slices: list[Slice]) -> pa.RecordBatch:
        return in_order([self._batch(*part) for part in slices if part[1] < part[2]])

    def _text_offsets(self, run: list[int], begin: int, end: int) -> NDArray[np.int32]:
        start, rows, _, _ = run
        return self._read(start + 8 * rows + 4 * (rows + 1 + begin), end - begin + 1, np.int32)

    def _batch(self, run: list[int], begin: int, end: int) -> pa.RecordBatch:
        """Rows of a run."""
        start, rows, id_bytes, text_bytes = run
        offsets_at = start + 8 * rows
        valid_at = offsets_at + 8 * (rows + 1)
        ids_at = valid_at + rows
        keys = self._read(start + 8 * begin, end - begin, np.uint64)
        valid = self._read(valid_at + begin, end - begin, np.uint8)
        ids = self._strings(offsets_at + 4 * begin, ids_at, end - begin, id_bytes)
        texts_at = offsets_at + 4 * (rows + 1 + begin)
        texts = self._strings(texts_at, ids_at + id_bytes, end - begin, text_bytes)
        if not valid.all():
            ids = pa.array(np.where(valid, ids, None), pa.string())
        return pa.record_batch([pa.array(keys), ids, texts], schema=SCHEMA)

    def _strings(self, offsets_at: int, data_at: int, rows: int, size: int) -> pa.StringArray:
        """Return strings of a run; `size` is how many bytes all of its strings have."""
        offsets = self._read(offsets_at, rows + 1, np.int32)
        if not 0 <= offsets[0] <= offsets[-1] <= size:
            raise self._damaged()
        data = self._read(data_at + int(offsets[0]), int(offsets[-1] - offsets[0]), np.uint8)
        strings = pa.StringArray.from_buffers(rows, pa.py_buffer(offsets - offsets[0]), pa.py_buffer(data))
        try:
            strings.validate(full=True)
        except pa.ArrowInvalid:
            raise self._damaged() from None
        return strings

    def _read(self, start: int, count: int, kind: type) -> NDArray[Any]:
        values: NDArray[Any] = np.empty(count, kind)
        target, read = values.view(np.uint8).data, 0
        while read < len(target):
            got = os.preadv(self._file, [target[read:]], start + read)
            if not got:
                raise self._damaged()
            read += got
        return values


def _end_of(run: list[int]) -> int:
    start, rows, id_bytes, text_bytes = run
    return start + 8 * rows + 8 * (rows + 1) + rows + id_bytes + text_bytes


def _packed(column: pa.Array) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Offsets from 0 on, and the bytes."""
    (chunk,) = text_chunks(column)
    data, offsets = bytes_and_offsets(chunk)
    return (offsets - offsets[0]).astype(np.int32), data[offsets[0] : offsets[-1]]


def _write(file: int, data: memoryview, start: int) -> int:
    """Write all of `data` at an offset; return where it ends.

    A disk that is nearly full may take a part at a time.
    """
    while len(data):
        written = os.pwrite(file, data, start)
        start, data = start + written, data[written:]
    return start
