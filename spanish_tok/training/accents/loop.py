"""What restoring accents puts into the training loop."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from spanish_tok.errors import SpanishTokError
from spanish_tok.files.schema import made, shape_of
from spanish_tok.tasks.accents.evaluation import AccentEvaluation, evaluate_restorer
from spanish_tok.tasks.accents.forms import Forms
from spanish_tok.tasks.accents.pieces import PieceReader, Window
from spanish_tok.tasks.accents.restorer import Restorer, save_restorer
from spanish_tok.tasks.accents.scores import KINDS
from spanish_tok.tasks.batches import order_of, padded
from spanish_tok.text.arrow import bytes_and_offsets
from spanish_tok.tokenization.tokenizer import Tokenizer
from spanish_tok.training.accents.batches import batch_of, is_bare
from spanish_tok.training.accents.tagger import AccentBatch, AccentTagger
from spanish_tok.training.finetune_options import FinetuneOptions
from spanish_tok.training.log import Log
from spanish_tok.training.loop import TrainingLoop
from spanish_tok.training.optimizers import autocast, optimizer_for
from spanish_tok.training.state import load_state, save_state

STATE = "resume.safetensors"
CHANGEABLE = {"save_every", "precision", "validation_records"}


@dataclass
class AccentStep:
    """One step of the log; the loss in nats a word.

    The last two figures only where the step was validated: the shares of words that are wrong and that are right.
    """

    step: int
    tokens: int  # pieces so far, padding left out
    cpu_seconds: float  # so far
    loss: float
    learning_rate: float
    gradient_norm: float  # before clipping
    tokens_per_second: int
    validation_loss: float | None = None
    right_words: float | None = None

    def shown(self) -> str:
        """Return the figures in a few words, for a progress bar."""
        return f"loss {self.loss:.4f}, {self.tokens_per_second:,} pieces/s"


@dataclass
class AccentState:
    """How far a training is."""

    step: int = 0
    tokens: int = 0
    cpu_seconds: float = 0.0

    def add(self, tokens: int, seconds: float, cpu_seconds: float) -> None:  # noqa: ARG002
        """Count one more step."""
        self.step += 1
        self.tokens += tokens
        self.cpu_seconds += cpu_seconds


class AccentTraining(TrainingLoop[AccentStep]):
    """A training in a folder, which restores accents from its first saved state on.

    It resumes where it stopped. The rate rises, then falls to 0 at the last step.
    """

    state: AccentState
    model: AccentTagger

    def __init__(
        self,
        model: AccentTagger,
        tokenizer: Tokenizer,
        forms: Forms,
        training: pa.LargeStringArray,
        validation: Sequence[str],
        options: FinetuneOptions,
        folder: Path,
        notes: dict[str, Any],
    ) -> None:
        optimizer, device = optimizer_for(options, model), model.shared.weight.device.type
        super().__init__(folder, model, optimizer, autocast(options.precision, device), options.clip)
        self.tokenizer, self.forms, self.options, self.notes = tokenizer, forms, options, notes
        self.training, self.validation = training, validation
        self.reader = PieceReader(tokenizer)
        torch.manual_seed(options.seed)
        self.state = AccentState()
        self.identity = self._identity()
        if (folder / STATE).exists():
            shape = {"reached": shape_of(AccentState)}
            notes = load_state(folder / STATE, model, optimizer, self._refuse_another, shape)
            self.state = made(AccentState, notes["reached"])
        self.log = Log(folder, self.state.step, AccentStep)
        self._batches: tuple[int, list[list[int]]] = (-1, [])  # the epoch, and its batches as indices
        self._lengths = np.diff(bytes_and_offsets(training)[1]).tolist()

    @property
    def planned(self) -> int:
        """How many steps the training has."""
        return self.options.epochs * self._steps_per_epoch

    @property
    def _steps_per_epoch(self) -> int:
        return -(-len(self.training) // self.options.batch_size)

    @property
    def finished(self) -> bool:
        return self.state.step >= self.planned

    def next_batch(self) -> AccentBatch:
        """Return the next batch: of each text one window, another one in each epoch."""
        epoch, position = divmod(self.state.step, self._steps_per_epoch)
        if self._batches[0] != epoch:
            order = order_of(self._lengths, self.options.batch_size, self.options.seed, epoch)
            self._batches = epoch, order
        windows = []
        for number in self._batches[1][position]:
            read = list(self.reader.windows(self.training[number].as_py()))
            if read and not is_bare((placed.word for part in read for placed in part.words), self.forms):
                windows.append(read[epoch % len(read)])
        return batch_of(windows or [Window([1])], self.forms)

    def loss(self, batch: AccentBatch) -> torch.Tensor:
        with self.autocast():
            return self.model.loss(batch)

    def tokens_of(self, batch: AccentBatch) -> int:
        return int((batch.ids != 0).sum())

    def learning_rate(self) -> float:
        return self.options.rate_at(self.state.step) * (1 - self.state.step / self.planned)

    def figures(self, loss: float, rate: float, norm: float, tokens_per_second: int) -> AccentStep:
        return AccentStep(
            step=self.state.step,
            tokens=self.state.tokens,
            cpu_seconds=round(self.state.cpu_seconds, 1),
            loss=loss,
            learning_rate=rate,
            gradient_norm=norm,
            tokens_per_second=tokens_per_second,
        )

    @property
    def validates(self) -> bool:
        return bool(self.validation) and (self.state.step % self.options.save_every == 0 or self.finished)

    def validate(self, figures: AccentStep) -> None:
        evaluation = self.evaluated()
        figures.validation_loss, figures.right_words = 1 - evaluation.value, evaluation.value

    def evaluated(self) -> AccentEvaluation:
        """Return the evaluation of the model as it stands on the validation texts."""
        self.model.eval()
        return evaluate_restorer(Restorer(self.tokenizer, self.forms, self._score), self.validation)

    @torch.inference_mode()
    def _score(self, windows: Sequence[Window]) -> list[NDArray[np.float32]]:
        ids = torch.from_numpy(padded([tuple(window.ids) for window in windows], 0))
        scores = self.model(ids.to(self.model.shared.weight.device))[:-1].view(KINDS, len(windows), -1)
        return [scores[:, row].cpu().numpy() for row in range(len(windows))]

    def after_step(self, figures: AccentStep) -> None:
        if figures.step % self.options.save_every == 0:
            self.save()

    def save(self) -> Path:
        """Write all that the next step depends on, and what restores accents already."""
        notes = {"reached": asdict(self.state), **self.identity}
        save_state(self.folder / STATE, self.model, self.optimizer, notes)
        self.export()
        return self.folder

    def finish(self) -> None:
        self.save()

    def export(self) -> None:
        """Write the folder that `Restorer.load` reads."""
        tensors = {name: tensor.detach().cpu().numpy() for name, tensor in self.model.state_dict().items()}
        notes = {**self.notes, "steps": self.state.step, "pieces": self.state.tokens}
        save_restorer(self.folder, self.model.config, tensors, self.forms, self.tokenizer, notes)

    def _refuse_another(self, notes: dict[str, Any]) -> None:
        if differing := [name for name, value in self.identity.items() if notes.get(name) != value]:
            raise SpanishTokError(
                f"{self.folder} holds another training: it differs in {', '.join(differing)}",
                "Choose another folder, or the same model, data and options.",
            )

    def _identity(self) -> dict[str, Any]:
        """Return what must be the same when a training resumes."""
        options = {name: value for name, value in asdict(self.options).items() if name not in CHANGEABLE}
        data, offsets = bytes_and_offsets(self.training)
        digest = hashlib.sha256(data[offsets[0] : offsets[-1]].tobytes() + offsets.tobytes()).hexdigest()
        return {"task": "accents", "data": digest, "options": options, "start": self.notes["start"]}
