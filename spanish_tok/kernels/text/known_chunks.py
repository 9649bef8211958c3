"""Chunks of text whose ids are known.

A table of bounded size, which never changes a result.
It holds raw chunks of up to 15 bytes as they stand in the text, with the ids that they become.

    cache: uint64[sets, 8], two entries in each set, which is one line of the processor's cache:
           bytes 0-7 of the chunk | bytes 8-14, byte 15 its length | ids 0-3 | ids 4-6, bits 48-63 how many
           An unused entry is all zero, which is right for the empty chunk too.
"""

# The chunk "hola," of 5 bytes, which becomes the ids 1884 and 6, is in its entry
#
#     0x2C616C6F68 (its bytes, the first one lowest) | 5 << 56 | 6 << 16 | 1884 | 2 << 48
#
# One comparison of two words tells whether a chunk is there, two stores write up to seven ids.

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spanish_tok.kernels import inner_kernel
from spanish_tok.kernels.bytes import HIGHS, ONES, low_bytes, store_word, word_at
from spanish_tok.kernels.text.normalize import SPACE


class Plain(NamedTuple):
    """What a chunk can be without, and becomes the same ids.

    All but that of a sign at its end.

    capitals: 0x20 in each byte where A to Z become what a to z become, else 0
    sign_ids: uint16[128], the id of an ASCII sign that no piece joins to one of `joins` before it; 0 for all others
    joins:    bool[192], whether a stem may end so: an ASCII byte, or 128 + k for U+00C0 + k, the bytes C3 80+k
    """

    capitals: np.uint64
    sign_ids: NDArray[np.uint16]
    joins: NDArray[np.bool_]


ENTRY_IDS = 7
FIRST_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
SECOND_MULTIPLIER = np.uint64(0xC2B2AE3D27D4EB4F)
LENGTH_SHIFT = np.uint64(56)
NUMBER_SHIFT = np.uint64(48)
A_AND_ABOVE, ABOVE_Z = ONES * np.uint64(0x80 - ord("A")), ONES * np.uint64(0x80 - ord("Z") - 1)
LATIN_LEAD = 0xC3  # of U+00C0 to U+00FF


@inner_kernel
def set_of(low, high, sets):
    """Return the set where a key belongs, of up to 2^32 `sets`.

    From the upper bits, for every bit of the key is in them.
    """
    mixed = (low ^ high * SECOND_MULTIPLIER) * FIRST_MULTIPLIER
    return np.int64((mixed >> np.uint64(32)) * np.uint64(sets) >> np.uint64(32))


@inner_kernel
def key_of(data, start, length):
    """Return the key of a chunk, data[start:start + length]."""
    low, high = word_at(data, start), np.uint64(0)
    if length < 8:
        low = low_bytes(low, length)
    else:
        high = low_bytes(word_at(data, start + 8), length - 8)
    return low, high | np.uint64(length) << LENGTH_SHIFT


@inner_kernel
def _without_capitals(word, capitals):
    """Return 8 bytes with a to z in place of A to Z, if `capitals` allows it."""
    low_bits = word & ~HIGHS
    from_a, beyond_z = low_bits + A_AND_ABOVE, low_bits + ABOVE_Z  # the highest bit of a byte tells it
    return word | ((from_a ^ beyond_z) & ~word & HIGHS) >> np.uint64(2) & capitals


@inner_kernel
def plain_form(data, start, length, plain):
    """Return the key of a chunk's plain form, and the id of its last sign.

    That is 0 where it ends in none.
    """
    sign = np.int64(0)
    last = data[start + length - 1]
    if length > 1 and last < 0x80 and plain.sign_ids[last] != 0:
        before = np.int64(data[start + length - 2])
        if before >= 0x80:
            after_lead = length > 2 and data[start + length - 3] == LATIN_LEAD
            before = 128 + (before & 0x3F) if after_lead else np.int64(SPACE)
        if plain.joins[before]:
            sign, length = np.int64(plain.sign_ids[last]), length - 1
    low, high = key_of(data, start, length)
    return _without_capitals(low, plain.capitals), _without_capitals(high, plain.capitals), sign


@inner_kernel
def read_known(cache, low, high, out, at):
    """Write the ids of a key into out[at:]; return the new end.

    It is `at` if the cache does not hold the key.
    """
    line = set_of(low, high, cache.shape[0])
    for entry in (0, 4):
        if cache[line, entry] == low and cache[line, entry + 1] == high:
            more = cache[line, entry + 3]
            store_word(out, at, cache[line, entry + 2])
            store_word(out, at + 4, more)
            return at + np.int64(more >> NUMBER_SHIFT)
    return at


@inner_kernel
def insert_known(cache, low, high, out, at, count):
    """Put a key and its ids out[at:at + count] into the cache.

    The first chunk of a set stays, for frequent ones come early; the second is replaced.
    """
    line = set_of(low, high, cache.shape[0])
    entry = 0 if cache[line, 1] == 0 else 4
    cache[line, entry], cache[line, entry + 1] = low, high
    cache[line, entry + 2], cache[line, entry + 3] = np.uint64(0), np.uint64(count) << NUMBER_SHIFT
    for k in range(count):
        cache[line, entry + 2 + (k >> 2)] |= np.uint64(out[at + k]) << np.uint64(16 * (k & 3))
