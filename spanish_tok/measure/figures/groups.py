"""Parity: what the records of each group cost.

Groups are the varieties of Spanish, sources, years.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from spanish_tok.errors import SpanishTokError
from spanish_tok.measure.figures.quality import slices
from spanish_tok.measure.svg import Plot, bars
from spanish_tok.measure.tables import ReportTable, Row
from spanish_tok.tokenization.adapters import TokenizerAdapter

MOST_GROUPS = 100
NORMAL = 1.96  # standard errors to either side hold 95 %
SHOWN = 8  # pieces that one group alone uses
NAMELESS = "(none)"  # the group of records without a value


@dataclass(frozen=True)
class Ratio:
    """A ratio of two sums over records, and the 95 % interval of its sampling error.

    low, high: None for fewer than two records.
    """

    value: float
    low: float | None
    high: float | None

    def __str__(self) -> str:
        interval = "" if self.low is None else f" [{self.low:.4f}, {self.high:.4f}]"
        return f"{self.value:.4f}{interval}"


@dataclass(frozen=True)
class GroupFigures:
    """What the records of one group cost under one vocabulary.

    alone: how many pieces no other group uses. examples: of these, the ones used most.
    """

    group: str
    records: int
    characters: int
    words: int
    tokens: int
    tokens_per_character: Ratio
    tokens_per_word: Ratio
    alone: int
    examples: list[str]


@dataclass(frozen=True)
class Groups:
    """Which group each record belongs to: names, and int64[records] places among them."""

    names: list[str]
    of_record: NDArray[np.int64]


def groups_of(values: pa.ChunkedArray, column: str) -> Groups:
    """Return the groups of a column of values, in order of their names.

    Raises SpanishTokError where it holds no values, or too many different ones.
    """
    if values.null_count == len(values):
        raise SpanishTokError(f"The text has no column {column!r}", "Name a column of the file with --group.")
    encoded = values.fill_null(NAMELESS).combine_chunks().dictionary_encode()
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    names = encoded.dictionary.to_pylist()
    if len(names) > MOST_GROUPS:
        raise SpanishTokError(
            f"The column {column!r} holds {len(names):,} different values",
            f"Group by a column of at most {MOST_GROUPS}.",
        )
    order = np.argsort(np.array(names), kind="stable")
    indices = np.empty(len(names), np.int64)
    indices[order] = np.arange(len(names))
    return Groups([names[index] for index in order], indices[encoded.indices.to_numpy()])


def measure_groups(
    adapter: TokenizerAdapter, normalized: pa.ChunkedArray, groups: Groups
) -> list[GroupFigures]:
    """Measure a vocabulary on the records of each group."""
    used = np.zeros((len(groups.names), adapter.size), np.int64)
    lengths, begin = [], 0
    for part in slices(normalized):
        lists = adapter.encode_column(part)
        lengths.append(pc.list_value_length(lists).to_numpy())
        of_token = np.repeat(groups.of_record[begin : begin + len(part)], lengths[-1])
        begin += len(part)
        cells = np.bincount(of_token * adapter.size + lists.flatten().to_numpy(), minlength=used.size)
        used += cells.reshape(used.shape)
    tokens = np.concatenate(lengths).astype(np.float64)
    characters = pc.utf8_length(normalized).to_numpy().astype(np.float64)
    words = pc.add(pc.count_substring(normalized, " "), pc.cast(pc.not_equal(normalized, ""), pa.int32()))
    columns = (tokens, characters, words.to_numpy().astype(np.float64))
    alone = (used > 0) & ((used > 0).sum(axis=0) == 1)
    return [
        _figures(
            name,
            [column[groups.of_record == group] for column in columns],
            used[group],
            alone[group],
            adapter,
        )
        for group, name in enumerate(groups.names)
    ]


def _figures(
    name: str,
    columns: Sequence[NDArray[np.float64]],
    used: NDArray[np.int64],
    alone: NDArray[np.bool_],
    adapter: TokenizerAdapter,
) -> GroupFigures:
    tokens, characters, words = columns
    its = np.flatnonzero(alone)
    most = its[np.argsort(-used[its], kind="stable")][:SHOWN]
    return GroupFigures(
        group=name,
        records=len(tokens),
        characters=int(characters.sum()),
        words=int(words.sum()),
        tokens=int(tokens.sum()),
        tokens_per_character=ratio_of(tokens, characters),
        tokens_per_word=ratio_of(tokens, words),
        alone=len(its),
        examples=[adapter.pieces[token_id] for token_id in most],
    )


def ratio_of(above: NDArray[np.float64], below: NDArray[np.float64]) -> Ratio:
    """Return sum(above) / sum(below) with its interval; records are what was drawn.

    Cochran 1977, "Sampling Techniques", 6.4: the variance of a ratio is that of the residuals above - ratio * below.

    >>> str(ratio_of(np.array([2.0, 3.0, 4.0, 3.0]), np.array([4.0, 6.0, 7.0, 7.0])))
    '0.5000 [0.4333, 0.5667]'
    """
    total = float(below.sum())
    value = float(above.sum()) / total if total else 0.0
    if len(above) < 2 or not total:
        return Ratio(value, None, None)
    residuals = above - value * below
    error = float(np.sqrt((residuals**2).sum() * len(above) / (len(above) - 1))) / total
    return Ratio(value, value - NORMAL * error, value + NORMAL * error)


def group_table(column: str, vocabularies: Sequence[tuple[str, list[GroupFigures]]]) -> ReportTable:
    """Return the figures of each group, its vocabularies beneath each other."""
    rows: list[Row] = []
    for index, first in enumerate(vocabularies[0][1]):
        for name, groups in vocabularies:
            figures = groups[index]
            ratios = (str(figures.tokens_per_character), str(figures.tokens_per_word))
            counts = (f"{figures.records:,}", f"{figures.characters:,}")
            rows.append(
                (first.group, name, *counts, *ratios, f"{figures.alone:,}", " ".join(figures.examples))
            )
    columns = (
        column, "vocabulary", "records", "characters", "tokens per character", "tokens per word",
        "pieces of it alone", "such as",
    )  # fmt: skip
    note = "Normalized text; in brackets the 95 % interval of a ratio of sums over records."
    return ReportTable(f"By {column}", columns, tuple(rows), note)


def group_plots(column: str, vocabularies: Sequence[tuple[str, list[GroupFigures]]]) -> list[Plot]:
    """Return bars of the tokens per character of each group, one plot a vocabulary."""
    return [
        bars(
            f"Tokens per character by {column}: {name}",
            [
                (figures.group, figures.tokens_per_character.value, str(figures.tokens_per_character))
                for figures in groups
            ],
        )
        for name, groups in vocabularies
    ]
