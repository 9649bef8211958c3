"""The encoder with a score for every mark of every letter, and its loss."""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor, nn

from spanish_tok.t5.config import T5Config
from spanish_tok.t5.model import T5, Stack
from spanish_tok.tasks.accents.pieces import SLOTS
from spanish_tok.tasks.accents.scores import KINDS


class AccentBatch(NamedTuple):
    """A batch of windows, and what each of their words is asked.

    ids (windows, pieces), 0 for padding. forms (words, forms, 2): the places of a form's marks, into the scores of all
    kinds and a last one that is 0; priors (words, forms): the logarithms of their counts, -inf for missing ones;
    form (words): the right one. acutes, acute: likewise the places of no accent and of one on each vowel, and the
    right one. others, other: the places of n and u, and whether they are ñ and ü.
    """

    ids: NDArray[np.int64]
    forms: NDArray[np.int64]
    priors: NDArray[np.float32]
    form: NDArray[np.int64]
    acutes: NDArray[np.int64]
    acute: NDArray[np.int64]
    others: NDArray[np.int64]
    other: NDArray[np.float32]
    words: int


class AccentTagger(nn.Module):
    """T5's encoder, and a head that scores marks: (windows, pieces) -> scores.

    The scores are (KINDS x places + 1,), flat; the last one is 0.
    """

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.config = config
        self.shared = nn.Embedding(config.vocab_size, config.d_model)
        self.encoder = Stack(config, decoder=False)
        self.head = nn.Linear(config.d_model, KINDS * SLOTS, bias=False)
        nn.init.normal_(self.head.weight, std=config.d_model**-0.5)

    @classmethod
    def of_model(cls, model: T5) -> "AccentTagger":
        """Return a tagger with the encoder of a model and a fresh head."""
        tagger = cls(model.config)
        tagger.shared.load_state_dict(model.shared.state_dict())
        tagger.encoder.load_state_dict(model.encoder.state_dict())
        return tagger

    def forward(self, ids: Tensor) -> Tensor:
        mask = (ids != self.config.pad_token_id).long()
        scores = self.head(self.encoder(self.shared(ids), mask))
        flat = scores.view(-1, KINDS, SLOTS).transpose(0, 1).flatten().float()
        return torch.cat([flat, flat.new_zeros(1)])

    def loss(self, batch: AccentBatch) -> Tensor:
        """Return the nats of a batch, a word."""
        device = self.shared.weight.device
        ids, forms, priors, form, acutes, acute, others, other = (
            torch.from_numpy(array).to(device) for array in batch[:-1]
        )
        scores = self(ids)
        nats: Tensor = scores.sum() * 0
        if len(form):
            nats = nats + F.cross_entropy(priors + scores[forms].sum(-1), form, reduction="sum")
        if len(acute):
            chosen = scores[acutes].masked_fill(acutes < 0, -torch.inf)
            nats = nats + F.cross_entropy(chosen, acute, reduction="sum")
        if len(other):
            nats = nats + F.binary_cross_entropy_with_logits(scores[others], other, reduction="sum")
        return nats / max(batch.words, 1)
