"""The largest logit without all logits.

Bounds from int8 weights first, then exactly what could be the largest.

For a row w of the output layer, its int8 form v, and what y is rounded to, z: |w y - v z| <= |w - v| |y| + |v| |y - z|
(Cauchy and Schwarz), where of n numbers |y - z| is at most |y| sqrt(n) / 2 / 32,767. The bounds read a quarter of the
weights; after them few panels are left, and these are computed as `product` computes all of them.
"""

import numpy as np

from spanish_tok.kernels import kernel
from spanish_tok.kernels.nn.lanes import LANES, broadcast, fma, load, maximum, reduce_max, reduce_sum
from spanish_tok.kernels.nn.matmul import ZERO, panels, product
from spanish_tok.kernels.nn.matmul_int8 import int8_product

SLACK = np.float32(1.0001)  # for the rounding of the bounds themselves


@kernel
def best(y, d_model, weights, rough, scales, errors, count, buffer):
    """Return the index of the largest of the `count` logits W y.

    The first of equal ones.

    y (1, d_model); weights: panels of W, float32 or bfloat16; rough, scales: W in int8 (see `int8_product`);
    errors: what to multiply |y| with for each row's bound, a huge number for rows that fill the last panel; buffer
    (1, rows).
    """
    int8_product(rough, scales, y, buffer)
    length = broadcast(SLACK * _length(y, d_model))
    minus = broadcast(ZERO) - length
    lowest = fma(load(errors, 0), minus, load(buffer, 0))
    for start in range(LANES, buffer.size, LANES):
        lowest = maximum(lowest, fma(load(errors, start), minus, load(buffer, start)))
    least = reduce_max(lowest)
    size = LANES * y.shape[1]
    winner, highest = 0, np.float32(-np.inf)
    for panel in range(panels(count)):
        start = panel * LANES
        if reduce_max(fma(load(errors, start), length, load(buffer, start))) >= least:
            out = buffer[:, start : start + LANES]
            product(weights[panel * size : (panel + 1) * size], y, out)
            for token_id in range(start, min(start + LANES, count)):
                if buffer[0, token_id] > highest:
                    winner, highest = token_id, buffer[0, token_id]
    return winner


@kernel
def _length(y, d_model):
    """Return the Euclidean length of y[0, :d_model].

    The numbers behind are 0 up to the next multiple of 64.
    """
    squares = broadcast(ZERO)
    for i in range(0, d_model, LANES):
        part = load(y, i)
        squares = fma(part, part, squares)
    return np.sqrt(reduce_sum(squares))
