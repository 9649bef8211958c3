"""A very long word to ids, exactly, in memory that hardly depends on its length.

Viterbi's algorithm has to remember a piece for each byte, 200 MB of text would take gigabytes. Here the word is
read in parts. The way forward notes the state at the beginning of each part; the way back, from the last part to the
first, does one part again from its note and remembers the pieces of that part alone. (Checkpointing, as in Grice,
Hughey and Speck 1997, "Reduced space sequence alignment".)
"""

import numpy as np

from spanish_tok.kernels import inner_kernel, kernel
from spanish_tok.kernels.bytes import copy, enlarged
from spanish_tok.kernels.text.normalize import SPACE, end_of_part, normalize_into

UNREACHED = np.int64(-(1 << 62))


@inner_kernel
def _normalized_part(data, begin, end, last, table, text):
    """Normalize data[begin:end] into text[1:].

    Returns (from, to, the next `last`).

    last: the byte before, or a space that is not handed out yet: one that ends the word never is.
    """
    text[0] = last
    first = np.int64(last != SPACE)
    filled = normalize_into(data, begin, end, table, text, np.int64(1))
    if filled > first and text[filled - 1] == SPACE:
        return first, filled - 1, np.uint8(SPACE)
    return first, filled, text[filled - 1]


@inner_kernel
def _forward(text, first, end, state, automaton, best, number, piece_to, reach):
    """Find the best piece that ends at each byte of text[first:end].

    Returns the state of the automaton at the end.

    best, number: the score, and how many pieces, of the best way to a place; index `reach` is where the part begins,
    and what lies below are the places before it. piece_to: the piece that ends there, from the part's beginning on.
    """
    class_of, following, starts, pieces = automaton
    for i in range(end - first):
        state = np.int64(following[state, class_of[text[first + i]]])
        here = reach + i + 1
        highest, chosen = UNREACHED, np.int64(0)
        for k in range(starts[state], starts[state + 1]):
            piece = pieces[k]
            score = best[here - (piece >> 16 & 0xFFFF)] + (piece >> 32)
            if score > highest:
                highest, chosen = score, piece
        best[here], piece_to[i + 1] = highest, chosen
        number[here] = number[here - (chosen >> 16 & 0xFFFF)] + 1
    return state


@inner_kernel
def _longest(pieces):
    longest = np.int64(1)
    for piece in pieces:
        longest = max(longest, piece >> 16 & 0xFFFF)
    return longest


@kernel
def encode_long(data, start, stop, table, automaton, part, out, at):
    """Write the ids of the word data[start:stop], which holds no space, into out[at:].

    part: bytes that are done at once. Returns (out, at): `out` may be a larger copy.
    """
    reach = _longest(automaton.pieces)  # of a piece
    part = max(part, 16 * reach)
    parts = (stop - start) // part + 1
    begins, sizes, states = (
        np.zeros(parts + 1, np.int64),
        np.zeros(parts, np.int64),
        np.zeros(parts, np.int64),
    )
    lasts, notes = np.empty(parts + 1, np.uint8), np.empty((parts, reach + 1), np.int64)
    most = (part + 8) * table.growth + 2
    text, piece_to = np.empty(most, np.uint8), np.empty(most, np.int64)
    best, number = np.empty(reach + most, np.int64), np.zeros(reach + most, np.int64)
    best[:reach], best[reach] = UNREACHED, 0
    begins[0], lasts[0], state, parts = start, SPACE, np.int64(0), 0
    while begins[parts] < stop:
        begin = begins[parts]
        end = end_of_part(data, begin, stop, part)
        states[parts] = state
        copy(best, reach + 1, notes[parts], 0)
        first, to, lasts[parts + 1] = _normalized_part(data, begin, end, lasts[parts], table, text)
        state = _forward(text, first, to, state, automaton, best, number, piece_to, reach)
        sizes[parts] = to - first
        for k in range(reach + 1):  # what the next part looks back at
            best[k], number[k] = best[to - first + k], number[to - first + k]
        parts += 1
        begins[parts] = end
    written = at + number[reach]
    out = enlarged(out, written)
    k, place = written, np.int64(0)  # of the end of a piece, from the end of the part on
    for index in range(parts - 1, -1, -1):
        copy(notes[index], reach + 1, best, 0)
        first, to, _ = _normalized_part(data, begins[index], begins[index + 1], lasts[index], table, text)
        _forward(text, first, to, states[index], automaton, best, number, piece_to, reach)
        place += sizes[index]
        while place > 0:
            k -= 1
            out[k] = piece_to[place] & 0xFFFF
            place -= piece_to[place] >> 16 & 0xFFFF
    return out, written
