"""Count runs in one pass.

Chunks between spaces go through a small table, new ones through normalization.

Two tables. `Seen` holds raw chunks of up to 15 bytes as they stand in the text, with a count each; most of a
text is found there and never looked at again. When it is full, and at the end, each chunk in it is
normalized and split once, and its count goes to its runs in `Runs`.
"""

from typing import NamedTuple

import numpy as np
from numba.cpython.unsafe.numbers import trailing_zeros
from numpy.typing import NDArray

from spanish_tok.kernels import inner_kernel, kernel
from spanish_tok.kernels.bytes import (
    BLOCK,
    KEPT_HIGH,
    KEPT_LOW,
    KEY_BYTES,
    MARGIN,
    ONES,
    first_zero_byte,
    load_word,
    mix,
    places_of,
    word_at,
)
from spanish_tok.kernels.text.normalize import SPACE, UNTOUCHED, decode_character, end_of_part, normalize_into
from spanish_tok.kernels.text.runs import add_run, has_room, with_room

RUN_LIMIT = 64  # characters; a longer run is cut, and each part counted as a run
PART = 1 << 16  # bytes of one chunk normalized at a time
SEEN_AT_FIRST, SEEN_AT_MOST = 1 << 14, 1 << 20  # entries of 32 bytes, three quarters of them in use at most
SPACES = np.uint64(SPACE) * ONES
NEWLINE = 0x0A
NEWLINES = np.uint64(NEWLINE) * ONES


class Scratch(NamedTuple):
    """A block of normalized text, and the run that is being read.

    The run may continue in the next block.

    normalized: uint8[(PART + 8) * growth + 64]
    text:       uint8[4 * RUN_LIMIT + 3], the bytes of the open run so far
    state:      int64[4]: its length in bytes, its characters, its kind, 1 where the next run begins a word
    """

    normalized: NDArray[np.uint8]
    text: NDArray[np.uint8]
    state: NDArray[np.int64]


@kernel
def new_scratch(table):
    """Room for one block."""
    normalized = np.zeros((PART + 8) * table.growth + 64, np.uint8)
    return Scratch(normalized, np.empty(4 * RUN_LIMIT + 3, np.uint8), np.zeros(4, np.int64))


@inner_kernel
def _begin_word(scratch):
    scratch.state[0], scratch.state[1], scratch.state[2], scratch.state[3] = 0, 0, UNTOUCHED, 1


@inner_kernel
def _end_word(runs, scratch, count):
    """Add the run that is still open, if one is."""
    if scratch.state[0] > 0:
        add_run(runs, scratch.text, 0, scratch.state[0], count)


@inner_kernel
def _split_into(runs, scratch, end, count, kinds):
    """Add the runs of scratch.normalized[1:end] but the last, which stays open."""
    length, characters, kind, word_begins = (
        scratch.state[0],
        scratch.state[1],
        scratch.state[2],
        scratch.state[3],
    )
    i = 1
    while i < end:
        code, width = np.int64(scratch.normalized[i]), 1
        if code >= 0x80:
            code, width = decode_character(scratch.normalized, i, end)
        new_kind = np.int64(kinds[code])
        if new_kind != kind or characters == RUN_LIMIT:
            if length > 0:
                add_run(runs, scratch.text, 0, length, count)
                if new_kind == kind:
                    runs.sizes[2] += count
            if kind == UNTOUCHED:
                word_begins = 1
            length, characters, kind = 0, 0, new_kind
            if new_kind != UNTOUCHED and word_begins == 1:
                scratch.text[0], scratch.text[1], scratch.text[2] = 0xE2, 0x96, 0x81  # ▁
                length, word_begins = 3, 0
        if new_kind != UNTOUCHED:
            for k in range(width):
                scratch.text[length + k] = scratch.normalized[i + k]
            length += width
            characters += 1
        i += width
    scratch.state[0], scratch.state[1], scratch.state[2], scratch.state[3] = (
        length,
        characters,
        kind,
        word_begins,
    )


@kernel
def add_chunk(runs, data, start, end, count, table, scratch):
    """Normalize data[start:end], split it into runs and add each.

    It begins a word; a block at a time.

    `scratch.normalized` begins with a byte that is no space, so that `normalize_into` keeps a space at the
    start of a block. Returns the table.
    """
    _begin_word(scratch)
    while start < end:
        stop = end_of_part(data, start, end, PART)
        filled = normalize_into(data, start, stop, table, scratch.normalized, 1)
        if not has_room(runs, filled, 4 * filled + scratch.text.size):
            runs = with_room(runs, filled, 4 * filled + scratch.text.size)
        _split_into(runs, scratch, filled, count, table.kinds)
        start = stop
    _end_word(runs, scratch, count)
    return runs


@kernel
def empty_seen(runs, seen, table, scratch):
    """Move every chunk of `seen` to its runs, and clear `seen`. Returns the table."""
    most, key = KEY_BYTES * table.growth, np.empty(16, np.uint8)
    entry = _move_seen(runs, seen, 0, table, scratch, key)
    while entry < seen.shape[0]:
        runs = with_room(runs, most, 4 * most + scratch.text.size)
        entry = _move_seen(runs, seen, entry, table, scratch, key)
    return runs


@inner_kernel
def _move_seen(runs, seen, entry, table, scratch, key):
    """Move the chunks of `seen` from `entry` on until `runs` has no room.

    Returns where it stopped.

    A loop of its own, in which no table is replaced: Numba would count references for each chunk.
    """
    most = KEY_BYTES * table.growth
    while entry < seen.shape[0]:
        if seen[entry, 2] != 0:
            if not has_room(runs, most, 4 * most + scratch.text.size):
                break
            for k in range(8):
                key[k] = (seen[entry, 0] >> np.uint64(8 * k)) & np.uint64(0xFF)
                key[k + 8] = (seen[entry, 1] >> np.uint64(8 * k)) & np.uint64(0xFF)
            count = np.int64(seen[entry, 2])
            _begin_word(scratch)
            filled = normalize_into(key, 0, np.int64(key[15]), table, scratch.normalized, 1)
            _split_into(runs, scratch, filled, count, table.kinds)
            _end_word(runs, scratch, count)
            seen[entry, 2] = 0
        entry += 1
    return entry


@kernel
def _enlarged_seen(seen):
    larger = np.zeros((4 * seen.shape[0], 4), np.uint64)
    for entry in range(seen.shape[0]):
        if seen[entry, 2] != 0:
            slot = _slot_of(larger, seen[entry, 0], seen[entry, 1])
            larger[slot] = seen[entry]
    return larger


@inner_kernel
def _slot_of(seen, low, high):
    """Where a key stands in `seen`, or the empty entry where it would."""
    mask = np.uint64(seen.shape[0] - 1)
    slot = np.int64(mix(low, high) & mask)
    while seen[slot, 2] != 0 and (seen[slot, 0] != low or seen[slot, 1] != high):
        slot = (slot + 1) & np.int64(mask)
    return slot


@inner_kernel
def _fill_seen(data, end, i, seen, filled):
    """Count the chunks of data[i:end] in `seen`.

    Until one is too long for it or `seen` is full.

    Returns (i, filled): the text is done up to i. The loop that reads every byte: it touches two arrays.
    """
    room = 3 * seen.shape[0] // 4
    while i < end and i + MARGIN <= data.size:
        begin = i
        stops = places_of(data, begin, SPACE) | places_of(data, begin, NEWLINE)
        if end - begin < BLOCK:
            last = np.uint64(1) << np.uint64(end - begin)
            stops = (stops | last) & (last | (last - np.uint64(1)))
        if stops == 0:
            return i, filled
        while stops != 0:
            stop = begin + np.int64(trailing_zeros(stops))
            stops &= stops - np.uint64(1)
            length = stop - i
            if length > KEY_BYTES or filled >= room:
                return i, filled
            if length > 0:
                low = load_word(data, i) & KEPT_LOW[length]
                high = load_word(data, i + 8) & KEPT_HIGH[length]
                filled += _count_chunk(seen, low, high, length)
            i = stop + 1
    return _fill_seen_near_the_end(data, end, i, seen, filled)


@inner_kernel
def _fill_seen_near_the_end(data, end, i, seen, filled):
    """Count chunks where a block of 64 bytes would go beyond `data`."""
    while i < end:
        low, high = word_at(data, i), np.uint64(0)
        length = min(first_zero_byte(low ^ SPACES), first_zero_byte(low ^ NEWLINES))
        if length == 8:
            high = word_at(data, i + 8)
            length += min(first_zero_byte(high ^ SPACES), first_zero_byte(high ^ NEWLINES))
        length = min(length, end - i)
        if length > KEY_BYTES or 4 * filled >= 3 * seen.shape[0]:
            return i, filled
        if length > 0:
            filled += _count_chunk(seen, low & KEPT_LOW[length], high & KEPT_HIGH[length], length)
        i += length + 1
    return i, filled


@inner_kernel
def _count_chunk(seen, low, high, length):
    """Add one to a chunk in `seen`; returns 1 where it is new, else 0."""
    high |= np.uint64(length) << np.uint64(56)
    slot = _slot_of(seen, low, high)
    new = seen[slot, 2] == 0
    seen[slot, 0], seen[slot, 1] = low, high
    seen[slot, 2] += np.uint64(1)
    return np.int64(new)


@kernel
def count_records(data, offsets, table, runs, seen, filled):
    """Count the runs of the records data[offsets[r]:offsets[r + 1]] into `runs`.

    Through `seen`.

    seen: uint64[2^k, 4]: bytes 0-7 of a raw chunk, bytes 8-14 with its length in byte 15, count, unused.
    filled: int, entries of `seen` in use. Returns (runs, seen, filled).
    """
    scratch = new_scratch(table)
    for r in range(offsets.size - 1):
        i, end = offsets[r], offsets[r + 1]
        i, filled = _fill_seen(data, end, i, seen, filled)
        while i < end:
            if 4 * filled < 3 * seen.shape[0]:  # a chunk too long for `seen`
                stop = i + KEY_BYTES
                while stop < end and data[stop] != SPACE and data[stop] != NEWLINE:
                    stop += 1
                runs = add_chunk(runs, data, i, stop, 1, table, scratch)
                i = stop + 1
            elif seen.shape[0] < SEEN_AT_MOST:
                seen = _enlarged_seen(seen)
            else:
                runs = empty_seen(runs, seen, table, scratch)
                filled = 0
            i, filled = _fill_seen(data, end, i, seen, filled)
    return runs, seen, filled


@kernel
def finish_counting(table, runs, seen):
    """Move what is left in `seen` to `runs`."""
    return empty_seen(runs, seen, table, new_scratch(table))
