"""All pieces of a vocabulary in one automaton over UTF-8 bytes.

Aho and Corasick 1975.

One step a byte, and each state lists the pieces that end there, longest first: the innermost loop of a
segmentation reads one array cell a byte and one a piece that fits.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spanish_tok.kernels import kernel
from spanish_tok.kernels.bytes import enlarged


class Automaton(NamedTuple):
    """The states are the prefixes of pieces, 0 the empty one; a space stands for `▁`.

    class_of: uint8[256], a byte -> its column in `following`; bytes that are in no piece share column 0
    following: uint16 or uint32[states, classes], the state after one byte more
    first:    uint32[states + 1], the pieces that end in state s are pieces[first[s]:first[s + 1]]
    pieces:   int64[m], score x 1024 << 32 | length in bytes << 16 | id
    """

    class_of: NDArray[np.uint8]
    following: NDArray[np.uint16]
    first: NDArray[np.uint32]
    pieces: NDArray[np.int64]

    # The piece `▁hola` of the score -9.5146484375 and the id 1884 is -9743 << 32 | 5 << 16 | 1884: its score is taken
    # out by >> 32, which keeps the sign, its length and id by >> 16 & 0xFFFF and & 0xFFFF.


@kernel
def grow_trie(data, offsets, class_of, classes):
    """Return the trie of the pieces data[offsets[p]:offsets[p + 1]].

    Its children, and the state of each piece.

    Returns (uint32[states, classes], uint32[pieces]); a child of 0 is none.
    """
    children = np.zeros(64 * classes, np.uint32)
    state_of = np.empty(offsets.size - 1, np.uint32)
    states = 1
    for piece in range(offsets.size - 1):
        state = 0
        for k in range(offsets[piece], offsets[piece + 1]):
            child = state * classes + class_of[data[k]]
            if children[child] == 0:
                used = children.size
                children = enlarged(children, (states + 1) * classes)
                children[used:] = 0
                children[child] = states
                states += 1
            state = np.int64(children[child])
        state_of[piece] = state
    return children[: states * classes].copy().reshape(states, classes), state_of


@kernel
def link_states(children, piece_in):
    """Turn a trie into an automaton: fill `children` with the transitions.

    Shortest prefixes first.

    piece_in: int64[states], the packed piece that is that prefix, or -1. Returns (first, pieces).
    """
    states, classes = children.shape
    longest_suffix = np.zeros(states, np.uint32)
    order = np.zeros(states, np.uint32)
    seen = 1
    for rank in range(states):
        state = order[rank]
        for column in range(classes):
            child = children[state, column]
            fallback = children[longest_suffix[state], column] if state != 0 else np.uint32(0)
            if child == 0:
                children[state, column] = fallback
            else:
                longest_suffix[child] = fallback
                order[seen] = child
                seen += 1
    first = np.zeros(states + 1, np.uint32)
    for state in order:
        first[state + 1] = first[longest_suffix[state] + 1] + (piece_in[state] != -1)
    first = np.cumsum(first).astype(np.uint32)
    pieces = np.empty(first[states], np.int64)
    for state in range(states):
        at, suffix = first[state], state
        while suffix != 0:
            if piece_in[suffix] != -1:
                pieces[at] = piece_in[suffix]
                at += 1
            suffix = longest_suffix[suffix]
    return first, pieces
