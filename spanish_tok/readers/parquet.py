"""The reader of Parquet: columns found by name, every value a string."""

import io
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from spanish_tok.errors import SpanishTokError
from spanish_tok.readers.options import FileReport, Location, ReadOptions
from spanish_tok.readers.remote import is_remote
from spanish_tok.readers.streams import open_stream
from spanish_tok.readers.validation import Fields, checked, invalid_entries

BATCH_ROWS = 8192
BUFFER = 1 << 20  # bytes of a column of Parquet that are read at once


# Batches of some columns of some row groups of a file of Parquet, in order
Scan = Callable[[Location, pq.ParquetFile, list[int], list[str]], Iterator[pa.RecordBatch]]


def scan_parquet(
    path: Location, file: pq.ParquetFile, groups: list[int], columns: list[str]
) -> Iterator[pa.RecordBatch]:
    """Columns of row groups by Arrow: from afar one group at a time, from a disk page by page."""
    for some in [[group] for group in groups] if is_remote(path) else [groups]:
        yield from file.iter_batches(BATCH_ROWS, row_groups=some, columns=columns)


def read_parquet(
    path: Location,
    options: ReadOptions,
    report: FileReport,
    end: int | None = None,
    scan: Scan = scan_parquet,
) -> Iterator[pa.RecordBatch]:
    """Read two columns of Parquet, up to row `end` where that is given, which must be the end of a row group."""
    if is_remote(path):
        with open_stream(path) as stream:
            yield from _parquet_batches(stream, path, options, report, end, scan)
    else:
        yield from _parquet_batches(path, path, options, report, end, scan)


def places_of(names: list[str], path: Location, options: ReadOptions) -> tuple[int | None, int]:
    """Where the columns of ids (None: nowhere) and of texts are."""
    if options.text not in names:
        raise SpanishTokError(
            f"{path} has no column {options.text!r}; its columns are {', '.join(map(repr, names)) or 'none'}",
            "Name the column of texts with --column.",
        )
    return (names.index(options.id) if options.id in names else None), names.index(options.text)


def _parquet_batches(
    source: Location | io.RawIOBase,
    path: Location,
    options: ReadOptions,
    report: FileReport,
    end: int | None,
    scan: Scan,
) -> Iterator[pa.RecordBatch]:
    remote = is_remote(path)
    try:
        # afar few and large requests, of what is asked for as a whole; here pages as they are needed
        with pq.ParquetFile(source, pre_buffer=remote, buffer_size=0 if remote else BUFFER) as file:
            id_place, _ = places_of(file.schema_arrow.names, path, options)
            wanted = [options.text] if id_place is None else [options.id, options.text]
            groups, skip = _row_groups(file.metadata, report.rows, end)
            for batch in scan(path, file, groups, wanted):
                skipped = min(skip, batch.num_rows)
                skip -= skipped
                if skipped < batch.num_rows:
                    yield table_batch(batch.slice(skipped), path, options, report)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise SpanishTokError(
            f"{path} is cut off, damaged or no Parquet, after row {report.rows:,} ({error})", "Get it again."
        ) from error
    if end is not None and report.rows != end:
        raise SpanishTokError(f"{path} was changed while it was read", "Begin anew.")


def _row_groups(footer: pq.FileMetaData, begin: int, end: int | None) -> tuple[list[int], int]:
    """The row groups that hold the rows from `begin` to `end`, and how many rows of the first come before."""
    number = footer.num_row_groups
    starts = np.cumsum([0, *(footer.row_group(group).num_rows for group in range(number))])
    first = int(np.searchsorted(starts, begin, side="right")) - 1
    last = number if end is None else int(np.searchsorted(starts, end))
    return list(range(first, last)), begin - int(starts[first])


def table_batch(
    batch: pa.RecordBatch, path: Location, options: ReadOptions, report: FileReport
) -> pa.RecordBatch:
    """A batch of any columns as (id, text), nulls and invalid UTF-8 settled as the options say."""
    rows = batch.num_rows
    texts = batch.column(options.text)
    places = np.flatnonzero(texts.is_valid().to_numpy(zero_copy_only=False))
    if len(places) < rows:
        batch = batch.take(pa.array(places))
    ids = _binary(batch.column(options.id)) if options.id in batch.schema.names else None
    texts = _binary(batch.column(options.text))
    fields = Fields(ids, texts, places, invalid_entries(texts), rows, 0)
    result = checked(fields, path, options, report, missing=f"its {options.text!r} is null")
    report.rows += rows
    return result


def _binary(column: pa.Array) -> pa.Array:
    """A column of any type as Arrow binary: the bytes of its strings."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not (pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
        column = column.cast(pa.string())
    return column.cast(pa.binary())
