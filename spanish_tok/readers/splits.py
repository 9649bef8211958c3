"""Parts of the input for the tasks of a cluster: whole files, and row groups of a large file of Parquet.

Rows of text, CSV and JSON lines begin where the row before them ended, so only who reads such a file from its
front knows them. Parquet says in its footer which rows lie where, so that several tasks share a large file.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from spanish_tok.errors import SpanishTokError
from spanish_tok.readers.options import FileReport, Location, ReadOptions
from spanish_tok.readers.records import format_of, read_file
from spanish_tok.readers.remote import is_remote
from spanish_tok.readers.streams import open_stream, size_of

PART_BYTES = 64 << 20  # of a Parquet file, as it is stored: about what a part of a larger one holds


@dataclass(frozen=True)
class Part:
    """Rows of a file, counted from 0: from `begin` up to `end`, or all from `begin` on where that is None."""

    path: Location
    begin: int = 0
    end: int | None = None

    def report(self) -> FileReport:
        """The state of a reading that has not begun."""
        return FileReport(os.fspath(self.path), rows=self.begin)

    def read(self, options: ReadOptions) -> Iterator[pa.RecordBatch]:
        """Its batches of (id, text), as `read_records` gives them."""
        return read_file(self.path, options, self.report(), self.end)


def parts_of(path: Location, options: ReadOptions, *, with_ids: bool = False) -> list[Part]:
    """A file as parts: row groups of Parquet of more than PART_BYTES, else the whole file as the only part.

    `with_ids`: divide it only where its footer says that each of its records has an id.

    >>> parts_of("es.tsv", ReadOptions())
    [Part(path='es.tsv', begin=0, end=None)]
    """
    whole = [Part(path)]
    if (options.format or format_of(path)) != "parquet":
        return whole
    number = -(-(size_of(path) or 0) // PART_BYTES)
    if number < 2:
        return whole
    try:
        footer = _footer(path)
    except (pa.ArrowInvalid, OSError, SpanishTokError):
        return whole  # whoever reads it will say what is wrong
    if with_ids and not _all_have_ids(footer, options.id):
        return whole
    groups = footer.num_row_groups
    starts = np.cumsum([0, *(footer.row_group(place).num_rows for place in range(groups))])
    bounds = np.unique(starts[np.linspace(0, groups, number + 1).astype(int)]).tolist()
    return [Part(path, begin, end) for begin, end in pairwise(bounds)] or whole


def _footer(path: Location) -> pq.FileMetaData:
    if not is_remote(path):
        return pq.read_metadata(path)
    with open_stream(path) as stream, pq.ParquetFile(stream) as file:
        return file.metadata


def _all_have_ids(footer: pq.FileMetaData, name: str) -> bool:
    """Whether the footer counts the missing ids of each row group, and there are none."""
    names = [footer.schema.column(place).path for place in range(footer.num_columns)]
    if name not in names:
        return False
    for group in range(footer.num_row_groups):
        statistics = footer.row_group(group).column(names.index(name)).statistics
        if statistics is None or not statistics.has_null_count or statistics.null_count:
            return False
    return True
