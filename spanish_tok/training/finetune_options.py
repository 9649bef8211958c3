"""The options of a fine-tuning."""

from dataclasses import dataclass
from typing import Literal

from spanish_tok.errors import SpanishTokError
from spanish_tok.options import check_seed


@dataclass(frozen=True)
class FinetuneOptions:
    """How a model is fine-tuned.

    The defaults suit a small model and some thousand records.

    epochs: at most so many passes over the training records.
    batch_size: records in a step. optimizer, learning_rate: constant after `warmup` steps; the step of each matrix
        is in proportion to its size for both optimizers, so one rate serves all sizes of model (T5's own is 1e-3).
    dropout: fights memorizing; T5's own rate. clip: the largest norm of a gradient.
    patience: stop after so many epochs without a better metric on the validation records.
    validation, held_out: the shares of the records that are set apart; held-out ones are only evaluated at the end.
    records: train on so many of the training records of each task, drawn by the seed of the division; 0: on all.
    validation_records: validate on so many of the validation records of each task after each epoch.
    precision: "bf16" (autocast), "fp32", or "auto": bf16 where the processor computes with it.
    seed: of the division, of order and dropout, and of random weights.
    split_seed: of the division alone, so that trainings with several seeds share one held-out part; None: `seed`.
    malformed: whether a damaged row is an error or is dropped and counted.
    label_smoothing: the share of a target's probability that is spread over all ids that it could be.
    accumulation: into how many parts a step's records are divided, computed one behind the other: less memory, the
        same gradients.
    save_every: steps between two saved states, beside the one after every epoch.
    """

    epochs: int = 10
    batch_size: int = 16
    optimizer: Literal["adamw", "adafactor"] = "adamw"
    learning_rate: float = 2e-3
    warmup: int = 50
    weight_decay: float = 0.0
    dropout: float = 0.1
    clip: float = 1.0
    patience: int = 3
    validation: float = 0.1
    held_out: float = 0.0
    records: int = 0
    validation_records: int = 300
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    seed: int = 0
    malformed: Literal["error", "reject"] = "error"
    save_every: int = 500
    label_smoothing: float = 0.0
    accumulation: int = 1
    split_seed: int | None = None

    def __post_init__(self) -> None:
        positive = ("epochs", "batch_size", "learning_rate", "clip", "patience", "save_every", "accumulation")
        for name in positive:
            if not getattr(self, name) > 0:
                raise SpanishTokError(f"{name} is {getattr(self, name)}", "Give more than 0.")
        for name in ("records", "validation_records", "warmup", "weight_decay"):
            if not getattr(self, name) >= 0:
                raise SpanishTokError(f"{name} is {getattr(self, name)}", "Give 0 or more.")
        check_seed(self.seed)
        check_seed(self.division_seed)
        for name in ("dropout", "validation", "held_out", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise SpanishTokError(f"{name} is {getattr(self, name)}", "Give a share from 0 to below 1.")
        if self.validation + self.held_out >= 1:
            raise SpanishTokError(
                f"validation and held_out are {self.validation} and {self.held_out}: nothing is left to train on",
                "Give smaller shares.",
            )

    @property
    def division_seed(self) -> int:
        """The seed of the division into training, validation and held-out records."""
        return self.seed if self.split_seed is None else self.split_seed

    def rate_at(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0: constant after a rise.

        >>> FinetuneOptions(learning_rate=0.5, warmup=2).rate_at(0), FinetuneOptions(learning_rate=0.5).rate_at(99)
        (0.25, 0.5)
        """
        return self.learning_rate * min(1.0, (step + 1) / max(1, self.warmup))
