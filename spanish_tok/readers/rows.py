"""Rows of named columns of a file, a Hub set or a table; every value is a string.

The parsers are those of the batches of (id, text). Here a row that cannot be used does not end the reading: it is
yielded with its fault, and the caller decides.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

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

    number: counted from 1. values: of the columns that it has. fault: why it cannot be used; "" if it can. lists: of
    columns that hold several texts; `values` has the first of each, or "".
    """

    number: int
    values: Mapping[str, str] = field(default_factory=dict)
    fault: str = ""
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def read_rows(
    source: Location, columns: Iterable[str], optional: Iterable[str] = (), listed: Iterable[str] = ()
) -> Iterator[Row]:
    """Yield the named columns of each row, and the optional ones that exist.

    `source` is a path (.parquet, .jsonl, .csv, also compressed), "-" for JSON lines on standard input, or a
    set of the Hub as `owner/name:split`, `owner/name/subset@revision:split`. Numbers become decimal strings. Columns
    of `listed` may hold several texts, also in SQuAD's form {"text": [...], "answer_start": [...]}; such a column
    may have the plural as its name: answers for answer.

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
    names = _Names(list(columns), [*columns, *optional], tuple(listed))
    for number, values in enumerate(_raw_rows(os.fspath(source), names), start=1):
        yield _row(number, values, names)


def rows_of(
    source: Any, columns: Iterable[str], optional: Iterable[str] = (), listed: Iterable[str] = ()
) -> Iterator[Row]:
    """Yield the rows of a file, of a Hub set, or of records in memory.

    Records in memory are dictionaries, or a table of Arrow, pandas or polars. Raises SpanishTokError for anything else.

    >>> [row.values for row in rows_of([{"texto": "hola"}], ["texto"])]
    [{'texto': 'hola'}]
    """
    if isinstance(source, str | os.PathLike):
        yield from read_rows(source, columns, optional, listed)
        return
    if hasattr(source, "to_pylist"):  # Arrow
        source = source.to_pylist()
    elif hasattr(source, "to_dicts"):  # polars
        source = source.to_dicts()
    elif hasattr(source, "to_dict"):  # pandas
        source = source.to_dict("records")
    names = _Names(list(columns), [*columns, *optional], tuple(listed))
    for number, values in enumerate(source, start=1):
        if not isinstance(values, Mapping):
            raise SpanishTokError(
                f"Record {number} is a {type(values).__name__}", "Give dictionaries, or a table of columns."
            )
        yield _row(number, values, names)


class _Names(NamedTuple):
    """The columns that a row must have, may have too, and that may be lists."""

    needed: list[str]
    wanted: list[str]
    listed: tuple[str, ...]

    @property
    def read(self) -> list[str]:
        """All columns to read, plurals included."""
        return [*self.wanted, *(f"{name}s" for name in self.listed)]


def _raw_rows(name: str, names: _Names) -> Iterator[Mapping[str, Any] | BadRow]:
    hub_set = HubSet.of_name(name) if not os.path.exists(name) else None
    format_name = "hub" if hub_set else "jsonl" if name == "-" else format_of(name)
    if hub_set:
        yield from _hub_rows(name, hub_set, names)
    elif format_name == "parquet":
        yield from _parquet_rows(name, names)
    elif format_name == "csv":
        with open_stream(name) as stream, characters_of(stream) as characters:
            header, rows = csv_rows(characters, name)
            _check_columns(name, header, names)
            for row in rows:
                yield row if isinstance(row, BadRow) else dict(zip(header, row, strict=True))
    elif format_name == "jsonl":
        with open_stream(name) as stream, characters_of(stream, newline="\n") as lines:
            yield from json_rows(lines)
    else:
        raise SpanishTokError(f"{name} has no named columns", "Give .parquet, .jsonl or .csv.")


def _parquet_rows(path: str, names: _Names) -> Iterator[Mapping[str, Any]]:
    report = FileReport(path)
    with open_parquet(path, report) as file:
        present = file.schema_arrow.names
        _check_columns(path, present, names)
        for batch in file.iter_batches(BATCH_ROWS, columns=[name for name in names.read if name in present]):
            yield from batch.to_pylist()
            report.rows += batch.num_rows


def _hub_rows(name: str, hub_set: HubSet, names: _Names) -> Iterator[Mapping[str, Any]]:
    report = FileReport(name)
    with open_hub_set(hub_set, report) as stream:
        for record in stream:
            if not report.rows:
                _check_columns(name, record, names)
            yield record
            report.rows += 1


def _row(number: int, values: Mapping[str, Any] | BadRow, names: _Names) -> Row:
    """Return a row whose values are strings, or one that says why it cannot be used."""
    if isinstance(values, BadRow):
        return Row(number, fault=values.fault)
    strings: dict[str, str] = {}
    lists: dict[str, tuple[str, ...]] = {}
    for name in names.wanted:
        value = values.get(name)
        if name in names.listed:
            value = values.get(f"{name}s") if value is None else value
            if (texts := _texts_of(value)) is not None:
                lists[name], value = texts, texts[0] if texts else ""
        if value is None:
            if name in names.needed:
                return Row(number, fault=f"it has no {name!r}")
        elif not isinstance(value, str | int | float):
            return Row(number, fault=f"its {name!r} is a {type(value).__name__}, not a text")
        elif not all(map(is_unicode, [str(value), *lists.get(name, ())])):
            return Row(number, fault=f"its {name!r} is not valid Unicode")
        else:
            strings[name] = str(value)
    return Row(number, strings, lists=lists)


def _texts_of(value: Any) -> tuple[str, ...] | None:
    """Return the texts of a list, or of SQuAD's answers; None for any other value.

    >>> _texts_of({"text": ["Lima", "en Lima"], "answer_start": [3, 0]}), _texts_of([{"text": "Lima"}])
    (('Lima', 'en Lima'), ('Lima',))
    """
    if isinstance(value, Mapping) and isinstance(value.get("text"), list):
        value = value["text"]
    if not isinstance(value, list):
        return None
    found = [item.get("text") if isinstance(item, Mapping) else item for item in value]
    texts = tuple(text for text in found if isinstance(text, str))
    return texts if len(texts) == len(found) else None


def _check_columns(source: str, present: Iterable[str], names: _Names) -> None:
    present = list(present)
    plurals = {name for name in names.listed if f"{name}s" in present}
    if missing := [name for name in names.needed if name not in {*present, *plurals}]:
        raise SpanishTokError(
            f"{source} has no column {missing[0]!r}; its columns are {', '.join(map(repr, present)) or 'none'}",
            "Name it with `--column field=column`, or change the task.",
        )
