"""Batches of examples of about the same length.

Little padding, a new order every epoch, nothing left out.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spanish_tok.tasks.examples import Example
from spanish_tok.tasks.windows import Ids

POOL = 32  # batches that are sorted by length together
IGNORED = -100  # a label that adds nothing to the loss


class ExampleBatch(NamedTuple):
    """A batch: inputs and labels are int64 (records, length), padded.

    The mask is 1 for the real ids of the inputs.

    allowed: for each real label, record by record, the ids that the task allows there, None for all; None where all
        allow all.
    """

    inputs: NDArray[np.int64]
    mask: NDArray[np.int64]
    labels: NDArray[np.int64]
    allowed: Sequence[Ids | None] | None = None

    @property
    def tokens(self) -> int:
        """The ids of inputs and labels, padding left out."""
        return int(self.mask.sum() + (self.labels != IGNORED).sum())


def batch_of(
    examples: Sequence[Example], pad: int, allowed: Sequence[Ids | None] | None = None
) -> ExampleBatch:
    """Return the batch of some examples.

    Padding of labels is -100, which the loss ignores. allowed: see ExampleBatch.
    """
    inputs = padded([example.input for example in examples], pad)
    lengths = np.array([[len(example.input)] for example in examples])
    mask = (np.arange(inputs.shape[1]) < lengths).astype(np.int64)
    labels = padded([example.labels for example in examples], IGNORED)
    return ExampleBatch(inputs, mask, labels, allowed)


def padded(sequences: Sequence[Ids], filling: int) -> NDArray[np.int64]:
    """Sequences as the rows of one array, filled up at the right.

    >>> padded([(5, 1), (7, 8, 1)], 0).tolist()
    [[5, 1, 0], [7, 8, 1]]
    """
    array = np.full((len(sequences), max(map(len, sequences))), filling, np.int64)
    for row, sequence in enumerate(sequences):
        array[row, : len(sequence)] = sequence
    return array


def order_of(lengths: Sequence[int], size: int, seed: int, epoch: int) -> list[list[int]]:
    """Return the batches of an epoch, as indices into `lengths`.

    Every index occurs once; the draw depends on (seed, epoch) alone.

    >>> sorted(place for batch in order_of([3, 9, 4], 2, seed=0, epoch=1) for place in batch)
    [0, 1, 2]
    """
    random = np.random.default_rng([seed, epoch])
    shuffled = random.permutation(len(lengths))
    batches: list[list[int]] = []
    for start in range(0, len(shuffled), POOL * size):
        pool = sorted(shuffled[start : start + POOL * size].tolist(), key=lambda index: lengths[index])
        batches += [pool[at : at + size] for at in range(0, len(pool), size)]
    return [batches[index] for index in random.permutation(len(batches))]
