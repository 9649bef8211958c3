"""The reader of Parquet: columns found by name, every value a string."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from spanish_tok.errors import SpanishTokError
from spanish_tok.readers.options import FileReport, Location, ReadOptions
from spanish_tok.readers.remote import is_remote
from spanish_tok.readers.streams import open_stream
from spanish_tok.readers.validation import Fields, batch_of_fields, invalid_entries

BATCH_ROWS = 8192
BUFFER = 1 << 20  # bytes of a column that are read at once

# (path, open file, row groups, names of columns) -> their batches in order
Scan = Callable[[Location, pq.ParquetFile, list[int], list[str]], Iterator[pa.RecordBatch]]


def read_parquet(
    path: Location,
    options: ReadOptions,
    report: FileReport,
    end: int | None = None,
    scan: Scan | None = None,
) -> Iterator[pa.RecordBatch]:
    """Read the columns of ids and texts, from where `report` stands.

    `end`: the row to stop before, which must be the end of a row group.
    """
    with open_parquet(path, report) as file:
        id_index, _ = column_indices(file.schema_arrow.names, path, options)
        names = [options.text] if id_index is None else [options.id, options.text]
        groups, skip = _row_groups(file.metadata, report.rows, end)
        for batch in (scan or scan_parquet)(path, file, groups, names):
            skipped = min(skip, batch.num_rows)
            skip -= skipped
            if skipped < batch.num_rows:
                yield table_batch(batch.slice(skipped), path, options, report)
    if end is not None and report.rows != end:
        raise SpanishTokError(f"{path} was changed while it was read", "Start over.")


@contextmanager
def open_parquet(path: Location, report: FileReport) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file on disk or at an address.

    Raises SpanishTokError, from here or from the block, for a file that is cut off, damaged or not Parquet; the
    message names the row that `report` stands at.
    """
    remote = is_remote(path)
    try:
        # A remote file is read in few, large requests for all that is asked; a local one page by page.
        with (
            open_stream(path) if remote else nullcontext(path) as source,
            pq.ParquetFile(source, pre_buffer=remote, buffer_size=0 if remote else BUFFER) as file,
        ):
            yield file
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError, UnicodeDecodeError) as error:
        raise SpanishTokError(
            f"{path} is cut off, damaged or not Parquet, after row {report.rows:,} ({error})", "Get it again."
        ) from error


def scan_parquet(
    path: Location, file: pq.ParquetFile, groups: list[int], columns: list[str]
) -> Iterator[pa.RecordBatch]:
    """Yield columns of row groups in batches, read by Arrow.

    Remote files: one row group at a time. Files on disk: page by page.
    """
    for turn in [[group] for group in groups] if is_remote(path) else [groups]:
        yield from file.iter_batches(BATCH_ROWS, row_groups=turn, columns=columns)


def column_indices(names: list[str], path: Location, options: ReadOptions) -> tuple[int | None, int]:
    """Return the indices of the columns of ids, None if there is none, and of texts."""
    if options.text not in names:
        raise SpanishTokError(
            f"{path} has no column {options.text!r}; its columns are {', '.join(map(repr, names)) or 'none'}",
            "Name the column of texts with --column.",
        )
    return (names.index(options.id) if options.id in names else None), names.index(options.text)


def _row_groups(footer: pq.FileMetaData, begin: int, end: int | None) -> tuple[list[int], int]:
    """Return the row groups that hold rows `begin` to `end`, and the rows to skip.

    Those are the rows of the first row group that come before `begin`.
    """
    count = footer.num_row_groups
    starts = np.cumsum([0, *(footer.row_group(group).num_rows for group in range(count))])
    first = int(np.searchsorted(starts, begin, side="right")) - 1
    last = count if end is None else int(np.searchsorted(starts, end))
    return list(range(first, last)), begin - int(starts[first])


def table_batch(
    batch: pa.RecordBatch, path: Location, options: ReadOptions, report: FileReport
) -> pa.RecordBatch:
    """Return a batch of any columns as (id, text), and count its rows in `report`.

    Null texts are malformed rows. They and invalid UTF-8 are treated as the options say.
    """
    rows = batch.num_rows
    texts = batch.column(options.text)
    valid_rows = np.flatnonzero(texts.is_valid().to_numpy(zero_copy_only=False))
    if len(valid_rows) < rows:
        batch = batch.take(pa.array(valid_rows))
    ids = _binary(batch.column(options.id)) if options.id in batch.schema.names else None
    texts = _binary(batch.column(options.text))
    fields = Fields(ids, texts, valid_rows, invalid_entries(texts), rows, 0)
    result = batch_of_fields(fields, path, options, report, missing=f"its {options.text!r} is null")
    report.rows += rows
    return result


def table_batches(
    table: pa.Table, path: Location, options: ReadOptions, report: FileReport
) -> Iterator[pa.RecordBatch]:
    """Yield batches of (id, text) of a table, from where `report` stands."""
    for batch in table.slice(report.rows).to_batches(BATCH_ROWS):
        yield table_batch(batch, path, options, report)


def _binary(column: pa.Array) -> pa.Array:
    """Return a column of any type as Arrow binary: the bytes of its strings."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not (pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
        column = column.cast(pa.string())
    return column.cast(pa.binary())
