"""Seeds of many records at once, as NumPy's SeedSequence makes them one by one.

SeedSequence takes 20 microseconds of Python a record, and the interpreter's lock with them; a batch of 256 records
would wait 5 ms for its seeds, longer than a graphics card takes to compute with it.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spanish_tok.errors import SpanishTokError

Words = NDArray[np.uint32]

POOL = 4  # words that the entropy is mixed into
SHIFT = np.uint32(16)
LEFT, RIGHT = np.uint32(0xCA01F9DD), np.uint32(0x4973F715)


def seeds_of(seed: int, epoch: int, records: Sequence[int]) -> NDArray[np.uint64]:
    """Return 64 bits for each record, which depend on all three numbers.

    Also on small ones: those of `numpy.random.SeedSequence((seed, epoch, record)).generate_state(1, numpy.uint64)`.

    Raises SpanishTokError for an epoch or a record below 0.

    >>> seeds_of(1, 0, range(2)).tolist() == [
    ...     int(np.random.SeedSequence((1, 0, record)).generate_state(1, np.uint64)[0]) for record in range(2)
    ... ]
    True
    """
    if min(epoch, *records, 0) < 0:
        raise SpanishTokError(
            f"Epoch {epoch} or record {min(records, default=0)} is below 0", "Give numbers from 0 up."
        )
    if max(records, default=0) >= 1 << 32:  # two words long: one by one
        sequences = (np.random.SeedSequence((seed, epoch, record)) for record in records)
        return np.array([sequence.generate_state(1, np.uint64)[0] for sequence in sequences], np.uint64)
    rows = np.array(records, np.uint32)
    fixed = [np.full(rows.size, word, np.uint32) for number in (seed, epoch) for word in _words(number)]
    return _states(_pool([*fixed, rows]))


def _words(number: int) -> list[int]:
    """Return a number in words of 32 bits, the lowest first."""
    words = [number & 0xFFFFFFFF]
    while number := number >> 32:
        words.append(number & 0xFFFFFFFF)
    return words


class _Hash:
    """A hash of words whose constant changes with every call."""

    def __init__(self, start: int, factor: int) -> None:
        self.constant, self.factor = start, factor

    def __call__(self, words: Words) -> Words:
        words = words ^ np.uint32(self.constant)
        self.constant = self.constant * self.factor & 0xFFFFFFFF
        words = words * np.uint32(self.constant)
        return words ^ (words >> SHIFT)


def _pool(entropy: list[Words]) -> list[Words]:
    """Mix words of entropy into the pool."""
    hashed = _Hash(0x43B0D7E5, 0x931E8875)
    nothing = np.zeros_like(entropy[0])
    pool = [hashed(word) for word in (entropy + [nothing] * POOL)[:POOL]]
    for source in range(POOL):
        for target in range(POOL):
            if source != target:
                pool[target] = _mixed(pool[target], hashed(pool[source]))
    for word in entropy[POOL:]:
        for target in range(POOL):
            pool[target] = _mixed(pool[target], hashed(word))
    return pool


def _mixed(x: Words, y: Words) -> Words:
    mixed = x * LEFT - y * RIGHT
    return np.asarray(mixed ^ (mixed >> SHIFT), np.uint32)


def _states(pool: list[Words]) -> NDArray[np.uint64]:
    """Return the first 64 bits that a pool gives."""
    hashed = _Hash(0x8B51F9DD, 0x58F38DED)
    low, high = hashed(pool[0]), hashed(pool[1])
    return low.astype(np.uint64) | (high.astype(np.uint64) << np.uint64(32))
