"""Text to ids.

Chunks between spaces go through a cache, new ones through a Viterbi search.

A chunk that is not in the cache (see `known_chunks`) is looked for in its plain form, "Hola," as "hola" and a comma;
else, or if it is too long, it is normalized and segmented. No piece crosses a space, so that chunks can be encoded one
by one.
"""

import numpy as np
from numba.cpython.unsafe.numbers import trailing_zeros

from spanish_tok.kernels import inner_kernel, kernel
from spanish_tok.kernels.bytes import (
    BLOCK,
    KEPT_HIGH,
    KEPT_LOW,
    KEY_BYTES,
    MARGIN,
    enlarged,
    load_word,
    places_of,
    store_word,
)
from spanish_tok.kernels.text.encode_long import encode_long
from spanish_tok.kernels.text.known_chunks import (
    ENTRY_IDS,
    LENGTH_SHIFT,
    NUMBER_SHIFT,
    insert_known,
    key_of,
    plain_form,
    read_known,
    set_of,
)
from spanish_tok.kernels.text.normalize import SPACE, normalize_into

LONG = 1 << 16  # bytes of a chunk, from which on it is encoded part by part
ROOM = 512  # ids that one block may become, at most 7 for each of 64 chunks, and more
UNREACHED = np.int64(-(1 << 62))


@inner_kernel
def _encode_known(data, i, end, cache, out, at):
    """Encode the chunks of data[i:end] that the cache holds into out[at:].

    Up to the first that it does not hold.

    Returns (i, at). The loop that reads every byte: it touches three arrays and branches only where it
    must. It stops, too, where `out` is nearly full or `data` nearly at its end.
    """
    while i < end and i + MARGIN <= data.size and at + ROOM <= out.size:
        begin = i
        stops = places_of(data, begin, SPACE)
        if end - begin < BLOCK:
            last = np.uint64(1) << np.uint64(end - begin)
            stops = (stops | last) & (last | (last - np.uint64(1)))
        if stops == 0:
            break
        while stops != 0:
            stop = begin + np.int64(trailing_zeros(stops))
            stops &= stops - np.uint64(1)
            length = stop - i
            if length > KEY_BYTES:
                return i, at
            low = load_word(data, i) & KEPT_LOW[length]
            high = load_word(data, i + 8) & KEPT_HIGH[length] | np.uint64(length) << LENGTH_SHIFT
            line = set_of(low, high, cache.shape[0])
            entry = 0
            if cache[line, 0] != low or cache[line, 1] != high:
                entry = 4
                if cache[line, 4] != low or cache[line, 5] != high:
                    return i, at
            more = cache[line, entry + 3]
            store_word(out, at, cache[line, entry + 2])
            store_word(out, at + 4, more)
            at += np.int64(more >> NUMBER_SHIFT)
            i = stop + 1
    return i, at


@inner_kernel
def segment(text, end, class_of, following, first, pieces, best, piece_to, out, at):
    """Write the most probable segmentation of text[:end] into out[at:].

    The text is normalized and begins with a space.

    Viterbi's algorithm over sums of int64, hence exact; of equal sums the one whose last piece starts
    earliest wins, at every position. best, piece_to: int64[end + 1], scratch. `out` has room for `end`
    ids. Returns the new end of `out`.
    """
    best[0] = 0
    state = np.int64(0)
    for i in range(end):
        state = np.int64(following[state, class_of[text[i]]])
        highest, chosen = UNREACHED, np.int64(0)
        for k in range(first[state], first[state + 1]):
            piece = pieces[k]
            score = best[i + 1 - (piece >> 16 & 0xFFFF)] + (piece >> 32)
            if score > highest:
                highest, chosen = score, piece
        best[i + 1], piece_to[i + 1] = highest, chosen
    count = 0
    i = end
    while i > 0:
        count += 1
        i -= piece_to[i] >> 16 & 0xFFFF
    i, k = end, at + count
    while i > 0:
        k -= 1
        out[k] = piece_to[i] & 0xFFFF
        i -= piece_to[i] >> 16 & 0xFFFF
    return at + count


@inner_kernel
def _end_of_chunk(data, i, end):
    while i < end and data[i] != SPACE:
        i += 1
    return i


@inner_kernel
def _encode_while_it_fits(data, offsets, r, i, compiled, cache, eos, scratch, out, at, ends):
    """Encode from byte i of record r on, as long as it fits.

    To the end or to a chunk for which `scratch` or `out` is too small.

    compiled: (table, automaton, plain). scratch: uint8[n] text, int64[m] and int64[m] for `segment`. Returns (r, i, at,
    chunks that were segmented, bytes that the text needs at most, entries that the other arrays need).
    """
    # "hola Hola, sol" with an empty cache: "hola" is not in it, becomes " hola", is cut into 1884, and put there.
    # `_encode_known` reads on, up to "Hola,", which it does not know; its plain form is "hola", and the sign the id 6.
    # "Hola," is put into the cache as 1884 6; then "sol" is cut into 596. out is 1884 1884 6 596, and two chunks were
    # segmented. Were `text` too small for "sol", the answer would be (r, 11, 3, 1, 3 * growth + 1, 0): the caller
    # enlarges it, and calls again from byte 11, with three ids written.
    table, (class_of, following, first, pieces), plain = compiled
    text, best, piece_to = scratch
    segmented = 0
    while r < ends.size - 1:
        end = offsets[r + 1]
        i, at = _encode_known(data, i, end, cache, out, at)
        while i < end:
            stop = _end_of_chunk(data, i, end)
            if (stop - i) * table.growth >= text.size:
                return r, i, at, segmented, (stop - i) * table.growth + 1, 0
            before, short = at, 0 < stop - i <= KEY_BYTES and at + ROOM <= out.size
            low, high, sign = np.uint64(0), np.uint64(0), np.int64(0)
            if short:
                low, high, sign = plain_form(data, i, stop - i, plain)
                at = read_known(cache, low, high, out, at)
                if at > before and sign:
                    out[at] = sign
                    at += 1
            if at == before:
                text[0] = SPACE
                length = normalize_into(data, i, stop, table, text, np.int64(1))
                length -= text[length - 1] == SPACE
                if length >= best.size or at + length + ROOM > out.size:
                    return r, i, at, segmented, 0, length + 1
                at = segment(text, length, class_of, following, first, pieces, best, piece_to, out, at)
                segmented += 1
                stem = at - before - (sign != 0)
                if short and stem <= ENTRY_IDS:
                    insert_known(cache, low, high, out, before, stem)
            if short and at - before <= ENTRY_IDS:
                own_low, own_high = key_of(data, i, stop - i)
                if own_low != low or own_high != high:
                    insert_known(cache, own_low, own_high, out, before, at - before)
            i, at = _encode_known(data, stop + 1, end, cache, out, at)
        if at == out.size:
            return r, end, at, segmented, 0, 1
        if eos >= 0:
            out[at] = eos
            at += 1
        r += 1
        ends[r] = at
        i = offsets[r]
    return r, i, at, segmented, 0, 0


@kernel
def encode_records(data, offsets, table, automaton, plain, cache, eos):
    """Return the ids of each record data[offsets[r]:offsets[r + 1]].

    As (uint16[n], int64[records + 1] offsets, segmented).

    eos: an id to put at the end of every record, or -1. `cache` is filled on the way, and may be used again
    with the same table, automaton and plain forms; `segmented` is how many chunks were in it in no form.
    """
    ends = np.zeros(offsets.size, np.int64)
    out = np.empty((offsets[-1] - offsets[0]) * 2 // 7 + 2 * ROOM, np.uint16)
    text = np.empty(1 << 10, np.uint8)
    best, piece_to = np.empty(1 << 10, np.int64), np.empty(1 << 10, np.int64)
    # of a type that stays: a number as written has one of its own, for which all would be compiled once more
    r, i, at, segmented = np.int64(0), offsets[0], np.int64(0), np.int64(0)
    while r < offsets.size - 1:
        r, i, at, more, text_bytes, room = _encode_while_it_fits(
            data, offsets, r, i, (table, automaton, plain), cache, eos, (text, best, piece_to), out, at, ends
        )
        segmented += more
        if text_bytes > LONG * table.growth:
            stop = _end_of_chunk(data, i, offsets[r + 1])
            out, at = encode_long(data, i, stop, table, automaton, LONG, out, at)
            segmented, i, text_bytes = segmented + 1, stop + 1, 0
        text = enlarged(text, text_bytes)
        best, piece_to = enlarged(best, room), enlarged(piece_to, room)
        out = enlarged(out, at + room + ROOM)
    return out[:at], ends, segmented
