"""Records packed into sequences of one length, and corrupted: batches by number.

They are shuffled again every epoch.

Batch k of an epoch is computed from (seed, epoch, k) alone, so training resumes at any step without replaying.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spanish_tok.errors import SpanishTokError
from spanish_tok.training.span_corruption import Batch, SpanCorruption
from spanish_tok.vocab.vocabulary import EOS


def closing_of(ids: NDArray[Any], offsets: NDArray[np.int64]) -> int:
    """Return 1 if every record ends in `</s>`, 0 if none does.

    Raises SpanishTokError if some do.
    """
    last = ids[offsets[1:][np.diff(offsets) > 0] - 1] == EOS
    if last.any() and not last.all():
        raise SpanishTokError(
            f"{last.sum():,} of {last.size:,} records end in </s>", "Make all shards with --eos, or none."
        )
    return int(last.any())


@dataclass(frozen=True)
class PackedBatches:
    """All batches of a training.

    Nothing is dropped: the last batch and sequence of an epoch may be shorter.

    ids: uint16 or uint32[tokens]; offsets: int64[all records + 1]; records: int64[those that are used]. closing: 1
    where every record ends in `</s>` already, else 0; the batches are the same.
    An epoch is one long sequence, the records in random order with an `</s>` after each, cut into sequences of
    `corruption.tokens_for(input_length)` tokens.
    """

    ids: NDArray[Any]
    offsets: NDArray[np.int64]
    records: NDArray[np.int64]
    corruption: SpanCorruption
    input_length: int = 512
    batch_size: int = 128
    closing: int = 0

    def __post_init__(self) -> None:
        if not self.records.size:
            raise SpanishTokError("There is no record to train on", "Give shards that hold some.")

    @cached_property
    def sequence_length(self) -> int:
        """Tokens of a sequence before it is corrupted.

        The `</s>` between records are included.
        """
        return self.corruption.tokens_for(self.input_length)

    @cached_property
    def tokens_per_epoch(self) -> int:
        """Tokens of all records, an `</s>` for each included."""
        return int(np.diff(self.offsets)[self.records].sum()) + self.records.size * (1 - self.closing)

    @property
    def sequences_per_epoch(self) -> int:
        return -(-self.tokens_per_epoch // self.sequence_length)

    @property
    def batches_per_epoch(self) -> int:
        return -(-self.sequences_per_epoch // self.batch_size)

    def batch(self, step: int) -> Batch:
        """Return the batch of a step, counted from 0 through all epochs."""
        from spanish_tok.kernels.span_corruption import pack

        epoch, batch_index = divmod(step, self.batches_per_epoch)
        order, begins = self._epoch(epoch)
        first = batch_index * self.batch_size
        last = min(first + self.batch_size, self.sequences_per_epoch)
        offsets = np.minimum(np.arange(first, last + 1) * self.sequence_length, self.tokens_per_epoch)
        packed = np.empty(offsets[-1] - offsets[0], self.ids.dtype)
        pack(self.ids, self.offsets, self.closing, order, begins, offsets[0], EOS, packed)
        return self.corruption.corrupt_rows(packed, offsets - offsets[0], epoch, range(first, last))

    def _epoch(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the records in the order of an epoch, and where each begins.

        That is in the epoch's long sequence. The last two epochs are cached: at the end of one, threads ask for both.
        """
        kept: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]] = self.__dict__.get("_kept", {})
        if epoch not in kept:
            order = np.random.default_rng((self.corruption.seed, epoch)).permutation(self.records)
            lengths = self.offsets[order + 1] - self.offsets[order] + 1 - self.closing
            begins = np.concatenate([[0], np.cumsum(lengths)])
            kept = dict([*kept.items(), (epoch, (order, begins))][-2:])
            self.__dict__["_kept"] = kept  # as a whole: another thread may read it
        return kept[epoch]
