"""Expectation-maximization and pruning over the lattices of all runs.

Kudo 2018, sections 3.2 and 3.3.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spanish_tok.kernels import kernel
from spanish_tok.kernels.unigram.suffix_tree import LONGEST_PIECE

SMALLEST = 1e-280  # a run less probable than this is gone through again in the logarithmic domain


class Lattice(NamedTuple):
    """All ways to cut every run into pieces.

    offsets: int64[runs + 1], the positions of a run; counts: int64[runs], how often it occurs
    starts:  int64[positions + 1], the edges that start at a position
    pieces:  int32[edges]; lengths: uint8[edges], in characters
    """

    offsets: NDArray[np.int64]
    counts: NDArray[np.int64]
    starts: NDArray[np.int64]
    pieces: NDArray[np.int32]
    lengths: NDArray[np.uint8]

    # The run "ab" with the pieces 0 "a", 1 "b" and 2 "ab": offsets 0 2; two edges start at position 0, "a" and "ab",
    # one at position 1, "b": starts 0 2 3, pieces 0 2 1, lengths 1 2 1. Its ways are a b and ab.


@kernel
def e_step(lattice, first, last, probability, expected):
    """Add the expected count of each piece over the runs [first, last).

    They are added to `expected`; returns the log likelihood of the runs.

    probability, expected: float64[pieces]. Forward and backward sums in the linear domain: a run is short.
    """
    longest = 0
    for run in range(first, last):
        longest = max(longest, lattice.offsets[run + 1] - lattice.offsets[run])
    forward = np.empty(longest + 1)
    backward = np.empty(longest + 1)
    likelihood = 0.0
    for run in range(first, last):
        start = lattice.offsets[run]
        length = lattice.offsets[run + 1] - start
        forward[1 : length + 1] = 0.0
        forward[0] = 1.0
        for i in range(length):
            if forward[i] > 0.0:
                for edge in range(lattice.starts[start + i], lattice.starts[start + i + 1]):
                    forward[i + lattice.lengths[edge]] += forward[i] * probability[lattice.pieces[edge]]
        total = forward[length]
        if total < SMALLEST:
            likelihood += _expect_in_logarithms(lattice, run, probability, expected)
            continue
        backward[length] = lattice.counts[run] / total
        for i in range(length - 1, -1, -1):
            behind = 0.0
            for edge in range(lattice.starts[start + i], lattice.starts[start + i + 1]):
                piece = lattice.pieces[edge]
                share = probability[piece] * backward[i + lattice.lengths[edge]]
                behind += share
                expected[piece] += forward[i] * share
            backward[i] = behind
        likelihood += lattice.counts[run] * np.log(total)
    return likelihood


@kernel
def _add_logarithms(a, b):
    """log(exp(a) + exp(b))."""
    if a < b:
        a, b = b, a
    if b == -np.inf:
        return a
    return a + np.log1p(np.exp(b - a))


@kernel
def _expect_in_logarithms(lattice, run, probability, expected):
    """Do what `e_step` does, for one long run, in logarithms.

    Its probability is below what a float64 holds.
    """
    start = lattice.offsets[run]
    length = lattice.offsets[run + 1] - start
    forward = np.full(length + 1, -np.inf)
    backward = np.full(length + 1, -np.inf)
    forward[0] = backward[length] = 0.0
    for i in range(length):
        for edge in range(lattice.starts[start + i], lattice.starts[start + i + 1]):
            j = i + lattice.lengths[edge]
            if probability[lattice.pieces[edge]] > 0.0:
                reached = forward[i] + np.log(probability[lattice.pieces[edge]])
                forward[j] = _add_logarithms(forward[j], reached)
    for i in range(length - 1, -1, -1):
        for edge in range(lattice.starts[start + i], lattice.starts[start + i + 1]):
            piece = lattice.pieces[edge]
            if probability[piece] > 0.0:
                share = np.log(probability[piece]) + backward[i + lattice.lengths[edge]]
                backward[i] = _add_logarithms(backward[i], share)
                expected[piece] += lattice.counts[run] * np.exp(forward[i] + share - forward[length])
    return lattice.counts[run] * forward[length]


@kernel
def best_path(lattice, start, length, score, without, best, edge_to):
    """Return the best path over the positions [start, start + length).

    Never by the piece `without` (-1: any).

    score: float64[pieces]. Fills best[:length + 1] (its scores) and edge_to[:length + 1] (the edge that ends
    there, -1 where none does). Ties: the earliest start wins.
    """
    best[1 : length + 1] = -np.inf
    best[0] = 0.0
    edge_to[: length + 1] = -1
    for i in range(length):
        for edge in range(lattice.starts[start + i], lattice.starts[start + i + 1]):
            j = i + lattice.lengths[edge]
            piece = lattice.pieces[edge]
            if j <= length and piece != without and best[i] + score[piece] > best[j]:
                best[j] = best[i] + score[piece]
                edge_to[j] = edge


@kernel
def viterbi_counts(lattice, first, last, score, used):
    """Add how often each piece is in the best paths of the runs [first, last).

    They are added to used (int64[pieces]).
    """
    longest = 0
    for run in range(first, last):
        longest = max(longest, lattice.offsets[run + 1] - lattice.offsets[run])
    best, edge_to = np.empty(longest + 1), np.empty(longest + 1, np.int64)
    for run in range(first, last):
        start = lattice.offsets[run]
        length = lattice.offsets[run + 1] - start
        best_path(lattice, start, length, score, -1, best, edge_to)
        i = length
        while i > 0:
            used[lattice.pieces[edge_to[i]]] += lattice.counts[run]
            i -= lattice.lengths[edge_to[i]]


@kernel
def pruning_losses(lattice, starts, lengths, first, last, score, used, losses):
    """Return how much the log likelihood falls without each piece [first, last).

    Into losses (float64[pieces]).

    starts, lengths: where a piece occurs and how long it is. The loss is -inf where a piece stands in no best
    path, or where another way over its own characters is better; +inf where there is no other way.
    """
    total = np.float64(used.sum())
    best, edge_to = np.empty(LONGEST_PIECE + 1), np.empty(LONGEST_PIECE + 1, np.int64)
    for piece in range(first, last):
        losses[piece] = -np.inf
        if used[piece] == 0:
            continue
        length = np.int64(lengths[piece])
        best_path(lattice, starts[piece], length, score, piece, best, edge_to)
        if best[length] == -np.inf:
            losses[piece] = np.inf
        elif best[length] <= score[piece]:
            parts, alternative = 0, 0.0
            i = length
            while i > 0:
                part = lattice.pieces[edge_to[i]]
                alternative += np.log(np.float64(used[part] + used[piece]))
                parts += 1
                i -= lattice.lengths[edge_to[i]]
            alternative -= parts * np.log(total + used[piece] * (parts - 1))
            losses[piece] = used[piece] * (np.log(np.float64(used[piece])) - np.log(total) - alternative)


@kernel
def keep_edges(lattice, new_number):
    """Rewrite the lattice in place with the pieces that stay.

    Their new number is not -1; returns how many edges stay.
    """
    kept = 0
    edge = 0
    for i in range(lattice.starts.size - 1):
        end = lattice.starts[i + 1]
        lattice.starts[i] = kept
        while edge < end:
            piece = new_number[lattice.pieces[edge]]
            if piece >= 0:
                lattice.pieces[kept], lattice.lengths[kept] = piece, lattice.lengths[edge]
                kept += 1
            edge += 1
    lattice.starts[-1] = kept
    return kept
