"""Columns of Arrow tables as batches of (id, text).

They are found by name, checked by type, and cut by rows and bytes.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from spanish_tok.errors import SpanishTokError
from spanish_tok.readers.opening.lines import too_long
from spanish_tok.readers.options import FileReport, Location, ReadOptions
from spanish_tok.readers.validation import Fields, batch_of_fields, invalid_entries

BATCH_ROWS = 8192
COLUMNS_SHOWN = 20  # of a file whose columns a message lists
NAME_IT = "Name the column of texts with --column."
DASHES = (8, 13, 18, 23)  # in the text of a UUID
HEX = np.array([list(b"%02x" % byte) for byte in range(256)], np.uint8)


def table_batches(
    table: pa.Table | pa.RecordBatch, path: Location, options: ReadOptions, report: FileReport
) -> Iterator[pa.RecordBatch]:
    """Yield batches of (id, text) of a table or a batch of any columns.

    Its rows are counted in `report`.

    Null texts are malformed rows. They and invalid UTF-8 are treated as the options say.
    Raises SpanishTokError for a column that is not there, is there twice, or has a type that is not text.
    """
    ids, texts = _chosen(table, path, options)
    table = pa.table({"text": texts} if ids is None else {"id": ids, "text": texts})
    for batch in table.to_batches(BATCH_ROWS):
        for part in _parts(batch, options.block_bytes):
            yield _table_batch(part, path, options, report)


def _table_batch(
    batch: pa.RecordBatch, path: Location, options: ReadOptions, report: FileReport
) -> pa.RecordBatch:
    rows = batch.num_rows
    valid_rows = np.flatnonzero(batch.column("text").is_valid().to_numpy(zero_copy_only=False))
    if len(valid_rows) < rows:
        batch = batch.take(pa.array(valid_rows))
    ids = _id_strings(batch.column("id"), path, options.id) if "id" in batch.schema.names else None
    texts = _binary(batch.column("text"))
    if texts.nbytes > options.max_row_bytes:
        lengths = pc.binary_length(texts).to_numpy(zero_copy_only=False)
        if lengths.max() > options.max_row_bytes:
            row = report.rows + int(valid_rows[lengths.argmax()]) + 1
            raise too_long(str(path), f"row {row:,}", options.max_row_bytes)
    invalid = invalid_entries(texts)
    if ids is not None:
        invalid |= invalid_entries(ids)
    fields = Fields(ids, texts, valid_rows, invalid, rows, 0)
    result = batch_of_fields(fields, path, options, report, missing=f"its {options.text!r} is null")
    report.rows += rows
    return result


def _parts(batch: pa.RecordBatch, most: int) -> Iterator[pa.RecordBatch]:
    """Yield a batch in parts of about `most` bytes of text, at least a row each."""
    texts = batch.column("text")
    if pa.types.is_dictionary(texts.type):
        lengths = pc.binary_length(texts.dictionary).take(texts.indices)
    elif batch.nbytes <= most or pa.types.is_null(texts.type):
        yield batch
        return
    else:
        lengths = pc.binary_length(texts)
    ends = np.cumsum(lengths.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64))
    begin = 0
    while begin < len(ends):
        before = int(ends[begin - 1]) if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, before + most, side="right")))
        yield batch.slice(begin, end - begin)
        begin = end


def _chosen(table: Any, path: Location, options: ReadOptions) -> tuple[Any, Any]:
    """Return the columns of ids, None if there is none, and of texts."""
    names = table.schema.names
    check_columns(names, [options.text], path, NAME_IT, [options.id])
    ids = _column(table, options.id) if top_column(options.id, names) else None
    texts = _column(table, options.text)
    if not is_text(texts.type):
        raise SpanishTokError(f"{path}: its column {options.text!r} holds {texts.type}, not text", NAME_IT)
    return ids, texts


def top_column(name: str, names: Sequence[str]) -> str | None:
    """Return the column that holds a name; None if there is none.

    That is the column itself, or the one of which it is an entry.

    >>> top_column("translation.es", ["id", "translation"]), top_column("text", ["id"])
    ('translation', None)
    """
    if name in names:
        return name
    top, dot, _ = name.partition(".")
    return top if dot and top in names else None


def _column(table: Any, name: str) -> Any:
    """Return a column, or an entry of a column of structs."""
    if name in table.schema.names:
        return table.column(name)
    top, _, rest = name.partition(".")
    column = table.column(top)
    for key in rest.split("."):
        if not pa.types.is_struct(column.type) or column.type.get_field_index(key) < 0:
            raise SpanishTokError(f"The column {top!r} holds {column.type}, without {rest!r}", NAME_IT)
        column = pc.struct_field(column, key)
    return column


def is_text(kind: pa.DataType) -> bool:
    """Return whether a type of Arrow is one of text.

    Those are strings, their bytes, references to them, and nulls alone.
    """
    if pa.types.is_dictionary(kind):
        return is_text(kind.value_type)
    strings = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    bytes_of = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)
    return any(test(kind) for test in (*strings, *bytes_of, pa.types.is_null))


def _binary(column: pa.Array) -> pa.Array:
    """Return a column of text of any type as Arrow binary: the bytes of its strings."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column.cast(pa.binary())


def _id_strings(column: pa.Array, path: Location, name: str) -> pa.Array:
    """Return ids as Arrow binary: the bytes of their strings.

    They may have any type but lists and structs.
    """
    if isinstance(column.type, pa.ExtensionType | pa.BaseExtensionType):
        uuid = column.type.extension_name == "arrow.uuid"
        column = column.storage
        if uuid:
            return _uuid_strings(column)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_floating(column.type):  # NaN is what other libraries write for a missing number
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    try:
        return _binary(column if is_text(column.type) else column.cast(pa.string()))
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        raise SpanishTokError(
            f"{path}: its column {name!r} holds {column.type}, which cannot be an id",
            "Give ids that are texts or numbers, or rename the column: then the records have no ids.",
        ) from None


def _uuid_strings(column: pa.Array) -> pa.Array:
    """Return UUIDs in their usual form, such as 123e4567-e89b-12d3-a456-426614174000."""
    count = len(column)
    filled = column.fill_null(bytes(16)).cast(pa.binary())
    data = np.frombuffer(b"".join(filled.to_pylist()), np.uint8).reshape(count, 16)
    text: NDArray[np.uint8] = np.full((count, 36), ord("-"), np.uint8)
    text[:, [position for position in range(36) if position not in DASHES]] = HEX[data].reshape(count, 32)
    strings = pa.array([bytes(row) for row in text], pa.binary())
    return pc.if_else(column.is_valid(), strings, pa.scalar(None, pa.binary()))


def column_indices(names: Sequence[str], path: Location, options: ReadOptions) -> tuple[int | None, int]:
    """Return the indices of the columns of ids, None if there is none, and of texts.

    Raises SpanishTokError for a column that is not there, or there twice.
    """
    check_columns(names, [options.text], path, NAME_IT, [options.id])
    return (names.index(options.id) if options.id in names else None), names.index(options.text)


def check_columns(
    names: Sequence[str], needed: Iterable[str], path: Location, advice: str, optional: Iterable[str] = ()
) -> None:
    """Raise SpanishTokError for a column that is missing, or there twice."""
    if not names:
        raise SpanishTokError(
            f"{path} is empty: it names no columns", "Give a file with at least one record."
        )
    needed = list(needed)
    shown = ", ".join(repr(name[:60]) for name in names[:COLUMNS_SHOWN]) + ", ..." * (
        len(names) > COLUMNS_SHOWN
    )
    for name in needed:
        if top_column(name, names) is None:
            if len(names) == 1 and (other := next((sign for sign in ";\t|" if sign in names[0]), None)):
                advice = f"Are columns separated by {other!r}? Give --delimiter."
            raise SpanishTokError(f"{path} has no column {name!r}; its columns are {shown}", advice)
    for name in (*needed, *optional):
        if names.count(name) > 1:
            raise SpanishTokError(
                f"{path} has {names.count(name)} columns {name!r}", "Rename all but one of them."
            )
