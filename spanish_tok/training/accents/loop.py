"""What restoring accents puts into the training loop."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from spanish_tok.tasks.accents.evaluation import AccentEvaluation, evaluate_restorer
from spanish_tok.tasks.accents.forms import Forms
from spanish_tok.tasks.accents.pieces import PieceReader, Window
from spanish_tok.tasks.accents.restorer import Restorer, save_restorer
from spanish_tok.tasks.accents.scores import KINDS
from spanish_tok.tasks.batches import padded
from spanish_tok.text.arrow import bytes_and_offsets
from spanish_tok.tokenization.tokenizer import Tokenizer
from spanish_tok.training.accents.batches import batch_of, is_bare
from spanish_tok.training.accents.tagger import AccentBatch, AccentTagger
from spanish_tok.training.finetune_options import FinetuneOptions
from spanish_tok.training.log import Log, StepRecord
from spanish_tok.training.loop import EpochTraining
from spanish_tok.training.state import TrainingState

CHANGEABLE = {"save_every", "precision", "validation_records"}


@dataclass
class AccentStep(StepRecord):
    """One step; the loss in nats a word, tokens are pieces.

    The figures of validation are the shares of words that are wrong and that are right.
    """

    right_words: float | None = None

    def shown(self) -> str:
        """Return the figures in a few words, for a progress bar."""
        return f"loss {self.loss:.4f}, {self.tokens_per_second:,} pieces/s"


class AccentTraining(EpochTraining[AccentStep]):
    """A training in a folder, which restores accents from its first saved state on.

    It resumes where it stopped. The rate rises, then falls to 0 at the last step.
    """

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
        super().__init__(folder, model, options)
        self.tokenizer, self.forms, self.notes = tokenizer, forms, notes
        self.training, self.validation = training, validation
        self.reader = PieceReader(tokenizer)
        self.identity = self._identity()
        self.state = self.reached(TrainingState)
        self.log = Log(folder, self.state.step, AccentStep)
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
        windows = []
        for index in self.batches_of(epoch, self._lengths)[position]:
            read = list(self.reader.windows(self.training[index].as_py()))
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
        super().save()
        self.export()
        return self.folder

    def finish(self) -> None:
        self.save()

    def export(self) -> None:
        """Write the folder that `Restorer.load` reads."""
        tensors = {name: tensor.detach().cpu().numpy() for name, tensor in self.model.state_dict().items()}
        notes = {**self.notes, "steps": self.state.step, "pieces": self.state.tokens}
        save_restorer(self.folder, self.model.config, tensors, self.forms, self.tokenizer, notes)

    def _identity(self) -> dict[str, Any]:
        """Return what must be the same when a training resumes."""
        data, offsets = bytes_and_offsets(self.training)
        digest = hashlib.sha256(data[offsets[0] : offsets[-1]].tobytes() + offsets.tobytes()).hexdigest()
        return {
            "task": "accents",
            "data": digest,
            "options": self.fixed_options(CHANGEABLE),
            "start": self.notes["start"],
        }
