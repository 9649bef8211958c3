"""The table of distinct runs and their counts.

Hashed, growing, and merged with others of its kind.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spanish_tok.kernels import inner_kernel, kernel
from spanish_tok.kernels.bytes import enlarged, equal_bytes, hash_bytes

UPPER_HALF, LOWER_HALF = np.uint64(0xFFFFFFFF00000000), np.uint64(0x00000000FFFFFFFF)


class Runs(NamedTuple):
    """Distinct runs and their counts.

    A hash table with open addressing over an arena of bytes.

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

    # `▁sol`, 3 times, and `!`, once: text "▁sol!" (▁ has 3 bytes), rows [[0, 3], [6, 1], [7, 0]], sizes 2 7 0.


@kernel
def new_runs():
    """Return an empty table."""
    return Runs(
        np.zeros(1 << 10, np.uint64),
        np.empty(1 << 9, np.uint64),
        np.zeros(((1 << 9) + 1, 2), np.int64),
        np.empty(1 << 13, np.uint8),
        np.zeros(3, np.int64),
    )


@inner_kernel
def has_room(runs, more, more_bytes):
    """Whether `more` runs of `more_bytes` bytes together fit in."""
    count, used = runs.sizes[0] + more, runs.sizes[1] + more_bytes
    return 2 * count <= runs.slots.size and count <= runs.hashes.size and used <= runs.text.size


@kernel
def with_room(runs, more, more_bytes):
    """Return the table with room for `more` runs of `more_bytes` bytes together.

    Its arrays may be new ones.
    """
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


@inner_kernel
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
    """Add the counts of the table `others` to `runs`; return the table.

    Its arrays may be new ones.
    """
    if not has_room(runs, others.sizes[0], others.sizes[1]):
        runs = with_room(runs, others.sizes[0], others.sizes[1])
    for run in range(others.sizes[0]):
        add_run(runs, others.text, others.rows[run, 0], others.rows[run + 1, 0], others.rows[run, 1])
    runs.sizes[2] += others.sizes[2]
    return runs
