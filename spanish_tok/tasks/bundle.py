"""task.json in a fine-tuned model's folder: task, labels, division of the data."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from spanish_tok.errors import SpanishTokError
from spanish_tok.files import check_format, read_json, write_json
from spanish_tok.files.schema import COUNT
from spanish_tok.t5.checkpoint import refuse_restorer
from spanish_tok.tasks.choices import Labels
from spanish_tok.tasks.task import Task
from spanish_tok.tokenization.adapters import TokenizerAdapter
from spanish_tok.vocab.foreign import refuse_keras

FILE = "task.json"
FORMAT = 1
SHAPE = {
    "format": object,
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
        write_json(folder / FILE, {"format": FORMAT, **asdict(self), "task": self.task.to_dict()})

    @classmethod
    def load(cls, folder: Path) -> "TaskBundle":
        """Read task.json.

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
        values = read_json(path, SHAPE)
        check_format(path, values["format"], FORMAT)
        try:
            task = Task.from_dict(values["task"])
        except SpanishTokError as error:
            raise SpanishTokError(f"{path}: {error.problem}", error.advice) from None
        if task.classifies and not values.get("labels"):
            raise SpanishTokError(f"{path} lists no labels", "Copy the whole folder again.")
        return cls(task, values.get("labels", {}), values.get("division", {}), values.get("notes", {}))
