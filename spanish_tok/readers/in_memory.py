"""Texts in memory: a list, a generator, an Arrow, pandas or polars column."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spanish_tok.errors import SpanishTokError
from spanish_tok.readers.columns import BATCH_ROWS, is_text, table_batches
from spanish_tok.readers.options import FileReport, ReadOptions


def text_column(texts: Any) -> pa.ChunkedArray:
    """Return texts of any kind as one column of large_string; a None stays null.

    A generator is read to its end: the column holds all texts, one byte a byte of UTF-8.
    Raises SpanishTokError for anything that is not a column of text.
    """
    advice = "Give a list of str, or an Arrow, pandas or polars column of strings."
    if isinstance(texts, str | bytes):
        raise SpanishTokError("texts= is one text, not several", advice)
    if isinstance(texts, Mapping):
        raise SpanishTokError(f"texts= is a {type(texts).__name__}, not a column", advice)
    try:
        if isinstance(texts, pa.Array):
            column = pa.chunked_array([texts])
        elif isinstance(texts, pa.ChunkedArray) or hasattr(texts, "__arrow_c_stream__"):
            column = pa.chunked_array(texts)
        else:
            column = pa.chunked_array(list(_chunks(texts)), pa.large_string())
        if not is_text(column.type):
            raise TypeError(f"{column.type}")
        for chunk in column.chunks:
            chunk.validate(full=True)
        return column.cast(pa.large_string())
    except (TypeError, UnicodeEncodeError, pa.ArrowException) as error:
        raise SpanishTokError(f"texts= holds something that is not text ({error})", advice) from None


def _chunks(texts: Iterable[str | None]) -> Iterator[pa.Array]:
    """Yield texts as arrays of BATCH_ROWS, so that no list of all of them is held."""
    iterator = iter(texts)
    while batch := list(islice(iterator, BATCH_ROWS)):
        yield pa.array(batch, pa.large_string(), from_pandas=True)


def read_texts(texts: pa.ChunkedArray, options: ReadOptions, report: FileReport) -> Iterator[pa.RecordBatch]:
    """Yield texts in memory as batches without ids, from where `report` stands."""
    options = replace(options, id="id", text="text")
    yield from table_batches(pa.table({"text": texts.slice(report.rows)}), report.name, options, report)
    report.complete = True


def sha256_of_texts(texts: pa.ChunkedArray) -> str:
    """Return a SHA-256 of texts that does not depend on how the column is chunked.

    It covers the lengths in bytes (-1 for a null) as int64, then the bytes of all texts.
    """
    lengths, data = hashlib.sha256(), hashlib.sha256()
    for chunk in texts.chunks:
        lengths.update(pc.fill_null(pc.binary_length(chunk), -1).to_numpy().astype("<i8").tobytes())
        chunk = chunk.fill_null("")
        _, offsets, characters = chunk.buffers()
        if len(chunk) and characters is not None:
            begin, end = np.frombuffer(offsets, np.int64)[[chunk.offset, chunk.offset + len(chunk)]]
            data.update(memoryview(characters)[begin:end])
    return hashlib.sha256(lengths.digest() + data.digest()).hexdigest()
