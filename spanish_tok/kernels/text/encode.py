"""Text to ids.

Chunks between spaces go through a cache, new ones through a Viterbi search.

The cache is a table of bounded size that never changes a result. It holds raw chunks of up to 15
bytes as they stand in the text, with the ids that they become. A chunk that is not in it, or too long, is
normalized and segmented. No piece crosses a space, so that chunks can be encoded one by one.

    cache: uint64[sets, 8], two entries in each set, which is one line of the processor's cache:
           bytes 0-7 of the chunk | bytes 8-14, byte 15 its length | ids 0-3 | ids 4-6, bits 48-63 how many
           An unused entry is all zero, which is right for the empty chunk too.
"""

# The chunk "hola," of 5 bytes, which becomes the ids 1884 and 6, is in its entry
#
#     0x2C616C6F68 (its bytes, the first one lowest) | 5 << 56 | 6 << 16 | 1884 | 2 << 48
#
# One comparison of two words tells whether a chunk is there, two stores write up to seven ids.

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
    low_bytes,
    places_of,
    store_word,
    word_at,
)
from spanish_tok.kernels.text.encode_long import encode_long
from spanish_tok.kernels.text.normalize import SPACE, normalize_into

ENTRY_IDS = 7
LONG = 1 << 16  # bytes of a chunk, from which on it is encoded part by part
ROOM = 512  # ids that one block may become, at most 7 for each of 64 chunks, and more
UNREACHED = np.int64(-(1 << 62))
FIRST_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
SECOND_MULTIPLIER = np.uint64(0xC2B2AE3D27D4EB4F)
LENGTH_SHIFT = np.uint64(56)
NUMBER_SHIFT = np.uint64(48)


@inner_kernel
def _set_of(low, high, sets):
    """Return the set where a key belongs, of up to 2^32 `sets`.

    From the upper bits, for every bit of the key is in them.
    """
    mixed = (low ^ high * SECOND_MULTIPLIER) * FIRST_MULTIPLIER
    return np.int64((mixed >> np.uint64(32)) * np.uint64(sets) >> np.uint64(32))


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
            line = _set_of(low, high, cache.shape[0])
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
def _cache_insert(cache, data, start, length, out, at, count):
    """Put a chunk and its ids into the cache.

    The chunk is data[start:start + length], the ids are out[at:at + number].

    The first chunk of a set stays, for frequent ones come early; the second is replaced.
    """
    low, high = word_at(data, start), np.uint64(0)
    if length < 8:
        low = low_bytes(low, length)
    else:
        high = low_bytes(word_at(data, start + 8), length - 8)
    high |= np.uint64(length) << LENGTH_SHIFT
    line = _set_of(low, high, cache.shape[0])
    entry = 0 if cache[line, 1] == 0 else 4
    cache[line, entry], cache[line, entry + 1] = low, high
    cache[line, entry + 2], cache[line, entry + 3] = np.uint64(0), np.uint64(count) << NUMBER_SHIFT
    for k in range(count):
        cache[line, entry + 2 + (k >> 2)] |= np.uint64(out[at + k]) << np.uint64(16 * (k & 3))


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
def _encode_while_it_fits(data, offsets, r, i, table, automaton, cache, eos, scratch, out, at, ends):
    """Encode from byte i of record r on, as long as it fits.

    To the end or to a chunk for which `scratch` or `out` is too small.

    scratch: uint8[n] text, int64[m] and int64[m] for `segment`. Returns (r, i, at, chunks that were not in the cache,
    bytes that the text needs at most, entries that the other arrays need).
    """
    # "hola hola, sol" with an empty cache: "hola" is not in it, becomes " hola", is cut into 1884, and put there.
    # `_encode_known` reads on, up to "hola,", which it does not know; that is cut into 1884 6, and "sol" into 596.
    # out is 1884 1884 6 596, and three chunks were missed. Were `text` too small for "hola,", the answer would be
    # (r, 5, 1, 1, 5 * growth + 1, 0): the caller enlarges it, and calls again from byte 5, with one id written.
    class_of, following, first, pieces = automaton
    text, best, piece_to = scratch
    misses = 0
    while r < ends.size - 1:
        end = offsets[r + 1]
        i, at = _encode_known(data, i, end, cache, out, at)
        while i < end:
            stop = _end_of_chunk(data, i, end)
            if (stop - i) * table.growth >= text.size:
                return r, i, at, misses, (stop - i) * table.growth + 1, 0
            text[0] = SPACE
            length = normalize_into(data, i, stop, table, text, 1)
            length -= text[length - 1] == SPACE
            if length >= best.size or at + length + ROOM > out.size:
                return r, i, at, misses, 0, length + 1
            before = at
            at = segment(text, length, class_of, following, first, pieces, best, piece_to, out, at)
            misses += 1
            if stop - i <= KEY_BYTES and at - before <= ENTRY_IDS:
                _cache_insert(cache, data, i, stop - i, out, before, at - before)
            i, at = _encode_known(data, stop + 1, end, cache, out, at)
        if at == out.size:
            return r, end, at, misses, 0, 1
        if eos >= 0:
            out[at] = eos
            at += 1
        r += 1
        ends[r] = at
        i = offsets[r]
    return r, i, at, misses, 0, 0


@kernel
def encode_records(data, offsets, table, automaton, cache, eos):
    """Return the ids of each record data[offsets[r]:offsets[r + 1]].

    As (uint16[n], int64[records + 1] offsets, misses).

    eos: an id to put at the end of every record, or -1. `cache` is filled on the way, and may be used again
    with the same table and automaton; `misses` is how many chunks were not in it.
    """
    ends = np.zeros(offsets.size, np.int64)
    out = np.empty((offsets[-1] - offsets[0]) * 2 // 7 + 2 * ROOM, np.uint16)
    text = np.empty(1 << 10, np.uint8)
    best, piece_to = np.empty(1 << 10, np.int64), np.empty(1 << 10, np.int64)
    r, i, at, misses = 0, offsets[0], 0, 0
    while r < offsets.size - 1:
        r, i, at, more, text_bytes, room = _encode_while_it_fits(
            data, offsets, r, i, table, automaton, cache, eos, (text, best, piece_to), out, at, ends
        )
        misses += more
        if text_bytes > LONG * table.growth:
            stop = _end_of_chunk(data, i, offsets[r + 1])
            out, at = encode_long(data, i, stop, table, automaton, LONG, out, at)
            misses, i, text_bytes = misses + 1, stop + 1, 0
        text = enlarged(text, text_bytes)
        best, piece_to = enlarged(best, room), enlarged(piece_to, room)
        out = enlarged(out, at + room + ROOM)
    return out[:at], ends, misses
