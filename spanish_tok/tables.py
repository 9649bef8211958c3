"""Readers of CSV, JSON lines and Parquet: columns found by name, every value a string.

"NA", "null", "1e5" and empty texts are texts. Numbers in an id column become decimal strings.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from spanish_tok.errors import SpanishTokError
from spanish_tok.lines import Fields, checked, invalid_entries, repair_utf8
from spanish_tok.reading import FileReport, Location, ReadOptions, batch_of, invalid_row, malformed_row
from spanish_tok.streams import is_remote, open_stream

BATCH_ROWS = 8192
BUFFER = 1 << 20  # bytes of a column of Parquet that are read at once
LONGEST_FIELD = 2**31 - 1  # characters; the csv module's own limit is 131,072

# Halves of surrogate pairs, which JSON can spell; U+DC80-DCFF stand for bytes that are not UTF-8 here
LONE_SURROGATES = re.compile("[\ud800-\udc7f\udd00-\udfff]")

Record = tuple[str | None, str]  # id, text

# Batches of some columns of some row groups of a file of Parquet, in order
Scan = Callable[[Location, pq.ParquetFile, list[int], list[str]], Iterator[pa.RecordBatch]]


class BadRowError(Exception):
    """What is wrong with one row; it never leaves this module."""


def read_csv(path: Location, options: ReadOptions, report: FileReport) -> Iterator[pa.RecordBatch]:
    """Read CSV (RFC 4180: quotes, quotes doubled, newlines in quotes) with a header."""
    csv.field_size_limit(LONGEST_FIELD)
    with open_stream(path) as stream, _characters(stream) as characters:
        rows = csv.reader(characters, strict=True)
        names = next(rows, [])
        id_place, text_place = places_of(names, path, options)

        def parse(row: list[str]) -> Record:
            row = row or [""]  # how a lone empty column is written
            if len(row) != len(names):
                raise BadRowError(f"it has {len(row)} columns where the header has {len(names)}")
            return (None if id_place is None else row[id_place]), row[text_place]

        yield from _batches(_unbroken(rows, path), parse, path, options, report)


def read_jsonl(path: Location, options: ReadOptions, report: FileReport) -> Iterator[pa.RecordBatch]:
    """Read a JSON object a line."""

    def parse(line: str) -> Record:
        try:
            record = json.loads(line)
        except ValueError as error:
            raise BadRowError(f"it is not JSON ({error})") from None
        if not isinstance(record, dict) or not isinstance(record.get(options.text), str):
            raise BadRowError(f"it has no text under {options.text!r}")
        identity = record.get(options.id)
        return (None if identity is None else str(identity)), record[options.text]

    with open_stream(path) as stream, _characters(stream, newline="\n") as lines:
        yield from _batches(lines, parse, path, options, report)


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


def _characters(stream: io.RawIOBase, newline: str = "") -> io.TextIOWrapper:
    """The characters of a stream; a byte that is not UTF-8 as U+DC80-DCFF."""
    return io.TextIOWrapper(io.BufferedReader(stream), "utf-8-sig", "surrogateescape", newline=newline)


def places_of(names: list[str], path: Location, options: ReadOptions) -> tuple[int | None, int]:
    """Where the columns of ids (None: nowhere) and of texts are."""
    if options.text not in names:
        raise SpanishTokError(
            f"{path} has no column {options.text!r}; its columns are {', '.join(map(repr, names)) or 'none'}",
            "Name the column of texts with --column.",
        )
    return (names.index(options.id) if options.id in names else None), names.index(options.text)


def _unbroken(rows: Iterable[list[str]], path: Location) -> Iterator[list[str]]:
    passed = 0
    try:
        for row in rows:
            yield row
            passed += 1
    except csv.Error as error:
        raise malformed_row(path, passed + 1, f"it is not CSV ({error})") from None


def _batches(
    rows: Iterable[Any],
    parse: Callable[[Any], Record],
    path: Location,
    options: ReadOptions,
    report: FileReport,
) -> Iterator[pa.RecordBatch]:
    """Parse rows into batches; rows that the report counts already are passed over."""
    rows = islice(rows, report.rows, None)
    while chunk := list(islice(rows, BATCH_ROWS)):
        records: list[Record] = []
        for place, row in enumerate(chunk, start=report.rows + 1):
            try:
                record = parse(row)
            except BadRowError as error:
                if options.malformed == "error":
                    raise malformed_row(path, place, str(error)) from None
                report.rejected += 1
            else:
                records += _valid(record, path, place, options, report)
        report.rows += len(chunk)
        ids, texts = zip(*records, strict=True) if records else ((), ())
        yield batch_of(pa.array(ids, pa.string()), pa.array(texts, pa.string()))


def _valid(
    record: Record, path: Location, row: int, options: ReadOptions, report: FileReport
) -> list[Record]:
    """The record as it is, mended, or nothing, as the options say about what is not UTF-8."""
    identity, text = record
    if _is_valid(text) and (identity is None or _is_valid(identity)):
        return [record]
    if options.invalid_utf8 == "error":
        raise invalid_row(path, row)
    if options.invalid_utf8 == "reject":
        report.rejected += 1
        return []
    report.repaired += 1
    return [(None if identity is None else _mended(identity), _mended(text))]


def _is_valid(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _mended(text: str) -> str:
    return repair_utf8(LONE_SURROGATES.sub("\ufffd", text).encode("utf-8", "surrogateescape"))


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
