"""Rows of named columns of a file, a Hub set or a table; every value is a string.

The parsers are those of the batches of (id, text). Here a row that cannot be used does not end the reading: it is
yielded with its fault, and the caller decides.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from spanish_tok.errors import SpanishTokError
from spanish_tok.readers.csv_jsonl import BadRow, characters_of, csv_rows, is_unicode, json_rows
from spanish_tok.readers.hub import HubSet, open_hub_set
from spanish_tok.readers.options import FileReport, Location
from spanish_tok.readers.parquet import open_parquet
from spanish_tok.readers.records import format_of
from spanish_tok.readers.streams import open_stream

BATCH_ROWS = 1024


@dataclass(frozen=True)
class Row:
    """One row of named columns.

    number: counted from 1. values: of the columns that it has. fault: why it cannot be used; "" if it can.
    """

    number: int
    values: Mapping[str, str] = field(default_factory=dict)
    fault: str = ""


def read_rows(source: Location, columns: Iterable[str], optional: Iterable[str] = ()) -> Iterator[Row]:
    """Yield the named columns of each row, and the optional ones that exist.

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
    needed, wanted = list(columns), [*columns, *optional]
    for number, values in enumerate(_raw_rows(os.fspath(source), needed, wanted), start=1):
        yield _row(number, values, needed, wanted)


def rows_of(source: Any, columns: Iterable[str], optional: Iterable[str] = ()) -> Iterator[Row]:
    """Yield the rows of a file, of a Hub set, or of records in memory.

    Records in memory are dictionaries, or a table of Arrow, pandas or polars. Raises SpanishTokError for anything else.

    >>> [row.values for row in rows_of([{"texto": "hola"}], ["texto"])]
    [{'texto': 'hola'}]
    """
    if isinstance(source, str | os.PathLike):
        yield from read_rows(source, columns, optional)
        return
    if hasattr(source, "to_pylist"):  # Arrow
        source = source.to_pylist()
    elif hasattr(source, "to_dicts"):  # polars
        source = source.to_dicts()
    elif hasattr(source, "to_dict"):  # pandas
        source = source.to_dict("records")
    needed, wanted = list(columns), [*columns, *optional]
    for number, values in enumerate(source, start=1):
        if not isinstance(values, Mapping):
            raise SpanishTokError(
                f"Record {number} is a {type(values).__name__}", "Give dictionaries, or a table of columns."
            )
        yield _row(number, values, needed, wanted)


def _raw_rows(name: str, needed: list[str], wanted: list[str]) -> Iterator[Mapping[str, Any] | BadRow]:
    hub_set = HubSet.of_name(name) if not os.path.exists(name) else None
    format_name = "hub" if hub_set else "jsonl" if name == "-" else format_of(name)
    if hub_set:
        yield from _hub_rows(name, hub_set, needed)
    elif format_name == "parquet":
        yield from _parquet_rows(name, needed, wanted)
    elif format_name == "csv":
        with open_stream(name) as stream, characters_of(stream) as characters:
            header, rows = csv_rows(characters, name)
            _check_columns(name, header, needed)
            for row in rows:
                yield row if isinstance(row, BadRow) else dict(zip(header, row, strict=True))
    elif format_name == "jsonl":
        with open_stream(name) as stream, characters_of(stream, newline="\n") as lines:
            yield from json_rows(lines)
    else:
        raise SpanishTokError(f"{name} has no named columns", "Give .parquet, .jsonl or .csv.")


def _parquet_rows(path: str, needed: list[str], wanted: list[str]) -> Iterator[Mapping[str, Any]]:
    report = FileReport(path)
    with open_parquet(path, report) as file:
        names = file.schema_arrow.names
        _check_columns(path, names, needed)
        for batch in file.iter_batches(BATCH_ROWS, columns=[name for name in wanted if name in names]):
            yield from batch.to_pylist()
            report.rows += batch.num_rows


def _hub_rows(name: str, hub_set: HubSet, needed: list[str]) -> Iterator[Mapping[str, Any]]:
    report = FileReport(name)
    with open_hub_set(hub_set, report) as stream:
        for record in stream:
            if not report.rows:
                _check_columns(name, record, needed)
            yield record
            report.rows += 1


def _row(number: int, values: Mapping[str, Any] | BadRow, needed: list[str], wanted: list[str]) -> Row:
    """Return a row whose values are strings, or one that says why it cannot be used."""
    if isinstance(values, BadRow):
        return Row(number, fault=values.fault)
    strings: dict[str, str] = {}
    for name in wanted:
        value = values.get(name)
        if value is None:
            if name in needed:
                return Row(number, fault=f"it has no {name!r}")
        elif not isinstance(value, str | int | float):
            return Row(number, fault=f"its {name!r} is a {type(value).__name__}, not a text")
        elif not is_unicode(str(value)):
            return Row(number, fault=f"its {name!r} is not valid Unicode")
        else:
            strings[name] = str(value)
    return Row(number, strings)


def _check_columns(source: str, names: Iterable[str], needed: list[str]) -> None:
    names = list(names)
    if missing := [name for name in needed if name not in names]:
        raise SpanishTokError(
            f"{source} has no column {missing[0]!r}; its columns are {', '.join(map(repr, names)) or 'none'}",
            "Name it with `--column field=column`, or change the task.",
        )
