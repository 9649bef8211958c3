"""Seed pieces: the substrings of runs that branch to the right.

They are found in a sorted list of all suffixes.

The stack walk over longest common prefixes is the standard traversal of a suffix array as if it were a
suffix tree (Abouelhoda, Kurtz and Ohlebusch 2004), with counts as weights.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spanish_tok.kernels import inner_kernel, kernel

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
def sorted_suffixes(symbols, offsets):
    """Return all positions, sorted by the first 16 symbols of their suffixes.

    int32[positions]; equal ones stay in their order. The end of a run comes before any symbol.

    symbols: uint8[positions], 1 or more each; offsets: int64[runs + 1].
    """
    # A radix sort, from the last two symbols to the first two: it needs no keys but the text, which fits a cache.
    positions = symbols.size
    left = np.empty(positions, np.uint8)  # symbols of the suffix, as far as they count
    for run in range(offsets.size - 1):
        for i in range(offsets[run], offsets[run + 1]):
            left[i] = min(offsets[run + 1] - i, LONGEST_PIECE)
    order, following = np.arange(positions).astype(np.int32), np.empty(positions, np.int32)
    starts = np.empty((1 << 16) + 1, np.int64)
    for k in range(LONGEST_PIECE - 2, -1, -2):
        starts[:] = 0
        for i in range(positions):
            starts[symbol_pair(symbols, left, i, k) + 1] += 1
        for pair in range(1, starts.size):
            starts[pair] += starts[pair - 1]
        for i in order:
            pair = symbol_pair(symbols, left, np.int64(i), k)
            following[starts[pair]] = i
            starts[pair] += 1
        order, following = following, order
    return order


@inner_kernel
def symbol_pair(symbols, left, i, k):
    """Return the symbols k and k + 1 of a suffix as one number, 0 past its end."""
    if left[i] <= k:
        return np.int64(0)
    second = np.int64(symbols[i + k + 1]) if left[i] > k + 1 else np.int64(0)
    return np.int64(symbols[i + k]) << 8 | second


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

    order: int32[positions], positions sorted by their suffix. counts: int64[runs]. The arrays of nodes are views of
    larger ones, whose rest takes no memory, as it is never written.
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
    parent = np.empty(2 * positions + 1, np.int32)
    depth = np.empty(2 * positions + 1, np.uint8)
    weight = np.empty(2 * positions + 1, np.int64)
    place = np.empty(2 * positions + 1, np.int32)
    parent[0], depth[0], weight[0], place[0] = 0, 0, 0, 0
    leaf = np.empty(positions, np.int32)
    stack = np.zeros(BEYOND + 2, np.int32)
    nodes, top = 1, 0  # stack[0] is the root
    previous, previous_end = np.int64(0), np.int64(0)
    for k in range(positions):
        here = np.int64(order[k])
        end = offsets[run_of[here] + 1]
        shared = common_prefix(symbols, previous, previous_end, here, end)
        while depth[stack[top]] > shared:
            child = stack[top]
            if depth[stack[top - 1]] >= shared:
                top -= 1
            else:
                depth[nodes], weight[nodes], place[nodes] = shared, 0, here
                stack[top] = nodes
                nodes += 1
            parent[child] = stack[top]
            weight[stack[top]] += weight[child]
        length = min(end - here, BEYOND)
        if depth[stack[top]] < length:
            depth[nodes], weight[nodes], place[nodes] = length, 0, here
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
    return Nodes(parent[:nodes], depth[:nodes], weight[:nodes], place[:nodes], leaf)


@kernel
def longest_pieces(parent, nodes, piece_of):
    """Return the longest piece that is a node or a prefix of it.

    int32[nodes given], -1 for none.

    parent: of all nodes. piece_of: int32[all nodes], the piece that a node is, or -1.
    """
    found = np.empty(nodes.size, np.int32)
    for k in range(nodes.size):
        node = nodes[k]
        while node != 0 and piece_of[node] < 0:
            node = parent[node]
        found[k] = piece_of[node]
    return found


@kernel
def count_edges(longest, shorter):
    """Return where the edges that start at each position will lie.

    int64[positions + 1]; the character's own edge comes first.

    longest: int32[positions], the longest piece that begins there, or -1. shorter: int32[pieces], the longest piece
    that is a proper prefix of a piece, or -1.
    """
    starts = np.zeros(longest.size + 1, np.int64)
    for i in range(longest.size):
        edges = 1
        piece = longest[i]
        while piece >= 0:
            edges += 1
            piece = shorter[piece]
        starts[i + 1] = starts[i] + edges
    return starts


@kernel
def fill_edges(symbols, longest, shorter, length_of, starts):
    """Return the edges of every position, short ones first.

    As (int32[edges] pieces, uint8[edges] lengths).

    length_of: uint8[pieces]. A piece of one character is symbol - 1.
    """
    pieces = np.empty(starts[-1], np.int32)
    lengths = np.empty(starts[-1], np.uint8)
    for i in range(longest.size):
        pieces[starts[i]], lengths[starts[i]] = symbols[i] - 1, 1
        edge = starts[i + 1] - 1
        piece = longest[i]
        while piece >= 0:
            pieces[edge], lengths[edge] = piece, length_of[piece]
            edge -= 1
            piece = shorter[piece]
    return pieces, lengths


@kernel
def count_symbols(symbols, offsets, counts, size):
    """Return how often each symbol occurs, with the counts of its runs: int64[size]."""
    frequency = np.zeros(size, np.int64)
    for run in range(counts.size):
        for i in range(offsets[run], offsets[run + 1]):
            frequency[symbols[i]] += counts[run]
    return frequency
