"""Rows of named columns of a file, a Hub set or a table; every value is a string.

The parsers are those of the batches of (id, text). Here a row that cannot be used does not end the reading: it is
yielded with its fault, and the caller decides.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pyarrow as pa

from spanish_tok.errors import SpanishTokError
from spanish_tok.readers.columns import check_columns, top_column
from spanish_tok.readers.csv_jsonl import BadRow, csv_rows, is_unicode, json_rows, repaired_text, value_of
from spanish_tok.readers.hub import HubSet, open_hub_set
from spanish_tok.readers.opening.paths import expand_paths
from spanish_tok.readers.opening.spool import is_pipe
from spanish_tok.readers.options import FileReport, Location, ReadOptions
from spanish_tok.readers.parquet import arrow_batches, batch_rows, open_parquet, scan_parquet
from spanish_tok.readers.records import format_of
from spanish_tok.readers.streams import open_text

MOST_BYTES = 1 << 20  # of a batch
FEW_ROWS = 256  # that are Python objects at once
ADVICE = "Name it with `--column field=column`, or change the task."


@dataclass(frozen=True)
class Row:
    """One row of named columns.

    number: counted from 1. values: of the columns that it has. fault: why it cannot be used; "" if it can. lists: of
    columns that hold several texts; `values` has the first of each, or "". repaired: bytes of it were not UTF-8.
    """

    number: int
    values: Mapping[str, str] = field(default_factory=dict)
    fault: str = ""
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    repaired: bool = False


def read_rows(
    source: Location,
    columns: Iterable[str],
    optional: Iterable[str] = (),
    listed: Iterable[str] = (),
    options: ReadOptions | None = None,
) -> Iterator[Row]:
    """Yield the named columns of each row, and the optional ones that exist.

    `source` is a path, a pattern or a folder of files (Parquet, Arrow, JSON, CSV, TSV with a header; also
    compressed), "-" for JSON lines on standard input, or a set of the Hub as `owner/name:split`,
    `owner/name/subset@revision:split`. Numbers become decimal strings, "a.b" is the entry b of the column a. Columns
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
    options = options or ReadOptions()
    for row, values in enumerate(_rows_of_all(source, names, options), start=1):
        yield _row(row, values, names, options)


def rows_of(
    source: Any,
    columns: Iterable[str],
    optional: Iterable[str] = (),
    listed: Iterable[str] = (),
    options: ReadOptions | None = None,
) -> Iterator[Row]:
    """Yield the rows of a file, of a Hub set, or of records in memory.

    Records in memory are dictionaries, or a table of Arrow, pandas or polars. Raises SpanishTokError for anything else.

    >>> [row.values for row in rows_of([{"texto": "hola"}], ["texto"])]
    [{'texto': 'hola'}]
    """
    if isinstance(source, str | os.PathLike):
        yield from read_rows(source, columns, optional, listed, options)
        return
    if isinstance(source, pa.Table | pa.RecordBatch):
        source = (row for batch in pa.table(source).to_batches() for row in _python_rows(batch))
    elif hasattr(source, "to_dicts"):  # polars
        source = source.to_dicts()
    elif hasattr(source, "to_dict"):  # pandas
        source = source.to_dict("records")
    names = _Names(list(columns), [*columns, *optional], tuple(listed))
    for row, values in enumerate(source, start=1):
        if not isinstance(values, Mapping):
            raise SpanishTokError(
                f"Record {row} is a {type(values).__name__}", "Give dictionaries, or a table of columns."
            )
        yield _row(row, values, names, options or ReadOptions())


class _Names(NamedTuple):
    """The columns that a row must have, may have too, and that may be lists."""

    needed: list[str]
    wanted: list[str]
    listed: tuple[str, ...]

    @property
    def read(self) -> list[str]:
        """All columns to read, plurals included."""
        return [*self.wanted, *(f"{name}s" for name in self.listed)]


def _rows_of_all(
    source: Location, names: _Names, options: ReadOptions
) -> Iterator[Mapping[str, Any] | BadRow]:
    """Yield the rows of a Hub set, or of all files that a location means."""
    name = os.fspath(source)
    if not os.path.exists(name) and (hub_set := HubSet.of_name(name)):
        yield from _hub_rows(name, hub_set, names)
        return
    for path in expand_paths([source]):
        default = "jsonl" if str(path) == "-" else None
        yield from _raw_rows(path, names, options, options.format or default or format_of(path))


def _raw_rows(
    path: Location, names: _Names, options: ReadOptions, kind: str
) -> Iterator[Mapping[str, Any] | BadRow]:
    if kind == "parquet":
        yield from _parquet_rows(path, names)
    elif kind == "arrow":
        for batch in arrow_batches(path, FileReport(os.fspath(path))):
            _check_columns(path, batch.schema.names, names)
            yield from _rows_of_batch(batch, names)
    elif kind in ("csv", "tsv"):
        with open_text(path, options.encoding) as stream:
            header, rows = csv_rows(stream, path, options, plain_tabs=kind == "tsv")
            _check_columns(path, header, names)
            for row in rows:
                yield row if isinstance(row, BadRow) else dict(zip(header, row, strict=True))
    elif kind == "jsonl":
        with open_text(path, options.encoding, wait=not is_pipe(path)) as stream:
            yield from json_rows(stream, path, options)
    else:
        raise SpanishTokError(f"{path} has no named columns", "Give Parquet, Arrow, JSON, CSV or TSV.")


def _parquet_rows(path: Location, names: _Names) -> Iterator[Mapping[str, Any]]:
    report = FileReport(os.fspath(path))
    with open_parquet(path, report) as file:
        present = file.schema_arrow.names
        _check_columns(path, present, names)
        chosen = [name for name in names.read if top_column(name, present)]
        groups = list(range(file.metadata.num_row_groups))
        for batch in scan_parquet(path, file, groups, chosen, batch_rows(file, groups, chosen, MOST_BYTES)):
            yield from _rows_of_batch(batch, names)
            report.rows += batch.num_rows


def _rows_of_batch(batch: pa.RecordBatch, names: _Names) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a batch as dictionaries, a few at a time."""
    present = batch.schema.names
    batch = batch.select(
        list(dict.fromkeys(top for name in names.read if (top := top_column(name, present))))
    )
    for first in range(0, batch.num_rows, FEW_ROWS):
        yield from _python_rows(batch.slice(first, FEW_ROWS))


def _python_rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Return the rows of a batch.

    A byte that is not UTF-8 becomes one of U+DC80-DCFF, as in files of text."""
    try:
        rows: list[dict[str, Any]] = batch.to_pylist()
    except UnicodeDecodeError:
        columns = [column.cast(_with_bytes(column.type)).to_pylist() for column in batch.columns]
        rows = [
            dict(zip(batch.schema.names, map(_decoded, row), strict=True))
            for row in zip(*columns, strict=True)
        ]
    return rows


def _with_bytes(kind: pa.DataType) -> pa.DataType:
    """Return a type with binary in place of strings, at any depth."""
    if pa.types.is_dictionary(kind):
        return _with_bytes(kind.value_type)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.large_binary()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.large_list(_with_bytes(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _with_bytes(field.type)) for field in kind])
    return kind


def _decoded(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    if isinstance(value, dict):
        return {name: _decoded(item) for name, item in value.items()}
    return value


def _hub_rows(name: str, hub_set: HubSet, names: _Names) -> Iterator[Mapping[str, Any]]:
    report = FileReport(name)
    with open_hub_set(hub_set, report) as stream:
        for record in stream:
            if not report.rows:
                _check_columns(name, record, names)
            yield record
            report.rows += 1


def _row(row: int, values: Mapping[str, Any] | BadRow, names: _Names, options: ReadOptions) -> Row:
    """Return a row whose values are strings, or one that says why it cannot be used."""
    if isinstance(values, BadRow):
        return Row(row, fault=values.fault)
    strings: dict[str, str] = {}
    lists: dict[str, tuple[str, ...]] = {}
    repaired = False
    for name in names.wanted:
        value = value_of(values, name)
        if name in names.listed:
            value = values.get(f"{name}s") if value is None else value
            if (texts := _texts_of(value)) is not None:
                lists[name], value = texts, texts[0] if texts else ""
        if value is None:
            if name in names.needed:
                return Row(row, fault=f"it has no {name!r}")
        elif not isinstance(value, str | int | float):
            return Row(row, fault=f"its {name!r} is a {type(value).__name__}, not a text")
        elif all(map(is_unicode, [str(value), *lists.get(name, ())])):
            strings[name] = str(value)
        elif options.invalid_utf8 == "repair":
            strings[name], repaired = repaired_text(str(value)), True
            lists |= {name: tuple(map(repaired_text, lists[name]))} if name in lists else {}
        else:
            return Row(row, fault=f"its {name!r} is not valid Unicode")
    return Row(row, strings, lists=lists, repaired=repaired)


def _texts_of(value: Any) -> tuple[str, ...] | None:
    """Return the texts of a list, or of SQuAD's answers; None for any other value.

    >>> _texts_of({"text": ["Lima", "en Lima"], "answer_start": [3, 0]}), _texts_of([{"text": "Lima"}])
    (('Lima', 'en Lima'), ('Lima',))
    """
    if isinstance(value, Mapping) and isinstance(value.get("text"), list):
        value = value["text"]
    if not isinstance(value, list):
        return None
    items = [item.get("text") if isinstance(item, Mapping) else item for item in value]
    texts = tuple(text for text in items if isinstance(text, str))
    return texts if len(texts) == len(items) else None


def _check_columns(source: Location, present: Iterable[str], names: _Names) -> None:
    """Raise SpanishTokError for a needed column that is missing, or there twice.

    Its plural will do where it may be a list.
    """
    present = list(present)
    plurals = {name for name in names.listed if f"{name}s" in present}
    needed = [name for name in names.needed if name not in plurals]
    check_columns(present, needed, source, ADVICE, names.read)
