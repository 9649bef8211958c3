"""A mixture: several tasks for one model, each with its records, in one TOML file."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spanish_tok.errors import SpanishTokError
from spanish_tok.files import read_toml
from spanish_tok.files.schema import fault_of
from spanish_tok.readers.hub import HubSet
from spanish_tok.readers.opening.remote import is_remote
from spanish_tok.readers.options import Location
from spanish_tok.tasks.task import ACCENTS, PRESETS, Task

SUFFIX = ".toml"
MOST = 100  # the largest weight
ENTRIES = {"task": str, "data": str, "weight?": float, "columns?": {str: str}, "validation_data?": str}
SHAPE = {"name": str, "tasks": [ENTRIES]}


@dataclass(frozen=True)
class MixedTask:
    """One task of a mixture.

    data: its records: a file, a Hub set, or records in memory.
    weight: how often an epoch shows each record: with 0.5 half of them, the others in the next epoch; with 2 all twice.
    validation_data: records to validate on; None: a share of the data.
    """

    task: Task
    data: Any = field(repr=False)
    weight: float = 1.0
    validation_data: Location | None = None

    def __post_init__(self) -> None:
        if not 0 < self.weight <= MOST:
            raise SpanishTokError(
                f"The weight of {self.task.name} is {self.weight}",
                f"Give how often an epoch is to show each record: a number above 0, up to {MOST}.",
            )


@dataclass(frozen=True)
class Mixture:
    """Several tasks that one model learns together.

    Their inputs begin differently: by that the model tells them apart.

    >>> rank = Task("rank", "clasificar: {title}", "{rank}", "accuracy")
    >>> title = Task("title", "resumir: {text}", "{title}", "rougeL")
    >>> [one.weight for one in Mixture("laws", (MixedTask(rank, "a.jsonl"), MixedTask(title, "b.jsonl", 0.5))).tasks]
    [1.0, 0.5]
    """

    name: str
    tasks: tuple[MixedTask, ...]

    def __post_init__(self) -> None:
        if not self.tasks:
            raise SpanishTokError("A mixture has no task", "Write [[tasks]] with task and data.")
        begun: dict[str, str] = {}  # beginning of the input -> task
        for name, beginning in ((one.task.name, _beginning(one.task)) for one in self.tasks):
            if name in begun.values():
                raise SpanishTokError(
                    f"Two tasks have the name {name!r}",
                    "Change it in one of their files; copy a preset into a file first.",
                )
            if beginning in begun:
                raise SpanishTokError(
                    f"The inputs of {begun[beginning]} and {name} both begin with {beginning!r}: "
                    "a model could not tell them apart",
                    "Begin them differently.",
                )
            begun[beginning] = name

    @classmethod
    def load(cls, path: Location) -> "Mixture":
        """Read a mixture from a TOML file.

        Its tasks are presets, or files; files of tasks and data lie relative to it. Raises SpanishTokError that names
        the file, and what is wrong in it.
        """
        values = read_toml(path)
        fault = fault_of(values, SHAPE) or _stray(values, SHAPE)
        for number, entry in enumerate(values["tasks"] if not fault else ()):
            fault = fault or _stray(entry, ENTRIES, f"tasks[{number}].")
        if fault:
            raise SpanishTokError(
                f"{path} is no mixture of tasks: {fault}",
                "Write name, and task and data below each [[tasks]]. One task alone is given by --task (task=).",
            )
        folder = Path(path).parent
        try:
            return cls(values["name"], tuple(_mixed_task(entry, folder) for entry in values["tasks"]))
        except SpanishTokError as error:
            raise SpanishTokError(f"{path}: {error.problem}", error.advice) from None


def is_mixture(source: Any) -> bool:
    """Whether what is to be learnt is a mixture, or the file of one."""
    return isinstance(source, Mixture) or (
        isinstance(source, str | os.PathLike) and os.fspath(source).endswith(SUFFIX)
    )


def _mixed_task(entry: dict[str, Any], folder: Path) -> MixedTask:
    name = entry["task"]
    if name == ACCENTS:
        raise SpanishTokError(
            f"The task {ACCENTS} makes a model of another kind, which learns nothing else",
            f"Leave it out, and train it by itself: --task {ACCENTS}.",
        )
    task = Task.load(name if name in PRESETS else folder / name).with_columns(entry.get("columns", {}))
    others = entry.get("validation_data")
    return MixedTask(
        task, _placed(entry["data"], folder), entry.get("weight", 1.0), others and _placed(others, folder)
    )


def _placed(data: str, folder: Path) -> str:
    """Return where data lie that a file in `folder` names."""
    path = folder / data
    elsewhere = data == "-" or is_remote(data) or (HubSet.of_name(data) and not path.exists())
    return data if elsewhere else str(path)


def _beginning(task: Task) -> str:
    """Return what stands before a task's first field, as a model reads it."""
    return " ".join(task.input.partition("{")[0].lower().split())


def _stray(values: dict[str, Any], shape: dict[str, Any], place: str = "") -> str:
    """Return what is wrong with a table: an entry that its shape lacks."""
    known = [name.removesuffix("?") for name in shape]
    stray = sorted(set(values) - set(known))
    return f"there is no entry {place}{stray[0]}, only {', '.join(known)}" if stray else ""
