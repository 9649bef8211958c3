"""The one training loop: step, validate, log, save, resume.

`pretrain` and `finetune` say what is trained on.
"""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch

from spanish_tok.errors import SpanishTokError
from spanish_tok.files.outputs import check_folder
from spanish_tok.files.schema import made, shape_of
from spanish_tok.interrupts import call_whole
from spanish_tok.jobs import claim, remove_partials
from spanish_tok.progress import SILENT, Bar
from spanish_tok.tasks.batches import order_of
from spanish_tok.training.finetune_options import FinetuneOptions
from spanish_tok.training.log import Log
from spanish_tok.training.optimizers import autocast, flush_denormals, optimizer_for
from spanish_tok.training.state import (
    TrainingState,
    load_state,
    random_state,
    restore_random_state,
    save_state,
)

ADVICE = "Try a lower learning rate or a longer warm-up."


class DivergedError(SpanishTokError):
    """A training whose loss is no number, or far above what it was.

    `step` is the first step, from 1, whose batch is not to be taken again.
    """

    def __init__(self, step: int, problem: str) -> None:
        super().__init__(problem, ADVICE)
        self.step = step


class StepFigures(Protocol):
    """What the log holds of every step.

    The dataclass of a training adds its own fields.
    """

    validation_loss: float | None

    @property
    def step(self) -> int:
        """The number of the step, from 1."""
        ...

    def shown(self) -> str:
        """Return the figures in a few words, for a progress bar."""
        ...


STATE = "resume.safetensors"
MARKS = ("checkpoint-*", "log.csv", STATE)  # of a folder that a training has begun to fill


def check_folder_of_training(folder: Path) -> None:
    """Check, before the work, that a training can begin or resume in a folder.

    Raises SpanishTokError otherwise.
    """
    begun = folder.is_dir() and any(True for mark in MARKS for _ in folder.glob(mark))
    if not begun and check_folder(folder, kind="a training"):
        raise SpanishTokError(f"{folder} holds a model or a vocabulary", "Give a new folder.")


R = TypeVar("R", bound=StepFigures)
S = TypeVar("S", bound=TrainingState)


class TrainingLoop(ABC, Generic[R]):
    """A training in a folder, from its start or from where it stopped.

    A subclass says what a batch is and what its loss is, when to validate, when to save and when to stop. It sets
    `state` (how far the training is) and `log` once its own state is loaded.
    """

    state: TrainingState
    log: Log[R]

    def __init__(
        self,
        folder: Path,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        autocast: Callable[[], AbstractContextManager[Any]],
        clip: float,
    ) -> None:
        self.folder = folder
        self.model = model
        self.optimizer = optimizer
        self.autocast = autocast
        self.clip = clip
        self._before: dict[str, torch.Tensor] | None = None  # random state before a step that has not ended

    @property
    @abstractmethod
    def finished(self) -> bool:
        """Whether no step is left."""

    @abstractmethod
    def next_batch(self) -> Any:
        """Return the batch of the next step."""

    def loss(self, batch: Any) -> torch.Tensor:
        """Return the mean loss of a batch in nats a token, a scalar to differentiate."""
        raise NotImplementedError

    def differentiate(self, batch: Any) -> torch.Tensor:
        """Add the gradients of a batch to those of the parameters; return its loss."""
        loss = self.loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    @abstractmethod
    def tokens_of(self, batch: Any) -> int:
        """Return the tokens of inputs and targets, without padding."""

    @abstractmethod
    def learning_rate(self) -> float:
        """Return the learning rate of the next step."""

    def more_figures(self) -> dict[str, Any]:
        """Return the figures of a step that only this training logs; nothing here."""
        return {}

    @property
    @abstractmethod
    def validates(self) -> bool:
        """Whether the step that was taken last is one to validate after."""

    @abstractmethod
    def validate(self, figures: R) -> None:
        """Fill in the figures of validation."""

    @abstractmethod
    def after_step(self, figures: R) -> None:
        """Save or stop, as the step asks for; its figures are in the log."""

    @abstractmethod
    def save(self) -> Path:
        """Write all that the next step depends on; return where."""

    def run(self, bar: Bar = SILENT) -> None:
        """Train to the end, with the folder claimed; Ctrl-C saves first.

        The KeyboardInterrupt then says what was saved.
        """
        shown = self.state.step
        bar.advance(shown)
        with claim(self.folder):
            remove_partials(self.folder)
            try:
                for figures in self.steps():
                    bar.advance(figures.step - shown)
                    shown = figures.step
                    bar.note(self.note(figures))
                self.log.draw()
                self.finish()
            except KeyboardInterrupt:
                self._keep_whole_steps()
                raise KeyboardInterrupt(
                    f"{self.state.step:,} steps are saved in {self.save()}. Repeat the call: it resumes there."
                ) from None

    def finish(self) -> None:
        """Do what is left after the last step; nothing here."""

    def steps(self) -> Iterator[R]:
        """Train step by step; yield the figures of each."""
        flush_denormals()
        if self.validates and self.log.rows and self.log.rows[-1].step == self.state.step:
            self._end_step(self.log.rows[-1])  # its validation was interrupted
        while not self.finished:
            begun, cpu = time.perf_counter(), time.process_time()
            self._before = random_state(self.model)
            figures = self._step(self.next_batch(), begun, cpu)
            self._end_step(figures)
            yield figures

    def _end_step(self, figures: R) -> None:
        """Validate, log and save after a step, as far as that was not done."""
        if self.validates and figures.validation_loss is None:
            self.validate(figures)
            call_whole(self.log.replace_last, figures)
        self.after_step(figures)

    def _keep_whole_steps(self) -> None:
        """Give back what a step that was broken off has drawn from the random generators."""
        if self._before is not None:
            restore_random_state(self._before)

    def note(self, figures: R) -> str:
        """Return the words beside the progress bar."""
        return figures.shown()

    def _step(self, batch: Any, begun: float, cpu: float) -> R:
        rate = self.learning_rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.model.train()
        self.optimizer.zero_grad()
        loss = self.differentiate(batch)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.clip).item()
        self._refuse_nan(loss.item(), norm, rate)
        tokens = self.tokens_of(batch)

        def update() -> R:  # all of it or nothing: Ctrl-C waits
            self.optimizer.step()
            seconds = time.perf_counter() - begun
            self.state.add(tokens, seconds, time.process_time() - cpu)
            row: Callable[..., R] = self.log.kind
            figures = row(
                step=self.state.step,
                tokens=self.state.tokens,
                cpu_seconds=round(self.state.cpu_seconds, 1),
                loss=loss.item(),
                learning_rate=rate,
                gradient_norm=norm,
                tokens_per_second=round(tokens / seconds),
                **self.more_figures(),
            )
            self.log.add(figures)
            self._before = None
            return figures

        return call_whole(update)

    def _refuse_nan(self, loss: float, norm: float, rate: float) -> None:
        if not (math.isfinite(loss) and math.isfinite(norm)):
            step = self.state.step + 1
            raise DivergedError(
                step,
                f"At step {step} the loss is {loss}, the norm of the gradient {norm}, the learning rate {rate:g}",
            )


class EpochTraining(TrainingLoop[R]):
    """A training by epochs, whose state is one file of its folder.

    It resumes from there.

    A subclass sets `identity`, what must be the same when it resumes, before it asks for what was `reached`.
    """

    identity: dict[str, Any]

    def __init__(self, folder: Path, model: torch.nn.Module, options: FinetuneOptions) -> None:
        device = next(model.parameters()).device.type
        optimizer = optimizer_for(options, model)
        super().__init__(folder, model, optimizer, autocast(options.precision, device), options.clip)
        self.options = options
        self._batches: tuple[int, list[list[int]]] = (-1, [])  # the epoch, and its batches as indices
        torch.manual_seed(options.seed)

    def reached(self, kind: type[S]) -> S:
        """Return how far the training is, and load the model and the rest as it was there."""
        path = self.folder / STATE
        if not path.exists():
            return kind()
        shape = {"reached": shape_of(kind)}
        notes = load_state(path, self.model, self.optimizer, self._refuse_another, shape)
        return made(kind, notes["reached"])

    def save(self) -> Path:
        """Write all that the next step depends on; return the file."""
        notes = {"reached": asdict(self.state), **self.identity}
        save_state(self.folder / STATE, self.model, self.optimizer, notes)
        return self.folder / STATE

    def batches_of(self, epoch: int, lengths: Sequence[int]) -> list[list[int]]:
        """Return the batches of an epoch as indices of examples, which have these lengths."""
        if self._batches[0] != epoch:
            self._batches = epoch, order_of(lengths, self.options.batch_size, self.options.seed, epoch)
        return self._batches[1]

    def fixed_options(self, changeable: set[str]) -> dict[str, Any]:
        """Return the options that must be the same when a training resumes.

        The seed of the division only where it is one of its own: trainings begun before there was one resume.
        """
        if self.options.division_seed == self.options.seed:
            changeable = {*changeable, "split_seed"}
        return {name: value for name, value in asdict(self.options).items() if name not in changeable}

    def _refuse_another(self, notes: Mapping[str, Any]) -> None:
        if differing := [name for name, value in self.identity.items() if notes.get(name) != value]:
            raise SpanishTokError(
                f"{self.folder} holds another training: it differs in {', '.join(differing)}",
                "Choose another folder, or the same model, data and options.",
            )
