"""Attention of one head, T5's RMS norm and feed-forward.

All over rows that are padded to multiples of 64.

Keys lie in panels of 64 like a matrix with one row a key (see `product`): keys[(j // 64, i, j % 64)], so scores are
a product. Values lie in groups of 64 columns: values[(i // 64, j, i % 64)], so the mixture of values is one, too.
Both are float32, or int16 with one scale for each key and each value, which makes them as exact as 15 bits.
"""

# With d_kv 64, number i of key 70 lies at (1 * 64 + i) * 64 + 6: panel 1, lane 6. With room for 128 values, number i of
# value 70 lies at (0 * 128 + 70) * 64 + i: it is one row of the only group.

import numpy as np
from numba import types
from numba.extending import overload

from spanish_tok.kernels import kernel
from spanish_tok.kernels.nn.lanes import (
    LANES,
    ONE,
    broadcast,
    exponential,
    fma,
    load,
    maximum,
    reduce_max,
    reduce_sum,
    store,
)
from spanish_tok.kernels.nn.matmul import ZERO, panels, product
from spanish_tok.kernels.nn.matmul_int8 import LARGEST, factor_for

_LOWEST = np.float32(-1e30)  # the score of what is not there
# gelu(x) = x / (1 + exp(-2 sqrt(2 / pi) (x + 0.044715 x^3))), which is the form with tanh (Hendrycks and Gimpel 2016)
_GELU1, _GELU3 = np.float32(-1.5957691216057308), np.float32(-1.5957691216057308 * 0.044715)


@kernel
def normalize(x, weight, d_model, epsilon, out):
    """out = x / sqrt(mean(x^2) + epsilon) * weight, row by row; x is 0 behind d_model."""
    for row in range(x.shape[0]):
        squares = broadcast(ZERO)
        for i in range(0, d_model, LANES):
            part = load(x, (row, i))
            squares = fma(part, part, squares)
        factor = broadcast(ONE / np.sqrt(reduce_sum(squares) / np.float32(d_model) + epsilon))
        for i in range(0, d_model, LANES):
            store(out, (row, i), load(x, (row, i)) * factor * load(weight, i))


@kernel
def add(x, y, d_model):
    """x += y, row by row."""
    for row in range(x.shape[0]):
        for i in range(0, d_model, LANES):
            store(x, (row, i), load(x, (row, i)) + load(y, (row, i)))


@kernel
def activate(x, d_ff, gated):
    """Activate in place.

    ReLU of d_ff columns; gated: the GELU (1) or SiLU (2) of the first d_ff columns times the d_ff behind them.
    """
    cubic, linear = (_GELU3, _GELU1) if gated == 1 else (ZERO, -ONE)  # silu(x) = x / (1 + exp(-x))
    for row in range(x.shape[0]):
        for i in range(0, d_ff, LANES):
            part = load(x, (row, i))
            if gated:
                power = part * fma(part * part, broadcast(cubic), broadcast(linear))
                value = part / (broadcast(ONE) + exponential(power)) * load(x, (row, d_ff + i))
            else:
                value = maximum(part, broadcast(ZERO))
            store(x, (row, i), value)


def put(array, index, value):
    """array[index] = value, the nearest whole number in an array of int16."""
    raise NotImplementedError  # compiled below, one way for each type


@overload(put)
def _put(array, index, value):
    if array.dtype == types.int16:
        return lambda array, index, value: _assign(array, index, np.int16(np.rint(value)))
    return lambda array, index, value: _assign(array, index, value)


@kernel
def _assign(array, index, value):
    array[index] = value


@kernel
def factor_of(numbers, scales, place):
    """Return what to multiply numbers with before they are stored.

    1 without scales, else their scale is scales[place].
    """
    if scales.size == 0:
        return ONE
    highest = ZERO
    for i in range(numbers.size):
        highest = max(highest, abs(numbers[i]))
    scales[place] = highest / LARGEST
    return factor_for(highest)


@kernel
def write_keys(source, keys, scales, first):
    """Append the keys `source` (number, d_kv) to panels.

    `first` keys are there already.
    """
    number, d_kv = source.shape
    for row in range(number):
        key = first + row
        start = key // LANES * LANES * d_kv + key % LANES
        factor = factor_of(source[row], scales, key)
        for i in range(d_kv):
            put(keys, start + i * LANES, source[row, i] * factor)


@kernel
def write_values(source, values, scales, first, capacity):
    """Append the values `source` (number, d_kv) to groups of columns.

    They have room for `capacity` values.
    """
    number, d_kv = source.shape
    for row in range(number):
        factor = factor_of(source[row], scales, first + row)
        for i in range(d_kv):
            put(values, (i // LANES * capacity + first + row) * LANES + i % LANES, source[row, i] * factor)


@kernel
def attend(q, keys, values, key_scales, value_scales, count, capacity, bias, zero, scores, out):
    """Mix values for the queries q over `count` keys into out.

    q and out are (rows, d_kv).

    key_scales, value_scales: one a key, or empty; bias: what is added by distance, that of key j and query r at
    bias[zero + j - r], or empty; scores: a buffer (rows, count to the next multiple of 64).
    """
    rows, d_kv = q.shape
    weights = scores[:rows, :count]
    product(keys, q, weights)
    for row in range(rows):
        multiply(scores, row, count, key_scales)
        soften(scores, row, count, bias, zero - row)
        multiply(scores, row, count, value_scales)
    for group in range(panels(d_kv)):
        end = min(d_kv, (group + 1) * LANES)
        product(values[group * capacity * LANES :], weights, out[:, group * LANES : end])


@kernel
def multiply(scores, row, count, scales):
    """scores[row, :count] *= scales, where there are any."""
    if scales.size > 0:
        for i in range(0, count, LANES):
            store(scores, (row, i), load(scores, (row, i)) * load(scales, i))


@kernel
def soften(scores, row, count, bias, start):
    """Compute the softmax of scores[row, :count] in place.

    bias[start:] is added first.
    """
    if bias.size > 0:
        for i in range(0, count, LANES):
            store(scores, (row, i), load(scores, (row, i)) + load(bias, start + i))
    for i in range(count, panels(count) * LANES):
        scores[row, i] = _LOWEST
    highest = load(scores, (row, 0))
    for i in range(LANES, count, LANES):
        highest = maximum(highest, load(scores, (row, i)))
    shift = broadcast(reduce_max(highest))
    sums = broadcast(ZERO)
    for i in range(0, count, LANES):
        part = exponential(load(scores, (row, i)) - shift)
        sums = sums + part
        store(scores, (row, i), part)
    factor = broadcast(ONE / reduce_sum(sums))
    for i in range(0, count, LANES):
        store(scores, (row, i), load(scores, (row, i)) * factor)
