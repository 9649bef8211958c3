"""Pretraining by span corruption: the loop, what it keeps, and what stops it."""

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spanish_tok.errors import SpanishTokError
from spanish_tok.jobs import claim
from spanish_tok.progress import SILENT, Bar
from spanish_tok.t5.checkpoint import Checkpoint
from spanish_tok.t5.config import PRESETS, T5Config
from spanish_tok.t5.init import locality_init
from spanish_tok.t5.model import T5
from spanish_tok.tokenization.tokenizer import Tokenizer
from spanish_tok.training.held_out import Validation, split
from spanish_tok.training.log import Log, StepRecord
from spanish_tok.training.losses import loss_of, scorer_of
from spanish_tok.training.optimizers import autocast, flush_denormals, optimizer_for
from spanish_tok.training.packing import PackedBatches
from spanish_tok.training.pretrain_options import PretrainOptions
from spanish_tok.training.span_corruption import SpanCorruption
from spanish_tok.training.state import (
    TrainingState,
    load_checkpoint,
    newest_checkpoint,
    notes_at,
    notes_of,
    remove_older,
    save_checkpoint,
)
from spanish_tok.vocab.vocabulary import PAD, Vocabulary

FLAT_AFTER = 300  # steps
FLAT = 0.05  # nats that the loss must have fallen by then
# entries of a recipe that may change when a training is taken up again
CHANGEABLE = {"steps", "cooldown", "precision", "validate_every", "validation_records", "save_every", "keep"}
ADVICE = "Try a lower learning rate or a longer warm-up."


class Pretraining:
    """A training in a folder: begun anew, or taken up from the newest checkpoint there.

    ids: uint16[tokens]; record k is ids[offsets[k]:offsets[k + 1]]. `run()` trains to the recipe's last step.
    The folder then holds log.csv, the loss curve, and checkpoint-STEP folders, which are model folders.
    """

    def __init__(
        self,
        ids: NDArray[np.uint16],
        offsets: NDArray[np.int64],
        tokenizer: Tokenizer,
        recipe: PretrainOptions,
        folder: Path,
        device: str = "cpu",
    ) -> None:
        self.tokenizer, self.recipe, self.folder = tokenizer, recipe, folder
        parts = split(ids, offsets, tokenizer, recipe.held_out)
        corruption = SpanCorruption.of(
            tokenizer.vocabulary, rate=recipe.masking_rate, mean_span=recipe.mean_span, seed=recipe.seed
        )
        self.batches = PackedBatches(
            ids, offsets, parts.training, corruption, recipe.input_length, recipe.batch_size
        )
        self.validation = None
        if parts.held_out.size:
            held_out = PackedBatches(
                ids, offsets, parts.held_out, corruption, recipe.input_length, recipe.batch_size
            )
            self.validation = Validation(held_out, tokenizer, recipe.validation_records)
        self._start = notes_at(Path(recipe.start)) if recipe.start else {}
        torch.manual_seed(recipe.seed)
        self.model = model_of(recipe, tokenizer.vocabulary).to(device)
        self.optimizer = optimizer_for(recipe, self.model)
        self.autocast = autocast(recipe.precision, device)
        self.reached = TrainingState()
        if newest := newest_checkpoint(folder):
            self._refuse_another(newest)
            self.reached = load_checkpoint(newest, self.model, self.optimizer)
        self.log: Log[StepRecord] = Log(folder, self.reached.step)

    def run(self, progress: Bar = SILENT) -> Path:
        """Train to the recipe's last step; returns the newest checkpoint. Ctrl-C saves one first."""
        progress.advance(self.reached.step)
        with claim(self.folder):
            try:
                for row in self.steps():
                    progress.advance()
                    progress.note(row.shown())
            except KeyboardInterrupt:
                self.save()
                raise
            self.log.draw()
            return self.save()

    def summary(self) -> str:
        """What is going to be trained on what, in a few lines."""
        batches, recipe = self.batches, self.recipe
        held_out = self.validation.batches.records.size if self.validation else 0
        epochs = recipe.steps / batches.batches_per_epoch
        return (
            f"{self.model.config.parameters:,} parameters; {batches.records.size:,} records of "
            f"{batches.tokens_per_epoch:,} ids, {held_out:,} held out; {recipe.steps:,} steps of {recipe.batch_size} x "
            f"{recipe.input_length} ids, {epochs:.2f} epochs, from step {self.reached.step:,}"
        )

    def steps(self) -> Iterator[StepRecord]:
        """Train step by step; gives the row of the log after each."""
        recipe = self.recipe
        flush_denormals()
        while self.reached.step < recipe.steps:
            row = self._step()
            last = row.step == recipe.steps
            if self.validation and (last or row.step % recipe.validate_every == 0):
                score = scorer_of(self.model)
                row.validation_loss = self.validation.nats_per_token(score)
                row.bits_per_byte = self.validation.bits_per_byte(score).value
            self.log.add(row)
            self._refuse_flat(row)
            if row.step % recipe.save_every == 0:
                self.save()
            yield row

    def _step(self) -> StepRecord:
        begun, cpu = time.perf_counter(), time.process_time()
        batch = self.batches.batch(self.reached.step)
        rate = self.recipe.learning_rate_at(self.reached.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.model.train()
        self.optimizer.zero_grad()
        with self.autocast():
            loss = loss_of(self.model, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip).item()
        self._refuse_nan(loss.item(), norm, rate)
        self.optimizer.step()
        tokens = int((batch.inputs != PAD).sum() + (batch.targets != PAD).sum())
        seconds = time.perf_counter() - begun
        self.reached.add(tokens, seconds, time.process_time() - cpu)
        return StepRecord(
            step=self.reached.step,
            tokens=self.reached.tokens,
            cpu_seconds=round(self.reached.cpu_seconds, 1),
            loss=loss.item(),
            learning_rate=rate,
            gradient_norm=norm,
            tokens_per_second=round(tokens / seconds),
        )

    def save(self) -> Path:
        """Write a checkpoint of this moment, and remove those that are too old."""
        vocabulary = self.tokenizer.vocabulary
        final = save_checkpoint(
            self.folder, self.model, self.optimizer, vocabulary, self.reached, self._notes()
        )
        remove_older(self.folder, self.recipe.keep)
        return final

    def _notes(self) -> dict[str, Any]:
        return {
            "recipe": asdict(self.recipe),
            "vocabulary": self.tokenizer.vocabulary.fingerprint,
            "records": self.batches.offsets.size - 1,
            "tokens_per_epoch": self.batches.tokens_per_epoch,
            "torch": torch.__version__,
            "start": self._start,
        }

    def _refuse_another(self, checkpoint: Path) -> None:
        """Raise where a checkpoint belongs to another training than this one."""
        theirs, ours = notes_of(checkpoint), self._notes()
        differing = [
            name for name in ("vocabulary", "records", "tokens_per_epoch") if theirs[name] != ours[name]
        ]
        differing += [
            name
            for name, value in ours["recipe"].items()
            if name not in CHANGEABLE and theirs["recipe"].get(name) != value
        ]
        if differing:
            raise SpanishTokError(
                f"{checkpoint} is of another training: it differs in {', '.join(differing)}",
                "Choose another folder, or the same data and recipe.",
            )

    def _refuse_nan(self, loss: float, norm: float, rate: float) -> None:
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise SpanishTokError(
                f"At step {self.reached.step + 1} the loss is {loss}, the norm of the gradient {norm}, the learning "
                f"rate {rate:g}",
                ADVICE,
            )

    def _refuse_flat(self, row: StepRecord) -> None:
        """Stop a training that does not learn: its loss after 300 steps is where it began."""
        if row.step != FLAT_AFTER or self.recipe.start:
            return
        first, last = self.log.mean_loss(0, 20), self.log.mean_loss(FLAT_AFTER - 20, FLAT_AFTER)
        if first - last < FLAT:
            raise SpanishTokError(
                f"The loss did not fall in {FLAT_AFTER} steps: {first:.3f}, then {last:.3f}, at a learning rate of "
                f"{row.learning_rate:g}",
                "Try another learning rate, and look at the data.",
            )


def model_of(recipe: PretrainOptions, vocabulary: Vocabulary) -> T5:
    """The model that a recipe begins with: random weights of its shape, or those of the folder `start`.

    Raises SpanishTokError where that folder is damaged or its model reads another vocabulary.
    """
    if not recipe.start:
        return random_model(recipe, len(vocabulary))
    checkpoint = Checkpoint.load(recipe.start)
    if checkpoint.vocabulary.fingerprint != vocabulary.fingerprint:
        raise SpanishTokError(
            f"The model of {recipe.start} reads another vocabulary than the shards hold",
            "Make shards with the model's own vocabulary: spanish-tok shard --vocab FOLDER.",
        )
    config = replace(checkpoint.config, dropout_rate=recipe.dropout)
    return T5.from_tensors(config, checkpoint.tensors)


def random_model(recipe: PretrainOptions, vocab_size: int) -> T5:
    """A model of the recipe's shape with random weights, its attention aimed where the recipe says so."""
    model = T5(config_of(recipe, vocab_size))
    if recipe.aim_attention:
        locality_init(model, model.config)
    return model


def config_of(recipe: PretrainOptions, vocab_size: int) -> T5Config:
    """The model of a recipe, with as many rows as the vocabulary has ids: a preset, or a folder's config.json."""
    if recipe.model in PRESETS:
        return T5Config.preset(recipe.model, vocab_size=vocab_size, dropout_rate=recipe.dropout)
    if not Path(recipe.model).is_dir():
        raise SpanishTokError(
            f"model = {recipe.model!r} is neither a preset nor a folder", f"Presets: {', '.join(PRESETS)}."
        )
    values = T5Config.from_json(Path(recipe.model) / "config.json").to_dict()
    return T5Config.from_dict(values | {"vocab_size": vocab_size, "dropout_rate": recipe.dropout})
