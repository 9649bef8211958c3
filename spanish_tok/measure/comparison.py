"""The figures of `compare`, and how they are shown: verdicts, tables and plots."""

from dataclasses import asdict, dataclass
from typing import Any

from spanish_tok._version import __version__
from spanish_tok.measure.figures.groups import GroupFigures, group_plots, group_table
from spanish_tok.measure.figures.morphemes import MorphemeFigures, morphemes_table
from spanish_tok.measure.figures.quality import Quality
from spanish_tok.measure.figures.texts import TextSummary
from spanish_tok.measure.html import Reported
from spanish_tok.measure.svg import Plot, bars, line
from spanish_tok.measure.tables import Card, Mark, ReportTable, Row, Verdict, percent, with_interval
from spanish_tok.vocab.vocabulary import Vocabulary

MOST_WORDS = 20_000  # most frequent ones, whose pieces are compared


@dataclass(frozen=True)
class Compared:
    """The figures of one vocabulary.

    On the normalized text; and tokens and `<unk>` on the raw text.

    pieces: all that text could become. unreachable: those that no text can reach, None where the library does not
    tell. unused: how many this text does not use. groups: the figures of each group, if there are groups. ratio:
    tokens of the normalized text, it : first; interval: of that, 95 % over texts, None below 200. morphemes: its
    borders against a lexicon, if one was given.
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
    morphemes: MorphemeFigures | None = None


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
        return "spanish-tok compare: " + ", ".join(compared.name for compared in self.vocabularies)

    def verdicts(self) -> list[Verdict]:
        return [_unknown_verdict(self), _fewest_verdict(self)]

    def cards(self) -> list[Card]:
        return [
            Card(compared.name, f"{compared.normalized.tokens_per_word:.3f}", _ratio_of(compared, index))
            for index, compared in enumerate(self.vocabularies)
        ]

    def tables(self) -> list[ReportTable]:
        groups = [group_table(self.group, self._groups())] if self.group else []
        measured = [(one.name, one.morphemes) for one in self.vocabularies if one.morphemes]
        morphemes = [morphemes_table(measured)] if measured else []
        return [
            _normalized_table(self),
            _raw_table(self),
            *groups,
            *morphemes,
            _pieces_table(self),
            _words_table(self),
        ]

    def plots(self) -> list[Plot]:
        return comparison_plots(self) + (group_plots(self.group, self._groups()) if self.group else [])

    def _groups(self) -> list[tuple[str, list[GroupFigures]]]:
        return [(compared.name, compared.groups) for compared in self.vocabularies]

    def live_vocabulary(self) -> Vocabulary:
        return Vocabulary.load(self.live)

    def to_dict(self) -> dict[str, Any]:
        figures = asdict(self)
        del figures["live"]
        for one, written in zip(self.vocabularies, figures["vocabularies"], strict=True):
            if one.morphemes:
                written["morphemes"] |= {
                    name: getattr(one.morphemes, name) for name in ("precision", "recall", "f1")
                }
        return {"spanish_tok": __version__, **figures}


def _ratio_of(figures: Compared, index: int) -> str:
    """Return how many tokens a vocabulary needs beside the first."""
    ratio = (
        f"{with_interval(figures.ratio, figures.interval)} of the first's tokens" if index else "the first"
    )
    return f"tokens a word, {figures.size:,} ids, {ratio}"


def _unknown_verdict(comparison: Comparison) -> Verdict:
    wrong = [
        f"{compared.name} ({compared.normalized.unknown:,})"
        for compared in comparison.vocabularies
        if compared.normalized.unknown
    ]
    answer = f"<unk> occurs in {', '.join(wrong)}." if wrong else "<unk> occurs in none of them."
    rule = "Rule: no <unk> on the normalized text (threshold 0)."
    return Verdict("Do all know the text?", "no" if wrong else "yes", answer, rule)


def _fewest_verdict(comparison: Comparison) -> Verdict:
    """Return which vocabulary needs the fewest tokens, if the texts can tell."""
    first = comparison.vocabularies[0]
    best = min(comparison.vocabularies[1:], key=lambda compared: compared.ratio, default=first)
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
    figures = [
        (compared.name, compared.size, compared.normalized.tokens_per_word)
        for compared in comparison.vocabularies
    ]
    plot = bars("Tokens per word, normalized text", [(name, y, f"{y:.3f}") for name, _, y in figures])
    sizes = {size: ratio for _, size, ratio in figures}
    if len(sizes) < 2:
        return [plot]
    return [line("Tokens per word against vocabulary size", "ids", list(sizes.items())), plot]


def _normalized_table(comparison: Comparison) -> ReportTable:
    rows = list[Row]()
    for compared in comparison.vocabularies:
        quality = compared.normalized
        ratios = [quality.characters_per_token, quality.bytes_per_token, quality.tokens_per_word]
        shares = [
            percent(quality.whole_words),
            percent(quality.coverage),
            f"{quality.renyi:.4f}",
            f"{quality.unknown:,}",
        ]
        figures = [f"{ratio:.3f}" for ratio in ratios] + shares
        beside = with_interval(compared.ratio, compared.interval if rows else None)
        rows.append(
            (compared.name, compared.kind, f"{compared.size:,}", f"{quality.tokens:,}", beside, *figures)
        )
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
            compared.name,
            f"{compared.raw_tokens:,}",
            f"{comparison.raw_bytes / compared.raw_tokens:.3f}",
            f"{compared.raw_tokens / first:.3f}",
            f"{compared.raw_unknown:,}",
        )
        for compared in comparison.vocabularies
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
            compared.name,
            f"{compared.pieces:,}",
            "-" if compared.unreachable is None else f"{len(compared.unreachable):,}",
            " ".join(compared.unreachable or [])[:60],
            f"{compared.unused:,}",
            " ".join(piece for piece, times in compared.normalized.rarest if not times)[:60],
            *([f"{sum(group.alone for group in compared.groups):,}"] if comparison.group else []),
        )
        for compared in comparison.vocabularies
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
    columns = ("word", "times", *(compared.name for compared in comparison.vocabularies))
    rows = tuple((word, f"{count:,}", *cuts) for word, count, cuts in comparison.words)
    note = (
        f"{percent(comparison.differing)} of the running words (of the {MOST_WORDS:,} most frequent)"
        " are not cut alike."
    )
    cuts = tuple(range(2, len(columns)))
    return ReportTable("Words that they cut differently, by frequency", columns, rows, note, cuts)
