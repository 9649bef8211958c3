"""How well a vocabulary fits a text.

Compression, words that stay whole, balance of the pieces' frequencies.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from spanish_tok.measure.figures.texts import size_of
from spanish_tok.text.alphabet import OTHERS
from spanish_tok.tokenization.adapters import TokenizerAdapter

ALPHA = 2.5
SLICE = 4_000_000  # bytes of text that are encoded at a time
SHOWN = 20
FEWEST_TEXTS = 200  # below, no interval: so few texts say little of others
DRAWS, SEED, MOST_GROUPS = 1000, 1, 10_000  # of the bootstrap
QUANTILES = (0, 5, 25, 50, 75, 95, 99, 100)
Counted = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]  # what count_ids returns
WORDS = pa.schema([("word", pa.large_string()), ("count", pa.int64())])


@dataclass(frozen=True)
class Quality:
    """Figures of one vocabulary on one text.

    "Characters" and "words" are those of the normalized text.

    words: what stands between spaces. unknown: `<unk>`. coverage: share of ordinary ids that occur.
    whole_words: share of running words, without the punctuation around them, that are one piece.
    renyi: see `renyi_efficiency`. lengths: tokens a record -> records. piece_lengths: characters of a piece ->
    tokens. quantiles: of the tokens a record, at QUANTILES percent. split_words: the most frequent words that
    are cut, with count and pieces. longest, rarest: pieces and how often they occur. interval: of the tokens per word,
    95 %, by `ratio_interval`.
    """

    records: int
    bytes: int
    characters: int
    words: int
    tokens: int
    unknown: int
    whole_words: float
    coverage: float
    renyi: float
    quantiles: list[int]
    lengths: dict[int, int]
    piece_lengths: dict[int, int]
    split_words: list[tuple[str, int, str]]
    longest: list[tuple[str, int]]
    rarest: list[tuple[str, int]]
    interval: tuple[float, float] | None = None

    @property
    def characters_per_token(self) -> float:
        return self.characters / self.tokens

    @property
    def bytes_per_token(self) -> float:
        return self.bytes / self.tokens

    @property
    def tokens_per_word(self) -> float:
        return self.tokens / self.words


def measure_quality(
    adapter: TokenizerAdapter,
    texts: pa.ChunkedArray,
    normalized: pa.ChunkedArray,
    words: pa.Table,
    counted: Counted | None = None,
) -> Quality:
    """Measure a vocabulary on `texts`.

    `normalized` are the same records, `words` is `word_counts` of these, `counted` is `count_ids` of the texts.
    """
    counts, lengths, tokens = counted or count_ids(adapter, texts)
    ordinary = np.array([token_id for token_id in range(adapter.size) if token_id not in adapter.special])
    whole, split = split_words(adapter, words)
    sizes = np.array([len(piece) for piece in adapter.pieces], np.int64)
    used = counts[ordinary]
    by_length = ordinary[np.lexsort((ordinary, -sizes[ordinary]))][:SHOWN]
    by_count = ordinary[np.lexsort((-ordinary, used))][:SHOWN]
    repeated = np.repeat(np.arange(len(lengths)), lengths)
    return Quality(
        records=len(texts),
        bytes=size_of(texts),
        characters=int(pc.sum(pc.utf8_length(normalized)).as_py() or 0),
        words=int(spaced_words(normalized).sum()),
        tokens=int(counts.sum()),
        unknown=int(counts[adapter.unknown]) if adapter.unknown is not None else 0,
        whole_words=whole,
        coverage=float((used > 0).mean()),
        renyi=renyi_efficiency(counts, adapter.ordinary),
        quantiles=[int(q) for q in np.percentile(repeated, QUANTILES, method="lower")],
        lengths={int(k): int(lengths[k]) for k in np.flatnonzero(lengths)},
        piece_lengths=_sums(sizes, counts),
        split_words=split,
        longest=[(adapter.pieces[token_id], int(counts[token_id])) for token_id in by_length],
        rarest=[(adapter.pieces[token_id], int(counts[token_id])) for token_id in by_count],
        interval=ratio_interval(tokens, spaced_words(normalized)),
    )


def spaced_words(normalized: pa.ChunkedArray) -> NDArray[np.int64]:
    """Return the words of each normalized record, int64.

    Spaces and one more for each record that is not empty: there are no double spaces.
    """
    spaces = pc.count_substring(normalized, " ").to_numpy().astype(np.int64)
    return np.asarray(spaces + pc.not_equal(normalized, "").to_numpy())


def ratio_interval(over: NDArray[np.int64], under: NDArray[np.int64]) -> tuple[float, float] | None:
    """Return the 95 % interval of sum(over) / sum(under), by resampling texts.

    None below FEWEST_TEXTS texts. The draws are the same for the same texts (percentile bootstrap, Efron 1979).

    >>> ratio_interval(np.arange(1, 5), np.arange(1, 5)) is None
    True
    >>> ratio_interval(np.full(300, 3), np.full(300, 2))
    (1.5, 1.5)
    """
    if len(over) < FEWEST_TEXTS:
        return None
    over, under = (_grouped(values) for values in (over, under))
    random, texts = np.random.default_rng(SEED), len(over)
    ratios = list[float]()
    for _ in range(DRAWS):
        times = np.bincount(random.integers(0, texts, texts), minlength=texts)
        ratios.append(int(times @ over) / max(1, int(times @ under)))
    low, high = np.percentile(ratios, [2.5, 97.5])
    return float(low), float(high)


def _grouped(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return sums of every k-th value, at most MOST_GROUPS, so that a draw is quick."""
    step = -(-len(values) // MOST_GROUPS)
    padded = np.concatenate([values, np.zeros(-len(values) % step, np.int64)])
    return np.asarray(padded.reshape(step, -1).sum(axis=0))


def slices(column: pa.ChunkedArray) -> Iterator[pa.LargeStringArray]:
    """Return a column in arrays of about SLICE bytes."""
    rows = max(1, len(column) * SLICE // max(1, size_of(column)))
    for start in range(0, len(column), rows):
        part = column.slice(start, rows).combine_chunks()
        yield part.combine_chunks() if isinstance(part, pa.ChunkedArray) else part


def count_ids(adapter: TokenizerAdapter, texts: pa.ChunkedArray) -> Counted:
    """Return how often each id and each length occur, and the tokens of each.

    All are int64 arrays.
    """
    counts = np.zeros(adapter.size, np.int64)
    lengths = np.zeros(1, np.int64)
    tokens = [np.zeros(0, np.int64)]
    for part in slices(texts):
        lists = adapter.encode_column(part)
        counts += np.bincount(lists.flatten().to_numpy(), minlength=adapter.size)
        tokens.append(pc.list_value_length(lists).to_numpy().astype(np.int64))
        lengths = _added(lengths, np.bincount(tokens[-1]))
    return counts, lengths, np.concatenate(tokens)


def _added(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    total = np.zeros(max(len(a), len(b)), np.int64)
    total[: len(a)] += a
    total[: len(b)] += b
    return total


def _sums(keys: NDArray[np.int64], values: NDArray[np.int64]) -> dict[int, int]:
    return {int(key): int(total) for key in np.unique(keys) if (total := values[keys == key].sum())}


def renyi_efficiency(counts: NDArray[np.int64], size: int, alpha: float = ALPHA) -> float:
    """Return the Rényi entropy of the pieces over the most that there could be.

    From 0 to 1, for `size` pieces.

    Zouhar et al. 2023, "Tokenization and the Noiseless Channel": H_a = log(sum p^a) / (1 - a), over log(size).
    Equal to the package tokenization-scorer with `vocab=size`.

    >>> round(renyi_efficiency(np.array([5, 5, 5, 5]), 4), 6), renyi_efficiency(np.array([9, 0]), 2)
    (1.0, 0.0)
    """
    p = counts[counts > 0] / counts.sum()
    return abs(float(np.log((p**alpha).sum()) / (1 - alpha) / np.log(size)))


def word_counts(normalized: pa.ChunkedArray) -> pa.Table:
    """Return the distinct words of normalized text and their counts.

    The most frequent come first.

    A word is what stands between spaces, without the punctuation around it.

    >>> word_counts(pa.chunked_array([["¿sí? no; sí.", ""]])).to_pylist()
    [{'word': 'sí', 'count': 2}, {'word': 'no', 'count': 1}]
    """
    tables = [WORDS.empty_table()]
    for part in slices(normalized):
        counted = pc.value_counts(pc.list_flatten(pc.split_pattern(part, " ")))
        words = pc.utf8_trim(counted.field("values"), characters=OTHERS)
        tables.append(pa.table([words, counted.field("counts")], schema=WORDS))
    table = pa.concat_tables(tables).group_by("word").aggregate([("count", "sum")])
    table = table.rename_columns({"count_sum": "count"}).filter(pc.not_equal(table["word"], ""))
    return table.select(WORDS.names).sort_by([("count", "descending"), ("word", "ascending")])


def pieces_per_word(adapter: TokenizerAdapter, words: pa.Table) -> NDArray[np.int64]:
    """int64[words]: in how many pieces each word is cut where it stands after a space."""
    space, nothing = pa.scalar(" ", pa.large_string()), pa.scalar("", pa.large_string())
    spaced = pa.chunked_array([pc.binary_join_element_wise(space, words["word"].combine_chunks(), nothing)])
    lengths = [pc.list_value_length(adapter.encode_column(part)).to_numpy() for part in slices(spaced)]
    return np.concatenate([np.zeros(0, np.int64), *lengths])


def split_words(adapter: TokenizerAdapter, words: pa.Table) -> tuple[float, list[tuple[str, int, str]]]:
    """Return the share of running words that are one piece, and the others.

    The others are the most frequent ones, with count and pieces.
    """
    lengths, counts = pieces_per_word(adapter, words), words["count"].to_numpy()
    cut = np.flatnonzero(lengths > 1)[:SHOWN]
    shown = [(words["word"][int(index)].as_py(), int(counts[index])) for index in cut]
    share = float(counts[lengths == 1].sum() / counts.sum()) if len(counts) else 0.0
    return share, [(word, count, " ".join(adapter.cut(word))) for word, count in shown]
