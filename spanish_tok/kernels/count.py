"""Counting runs in one pass: chunks between spaces through a small table, what is new through normalization.

Two tables. `Seen` holds raw chunks of up to 15 bytes as they stand in the text, with a count each; most of a
text is found there and never looked at again. When it is full, and at the end, each chunk in it is
normalized and split once, and its count goes to its runs in `Runs`.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spanish_tok.kernels import kernel
from spanish_tok.kernels.memory import (
    ONES,
    enlarged,
    equal_bytes,
    first_zero_byte,
    hash_bytes,
    low_bytes,
    mix,
    word_at,
)
from spanish_tok.kernels.normalize import MARK_LEAD, SPACE, UNTOUCHED, decode_character, normalize_into

RUN_LIMIT = 64  # characters; a longer run is cut, and each part counted as a run
BLOCK = 1 << 16  # bytes of one chunk normalized at a time
KEY_BYTES = 15
SEEN_AT_FIRST, SEEN_AT_MOST = 1 << 14, 1 << 20  # entries of 32 bytes, three quarters of them in use at most
SPACES = np.uint64(SPACE) * ONES
UPPER_HALF, LOWER_HALF = np.uint64(0xFFFFFFFF00000000), np.uint64(0x00000000FFFFFFFF)
NEWLINE = 0x0A
NEWLINES = np.uint64(NEWLINE) * ONES


class Runs(NamedTuple):
    """Distinct runs and their counts; a hash table with open addressing over an arena of bytes.

    slots:  uint64[2^k]: 0, or the upper half of a run's hash in bits 32-63 and its number + 1 in bits 0-31
    hashes: uint64[runs]
    rows:   int64[runs + 1, 2]: where a run's text begins, and its count; text[rows[r, 0]:rows[r + 1, 0]]
            are its UTF-8 bytes
    sizes:  int64[3]: runs, bytes of text in use, how many long runs were cut
    """

    slots: NDArray[np.uint64]
    hashes: NDArray[np.uint64]
    rows: NDArray[np.int64]
    text: NDArray[np.uint8]
    sizes: NDArray[np.int64]


@kernel
def new_runs():
    """An empty table."""
    return Runs(
        np.zeros(1 << 10, np.uint64),
        np.empty(1 << 9, np.uint64),
        np.zeros(((1 << 9) + 1, 2), np.int64),
        np.empty(1 << 13, np.uint8),
        np.zeros(3, np.int64),
    )


@kernel
def has_room(runs, more, more_bytes):
    """Whether `more` runs of `more_bytes` bytes together fit in."""
    count, used = runs.sizes[0] + more, runs.sizes[1] + more_bytes
    return 2 * count <= runs.slots.size and count <= runs.hashes.size and used <= runs.text.size


@kernel
def with_room(runs, more, more_bytes):
    """The table with room for `more` runs of `more_bytes` bytes together; its arrays may be new ones."""
    count, used = runs.sizes[0] + more, runs.sizes[1] + more_bytes
    slots, rows = runs.slots, runs.rows
    if 2 * count > slots.size:
        slots = _rehashed(runs, 4 * count)
    hashes = enlarged(runs.hashes, count)
    if rows.shape[0] <= hashes.size:
        rows = np.empty((hashes.size + 1, 2), np.int64)
        rows[: runs.rows.shape[0]] = runs.rows
    return Runs(slots, hashes, rows, enlarged(runs.text, used), runs.sizes)


@kernel
def _rehashed(runs, at_least):
    size = runs.slots.size
    while size < at_least:
        size *= 2
    slots = np.zeros(size, np.uint64)
    for run in range(runs.sizes[0]):
        slot = np.int64(runs.hashes[run]) & (size - 1)
        while slots[slot] != 0:
            slot = (slot + 1) & (size - 1)
        slots[slot] = (runs.hashes[run] & UPPER_HALF) | np.uint64(run + 1)
    return slots


@kernel
def add_run(runs, data, start, end, count):
    """Add `count` to the run data[start:end]; there must be room for one run more."""
    hashed = hash_bytes(data, start, end)
    upper = hashed & UPPER_HALF
    mask = runs.slots.size - 1
    slot = np.int64(hashed) & mask
    while runs.slots[slot] != 0:
        if runs.slots[slot] & UPPER_HALF == upper:
            run = np.int64(runs.slots[slot] & LOWER_HALF) - 1
            first = runs.rows[run, 0]
            if runs.rows[run + 1, 0] - first == end - start:
                if equal_bytes(runs.text, first, data, start, end - start):
                    runs.rows[run, 1] += count
                    return
        slot = (slot + 1) & mask
    run, used = runs.sizes[0], runs.sizes[1]
    runs.slots[slot] = upper | np.uint64(run + 1)
    runs.hashes[run], runs.rows[run, 1] = hashed, count
    for k in range(end - start):
        runs.text[used + k] = data[start + k]
    runs.rows[run + 1, 0] = used + end - start
    runs.sizes[0], runs.sizes[1] = run + 1, used + end - start


@kernel
def merge_runs(runs, others):
    """Add the counts of the table `others` to `runs`; returns the table, whose arrays may be new ones."""
    if not has_room(runs, others.sizes[0], others.sizes[1]):
        runs = with_room(runs, others.sizes[0], others.sizes[1])
    for run in range(others.sizes[0]):
        add_run(runs, others.text, others.rows[run, 0], others.rows[run + 1, 0], others.rows[run, 1])
    runs.sizes[2] += others.sizes[2]
    return runs


class Scratch(NamedTuple):
    """A block of normalized text, and the run that is being read, which may go on in the next block.

    normalized: uint8[BLOCK * growth + 64]
    text:       uint8[4 * RUN_LIMIT + 3], the bytes of the open run so far
    state:      int64[4]: its length in bytes, its characters, its kind, 1 where the next run begins a word
    """

    normalized: NDArray[np.uint8]
    text: NDArray[np.uint8]
    state: NDArray[np.int64]


@kernel
def new_scratch(table):
    """Room for one block."""
    normalized = np.zeros(BLOCK * table.growth + 64, np.uint8)
    return Scratch(normalized, np.empty(4 * RUN_LIMIT + 3, np.uint8), np.zeros(4, np.int64))


@kernel
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
    """Normalize data[start:end], which begins a word, split it into runs and add each; a block at a time.

    `scratch.normalized` begins with a byte that is no space, so that `normalize_into` keeps a space at the
    start of a block. Returns the table.
    """
    scratch.state[0], scratch.state[1], scratch.state[2], scratch.state[3] = 0, 0, UNTOUCHED, 1
    while start < end:
        stop = min(start + BLOCK, end)
        while stop < end and (data[stop] & 0xC0) == 0x80:
            stop += 1  # never between the bytes of a character
        if stop < end and data[stop] == MARK_LEAD and data[stop - 1] < 0x80:
            stop = min(stop + 2, end)  # nor between a letter and its mark
        filled = normalize_into(data, start, stop, table, scratch.normalized, 1)
        if not has_room(runs, filled, 4 * filled + scratch.text.size):
            runs = with_room(runs, filled, 4 * filled + scratch.text.size)
        _split_into(runs, scratch, filled, count, table.kinds)
        start = stop
    length = scratch.state[0]
    if length > 0:
        add_run(runs, scratch.text, 0, length, count)
    return runs


@kernel
def empty_seen(runs, seen, table, scratch):
    """Move every chunk of `seen` to its runs, and clear `seen`."""
    key = np.empty(16, np.uint8)
    for entry in range(seen.shape[0]):
        if seen[entry, 2] != 0:
            for k in range(8):
                key[k] = (seen[entry, 0] >> np.uint64(8 * k)) & np.uint64(0xFF)
                key[k + 8] = (seen[entry, 1] >> np.uint64(8 * k)) & np.uint64(0xFF)
            runs = add_chunk(runs, key, 0, np.int64(key[15]), np.int64(seen[entry, 2]), table, scratch)
            seen[entry, 2] = 0
    return runs


@kernel
def _enlarged_seen(seen):
    larger = np.zeros((4 * seen.shape[0], 4), np.uint64)
    for entry in range(seen.shape[0]):
        if seen[entry, 2] != 0:
            slot = _slot_of(larger, seen[entry, 0], seen[entry, 1])
            larger[slot] = seen[entry]
    return larger


@kernel
def _slot_of(seen, low, high):
    """Where a key stands in `seen`, or the empty entry where it would."""
    mask = np.uint64(seen.shape[0] - 1)
    slot = np.int64(mix(low, high) & mask)
    while seen[slot, 2] != 0 and (seen[slot, 0] != low or seen[slot, 1] != high):
        slot = (slot + 1) & np.int64(mask)
    return slot


@kernel
def _fill_seen(data, end, i, seen, filled):
    """Count the chunks of data[i:end] in `seen` until one is too long for it or `seen` is full.

    Returns (i, filled): the text is done up to i. The loop that reads every byte: it touches two arrays.
    """
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
            if length < 8:
                low, high = low_bytes(low, length), np.uint64(0)
            else:
                high = low_bytes(high, length - 8)
            high |= np.uint64(length) << np.uint64(56)
            slot = _slot_of(seen, low, high)
            if seen[slot, 2] == 0:
                seen[slot, 0], seen[slot, 1] = low, high
                filled += 1
            seen[slot, 2] += np.uint64(1)
        i += length + 1
    return i, filled


@kernel
def count_records(data, offsets, table, runs, seen, filled):
    """Count the runs of the records data[offsets[r]:offsets[r + 1]] into `runs`, through `seen`.

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
