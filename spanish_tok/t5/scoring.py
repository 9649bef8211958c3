"""What a torch model makes of a batch: the loss to train on, and the summed nats that bits per byte takes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from spanish_tok.corruption import Batch
from spanish_tok.search import Ids
from spanish_tok.vocabulary import PAD

if TYPE_CHECKING:
    from spanish_tok.t5.bits_per_byte import Scorer
    from spanish_tok.t5.model import T5


def loss_of(model: "T5", batch: Batch, reduction: str = "mean") -> torch.Tensor:
    """Cross-entropy in nats of a batch's targets, `</s>` included and padding left out."""
    device = model.shared.weight.device
    inputs = torch.from_numpy(batch.inputs).to(device)
    mask = (inputs != PAD).long() if (batch.inputs == PAD).any() else None
    return model.loss(inputs, torch.from_numpy(batch.labels).to(device), mask, reduction)


def mask_of(allowed: Sequence[Ids], vocab_size: int) -> torch.Tensor:
    """bool (places, vocab_size): True for the ids that are allowed at each place."""
    mask = torch.zeros((len(allowed), vocab_size), dtype=torch.bool)
    for place, ids in enumerate(allowed):
        mask[place, list(ids)] = True
    return mask


def scorer_of(model: "T5") -> "Scorer":
    """A function from (inputs, targets) to summed nats, for `bits_per_byte`."""

    @torch.no_grad()
    def score(inputs: NDArray[np.int64], targets: NDArray[np.int64]) -> float:
        model.eval()
        return loss_of(model, Batch(inputs, targets), "sum").item()

    return score
