"""Vocabularies side by side, each through its own library, on the same text: figures that mean the same."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from spanish_tok._version import __version__
from spanish_tok.errors import SpanishTokError
from spanish_tok.measure.quality import Quality, count_ids, measure_quality, word_counts
from spanish_tok.measure.tables import ReportTable, percent
from spanish_tok.measure.texts import TextSummary, read_texts, sampled, size_of
from spanish_tok.progress import SILENT, Bar
from spanish_tok.readers.options import Location, ReadOptions
from spanish_tok.text.packed_table import normalize_column
from spanish_tok.tokenization.adapters import Segmenter, load_segmenter

SAMPLE_BYTES = 16_000_000
MOST_WORDS = 20_000  # most frequent ones, whose pieces are compared
SHOWN = 40


@dataclass(frozen=True)
class Compared:
    """One vocabulary: its figures on the normalized text, and tokens and `<unk>` on the text as it was given."""

    name: str
    kind: str
    size: int
    normalized: Quality
    raw_tokens: int
    raw_unknown: int


@dataclass(frozen=True)
class Comparison:
    """All vocabularies on one text; `words` are those that they cut differently: (word, times, pieces of each).

    raw_bytes: of the text as it was given. differing: share of running words that are not cut alike by all.
    """

    source: TextSummary
    records: int
    raw_bytes: int
    vocabularies: list[Compared]
    differing: float
    words: list[tuple[str, int, list[str]]]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"spanish_tok": __version__, **asdict(self)}


def compare(
    paths: Sequence[Path | None],
    files: Sequence[Location] = (),
    options: ReadOptions | None = None,
    sample_bytes: int = SAMPLE_BYTES,
    progress: Bar = SILENT,
) -> Comparison:
    """Compare vocabularies (see `load_segmenter`) on an even sample of files, or on the sentences that ship.

    Every library gets the text once as this package normalizes it, the same characters for all, and once as it
    was given, where each normalizes by itself. Raises SpanishTokError for what cannot be loaded or read.
    """
    if len(paths) < 2:
        raise SpanishTokError("There is nothing to compare", "Give two vocabularies or more.")
    segmenters = [load_segmenter(path) for path in paths]
    progress.note("reading")
    texts = read_texts(files, options)
    raw = sampled(texts.column, sample_bytes)
    normalized = normalize_column(raw)
    words = word_counts(normalized)
    compared = []
    for segmenter in segmenters:
        progress.note(segmenter.name)
        compared.append(_compared(segmenter, raw, normalized, words))
        progress.advance()
    differing, shown = cut_differently(segmenters, words.slice(0, MOST_WORDS))
    return Comparison(texts.source, len(raw), size_of(raw), compared, differing, shown)


def _compared(
    segmenter: Segmenter, raw: pa.ChunkedArray, normalized: pa.ChunkedArray, words: pa.Table
) -> Compared:
    counts, _ = count_ids(segmenter, raw)
    return Compared(
        name=segmenter.name,
        kind=segmenter.kind,
        size=segmenter.size,
        normalized=measure_quality(segmenter, normalized, normalized, words),
        raw_tokens=int(counts.sum()),
        raw_unknown=int(counts[segmenter.unknown]) if segmenter.unknown is not None else 0,
    )


def cut_differently(
    segmenters: Sequence[Segmenter], words: pa.Table
) -> tuple[float, list[tuple[str, int, list[str]]]]:
    """(share of running words that are not cut alike, the most frequent ones: word, times, pieces of each)."""
    differing, shown = 0, []
    counts = words["count"].to_pylist()
    for word, count in zip(words["word"].to_pylist(), counts, strict=True):
        cuts = [" ".join(segmenter.cut(word)) for segmenter in segmenters]
        if len(set(cuts)) > 1:
            differing += count
            shown.append((word, count, cuts))
    return differing / max(1, sum(counts)), shown[:SHOWN]


def comparison_tables(found: Comparison) -> list[ReportTable]:
    """All tables of a comparison, in the order of reading."""
    return [_normalized_table(found), _raw_table(found), _words_table(found)]


def _normalized_table(found: Comparison) -> ReportTable:
    rows = []
    for one in found.vocabularies:
        q = one.normalized
        ratios = [q.characters_per_token, q.bytes_per_token, q.tokens_per_word]
        shares = [percent(q.whole_words), percent(q.coverage), f"{q.renyi:.4f}", f"{q.unknown:,}"]
        figures = [f"{ratio:.3f}" for ratio in ratios] + shares
        rows.append((one.name, one.kind, f"{one.size:,}", f"{q.tokens:,}", *figures))
    columns = (
        "vocabulary", "library", "ids", "tokens", "characters per token", "bytes per token", "tokens per word",
        "words in one piece", "pieces that occur", "Rényi efficiency", "<unk>",
    )  # fmt: skip
    note = f"{found.records:,} records of {found.source}; normalized by this package, the same characters for all."
    return ReportTable("On the normalized text", columns, tuple(rows), note)


def _raw_table(found: Comparison) -> ReportTable:
    first = found.vocabularies[0].raw_tokens
    rows = tuple(
        (
            one.name,
            f"{one.raw_tokens:,}",
            f"{found.raw_bytes / one.raw_tokens:.3f}",
            f"{one.raw_tokens / first:.3f}",
            f"{one.raw_unknown:,}",
        )
        for one in found.vocabularies
    )
    columns = ("vocabulary", "tokens", "bytes per token", "tokens, it : first", "<unk>")
    note = (
        f"{found.raw_bytes / 1e6:,.2f} MB as given: each normalizes by itself; one that keeps case and signs "
        "that others drop says more with its tokens."
    )
    return ReportTable("On the raw text", columns, rows, note)


def _words_table(found: Comparison) -> ReportTable:
    columns = ("word", "times", *(one.name for one in found.vocabularies))
    rows = tuple((word, f"{count:,}", *cuts) for word, count, cuts in found.words)
    note = f"{percent(found.differing)} of the running words (of the {MOST_WORDS:,} most frequent) are not cut alike."
    return ReportTable("Words that they cut differently, by frequency", columns, rows, note)
