"""The recipe of a pretraining: one flat TOML file, one frozen object, and the schedule that follows from it."""

import math
import os
import tomllib
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from spanish_tok.errors import SpanishTokError

SHIPPED = Path(__file__).with_name("pretrain.toml")
ADVICE = f"The shipped recipe explains every entry: {SHIPPED}"


@dataclass(frozen=True, kw_only=True)
class PretrainOptions:
    """Everything that decides a pretraining but the data; pretrain.toml says what each entry means.

    >>> PretrainOptions.load().with_values({"steps": "500"}).steps
    500
    """

    model: str
    start: str
    aim_attention: bool
    dropout: float
    seed: int
    input_length: int
    batch_size: int
    masking_rate: float
    mean_span: float
    held_out: float
    optimizer: Literal["adamw", "adafactor"]
    learning_rate: float
    weight_decay: float
    clip: float
    schedule: Literal["inverse-square-root", "cosine"]
    steps: int
    warmup: int
    cooldown: float
    precision: Literal["auto", "bf16", "fp32"]
    validate_every: int
    validation_records: int
    save_every: int
    keep: int

    def __post_init__(self) -> None:
        for name in ("input_length", "batch_size", "steps", "validate_every", "save_every", "keep", "clip"):
            _require(getattr(self, name) > 0, name, getattr(self, name), "must be greater than 0")
        _require(
            self.learning_rate > 0, "learning_rate", self.learning_rate, "must be greater than 0 to learn"
        )
        for name in ("held_out", "dropout", "cooldown"):
            _require(0 <= getattr(self, name) < 1, name, getattr(self, name), "must be from 0 to below 1")
        for name, choices in _choices().items():
            _require(getattr(self, name) in choices, name, getattr(self, name), f"must be one of {choices}")
        _require(0 <= self.warmup < self.steps, "warmup", self.warmup, f"must be below steps, {self.steps}")

    @classmethod
    def load(cls, path: str | os.PathLike[str] | None = None) -> "PretrainOptions":
        """Read a recipe from a TOML file; the shipped one without a path. Raises SpanishTokError, naming the entry."""
        path = Path(path or SHIPPED)
        try:
            entries = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise SpanishTokError(f"The recipe {path} does not exist", ADVICE) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SpanishTokError(f"{path} is not valid TOML: {error}", ADVICE) from None
        return cls.of(entries, str(path))

    @classmethod
    def of(cls, entries: dict[str, Any], source: str = "the recipe") -> "PretrainOptions":
        """A recipe from its entries, each of which must be there and be of its type."""
        names = [field.name for field in fields(cls)]
        if unknown := sorted(set(entries) - set(names)):
            raise SpanishTokError(f"{source} holds unknown entries: {', '.join(unknown)}", ADVICE)
        if missing := [name for name in names if name not in entries]:
            raise SpanishTokError(f"{source} lacks {', '.join(missing)}", ADVICE)
        return cls(**{name: _typed(name, value) for name, value in entries.items()})

    def with_values(self, values: dict[str, str]) -> "PretrainOptions":
        """A copy with some entries changed, given as text."""
        known = {field.name for field in fields(self)}
        if unknown := sorted(set(values) - known):
            raise SpanishTokError(
                f"A recipe has no {', '.join(unknown)}", f"It has {', '.join(sorted(known))}."
            )
        return replace(self, **{name: _typed(name, value) for name, value in values.items()})

    def learning_rate_at(self, step: int) -> float:
        """The learning rate of a step, counted from 0.

        It rises in a line through the warm-up. "cosine" then falls to zero at `steps`; "inverse-square-root" falls with
        the root of the step, and in a line to zero over the last `cooldown` of the steps.

        >>> changes = {"schedule": "inverse-square-root", "steps": "1000", "warmup": "100", "learning_rate": "0.02"}
        >>> recipe = PretrainOptions.load().with_values(changes)
        >>> [round(recipe.learning_rate_at(step), 5) for step in (0, 99, 399, 999)]
        [0.0002, 0.02, 0.01, 3e-05]
        """
        number = step + 1
        if number <= self.warmup:
            return self.learning_rate * number / self.warmup
        left = self.steps - step
        if self.schedule == "cosine":
            done = (number - self.warmup) / (self.steps - self.warmup + 1)
            return self.learning_rate * 0.5 * (1 + math.cos(math.pi * done))
        falling = self.cooldown * self.steps
        fall = min(1.0, left / falling) if falling else 1.0
        return self.learning_rate * math.sqrt(max(self.warmup, 1) / number) * fall


def _require(holds: bool, name: str, value: Any, what: str) -> None:
    if not holds:
        raise SpanishTokError(f"{name} = {value!r} {what}", ADVICE)


@cache
def _choices() -> dict[str, tuple[str, ...]]:
    """The values of each entry that has a fixed list of them."""
    return {
        field.name: field.type.__args__
        for field in fields(PretrainOptions)
        if hasattr(field.type, "__args__")
    }


def _typed(name: str, value: Any) -> Any:
    """A value of a TOML file or of the command line as the type of its entry."""
    kind = next(field.type for field in fields(PretrainOptions) if field.name == name)
    wanted = kind if isinstance(kind, type) else str
    if wanted is bool and str(value).lower() in ("true", "false"):
        return str(value).lower() == "true"
    if isinstance(value, str) and wanted in (int, float):
        try:
            return wanted(value)
        except ValueError:
            pass
    if wanted is float and type(value) is int:
        return float(value)
    if type(value) is not wanted:
        raise SpanishTokError(f"{name} = {value!r} is not of the type {wanted.__name__}", ADVICE)
    return value
