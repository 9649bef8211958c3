"""The readers of Parquet and of Arrow's own files.

Columns are found by name, every value is a string.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from spanish_tok.errors import SpanishTokError
from spanish_tok.readers.columns import BATCH_ROWS, NAME_IT, check_columns, table_batches, top_column
from spanish_tok.readers.opening.remote import is_remote
from spanish_tok.readers.opening.spool import Spooled, is_pipe, spooled
from spanish_tok.readers.options import FileReport, Location, ReadOptions
from spanish_tok.readers.streams import open_raw, open_stream

BUFFER = 1 << 20  # bytes of a column that are read at once
FEW_BYTES = 64  # a row of a column takes in its pages, where its values may be references to a dictionary
SAMPLE_ROWS = 16  # of such a column, that tell whether they are
FILE_MAGIC = b"ARROW1"

# (path, open file, row groups, names of columns, rows of a batch) -> their batches in order
Scan = Callable[[Location, pq.ParquetFile, list[int], list[str], int], Iterator[pa.RecordBatch]]


def read_parquet(
    path: Location, options: ReadOptions, report: FileReport, end: int | None = None, scan: Scan | None = None
) -> Iterator[pa.RecordBatch]:
    """Read the columns of ids and texts, from where `report` stands.

    `end`: the row to stop before, which must be the end of a row group.
    """
    with open_parquet(path, report) as file:
        names = file.schema_arrow.names
        check_columns(names, [options.text], path, NAME_IT, [options.id])
        wanted = [name for name in (options.id, options.text) if top_column(name, names)]
        groups, skip = _row_groups(file.metadata, report.rows, end)
        rows = batch_rows(file, groups, wanted, options.block_bytes)
        for batch in (scan or scan_parquet)(path, file, groups, wanted, rows):
            skipped = min(skip, batch.num_rows)
            skip -= skipped
            yield from table_batches(batch.slice(skipped), path, options, report)
    if end is not None and report.rows != end:
        raise SpanishTokError(f"{path} was changed while it was read", "Start over.")


def read_arrow(path: Location, options: ReadOptions, report: FileReport) -> Iterator[pa.RecordBatch]:
    """Read a file or a stream of Arrow's format, as the library `datasets` writes it."""
    skip = report.rows
    for batch in arrow_batches(path, report):
        skipped = min(skip, batch.num_rows)
        skip -= skipped
        yield from table_batches(batch.slice(skipped), path, options, report)


def arrow_batches(path: Location, report: FileReport) -> Iterator[pa.RecordBatch]:
    """Yield the batches of a file or a stream of Arrow's format, all columns of them.

    Raises SpanishTokError as `open_parquet` does.
    """
    with open_stream(path) as stream, _explained(path, report, "Arrow"):
        if stream.peek(len(FILE_MAGIC)) == FILE_MAGIC:
            stream.read(
                8
            )  # what follows is a stream; its end says so, and the table of contents is not needed
        with pa.ipc.open_stream(pa.PythonFile(stream, "r")) as batches:
            for batch in batches:
                batch.validate()
                yield batch


@contextmanager
def open_parquet(path: Location, report: FileReport, **how: Any) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file on disk, at an address or from a pipe.

    Raises SpanishTokError, from here or from the block, for a file that is cut off, damaged or not Parquet; the
    message names the row that `report` stands at.
    """
    if is_pipe(path):
        with (
            spooled(str(path), Path(tempfile.gettempdir())) as copy,
            open_parquet(copy, report, **how) as file,
        ):
            yield file
        return
    remote = is_remote(path)
    # A remote file is read in few, large requests for all that is asked; a local one page by page.
    how |= {"pre_buffer": remote, "buffer_size": 0 if remote else BUFFER}
    with _explained(path, report, "Parquet"):
        if remote:
            with open_raw(path) as raw, pq.ParquetFile(raw, **how) as file:
                yield file
        else:
            with pq.ParquetFile(path.copy if isinstance(path, Spooled) else path, **how) as file:
                yield file


@contextmanager
def _explained(path: Location, report: FileReport, kind: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError, OverflowError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise SpanishTokError(
                f"{path} cannot be read ({error.strerror or error})", "Check the path."
            ) from None
        raise SpanishTokError(
            f"{path} is cut off, damaged or not {kind}, after row {report.rows:,} ({error})", "Get it again."
        ) from error


def scan_parquet(
    path: Location, file: pq.ParquetFile, groups: list[int], columns: list[str], rows: int
) -> Iterator[pa.RecordBatch]:
    """Yield columns of row groups in batches of so many rows, read by Arrow.

    Remote files: one row group at a time. Files on disk: page by page.
    """
    for turn in [[group] for group in groups] if is_remote(path) else [groups]:
        yield from file.iter_batches(rows, row_groups=turn, columns=columns)


def batch_rows(file: pq.ParquetFile, groups: list[int], columns: list[str], most: int) -> int:
    """Return how many rows have about `most` bytes, at most BATCH_ROWS."""
    # of all columns: to ask a damaged file about one of them ends the process, in the Arrow of today
    footers = [file.metadata.row_group(group) for group in groups]
    longest = max((footer.total_byte_size / max(footer.num_rows, 1) for footer in footers), default=0)
    if groups and longest < FEW_BYTES:  # a text that is repeated lies in the file once
        for batch in file.iter_batches(SAMPLE_ROWS, row_groups=groups[:1], columns=columns):
            longest = max(longest, batch.nbytes / batch.num_rows)
            break
    return max(1, min(BATCH_ROWS, int(most / max(longest, 1))))


def _row_groups(footer: pq.FileMetaData, begin: int, end: int | None) -> tuple[list[int], int]:
    """Return the row groups that hold rows `begin` to `end`, and the rows to skip.

    Those are the rows of the first row group that come before `begin`.
    """
    count = footer.num_row_groups
    starts = np.cumsum([0, *(footer.row_group(group).num_rows for group in range(count))])
    first = int(np.searchsorted(starts, begin, side="right")) - 1
    last = count if end is None else int(np.searchsorted(starts, end))
    return list(range(first, last)), begin - int(starts[first])
