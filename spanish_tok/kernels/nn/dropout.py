"""Dropout in one pass.

A hash of (seed, position) decides, so that no mask is drawn, stored or read.
"""

import numpy as np

from spanish_tok.kernels import kernel


@kernel
def drop(x, y, seed, levels):
    """Set y[i] = 0 with probability levels / 2^32, else scale x[i].

    y[i] = x[i] / (1 - levels / 2^32); float32, flat, in place if y is x.

    The hash is the finalizer of MurmurHash3 over i x 2654435769 + seed, all in uint32: the same (seed, i) decides
    alike in the forward and in the backward pass.
    """
    scale = np.float32(4294967296.0 / (4294967296.0 - levels))
    limit = np.uint32(levels)
    start = np.uint32(seed)
    for i in range(len(x)):
        h = np.uint32(np.uint32(i) * np.uint32(0x9E3779B9) + start)
        h = np.uint32((h ^ (h >> np.uint32(16))) * np.uint32(0x85EBCA6B))
        h = np.uint32((h ^ (h >> np.uint32(13))) * np.uint32(0xC2B2AE35))
        h ^= h >> np.uint32(16)
        y[i] = x[i] * scale if h >= limit else np.float32(0.0)
