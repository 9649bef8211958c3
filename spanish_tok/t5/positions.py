"""Relative position buckets.

A bucket is the row of the position bias for a distance between two tokens.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


@lru_cache(maxsize=64)
def buckets(
    queries: int, keys: int, bidirectional: bool, count: int = 32, furthest: int = 128
) -> NDArray[np.int64]:
    """Return the bucket of each distance key - query: (queries + keys - 1).

    From -(queries - 1) to keys - 1.

    The bucket of a pair (query, key) is at `key - query + queries - 1`. Half of the buckets are for single
    distances, half grow logarithmically up to `furthest` (Raffel et al. 2020, section 2.1); in both directions
    each has half of them, in one the keys ahead share bucket 0. The logarithm is taken in float32, as the
    reference does, so that bounds fall on the same side.

    >>> buckets(3, 3, bidirectional=True).tolist()
    [2, 1, 0, 17, 18]
    """
    distance = np.arange(keys + queries - 1) - (queries - 1)
    ahead = np.zeros_like(distance)
    if bidirectional:
        count //= 2
        ahead = (distance > 0) * count
        distance = np.abs(distance)
    else:
        distance = np.maximum(-distance, 0)
    single = count // 2
    far = np.log(np.maximum(distance, 1).astype(np.float32) / np.float32(single))
    far = far / np.float32(math.log(furthest / single)) * np.float32(count - single)
    bucket = np.where(distance < single, distance, np.minimum(single + far.astype(np.int64), count - 1))
    result = ahead + bucket
    result.flags.writeable = False
    return result
