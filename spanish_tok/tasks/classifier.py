"""Classes: the probability of every label of a classification."""

import torch
from torch import Tensor

from spanish_tok.t5.model import T5, mask_of
from spanish_tok.tasks.batches import padded
from spanish_tok.tasks.choices import Labels

ROWS = 256  # (record, label) pairs that the decoder reads at once


class Classifier:
    """The labels of a classification, ready to be scored for batches of inputs.

    The probability of a label is the product over its ids of softmax(logits of the ids that may follow there):
    what constrained decoding draws from. Over all labels they sum to 1.
    """

    def __init__(self, model: T5, labels: Labels) -> None:
        self.model, self.labels = model, labels
        device = model.shared.weight.device
        self.ids = torch.tensor(padded(labels.ids, -1), device=device)  # (labels, length)
        self.start = model.shift_right(self.ids.clamp(min=0))
        # (labels, length, vocab_size): what constrained decoding allows at each place
        self.legal = torch.zeros((*self.ids.shape, model.config.vocab_size), dtype=torch.bool, device=device)
        for row, ids in enumerate(labels.ids):
            self.legal[row, : len(ids)] = mask_of(labels.beside(ids), model.config.vocab_size)
        self.legal[self.ids < 0] = True  # padding: any finite value, it is not counted

    @torch.inference_mode()
    def log_probabilities(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """Return natural logarithms (records, labels) for ids (records, length).

        `mask` is that of the ids.
        """
        memory = self.model.encode(inputs, mask)
        step = max(1, ROWS // len(inputs))
        parts = [self._score(memory, mask, slice(at, at + step)) for at in range(0, len(self.ids), step)]
        return torch.cat(parts, 1)

    def _score(self, memory: Tensor, mask: Tensor, part: slice) -> Tensor:
        """Return the log-probabilities (records, labels) of some of the labels."""
        records, ids = len(memory), self.ids[part]
        labels = len(ids)
        hidden = self.model.decoder(
            self.model.shared(self.start[part]).repeat(records, 1, 1),
            mask.repeat_interleave(labels, 0),
            memory.repeat_interleave(labels, 0),
        )
        logits = self.model.logits(hidden).float().view(records, *ids.shape, -1)
        logits = logits.masked_fill(~self.legal[part], -torch.inf)
        chosen = logits.gather(-1, ids.clamp(min=0).expand(records, -1, -1)[..., None])[..., 0]
        steps: Tensor = (chosen - logits.logsumexp(-1)).masked_fill(ids < 0, 0.0)
        return steps.sum(-1)
