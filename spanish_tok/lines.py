"""The exact reader of tab-separated and plain text: over bytes, at memory speed.

Rows end at "\\n" (or "\\r\\n") and nowhere else: not at a bare "\\r", U+2028 or U+0085, which readers of
CSV and `str.splitlines` split at. In `tsv` the id goes up to the first tab and the text from there to
the end, further tabs and any quotes included.
"""

import codecs
import io
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from spanish_tok.errors import SpanishTokError
from spanish_tok.kernels import rows as kernels
from spanish_tok.kernels.rows import Bytes, Positions
from spanish_tok.kernels.utf8 import invalid_rows
from spanish_tok.reading import FileReport, Location, ReadOptions, batch_of, invalid_row, malformed_row
from spanish_tok.streams import open_stream
from spanish_tok.threads import map_in_order

LONGEST_BLOCK = 1 << 30  # bytes; Arrow strings count in 31 bits
NO_TAB = "it has no tab after an id"


class Fields(NamedTuple):
    """One block of rows, split: what a worker hands to the reader."""

    ids: pa.Array | None  # binary
    texts: pa.Array  # binary
    places: NDArray[
        np.int64
    ]  # the row of the block that each entry of the columns comes from: [0, 1, 3] without row 2
    invalid: NDArray[np.bool_] | None  # bool for each entry: not UTF-8; or None where all are
    rows: int  # of the block, malformed ones included
    size: int  # bytes


def read_tsv(path: Location, options: ReadOptions, report: FileReport) -> Iterator[pa.RecordBatch]:
    """Read rows of id, tab, text."""
    return _read(path, options, report, has_ids=True)


def read_text(path: Location, options: ReadOptions, report: FileReport) -> Iterator[pa.RecordBatch]:
    """Read a text a line; there are no ids."""
    return _read(path, options, report, has_ids=False)


def _read(
    path: Location, options: ReadOptions, report: FileReport, *, has_ids: bool
) -> Iterator[pa.RecordBatch]:
    with open_stream(path, report.offset) as stream:
        blocks = _blocks(stream, options.block_bytes, path, report)
        for fields in map_in_order(partial(_split, has_ids=has_ids), blocks, options.workers):
            batch = checked(fields, path, options, report)
            report.rows += fields.rows
            report.offset += fields.size
            yield batch


def _blocks(stream: io.RawIOBase, block_bytes: int, path: Location, report: FileReport) -> Iterator[Bytes]:
    """Blocks of whole rows as arrays of bytes, each ending with a newline."""
    carry = _beginning(stream, report)  # of a row whose end was not read yet
    while True:
        block = np.empty(len(carry) + block_bytes + 1, np.uint8)
        block[: len(carry)] = carry
        size = len(carry) + _fill(stream, block.data[len(carry) : -1])
        ended = size < len(block) - 1
        if ended and size and block[size - 1] != kernels.NEWLINE:
            report.unterminated = True
            block[size] = kernels.NEWLINE
            size += 1
        cut = kernels.last_newline(block, size) + 1
        carry = block[cut:size]
        if cut:
            yield block[:cut]
        if ended:
            return
        if len(carry) > LONGEST_BLOCK:
            raise SpanishTokError(f"{path} has a row of more than {LONGEST_BLOCK:,} bytes", "Is it text?")


def _beginning(stream: io.RawIOBase, report: FileReport) -> Bytes:
    """The first bytes of a stream at whose start the report stands, but for a byte order mark."""
    first = np.empty(0 if report.offset else len(codecs.BOM_UTF8), np.uint8)
    first = first[: _fill(stream, first.data)]
    if first.tobytes() == codecs.BOM_UTF8:
        report.offset = len(first)
        return first[:0]
    return first


def _fill(stream: io.RawIOBase, target: memoryview) -> int:
    """Read until `target` is full or the stream ends; return how much was read."""
    filled = 0
    while filled < len(target):
        read = stream.readinto(target[filled:])
        if not read:
            break
        filled += read
    return filled


def _split(block: Bytes, has_ids: bool) -> Fields:
    """Split a block into fields; done by a worker, nearly all of it without the GIL."""
    starts = kernels.row_starts(block)
    ends = kernels.row_ends(block, starts)
    places = np.arange(len(ends))
    ids, begins = None, starts[:-1]
    if has_ids:
        tabs = kernels.first_tabs(block, starts)
        places = np.flatnonzero(tabs >= 0)
        ids = column_of(block, begins[places], tabs[places])
        begins = tabs + 1
    texts = column_of(block, begins[places], np.maximum(begins, ends)[places])
    return Fields(ids, texts, places, _invalid(block, ids, texts), len(ends), len(block))


def column_of(block: Bytes, begins: Positions, ends: Positions) -> pa.Array:
    """The fields block[begins[i]:ends[i]] as an Arrow binary column."""
    offsets = pa.allocate_buffer(4 * (len(begins) + 1))
    data = pa.allocate_buffer(int((ends - begins).sum(dtype=np.int64)))
    kernels.copy_fields(block, begins, ends, np.frombuffer(offsets, np.int32), np.frombuffer(data, np.uint8))
    return pa.Array.from_buffers(pa.binary(), len(begins), [None, offsets, data])


def _invalid(block: Bytes, *columns: pa.Array | None) -> NDArray[np.bool_] | None:
    """Which entries are not UTF-8, or None: the whole block is tested first, which is much faster."""
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
    """True for each entry of an Arrow binary column that is not valid UTF-8."""
    _, offsets, data = column.buffers()
    begins = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
    return np.asarray(invalid_rows(np.frombuffer(data or b"", np.uint8), begins))


def checked(
    fields: Fields, path: Location, options: ReadOptions, report: FileReport, *, missing: str = NO_TAB
) -> pa.RecordBatch:
    """Apply the options to what was split, count, and make the batch; `missing` says why rows are."""
    malformed = fields.rows - len(fields.places)
    if malformed and options.malformed == "error":
        first = np.setdiff1d(np.arange(fields.rows), fields.places)[0]
        raise malformed_row(path, report.rows + int(first) + 1, missing)
    report.rejected += malformed
    columns = [fields.ids, fields.texts]
    if fields.invalid is not None and fields.invalid.any():  # not any: they were in rows without a tab
        place = report.rows + int(fields.places[fields.invalid.argmax()]) + 1
        columns = _settle(columns, fields.invalid, place, path, options, report)
    return batch_of(*(column if column is None else column.view(pa.string()) for column in columns))


def _settle(
    columns: list[pa.Array | None],
    invalid: NDArray[np.bool_],
    first: int,
    path: Location,
    options: ReadOptions,
    report: FileReport,
) -> list[pa.Array | None]:
    """The columns with the rows that are not UTF-8, the first of which is row `first`, mended or left out."""
    if options.invalid_utf8 == "error":
        raise invalid_row(path, first)
    if options.invalid_utf8 == "reject":
        report.rejected += int(invalid.sum())
        return [column if column is None else column.filter(pa.array(~invalid)) for column in columns]
    report.repaired += int(invalid.sum())
    return [column if column is None else repaired(column, invalid) for column in columns]


def repaired(column: pa.Array, invalid: NDArray[np.bool_]) -> pa.Array:
    """An Arrow binary column with the entries where `invalid` is true repaired."""
    mask = pa.array(invalid)
    mended = [repair_utf8(value).encode() for value in column.filter(mask).to_pylist()]
    return pc.replace_with_mask(column, mask, pa.array(mended, pa.binary()))


def repair_utf8(data: bytes) -> str:
    r"""Read bytes that are not all UTF-8: the wrong ones as Windows-1252, a character cut in two as U+FFFD.

    >>> repair_utf8("año".encode() + b" a\xf1o" + b" \xe2\x80"), repair_utf8(b"est\xe1")
    ('año año �', 'está')
    """
    return data.decode("utf-8", "spanish_tok.windows_1252")


def _as_windows_1252(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    wrong = error.object[error.start : error.end]
    cut_off = error.end == len(error.object) and (len(wrong) > 1 or wrong[0] in range(0xC2, 0xE0))
    if cut_off or wrong[0] in b"\x81\x8d\x8f\x90\x9d":  # five bytes that Windows-1252 leaves out
        return "\ufffd", error.end
    return wrong[:1].decode("windows-1252"), error.start + 1


codecs.register_error("spanish_tok.windows_1252", _as_windows_1252)
