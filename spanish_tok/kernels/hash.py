"""XXH64 of the rows of a column, and how often each hash occurred before.

Collet, https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md: a hash that every language has, so that
anybody can tell which records a sample holds.
"""

import numpy as np

from spanish_tok.kernels import kernel
from spanish_tok.kernels.bytes import load_word, low_bytes, word_at

PRIME_1 = np.uint64(0x9E3779B185EBCA87)
PRIME_2 = np.uint64(0xC2B2AE3D27D4EB4F)
PRIME_3 = np.uint64(0x165667B19E3779F9)
PRIME_4 = np.uint64(0x85EBCA77C2B2AE63)
PRIME_5 = np.uint64(0x27D4EB2F165667C5)


@kernel
def rotate(value, count):
    """Return a uint64 rotated to the left."""
    return value << np.uint64(count) | value >> np.uint64(64 - count)


@kernel
def step(state, word):
    """One round of XXH64: a lane takes in eight bytes."""
    return rotate(state + word * PRIME_2, 31) * PRIME_1


@kernel
def xxh64(data, start, end, seed):
    """XXH64 of data[start:end] (uint8) with a uint64 seed."""
    i = np.int64(start)
    if end - start >= 32:
        a, b = seed + PRIME_1 + PRIME_2, seed + PRIME_2
        c, d = seed, seed - PRIME_1
        while i + 32 <= end:
            a = step(a, load_word(data, i))
            b = step(b, load_word(data, i + 8))
            c = step(c, load_word(data, i + 16))
            d = step(d, load_word(data, i + 24))
            i += 32
        value = rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18)
        for lane in (a, b, c, d):
            value = (value ^ step(np.uint64(0), lane)) * PRIME_1 + PRIME_4
    else:
        value = seed + PRIME_5
    value += np.uint64(end - start)
    while i + 8 <= end:
        value = rotate(value ^ step(np.uint64(0), load_word(data, i)), 27) * PRIME_1 + PRIME_4
        i += 8
    if i + 4 <= end:
        word = low_bytes(word_at(data, i), 4)
        value = rotate(value ^ word * PRIME_1, 23) * PRIME_2 + PRIME_3
        i += 4
    while i < end:
        value = rotate(value ^ np.uint64(data[i]) * PRIME_5, 11) * PRIME_1
        i += 1
    value = (value ^ value >> np.uint64(33)) * PRIME_2
    value = (value ^ value >> np.uint64(29)) * PRIME_3
    return value ^ value >> np.uint64(32)


@kernel
def hash_rows(data, offsets, seeds):
    """Return XXH64 of each row data[offsets[r]:offsets[r + 1]]: uint64[rows].

    Each row has its seed, uint64[rows].
    """
    hashes = np.empty(offsets.size - 1, np.uint64)
    for r in range(hashes.size):
        hashes[r] = xxh64(data, offsets[r], offsets[r + 1], seeds[r])
    return hashes


@kernel
def occurrences(hashes, table, filled):
    """How often each hash occurred before: (uint64[rows], table, filled).

    table: uint64[slots, 2], (hash, count) by open addressing, slots a power of two; it grows, and is to be
    given back with `filled` at the next call. A count of 0 is an empty slot.
    """
    before = np.empty(hashes.size, np.uint64)
    for r in range(hashes.size):
        if 4 * filled >= 3 * table.shape[0]:
            table = grown(table)
        slot = slot_of(table, hashes[r])
        before[r] = table[slot, 1]
        filled += table[slot, 1] == 0
        table[slot, 0] = hashes[r]
        table[slot, 1] += np.uint64(1)
    return before, table, filled


@kernel
def slot_of(table, value):
    """Return the slot of a hash in a table, or the empty slot for it.

    The table holds (hash, not 0).
    """
    mask = table.shape[0] - 1
    slot = np.int64(value & np.uint64(mask))
    while table[slot, 1] != 0 and table[slot, 0] != value:
        slot = (slot + 1) & mask
    return slot


@kernel
def grown(table):
    """Return the same entries in a table of twice the size."""
    larger = np.zeros((2 * table.shape[0], 2), np.uint64)
    for slot in range(table.shape[0]):
        if table[slot, 1] != 0:
            free = slot_of(larger, table[slot, 0])
            larger[free, 0] = table[slot, 0]
            larger[free, 1] = table[slot, 1]
    return larger
