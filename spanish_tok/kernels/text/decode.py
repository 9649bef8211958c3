"""Ids to text: the texts of the pieces one after the other."""

import numpy as np

from spanish_tok.kernels import kernel


@kernel
def decode_records(ids, offsets, texts, starts, skipped):
    """Return the text of each list ids[offsets[r]:offsets[r + 1]].

    As (uint8[n] bytes, int64[records + 1] offsets).

    texts[starts[p]:starts[p + 1]] is the text of id p (uint8[m], int64[V + 1]); of a piece that nothing
    stands before, the first skipped[p] bytes (int64[V]), its space, are left out.
    """
    size = 0
    for k in range(offsets[0], offsets[-1]):
        size += starts[ids[k] + 1] - starts[ids[k]]
    out = np.empty(size, np.uint8)
    ends = np.zeros(offsets.size, np.int64)
    at = 0
    for r in range(offsets.size - 1):
        begin = at
        for k in range(offsets[r], offsets[r + 1]):
            first = starts[ids[k]]
            if at == begin:
                first += skipped[ids[k]]
            for index in range(first, starts[ids[k] + 1]):
                out[at] = texts[index]
                at += 1
        ends[r + 1] = at
    return out[:at], ends
