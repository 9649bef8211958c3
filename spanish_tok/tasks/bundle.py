"""task.json in a fine-tuned model's folder: task, labels, division of the data.

Of each task, where the model learnt several.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from spanish_tok.errors import SpanishTokError
from spanish_tok.files import check_format, check_shape, read_json, write_json
from spanish_tok.files.schema import COUNT
from spanish_tok.t5.checkpoint import refuse_restorer
from spanish_tok.tasks.choices import Labels
from spanish_tok.tasks.task import Task
from spanish_tok.tokenization.adapters import TokenizerAdapter
from spanish_tok.vocab.foreign import refuse_keras

FILE = "task.json"
FORMAT, FORMAT_OF_SEVERAL = 1, 2
SHAPE = {
    "task": dict,
    "labels?": {str: COUNT},
    "division?": {"validation?": float, "held_out?": float, "seed?": COUNT},
    "notes?": dict,
}


@dataclass(frozen=True)
class TaskBundle:
    """What a model was fine-tuned for.

    And all that predicting and evaluating needs beside the model.

    labels: the classes with their counts in the training records, most frequent first; empty for other tasks.
    division: the validation and held-out shares, and their seed; `spanish_tok.tasks.examples.divide` takes them.
    notes: data, options and scores, for people.
    """

    task: Task
    labels: Mapping[str, int] = field(default_factory=dict)
    division: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)

    def legal(self, codec: TokenizerAdapter, end: int) -> Labels | None:
        """Return the labels as ids, for a classification."""
        if not self.task.classifies:
            return None
        return Labels.build(self.labels, codec, end, self.task.target_tokens)

    def save(self, folder: Path) -> None:
        """Write task.json, atomically."""
        save_bundles([self], folder)

    @classmethod
    def load(cls, folder: Path, task: str | None = None) -> "TaskBundle":
        """Read the bundle of a task, by its name where the folder holds several.

        Raises SpanishTokError as `load_bundles` does, and where the name is not that of a task, or is lacking.
        """
        bundles = {bundle.task.name: bundle for bundle in load_bundles(folder)}
        if task is None and len(bundles) > 1:
            raise SpanishTokError(
                f"{folder} holds several tasks: {', '.join(bundles)}", "Choose one with --task NAME (task=)."
            )
        chosen = next(iter(bundles)) if task is None else task
        if chosen not in bundles:
            raise SpanishTokError(
                f"{folder} holds no task {chosen!r}", f"Choose from {', '.join(bundles)}, by its name."
            )
        return bundles[chosen]


def save_bundles(bundles: Sequence[TaskBundle], folder: Path) -> None:
    """Write task.json for one task, or several, atomically."""
    values = [{**asdict(bundle), "task": bundle.task.to_dict()} for bundle in bundles]
    several = {"format": FORMAT_OF_SEVERAL, "tasks": values}
    write_json(folder / FILE, {"format": FORMAT, **values[0]} if len(values) == 1 else several)


def load_bundles(folder: Path) -> list[TaskBundle]:
    """Read task.json: the bundle of each task, in order.

    Raises SpanishTokError that says whether the folder is not a fine-tuned model.
    """
    refuse_restorer(folder)
    refuse_keras(folder)
    path = folder / FILE
    if not path.exists():
        raise SpanishTokError(
            f"{folder} is not a fine-tuned model: it has no {FILE}",
            "Give a folder that `finetune` wrote.",
        )
    values = read_json(path, {"format": object})
    several = values["format"] == FORMAT_OF_SEVERAL
    check_format(path, values["format"], FORMAT_OF_SEVERAL if several else FORMAT)
    check_shape(values, {"tasks": [SHAPE]} if several else SHAPE, str(path))
    bundles = [_bundle_of(entry, path) for entry in (values["tasks"] if several else [values])]
    if len({bundle.task.name for bundle in bundles}) < max(1, len(bundles)):
        raise SpanishTokError(f"{path} lists no task, or two of one name", "Copy the whole folder again.")
    return bundles


def _bundle_of(values: Mapping[str, Any], path: Path) -> TaskBundle:
    try:
        task = Task.from_dict(values["task"])
    except SpanishTokError as error:
        raise SpanishTokError(f"{path}: {error.problem}", error.advice) from None
    if task.classifies and not values.get("labels"):
        raise SpanishTokError(f"{path} lists no labels", "Copy the whole folder again.")
    return TaskBundle(task, values.get("labels", {}), values.get("division", {}), values.get("notes", {}))
