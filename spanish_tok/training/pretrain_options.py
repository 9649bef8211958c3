"""The options of a pretraining, and its learning rate.

They are also the recipe in pretrain.toml.
"""

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from spanish_tok.errors import SpanishTokError
from spanish_tok.options import assigned, changed, check_seed, from_toml
from spanish_tok.training.masks.denoisers import KINDS

SHIPPED = Path(__file__).with_name("pretrain.toml")  # the defaults, each explained
NAMED = {"default": SHIPPED, "gpu": Path(__file__).with_name("pretrain-gpu.toml")}  # recipes that ship
WORTH_COMPILING = 5_000_000  # tokens: from here on the time that compiling takes comes back
MOST_REPEATS = 100  # of a record in an epoch
ADVICE = f"The shipped recipe explains every entry: {SHIPPED}"
OLD_ENTRIES = {"aim_attention": "locality_init"}  # entry of recipes and training.json -> the field


@dataclass(frozen=True, kw_only=True)
class PretrainOptions:
    """Everything that decides a pretraining but the data.

    `spanish-tok pretrain --show-recipe` prints pretrain.toml, which explains each field. model: a preset of
    T5Config, or a folder with config.json. start: a model folder whose weights to start from. locality_init: random
    weights attend to tokens nearby and alike (`aim_attention` in recipes). Lengths are in
    ids, `warmup` and `..._every` in steps, `held_out`, `masking_rate`, `dropout`, `cooldown` and `average` are shares.
    `spans` to `gap_sentences` are the weights of the denoisers, `weights` those of the folders of shards.

    >>> PretrainOptions(steps=500).steps
    500
    """

    model: str = "spanish-tiny"
    start: str = ""
    locality_init: bool = True
    dropout: float = 0.0
    seed: int = 1
    input_length: int = 256
    batch_size: int = 8
    masking_rate: float = 0.25
    mean_span: float = 3.0
    spans: float = 1.0
    prefix: float = 0.0
    long_spans: float = 0.0
    recurring_spans: float = 0.0
    gap_sentences: float = 0.0
    weights: tuple[float, ...] = ()
    held_out: float = 0.01
    optimizer: Literal["adamw", "muon", "adafactor"] = "adamw"
    learning_rate: float = 0.02
    weight_decay: float = 0.0
    clip: float = 1.0
    schedule: Literal["inverse-square-root", "cosine", "wsd"] = "cosine"
    steps: int = 6000
    warmup: int = 300
    cooldown: float = 0.25
    average: float = 0.0
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    compile: Literal["auto", "on", "off"] = "auto"
    validate_every: int = 500
    validation_records: int = 500
    save_every: int = 100
    keep: int = 2

    def __post_init__(self) -> None:
        for name in ("input_length", "batch_size", "steps", "validate_every", "save_every", "keep", "clip"):
            _require(getattr(self, name) > 0, name, getattr(self, name), "must be greater than 0")
        _require(
            self.learning_rate > 0, "learning_rate", self.learning_rate, "must be greater than 0 to learn"
        )
        for name in ("held_out", "dropout", "cooldown", "average"):
            _require(0 <= getattr(self, name) < 1, name, getattr(self, name), "must be from 0 to below 1")
        for name, choices in _choices().items():
            _require(getattr(self, name) in choices, name, getattr(self, name), f"must be one of {choices}")
        for name in ("validation_records", "weight_decay", *KINDS):
            _require(getattr(self, name) >= 0, name, getattr(self, name), "must be 0 or more")
        weight = sum(getattr(self, name) for name in KINDS)
        _require(
            0 < weight < math.inf,
            "spans",
            self.spans,
            f"and the other denoisers' weights add up to {weight:g}",
        )
        simple = all(0 < weight < math.inf for weight in self.weights)
        _require(
            simple and max(self.repeats, default=1) <= MOST_REPEATS,
            "weights",
            list(self.weights),
            f"must be numbers above 0 in a ratio of whole numbers up to {MOST_REPEATS}",
        )
        check_seed(self.seed)
        _require(0 <= self.warmup < self.steps, "warmup", self.warmup, f"must be below steps, {self.steps}")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "PretrainOptions":
        """Read a recipe: "default", "gpu", or a TOML file.

        Entries that it leaves out have their defaults.

        Raises SpanishTokError that names the file and the entry.

        >>> PretrainOptions.load("gpu").optimizer
        'muon'
        """
        return from_toml(cls, recipe_file(path), old_names=OLD_ENTRIES)

    @classmethod
    def of(cls, entries: Mapping[str, Any]) -> "PretrainOptions":
        """Return the options from entries such as those of training.json."""
        return changed(cls, None, {OLD_ENTRIES.get(name, name): value for name, value in entries.items()})

    def with_strings(self, assignments: Iterable[str], *, flag: str = "--set") -> "PretrainOptions":
        """Return a copy with fields changed by strings such as "steps=500".

        The command line gives them.
        """
        values = assigned(assignments, flag=flag)
        return changed(
            PretrainOptions, self, {OLD_ENTRIES.get(name, name): value for name, value in values.items()}
        )

    def entries(self) -> dict[str, Any]:
        """Return the entries of training.json, under the names that every version reads."""
        names = {field: entry for entry, field in OLD_ENTRIES.items()}
        values = asdict(self) | {"weights": list(self.weights)}
        return {names.get(name, name): value for name, value in values.items()}

    @property
    def repeats(self) -> tuple[int, ...]:
        """How many times an epoch shows each record of each folder.

        The smallest whole numbers.

        >>> PretrainOptions(weights=(0.5, 1, 1.5)).repeats
        (1, 2, 3)
        """
        shares = [Fraction(str(weight)) for weight in self.weights]
        scale = math.lcm(*(share.denominator for share in shares))
        whole = [int(share * scale) for share in shares]
        return tuple(number // math.gcd(*whole) for number in whole)

    def learning_rate_at(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0.

        It rises in a line through the warm-up. "cosine" then falls to zero at `steps`; "inverse-square-root" falls with
        the root of the step, and in a line to zero over the last `cooldown` of the steps; "wsd" is constant until that
        fall.

        >>> changes = {"schedule": "inverse-square-root", "steps": 1000, "warmup": 100, "learning_rate": 0.02}
        >>> recipe = PretrainOptions(**changes)
        >>> [round(recipe.learning_rate_at(step), 5) for step in (0, 99, 399, 999)]
        [0.0002, 0.02, 0.01, 3e-05]
        """
        count = step + 1
        if count <= self.warmup:
            return self.learning_rate * count / self.warmup
        left = self.steps - step
        if self.schedule == "cosine":
            done = (count - self.warmup) / (self.steps - self.warmup + 1)
            return self.learning_rate * 0.5 * (1 + math.cos(math.pi * done))
        falling = self.cooldown * self.steps
        fall = min(1.0, left / falling) if falling else 1.0
        root = 1.0 if self.schedule == "wsd" else math.sqrt(max(self.warmup, 1) / count)
        return self.learning_rate * root * fall

    @property
    def fall(self) -> int:
        """The step before which a schedule does not know how many `steps` there are.

        0 but for "wsd": a run that has not come further can be given more steps, as if they had been planned.
        """
        falling = max(self.cooldown, self.average)
        return math.floor(self.steps - falling * self.steps) if self.schedule == "wsd" else 0

    @property
    def averaged_from(self) -> int:
        """After how many steps the weights are averaged; the last, if never."""
        return self.steps - math.ceil(self.average * self.steps)


def shipped_recipe(name: str = "default") -> str:
    """Return the text of a recipe that ships, "default" or "gpu".

    Raises SpanishTokError for another name.
    """
    if name not in NAMED:
        raise SpanishTokError(f"There is no recipe {name!r}", f"Choose from {', '.join(NAMED)}.")
    return NAMED[name].read_text(encoding="utf-8")


def recipe_file(name: str | os.PathLike[str]) -> Path:
    """Return the file of a recipe: one that ships by its name, else the path itself.

    Raises SpanishTokError for what is neither.
    """
    found = NAMED.get(str(name), Path(name))
    if not found.exists():
        raise SpanishTokError(
            f"There is no recipe {str(name)!r}", f"Give {', '.join(NAMED)}, or a TOML file."
        )
    return found


def _require(holds: bool, name: str, value: Any, rule: str) -> None:
    if not holds:
        raise SpanishTokError(f"{name} = {value!r} {rule}", ADVICE)


def _choices() -> dict[str, tuple[str, ...]]:
    """Return the values of each field that has a fixed list of them."""
    hints = get_type_hints(PretrainOptions)
    return {
        field.name: get_args(hints[field.name])
        for field in fields(PretrainOptions)
        if get_origin(hints[field.name]) is Literal
    }
