"""Readers of CSV and JSON: columns found by name, every value a string.

"NA", "null", "1e5" and empty texts are texts. Numbers in an id column become decimal strings. `csv_rows` and
`json_rows` parse for both faces of the readers, batches (here) and rows of named columns (rows.py). Empty lines are no
rows.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

import pyarrow as pa

from spanish_tok.readers.columns import BATCH_ROWS, column_indices
from spanish_tok.readers.opening.buffered import Peeked
from spanish_tok.readers.opening.encoding import repair_utf8
from spanish_tok.readers.opening.json_array import array_elements
from spanish_tok.readers.opening.lines import Lines, too_long
from spanish_tok.readers.opening.spool import name_of
from spanish_tok.readers.options import FileReport, Location, ReadOptions, invalid_row, malformed_row
from spanish_tok.readers.streams import open_text
from spanish_tok.readers.validation import batch_of

BATCH_BYTES = 2 << 20  # of texts: as strings of Python, and once more as a column
LONGEST_FIELD = 2**31 - 1  # characters; the csv module's own limit is 131,072
BLANKS = 1 << 16  # bytes in which the first character of JSON is looked for

# Halves of surrogate pairs, which JSON can spell. U+DC80-DCFF are not among them: they stand for bytes here.
LONE_SURROGATES = re.compile("[\ud800-\udc7f\udd00-\udfff]")

Record = tuple[str | None, str]  # id, text


class BadRow(NamedTuple):
    """A row that cannot be used, and why: "it is not JSON"."""

    fault: str


def read_csv(path: Location, options: ReadOptions, report: FileReport) -> Iterator[pa.RecordBatch]:
    """Read CSV (RFC 4180: quotes, quotes doubled, newlines in quotes) with a header."""
    with open_text(path, options.encoding) as stream:
        names, rows = csv_rows(stream, path, options)
        id_index, text_index = column_indices(names, path, options)

        def record_of(row: list[str]) -> Record:
            return (None if id_index is None else row[id_index]), row[text_index]

        yield from _batches(rows, record_of, path, options, report)


def read_jsonl(path: Location, options: ReadOptions, report: FileReport) -> Iterator[pa.RecordBatch]:
    """Read a JSON object a line, or one array of objects."""

    def record_of(row: dict[str, Any]) -> Record | BadRow:
        text, identity = value_of(row, options.text), value_of(row, options.id)
        if text is None:
            return BadRow(f"it has no text under {options.text!r}")
        if not isinstance(text, str):
            return BadRow(f"its {options.text!r} is a {type(text).__name__}, not a text")
        if isinstance(identity, list | dict):
            return BadRow(f"its {options.id!r} is a {type(identity).__name__}, not an id")
        return (None if identity is None else str(identity)), text

    with open_text(path, options.encoding) as stream:
        yield from _batches(json_rows(stream, path, options), record_of, path, options, report)


def value_of(row: Mapping[str, Any], name: str) -> Any:
    """Return the value of a column, or of an entry of a column.

    A number that is NaN becomes None.

    >>> value_of({"translation": {"es": "¡Hola!"}, "a.b": 1}, "translation.es"), value_of({"a.b": 1}, "a.b")
    ('¡Hola!', 1)
    """
    value: Any = row.get(name)
    if value is None and "." in name:
        value = row
        for key in name.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
    return None if value != value else value


def csv_rows(
    stream: io.RawIOBase, path: Location, options: ReadOptions, *, plain_tabs: bool = False
) -> tuple[list[str], Iterator[list[str] | BadRow]]:
    """Return the names in a CSV header, and the rows below it.

    A row with more or fewer columns than the header, and one that is not CSV, is a BadRow.
    `plain_tabs`: fields end at tabs, and quotes are text.
    """
    dialect: dict[str, Any] = {"strict": True, "delimiter": options.delimiter}
    if plain_tabs:
        dialect = {"delimiter": "\t", "quoting": csv.QUOTE_NONE}
    csv.field_size_limit(LONGEST_FIELD)
    lines = Lines(stream, name_of(path), options.max_row_bytes, universal=True)
    pending = [0]  # bytes of the row that is being read

    def characters() -> Iterator[str]:
        lines.skips = True
        for line in lines:
            if pending[0] + len(line) > options.max_row_bytes + 2:
                raise too_long(name_of(path), f"the row before line {lines.number:,}", options.max_row_bytes)
            pending[0] += len(line)
            lines.skips = False
            yield (line.removeprefix(b"\xef\xbb\xbf") if lines.number == 1 else line).decode(
                "utf-8", "surrogateescape"
            )

    def whole() -> Iterator[list[str] | BadRow]:
        rows = csv.reader(characters(), **dialect)
        while True:
            try:
                row = next(rows, None)
            except csv.Error as error:
                yield BadRow(f"it is not CSV ({error}, line {lines.number:,})")
                row = []
            if row is None:
                return
            pending[0], lines.skips = 0, True
            if row:
                yield row

    rows = whole()
    names = next(rows, [])
    if isinstance(names, BadRow):
        raise malformed_row(path, 1, names.fault)
    return names, _rows_below(len(names), rows)


def _rows_below(width: int, rows: Iterable[list[str] | BadRow]) -> Iterator[list[str] | BadRow]:
    for row in rows:
        if isinstance(row, BadRow) or len(row) == width:
            yield row
        else:
            yield BadRow(f"it has {len(row)} columns where the header has {width}")


def json_rows(stream: Peeked, path: Location, options: ReadOptions) -> Iterator[dict[str, Any] | BadRow]:
    """Yield the JSON object of each line, or of one array; anything else is a BadRow."""
    name, most = name_of(path), options.max_row_bytes
    start = stream.peek(BLANKS, wait=False).removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"["):
        for value in array_elements(stream, name, most):
            yield value if isinstance(value, dict) else BadRow("it is not a JSON object")
        return
    lines = Lines(stream, name, most)
    lines.skips, rows = True, 0
    for line in lines:
        if not (line := line.removeprefix(b"\xef\xbb\xbf") if lines.number == 1 else line).strip():
            continue
        rows += 1
        try:
            row = json.loads(line.decode("utf-8", "surrogateescape"))
        except (ValueError, RecursionError) as error:
            where = f", line {lines.number:,}" if lines.number != rows else ""  # empty lines are no rows
            yield BadRow(f"it is not JSON ({error}){where}")
        else:
            yield row if isinstance(row, dict) else BadRow("it is not a JSON object")


def is_unicode(text: str) -> bool:
    """Return whether a string holds no lone surrogates.

    Those stand for bytes that are not UTF-8, or were spelled in JSON.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def repaired_text(text: str) -> str:
    """Return text without lone surrogates: bytes repaired, halves of pairs as U+FFFD."""
    return repair_utf8(LONE_SURROGATES.sub("\ufffd", text).encode("utf-8", "surrogateescape"))


def _batches(
    rows: Iterable[Any],
    record_of: Callable[[Any], Record | BadRow],
    path: Location,
    options: ReadOptions,
    report: FileReport,
) -> Iterator[pa.RecordBatch]:
    """Turn rows into batches; skip those that the report counts already."""
    rows = islice(rows, report.rows, None)
    ended = False
    while not ended:
        records: list[Record] = []
        read = size = 0
        ended = True
        for row in rows:
            read += 1
            record = row if isinstance(row, BadRow) else record_of(row)
            if not isinstance(record, BadRow):
                records += _valid(record, path, report.rows + read, options, report)
                size += len(record[1])
            elif options.malformed == "error":
                raise malformed_row(path, report.rows + read, record.fault)
            else:
                report.rejected += 1
            if read == BATCH_ROWS or size >= min(options.block_bytes, BATCH_BYTES):
                ended = False
                break
        report.rows += read
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
    return [(None if identity is None else repaired_text(identity), repaired_text(text))]
