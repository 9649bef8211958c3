"""The exact reader of tab-separated and plain text: over bytes, at memory speed.

Rows end at "\\n" (or "\\r\\n") and nowhere else: not at a bare "\\r", U+2028 or U+0085, where readers of
CSV and `str.splitlines` split. In `tsv` the id ends at the first tab and the text at the end of the row,
further tabs and any quotes included. Where the first row names the columns (`ReadOptions.has_header`), a row has as
many fields, split at every tab; quotes are text there, too.
"""

import codecs
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from spanish_tok.kernels.text import lines as kernels
from spanish_tok.kernels.text.lines import Bytes
from spanish_tok.parallel.threads import map_in_order
from spanish_tok.readers.columns import column_indices
from spanish_tok.readers.opening.buffered import Peeked
from spanish_tok.readers.opening.lines import too_long
from spanish_tok.readers.opening.spool import name_of
from spanish_tok.readers.options import FileReport, Location, ReadOptions
from spanish_tok.readers.streams import open_text
from spanish_tok.readers.validation import Fields, batch_of_fields, column_of, invalid_in

MOST_ROWS = 1 << 18  # of a block: many empty rows take more memory than their bytes
HEADER_BYTES = 1 << 16

Split = Callable[[Bytes], Fields]


def read_tsv(path: Location, options: ReadOptions, report: FileReport) -> Iterator[pa.RecordBatch]:
    """Read rows of id, tab, text; or the columns that the first row names."""
    if not options.has_header:
        with open_text(path, options.encoding, report.offset) as stream:
            yield from _read(stream, partial(_split, has_ids=True), path, options, report)
        return
    with _below_header(path, options, report) as (stream, names):
        columns = column_indices(names, path, options)
        split = partial(_split_columns, columns=columns, width=len(names))
        fault = f"it does not have {len(names)} columns, as the first row has"
        yield from _read(stream, split, path, options, report, fault)


def read_text(path: Location, options: ReadOptions, report: FileReport) -> Iterator[pa.RecordBatch]:
    """Read a text a line; there are no ids."""
    with open_text(path, options.encoding, report.offset) as stream:
        yield from _read(stream, partial(_split, has_ids=False), path, options, report)


def _read(
    stream: io.RawIOBase,
    split: Split,
    path: Location,
    options: ReadOptions,
    report: FileReport,
    fault: str = "it has no tab after an id",
) -> Iterator[pa.RecordBatch]:
    blocks = whole_rows(stream, options, name_of(path), report)
    for fields in map_in_order(split, blocks, options.workers):
        batch = batch_of_fields(fields, path, options, report, missing=fault)
        report.rows += fields.rows
        report.offset += fields.size
        yield batch


@contextmanager
def _below_header(
    path: Location, options: ReadOptions, report: FileReport
) -> Iterator[tuple[Peeked, list[str]]]:
    """Give a stream of the rows that are not read yet, and the names of the columns."""
    with open_text(path, options.encoding) as stream:
        begin = stream.peek(HEADER_BYTES)
        line, newline, _ = begin.partition(b"\n")
        line_of_names = line.removeprefix(codecs.BOM_UTF8).rstrip(b"\r").decode("utf-8", "replace")
        names = line_of_names.split("\t") if begin else []
        after = max(report.offset, len(line) + len(newline))
        report.offset = after
    with open_text(path, options.encoding, after) as stream:
        yield stream, names


def whole_rows(stream: Any, options: ReadOptions, name: str, report: FileReport) -> Iterator[Bytes]:
    """Yield blocks of whole rows as arrays of bytes, each ending with a newline.

    A block has about `block_bytes` and at most MOST_ROWS rows, and at least one row.
    """
    carry = _first_bytes(stream, report)  # the beginning of a row whose end is not read yet
    most, rows = options.max_row_bytes, report.rows
    while True:
        # a long row is read in steps that double, and no further than a row may be
        wanted = max(options.block_bytes, min(len(carry), most + 2 - len(carry)))
        block = np.empty(len(carry) + wanted + 1, np.uint8)
        block[: len(carry)] = carry
        size = len(carry) + _fill(stream, block.data[len(carry) : -1])
        ended = size < len(block) - 1
        if ended and size and block[size - 1] != kernels.NEWLINE:
            report.unterminated = True
            block[size] = kernels.NEWLINE
            size += 1
        cut = kernels.last_newline(block, size) + 1
        carry = block[cut:size].copy() if cut else block[:size]
        parts = list(_parts(block[:cut], rows, most, name))
        rows += sum(part.rows for part in parts)
        del block  # it may be large, and this function waits while others work
        while parts:
            yield parts.pop(0).data
        if ended:
            return
        if len(carry) > most:
            raise too_long(name, f"row {rows + 1:,}", most)


class _Part(NamedTuple):
    data: Bytes
    rows: int


def _parts(block: Bytes, before: int, most: int, name: str) -> Iterator[_Part]:
    """Yield a block in parts of at most MOST_ROWS rows.

    before: rows of the file before it. Raises SpanishTokError for a row of more than `most` bytes.
    """
    ends = np.flatnonzero(block == kernels.NEWLINE) + 1
    if len(block) > most and (longer := np.diff(ends, prepend=0) > most + 1).any():
        raise too_long(name, f"row {before + int(longer.argmax()) + 1:,}", most)
    for first in range(0, len(ends), MOST_ROWS):
        last = min(first + MOST_ROWS, len(ends))
        yield _Part(block[ends[first - 1] if first else 0 : ends[last - 1]], last - first)


def _first_bytes(stream: io.RawIOBase, report: FileReport) -> Bytes:
    """Return the first bytes of a file, without a byte order mark."""
    first = np.empty(0 if report.offset else len(codecs.BOM_UTF8), np.uint8)
    first = first[: _fill(stream, first.data)]
    if first.tobytes() == codecs.BOM_UTF8:
        report.offset = len(first)
        return first[:0]
    return first


def _fill(stream: io.RawIOBase, target: memoryview) -> int:
    """Read until `target` is full or the stream ends; return the number of bytes read."""
    filled = 0
    while filled < len(target):
        size = stream.readinto(target[filled:])
        if not size:
            break
        filled += size
    return filled


def _split(block: Bytes, has_ids: bool) -> Fields:
    """Split a block into fields; done by a worker, nearly all of it without the GIL."""
    starts = kernels.row_starts(block)
    ends = kernels.row_ends(block, starts)
    row_of = np.arange(len(ends))
    ids, begins = None, starts[:-1]
    if has_ids:
        tabs = kernels.first_tabs(block, starts)  # -1 for a row without a tab
        row_of = np.flatnonzero(tabs >= 0)
        ids = column_of(block, begins[row_of], tabs[row_of])
        begins = tabs + 1
    texts = column_of(block, begins[row_of], np.maximum(begins, ends)[row_of])
    return Fields(ids, texts, row_of, invalid_in(block, ids, texts), len(ends), len(block))


def _split_columns(block: Bytes, columns: tuple[int | None, int], width: int) -> Fields:
    """Split a block whose rows have `width` fields.

    `columns` are the indices of ids and texts.

    Positions of the fields' ends, with a tab or at the end of a row, for two rows of three: [[1, 3, 8], [10, 12, 14]].
    """
    starts = kernels.row_starts(block)
    row_ends = kernels.row_ends(block, starts)
    tabs = np.flatnonzero(block == kernels.TAB).astype(np.int32)
    first = np.searchsorted(tabs, starts)  # of the tabs of each row
    row_of = np.flatnonzero(np.diff(first) == width - 1)
    inner = (
        tabs[first[row_of, None] + np.arange(width - 1)]
        if len(tabs)
        else np.empty((len(row_of), 0), np.int32)
    )
    ends = np.column_stack([inner, row_ends[row_of]]).astype(np.int32)
    begins = np.column_stack([starts[row_of], inner + 1]).astype(np.int32)
    ids, texts = (
        None
        if index is None
        else column_of(block, begins[:, index].copy(), np.maximum(begins, ends)[:, index].copy())
        for index in columns
    )
    return Fields(ids, texts, row_of, invalid_in(block, ids, texts), len(row_ends), len(block))
