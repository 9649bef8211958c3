"""The verb `pretrain`: a T5 trained by span corruption on token shards."""

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spanish_tok.errors import SpanishTokError
from spanish_tok.generation.generator import Generator
from spanish_tok.options import changed, check_one_given
from spanish_tok.progress import ProgressOption, progress_of
from spanish_tok.readers.options import Location
from spanish_tok.shards.reader import TokenArrays, check_arrays, load_shards
from spanish_tok.shards.writer import shard
from spanish_tok.t5.model import T5, torch_device
from spanish_tok.tokenization.tokenizer import Tokenizer
from spanish_tok.tokenization.verbs import tokenizer_of
from spanish_tok.training.held_out import Validation, split
from spanish_tok.training.log import Log, PretrainStep
from spanish_tok.training.loop import TrainingLoop, check_folder_of_training
from spanish_tok.training.losses import loss_of, scorer_of
from spanish_tok.training.optimizers import autocast, optimizer_for
from spanish_tok.training.packing import PackedBatches, closing_of
from spanish_tok.training.pretrain_options import PretrainOptions, fall_of
from spanish_tok.training.span_corruption import Batch, SpanCorruption
from spanish_tok.training.start import model_of
from spanish_tok.training.state import (
    TrainingState,
    load_checkpoint,
    newest_checkpoint,
    notes_at,
    notes_of,
    remove_older,
    save_checkpoint,
)
from spanish_tok.vocab.vocabulary import PAD

FLAT_AFTER = 300  # steps
FLAT = 0.05  # nats that the loss must have fallen by then
# fields that may change when a training resumes
CHANGEABLE = {"steps", "cooldown", "precision", "validate_every", "validation_records", "save_every", "keep"}


@dataclass(frozen=True)
class PretrainResult:
    """A pretraining that came to its last step.

    checkpoint: the model folder; None if there was no output. generator: the model, ready to write. losses in nats a
    token: the mean of the first and of the last 20 steps.
    """

    checkpoint: Path | None
    steps: int
    tokens: int
    cpu_seconds: float
    first_loss: float
    last_loss: float
    generator: Generator

    def to_dict(self) -> dict[str, Any]:
        """Return the figures, ready for JSON."""
        return {
            "checkpoint": self.checkpoint and str(self.checkpoint),
            "steps": self.steps,
            "tokens": self.tokens,
            "cpu_seconds": self.cpu_seconds,
            "first_loss": self.first_loss,
            "last_loss": self.last_loss,
        }

    def __str__(self) -> str:
        return f"{TrainingState(self.steps, self.tokens, self.cpu_seconds).shown()}: {self.checkpoint}"


def pretrain(
    input: Location | TokenArrays | None = None,  # noqa: A002
    output: Location | None = None,
    *,
    texts: Any = None,
    tokenizer: Tokenizer | Location | None = None,
    device: str = "cpu",
    threads: int | None = None,
    options: PretrainOptions | None = None,
    progress: ProgressOption = None,
    **changes: Any,
) -> PretrainResult:
    """Pretrain a T5 by span corruption on token shards.

    Records that end with `</s>` (`shard --eos`) give the same training as those without: none is added then.

    input: a folder that `shard` wrote, or the arrays of `load_shards`; or `texts=` in memory. output: the folder for
    checkpoints, log.csv and the loss curve; without it only the result holds the model. tokenizer: that of the shards,
    the shipped one by default. device: "cpu" or "cuda". threads: None stands for all cores. changes: fields of
    PretrainOptions.

    An interrupted call resumes from the newest checkpoint when it is given again, and its losses are those of a call
    that was not interrupted. Raises SpanishTokError for shards of another vocabulary, another training in `output`, and
    a loss that is not a number or does not fall. (T5: Raffel et al. 2020, https://arxiv.org/abs/1910.10683.)
    """
    options, shown = changed(PretrainOptions, options, changes), progress_of(progress)
    check_one_given(input, texts, to="train on", advice="Give either shards or texts=.")
    if output is not None:
        check_folder_of_training(Path(output))
    tokenizer = tokenizer_of(tokenizer)
    if texts is not None:
        input = shard(texts=texts, tokenizer=tokenizer).load()  # noqa: A001
    if isinstance(input, TokenArrays):
        arrays = check_arrays(input, tokenizer.vocab_size, "The input")
    else:
        arrays = load_shards(input or "", tokenizer.vocabulary)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary if output is None else output)
        training = Pretraining(*arrays, tokenizer, options, folder, torch_device(device, threads))
        shown.tell(training.summary())
        with shown.phase("pretraining", options.steps) as bar:
            training.run(bar)
        checkpoint, state, log = training.newest(), training.state, training.log
        return PretrainResult(
            checkpoint=checkpoint if output is not None else None,
            steps=state.step,
            tokens=state.tokens,
            cpu_seconds=state.cpu_seconds,
            first_loss=log.mean_loss(0, 20),
            last_loss=log.mean_loss(-20, len(log.rows)),
            generator=Generator.load(checkpoint),
        )


class Pretraining(TrainingLoop[PretrainStep]):
    """A pretraining in a folder; it resumes from the newest checkpoint there.

    ids: uint16 or uint32[tokens]; record k is ids[offsets[k]:offsets[k + 1]]. The folder holds log.csv, the loss
    curve, and checkpoint-STEP folders, which are model folders.
    """

    state: TrainingState
    model: T5

    def __init__(
        self,
        ids: NDArray[Any],
        offsets: NDArray[np.int64],
        tokenizer: Tokenizer,
        options: PretrainOptions,
        folder: Path,
        device: str = "cpu",
    ) -> None:
        self.tokenizer, self.options = tokenizer, options
        closing = closing_of(ids, offsets)
        parts = split(ids, offsets, tokenizer, options.held_out, closing)
        corruption = SpanCorruption.of(
            tokenizer.vocabulary, rate=options.masking_rate, mean_span=options.mean_span, seed=options.seed
        )

        def packed(records: NDArray[np.int64]) -> PackedBatches:
            return PackedBatches(
                ids, offsets, records, corruption, options.input_length, options.batch_size, closing
            )

        self.batches = packed(parts.training)
        self.validation = None
        if parts.held_out.size:
            self.validation = Validation(packed(parts.held_out), tokenizer, options.validation_records)
        self._start = notes_at(Path(options.start)) if options.start else {}
        torch.manual_seed(options.seed)
        model = model_of(options, tokenizer.vocabulary).to(device)
        optimizer = optimizer_for(options, model)
        super().__init__(folder, model, optimizer, autocast(options.precision, device), options.clip)
        self.state = TrainingState()
        if newest := newest_checkpoint(folder, self._planned_so):
            self._refuse_another(newest)
            self.state = load_checkpoint(newest, self.model, self.optimizer)
        self.log: Log[PretrainStep] = Log(folder, self.state.step)

    def summary(self) -> str:
        """Return what is trained on what, in a few lines."""
        batches, options = self.batches, self.options
        held_out = self.validation.batches.records.size if self.validation else 0
        epochs = options.steps / batches.batches_per_epoch
        return (
            f"{self.model.config.parameters:,} parameters; {batches.records.size:,} records of "
            f"{batches.tokens_per_epoch:,} ids, {held_out:,} held out; {options.steps:,} steps of "
            f"{options.batch_size} x {options.input_length} ids, {epochs:.2f} epochs, from step {self.state.step:,}"
        )

    @property
    def finished(self) -> bool:
        return self.state.step >= self.options.steps

    def next_batch(self) -> Batch:
        return self.batches.batch(self.state.step)

    def loss(self, batch: Batch) -> torch.Tensor:
        with self.autocast():
            return loss_of(self.model, batch)

    def tokens_of(self, batch: Batch) -> int:
        return int((batch.inputs != PAD).sum() + (batch.targets != PAD).sum())

    def learning_rate(self) -> float:
        return self.options.learning_rate_at(self.state.step)

    @property
    def validates(self) -> bool:
        return bool(self.validation) and (self.finished or self.state.step % self.options.validate_every == 0)

    def validate(self, figures: PretrainStep) -> None:
        assert self.validation
        score = scorer_of(self.model)
        loss = self.validation.nats_per_token(score)
        figures.bits_per_byte = self.validation.bits_per_byte(score).value
        figures.validation_loss = loss

    def after_step(self, figures: PretrainStep) -> None:
        self._refuse_flat(figures)
        if figures.step % self.options.save_every == 0 or figures.step == self.options.fall:
            self.save()

    def finish(self) -> None:
        self.save()

    def save(self) -> Path:
        """Write a checkpoint of this moment; return its folder.

        Checkpoints that are too old are removed.
        """
        vocabulary = self.tokenizer.vocabulary
        final = save_checkpoint(
            self.folder, self.model, self.optimizer, vocabulary, self.state, self._notes()
        )
        remove_older(self.folder, self.options.keep, self.options.fall, self._planned_so)
        return final

    def newest(self) -> Path:
        """Return the folder of the newest checkpoint; write one if there is none."""
        return newest_checkpoint(self.folder, self._planned_so) or self.save()

    def _notes(self) -> dict[str, Any]:
        return {
            "recipe": self.options.entries(),
            "vocabulary": self.tokenizer.vocabulary.fingerprint,
            "records": self.batches.offsets.size - 1,
            "tokens_per_epoch": self.batches.tokens_per_epoch,
            "torch": torch.__version__,
            "start": self._start,
        }

    def _planned_so(self, checkpoint: Path) -> bool:
        """Whether a checkpoint's run had the rates that this one has up to there.

        Of a run by "wsd" that was given more steps, the checkpoint before its fall is the newest such one.
        """
        notes, ours = notes_of(checkpoint), self.options
        steps, cooldown = notes["recipe"].get("steps", 0), notes["recipe"].get("cooldown", 0.0)
        if ours.schedule != "wsd" or (steps, cooldown) == (ours.steps, ours.cooldown):
            return True
        return 0 <= cooldown < 1 and bool(notes["step"] <= min(fall_of(steps, cooldown), ours.fall))

    def _refuse_another(self, checkpoint: Path) -> None:
        """Raise SpanishTokError if a checkpoint belongs to another training than this one."""
        theirs, ours = notes_of(checkpoint), self._notes()
        entries: Iterable[str] = (name for name in ours["recipe"] if name not in CHANGEABLE)
        differing = [
            name for name in ("vocabulary", "records", "tokens_per_epoch") if theirs[name] != ours[name]
        ]
        differing += [name for name in entries if theirs["recipe"].get(name) != ours["recipe"][name]]
        if differing:
            raise SpanishTokError(
                f"{checkpoint} is of another training: it differs in {', '.join(differing)}",
                "Choose another folder, or the same data and recipe.",
            )

    def _refuse_flat(self, figures: PretrainStep) -> None:
        """Stop a training that does not learn.

        Its loss after 300 steps is still that of the first ones.
        """
        if figures.step != FLAT_AFTER or self.options.start:
            return
        first, last = self.log.mean_loss(0, 20), self.log.mean_loss(FLAT_AFTER - 20, FLAT_AFTER)
        if first - last < FLAT:
            raise SpanishTokError(
                f"The loss did not fall in {FLAT_AFTER} steps: {first:.3f}, then {last:.3f}, at a learning rate of "
                f"{figures.learning_rate:g}",
                "Try another learning rate, and look at the data.",
            )
