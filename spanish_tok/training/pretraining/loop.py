"""What pretraining puts into the training loop.

Batches, validation, checkpoints, and what a fault leads to.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spanish_tok.errors import SpanishTokError
from spanish_tok.parallel.memory import memory_kept
from spanish_tok.parallel.threads import Ahead, available_cores, thread_pool
from spanish_tok.t5.model import T5
from spanish_tok.tokenization.tokenizer import Tokenizer
from spanish_tok.training.held_out import Validation, split
from spanish_tok.training.log import Log, PretrainStep
from spanish_tok.training.loop import DivergedError, TrainingLoop
from spanish_tok.training.losses import loss_of, scorer_of
from spanish_tok.training.masks.denoisers import KINDS, Denoisers
from spanish_tok.training.optimizers import autocast, optimizer_for
from spanish_tok.training.packing import PackedBatches, closing_of
from spanish_tok.training.pretrain_options import PretrainOptions
from spanish_tok.training.pretraining.average import WeightMean
from spanish_tok.training.pretraining.compiled_step import BatchShape, CompiledStep, worth_compiling
from spanish_tok.training.span_corruption import Batch, SpanCorruption
from spanish_tok.training.start import model_of
from spanish_tok.training.state import (
    PROGRESS,
    TrainingState,
    checkpoint_at,
    load_checkpoint,
    newest_checkpoint,
    notes_at,
    notes_of,
    remove_newer,
    remove_older,
    save_checkpoint,
)
from spanish_tok.vocab.vocabulary import PAD

FLAT_AFTER = 300  # steps
FLAT = 0.05  # nats that the loss must have fallen by then
FAR = 0.3  # nats of the held-out loss above the best one: a fault
MOST_RETURNS = 3
AVERAGED = "averaged"  # the folder of the averaged model
WORKERS = 4  # threads that make batches for a graphics card
# fields that may change when a training resumes
CHANGEABLE = {
    "steps", "cooldown", "average", "precision", "compile", "validate_every", "validation_records", "save_every",
    "keep",
}  # fmt: skip


class Pretraining(TrainingLoop[PretrainStep]):
    """A pretraining in a folder; it resumes from the newest checkpoint there.

    ids: uint16 or uint32[tokens]; record k is ids[offsets[k]:offsets[k + 1]], seen repeats[k] times an epoch (once
    without them). The folder holds log.csv, the loss curve, and checkpoint-STEP folders, which are model folders.
    `tell` is called with what is worth a line.
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
        tell: Callable[[str], None] = lambda _: None,
        repeats: NDArray[np.int64] | None = None,
    ) -> None:
        self.tokenizer, self.options, self._tell = tokenizer, options, tell
        closing = closing_of(ids, offsets)
        parts = split(ids, offsets, tokenizer, options.held_out, closing)
        draws: Any = {"rate": options.masking_rate, "mean_span": options.mean_span, "seed": options.seed}
        spans = SpanCorruption.of(tokenizer.vocabulary, **draws)
        weights: Any = {kind: getattr(options, kind) for kind in KINDS}
        others = any(weights[kind] for kind in KINDS[1:])
        mixed = Denoisers.of(tokenizer.vocabulary, **draws, **weights) if others else spans

        def packed(records: NDArray[np.int64], corruption: SpanCorruption) -> PackedBatches:
            return PackedBatches(
                ids, offsets, records, corruption, options.input_length, options.batch_size, closing
            )

        seen = parts.training if repeats is None else np.repeat(parts.training, repeats[parts.training])
        self.batches, self._records = packed(seen, mixed), parts.training.size
        self.validation = None
        if parts.held_out.size:
            self.validation = Validation(packed(parts.held_out, spans), tokenizer, options.validation_records)
        self._start = notes_at(Path(options.start)) if options.start else {}
        torch.manual_seed(options.seed)
        model = model_of(options, tokenizer.vocabulary).to(device)
        optimizer = optimizer_for(options, model)
        super().__init__(folder, model, optimizer, autocast(options.precision, device), options.clip)
        self.state = TrainingState()
        # after faults: {"step": the first step whose batch is not taken again, "back_to": a step, "why": a text}
        self.returns: list[dict[str, Any]] = []
        self._compiled: CompiledStep | None = None
        shape, compiles = BatchShape.of(self.batches), None
        if newest := newest_checkpoint(folder, self._planned_so):
            self._refuse_another(newest)
            self.state = load_checkpoint(newest, self.model, self.optimizer)
            compiles = notes_of(newest).get("compiled", False)
            self.returns = notes_of(newest).get("returns", [])
        self._mean = WeightMean(options.averaged_from, newest)
        if compiles is None or options.compile != "auto":
            compiles = worth_compiling(options, shape, device)
        if compiles:
            self._compiled = CompiledStep(self.model, shape, self.autocast)
        self._ahead: Callable[[int], Batch] = self.batches.batch
        self.log: Log[PretrainStep] = Log(folder, self.state.step)

    def summary(self) -> str:
        """Return what is trained on what, in a few lines."""
        batches, options = self.batches, self.options
        held_out = self.validation.batches.records.size if self.validation else 0
        epochs = options.steps / batches.batches_per_epoch
        return (
            f"{self.model.config.parameters:,} parameters; {self._records:,} records of "
            f"{batches.tokens_per_epoch:,} ids, {held_out:,} held out; {options.steps:,} steps of "
            f"{options.batch_size} x {options.input_length} ids, {epochs:.2f} epochs, from step {self.state.step:,}"
        )

    @property
    def finished(self) -> bool:
        return self.state.step >= self.options.steps

    def steps(self) -> Iterator[PretrainStep]:
        """Train step by step; threads make the next batches meanwhile."""
        workers = min(available_cores(), WORKERS if self.model.shared.weight.is_cuda else 1)
        with thread_pool(workers) as pool, memory_kept():
            while True:
                end = self.options.steps + self._passed_over
                self._ahead = Ahead(self.batches.batch, pool, end=end, most=2 * workers)
                try:
                    yield from super().steps()
                    return
                except DivergedError as fault:
                    self._go_back(fault)

    @property
    def _passed_over(self) -> int:
        """How many batches faults have cost.

        The batch of a step has a number higher by them.
        """
        return sum(one["step"] - one["back_to"] for one in self.returns)

    def _go_back(self, fault: DivergedError) -> None:
        """Resume at the best checkpoint, at half the rate.

        Batches up to the fault are passed over.

        The best is that of the lowest held-out loss; without one, the newest. Raises the fault itself where there is
        no checkpoint, and after three returns.
        """
        best = checkpoint_at(self.folder, self._best[1]) or newest_checkpoint(self.folder, self._planned_so)
        if best is None or len(self.returns) == MOST_RETURNS:
            raise fault
        self.state = load_checkpoint(best, self.model, self.optimizer)
        self._mean = WeightMean(self.options.averaged_from, best)
        self.returns.append({"step": fault.step, "back_to": self.state.step, "why": fault.problem})
        self.log = Log(self.folder, self.state.step)
        remove_newer(self.folder, self.state.step)
        self._tell(
            f"{fault.problem}: back to step {self.state.step:,}, at half the rate, behind the batches up to there "
            f"(return {len(self.returns)} of {MOST_RETURNS})"
        )
        self.save()

    @property
    def _best(self) -> tuple[float, int]:
        """The lowest held-out loss so far, and its step; infinity and 0 before."""
        validated = [
            (row.validation_loss, row.step) for row in self.log.rows if row.validation_loss is not None
        ]
        return min((one for one in validated if math.isfinite(one[0])), default=(math.inf, 0))

    def next_batch(self) -> Batch:
        return self._ahead(self.state.step + self._passed_over)

    def differentiate(self, batch: Batch) -> torch.Tensor:
        """Add the gradients of a batch, by the compiled step if there is one.

        Returns its loss.
        """
        if self._compiled:
            if (loss := self._compiled.differentiate(batch)) is not None:
                return loss
            if self._compiled.fault:
                self._tell(f"The step is computed without compiling it, more slowly ({self._compiled.fault})")
                self._compiled = None
                self._keep_whole_steps()
        return super().differentiate(batch)

    def loss(self, batch: Batch) -> torch.Tensor:
        with self.autocast():
            return loss_of(self.model, batch)

    def tokens_of(self, batch: Batch) -> int:
        return int((batch.inputs != PAD).sum() + (batch.targets != PAD).sum())

    def learning_rate(self) -> float:
        return self.options.learning_rate_at(self.state.step) * 0.5 ** len(self.returns)

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
        self._refuse_far(figures)
        self._mean.add(self.model, figures.step)
        best = figures.validation_loss is not None and figures.step == self._best[1]
        if best or figures.step % self.options.save_every == 0 or figures.step == self.options.fall:
            self.save()

    def finish(self) -> None:
        """Write the last checkpoint, and the averaged model."""
        final = self.save()
        if self._mean.count:
            self.averaged.save(
                self.folder / AVERAGED, self.tokenizer.vocabulary, notes=notes_at(final), force=True
            )

    @property
    def averaged(self) -> T5:
        """The model with the mean of its last weights; as it is where none are averaged."""
        tensors = self.model.checkpoint(self.tokenizer.vocabulary).tensors
        return T5.from_tensors(self.model.config, tensors | self._mean.arrays())

    def save(self) -> Path:
        """Write a checkpoint of this moment; return its folder.

        Checkpoints that are too old are removed.
        """
        vocabulary = self.tokenizer.vocabulary
        final = save_checkpoint(
            self.folder, self.model, self.optimizer, vocabulary, self.state, self._notes(), self._mean.save
        )
        always = {self.options.fall, self._best[1]}
        remove_older(self.folder, self.options.keep, always, self._planned_so)
        return final

    def newest(self) -> Path:
        """Return the folder of the newest checkpoint; write one if there is none.

        Of a training that averages and has ended, the folder of the averaged model.
        """
        if self.finished and self._mean.count:
            return self.folder / AVERAGED
        return newest_checkpoint(self.folder, self._planned_so) or self.save()

    def _notes(self) -> dict[str, Any]:
        return {
            "recipe": self.options.entries(),
            "vocabulary": self.tokenizer.vocabulary.fingerprint,
            "records": self.batches.offsets.size - 1,
            "tokens_per_epoch": self.batches.tokens_per_epoch,
            "torch": torch.__version__,
            "start": self._start,
            "compiled": self._compiled is not None,
            "returns": self.returns,
        }

    def _planned_so(self, checkpoint: Path) -> bool:
        """Whether a checkpoint's run had the rates that this one has up to there.

        Of a run by "wsd" that was given more steps, the checkpoint before its fall is the newest such one.
        """
        notes, ours = notes_of(checkpoint), self.options
        try:
            theirs = PretrainOptions.of(notes["recipe"])
        except SpanishTokError as error:
            raise SpanishTokError(
                f"{checkpoint / PROGRESS}: {error.problem}", "Resume from another one."
            ) from None
        plans = [(one.steps, one.cooldown, one.average) for one in (theirs, ours)]
        if ours.schedule != "wsd" or plans[0] == plans[1]:
            return True
        return bool(notes["step"] <= min(theirs.fall, ours.fall))

    def _refuse_another(self, checkpoint: Path) -> None:
        """Raise SpanishTokError if a checkpoint belongs to another training than this one."""
        theirs, ours = notes_of(checkpoint), self._notes()
        entries: Iterable[str] = (name for name in ours["recipe"] if name not in CHANGEABLE)
        differing = [
            name for name in ("vocabulary", "records", "tokens_per_epoch") if theirs[name] != ours[name]
        ]
        old = PretrainOptions().entries() | theirs["recipe"]  # an older version had fewer entries
        differing += [name for name in entries if old[name] != ours["recipe"][name]]
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

    def _refuse_far(self, figures: PretrainStep) -> None:
        """Raise DivergedError if the held-out loss is far above the best one."""
        best = self._best[0]
        if figures.validation_loss is not None and not figures.validation_loss <= best + FAR:
            raise DivergedError(
                figures.step,
                f"At step {figures.step} the held-out loss is {figures.validation_loss:.3f}, the best was {best:.3f}",
            )
