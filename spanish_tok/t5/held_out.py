"""Which records are never trained on: chosen by a hash of their normalized text, without torch.

The text is what the ids decode to, so that the choice is the same for every vocabulary, for every order of
the records, and for every copy of a text.
"""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from spanish_tok.columns import bytes_and_offsets, text_chunks
from spanish_tok.kernels.memory import hash_rows
from spanish_tok.tokenizer import Tokenizer

BLOCK = 50_000  # records decoded at a time


class Parts(NamedTuple):
    """The numbers of the records to train on and of those held out: int64 each."""

    training: NDArray[np.int64]
    held_out: NDArray[np.int64]


def split(ids: NDArray[np.uint16], offsets: NDArray[np.int64], tokenizer: Tokenizer, share: float) -> Parts:
    """Hold out a `share` of the records; record k is ids[offsets[k]:offsets[k + 1]], empty ones are in neither part."""
    chosen = np.zeros(offsets.size - 1, np.bool_)
    for first in range(0, chosen.size, BLOCK):
        last = min(first + BLOCK, chosen.size)
        chosen[first:last] = _hashes(texts_of(ids, offsets, tokenizer, first, last)) < np.uint64(
            share * 2.0**64
        )
    used = np.diff(offsets) > 0
    return Parts(np.flatnonzero(used & ~chosen), np.flatnonzero(used & chosen))


def texts_of(
    ids: NDArray[np.uint16], offsets: NDArray[np.int64], tokenizer: Tokenizer, first: int, last: int
) -> Any:
    """The normalized texts of the records [first, last) as an Arrow column."""
    begin = offsets[first]
    lists = pa.LargeListArray.from_arrays(
        pa.array(offsets[first : last + 1] - begin), pa.array(np.asarray(ids[begin : offsets[last]]))
    )
    return tokenizer.decode_column(lists)


def _hashes(texts: Any) -> NDArray[np.uint64]:
    """64 bits for each text of an Arrow column."""
    chunks = [bytes_and_offsets(chunk) for chunk in text_chunks(texts)]
    hashes = [np.empty(offsets.size - 1, np.uint64) for _, offsets in chunks]
    for (data, offsets), out in zip(chunks, hashes, strict=True):
        hash_rows(data, offsets, out)
    return np.concatenate(hashes)
