"""Records of a task as ids, a report of every row, and the parts of a data set."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from spanish_tok.errors import SpanishTokError
from spanish_tok.readers.options import ReadOptions
from spanish_tok.readers.rows import Row, rows_of
from spanish_tok.tasks.task import Task
from spanish_tok.tasks.windows import Ids, inputs_of
from spanish_tok.tokenization.adapters import TokenizerAdapter

Part = Literal["training", "validation", "held-out"]


@dataclass(frozen=True)
class Example:
    """One record: its fields, its target's text, and the ids of both.

    The text is "" if unknown.

    inputs: one sequence, or one for each window. window: the one that holds the answer, which training reads.
    references: all targets that are right, where the data give several; training reads the first.
    """

    row: int
    fields: Mapping[str, str]
    target: str
    inputs: tuple[Ids, ...]
    labels: Ids
    window: int = 0
    references: tuple[str, ...] = ()

    @property
    def right(self) -> tuple[str, ...]:
        """All targets that are right."""
        return self.references or (self.target,)

    @property
    def input(self) -> Ids:
        """What training reads."""
        return self.inputs[self.window]


@dataclass
class RowReport:
    """A report of rows: how many were dropped and why, and notes on those used."""

    rows: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    noted: Counter[str] = field(default_factory=Counter)

    @property
    def used(self) -> int:
        return self.rows - self.dropped.total()

    def __str__(self) -> str:
        counts = [f"{self.rows:,} rows, {self.used:,} used"]
        counts += [f"{count:,} dropped: {reason}" for reason, count in sorted(self.dropped.items())]
        counts += [f"{count:,} {reason}" for reason, count in sorted(self.noted.items())]
        return "; ".join(counts)


class UnusableError(Exception):
    """Why one record cannot be used; it never leaves this package."""


def read_examples(
    source: Any,
    task: Task,
    codec: TokenizerAdapter,
    end: int,
    report: RowReport,
    malformed: Literal["error", "reject"] = "error",
    reading: ReadOptions | None = None,
) -> Iterator[Example]:
    """Yield the records that have an input and a target.

    The others are counted in `report`.

    source: a file, a Hub set, or records in memory (see `rows_of`). A damaged row raises SpanishTokError that names it,
    or is dropped and counted if `malformed` is "reject". reading: how files are read.
    """
    name = source if isinstance(source, str | os.PathLike) else "texts"
    targets = map(task.column, task.target_fields)
    for row in rows_of(source, *columns_of(task, with_target=True), targets, reading):
        report.rows += 1
        if row.repaired:
            report.noted["rows repaired"] += 1
        if row.fault and malformed == "error":
            raise SpanishTokError(
                f"{name}, row {row.number:,}: {row.fault}",
                "Correct it; or `--malformed reject` drops and counts such rows.",
            )
        noted: Counter[str] = Counter()
        try:
            example = example_of(row, task, codec, end, noted, with_target=True)
        except UnusableError as why:
            report.dropped[str(why)] += 1
        else:
            report.noted += noted
            yield example


def columns_of(task: Task, with_target: bool) -> tuple[list[str], list[str]]:
    """Return the columns that the data must have, and the optional ones."""
    needed = [name for name in task.input_fields if name not in task.optional]
    also = list(task.optional)
    if with_target:
        needed += task.target_fields
        also += [task.group] if task.group else []
    columns = list(dict.fromkeys(map(task.column, needed)))
    return columns, [name for name in map(task.column, also) if name not in columns]


def example_of(
    row: Row, task: Task, codec: TokenizerAdapter, end: int, noted: Counter[str], with_target: bool
) -> Example:
    """Return a row as an example.

    Raises UnusableError, which says why it cannot be one.
    """
    if row.fault:
        raise UnusableError("damaged row")
    names = {*task.input_fields, *task.target_fields, *([task.group] if task.group else [])}
    values = {name: row.values.get(task.column(name), "") for name in names}
    for name in task.input_fields:
        if name not in task.optional and _is_empty(values[name], codec):
            raise UnusableError(f"empty input ({name})")
    inputs, whole, capped = inputs_of(values, task, codec, end)
    if task.long_inputs == "reject" and not whole:
        raise UnusableError("input too long")
    if len(inputs) > 1:
        noted["inputs in windows"] += 1
        if capped:
            noted[f"in windows too short for an overlap of {task.overlap} words, which share half"] += 1
    elif not whole:
        noted["inputs cut"] += 1
    if not with_target:
        return Example(row.number, values, "", inputs, ())
    target, labels = _target_of(values, task, codec, end, noted)
    if target == task.no_answer:
        return Example(row.number, values, target, inputs, labels)
    if task.spans and codec.readable(target) not in codec.readable(values[task.spans]):
        noted[f"targets that are no part of {task.spans}"] += 1
    window = _window(inputs, target, codec, noted)
    return Example(row.number, values, target, inputs, labels, window, _references(row, values, task))


def _references(row: Row, values: Mapping[str, str], task: Task) -> tuple[str, ...]:
    """Return each target of a row that has several, once."""
    references = [
        task.render_target({**values, name: text})
        for name in task.target_fields
        for text in row.lists.get(task.column(name), ())
        if text.strip()
    ]
    return tuple(dict.fromkeys(references)) if len(references) > 1 else ()


def _is_empty(text: str, codec: TokenizerAdapter) -> bool:
    """Whether the model can read nothing of a text; its beginning nearly always tells."""
    return not codec.readable(text[:100]) and not codec.readable(text)


def _target_of(
    values: Mapping[str, str], task: Task, codec: TokenizerAdapter, end: int, noted: Counter[str]
) -> tuple[str, Ids]:
    target = task.render_target(values)
    if not "".join(values[name] for name in task.target_fields).strip():
        if not task.no_answer:
            raise UnusableError("empty target")
        noted[f"without an answer ({task.no_answer!r})"] += 1
        target = task.no_answer
    if not task.classifies and not codec.readable(target):  # such a label is refused by its name instead
        raise UnusableError("target of unknown characters only")
    ids = codec.encode(target)
    if len(ids) >= task.target_tokens:
        noted["targets cut"] += 1
    return target, (*ids[: task.target_tokens - 1], end)


def _window(inputs: Sequence[Ids], target: str, codec: TokenizerAdapter, noted: Counter[str]) -> int:
    """Return the first window that holds the target's text; else the first of all."""
    if len(inputs) == 1:
        return 0
    answer = codec.readable(target)
    holding = [index for index, ids in enumerate(inputs) if answer in codec.decode(ids)]
    if not holding:
        noted["answers in no window"] += 1
    return holding[0] if holding else 0


class ExampleSplit(NamedTuple):
    """A data set divided: no group of records is in two parts."""

    training: list[Example]
    validation: list[Example]
    held_out: list[Example]

    def part(self, name: Part) -> list[Example]:
        return {"training": self.training, "validation": self.validation, "held-out": self.held_out}[name]


def divide(
    examples: Iterable[Example], task: Task, validation: float = 0.0, held_out: float = 0.0, seed: int = 0
) -> ExampleSplit:
    """Divide examples into training, validation and held-out records.

    By a hash of (seed, group): the order of rows plays no part, and records of the same input (or of the
    task's `group`) stay together.

    Each part has the first groups that fill its share of the records, in the order of the hashes.
    """
    groups: dict[bytes, list[Example]] = {}
    for example in examples:
        text = example.fields[task.group] if task.group else task.render(example.fields)
        groups.setdefault(hashlib.blake2b(f"{seed}\0{text}".encode(), digest_size=16).digest(), []).append(
            example
        )
    total = sum(map(len, groups.values()))
    parts = ExampleSplit([], [], [])
    for key in sorted(groups):
        if len(parts.held_out) < round(held_out * total):
            parts.held_out.extend(groups[key])
        elif len(parts.validation) < round(validation * total):
            parts.validation.extend(groups[key])
        else:
            parts.training.extend(groups[key])
    return parts
