"""Seed pieces: the substrings of runs that branch to the right.

They are found in a sorted list of all suffixes.

The stack walk over longest common prefixes is the standard traversal of a suffix array as if it were a
suffix tree (Abouelhoda, Kurtz and Ohlebusch 2004), with counts as weights.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spanish_tok.kernels import kernel

LONGEST_PIECE = 16  # characters
BEYOND = LONGEST_PIECE + 1  # the depth of a suffix that is longer than any piece: never a piece itself


class Nodes(NamedTuple):
    """The inner nodes of the suffix tree.

    The distinct substrings that branch to the right or end a run.

    parent: int32, the longest proper prefix that is a node; the root is node 0 and its own parent
    depth:  uint8, length in characters; BEYOND where it is longer than a piece may be
    weight: int64, how often it occurs
    place:  int32, a position where it occurs
    leaf:   int32[positions], the deepest node that is a prefix of the suffix at a position
    """

    parent: NDArray[np.int32]
    depth: NDArray[np.uint8]
    weight: NDArray[np.int64]
    place: NDArray[np.int32]
    leaf: NDArray[np.int32]


@kernel
def suffix_keys(symbols, offsets):
    """Return the first 16 symbols of the suffix at each position.

    As two big-endian uint64; 0 past the run's end.

    symbols: uint8[positions], 1 or more each; offsets: int64[runs + 1]. Returns (uint64, uint64)[positions].
    """
    high = np.zeros(symbols.size, np.uint64)
    low = np.zeros(symbols.size, np.uint64)
    for run in range(offsets.size - 1):
        for i in range(offsets[run], offsets[run + 1]):
            for k in range(min(8, offsets[run + 1] - i)):
                high[i] |= np.uint64(symbols[i + k]) << np.uint64(56 - 8 * k)
            for k in range(8, min(16, offsets[run + 1] - i)):
                low[i] |= np.uint64(symbols[i + k]) << np.uint64(120 - 8 * k)
    return high, low


@kernel
def common_prefix(symbols, a, a_end, b, b_end):
    """Return how many symbols two suffixes share, BEYOND at most.

    They start at positions a and b of their runs.
    """
    k = 0
    while k < BEYOND and a + k < a_end and b + k < b_end and symbols[a + k] == symbols[b + k]:
        k += 1
    return k


@kernel
def suffix_tree(symbols, offsets, counts, order):
    """Walk the sorted suffixes and collect the nodes.

    order: int64[positions], positions sorted by their suffix. counts: int64[runs].
    """
    # The runs "ab", 3 times, and "abc", twice, are the symbols 1 2 1 2 3 with the offsets 0 2 5. Sorted suffixes:
    #
    #     position        0 "ab"   2 "abc"   1 "b"   3 "bc"   4 "c"
    #     symbols shared    0         2         0       1        0     with the one before
    #     node              1         2         3       4        5     0 is the root
    #     its weight        5         2         5       2        2     how often it occurs, as a prefix too
    #
    # so that parent is 0 0 1 0 3 0, depth 0 2 3 1 2 1, and leaf, by position, 1 3 2 4 5. `stack` holds the nodes
    # from the root to the suffix before, 0 1 2 after "abc". "b" shares nothing with it: 2 and 1 leave the stack, and
    # each gives its weight to its parent. A node is inserted where a suffix branches off in the midst of an edge.
    positions = symbols.size
    run_of = np.empty(positions, np.int32)
    for run in range(counts.size):
        run_of[offsets[run] : offsets[run + 1]] = run
    parent = np.zeros(2 * positions + 1, np.int32)
    depth = np.zeros(2 * positions + 1, np.uint8)
    weight = np.zeros(2 * positions + 1, np.int64)
    place = np.zeros(2 * positions + 1, np.int32)
    leaf = np.empty(positions, np.int32)
    stack = np.zeros(BEYOND + 2, np.int32)
    nodes, top = 1, 0  # stack[0] is the root
    previous, previous_end = np.int64(0), np.int64(0)
    for k in range(positions):
        here = order[k]
        end = offsets[run_of[here] + 1]
        shared = common_prefix(symbols, previous, previous_end, here, end)
        while depth[stack[top]] > shared:
            child = stack[top]
            if depth[stack[top - 1]] >= shared:
                top -= 1
            else:
                depth[nodes], place[nodes] = shared, here
                stack[top] = nodes
                nodes += 1
            parent[child] = stack[top]
            weight[stack[top]] += weight[child]
        length = min(end - here, BEYOND)
        if depth[stack[top]] < length:
            depth[nodes], place[nodes] = length, here
            top += 1
            stack[top] = nodes
            nodes += 1
        leaf[here] = stack[top]
        weight[stack[top]] += counts[run_of[here]]
        previous, previous_end = here, end
    while top > 0:
        parent[stack[top]] = stack[top - 1]
        weight[stack[top - 1]] += weight[stack[top]]
        top -= 1
    return Nodes(
        parent[:nodes].copy(), depth[:nodes].copy(), weight[:nodes].copy(), place[:nodes].copy(), leaf
    )


@kernel
def count_edges(nodes, piece_of):
    """Return where the edges that start at each position will lie.

    int64[positions + 1]; the character's own edge comes first.

    piece_of: int32[nodes], the piece that a node is, or -1.
    """
    starts = np.zeros(nodes.leaf.size + 1, np.int64)
    for i in range(nodes.leaf.size):
        edges = 1
        node = nodes.leaf[i]
        while node != 0:
            edges += piece_of[node] >= 0
            node = nodes.parent[node]
        starts[i + 1] = starts[i] + edges
    return starts


@kernel
def fill_edges(symbols, nodes, piece_of, starts):
    """Return the edges of every position, short ones first.

    As (int32[edges] pieces, uint8[edges] lengths).

    A piece of one character is symbol - 1.
    """
    pieces = np.empty(starts[-1], np.int32)
    lengths = np.empty(starts[-1], np.uint8)
    for i in range(nodes.leaf.size):
        pieces[starts[i]], lengths[starts[i]] = symbols[i] - 1, 1
        edge = starts[i + 1] - 1
        node = nodes.leaf[i]
        while node != 0:
            if piece_of[node] >= 0:
                pieces[edge], lengths[edge] = piece_of[node], nodes.depth[node]
                edge -= 1
            node = nodes.parent[node]
    return pieces, lengths
