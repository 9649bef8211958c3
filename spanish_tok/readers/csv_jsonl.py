"""Readers of CSV and JSON lines: columns found by name, every value a string.

"NA", "null", "1e5" and empty texts are texts. Numbers in an id column become decimal strings.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import pyarrow as pa

from spanish_tok.readers.options import (
    FileReport,
    Location,
    ReadOptions,
    batch_of,
    invalid_row,
    malformed_row,
)
from spanish_tok.readers.parquet import BATCH_ROWS, places_of
from spanish_tok.readers.streams import open_stream
from spanish_tok.readers.validation import repair_utf8

LONGEST_FIELD = 2**31 - 1  # characters; the csv module's own limit is 131,072

# Halves of surrogate pairs, which JSON can spell; U+DC80-DCFF stand for bytes that are not UTF-8 here
LONE_SURROGATES = re.compile("[\ud800-\udc7f\udd00-\udfff]")

Record = tuple[str | None, str]  # id, text


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


def _characters(stream: io.RawIOBase, newline: str = "") -> io.TextIOWrapper:
    """The characters of a stream; a byte that is not UTF-8 as U+DC80-DCFF."""
    return io.TextIOWrapper(io.BufferedReader(stream), "utf-8-sig", "surrogateescape", newline=newline)


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
