"""Rows that are malformed or not UTF-8: counted, repaired, rejected or an error."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from spanish_tok.kernels.text import lines as kernels
from spanish_tok.kernels.text.lines import Bytes, Positions
from spanish_tok.kernels.text.utf8 import invalid_rows
from spanish_tok.readers.opening.encoding import repair_utf8
from spanish_tok.readers.options import FileReport, Location, ReadOptions, invalid_row, malformed_row

SCHEMA = pa.schema([("id", pa.string()), ("text", pa.string())])
NO_TAB = "it has no tab after an id"


class Fields(NamedTuple):
    """One block of rows, split into columns by a worker."""

    ids: pa.Array | None  # binary
    texts: pa.Array  # binary
    row_of: NDArray[np.int64]  # the row of the block that entry i comes from: [0, 1, 3] without row 2
    invalid: NDArray[np.bool_] | None  # True for an entry that is not UTF-8; None if all are UTF-8
    rows: int  # of the block, malformed ones included
    size: int  # bytes


def column_of(block: Bytes, begins: Positions, ends: Positions) -> pa.Array:
    """Return the fields block[begins[i]:ends[i]] as an Arrow binary column."""
    offsets = pa.allocate_buffer(4 * (len(begins) + 1))
    data = pa.allocate_buffer(int((ends - begins).sum(dtype=np.int64)))
    kernels.copy_fields(block, begins, ends, np.frombuffer(offsets, np.int32), np.frombuffer(data, np.uint8))
    return pa.Array.from_buffers(pa.binary(), len(begins), [None, offsets, data])


def invalid_in(block: Bytes, *columns: pa.Array | None) -> NDArray[np.bool_] | None:
    """Return which entries are not UTF-8, or None if all are.

    The whole block is tested first, which is much faster.
    """
    whole = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(np.array([0, len(block)], np.int32)), pa.py_buffer(block)]
    )
    try:
        whole.validate(full=True)
    except pa.ArrowInvalid:
        entries = [invalid_entries(column) for column in columns if column is not None]
        return np.asarray(np.any(entries, axis=0))
    return None


def invalid_entries(column: pa.Array) -> NDArray[np.bool_]:
    """Return True for each entry of an Arrow binary column that is not valid UTF-8."""
    if not len(column):
        return np.zeros(0, np.bool_)
    _, offsets, data = column.buffers()
    begins = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
    return np.asarray(invalid_rows(np.frombuffer(data or b"", np.uint8), begins))


def batch_of_fields(
    fields: Fields, path: Location, options: ReadOptions, report: FileReport, *, missing: str = NO_TAB
) -> pa.RecordBatch:
    """Apply the options to split fields, count, and return the batch.

    `missing` is the fault of the rows that have no entry, such as "it has no tab after an id".
    """
    malformed = fields.rows - len(fields.row_of)
    if malformed and options.malformed == "error":
        bad = np.setdiff1d(np.arange(fields.rows), fields.row_of)[0]
        raise malformed_row(path, report.rows + int(bad) + 1, missing)
    report.rejected += malformed
    columns = [fields.ids, fields.texts]
    if fields.invalid is not None and fields.invalid.any():  # else they were in rows without a tab
        first = report.rows + int(fields.row_of[fields.invalid.argmax()]) + 1
        columns = _treat_invalid(columns, fields.invalid, first, path, options, report)
    return batch_of(*(column if column is None else column.view(pa.string()) for column in columns))


def _treat_invalid(
    columns: list[pa.Array | None],
    invalid: NDArray[np.bool_],
    first: int,
    path: Location,
    options: ReadOptions,
    report: FileReport,
) -> list[pa.Array | None]:
    """Return the columns with the entries that are not UTF-8 repaired or dropped.

    `first` is the number of the first such row, for the error."""
    if options.invalid_utf8 == "error":
        raise invalid_row(path, first)
    if options.invalid_utf8 == "reject":
        report.rejected += int(invalid.sum())
        return [column if column is None else column.filter(pa.array(~invalid)) for column in columns]
    report.repaired += int(invalid.sum())
    return [column if column is None else repaired(column, invalid) for column in columns]


def repaired(column: pa.Array, invalid: NDArray[np.bool_]) -> pa.Array:
    """Return an Arrow binary column with the entries where `invalid` is true repaired."""
    mask = pa.array(invalid)
    values = column.filter(mask).to_pylist()
    repaired_values = [value if value is None else repair_utf8(value).encode() for value in values]
    return pc.replace_with_mask(column, mask, pa.array(repaired_values, pa.binary()))


def batch_of(ids: pa.Array | None, texts: pa.Array) -> pa.RecordBatch:
    """Return a batch of (id, text); the ids are null if `ids` is None."""
    ids = pa.nulls(len(texts), pa.string()) if ids is None else ids
    return pa.record_batch([ids, texts], schema=SCHEMA)
