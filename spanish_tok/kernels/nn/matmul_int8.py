"""Products x W^T with W in int8.

x is rounded to int16, one scale a row, and whole numbers are multiplied and summed.

Panels hold 64 rows of W, two columns at a time: packed[start + i * 64 + 2 * lane] = W[64 * panel + lane, i] for an
even i, behind it that of i + 1; a last column alone is paired with zeros. Sums of DEPTH inputs are exact, and
added up in float32 in the order of the inputs: so a row's result is the same in any batch and on any processor.
"""

# W of 70 rows and 3 columns, 4 with the zeros: W[65, 2] lies in panel 1, lane 1, in the pair of the columns 2 and 3:
# packed[(1 * 4 + 2) * 64 + 2 * 1].

import numpy as np
from numba import types
from numba.extending import overload

from spanish_tok.kernels import kernel
from spanish_tok.kernels.nn.lanes import LANES, broadcast, load, maximum, prefetch, reduce_max, store
from spanish_tok.kernels.nn.matmul import HEIGHT, LINE, TILE, ZERO, panels, product
from spanish_tok.kernels.nn.pairs import (
    PAIR,
    add_products,
    floats_of,
    load_pairs,
    nothing,
    spread_pair,
    store_rounded,
)

DEPTH = 320  # inputs at a time: 20 KB in the first-level cache; 320 * 127 * 32,767 is below 2^31
LARGEST = np.float32(32767)  # what the largest number of a row of x becomes
SMALLEST = np.float32(1e-30)  # a row without larger numbers counts as zeros


@kernel
def paired(inputs):
    """Return `inputs`, or one more if that is odd: the columns of a panel."""
    return inputs + inputs % PAIR


@kernel
def pack_pairs(matrix, packed):
    """Write `matrix` (rows, inputs) in panels of pairs.

    What is missing of the last panel and pair is 0.
    """
    rows, inputs = matrix.shape
    columns = paired(inputs)
    for panel in range(panels(rows)):
        for i in range(columns):
            start = (panel * columns + i // PAIR * PAIR) * LANES + i % PAIR
            for lane in range(LANES):
                row = panel * LANES + lane
                packed[start + PAIR * lane] = matrix[row, i] if row < rows and i < inputs else 0


@kernel
def product_of(weights, scales, x, out):
    """Compute out = x W^T with the panels of W in any precision.

    scales: those of int8, else empty.
    """
    _product_of(weights, scales, x, out)


def _product_of(weights, scales, x, out):
    raise NotImplementedError  # compiled below, one way for each type


@overload(_product_of)
def _choose(weights, scales, x, out):
    if weights.dtype == types.int8:
        return lambda weights, scales, x, out: int8_product(weights, scales, x, out)
    return lambda weights, scales, x, out: product(weights, x, out)


@kernel
def int8_product(weights, scales, x, out):
    """out = x W^T.

    weights: panels of pairs, int8; scales: one float32 for each row of the panels; x (rows, inputs), out (rows,
    outputs): float32 with contiguous rows. Rows of `out` are written up to the next multiple of 64: there must be
    room. The memory behind the panels is prefetched, as the next matrix.
    """
    rows, columns, count = x.shape[0], paired(x.shape[1]), panels(out.shape[1])
    rounded = np.empty((min(rows, HEIGHT), columns), np.int16)
    steps = np.empty(len(rounded), np.float32)
    if rows == 1:
        round_rows(x, rounded, steps)
        _one_row(weights, scales, rounded, steps[0], out)
        return
    for top in range(0, rows, HEIGHT):
        part = x[top : top + HEIGHT]
        round_rows(part, rounded, steps)
        for panel in range(count):
            _panel(weights, scales, rounded[: len(part)], steps, out[top : top + HEIGHT], panel)


@kernel
def factor_for(largest_number):
    """Return what to multiply numbers with so that the largest becomes 32,767.

    Their scale is it / LARGEST.
    """
    return LARGEST / largest_number if largest_number > SMALLEST else ZERO


@kernel
def round_rows(x, rounded, steps):
    """Round x to `rounded` (rows, paired inputs), int16, and steps, float32.

    x is nearly rounded * steps.
    """
    inputs = x.shape[1]
    whole = inputs // LANES * LANES
    for row in range(x.shape[0]):
        highest = broadcast(ZERO)
        for i in range(0, whole, LANES):
            part = load(x, (row, i))
            highest = maximum(highest, maximum(part, broadcast(ZERO) - part))
        length = reduce_max(highest)
        for i in range(whole, inputs):
            length = max(length, abs(x[row, i]))
        factor = factor_for(length)
        steps[row] = length / LARGEST
        for i in range(0, whole, LANES):
            store_rounded(rounded, (row, i), load(x, (row, i)) * broadcast(factor))
        for i in range(whole, inputs):
            rounded[row, i] = np.int16(np.rint(x[row, i] * factor))
        if inputs % PAIR:
            rounded[row, inputs] = 0


@kernel
def _one_row(weights, scales, rounded, step, out):
    """Multiply one row, two panels at a time.

    The additions of one would wait for each other. A last one is computed twice.
    """
    columns, count = rounded.shape[1], panels(out.shape[1])
    for panel in range(0, count, 2):
        panel2 = min(panel + 1, count - 1)
        start, start2 = panel * columns * LANES, panel2 * columns * LANES
        total = total2 = broadcast(ZERO)
        for first in range(0, columns, DEPTH):
            sums = sums2 = nothing()
            for i in range(first, min(columns, first + DEPTH), PAIR):
                pair = spread_pair(rounded, (0, i))
                sums = add_products(load_pairs(weights, start + i * LANES), pair, sums)
                sums2 = add_products(load_pairs(weights, start2 + i * LANES), pair, sums2)
            total = total + floats_of(sums)
            total2 = total2 + floats_of(sums2)
        store(out, (0, panel * LANES), total * (broadcast(step) * load(scales, panel * LANES)))
        store(out, (0, panel2 * LANES), total2 * (broadcast(step) * load(scales, panel2 * LANES)))


@kernel
def _panel(weights, scales, rounded, steps, out, panel):
    """Multiply all rows of `rounded`.

    Weights come from memory once, then from the first-level cache.
    """
    rows, columns = rounded.shape
    for first in range(0, columns, DEPTH):
        last = min(columns, first + DEPTH)
        start, size = (panel * columns + first) * LANES, (last - first) * LANES
        ahead = start + size
        for row in range(0, rows, TILE):
            _tile(weights[start : start + size], rounded, row, out, panel * LANES, first, weights, ahead)
            if row == 0:  # two tiles, a line of memory for each pair, prefetch the next weights
                ahead += size // PAIR
    column = panel * LANES
    for row in range(rows):
        store(out, (row, column), load(out, (row, column)) * (broadcast(steps[row]) * load(scales, column)))


@kernel
def _tile(columns_here, rounded, row, out, column, first, weights, ahead):
    """Multiply four rows with inputs from `first` on.

    Past the end the last row stands in, with the same result.
    """
    end = rounded.shape[0] - 1
    row1, row2, row3 = min(row + 1, end), min(row + 2, end), min(row + 3, end)
    sums0 = sums1 = sums2 = sums3 = nothing()
    for k in range(0, columns_here.size // LANES, PAIR):
        prefetch(weights, ahead + k // PAIR * LINE)
        columns = load_pairs(columns_here, k * LANES)
        sums0 = add_products(columns, spread_pair(rounded, (row, first + k)), sums0)
        sums1 = add_products(columns, spread_pair(rounded, (row1, first + k)), sums1)
        sums2 = add_products(columns, spread_pair(rounded, (row2, first + k)), sums2)
        sums3 = add_products(columns, spread_pair(rounded, (row3, first + k)), sums3)
    before0 = before1 = before2 = before3 = broadcast(ZERO)
    if first > 0:
        before0, before1 = load(out, (row, column)), load(out, (row1, column))
        before2, before3 = load(out, (row2, column)), load(out, (row3, column))
    store(out, (row, column), before0 + floats_of(sums0))
    store(out, (row1, column), before1 + floats_of(sums1))
    store(out, (row2, column), before2 + floats_of(sums2))
    store(out, (row3, column), before3 + floats_of(sums3))
