"""The score of a model on a task, beside a trivial rule.

A table for people, a dictionary for programs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from spanish_tok.errors import SpanishTokError
from spanish_tok.tasks.baselines import RULES, baseline
from spanish_tok.tasks.examples import Example
from spanish_tok.tasks.metrics import SCORES, confusion
from spanish_tok.tasks.task import Task


@dataclass(frozen=True)
class Evaluation:
    """Metrics from 0 to 1 of the model and of a trivial rule on the same records.

    labels, confusion: the classes and how often each (row) was taken for each (column), for a classification.
    unseen: labels of the records that the model does not know, and how often; each counts as an error.
    """

    task: str
    records: int
    metric: str
    model: Mapping[str, float]
    rule: str
    baseline: Mapping[str, float]
    labels: tuple[str, ...] = ()
    confusion: Sequence[Sequence[int]] = ()
    unseen: Mapping[str, int] = field(default_factory=dict)

    @property
    def value(self) -> float:
        """The task's own metric."""
        return self.model[self.metric]

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "labels": list(self.labels), "confusion": list(self.confusion)}

    def __str__(self) -> str:
        names = list(self.model)
        width = max(len(self.rule), len("model"))
        lines = [f"{self.task}: {self.records:,} records", _line("", names, width)]
        for title, values in (("model", self.model), (self.rule, self.baseline)):
            lines.append(_line(title, [f"{values[name]:.4f}" for name in names], width))
        if self.unseen:
            seldom = ", ".join(f"{label!r} ({count})" for label, count in self.unseen.items())
            lines.append(f"labels that the model does not know, counted as errors: {seldom}")
        return "\n".join([*lines, *self._matrix()])

    def _matrix(self) -> list[str]:
        """Return the confusion matrix as text, a row for each true label."""
        if not self.confusion:
            return []
        width = max(map(len, self.labels))
        columns = [label[:11] for label in self.labels]
        rows = [
            _line(label, map(str, row), width) for label, row in zip(self.labels, self.confusion, strict=True)
        ]
        return ["", "true label (row), answer (column):", _line("", columns, width), *rows]


def _line(title: str, cells: Any, width: int) -> str:
    return f"  {title:<{width}}" + "".join(f"{cell:>13}" for cell in cells)


def score(
    task: Task, examples: Sequence[Example], predictions: Sequence[str], labels: Mapping[str, int]
) -> Evaluation:
    """Score predictions against the examples' targets.

    `labels` are the training data's, with their counts.

    Raises SpanishTokError where there is nothing to score.
    """
    if not examples:
        raise SpanishTokError("There is no record to evaluate", "Give data with inputs and targets.")
    scores = SCORES[task.family]
    targets = [example.target for example in examples]
    references: Sequence[Any] = targets if task.classifies else [example.right for example in examples]
    trivial = baseline(task, examples, labels)
    unseen: dict[str, int] = {}
    for reference in targets if task.classifies else ():
        if reference not in labels:
            unseen[reference] = unseen.get(reference, 0) + 1
    shown = (*labels, *sorted(unseen)) if task.classifies else ()
    return Evaluation(
        task=task.name,
        records=len(examples),
        metric=task.metric,
        model=scores(predictions, references),
        rule=RULES[task.family],
        baseline=scores(trivial, references),
        labels=shown,
        confusion=confusion(predictions, targets, shown) if shown else (),
        unseen=unseen,
    )
