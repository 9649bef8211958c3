"""Bytes eight at a time: unaligned loads, the first of a byte, a hash."""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.cpython.unsafe.numbers import trailing_zeros
from numba.extending import intrinsic

from spanish_tok.kernels import inner_kernel, kernel

ONES = np.uint64(0x0101010101010101)
HIGHS = np.uint64(0x8080808080808080)
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio
SECOND_MULTIPLIER = np.uint64(0xC2B2AE3D27D4EB4F)  # a prime of xxHash
BLOCK = 64  # bytes that `places_of` looks at
BYTES = ir.VectorType(ir.IntType(8), BLOCK)

# Chunks of text are kept in tables by a key of 16 bytes: up to 15 of the chunk, and its length. What a chunk of
# each length keeps of the first 8 bytes and of the next 8: 3 bytes -> 0xFFFFFF, 0; 9 bytes -> all, 0xFF
KEY_BYTES = 15
MARGIN = BLOCK + 16  # bytes that a loop over blocks may read beyond a chunk's beginning
KEPT_LOW = np.array([(1 << 8 * min(length, 8)) - 1 for length in range(16)], np.uint64)
KEPT_HIGH = np.array([(1 << 8 * max(length - 8, 0)) - 1 for length in range(16)], np.uint64)


@intrinsic
def load_word(_context: Any, data: Any, index: Any) -> Any:
    """Return the 8 bytes data[index:index + 8] as a little-endian uint64.

    At any alignment. The caller checks bounds.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        pointer = builder.gep(array.data, [arguments[1]])
        wide = builder.bitcast(pointer, ir.IntType(64).as_pointer())
        value = builder.load(wide, typ=ir.IntType(64))
        value.align = 1
        return value

    return types.uint64(data, index), generate


@intrinsic
def store_word(_context: Any, data: Any, index: Any, _value: Any) -> Any:
    """Write the 8 bytes of a uint64 over the items of `data` from `index` on.

    The caller checks bounds.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        pointer = builder.gep(array.data, [arguments[1]])
        wide = builder.bitcast(pointer, ir.IntType(64).as_pointer())
        builder.store(arguments[2], wide, align=1)
        return context.get_dummy_value()

    return types.void(data, index, types.uint64), generate


def _block(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Return the 64 bytes data[index:index + 64] as a vector."""
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    block = builder.load(builder.bitcast(builder.gep(array.data, [arguments[1]]), BYTES.as_pointer()))
    block.align = 1
    return block


def _repeated(builder: Any, byte: Any) -> Any:
    """Return a byte in all 64 lanes of a vector."""
    first = builder.insert_element(ir.Constant(BYTES, ir.Undefined), byte, ir.IntType(32)(0))
    return builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(ir.IntType(32), BLOCK), None))


@intrinsic
def places_of(_context: Any, data: Any, index: Any, _byte: Any) -> Any:
    """Return a uint64 whose bit k tells whether data[index + k] is the byte.

    k = 0 to 63. The caller checks bounds.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        block = _block(context, builder, signature, arguments)
        equal = builder.icmp_unsigned("==", block, _repeated(builder, arguments[2]))
        return builder.bitcast(equal, ir.IntType(64))

    return types.uint64(data, index, types.uint8), generate


@intrinsic
def bits_of(_context: Any, data: Any, index: Any, _mask: Any, _value: Any) -> Any:
    """Return a uint64 whose bit k tells whether data[index + k] & mask == value.

    k = 0 to 63. The caller checks bounds.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        block = _block(context, builder, signature, arguments)
        masked = builder.and_(block, _repeated(builder, arguments[2]))
        equal = builder.icmp_unsigned("==", masked, _repeated(builder, arguments[3]))
        return builder.bitcast(equal, ir.IntType(64))

    return types.uint64(data, index, types.uint8, types.uint8), generate


@inner_kernel
def word_at(data, index):
    """Return the 8 bytes from `index` on as a little-endian uint64.

    Past the end of `data` they are zero.
    """
    if index + 8 <= data.size:
        return load_word(data, index)
    word = np.uint64(0)
    for k in range(max(0, data.size - index)):
        word |= np.uint64(data[index + k]) << np.uint64(8 * k)
    return word


@inner_kernel
def first_zero_byte(word):
    """Return the index of the first zero byte of a little-endian uint64.

    0 to 7, or 8 without one.

    From Sean Anderson's Bit Twiddling Hacks, "determine if a word has a zero byte".
    """
    zeros = (word - ONES) & ~word & HIGHS
    if zeros == 0:
        return 8
    return np.int64(trailing_zeros(zeros)) >> 3


@inner_kernel
def letters_of(word):
    """Return the highest bit of each byte of a uint64 that is a-z, all else 0."""
    low = word & ~HIGHS  # so that no sum reaches the next byte
    from_a, beyond_z = low + np.uint64(0x80 - 0x61) * ONES, low + np.uint64(0x80 - 0x7B) * ONES
    return from_a & ~beyond_z & ~word & HIGHS


@inner_kernel
def spaces_of(word):
    """Return the highest bit of each byte of a uint64 that is a space, all else 0."""
    low = (word ^ np.uint64(0x20) * ONES) & ~HIGHS
    return ~((low + ~HIGHS) | word) & HIGHS


@inner_kernel
def copy_letters(data, start, end, target, at):
    """Copy the letters a-z that data[start:end] begins with to target[at:].

    Returns how many. `target` must have room for all of data[start:end].
    """
    i = start
    while i + 8 <= end:
        word = load_word(data, i)
        store_word(target, at + i - start, word)
        others = letters_of(word) ^ HIGHS
        if others != 0:
            return i - start + (np.int64(trailing_zeros(others)) >> 3)
        i += 8
    while i < end and 0x61 <= data[i] <= 0x7A:
        target[at + i - start] = data[i]
        i += 1
    return i - start


@inner_kernel
def mix(low, high):
    """Return a 64-bit hash of two uint64: multiply, fold, multiply.

    This is the finish of MurmurHash3, shortened.
    """
    value = (low ^ (high * SECOND_MULTIPLIER)) * MULTIPLIER
    value ^= value >> np.uint64(32)
    value *= SECOND_MULTIPLIER
    return value ^ (value >> np.uint64(29))


@inner_kernel
def low_bytes(word, count):
    """Return the first `count` bytes (0 to 7) of a little-endian uint64.

    The others are zero.
    """
    return word & ((np.uint64(1) << np.uint64(8 * count)) - np.uint64(1))


@inner_kernel
def hash_bytes(data, start, end):
    """Return a 64-bit hash of data[start:end] and its length.

    8 bytes a step.
    """
    value = np.uint64(end - start)
    i = start
    while i + 8 <= end:
        value = mix(value, load_word(data, i))
        i += 8
    return mix(value, low_bytes(word_at(data, i), end - i))


@kernel
def hash_rows(data, offsets, hashes):
    """Write the hash of each data[offsets[r]:offsets[r + 1]] into hashes.

    They are uint64[rows].
    """
    for r in range(hashes.size):
        hashes[r] = hash_bytes(data, offsets[r], offsets[r + 1])


@inner_kernel
def equal_bytes(left, left_start, right, right_start, length):
    """Return whether two stretches of bytes are equal.

    left[left_start:left_start + length] and right[right_start:right_start + length].
    """
    k = 0
    while k + 8 <= length:
        if load_word(left, left_start + k) != load_word(right, right_start + k):
            return False
        k += 8
    rest = word_at(left, left_start + k) ^ word_at(right, right_start + k)
    return low_bytes(rest, length - k) == 0


@inner_kernel
def copy(source, count, target, at):
    """Write source[:count] to target[at:].

    As target[at : at + count] = source[:count] does, which takes Numba five seconds to compile, for its message where
    the shapes differ.
    """
    for k in range(count):
        target[at + k] = source[k]


@kernel
def enlarged(array, needed):
    """Return `array` if it holds `needed` items, else a larger copy.

    The copy has room for half as many again.
    """
    if needed <= array.size:
        return array
    larger = np.empty(needed + (needed >> 1), array.dtype)
    copy(array, array.size, larger, 0)
    return larger
