"""What fine-tuning puts into the training loop.

Epochs of examples, a metric, the best model, when it stops.
"""

import hashlib
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from spanish_tok.t5.model import T5, mask_of
from spanish_tok.t5.model_folder import save_folder
from spanish_tok.tasks.batches import IGNORED, ExampleBatch, batch_of
from spanish_tok.tasks.bundle import TaskBundle
from spanish_tok.tasks.choices import SpanTargets
from spanish_tok.tasks.evaluate import evaluate_examples
from spanish_tok.tasks.examples import Example, ExampleSplit
from spanish_tok.tasks.predictor import Predictor
from spanish_tok.tokenization.adapters import TokenizerAdapter
from spanish_tok.training.finetune_options import FinetuneOptions
from spanish_tok.training.log import Log
from spanish_tok.training.loop import EpochTraining
from spanish_tok.training.state import TrainingState

CHANGEABLE = {"epochs", "patience", "save_every", "precision"}  # may change when a fine-tuning resumes


@dataclass
class FinetuneStep:
    """One step of the log; losses in nats per token.

    The last two figures only at the end of an epoch.
    """

    step: int
    epoch: int
    tokens: int  # so far; inputs and targets, padding left out
    cpu_seconds: float  # so far
    loss: float
    learning_rate: float
    gradient_norm: float  # before clipping
    tokens_per_second: int
    validation_loss: float | None = None
    metric: float | None = None

    def shown(self) -> str:
        """Return the figures in a few words, for a progress bar."""
        return f"epoch {self.epoch}, loss {self.loss:.3f}, {self.tokens_per_second:,} tokens/s"


@dataclass
class FinetuneState(TrainingState):
    """How far a fine-tuning is.

    `step` batches of all epochs, `position` of them in this one.
    """

    epoch: int = 0  # epochs that are done, validation included
    position: int = 0
    best: float = -math.inf
    best_epoch: int = 0

    def add(self, tokens: int, seconds: float, cpu_seconds: float) -> None:
        """Count one more step."""
        super().add(tokens, seconds, cpu_seconds)
        self.position += 1


class Finetuning(EpochTraining[FinetuneStep]):
    """A fine-tuning in a folder; it resumes where it stopped.

    It trains until the validation metric no longer rises, or the epochs are over. The folder is then a model folder
    (that of the best epoch) with task.json, log.csv and the curves; resume.safetensors holds the last state. Without
    validation records the last epoch is kept.
    """

    state: FinetuneState
    model: T5

    def __init__(
        self,
        model: T5,
        adapter: TokenizerAdapter,
        bundle: TaskBundle,
        parts: ExampleSplit,
        options: FinetuneOptions,
        folder: Path,
    ) -> None:
        super().__init__(folder, model, options)
        self.adapter, self.bundle, self.parts = adapter, bundle, parts
        self.predictor = Predictor(model, adapter, bundle)
        self._allowed = SpanTargets(bundle.task, adapter, self.predictor.end) if bundle.task.spans else None
        self._lengths = [len(example.input) for example in parts.training]
        self.identity = self._identity()
        self.state = self.reached(FinetuneState)
        self.log = Log(folder, self.state.step, FinetuneStep)

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or the metric has not risen for `patience` of them."""
        waited = self.state.epoch - self.state.best_epoch if self.parts.validation else 0
        return self.state.epoch >= self.options.epochs or waited >= self.options.patience

    @property
    def planned(self) -> int:
        """How many steps the training has if no epoch is spared."""
        return self.options.epochs * self.steps_per_epoch

    @property
    def steps_per_epoch(self) -> int:
        """How many batches the training examples make."""
        return -(-len(self.parts.training) // self.options.batch_size)

    def next_batch(self) -> list[ExampleBatch]:
        """Return the next batch of the epoch, in the parts to accumulate."""
        indices = self.batches_of(self.state.epoch, self._lengths)[self.state.position]
        size = -(-len(indices) // self.options.accumulation)
        parts = [indices[first : first + size] for first in range(0, len(indices), size)]
        return [self._batch([self.parts.training[index] for index in part]) for part in parts]

    def differentiate(self, batch: list[ExampleBatch]) -> torch.Tensor:
        """Differentiate the loss of each part; return their sum, the mean of all labels."""
        labels = sum(int((part.labels != IGNORED).sum()) for part in batch)
        losses = []
        for part in batch:
            loss = self._loss(part, "sum", self.options.label_smoothing) / labels
            loss.backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
        return torch.stack(losses).sum()

    def tokens_of(self, batch: list[ExampleBatch]) -> int:
        return sum(part.tokens for part in batch)

    def learning_rate(self) -> float:
        return self.options.rate_at(self.state.step)

    def more_figures(self) -> dict[str, Any]:
        return {"epoch": self.state.epoch + 1}

    @property
    def validates(self) -> bool:
        return self.state.position == self.steps_per_epoch

    def validate(self, figures: FinetuneStep) -> None:
        loss, figures.metric = self._validation()
        figures.validation_loss = loss

    def after_step(self, figures: FinetuneStep) -> None:
        if self.validates:
            self._end_epoch(figures.metric)
        elif figures.step % self.options.save_every == 0:
            self.save()

    def note(self, figures: FinetuneStep) -> str:
        """Return the words beside the progress bar."""
        best = f", best {self.bundle.task.metric} {self.state.best:.3f}" if self.state.best_epoch else ""
        return figures.shown() + best

    def _batch(self, examples: Sequence[Example]) -> ExampleBatch:
        return batch_of(examples, self.model.config.pad_token_id, self._allowed)

    def _loss(self, batch: ExampleBatch, reduction: str, smoothing: float = 0.0) -> torch.Tensor:
        device = self.model.shared.weight.device
        inputs, mask, labels = (torch.from_numpy(array).to(device) for array in batch[:3])
        allowed = None
        if batch.allowed is not None:
            allowed = mask_of(batch.allowed, self.model.config.vocab_size).to(device)
        with self.autocast():
            return self.model.loss(inputs, labels, mask, reduction, allowed, smoothing)

    def _validation(self) -> tuple[float | None, float | None]:
        """Return loss and metric on the validation records; None without any."""
        examples = self.parts.validation[: self.options.validation_records]
        if not examples:
            return None, None
        cpu = time.process_time()
        self.model.eval()
        size = self.options.batch_size
        nats = 0.0
        with torch.inference_mode():
            for start in range(0, len(examples), size):
                nats += self._loss(self._batch(examples[start : start + size]), "sum").item()
        metric = evaluate_examples(self.predictor, examples).value
        self.state.cpu_seconds += time.process_time() - cpu
        return nats / sum(len(example.labels) for example in examples), metric

    def _end_epoch(self, metric: float | None) -> None:
        """Keep the model if it is the best so far, and the state."""
        state = replace(self.state, epoch=self.state.epoch + 1, position=0)
        if metric is None or metric > state.best:
            state = replace(state, best=-math.inf if metric is None else metric, best_epoch=state.epoch)
            notes = {**self.bundle.notes, "epoch": state.epoch, "steps": state.step}
            save_folder(self.folder, self.model, self.adapter, {"task": self.bundle.task.name})
            replace(self.bundle, notes={**notes, "validation_metric": metric}).save(self.folder)
        self.state = state
        self.save()

    def _identity(self) -> dict[str, Any]:
        """Return what must be the same when a fine-tuning resumes."""
        digest = hashlib.sha256()
        for part in self.parts:
            for example in part:
                digest.update(repr((example.inputs, example.labels)).encode())
        return {
            "data": digest.hexdigest(),
            "task": self.bundle.task.to_dict(),
            "options": self.fixed_options(CHANGEABLE),
            "vocabulary": self.adapter.fingerprint,
            "start": self.bundle.notes.get("start"),
        }
