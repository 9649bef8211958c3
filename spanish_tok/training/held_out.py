"""Which records are never trained on, chosen by a hash of their text.

No torch here.

The text is what the ids decode to, so that the choice is the same for every vocabulary, for every order of
the records, and for every copy of a text.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from spanish_tok.kernels.bytes import hash_rows
from spanish_tok.text.arrow import bytes_and_offsets, text_chunks
from spanish_tok.tokenization.tokenizer import Tokenizer
from spanish_tok.training.bits_per_byte import BitsPerByte, Scorer, bits_per_byte
from spanish_tok.training.packing import PackedBatches
from spanish_tok.vocab.vocabulary import PAD

TokenIds: TypeAlias = NDArray[Any]
BLOCK = 50_000  # records decoded at a time


class HeldOutSplit(NamedTuple):
    """The numbers of the records to train on and of those held out: int64 each."""

    training: NDArray[np.int64]
    held_out: NDArray[np.int64]


def split(
    ids: TokenIds, offsets: NDArray[np.int64], tokenizer: Tokenizer, share: float, closing: int = 0
) -> HeldOutSplit:
    """Hold out a `share` of the records.

    Record k is ids[offsets[k]:offsets[k + 1]]; empty ones are in neither part. closing: ids that end each record.
    """
    chosen = np.zeros(offsets.size - 1, np.bool_)
    for first in range(0, chosen.size if share else 0, BLOCK):
        last = min(first + BLOCK, chosen.size)
        chosen[first:last] = _hashes(texts_of(ids, offsets, tokenizer, first, last)) < np.uint64(
            share * 2.0**64
        )
    used = np.diff(offsets) > closing
    return HeldOutSplit(np.flatnonzero(used & ~chosen), np.flatnonzero(used & chosen))


def texts_of(ids: TokenIds, offsets: NDArray[np.int64], tokenizer: Tokenizer, first: int, last: int) -> Any:
    """Return the normalized texts of the records [first, last) as a column."""
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


SEQUENCES = 64


@dataclass(frozen=True)
class Validation:
    """Held-out records, masked in the same way every time.

    `texts` is how many of them bits per byte are measured on.
    """

    batches: PackedBatches
    tokenizer: Tokenizer
    texts: int

    def nats_per_token(self, score: Scorer) -> float:
        """Return the mean loss of the first 64 sequences, each batch scored by `score`."""
        count = min(-(-SEQUENCES // self.batches.batch_size), self.batches.batches_per_epoch)
        chosen = [self.batches.batch(step) for step in range(count)]
        return sum(score(*batch) for batch in chosen) / sum(int((b.targets != PAD).sum()) for b in chosen)

    def bits_per_byte(self, score: Scorer) -> BitsPerByte:
        """Return the bits per byte of the sample; see `bits_per_byte.bits_per_byte`."""
        return bits_per_byte(score, self.tokenizer, self.sample)

    @cached_property
    def sample(self) -> list[str]:
        """Normalized texts, evenly spaced among the held-out records."""
        records = self.batches.records
        sampled = np.linspace(0, records.size - 1, min(self.texts, records.size)).astype(np.int64)
        ids, offsets = self.batches.ids, self.batches.offsets
        return [
            texts_of(ids, offsets, self.tokenizer, record, record + 1)[0].as_py()
            for record in records[sampled]
        ]
