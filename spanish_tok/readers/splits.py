"""Parts of an input for the tasks of a cluster: files, or row groups of Parquet.

A row of text, CSV or JSON lines begins where the row before it ends, so that such a file must be read from its
front. The footer of Parquet says which rows lie where, so that several tasks can share a large file.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from spanish_tok.errors import SpanishTokError
from spanish_tok.parallel.local import Local
from spanish_tok.parallel.ray_engine import Ray
from spanish_tok.readers.inputs import RAY_FORMATS, Input
from spanish_tok.readers.opening.parquet_footer import states_no_nulls
from spanish_tok.readers.opening.remote import is_remote
from spanish_tok.readers.options import FileReport, Location, ReadOptions
from spanish_tok.readers.records import format_of, read_file
from spanish_tok.readers.streams import open_raw, open_stream, size_of

PART_BYTES = 64 << 20  # of a Parquet file, as it is stored: about what a part of a larger one holds


@dataclass(frozen=True)
class Part:
    """Rows `begin` up to `end` of a file, counted from 0; None for the end of it."""

    path: Location
    begin: int = 0
    end: int | None = None

    def report(self) -> FileReport:
        """Return the state of a reading that has not begun."""
        return FileReport(os.fspath(self.path), rows=self.begin)

    def read(self, options: ReadOptions) -> Iterator[pa.RecordBatch]:
        """Return its batches of (id, text), as `read_records` yields them."""
        return read_file(self.path, options, self.report(), self.end)


def parts_of(path: Location, options: ReadOptions, *, with_ids: bool = False) -> list[Part]:
    """Return a large Parquet file as parts of whole row groups, any other as one part.

    `with_ids`: divide it only if its footer says that each of its records has an id.

    >>> parts_of("es.tsv", ReadOptions())
    [Part(path='es.tsv', begin=0, end=None)]
    """
    whole = [Part(path)]
    if (options.format or format_of(path)) != "parquet":
        return whole
    count = -(-(size_of(path) or 0) // PART_BYTES)
    if count < 2:
        return whole
    try:
        if with_ids and not _all_have_ids(path, options.id):
            return whole
        footer = _footer(path)
    except (pa.ArrowException, OSError, ValueError, SpanishTokError):
        return whole  # reading it will say what is wrong
    groups = footer.num_row_groups
    starts = np.cumsum([0, *(footer.row_group(group).num_rows for group in range(groups))])
    bounds = np.unique(starts[np.linspace(0, groups, count + 1).astype(int)]).tolist()
    return [Part(path, begin, end) for begin, end in pairwise(bounds)] or whole


def _footer(path: Location) -> pq.FileMetaData:
    if not is_remote(path):
        return pq.read_metadata(path)
    with open_stream(path) as stream, pq.ParquetFile(stream) as file:
        return file.metadata


def _all_have_ids(path: Location, name: str) -> bool:
    """Return whether the footer states for each row group that it has no missing ids."""
    with open_raw(path) as stream:
        return states_no_nulls(stream, name)


def read_by(item: Input, engine: Local | Ray) -> Input:
    """Return an input that is read as the engine says.

    Raises SpanishTokError where Ray Data's readers are asked for and cannot be used.
    """
    if engine.reader != "own":
        item = replace(item, options=replace(item.options, reader=engine.reader))
    if item.options.reader == "own":
        return item
    if not engine.divides:
        raise SpanishTokError(
            "Ray Data's readers read in the tasks of a cluster",
            "Give --engine ray, or leave --reader ray out.",
        )
    kind = (item.options.format or format_of(item.name)) if item.reads_one_file else "what is not a file"
    if kind not in RAY_FORMATS:
        raise SpanishTokError(
            f"Ray Data has no reader that reads {kind} as it is: {item.name}", "Leave --reader ray out."
        )
    return item


def found_by_tasks(item: Input) -> Input:
    """Return an input as tasks of a cluster read it: its whole path, one worker."""
    name = str(item.name) if is_remote(item.name) or not item.reads_one_file else os.path.abspath(item.name)
    return replace(item, name=name, options=replace(item.options, workers=1))


def input_of_task(item: Input, engine: Local | Ray) -> Input:
    """Return an input as a task of an engine reads it, see `read_by`."""
    item = read_by(item, engine)
    return found_by_tasks(item) if engine.divides else item
