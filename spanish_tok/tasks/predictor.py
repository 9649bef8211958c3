"""Predictions of a fine-tuned model.

Text with its log-probability, or a class with the probability of each.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, overload

import torch

from spanish_tok.errors import SpanishTokError
from spanish_tok.generation.beam_search import search
from spanish_tok.generation.sampling import GenerateOptions
from spanish_tok.progress import SILENT, Bar
from spanish_tok.readers.options import Location
from spanish_tok.readers.rows import Row, rows_of
from spanish_tok.t5.model import T5, check_device
from spanish_tok.t5.model_folder import load_folder
from spanish_tok.t5.torch_backend import TorchBackend
from spanish_tok.tasks.batches import padded
from spanish_tok.tasks.bundle import TaskBundle
from spanish_tok.tasks.choices import candidate_spans
from spanish_tok.tasks.classifier import Classifier
from spanish_tok.tasks.examples import Example, UnusableError, columns_of, example_of
from spanish_tok.tasks.windows import Ids
from spanish_tok.tokenization.adapters import TokenizerAdapter


@dataclass(frozen=True)
class Prediction:
    """The answer to one record, and the natural logarithm of its probability.

    probabilities: label -> probability, the most probable first, for a classification.
    """

    text: str
    score: float
    probabilities: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, ready for JSON; probabilities only if there are any."""
        probabilities = {"probabilities": dict(self.probabilities)} if self.probabilities else {}
        return {"prediction": self.text, "score": round(self.score, 4), **probabilities}


class Predictor:
    """A model at work on its task, batch by batch.

    `beams` above 1 searches for texts; classes need none.
    """

    def __init__(
        self, model: T5, codec: TokenizerAdapter, bundle: TaskBundle, batch_size: int = 32, beams: int = 1
    ) -> None:
        self.model, self.codec, self.bundle = model, codec, bundle
        self.batch_size, self.beams = batch_size, beams
        self.task = bundle.task
        self.end, self.pad = model.config.eos_token_id, model.config.pad_token_id
        self.labels = bundle.legal(codec, self.end)

    @classmethod
    def load(
        cls,
        folder: Location,
        batch_size: int = 32,
        beams: int = 1,
        device: str = "cpu",
        task: str | None = None,
    ) -> "Predictor":
        """Load the model of a folder that `finetune` wrote.

        task: the name of one, where the folder holds several. Raises SpanishTokError for another folder or name.
        """
        check_device(device)
        bundle = TaskBundle.load(Path(folder), task)
        model, codec = load_folder(Path(folder))
        return cls(model.to(device), codec, bundle, batch_size, beams)

    @overload
    def predict(self, texts: str | Mapping[str, Any]) -> Prediction: ...
    @overload
    def predict(self, texts: list[str] | list[dict[str, Any]]) -> list[Prediction]: ...
    def predict(self, texts: Any) -> Prediction | list[Prediction]:
        """Answer one text or record, or a list of them.

        A record is a dictionary of the task's columns.

        Raises SpanishTokError for a record that cannot be used, and for a text where the task has several fields.
        """
        single = isinstance(texts, str | Mapping)
        records = [self._record(text) for text in ([texts] if single else texts)]
        columns, optional = columns_of(self.task, with_target=False)
        examples, faults = usable_rows(rows_of(records, columns, optional), self)
        for row, fault in faults.items():
            raise SpanishTokError(f"Record {row} cannot be used: {fault}", "Correct it, or leave it out.")
        predictions = self.predict_examples(examples)
        return predictions[0] if single else predictions

    def _record(self, text: str | Mapping[str, Any]) -> Mapping[str, Any]:
        if isinstance(text, Mapping):
            return text
        needed, _ = columns_of(self.task, with_target=False)
        if len(needed) > 1:
            raise SpanishTokError(
                f"The task {self.task.name} reads {' and '.join(needed)}", "Give dictionaries with these."
            )
        return {needed[0]: text}

    def predict_examples(self, examples: Sequence[Example], bar: Bar = SILENT) -> list[Prediction]:
        """Return predictions in the order of the examples.

        Of several windows the surest one answers.

        `bar` advances by one a window.
        """
        self.model.eval()
        owners = [index for index, example in enumerate(examples) for _ in example.inputs]
        inputs = [ids for example in examples for ids in example.inputs]
        best: list[Prediction | None] = [None] * len(examples)
        texts = [example.fields.get(self.task.spans, "") for example in examples for _ in example.inputs]
        for window, prediction in self._in_batches(inputs, texts):
            rival = best[owners[window]]
            if rival is None or prediction.score > rival.score:
                best[owners[window]] = prediction
            bar.advance()
        return [prediction for prediction in best if prediction is not None]

    def _in_batches(self, inputs: Sequence[Ids], texts: Sequence[str]) -> Iterator[tuple[int, Prediction]]:
        """(place in `inputs`, its prediction), inputs of about the same length together.

        texts: what the prediction is to be a stretch of, where the task says so.
        """
        order = sorted(range(len(inputs)), key=lambda index: len(inputs[index]))
        answer: Callable[[Sequence[Ids], Sequence[str]], list[Prediction]]
        if self.labels:
            answer = partial(self._classify, classifier=Classifier(self.model, self.labels))
        else:
            answer = partial(self._write, backend=TorchBackend(self.model))
        for start in range(0, len(order), self.batch_size):
            indices = order[start : start + self.batch_size]
            batch = [inputs[index] for index in indices], [texts[index] for index in indices]
            yield from zip(indices, answer(*batch), strict=True)

    def _classify(self, inputs: Sequence[Ids], _: Sequence[str], classifier: Classifier) -> list[Prediction]:
        ids = torch.from_numpy(padded(inputs, self.pad)).to(self.model.shared.weight.device)
        lengths = torch.tensor([[len(row)] for row in inputs], device=ids.device)
        mask = (torch.arange(ids.shape[1], device=ids.device) < lengths).long()
        names = classifier.labels.names
        return [_ranked(names, row.tolist()) for row in classifier.log_probabilities(ids, mask)]

    def _write(self, inputs: Sequence[Ids], texts: Sequence[str], backend: TorchBackend) -> list[Prediction]:
        longest, spans = self.task.target_tokens, bool(self.task.spans)
        options = GenerateOptions(longest, num_beams=self.beams, scores=True, renormalize=spans)
        no_answer = self.task.no_answer
        choices = {
            text: candidate_spans(text, self.codec, self.end, longest, no_answer)
            for text in set(texts)
            if spans
        }
        rules = [choices[text].allowed for text in texts] if spans else None
        hypotheses = search(backend, inputs, options, rules, self.codec.size)
        return [Prediction(self.codec.decode(best.ids).strip(), best.score or 0.0) for best in hypotheses]


def _ranked(names: Sequence[str], logarithms: Sequence[float]) -> Prediction:
    """Return the most probable label, and all labels, most probable first."""
    ranked = sorted(zip(names, logarithms, strict=True), key=lambda pair: -pair[1])
    return Prediction(*ranked[0], {name: round(math.exp(value), 6) for name, value in ranked})


def check_task(predictor: Predictor, task: str | None) -> None:
    """Raise SpanishTokError where a task is asked for that is not a predictor's."""
    if task not in (None, predictor.task.name):
        raise SpanishTokError(
            f"The predictor's task is {predictor.task.name}, not {task}",
            "Give the folder of the model, or leave the task out.",
        )


def usable_rows(rows: Iterable[Row], predictor: Predictor) -> tuple[list[Example], dict[int, str]]:
    """Return the rows that can be predicted, and the faults of the others by number."""
    examples: list[Example] = []
    faults: dict[int, str] = {}
    for row in rows:
        try:
            example = example_of(
                row, predictor.task, predictor.codec, predictor.end, Counter(), with_target=False
            )
        except UnusableError as why:
            faults[row.number] = row.fault or str(why)
        else:
            examples.append(example)
    return examples, faults
