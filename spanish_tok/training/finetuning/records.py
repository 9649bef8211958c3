"""The records of each task of a fine-tuning, divided, with its labels."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from spanish_tok.errors import SpanishTokError
from spanish_tok.readers.options import ReadOptions
from spanish_tok.tasks.bundle import TaskBundle
from spanish_tok.tasks.choices import count_labels
from spanish_tok.tasks.examples import Example, ExampleSplit, RowReport, divide, read_examples
from spanish_tok.tasks.mixture import MixedTask
from spanish_tok.tasks.task import Task
from spanish_tok.tokenization.adapters import TokenizerAdapter
from spanish_tok.training.finetune_options import FinetuneOptions


@dataclass(frozen=True)
class TaskRecords:
    """A task that a model learns: its bundle, and its records in parts.

    weight: how often an epoch shows each training record. report: what became of every row.
    """

    bundle: TaskBundle
    parts: ExampleSplit
    weight: float
    report: RowReport

    @property
    def name(self) -> str:
        """The name of the task."""
        return self.bundle.task.name

    @property
    def shown_per_epoch(self) -> int:
        """How many training records an epoch shows."""
        return max(1, round(self.weight * len(self.parts.training)))

    def shown(self, epoch: int) -> list[Example]:
        """Return the training records of an epoch.

        All of them once, where the weight is 1; otherwise an epoch begins behind the last record of the one before,
        so that all are shown equally often.
        """
        training, count = self.parts.training, self.shown_per_epoch
        return [training[place % len(training)] for place in range(epoch * count, (epoch + 1) * count)]


def read_tasks(
    tasks: Sequence[MixedTask],
    codec: TokenizerAdapter,
    end: int,
    options: FinetuneOptions,
    reading: ReadOptions | None,
    start: str,
) -> list[TaskRecords]:
    """Read and divide the records of each task.

    start: the model that it begins with, for the notes. Raises SpanishTokError for data and labels that do not fit,
    which names the task where there are several.
    """
    found: list[TaskRecords] = []
    for mixed in tasks:
        try:
            found.append(_records_of(mixed, codec, end, options, reading, start))
        except SpanishTokError as error:
            if len(tasks) == 1:
                raise
            raise SpanishTokError(f"{mixed.task.name}: {error.problem}", error.advice) from None
    without = [one.name for one in found if not one.parts.validation]
    if 0 < len(without) < len(found):
        raise SpanishTokError(
            f"The task {without[0]} has no record to validate on, though others have some",
            "Raise validation, give it more records or validation_data; or set validation to 0 for all.",
        )
    return found


def _records_of(
    mixed: MixedTask,
    codec: TokenizerAdapter,
    end: int,
    options: FinetuneOptions,
    reading: ReadOptions | None,
    start: str,
) -> TaskRecords:
    task, report, seed = mixed.task, RowReport(), options.division_seed
    share = 0.0 if mixed.validation_data else options.validation

    def read(source: Any, report: RowReport) -> list[Example]:
        return list(read_examples(source, task, codec, end, report, options.malformed, reading))

    parts = divide(read(mixed.data, report), task, share, options.held_out, seed)
    if mixed.validation_data:
        chosen = read(mixed.validation_data, RowReport())
        parts = parts._replace(validation=divide(chosen, task, seed=seed).training)
    if options.records:
        parts = parts._replace(training=parts.training[: options.records])
    source = os.fspath(mixed.data) if isinstance(mixed.data, str | os.PathLike) else "texts"
    if not parts.training:
        raise SpanishTokError(
            f"{source} leaves no record to train on ({report})", "Check the task's columns."
        )
    division = {"validation": share, "held_out": options.held_out, "seed": seed}
    notes = {"start": start, "source": source}
    bundle = TaskBundle(task, labels_of(task, parts.training), division, notes)
    return TaskRecords(bundle, parts, mixed.weight, report)


def labels_of(task: Task, training: list[Example]) -> dict[str, int]:
    """Return the labels of a classification with their counts.

    Raises SpanishTokError for a label that the task does not list.
    """
    if not task.classifies:
        return {}
    counts = count_labels(example.target for example in training)
    if not task.labels:
        return counts
    if unknown := [label for label in counts if label not in task.labels]:
        row = next(example.row for example in training if example.target == unknown[0])
        raise SpanishTokError(
            f"Row {row:,} has the label {unknown[0]!r}, which the task does not list",
            f"Its labels are {', '.join(task.labels)}.",
        )
    return {
        label: counts.get(label, 0) for label in sorted(task.labels, key=lambda name: -counts.get(name, 0))
    }
