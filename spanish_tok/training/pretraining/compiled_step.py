"""Training steps compiled by torch.compile, for batches of one shape.

A compiled step computes half as long again as many tokens a second as torch's layers one by one. It takes half a minute
to compile, and every other shape would take it again: so batches are padded to one shape, which leaves their loss as it
is. What does not fit, or does not compile, is computed layer by layer.
"""

import importlib.util
import os
import shutil
import sys
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch._functorch import config as functorch_config

from spanish_tok.t5.layers import bucket_numbers
from spanish_tok.t5.model import T5
from spanish_tok.training.packing import PackedBatches
from spanish_tok.training.pretrain_options import WORTH_COMPILING, PretrainOptions
from spanish_tok.training.span_corruption import Batch
from spanish_tok.vocab.vocabulary import PAD

CXX = "clang++" if sys.platform == "darwin" else "g++"  # what torch.compile calls
LOOKED_AT = 8  # batches


@dataclass(frozen=True)
class BatchShape:
    """The shape that batches are padded to: rows, ids of an input, ids of a target."""

    rows: int
    inputs: int
    targets: int

    @classmethod
    def of(cls, batches: PackedBatches) -> "BatchShape":
        """Return the shape that the batches of a training fit into, nearly always.

        A span for which there is no room makes an input longer; how often depends on the records, so some are looked
        at.
        """
        inputs, targets = batches.corruption.lengths(batches.sequence_length)
        for number in range(min(LOOKED_AT, batches.batches_per_epoch)):
            found = batches.batch(number)
            inputs, targets = max(inputs, found.inputs.shape[1]), max(targets, found.targets.shape[1])
        return cls(batches.batch_size, inputs, targets)

    @property
    def tokens(self) -> int:
        """How many ids a batch of this shape holds."""
        return self.rows * (self.inputs + self.targets)

    def padded(self, batch: Batch) -> Batch | None:
        """Return a batch with `<pad>` at its ends, also as whole rows.

        None if it does not fit.

        >>> shape = BatchShape(rows=2, inputs=3, targets=2)
        >>> shape.padded(Batch(np.array([[7, 1]]), np.array([[9, 1]]))).inputs.tolist()
        [[7, 1, 0], [0, 0, 0]]
        """
        inputs = _padded(batch.inputs, self.rows, self.inputs)
        targets = _padded(batch.targets, self.rows, self.targets)
        return None if inputs is None or targets is None else Batch(inputs, targets)


def _padded(ids: NDArray[np.int64], rows: int, width: int) -> NDArray[np.int64] | None:
    if ids.shape[0] > rows or ids.shape[1] > width:
        return None
    return np.pad(ids, [(0, rows - ids.shape[0]), (0, width - ids.shape[1])], constant_values=PAD)


def worth_compiling(options: PretrainOptions, shape: BatchShape, device: str) -> bool:
    """Whether a new training compiles its step.

    As its recipe says, or by its length and by what is here.
    """
    if options.compile == "auto":
        return options.steps * shape.tokens >= WORTH_COMPILING and has_compiler(device)
    return options.compile == "on"


def has_compiler(device: str) -> bool:
    """Whether what torch.compile needs is here.

    A C++ compiler, or Triton for a graphics card.
    """
    if device.startswith("cuda"):
        return importlib.util.find_spec("triton") is not None
    return shutil.which(os.environ.get("CXX") or CXX) is not None


class CompiledStep:
    """The loss of a model on batches of one shape, with gradients, compiled.

    At the first call.

    `fault` is what torch said where that failed.
    """

    def __init__(
        self, model: T5, shape: BatchShape, autocast: Callable[[], AbstractContextManager[Any]]
    ) -> None:
        self.model, self.shape, self.autocast = model, shape, autocast
        self.fault: str | None = None
        self._loss: Any = None

    def differentiate(self, batch: Batch) -> torch.Tensor | None:
        """Add the gradients of a batch to those of the parameters; return its loss.

        None where the batch does not fit, or where nothing could be compiled: then nothing was added.
        """
        padded = self.shape.padded(batch)
        if padded is None or self.fault:
            return None
        if self._loss is not None:
            return self._differentiated(padded)
        try:
            self._make_buckets()
            self._loss = torch.compile(self.model.loss_of_all, dynamic=False, fullgraph=True)
            # what is quickly computed again is not kept for the way back: memory is slower
            with warnings.catch_warnings(), functorch_config.patch(aggressive_recomputation=True):
                warnings.simplefilter("ignore")  # a compiler's own are no news of this training
                return self._differentiated(padded)
        except Exception as error:  # whatever a compiler, its files and its programs may raise
            self.fault = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            self.model.zero_grad()
            return None

    def _make_buckets(self) -> None:
        """Make the buckets of this shape, which NumPy does and no compiler."""
        config, device = self.model.config, self.model.shared.weight.device
        limits = config.relative_attention_num_buckets, config.relative_attention_max_distance
        for stack, length in (
            (self.model.encoder, self.shape.inputs),
            (self.model.decoder, self.shape.targets),
        ):
            key = (length, length, not stack.decoder)
            numbers = bucket_numbers(*key, *limits, device)
            for block in stack.block:
                block.layer[0].inner.buckets_ahead[key] = numbers  # type: ignore[index, union-attr]

    def _differentiated(self, batch: Batch) -> torch.Tensor:
        device = self.model.shared.weight.device
        inputs, labels, mask = (
            torch.from_numpy(array).to(device, non_blocking=True)
            for array in (batch.inputs, batch.labels, (batch.inputs != PAD).astype(np.int64))
        )
        with self.autocast():
            loss: torch.Tensor = self._loss(inputs, labels, mask)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss
