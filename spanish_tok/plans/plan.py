"""Plans: a TOML file that says which steps lead from records to a model.

    title                       text
    input                       recipes, files, folders or patterns; paths are relative to the plan
    [read]                      how files are read: fields of ReadOptions
    [sample]                    size, and fields of SampleOptions but `clean`
    [clean]                     the parameters of rules: fields of CleanOptions
    [count]                     licence
    [train]                     size, sentinels, and fields of TrainOptions
    [verify]                    nothing
    [shard]                     fields of ShardOptions
    [pretrain]                  fields of PretrainOptions
    [bench]                     megabytes

A table is a step. A step whose table is missing is left out, and the next one takes what came before it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from spanish_tok.corpus.cleaning import CleanOptions
from spanish_tok.corpus.pipeline import SampleOptions
from spanish_tok.errors import SpanishTokError
from spanish_tok.files import read_toml
from spanish_tok.options import assigned, changed
from spanish_tok.readers.datasets import is_recipe
from spanish_tok.readers.opening.remote import is_remote
from spanish_tok.readers.options import Location, ReadOptions
from spanish_tok.shards.writer import ShardOptions
from spanish_tok.text.alphabets import SPANISH_NAME
from spanish_tok.training.pretrain_options import OLD_ENTRIES, PretrainOptions
from spanish_tok.vocab.trainer import TrainOptions

# step -> the steps that it cannot do without
STEPS: dict[str, tuple[str, ...]] = {
    "sample": (),
    "clean": (),
    "count": (),
    "train": ("count",),
    "verify": ("train",),
    "shard": (),
    "pretrain": ("shard",),
    "bench": (),
}
SHIPPED = Path(__file__).parent


@dataclass(frozen=True)
class SampleStep(SampleOptions):
    """What [sample] may hold."""

    size: int = 2_000_000
    clean: CleanOptions | bool = False


@dataclass(frozen=True)
class CountStep:
    """What [count] may hold; licence: of the data, which the counts record."""

    licence: str = ""


@dataclass(frozen=True)
class TrainStep(TrainOptions):
    """What [train] may hold."""

    size: int = 5000
    sentinels: int = 100


@dataclass(frozen=True)
class VerifyStep:
    """What [verify] may hold: nothing."""


@dataclass(frozen=True)
class BenchStep:
    """What [bench] may hold; megabytes: of the text that is measured on."""

    megabytes: float = 20.0


# step -> the class of its options
KINDS: dict[str, type[Any]] = {
    "sample": SampleStep,
    "clean": CleanOptions,
    "count": CountStep,
    "train": TrainStep,
    "verify": VerifyStep,
    "shard": ShardOptions,
    "pretrain": PretrainOptions,
    "bench": BenchStep,
}


@dataclass(frozen=True)
class Plan:
    """What `build` does: the input, and the steps with their entries.

    reading: how the input is read. steps: the tables of the file by the names of the steps.

    >>> plan = Plan.load("mmarco-tiny").with_strings(["train.size=8000"])
    >>> list(plan.steps), plan.options("train").size
    (['sample', 'clean', 'count', 'train', 'verify', 'shard', 'pretrain', 'bench'], 8000)
    """

    name: str
    title: str
    input: tuple[str, ...] = ()
    reading: ReadOptions = field(default_factory=ReadOptions)
    steps: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def load(cls, plan: "Location | Plan") -> "Plan":
        """Read a plan: a shipped one by name, another by the path of its TOML file.

        Raises SpanishTokError that names the file and the entry.
        """
        if isinstance(plan, Plan):
            return plan
        path = Path(plan) if Path(plan).suffix == ".toml" else shipped_plans().get(str(plan))
        if path is None:
            close = get_close_matches(str(plan), shipped_plans(), 1)
            meant = f"Did you mean {close[0]}? " if close else ""
            names = ", ".join(shipped_plans())
            raise SpanishTokError(f"There is no plan {str(plan)!r}", f"{meant}Give {names}, or a TOML file.")
        content = read_toml(path)
        try:
            return _plan_of(content, path)
        except SpanishTokError as error:
            raise SpanishTokError(f"{path}: {error.problem}", error.advice) from None

    def with_strings(self, assignments: Iterable[str], *, flag: str = "--set") -> "Plan":
        """Return a copy with entries changed by strings such as "train.size=8000".

        The command line gives them.
        """
        changes: dict[str, dict[str, Any]] = {}
        for name, value in assigned(assignments, flag=flag).items():
            step, _, option = name.partition(".")
            if not option:
                raise SpanishTokError(
                    f"{flag} {name}={value} names no step",
                    f"Write {flag} STEP.NAME=VALUE, say train.size=8000.",
                )
            changes.setdefault(step, {})[option] = value
        return self.changed(changes)

    def changed(self, changes: Mapping[str, Mapping[str, Any]]) -> "Plan":
        """Return a copy with other entries of some steps.

        Raises SpanishTokError that names the step and the entry.
        """
        if unknown := [step for step in changes if step not in self.steps]:
            steps = ", ".join(self.steps)
            raise SpanishTokError(f"The plan {self.name} has no step {unknown[0]!r}", f"It has {steps}.")
        if wrong := [step for step, entries in changes.items() if not isinstance(entries, Mapping)]:
            raise SpanishTokError(f"{wrong[0]} = {changes[wrong[0]]!r} holds no entries", "Give a dict.")
        plan = replace(
            self, steps={name: {**old, **changes.get(name, {})} for name, old in self.steps.items()}
        )
        plan.check()
        return plan

    def options(self, step: str, beneath: Mapping[str, Any] | None = None) -> Any:
        """Return the options of a step.

        beneath: what stands where the plan says nothing, such as the parameters of rules of a recipe. Cleaning asks for
        Spanish where the vocabulary's alphabet is Spanish.

        Raises SpanishTokError that names the step and the entry.
        """
        entries = {**(beneath or {}), **self.steps[step]}
        if step == "pretrain":
            entries = {OLD_ENTRIES.get(name, name): value for name, value in entries.items()}
        if step == "clean" and self.steps.get("train", {}).get("alphabet", SPANISH_NAME) != SPANISH_NAME:
            entries = {"spanish": 0} | entries
        try:
            return changed(KINDS[step], None, entries)
        except SpanishTokError as error:
            raise SpanishTokError(f"[{step}] {error.problem}", error.advice) from None

    def check(self) -> None:
        """Raise SpanishTokError, which names the step, for a plan that cannot be built."""
        if not self.steps:
            raise SpanishTokError("There is no step", f"Give at least one of: {', '.join(STEPS)}.")
        for step in self.steps:
            if missing := [needed for needed in STEPS[step] if needed not in self.steps]:
                raise SpanishTokError(f"[{step}] needs [{missing[0]}]", f"Add [{missing[0]}].")
            options = self.options(step)
            if isinstance(options, SampleStep) and options.size < 1:
                raise SpanishTokError(f"[sample] size is {options.size}", "Give at least 1.")
            if isinstance(options, SampleStep) and options.clean is not False:
                raise SpanishTokError("[sample] does not clean", "Write [clean], a step of its own.")
            if isinstance(options, BenchStep) and not options.megabytes > 0:
                raise SpanishTokError(f"[bench] megabytes is {options.megabytes}", "Give more than 0.")


def shipped_plans() -> dict[str, Path]:
    """Return the paths of the plans that ship with the package by name.

    >>> list(shipped_plans())
    ['files-tiny', 'mmarco-tiny']
    """
    return {path.stem: path for path in sorted(SHIPPED.glob("*.toml"))}


def _plan_of(content: dict[str, Any], path: Path) -> Plan:
    entries = ("title", "input", "read", *STEPS)
    if wrong := [name for name in content if name not in entries]:
        raise SpanishTokError(f"There is an entry {wrong[0]!r}", f"A plan has {', '.join(entries)}.")
    names = content.get("input", [])
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise SpanishTokError("input is no list of texts", 'Write input = ["es.tsv"].')
    if wrong := [name for name in ("read", *STEPS) if not isinstance(content.get(name, {}), dict)]:
        raise SpanishTokError(f"{wrong[0]} is no table", f"Write [{wrong[0]}].")
    plan = Plan(
        path.stem,
        str(content.get("title", path.stem)),
        tuple(_beside(name, path.parent) for name in names),
        changed(ReadOptions, None, content.get("read", {})),
        {name: content[name] for name in STEPS if name in content},
    )
    plan.check()
    return plan


def _beside(name: str, folder: Path) -> str:
    """Return a location that is relative to the plan's folder as one from here."""
    return name if is_remote(name) or (is_recipe(name) and not name.endswith(".toml")) else str(folder / name)
