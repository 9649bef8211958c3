"""The verb `compare`: vocabularies side by side on the same text.

Each is used in its own library.
"""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from spanish_tok._version import __version__
from spanish_tok.errors import SpanishTokError
from spanish_tok.files.outputs import as_list, check_new_file
from spanish_tok.measure.groups import (
    GroupFigures,
    Groups,
    group_plots,
    group_table,
    groups_of,
    measure_groups,
)
from spanish_tok.measure.html import Reported
from spanish_tok.measure.quality import (
    Counted,
    Quality,
    count_ids,
    measure_quality,
    ratio_interval,
    word_counts,
)
from spanish_tok.measure.svg import Plot, bars, line
from spanish_tok.measure.tables import (
    Card,
    Mark,
    ReportTable,
    Row,
    Verdict,
    percent,
    plain_name,
    with_interval,
)
from spanish_tok.measure.texts import Texts, TextSummary, check_words, sampled, size_of, texts_of
from spanish_tok.progress import ProgressOption, progress_of
from spanish_tok.readers.inputs import InputOption, inputs_of
from spanish_tok.readers.options import Location, ReadOptions
from spanish_tok.text.packed_table import normalize_column
from spanish_tok.tokenization.adapters import TokenizerAdapter
from spanish_tok.tokenization.libraries import load_adapter
from spanish_tok.vocab.audit import unreachable_pieces
from spanish_tok.vocab.vocabulary import Vocabulary

MOST_WORDS = 20_000  # most frequent ones, whose pieces are compared
SHOWN = 40


@dataclass(frozen=True)
class Compared:
    """The figures of one vocabulary.

    On the normalized text; and tokens and `<unk>` on the raw text.

    pieces: all that text could become. unreachable: those that no text can reach, None where the library does not
    tell. unused: how many this text does not use. groups: the figures of each group, if there are groups. ratio:
    tokens of the normalized text, it : first; interval: of that, 95 % over texts, None below 200.
    """

    name: str
    kind: str
    size: int
    normalized: Quality
    raw_tokens: int
    raw_unknown: int
    pieces: int
    unreachable: list[str] | None
    unused: int
    groups: list[GroupFigures]
    ratio: float = 1.0
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Comparison(Reported):
    """All vocabularies on one text.

    raw_bytes: of the text as it was given. differing: share of running words that are not cut alike by all.
    words: those that are cut differently, by frequency: (word, times, pieces of each vocabulary).
    group: the column that records are grouped by, "" for none.
    live: the folder whose vocabulary the page's box uses, None for the shipped one.
    """

    source: TextSummary
    records: int
    raw_bytes: int
    vocabularies: list[Compared]
    differing: float
    words: list[tuple[str, int, list[str]]]
    group: str = ""
    live: str | None = None

    def title(self) -> str:
        return "spanish-tok compare: " + ", ".join(one.name for one in self.vocabularies)

    def verdicts(self) -> list[Verdict]:
        return [_unknown_verdict(self), _fewest_verdict(self)]

    def cards(self) -> list[Card]:
        return [
            Card(one.name, f"{one.normalized.tokens_per_word:.3f}", _ratio_of(one, place))
            for place, one in enumerate(self.vocabularies)
        ]

    def tables(self) -> list[ReportTable]:
        groups = [group_table(self.group, self._groups())] if self.group else []
        return [_normalized_table(self), _raw_table(self), *groups, _pieces_table(self), _words_table(self)]

    def plots(self) -> list[Plot]:
        return comparison_plots(self) + (group_plots(self.group, self._groups()) if self.group else [])

    def _groups(self) -> list[tuple[str, list[GroupFigures]]]:
        return [(one.name, one.groups) for one in self.vocabularies]

    def live_vocabulary(self) -> Vocabulary:
        return Vocabulary.load(self.live)

    def to_dict(self) -> dict[str, Any]:
        figures = asdict(self)
        del figures["live"]
        return {"spanish_tok": __version__, **figures}


def compare(
    vocabularies: Location | Sequence[Location | None],
    input: InputOption = None,  # noqa: A002
    output: Location | None = None,
    *,
    texts: Any = None,
    group: str = "",
    reading: ReadOptions | None = None,
    megabytes: float = 16,
    progress: ProgressOption = None,
    force: bool = False,
) -> Comparison:
    """Compare vocabularies on an even sample of text.

    By default of the sentences that ship.

    vocabularies: folders or files, ours, any spiece.model, any tokenizer.json; None is the shipped one, which a single
    one is compared with. input, texts: what to read, as for `count`; at most `megabytes` of it are compared. group: a
    column of the files, such as a variety of Spanish: what each of its groups costs is shown too. output: a file for
    the report (.html) or the figures (.json); `force` replaces one.

    Every library gets the text twice: as this package normalizes it, the same characters for all, and as it was
    given, where each normalizes by itself. Raises SpanishTokError for what cannot be loaded or read.
    """
    check_new_file(output, as_list(input), force=force)
    given = [vocabularies] if isinstance(vocabularies, str | os.PathLike) else list(vocabularies)
    if not given:
        raise SpanishTokError("There is nothing to compare", "Give two vocabularies or more.")
    paths = [path if path is None else Path(path) for path in (given if len(given) > 1 else [None, *given])]
    adapters = [load_adapter(path) for path in paths]
    inputs = None if input is None and texts is None else inputs_of(input, _by(group, reading), texts=texts)
    display = progress_of(progress)
    with display.phase("comparing", len(adapters)) as bar:
        bar.note("reading")
        text, most = texts_of(inputs, with_ids=bool(group), shown=display), int(megabytes * 1_000_000)
        raw = sampled(text.column, most)
        groups = groups_of(sampled(text.column, most, _values(text)), group) if group else None
        normalized = normalize_column(raw)
        check_words(normalized, text.source.name)
        words = word_counts(normalized)
        compared, first = list[Compared](), None
        for adapter in adapters:
            bar.note(adapter.name)
            counted = count_ids(adapter, normalized)
            first = counted[2] if first is None else first
            compared.append(_compared(adapter, raw, normalized, words, groups, counted, first))
            bar.advance()
    differing, shown = cut_differently(adapters, words.slice(0, MOST_WORDS))
    live = next((str(path) for path in paths if path and (path / "manifest.json").exists()), None)
    result = Comparison(text.source, len(raw), size_of(raw), compared, differing, shown, group, live)
    if output is not None:
        result.write(output)
    return result


def _by(group: str, reading: ReadOptions | None) -> ReadOptions | None:
    """Return how files are read so that the group of each record is its id."""
    return replace(reading or ReadOptions(), id=group) if group else reading


def _values(text: Texts) -> pa.ChunkedArray:
    """Return the group of each record, null where it has none."""
    return text.ids if text.ids is not None else pa.chunked_array([pa.nulls(len(text.column), pa.string())])


def unreachable_in(adapter: TokenizerAdapter) -> list[str] | None:
    """Return the pieces that no text can reach; None where no scores are known."""
    unigram = adapter.find_unigram()
    return unreachable_pieces(unigram) if unigram else None


def _compared(
    adapter: TokenizerAdapter,
    raw: pa.ChunkedArray,
    normalized: pa.ChunkedArray,
    words: pa.Table,
    groups: Groups | None,
    counted: Counted,
    first: NDArray[np.int64],
) -> Compared:
    counts, _, _ = count_ids(adapter, raw)
    tokens = counted[2]
    quality = measure_quality(adapter, normalized, normalized, words, counted)
    return Compared(
        name=plain_name(adapter.name),
        kind=adapter.kind,
        size=adapter.size,
        normalized=quality,
        raw_tokens=int(counts.sum()),
        raw_unknown=int(counts[adapter.unknown]) if adapter.unknown is not None else 0,
        pieces=adapter.ordinary,
        unreachable=unreachable_in(adapter),
        unused=round(adapter.ordinary * (1 - quality.coverage)),
        groups=measure_groups(adapter, normalized, groups) if groups else [],
        ratio=float(tokens.sum() / max(1, first.sum())),
        interval=ratio_interval(tokens, first),
    )


def cut_differently(
    adapters: Sequence[TokenizerAdapter], words: pa.Table
) -> tuple[float, list[tuple[str, int, list[str]]]]:
    """Return the share of running words that are not cut alike, and such words.

    The words are the most frequent ones.
    """
    differing, shown = 0, []
    counts = words["count"].to_pylist()
    for word, count in zip(words["word"].to_pylist(), counts, strict=True):
        cuts = [" ".join(adapter.cut(word)) for adapter in adapters]
        if len(set(cuts)) > 1:
            differing += count
            shown.append((word, count, cuts))
    return differing / max(1, sum(counts)), shown[:SHOWN]


def _ratio_of(one: Compared, place: int) -> str:
    """Return how many tokens a vocabulary needs beside the first."""
    if place == 0:
        return f"tokens a word, {one.size:,} ids, the first"
    return f"tokens a word, {one.size:,} ids, {with_interval(one.ratio, one.interval)} of the first's tokens"


def _unknown_verdict(comparison: Comparison) -> Verdict:
    wrong = [
        f"{one.name} ({one.normalized.unknown:,})"
        for one in comparison.vocabularies
        if one.normalized.unknown
    ]
    answer = f"<unk> occurs in {', '.join(wrong)}." if wrong else "<unk> occurs in none of them."
    rule = "Rule: no <unk> on the normalized text (threshold 0)."
    return Verdict("Do all know the text?", "no" if wrong else "yes", answer, rule)


def _fewest_verdict(comparison: Comparison) -> Verdict:
    """Return which vocabulary needs the fewest tokens, if the texts can tell."""
    first = comparison.vocabularies[0]
    best = min(comparison.vocabularies[1:], key=lambda one: one.ratio, default=first)
    rule = (
        "Rule: fewer tokens than the first, by the whole 95 % interval over texts (all of it below 1), on the"
        " normalized text. More ids give fewer tokens: compare like with like."
    )
    answer = f"{best.name} needs {with_interval(best.ratio, best.interval)} of the tokens of {first.name}."
    if best.interval is None:
        return Verdict("Is another better than the first?", "unsure", f"{answer} Too few texts.", rule)
    low, high = best.interval
    mark: Mark = "yes" if high < 1 else "no" if low >= 1 else "unsure"
    return Verdict("Is another better than the first?", mark, answer, rule)


def comparison_plots(comparison: Comparison) -> list[Plot]:
    """Return plots of the tokens per word, and of those against vocabulary size."""
    figures = [(one.name, one.size, one.normalized.tokens_per_word) for one in comparison.vocabularies]
    plot = bars("Tokens per word, normalized text", [(name, y, f"{y:.3f}") for name, _, y in figures])
    sizes = {size: ratio for _, size, ratio in figures}
    if len(sizes) < 2:
        return [plot]
    return [line("Tokens per word against vocabulary size", "ids", list(sizes.items())), plot]


def _normalized_table(comparison: Comparison) -> ReportTable:
    rows = list[Row]()
    for one in comparison.vocabularies:
        q = one.normalized
        ratios = [q.characters_per_token, q.bytes_per_token, q.tokens_per_word]
        shares = [percent(q.whole_words), percent(q.coverage), f"{q.renyi:.4f}", f"{q.unknown:,}"]
        figures = [f"{ratio:.3f}" for ratio in ratios] + shares
        beside = with_interval(one.ratio, one.interval if rows else None)
        rows.append((one.name, one.kind, f"{one.size:,}", f"{q.tokens:,}", beside, *figures))
    columns = (
        "vocabulary", "library", "ids", "tokens", "it : first", "characters per token", "bytes per token",
        "tokens per word", "words in one piece", "pieces that occur", "Rényi efficiency", "<unk>",
    )  # fmt: skip
    note = (
        f"{comparison.records:,} records of {comparison.source}; normalized by this package,"
        " the same characters for all."
    )
    return ReportTable("On the normalized text", columns, tuple(rows), note)


def _raw_table(comparison: Comparison) -> ReportTable:
    first = comparison.vocabularies[0].raw_tokens
    rows = tuple(
        (
            one.name,
            f"{one.raw_tokens:,}",
            f"{comparison.raw_bytes / one.raw_tokens:.3f}",
            f"{one.raw_tokens / first:.3f}",
            f"{one.raw_unknown:,}",
        )
        for one in comparison.vocabularies
    )
    columns = ("vocabulary", "tokens", "bytes per token", "tokens, it : first", "<unk>")
    note = (
        f"{comparison.raw_bytes / 1e6:,.2f} MB as given: each normalizes by itself; one that keeps case and signs "
        "that others drop says more with its tokens."
    )
    return ReportTable("On the raw text", columns, rows, note)


def _pieces_table(comparison: Comparison) -> ReportTable:
    rows = tuple(
        (
            one.name,
            f"{one.pieces:,}",
            "-" if one.unreachable is None else f"{len(one.unreachable):,}",
            " ".join(one.unreachable or [])[:60],
            f"{one.unused:,}",
            " ".join(piece for piece, times in one.normalized.rarest if not times)[:60],
            *([f"{sum(group.alone for group in one.groups):,}"] if comparison.group else []),
        )
        for one in comparison.vocabularies
    )
    columns = (
        "vocabulary",
        "pieces",
        "that no text can reach",
        "these",
        "that this text does not use",
        "such as",
        *(["used in one group alone"] if comparison.group else []),
    )
    note = "No text reaches a piece where other pieces over its characters always score higher."
    return ReportTable("Pieces", columns, rows, note)


def _words_table(comparison: Comparison) -> ReportTable:
    columns = ("word", "times", *(one.name for one in comparison.vocabularies))
    rows = tuple((word, f"{count:,}", *cuts) for word, count, cuts in comparison.words)
    note = (
        f"{percent(comparison.differing)} of the running words (of the {MOST_WORDS:,} most frequent)"
        " are not cut alike."
    )
    cuts = tuple(range(2, len(columns)))
    return ReportTable("Words that they cut differently, by frequency", columns, rows, note, cuts)
