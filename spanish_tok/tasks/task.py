"""A task: templates of input and target, columns, lengths, metric; the presets.

A task is a small TOML file. The presets (`summarization.toml`, `question-answering.toml`,
`classification.toml`, beside this module) are such files too: copy one and change it.
"""

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from string import Formatter
from typing import Any

from spanish_tok.errors import SpanishTokError
from spanish_tok.files import read_json
from spanish_tok.options import FieldsAlone

PRESETS = ("summarization", "question-answering", "classification")
ACCENTS = "accents"  # the task of text without records: it makes a Restorer, and has no templates
# metric -> the family it is computed in; all metrics of a family are shown
METRICS = {
    "rouge1": "summaries",
    "rouge2": "summaries",
    "rougeL": "summaries",
    "exact_match": "answers",
    "f1": "answers",
    "accuracy": "classes",
    "macro_f1": "classes",
}
LONG_INPUTS = ("truncate", "windows", "reject")


@dataclass(frozen=True)
class Task(FieldsAlone):
    """What is asked of the model, and of which data.

    input, target: templates; `{name}` stands for a field, `{{` for a brace.
    metric: what is reported first and chooses the best checkpoint; one of `METRICS`. A metric of classes
        makes the task a classification: the model then chooses among the labels alone.
    columns: field -> the data's column, where the names differ.
    optional: fields of the input that may be empty; a record without any of the others is not used.
    input_tokens, target_tokens: the longest sequences, the closing `</s>` included.
    long_inputs: what becomes of longer inputs: "truncate" cuts the field `shorten` at its end, "windows"
        reads it in overlapping windows and takes the best answer, "reject" leaves the record out.
    shorten: the field that is cut, at a space; empty: the last one of the input.
    spans: the field that every target is a stretch of: the model then chooses among its stretches of up to 16
        words; empty: it writes freely.
    overlap: how many words neighbouring windows share.
    group: records with the same value of this field (or column) fall into the same part when data are split;
        empty: those with the same input.
    labels: the classes, as they stand in the data; empty: those of the training data.
    no_answer: of a task of answers, what stands for the answer where the data give none, such as "sin respuesta": the
        model may then choose it; empty: such records are not used.

    >>> task = Task("origen", "texto: {texto}", "{origen}", "accuracy")
    >>> task.render({"texto": "¡Che, vení!"}), task.input_fields, task.classifies
    ('texto: ¡Che, vení!', ('texto',), True)
    """

    name: str
    input: str
    target: str
    metric: str
    columns: Mapping[str, str] = field(default_factory=dict)
    optional: tuple[str, ...] = ()
    input_tokens: int = 512
    target_tokens: int = 64
    long_inputs: str = "truncate"
    shorten: str = ""
    spans: str = ""
    overlap: int = 48
    group: str = ""
    labels: tuple[str, ...] = ()
    no_answer: str = ""

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise SpanishTokError(f"There is no metric {self.metric!r}", f"Choose from {', '.join(METRICS)}.")
        if self.long_inputs not in LONG_INPUTS:
            raise SpanishTokError(
                f"long_inputs is {self.long_inputs!r}", f"Choose from {', '.join(LONG_INPUTS)}."
            )
        for name in ("input_tokens", "target_tokens"):
            if getattr(self, name) < 2:
                raise SpanishTokError(f"{name} is {getattr(self, name)}", "Give 2 or more, `</s>` included.")
        if self.overlap < 0:
            raise SpanishTokError(f"overlap is {self.overlap}", "Give 0 words or more.")
        if not self.input_fields or not self.target_fields:
            raise SpanishTokError("A template has no field", 'Write one, as in "texto: {text}".')
        stray = {self.shortened, *self.optional, *filter(None, [self.spans])} - set(self.input_fields)
        if stray:
            raise SpanishTokError(
                f"The input has no field {', '.join(sorted(stray))}",
                f"Its fields are {', '.join(self.input_fields)}.",
            )
        for name in ("spans", "no_answer"):
            if getattr(self, name) and self.family != "answers":
                raise SpanishTokError(
                    f"{name} is {getattr(self, name)!r}, but {self.metric} does not measure answers",
                    "Leave it out.",
                )

    @cached_property
    def input_fields(self) -> tuple[str, ...]:
        return fields_of(self.input)

    @cached_property
    def target_fields(self) -> tuple[str, ...]:
        return fields_of(self.target)

    @property
    def shortened(self) -> str:
        """The field that is cut where the input is too long."""
        return self.shorten or self.input_fields[-1]

    @property
    def family(self) -> str:
        """What is measured: "summaries", "answers" or "classes"."""
        return METRICS[self.metric]

    @property
    def classifies(self) -> bool:
        return self.family == "classes"

    def column(self, name: str) -> str:
        """Return the data's column that a field is read from."""
        return self.columns.get(name, name)

    def render(self, values: Mapping[str, str]) -> str:
        """Return the input of one record, given its fields.

        Braces in the values are only characters.
        """
        return self.input.format_map(values)

    def render_target(self, values: Mapping[str, str]) -> str:
        """Return the target of one record."""
        return self.target.format_map(values)

    def to_dict(self) -> dict[str, Any]:
        """Return the task as JSON can hold it; `from_dict` reads it."""
        return {**asdict(self), "optional": list(self.optional), "labels": list(self.labels)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Task":
        """Return a task from the content of a file.

        Raises SpanishTokError for unknown, missing or wrong entries.
        """
        if not isinstance(values, Mapping):
            raise SpanishTokError("It is not a table of entries", "Copy a preset and change it.")
        types = {f.name: f.type for f in fields(cls)}
        if unknown := sorted(set(values) - set(types)):
            raise SpanishTokError(f"There is no entry {unknown[0]!r}", f"The entries are {', '.join(types)}.")
        required = ("name", "input", "target", "metric")
        if missing := [name for name in required if name not in values]:
            raise SpanishTokError(f"The task lacks {', '.join(missing)}", "Copy a preset and change it.")
        return cls(**{name: _checked(name, value) for name, value in values.items()})

    @classmethod
    def load(cls, name: str | os.PathLike[str]) -> "Task":
        """Load a preset by its name, or a task from a .toml or .json file.

        >>> Task.load("question-answering").input
        'pregunta: {question} contexto: {context}'
        """
        path = Path(__file__).parent / f"{name}.toml" if str(name) in PRESETS else Path(name)
        if path.suffix not in (".toml", ".json"):
            raise SpanishTokError(
                f"There is no task {str(name)!r}",
                f"Give one of {', '.join(PRESETS)}, {ACCENTS}, or a .toml file.",
            )
        try:
            return cls.from_dict(read_json(path) if path.suffix == ".json" else _read_toml(path))
        except SpanishTokError as error:
            raise SpanishTokError(f"{path}: {error.problem}", error.advice) from None

    def with_columns(self, columns: Mapping[str, str]) -> "Task":
        """Return the same task for data with other names of columns: field -> column."""
        everything = {*self.input_fields, *self.target_fields}
        if stray := sorted(set(columns) - everything):
            raise SpanishTokError(
                f"The task {self.name} has no field {stray[0]!r}",
                f"Its fields are {', '.join(sorted(everything))}.",
            )
        return replace(self, columns={**self.columns, **columns})


def fields_of(template: str) -> tuple[str, ...]:
    """Return the fields of a template in order, each once.

    Plain names only: no attributes, no indices.

    >>> fields_of("pregunta: {question} contexto: {context}")
    ('question', 'context')
    """
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise SpanishTokError(
            f"The template {template!r} is wrong ({error})", "Write {{ for a brace."
        ) from None
    names: dict[str, None] = {}
    for _, name, form, conversion in parts:
        if name is None:
            continue
        if not name.isidentifier() or form or conversion:
            raise SpanishTokError(
                f"The template {template!r} has a field {name!r} that is no plain name",
                "Write {column}, and {{ for a brace.",
            )
        names[name] = None
    return tuple(names)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SpanishTokError("It does not exist", "Check the path.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpanishTokError(f"It is not TOML ({error})", "Correct that line.") from None


def _checked(name: str, value: Any) -> Any:
    """Return an entry of a file as the field `name` holds it.

    Raises SpanishTokError for a wrong one.
    """
    if name in ("optional", "labels"):
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
        expected = "a list of texts"
    elif name == "columns":
        if isinstance(value, dict) and all(isinstance(item, str) for item in value.values()):
            return value
        expected = "a table of field = column"
    elif name in ("input_tokens", "target_tokens", "overlap"):
        if type(value) is int:
            return value
        expected = "a whole number"
    else:
        if isinstance(value, str):
            return value
        expected = "a text"
    raise SpanishTokError(f"{name} is {json.dumps(value, default=str)}", f"Give {expected}.")
