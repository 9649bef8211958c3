"""Products x W^T with the rows of W packed in panels of 64.

The panels lie in the order in which they are read.

A panel holds 64 rows of W, column by column: packed[start + i * 64 + lane] = W[64 * panel + lane, i]. One load brings
the weights of 64 outputs for one input, no sum runs across lanes, and each output is summed in the order of the
inputs: so a row's result is the same in any batch.
"""

# W of 70 rows and 3 columns has two panels of 3 * 64 numbers; W[65, 2] lies in panel 1, lane 1, column 2:
# packed[1 * 3 * 64 + 2 * 64 + 1].

import numpy as np
from numba import types
from numba.extending import overload

from spanish_tok.kernels import kernel
from spanish_tok.kernels.nn.lanes import LANES, broadcast, fma, load, prefetch, spread, store

TILE = 4  # rows of x for each load of weights: 4 x 64 sums are half of the registers of AVX-512
DEPTH = 112  # inputs at a time: 28 KB of float32 weights stay in the first-level cache for all rows of x
HEIGHT = 128  # rows of x at a time: they stay in the second-level cache for all panels
LINE = 64  # bytes of a cache line
ZERO = np.float32(0)


@kernel
def panels(rows):
    """How many panels hold `rows` rows."""
    return (rows + LANES - 1) // LANES


@kernel
def pack(matrix, packed):
    """Write `matrix` (rows, inputs) in panels into `packed` of the same type.

    Missing rows of the last panel are 0.
    """
    rows, inputs = matrix.shape
    for panel in range(panels(rows)):
        start = panel * inputs * LANES
        for lane in range(LANES):
            row = panel * LANES + lane
            for i in range(inputs):
                packed[start + i * LANES + lane] = matrix[row, i] if row < rows else 0


@kernel
def product(weights, x, out):
    """out = x W^T.

    weights: panels of W, float32, int16, or bfloat16 as uint16; x (rows, inputs), out (rows, outputs): float32
    with contiguous rows. Rows of `out` are written up to the next multiple of 64: there must be room. The memory
    behind the panels is prefetched, as the next matrix.
    """
    rows, count = x.shape[0], panels(out.shape[1])
    if rows == 1:
        _one_row(weights, x, out)
        return
    widened = np.empty(DEPTH * LANES + LINE // 4, np.float32)
    widened = widened[-widened.ctypes.data % LINE // 4 :]  # so that no vector lies in two lines
    for top in range(0, rows, HEIGHT):
        bottom = min(rows, top + HEIGHT)
        for panel in range(count):
            _panel(weights, x, top, bottom, out, panel, widened)


@kernel
def _one_row(weights, x, out):
    """Two panels at a time: the additions of one would wait for each other."""
    size = x.shape[1] * LANES
    count = panels(out.shape[1])
    for panel in range(0, count - 1, 2):
        start = panel * size
        sums = sums2 = broadcast(ZERO)
        for i in range(x.shape[1]):
            value = spread(x, i)
            sums = fma(load(weights, start + i * LANES), value, sums)
            sums2 = fma(load(weights, start + size + i * LANES), value, sums2)
        store(out, panel * LANES, sums)
        store(out, (panel + 1) * LANES, sums2)
    if count % 2:
        start = (count - 1) * size
        sums = broadcast(ZERO)
        for i in range(x.shape[1]):
            sums = fma(load(weights, start + i * LANES), spread(x, i), sums)
        store(out, (count - 1) * LANES, sums)


@kernel
def _panel(weights, x, top, bottom, out, panel, widened):
    """Multiply rows `top` to `bottom` of x.

    Weights come from memory once, then from the first-level cache.
    """
    inputs = x.shape[1]
    for first in range(0, inputs, DEPTH):
        last = min(inputs, first + DEPTH)
        start, size = (panel * inputs + first) * LANES, (last - first) * LANES
        columns = floats(weights, start, size, widened)
        ahead = start + size
        tiles_ahead = (
            weights.itemsize
        )  # so many tiles, a line of memory for each input, prefetch the next weights
        for row in range(top, bottom, TILE):
            _tile(columns, x, row, bottom - 1, out, panel * LANES, first, weights, ahead)
            tiles_ahead -= 1
            if tiles_ahead > 0:
                ahead += (last - first) * (LINE // weights.itemsize)


def floats(weights, start, size, widened):
    """Return the weights from `start` on as float32.

    Where they lie, or in the buffer `widened`.
    """
    raise NotImplementedError  # compiled below, one way for each type


@overload(floats)
def _floats(weights, start, size, widened):
    if weights.dtype == types.float32:
        return lambda weights, start, size, widened: weights[start : start + size]

    def widen(weights, start, size, widened):
        for i in range(0, size, LANES):
            store(widened, i, load(weights, start + i))
        return widened[:size]

    return widen


@kernel
def _tile(columns, x, row, end, out, start, first, weights, ahead):
    """Multiply four rows of x with inputs from `first` on.

    Past the end the last row stands in, with the same result.
    """
    row1, row2, row3 = min(row + 1, end), min(row + 2, end), min(row + 3, end)
    sums0 = sums1 = sums2 = sums3 = broadcast(ZERO)
    if first > 0:
        sums0, sums1 = load(out, (row, start)), load(out, (row1, start))
        sums2, sums3 = load(out, (row2, start)), load(out, (row3, start))
    for k in range(columns.size // LANES):
        prefetch(weights, ahead + k * (LINE // weights.itemsize))
        column = load(columns, k * LANES)
        sums0 = fma(column, spread(x, (row, first + k)), sums0)
        sums1 = fma(column, spread(x, (row1, first + k)), sums1)
        sums2 = fma(column, spread(x, (row2, first + k)), sums2)
        sums3 = fma(column, spread(x, (row3, first + k)), sums3)
    store(out, (row, start), sums0)
    store(out, (row1, start), sums1)
    store(out, (row2, start), sums2)
    store(out, (row3, start), sums3)
