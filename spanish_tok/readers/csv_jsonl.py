"""Readers of CSV and JSON lines: columns found by name, every value a string.

"NA", "null", "1e5" and empty texts are texts. Numbers in an id column become decimal strings. `csv_rows` and
`json_rows` parse for both faces of the readers, batches (here) and rows of named columns (rows.py).
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import pyarrow as pa

from spanish_tok.readers.options import (
    FileReport,
    Location,
    ReadOptions,
    batch_of,
    invalid_row,
    malformed_row,
)
from spanish_tok.readers.parquet import BATCH_ROWS, column_indices
from spanish_tok.readers.streams import open_stream
from spanish_tok.readers.validation import repair_utf8

LONGEST_FIELD = 2**31 - 1  # characters; the csv module's own limit is 131,072

# Halves of surrogate pairs, which JSON can spell. U+DC80-DCFF are not among them: they stand for bytes here.
LONE_SURROGATES = re.compile("[\ud800-\udc7f\udd00-\udfff]")

Record = tuple[str | None, str]  # id, text


class BadRow(NamedTuple):
    """A row that cannot be used, and why: "it is not JSON"."""

    fault: str


def read_csv(path: Location, options: ReadOptions, report: FileReport) -> Iterator[pa.RecordBatch]:
    """Read CSV (RFC 4180: quotes, quotes doubled, newlines in quotes) with a header."""
    with open_stream(path) as stream, characters_of(stream) as characters:
        names, rows = csv_rows(characters, path)
        id_index, text_index = column_indices(names, path, options)

        def record_of(row: list[str]) -> Record:
            return (None if id_index is None else row[id_index]), row[text_index]

        yield from _batches(rows, record_of, path, options, report)


def read_jsonl(path: Location, options: ReadOptions, report: FileReport) -> Iterator[pa.RecordBatch]:
    """Read a JSON object a line."""

    def record_of(row: dict[str, Any]) -> Record | BadRow:
        text, identity = row.get(options.text), row.get(options.id)
        if not isinstance(text, str):
            return BadRow(f"it has no text under {options.text!r}")
        return (None if identity is None else str(identity)), text

    with open_stream(path) as stream, characters_of(stream, newline="\n") as lines:
        yield from _batches(json_rows(lines), record_of, path, options, report)


def csv_rows(characters: Iterable[str], path: Location) -> tuple[list[str], Iterator[list[str] | BadRow]]:
    """Return the names in a CSV header, and the rows below it.

    A row with more or fewer columns than the header is a BadRow.
    """
    csv.field_size_limit(LONGEST_FIELD)
    rows = csv.reader(characters, strict=True)
    names = next(rows, [])
    return names, _rows_below(names, rows, path)


def _rows_below(names: list[str], rows: Iterable[list[str]], path: Location) -> Iterator[list[str] | BadRow]:
    count = 0
    try:
        for row in rows:
            cells = row or [""]  # how a lone empty column is written
            if len(cells) == len(names):
                yield cells
            else:
                yield BadRow(f"it has {len(cells)} columns where the header has {len(names)}")
            count += 1
    except csv.Error as error:
        raise malformed_row(path, count + 1, f"it is not CSV ({error})") from None


def json_rows(lines: Iterable[str]) -> Iterator[dict[str, Any] | BadRow]:
    """Yield the JSON object of each line; anything else is a BadRow."""
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError as error:
            yield BadRow(f"it is not JSON ({error})")
        else:
            yield row if isinstance(row, dict) else BadRow("it is not a JSON object")


def characters_of(stream: io.RawIOBase, newline: str = "") -> io.TextIOWrapper:
    """Decode a stream as UTF-8; a byte that is not UTF-8 becomes one of U+DC80-DCFF."""
    return io.TextIOWrapper(io.BufferedReader(stream), "utf-8-sig", "surrogateescape", newline=newline)


def is_unicode(text: str) -> bool:
    """Return whether a string holds no lone surrogates.

    Those stand for bytes that are not UTF-8 (see `characters_of`), or were spelled in JSON.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _batches(
    rows: Iterable[Any],
    record_of: Callable[[Any], Record | BadRow],
    path: Location,
    options: ReadOptions,
    report: FileReport,
) -> Iterator[pa.RecordBatch]:
    """Turn rows into batches; skip those that the report counts already."""
    rows = islice(rows, report.rows, None)
    while chunk := list(islice(rows, BATCH_ROWS)):
        records: list[Record] = []
        for row_number, row in enumerate(chunk, start=report.rows + 1):
            record = row if isinstance(row, BadRow) else record_of(row)
            if not isinstance(record, BadRow):
                records += _valid(record, path, row_number, options, report)
            elif options.malformed == "error":
                raise malformed_row(path, row_number, record.fault)
            else:
                report.rejected += 1
        report.rows += len(chunk)
        ids, texts = zip(*records, strict=True) if records else ((), ())
        yield batch_of(pa.array(ids, pa.string()), pa.array(texts, pa.string()))


def _valid(
    record: Record, path: Location, row_number: int, options: ReadOptions, report: FileReport
) -> list[Record]:
    """Return the record in a list, repaired if need be; no record if it is rejected."""
    identity, text = record
    if is_unicode(text) and (identity is None or is_unicode(identity)):
        return [record]
    if options.invalid_utf8 == "error":
        raise invalid_row(path, row_number)
    if options.invalid_utf8 == "reject":
        report.rejected += 1
        return []
    report.repaired += 1
    return [(None if identity is None else _repaired(identity), _repaired(text))]


def _repaired(text: str) -> str:
    """Return text without lone surrogates: bytes repaired, halves of pairs as U+FFFD."""
    return repair_utf8(LONE_SURROGATES.sub("\ufffd", text).encode("utf-8", "surrogateescape"))
