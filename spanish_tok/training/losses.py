"""Losses of a torch model on a batch.

The mean loss to train on, and the summed nats that bits per byte takes.
"""

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from spanish_tok.training.span_corruption import Batch
from spanish_tok.vocab.vocabulary import PAD

if TYPE_CHECKING:
    from spanish_tok.t5.model import T5
    from spanish_tok.training.bits_per_byte import Scorer


def loss_of(model: "T5", batch: Batch, reduction: str = "mean") -> torch.Tensor:
    """Return the cross-entropy in nats of a batch's targets.

    `</s>` is included, padding is left out.
    """
    device = model.shared.weight.device
    inputs = torch.from_numpy(batch.inputs).to(device)
    mask = (inputs != PAD).long() if (batch.inputs == PAD).any() else None
    return model.loss(inputs, torch.from_numpy(batch.labels).to(device), mask, reduction)


def scorer_of(model: "T5") -> "Scorer":
    """Return a function from (inputs, targets) to summed nats, for `bits_per_byte`."""

    @torch.no_grad()
    def score(inputs: NDArray[np.int64], targets: NDArray[np.int64]) -> float:
        model.eval()
        return loss_of(model, Batch(inputs, targets), "sum").item()

    return score
