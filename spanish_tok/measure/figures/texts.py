"""The text that is measured: input up to a limit, or the sentences that ship."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spanish_tok.errors import SpanishTokError
from spanish_tok.files import shipped
from spanish_tok.measure.tables import plain_name
from spanish_tok.progress import SILENT, Bar, Progress
from spanish_tok.readers.inputs import Inputs
from spanish_tok.readers.options import FileReport, tell_lost

SENTENCES = "corpus/bench-es.txt"
MOST_BYTES = 100_000_000


@dataclass(frozen=True)
class TextSummary:
    """Where records come from, and what was read.

    repaired, rejected: rows that were not UTF-8, or malformed. whole: False if reading stopped at the limit.
    """

    name: str
    records: int
    bytes: int
    repaired: int = 0
    rejected: int = 0
    whole: bool = True

    def __str__(self) -> str:
        parts = [f"{self.name}: {self.records:,} records, {self.bytes / 1e6:,.2f} MB of UTF-8"]
        parts += [f"{self.repaired:,} repaired"] * (self.repaired > 0)
        parts += [f"{self.rejected:,} rejected"] * (self.rejected > 0)
        return ", ".join(parts + ["the rest was left out"] * (not self.whole))


@dataclass(frozen=True)
class Texts:
    """Records to measure: a large_string column, one entry a record, no nulls.

    ids: what the readers gave beside each text, if it was asked for.
    """

    source: TextSummary
    column: pa.ChunkedArray
    ids: pa.ChunkedArray | None = None


def texts_of(
    inputs: Inputs | None = None,
    most_bytes: int = MOST_BYTES,
    bar: Bar = SILENT,
    *,
    with_ids: bool = False,
    shown: Progress | None = None,
) -> Texts:
    """Return the records of inputs, at most about `most_bytes` of text.

    Without inputs the sentences that ship. Rows that were repaired or rejected are told to `shown`.

    Raises SpanishTokError if there is no text, a file is binary, or cannot be read.
    """
    if inputs is None:
        lines = shipped(SENTENCES).read_text(encoding="utf-8").splitlines()
        column = pa.chunked_array([pa.array(lines, pa.large_string())])
        return Texts(TextSummary("the sentences that ship", len(lines), size_of(column)), column)
    reports, chunks, ids, size = list[FileReport](), list[pa.LargeStringArray](), list[pa.StringArray](), 0
    for item in inputs.items:
        if size >= most_bytes:
            break
        reports.append(FileReport(item.name))
        for batch in item.read(reports[-1]):
            text = batch.column("text").cast(pa.large_string())
            chunks.append(text)
            ids += [batch.column("id")] * with_ids
            bar.advance(len(text))
            size += size_of(text)
            if size >= most_bytes:
                break
    name = ", ".join(plain_name(report.name) for report in reports[:3]) + ", ..." * (len(reports) > 3)
    if not size:
        raise SpanishTokError(f"{name or 'The input'} holds no text", "Give a file with at least one record.")
    tell_lost(reports, shown or Progress())
    source = TextSummary(
        name=name,
        records=sum(map(len, chunks)),
        bytes=size,
        repaired=sum(report.repaired for report in reports),
        rejected=sum(report.rejected for report in reports),
        whole=len(reports) == len(inputs.items) and reports[-1].complete,
    )
    beside = pa.chunked_array(ids, pa.string()) if with_ids else None
    return Texts(source, pa.chunked_array(chunks, pa.large_string()), beside)


def check_words(normalized: pa.ChunkedArray, name: str) -> None:
    """Raise SpanishTokError where nothing is left of a normalized text.

    As of emoji alone."""
    if not size_of(normalized):
        raise SpanishTokError(f"{name} holds no word once it is normalized", "Give text in Spanish.")


def size_of(column: pa.Array | pa.ChunkedArray) -> int:
    """Return the bytes of UTF-8 of a text column."""
    return int(pc.sum(pc.binary_length(column)).as_py() or 0)


def sampled(
    column: pa.ChunkedArray, most_bytes: int, beside: pa.ChunkedArray | None = None
) -> pa.ChunkedArray:
    """Return records at even distances, about `most_bytes` of them.

    All if they are fewer. With `beside`, the values of that column at the same places.

    >>> sampled(pa.chunked_array([["uno", "dos", "tres", "cuatro"]]), 9).to_pylist()
    ['uno', 'tres']
    """
    step = -(-size_of(column) // most_bytes)
    column = column if beside is None else beside
    if step <= 1:
        return column
    taken, first = [], 0
    for chunk in column.chunks:  # one by one: `take` of them all first makes one array of all of the text
        taken.append(chunk.take(pa.array(np.arange(-first % step, len(chunk), step))))
        first += len(chunk)
    return pa.chunked_array(taken, column.type)
