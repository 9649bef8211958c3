"""What fine-tuning puts into the training loop.

Epochs of examples of one task or several, metrics, the best model, when it stops.
"""

import hashlib
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

import torch

from spanish_tok.t5.model import T5, mask_of
from spanish_tok.t5.model_folder import save_folder
from spanish_tok.tasks.batches import IGNORED, ExampleBatch, batch_of
from spanish_tok.tasks.bundle import save_bundles
from spanish_tok.tasks.choices import SpanTargets
from spanish_tok.tasks.evaluate import evaluate_examples
from spanish_tok.tasks.examples import Example
from spanish_tok.tasks.predictor import Predictor
from spanish_tok.tasks.windows import Ids
from spanish_tok.tokenization.adapters import TokenizerAdapter
from spanish_tok.training.finetune_options import FinetuneOptions
from spanish_tok.training.finetuning.records import TaskRecords
from spanish_tok.training.finetuning.step import FinetuneStep, metric_names, metrics_of, step_of
from spanish_tok.training.log import Log
from spanish_tok.training.loop import EpochTraining
from spanish_tok.training.state import TrainingState

CHANGEABLE = {"epochs", "patience", "save_every", "precision"}  # may change when a fine-tuning resumes


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


Shown: TypeAlias = tuple[int, Example]  # a record, with the number of its task


class Finetuning(EpochTraining[FinetuneStep]):
    """A fine-tuning in a folder; it resumes where it stopped.

    It trains until the validation metric, the mean over the tasks, no longer rises, or the epochs are over. The folder
    is then a model folder (that of the best epoch) with task.json, log.csv and the curves; resume.safetensors holds
    the last state. Without validation records the last epoch is kept.

    A batch holds records of all tasks as they come, of about one length: each step then follows all tasks at once,
    and one draw of the order serves them together. The loss is the mean over the batch's labels, each shared among
    what its own task allows there.
    """

    state: FinetuneState
    model: T5

    def __init__(
        self,
        model: T5,
        adapter: TokenizerAdapter,
        tasks: Sequence[TaskRecords],
        options: FinetuneOptions,
        folder: Path,
        name: str,
    ) -> None:
        super().__init__(folder, model, options)
        self.adapter, self.tasks, self.name = adapter, tasks, name
        self._predictors = [Predictor(model, adapter, one.bundle) for one in tasks]
        self._spans = [
            SpanTargets(one.bundle.task, adapter, model.config.eos_token_id)
            if one.bundle.task.spans
            else None
            for one in tasks
        ]
        self._epoch = -1  # whose records these are, and their lengths
        self._shown: list[Shown] = []
        self._lengths: list[int] = []
        self.identity = self._identity()
        self.state = self.reached(FinetuneState)
        self.log = Log(folder, self.state.step, step_of(tasks))
        self._measured = next((row for row in reversed(self.log.rows) if row.metric is not None), None)

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or the metric has not risen for `patience` of them."""
        waited = self.state.epoch - self.state.best_epoch if self.tasks[0].parts.validation else 0
        return self.state.epoch >= self.options.epochs or waited >= self.options.patience

    @property
    def planned(self) -> int:
        """How many steps the training has if no epoch is spared."""
        return self.options.epochs * self.steps_per_epoch

    @property
    def steps_per_epoch(self) -> int:
        """How many batches the training examples make."""
        return -(-sum(one.shown_per_epoch for one in self.tasks) // self.options.batch_size)

    def next_batch(self) -> list[ExampleBatch]:
        """Return the next batch of the epoch, in the parts to accumulate."""
        if self._epoch != self.state.epoch:
            self._epoch = self.state.epoch
            self._shown = [(n, one) for n, task in enumerate(self.tasks) for one in task.shown(self._epoch)]
            self._lengths = [len(example.input) for _, example in self._shown]
        indices = self.batches_of(self._epoch, self._lengths)[self.state.position]
        size = -(-len(indices) // self.options.accumulation)
        parts = [indices[first : first + size] for first in range(0, len(indices), size)]
        return [self._batch([self._shown[index] for index in part]) for part in parts]

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
        """Fill in the validation loss of all tasks, the metrics and their mean.

        Nothing without validation records.
        """
        if not self.tasks[0].parts.validation or not self.options.validation_records:
            return
        cpu = time.process_time()
        self.model.eval()
        found = [self._validation(number) for number in range(len(self.tasks))]
        nats, labels, metrics = zip(*found, strict=True)
        figures.metric = sum(metrics) / len(metrics)
        for name, metric in zip(metric_names(figures), metrics, strict=True):
            setattr(figures, name, metric)
        self.state.cpu_seconds += time.process_time() - cpu
        figures.validation_loss = sum(nats) / sum(labels)
        self._measured = figures

    def after_step(self, figures: FinetuneStep) -> None:
        if self.validates:
            self._end_epoch(figures)
        elif figures.step % self.options.save_every == 0:
            self.save()

    def note(self, figures: FinetuneStep) -> str:
        """Return the words beside the progress bar.

        Of several tasks with each one's last metric.
        """
        if not self.state.best_epoch:
            return figures.shown()
        if len(self.tasks) == 1:
            return f"{figures.shown()}, best {self.tasks[0].bundle.task.metric} {self.state.best:.3f}"
        last = metrics_of(self._measured) if self._measured else []
        each = [f", {one.name} {metric:.3f}" for one, metric in zip(self.tasks, last, strict=False)]
        return f"{figures.shown()}{''.join(each)}, best mean {self.state.best:.3f}"

    def _batch(self, records: Sequence[Shown]) -> ExampleBatch:
        allowed = list(chain.from_iterable(self._allowed(number, example) for number, example in records))
        examples = [example for _, example in records]
        return batch_of(examples, self.model.config.pad_token_id, allowed if any(allowed) else None)

    def _allowed(self, number: int, example: Example) -> Sequence[Ids | None]:
        """Return the ids that a task allows at each label of a record."""
        spans = self._spans[number]
        return spans(example) if spans else [None] * len(example.labels)

    def _loss(self, batch: ExampleBatch, reduction: str, smoothing: float = 0.0) -> torch.Tensor:
        device = self.model.shared.weight.device
        inputs, mask, labels = (torch.from_numpy(array).to(device) for array in batch[:3])
        allowed = None
        if batch.allowed is not None:
            allowed = mask_of(batch.allowed, self.model.config.vocab_size).to(device)
        with self.autocast():
            return self.model.loss(inputs, labels, mask, reduction, allowed, smoothing)

    def _validation(self, number: int) -> tuple[float, int, float]:
        """Return a task's nats on validation records, their labels, and the metric."""
        examples = self.tasks[number].parts.validation[: self.options.validation_records]
        size = self.options.batch_size
        nats = 0.0
        with torch.inference_mode():
            for start in range(0, len(examples), size):
                records = [(number, example) for example in examples[start : start + size]]
                nats += self._loss(self._batch(records), "sum").item()
        metric = evaluate_examples(self._predictors[number], examples).value
        return nats, sum(len(example.labels) for example in examples), metric

    def _end_epoch(self, figures: FinetuneStep) -> None:
        """Keep the model if it is the best so far, and the state."""
        state, metric = replace(self.state, epoch=self.state.epoch + 1, position=0), figures.metric
        if metric is None or metric > state.best:
            state = replace(state, best=-math.inf if metric is None else metric, best_epoch=state.epoch)
            save_folder(self.folder, self.model, self.adapter, {"task": self.name})
            reached = {"epoch": state.epoch, "steps": state.step}
            bundles = [
                replace(one.bundle, notes={**one.bundle.notes, **reached, "validation_metric": own})
                for one, own in zip(self.tasks, metrics_of(figures), strict=True)
            ]
            save_bundles(bundles, self.folder)
        self.state = state
        self.save()

    def _identity(self) -> dict[str, Any]:
        """Return what must be the same when a fine-tuning resumes."""
        digest = hashlib.sha256()
        for example in chain.from_iterable(part for one in self.tasks for part in one.parts):
            digest.update(repr((example.inputs, example.labels)).encode())
        tasks = [one.bundle.task.to_dict() for one in self.tasks]
        weights = [one.weight for one in self.tasks]
        return {
            "data": digest.hexdigest(),
            "task": tasks[0] if len(tasks) == 1 else tasks,
            "options": self.fixed_options(CHANGEABLE),
            "vocabulary": self.adapter.fingerprint,
            "start": self.tasks[0].bundle.notes.get("start"),
        } | ({} if weights == [1.0] else {"weights": weights})
