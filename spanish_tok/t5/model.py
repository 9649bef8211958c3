"""T5 in PyTorch, with the parameter names of transformers.

Raffel et al. 2020; Shazeer 2020 for the gated form.

A stack of layers (layers.py) reads, another one writes; all layers of a stack share a learned bias by relative
position; encoder, decoder and output share one embedding.
"""

import os
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from spanish_tok.errors import SpanishTokError
from spanish_tok.parallel.threads import available_cores
from spanish_tok.t5.checkpoint import Checkpoint, Tensors
from spanish_tok.t5.config import T5Config
from spanish_tok.t5.init import draw_weights
from spanish_tok.t5.layers import Block, Dropout, Norm
from spanish_tok.t5.safetensors import Precision
from spanish_tok.vocab.vocabulary import Vocabulary

IGNORED = -100  # a label that adds nothing to the loss


class Stack(nn.Module):
    """The encoder or the decoder: blocks and a last norm.

    The blocks share the position bias of the first, or have one each (umT5).
    """

    def __init__(self, config: T5Config, decoder: bool) -> None:
        super().__init__()
        self.decoder = decoder
        layers = config.num_decoder_layers if decoder else config.num_layers
        everywhere = config.biased_everywhere
        self.block = nn.ModuleList([Block(config, decoder, everywhere or i == 0) for i in range(layers)])
        self.final_layer_norm = Norm(config)
        self.dropout = Dropout(config)

    def forward(self, x: Tensor, mask: Tensor | None = None, memory: Tensor | None = None) -> Tensor:
        """Turn embeddings x into hidden states.

        `mask` (batch, keys) marks the input ids that are real, None: all.
        """
        length = x.shape[1]
        hidden = _mask_bias(mask, x)
        if self.decoder:
            hidden = torch.full((length, length), -torch.inf, device=x.device).triu(1)
        memory_bias = _mask_bias(mask, x) if self.decoder else None
        bias: Tensor | None = None
        x = self.dropout(x)
        for block in self.block:
            attention: Any = block.layer[0].inner  # type: ignore[index]
            if bias is None or attention.positions:
                bias = attention.position_bias(length, length, bidirectional=not self.decoder)
                bias = bias if hidden is None else bias + hidden
            x = block(x, bias, memory, memory_bias)
        output: Tensor = self.dropout(self.final_layer_norm(x))
        return output


def _mask_bias(mask: Tensor | None, like: Tensor) -> Tensor | None:
    """(batch, keys) of 0 and 1 -> (batch, 1, 1, keys) of -largest and 0."""
    if mask is None:
        return None
    return (1.0 - mask[:, None, None, :].to(like.dtype)) * torch.finfo(like.dtype).min


class T5(nn.Module):
    """Encoder, decoder and output layer.

    >>> model = T5(T5Config.spanish_tiny(num_layers=1, num_decoder_layers=1))
    >>> model(torch.tensor([[20, 21, 1]]), labels=torch.tensor([[30, 1]])).shape
    torch.Size([1, 2, 5000])
    """

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.config = config
        self.shared = nn.Embedding(config.vocab_size, config.d_model)
        self.encoder = Stack(config, decoder=False)
        self.decoder = Stack(config, decoder=True)
        if not config.tie_word_embeddings:
            self.lm_head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        draw_weights(self, config)

    @property
    def head(self) -> Tensor:
        """The output layer, (vocab_size, d_model)."""
        return self.shared.weight if self.config.tie_word_embeddings else self.lm_head.weight

    def encode(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """(batch, length) of ids -> hidden states (batch, length, d_model)."""
        hidden: Tensor = self.encoder(self.shared(input_ids), attention_mask)
        return hidden

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the scores of all ids from the decoder's hidden states."""
        hidden = hidden * self.config.d_model**-0.5 if self.config.scaled else hidden
        return F.linear(hidden, self.head)

    def forward(
        self,
        input_ids: Tensor,
        labels: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
    ) -> Tensor:
        """(batch, length) of ids -> logits (batch, target length, vocab_size).

        The decoder reads `decoder_input_ids`, or `labels` shifted right. `attention_mask` (batch, length) is 1 for
        real ids and 0 for padding; None: all are real.
        """
        return self.logits(self._decode(input_ids, labels, attention_mask, decoder_input_ids))

    def _decode(
        self, input_ids: Tensor, labels: Tensor | None, mask: Tensor | None, decoder_input_ids: Tensor | None
    ) -> Tensor:
        memory = self.encode(input_ids, mask)
        if decoder_input_ids is None:
            if labels is None:
                raise TypeError("give labels or decoder_input_ids")
            decoder_input_ids = self.shift_right(labels)
        hidden: Tensor = self.decoder(self.shared(decoder_input_ids), mask, memory)
        return hidden

    def shift_right(self, labels: Tensor) -> Tensor:
        """Return what the decoder reads to predict `labels`.

        The start id, then all labels but the last.
        """
        start = torch.full_like(labels[:, :1], self.config.decoder_start_token_id)
        shifted = torch.cat([start, labels[:, :-1]], 1)
        return shifted.masked_fill(shifted == IGNORED, self.config.pad_token_id)

    def loss(
        self,
        input_ids: Tensor,
        labels: Tensor,
        attention_mask: Tensor | None = None,
        reduction: str = "mean",
        allowed: Tensor | None = None,
        smoothing: float = 0.0,
    ) -> Tensor:
        """Return the cross-entropy in nats of the labels that are not -100.

        Their mean, "sum", or "none" (one each).

        allowed: bool (real labels, vocab_size), True for the ids that the probabilities are to be shared among.
        smoothing: the share of each label's probability that is spread over all ids that are allowed.
        """
        hidden = self._decode(input_ids, labels, attention_mask, None)
        real = labels != IGNORED
        logits = self.logits(hidden[real])
        if allowed is not None:
            logits = logits.masked_fill(~allowed, -torch.inf)
        if allowed is None or not smoothing:
            return F.cross_entropy(logits, labels[real], reduction=reduction, label_smoothing=smoothing)
        logarithms = logits.log_softmax(-1).masked_fill(~allowed, 0)
        spread = logarithms.sum(-1) / allowed.sum(-1)
        right = F.nll_loss(logarithms, labels[real], reduction="none")
        nats = (1 - smoothing) * right - smoothing * spread
        return nats if reduction == "none" else getattr(nats, reduction)()

    def loss_of_all(self, input_ids: Tensor, labels: Tensor, attention_mask: Tensor) -> Tensor:
        """Return the mean of `loss`, in a form that compiles once.

        Shapes on the way depend on those of the arguments alone; scores of labels that are -100 are computed, too.
        """
        logits = self.logits(self._decode(input_ids, labels, attention_mask, None))
        return F.cross_entropy(logits.flatten(0, 1).float(), labels.flatten(), ignore_index=IGNORED)

    def save(
        self,
        folder: str | os.PathLike[str],
        vocabulary: Vocabulary,
        precision: Precision = "float32",
        notes: dict[str, Any] | None = None,
        *,
        force: bool = False,
    ) -> None:
        """Write a model folder with the vocabulary's files; see `Checkpoint.save`."""
        self.checkpoint(vocabulary, notes).save(folder, precision, force=force)

    def checkpoint(self, vocabulary: Vocabulary, notes: dict[str, Any] | None = None) -> Checkpoint:
        """Return the model's weights as float32 arrays, with a vocabulary."""
        tensors = {name: tensor.detach().float().cpu().numpy() for name, tensor in self.state_dict().items()}
        return Checkpoint(self.config, tensors, vocabulary, notes or {})

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint) -> "T5":
        """Return the model of a checkpoint, in evaluation mode and float32."""
        return cls.from_tensors(checkpoint.config, checkpoint.tensors)

    @classmethod
    def from_tensors(cls, config: T5Config, tensors: Tensors) -> "T5":
        """Return the model of a configuration and its arrays by name.

        In evaluation mode and float32.
        """
        with torch.device("meta"):
            model = cls(config)
        model.load_state_dict({name: torch.tensor(array) for name, array in tensors.items()}, assign=True)
        for parameter in model.parameters():
            parameter.requires_grad_(True)
        return model.eval()

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> "T5":
        """Load the model of a folder.

        Raises SpanishTokError if it is damaged (see `Checkpoint.load`).
        """
        return cls.from_checkpoint(Checkpoint.load(folder))


def mask_of(allowed: Sequence[Sequence[int] | None], vocab_size: int) -> torch.Tensor:
    """bool (places, vocab_size): True for the ids that are allowed at each place.

    None stands for all.
    """
    mask = torch.zeros((len(allowed), vocab_size), dtype=torch.bool)
    for row, ids in enumerate(allowed):
        mask[row, slice(None) if ids is None else list(ids)] = True
    return mask


def torch_device(device: str, threads: int | None = None) -> str:
    """Check a device, and give torch its threads; None stands for all cores.

    Raises SpanishTokError for a device that is not here.
    """
    check_device(device)
    torch.set_num_threads(threads or available_cores())
    return device


def check_device(device: str) -> None:
    """Raise SpanishTokError for a device that is not here."""
    names = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    names += [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if device not in names:
        raise SpanishTokError(
            f"There is no device {device!r} here", "Leave --device out to compute on the CPU."
        )
