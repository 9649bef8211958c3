"""The loop of a fine-tuning: what it keeps, and when it stops."""

import hashlib
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from spanish_tok.errors import SpanishTokError
from spanish_tok.jobs import claim
from spanish_tok.progress import SILENT, Bar
from spanish_tok.t5.model import T5, mask_of
from spanish_tok.t5.model_folder import save_folder
from spanish_tok.tasks.batches import ExampleBatch, batch_of, order_of
from spanish_tok.tasks.bundle import TaskBundle
from spanish_tok.tasks.choices import SpanTargets
from spanish_tok.tasks.evaluate import evaluate_examples
from spanish_tok.tasks.examples import Example, ExampleSplit
from spanish_tok.tasks.predictor import Predictor
from spanish_tok.tokenization.codec import Codec
from spanish_tok.training.finetune_options import FinetuneOptions
from spanish_tok.training.log import Log
from spanish_tok.training.optimizers import autocast, flush_denormals, optimizer_for
from spanish_tok.training.state import load_state, save_state

STATE = "resume.safetensors"
CHANGEABLE = {"epochs", "patience", "save_every", "precision"}  # when a fine-tuning is taken up again


@dataclass
class TuningRow:
    """One step of the log. Losses in nats per token; the last two only at the end of an epoch."""

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
        """The row in a few words, for a progress bar."""
        return f"epoch {self.epoch}, loss {self.loss:.3f}, {self.tokens_per_second:,} tokens/s"


@dataclass
class FinetuneState:
    """How far a fine-tuning is; `step` batches of all epochs, `position` of them in this one."""

    step: int = 0
    epoch: int = 0  # epochs that are done, validation included
    position: int = 0
    tokens: int = 0
    cpu_seconds: float = 0.0
    best: float = -math.inf
    best_epoch: int = 0


class FineTuning:
    """A fine-tuning in a folder: begun anew, or taken up where it stopped.

    `run()` trains until the validation metric no longer rises, or the epochs are over. The folder is then a model
    folder (that of the best epoch) with task.json, log.csv and the curves; resume.safetensors holds the last state.
    Without validation records the last epoch is kept.
    """

    def __init__(
        self,
        model: T5,
        codec: Codec,
        tuned: TaskBundle,
        parts: ExampleSplit,
        options: FinetuneOptions,
        folder: Path,
    ) -> None:
        self.model, self.codec, self.tuned = model, codec, tuned
        self.parts, self.options, self.folder = parts, options, folder
        self.predictor = Predictor(model, codec, tuned)
        self._allowed = SpanTargets(tuned.task, codec, self.predictor.end) if tuned.task.spans else None
        self.optimizer = optimizer_for(options, model)
        self.autocast = autocast(options.precision, model.shared.weight.device.type)
        torch.manual_seed(options.seed)
        self.reached = FinetuneState()
        self.identity = self._identity()
        if (folder / STATE).exists():
            self._take_up()
        self.log = Log(folder, self.reached.step, TuningRow)

    def run(self, progress: Bar = SILENT) -> None:
        """Train; Ctrl-C saves the state first."""
        flush_denormals()
        progress.advance(self.reached.step)
        with claim(self.folder):
            try:
                while not self.finished:
                    for row in self._epoch():
                        progress.advance()
                        progress.note(self._note(row))
            except KeyboardInterrupt:
                self._save_state()
                raise
            self.log.draw()

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or the metric has not risen for `patience` of them."""
        reached, options = self.reached, self.options
        waited = reached.epoch - reached.best_epoch if self.parts.validation else 0
        return reached.epoch >= options.epochs or waited >= options.patience

    @property
    def steps_per_epoch(self) -> int:
        return -(-len(self.parts.training) // self.options.batch_size)

    def _epoch(self) -> Iterator[TuningRow]:
        """Train the rest of an epoch, validate, keep the model if it is the best one."""
        examples = self.parts.training
        lengths = [len(example.input) for example in examples]
        batches = order_of(lengths, self.options.batch_size, self.options.seed, self.reached.epoch)
        if self.reached.position == len(batches):  # it was interrupted while it was validated
            self._end_epoch(self._validate()[1])
            return
        for places in batches[self.reached.position :]:
            row = self._step(self._batch([examples[place] for place in places]))
            self.reached.position += 1
            last = self.reached.position == len(batches)
            if last:
                row.validation_loss, row.metric = self._validate()
            self.log.add(row)
            if last:
                self._end_epoch(row.metric)
            elif row.step % self.options.save_every == 0:
                self._save_state()
            yield row

    def _step(self, batch: ExampleBatch) -> TuningRow:
        begun, cpu, reached = time.perf_counter(), time.process_time(), self.reached
        rate = self.options.rate_at(reached.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.model.train()
        self.optimizer.zero_grad()
        loss = self._loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.options.clip).item()
        if not (math.isfinite(loss.item()) and math.isfinite(norm)):
            raise SpanishTokError(
                f"At step {reached.step + 1} the loss is {loss.item()}, the norm of the gradient {norm}",
                "Try a lower learning rate.",
            )
        self.optimizer.step()
        reached.step += 1
        reached.tokens += batch.tokens
        reached.cpu_seconds += time.process_time() - cpu
        return TuningRow(
            step=reached.step,
            epoch=reached.epoch + 1,
            tokens=reached.tokens,
            cpu_seconds=round(reached.cpu_seconds, 1),
            loss=loss.item(),
            learning_rate=rate,
            gradient_norm=norm,
            tokens_per_second=round(batch.tokens / (time.perf_counter() - begun)),
        )

    def _batch(self, examples: Sequence[Example]) -> ExampleBatch:
        return batch_of(examples, self.model.config.pad_token_id, self._allowed)

    def _loss(self, batch: ExampleBatch, reduction: str = "mean") -> torch.Tensor:
        device = self.model.shared.weight.device
        inputs, mask, labels = (torch.from_numpy(array).to(device) for array in batch[:3])
        allowed = None
        if batch.allowed is not None:
            allowed = mask_of(batch.allowed, self.model.config.vocab_size).to(device)
        with self.autocast():
            return self.model.loss(inputs, labels, mask, reduction, allowed)

    def _validate(self) -> tuple[float | None, float | None]:
        """Loss and metric on the validation records, None without any."""
        examples = self.parts.validation[: self.options.validation_records]
        if not examples:
            return None, None
        begun = time.process_time()
        self.model.eval()
        size = self.options.batch_size
        nats = 0.0
        with torch.inference_mode():
            for start in range(0, len(examples), size):
                nats += self._loss(self._batch(examples[start : start + size]), "sum").item()
        metric = evaluate_examples(self.predictor, examples).value
        self.reached.cpu_seconds += time.process_time() - begun
        return nats / sum(len(example.labels) for example in examples), metric

    def _end_epoch(self, metric: float | None) -> None:
        reached = self.reached
        reached.epoch, reached.position = reached.epoch + 1, 0
        if metric is None or metric > reached.best:
            reached.best = -math.inf if metric is None else metric
            reached.best_epoch = reached.epoch
            notes = {**self.tuned.notes, "epoch": reached.epoch, "steps": reached.step}
            save_folder(self.folder, self.model, self.codec, {"task": self.tuned.task.name})
            replace(self.tuned, notes={**notes, "validation_metric": metric}).save(self.folder)
        self._save_state()

    def _note(self, row: TuningRow) -> str:
        best = f", best {self.tuned.task.metric} {self.reached.best:.3f}" if self.reached.best_epoch else ""
        return row.shown() + best

    def _save_state(self) -> None:
        notes = {"reached": asdict(self.reached), **self.identity}
        save_state(self.folder / STATE, self.model, self.optimizer, notes)

    def _take_up(self) -> None:
        """Go on from the saved state; raises SpanishTokError where it is of another fine-tuning."""
        notes = load_state(self.folder / STATE, self.model, self.optimizer, self._refuse_another)
        self.reached = FinetuneState(**notes["reached"])

    def _refuse_another(self, notes: Mapping[str, Any]) -> None:
        differing = [name for name, value in self.identity.items() if notes.get(name) != value]
        if differing:
            raise SpanishTokError(
                f"{self.folder} holds another fine-tuning: it differs in {', '.join(differing)}",
                "Choose another folder, or the same model, data and options.",
            )

    def _identity(self) -> dict[str, Any]:
        """What must be the same when a fine-tuning is taken up again."""
        digest = hashlib.sha256()
        for part in self.parts:
            for example in part:
                digest.update(repr((example.inputs, example.labels)).encode())
        options = {name: value for name, value in asdict(self.options).items() if name not in CHANGEABLE}
        return {
            "data": digest.hexdigest(),
            "task": self.tuned.task.to_dict(),
            "options": options,
            "vocabulary": self.codec.fingerprint,
            "start": self.tuned.notes.get("start"),
        }
