"""The Unigram model in training: seeds, expectation-maximization, pruning.

Kudo 2018, "Subword Regularization", section 3.2, and the choices of SentencePiece's trainer, over lattices
whose edges are found once and only filtered afterwards.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from spanish_tok.errors import SpanishTokError
from spanish_tok.kernels.unigram.lattice import Lattice, e_step, keep_edges, pruning_losses, viterbi_counts
from spanish_tok.kernels.unigram.suffix_tree import (
    LONGEST_PIECE,
    Nodes,
    count_edges,
    count_symbols,
    fill_edges,
    longest_pieces,
    sorted_suffixes,
    suffix_tree,
)
from spanish_tok.parallel.threads import thread_pool
from spanish_tok.text.alphabet import SPACE_MARK
from spanish_tok.text.arrow import bytes_and_offsets, text_chunks
from spanish_tok.vocab.counts.table import Counts

SHARES = 8  # sums are made in so many parts on any number of threads: floating point is not associative
BLOCK = 1 << 16
RARE = 0.5  # a piece that is expected less often than this is dropped, a character kept at this

Floats = NDArray[np.float64]
Result = TypeVar("Result")


@dataclass
class UnigramModel:
    """The pieces that are left, the characters first, and the lattices of all runs.

    text:    uint8[positions], the characters of all runs one after the other, 1 and up: place in `characters` + 1
    place:   int32[pieces], where in `text` a piece stands (of no meaning for characters)
    length:  uint8[pieces], in characters
    score:   float64[pieces], natural logarithm of the probability
    asked:   bool[pieces], whether a piece stays, however rare it is: the characters, and pieces that are asked for
    """

    characters: list[str]
    text: NDArray[np.uint8]
    lattice: Lattice
    place: NDArray[np.int32]
    length: NDArray[np.uint8]
    score: Floats
    asked: NDArray[np.bool_]
    threads: int

    def __len__(self) -> int:
        return len(self.place)

    def piece(self, index: int) -> str:
        """Return the text of a piece."""
        if index < len(self.characters):
            return self.characters[index]
        start = self.place[index]
        return "".join(self.characters[code - 1] for code in self.text[start : start + self.length[index]])

    def copy(self) -> "UnigramModel":
        """Return a copy that can be pruned on its own."""
        copies: list[Any] = [array.copy() for array in self.lattice]
        return replace(self, lattice=Lattice(*copies))

    def keep(self, kept: NDArray[np.bool_]) -> None:
        """Drop the pieces that are not in the mask `kept`, and their edges."""
        if kept.all():
            return
        new_index = np.where(kept, np.cumsum(kept, dtype=np.int32) - np.int32(1), np.int32(-1))
        edges = keep_edges(self.lattice, new_index)
        pieces, lengths = self.lattice.pieces[:edges], self.lattice.lengths[:edges]
        self.lattice = self.lattice._replace(pieces=pieces, lengths=lengths)
        self.place, self.length = self.place[kept], self.length[kept]
        self.score, self.asked = self.score[kept], self.asked[kept]

    def ask_for(self, pieces: Iterable[str]) -> None:
        """Keep those of the given pieces that are here, whatever comes."""
        wanted = set(pieces)
        lengths = np.isin(self.length, [len(piece) for piece in wanted])
        for index in np.flatnonzero(lengths & ~self.asked):
            self.asked[index] = self.piece(int(index)) in wanted

    def in_shares(self, work: Callable[[int, int], Result], bounds: NDArray[np.int64]) -> Iterator[Result]:
        """Call work(first, last) for SHARES ranges of about equal weight.

        `bounds` is the running sum of weights; results are yielded in order, each as soon as it is there.
        """
        cuts = np.searchsorted(bounds, np.linspace(0, bounds[-1], SHARES + 1)[1:-1])
        edges = [0, *(int(cut) for cut in cuts), len(bounds) - 1]
        with thread_pool(self.threads) as pool:
            yield from pool.map(work, edges[:-1], edges[1:])


def seed_model(counts: Counts, characters: list[str], seeds: int, threads: int) -> UnigramModel:
    """Return the model to start from: every character, and the best substrings.

    Those are the `seeds` best by count times length.
    """
    text, offsets = _text(counts, characters)
    weights = counts.table["count"].to_numpy()
    nodes = suffix_tree(text, offsets, weights, sorted_suffixes(text, offsets))
    best, worth = best_nodes(nodes, seeds)
    place = np.concatenate([np.zeros(len(characters), np.int32), nodes.place[best]])
    length = np.concatenate([np.ones(len(characters), np.uint8), nodes.depth[best]])
    longest, shorter = _prefixes(nodes, best, len(characters))
    del nodes, best  # what is not needed beside the edges
    starts = count_edges(longest, shorter)
    edges = fill_edges(text, longest, shorter, length, starts)
    del longest, shorter
    frequency = count_symbols(text, offsets, weights, len(characters) + 1)[1:]
    weight = np.concatenate([np.maximum(frequency, RARE), worth])
    return UnigramModel(
        characters=characters,
        text=text,
        lattice=Lattice(offsets, weights, starts, *edges),
        place=place,
        length=length,
        score=np.log(weight / weight.sum()),
        asked=np.arange(len(weight)) < len(characters),
        threads=threads,
    )


def _prefixes(
    nodes: Nodes, best: NDArray[np.int64], characters: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the longest piece at each position, and before each piece.

    int32[positions] and int32[pieces]; -1 stands for none. The pieces are `characters`, which are not looked for, and
    the nodes `best`.
    """
    piece_of = np.full(len(nodes.parent), -1, np.int32)
    piece_of[best] = characters + np.arange(len(best), dtype=np.int32)
    before = longest_pieces(nodes.parent, nodes.parent[best], piece_of)
    shorter = np.concatenate([np.full(characters, -1, np.int32), before])
    return longest_pieces(nodes.parent, nodes.leaf, piece_of), shorter


def best_nodes(nodes: Nodes, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the best nodes that can be pieces, and their worth.

    The worth is count times length; the best come first.
    """
    inner = np.flatnonzero((nodes.depth > 1) & (nodes.depth <= LONGEST_PIECE) & (nodes.weight > 1))
    worth = nodes.weight[inner] * nodes.depth[inner]
    best = np.argsort(-worth, kind="stable")[:count]
    return inner[best], worth[best]


def _text(counts: Counts, characters: list[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the runs as character numbers from 1, and where each starts.

    The starts are int64[runs + 1].
    """
    if len(characters) > 255:  # each has a number of one byte
        raise SpanishTokError(f"The alphabet has {len(characters)} characters", "Give one of at most 250.")
    (chunk,) = text_chunks(counts.table["run"].combine_chunks())
    data, _ = bytes_and_offsets(chunk)
    codes = np.frombuffer(data.tobytes().decode("utf-8").encode("utf-32-le"), np.uint32)
    code_of = np.zeros(max(map(ord, characters)) + 2, np.uint8)
    code_of[[ord(character) for character in characters]] = np.arange(1, len(characters) + 1)
    text = code_of[np.minimum(codes, len(code_of) - 1)]
    if not text.all():
        raise SpanishTokError(
            f"The counts hold the character {chr(codes[np.argmin(text)])!r}, which the alphabet lacks",
            "Count with the same normalization table that you train with.",
        )
    starts = np.concatenate([[0], np.cumsum(pc.utf8_length(chunk).to_numpy(), dtype=np.int64)])
    if np.setdiff1d(np.flatnonzero(codes == ord(SPACE_MARK)), starts).size:
        raise SpanishTokError(
            f"The counts hold a run with {SPACE_MARK} inside", "Only a word's first run begins so."
        )
    return text, starts


def run_em(model: UnigramModel, steps: int, *, keep_all: bool = False) -> float:
    """Run a few steps of expectation and maximization.

    Returns the loss in nats a character.

    The M-step is the variational one: exp(digamma(count)) favours pieces that are often used. Pieces that
    are expected less often than RARE are dropped unless `keep_all`.
    """
    offsets, counts = model.lattice.offsets, model.lattice.counts
    likelihood = 0.0
    for _ in range(steps):
        probability = np.exp(model.score)

        def work(first: int, last: int, probability: Floats = probability) -> tuple[float, Floats]:
            expected = np.zeros(len(model))
            return e_step(model.lattice, first, last, probability, expected), expected

        likelihood, expected = 0.0, np.zeros(len(model))
        for share, share_expected in model.in_shares(work, offsets):
            likelihood += share
            expected += share_expected
        del work, probability, share_expected  # each is as large as the model
        kept = (expected >= RARE) | keep_all | model.asked
        np.maximum(expected, RARE, out=expected)
        model.score = digamma(expected)
        model.score -= digamma(expected[kept].sum())
        model.keep(kept)
    return -likelihood / float(counts @ np.diff(offsets))


def rank(model: UnigramModel) -> tuple[NDArray[np.int64], int]:
    """Return the pieces by pruning loss, highest first, and how many are useful.

    Characters come first, then pieces that are asked for. A piece is of no use where it stands in no best path, or
    where its own characters are better cut another way.
    """
    offsets = model.lattice.offsets

    def count(first: int, last: int) -> NDArray[np.int64]:
        used = np.zeros(len(model), np.int64)
        viterbi_counts(model.lattice, first, last, model.score, used)
        return used

    used = np.zeros(len(model), np.int64)
    for share in model.in_shares(count, offsets):
        used += share
    losses = np.empty(len(model))

    def lose(first: int, last: int) -> None:
        pruning_losses(model.lattice, model.place, model.length, first, last, model.score, used, losses)

    losses[: len(model.characters)] = np.inf
    alone = len(model.characters)

    def lose_but_characters(first: int, last: int) -> None:
        lose(max(first, alone), max(last, alone))

    for _ in model.in_shares(lose_but_characters, np.arange(len(model) + 1)):
        pass
    order = np.lexsort((-model.score, -losses))
    order = np.concatenate([order[order < alone], order[order >= alone]])
    order = np.concatenate([order[model.asked[order]], order[~model.asked[order]]])
    return order, int(((losses > -np.inf) | model.asked).sum())


def digamma(x: NDArray[np.float64] | float) -> Floats:
    """Return the derivative of log gamma for x > 0, to about 1e-12.

    Abramowitz and Stegun, 6.3.5 and 6.3.18.

    >>> bool(abs(digamma(1.0) + 0.5772156649015329) < 1e-11)  # minus Euler's constant
    True
    """
    x = np.asarray(x, np.float64)
    if x.size > BLOCK:  # what is computed on the way takes five times the memory
        result = np.empty_like(x)
        for first in range(0, x.size, BLOCK):
            result[first : first + BLOCK] = digamma(x[first : first + BLOCK])
        return result
    below = np.zeros_like(x)
    for k in range(8):
        below += 1 / (x + k)
    x = x + 8
    square = 1 / (x * x)
    tail = square * (1 / 12 - square * (1 / 120 - square * (1 / 252 - square * (1 / 240 - square / 132))))
    return np.asarray(np.log(x) - 0.5 / x - tail - below)
