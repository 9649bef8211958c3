"""The exact reader of tab-separated and plain text: over bytes, at memory speed.

Rows end at "\\n" (or "\\r\\n") and nowhere else: not at a bare "\\r", U+2028 or U+0085, where readers of
CSV and `str.splitlines` split. In `tsv` the id ends at the first tab and the text at the end of the row,
further tabs and any quotes included.
"""

import codecs
import io
from collections.abc import Iterator
from functools import partial

import numpy as np
import pyarrow as pa

from spanish_tok.errors import SpanishTokError
from spanish_tok.kernels.text import lines as kernels
from spanish_tok.kernels.text.lines import Bytes
from spanish_tok.parallel.threads import map_in_order
from spanish_tok.readers.options import FileReport, Location, ReadOptions
from spanish_tok.readers.streams import open_stream
from spanish_tok.readers.validation import Fields, batch_of_fields, column_of, invalid_in

LONGEST_BLOCK = 1 << 30  # bytes; Arrow strings count in 31 bits


def read_tsv(
    path: Location, options: ReadOptions, report: FileReport, *, has_ids: bool = True
) -> Iterator[pa.RecordBatch]:
    """Read rows of id, tab, text; without `has_ids` rows of text alone."""
    with open_stream(path, report.offset) as stream:
        blocks = _blocks(stream, options.block_bytes, path, report)
        for fields in map_in_order(partial(_split, has_ids=has_ids), blocks, options.workers):
            batch = batch_of_fields(fields, path, options, report)
            report.rows += fields.rows
            report.offset += fields.size
            yield batch


def read_text(path: Location, options: ReadOptions, report: FileReport) -> Iterator[pa.RecordBatch]:
    """Read a text a line; there are no ids."""
    return read_tsv(path, options, report, has_ids=False)


def _blocks(stream: io.RawIOBase, block_bytes: int, path: Location, report: FileReport) -> Iterator[Bytes]:
    """Yield blocks of whole rows as arrays of bytes, each ending with a newline."""
    carry = _first_bytes(stream, report)  # the beginning of a row whose end is not read yet
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
