"""Rows of named columns from Parquet, JSON lines, CSV or a set of the Hub: every value a string.

A row that cannot be read does not end the reading: it is handed out with what is wrong with it, and the
caller decides (`spanish_tok.readers.records` is the faster reader of one column of text).
"""

import csv
import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from spanish_tok.errors import SpanishTokError
from spanish_tok.readers.csv_jsonl import LONGEST_FIELD
from spanish_tok.readers.options import Location
from spanish_tok.readers.records import format_of
from spanish_tok.readers.streams import open_stream

HUB_NAME = re.compile(
    r"(?P<repository>[\w.-]+/[\w.-]+)(/(?P<subset>[\w.-]+))?(@(?P<revision>[\w.-]+))?:(?P<split>\S+)"
)
BATCH_ROWS = 1024


@dataclass(frozen=True)
class Row:
    """One row: its number from 1, the values of the columns that it has, and what is wrong with it, if anything."""

    number: int
    values: Mapping[str, str] = field(default_factory=dict)
    fault: str = ""


def read_rows(source: Location, columns: Iterable[str], also: Iterable[str] = ()) -> Iterator[Row]:
    """Read the columns of a file or of a Hub set, and those of `also` that are there.

    `source` is a path (.parquet, .jsonl, .csv, also compressed), "-" for JSON lines on standard input, or a
    set of the Hub as `owner/name:split`, `owner/name/subset@revision:split`. Numbers become decimal strings.

    Raises SpanishTokError for a file that is missing, cut off or lacks a column.

    >>> import tempfile
    >>> from pathlib import Path
    >>> folder = tempfile.mkdtemp()
    >>> _ = Path(folder, "a.jsonl").write_text('{"texto": "hola", "n": 1}\\n{"texto": null}\\n[')
    >>> for row in read_rows(folder + "/a.jsonl", ["texto"], ["n"]):
    ...     print(row.number, dict(row.values), row.fault or 'good')
    1 {'texto': 'hola', 'n': '1'} good
    2 {} it has no 'texto'
    3 {} it is not JSON (Expecting value: line 1 column 2 (char 1))
    """
    wanted, also = list(columns), list(also)
    for number, found in enumerate(_raw_rows(source, wanted, also), start=1):
        yield found if isinstance(found, Row) else _row(number, found, wanted, also)


def _raw_rows(source: Location, columns: list[str], also: list[str]) -> Iterator[Mapping[str, Any] | Row]:
    name = os.fspath(source)
    if hub := HUB_NAME.fullmatch(name) if not os.path.exists(name) else None:
        return _of_hub(name, hub.groupdict(), columns)
    form = "jsonl" if name == "-" else format_of(name)
    if form == "parquet":
        return _of_parquet(name, columns, also)
    if form == "csv":
        return _of_csv(name, columns)
    if form == "jsonl":
        return _of_jsonl(name)
    raise SpanishTokError(f"{name} has no named columns", "Give .parquet, .jsonl or .csv.")


def _row(number: int, values: Mapping[str, Any], columns: list[str], also: list[str]) -> Row:
    """A row whose values are strings, or one that says why it is not."""
    found: dict[str, str] = {}
    for name in [*columns, *also]:
        value = values.get(name)
        if value is None:
            if name in columns:
                return Row(number, fault=f"it has no {name!r}")
        elif isinstance(value, str | int | float):
            found[name] = str(value)
            if not _is_unicode(found[name]):
                return Row(number, fault=f"its {name!r} is not valid Unicode")
        else:
            return Row(number, fault=f"its {name!r} is a {type(value).__name__}, not a text")
    return Row(number, found)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_columns(source: str, found: Iterable[str], columns: list[str]) -> None:
    found = list(found)
    if missing := [name for name in columns if name not in found]:
        raise SpanishTokError(
            f"{source} has no column {missing[0]!r}; its columns are {', '.join(map(repr, found)) or 'none'}",
            "Name it with `--column field=column`, or change the task.",
        )


def _of_jsonl(path: str) -> Iterator[Mapping[str, Any] | Row]:
    with open_stream(path) as stream, _characters(stream, newline="\n") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                record = json.loads(line)
            except ValueError as error:
                yield Row(number, fault=f"it is not JSON ({error})")
            else:
                yield record if isinstance(record, dict) else Row(number, fault="it is not a JSON object")


def _of_csv(path: str, columns: list[str]) -> Iterator[Mapping[str, Any] | Row]:
    csv.field_size_limit(LONGEST_FIELD)
    with open_stream(path) as stream, _characters(stream) as lines:
        rows = csv.reader(lines, strict=True)
        names = next(rows, [])
        _check_columns(path, names, columns)
        number = 0
        try:
            for number, row in enumerate(rows, start=1):
                if len(row) == len(names):
                    yield dict(zip(names, row, strict=True))
                else:
                    fault = f"it has {len(row)} columns where the header has {len(names)}"
                    yield Row(number, fault=fault)
        except csv.Error as error:
            raise SpanishTokError(
                f"{path}, row {number + 1:,}, or one soon after it, is not CSV ({error})",
                "Look for a quote that does not end.",
            ) from None


def _characters(stream: io.RawIOBase, newline: str = "") -> io.TextIOWrapper:
    """The characters of a stream; a byte that is not UTF-8 as half of a surrogate pair, which `_row` reports."""
    return io.TextIOWrapper(io.BufferedReader(stream), "utf-8-sig", "surrogateescape", newline=newline)


def _of_parquet(path: str, columns: list[str], also: list[str]) -> Iterator[Mapping[str, Any] | Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with open_stream(path) as stream, pq.ParquetFile(stream) as file:
            names = file.schema_arrow.names
            _check_columns(path, names, columns)
            wanted = [name for name in [*columns, *also] if name in names]
            for batch in file.iter_batches(BATCH_ROWS, columns=wanted):
                yield from batch.to_pylist()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError, UnicodeDecodeError) as error:
        raise SpanishTokError(
            f"{path} is cut off, damaged or no Parquet ({error})", "Get it again."
        ) from error


def _of_hub(name: str, place: dict[str, str], columns: list[str]) -> Iterator[Mapping[str, Any] | Row]:
    import datasets

    try:
        stream = datasets.load_dataset(
            place["repository"],
            place["subset"],
            split=place["split"],
            revision=place["revision"],
            streaming=True,
        )
        for number, record in enumerate(stream):
            if number == 0:
                _check_columns(name, record, columns)
            yield record
    except SpanishTokError:
        raise
    except Exception as error:  # `datasets` passes on the errors of whatever it reads with
        raise SpanishTokError(
            f"{name} cannot be read from the Hub ({type(error).__name__}: {error})",
            "Check name, revision and split; a file's path must exist.",
        ) from error
