"""The text that is measured: files read within a limit, or the sentences that ship; and even samples of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spanish_tok.errors import SpanishTokError
from spanish_tok.files import shipped
from spanish_tok.progress import SILENT, Bar
from spanish_tok.readers.options import Location, ReadOptions
from spanish_tok.readers.records import ReadReport, expand_folders, read_records
from spanish_tok.text.arrow import bytes_and_offsets

SENTENCES = "corpus/bench-es.txt"
MOST_BYTES = 400_000_000
CONTROLS = [code for code in range(32) if chr(code) not in "\t\n\f\r"]
FEW = 8  # control characters that any text may hold
BINARY_SHARE = 0.01  # of control characters, from which on a file is taken for a binary one


@dataclass(frozen=True)
class TextSummary:
    """Where records come from and what was read: rows that were not UTF-8, rows that were malformed.

    whole: False where reading stopped at the limit.
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
    """Records to measure: a large_string column, one entry a record, no nulls."""

    source: TextSummary
    column: pa.ChunkedArray


def read_texts(
    paths: Sequence[Location] = (),
    options: ReadOptions | None = None,
    most_bytes: int = MOST_BYTES,
    progress: Bar = SILENT,
) -> Texts:
    """The records of files, at most about `most_bytes` of text; without files the sentences that ship.

    Raises SpanishTokError where there is no text, a file is binary, or cannot be read.
    """
    if not paths:
        lines = shipped(SENTENCES).read_text(encoding="utf-8").splitlines()
        column = pa.chunked_array([pa.array(lines, pa.large_string())])
        return Texts(TextSummary("the sentences that ship", len(lines), size_of(column)), column)
    report, chunks, size = ReadReport(), [], 0
    for batch in read_records(paths, options, report):
        text = batch.column("text").cast(pa.large_string())
        _refuse_binary(text, report.files[-1].name)
        chunks.append(text)
        progress.advance(len(text))
        size += size_of(text)
        if size >= most_bytes:
            break
    name = ", ".join(file.name for file in report.files[:3]) + ", ..." * (len(report.files) > 3)
    if not size:
        raise SpanishTokError(f"{name or 'The input'} holds no text", "Give a file with at least one record.")
    source = TextSummary(
        name=name,
        records=sum(map(len, chunks)),
        bytes=size,
        repaired=sum(file.repaired for file in report.files),
        rejected=report.rejected,
        whole=len(report.files) == len(expand_folders(paths)) and report.files[-1].complete,
    )
    return Texts(source, pa.chunked_array(chunks, pa.large_string()))


def _refuse_binary(text: pa.LargeStringArray, name: str) -> None:
    data, offsets = bytes_and_offsets(text)
    start = data[offsets[0] : offsets[-1]][: 1 << 16]
    controls = np.bincount(start, minlength=32)[CONTROLS].sum()
    if controls > max(FEW, BINARY_SHARE * len(start)):
        raise SpanishTokError(
            f"{name} is not text in UTF-8", "A binary file? UTF-16 must be converted first."
        )


def size_of(column: pa.Array | pa.ChunkedArray) -> int:
    """Bytes of UTF-8 of a text column."""
    return int(pc.sum(pc.binary_length(column)).as_py() or 0)


def sampled(column: pa.ChunkedArray, most_bytes: int) -> pa.ChunkedArray:
    """Records at even distances, about `most_bytes` of them; all where they are no more.

    >>> sampled(pa.chunked_array([["uno", "dos", "tres", "cuatro"]]), 9).to_pylist()
    ['uno', 'tres']
    """
    step = -(-size_of(column) // most_bytes)
    return column.take(pa.array(np.arange(0, len(column), step))) if step > 1 else column
