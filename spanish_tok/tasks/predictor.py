"""Predictions of a fine-tuned model: text with its log-probability, or a class with the probability of each."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spanish_tok.generation.beam_search import search
from spanish_tok.generation.sampling import GenerateOptions
from spanish_tok.progress import SILENT, Bar
from spanish_tok.readers.options import Location
from spanish_tok.readers.rows import Row, read_rows
from spanish_tok.t5.model import T5, mask_of
from spanish_tok.t5.model_folder import load_folder
from spanish_tok.t5.torch_backend import TorchBackend
from spanish_tok.tasks.batches import padded
from spanish_tok.tasks.bundle import TaskBundle
from spanish_tok.tasks.choices import Labels, candidate_spans
from spanish_tok.tasks.examples import Example, UnusableError, columns_of, example_of
from spanish_tok.tasks.windows import Ids
from spanish_tok.tokenization.codec import Codec


@dataclass(frozen=True)
class Prediction:
    """What the model answers to one record, and the natural logarithm of its probability.

    probabilities: label -> probability, the most probable first, for a classification.
    """

    text: str
    score: float
    probabilities: Mapping[str, float] = field(default_factory=dict)


class Predictor:
    """A model at work on its task, batch by batch; `beams` above 1 searches for texts, classes need none."""

    def __init__(
        self, model: T5, codec: Codec, tuned: TaskBundle, batch_size: int = 32, beams: int = 1
    ) -> None:
        self.model, self.codec, self.tuned = model, codec, tuned
        self.batch_size, self.beams = batch_size, beams
        self.task = tuned.task
        self.end, self.pad = model.config.eos_token_id, model.config.pad_token_id
        self.labels = tuned.legal(codec, self.end)

    @classmethod
    def load(cls, folder: Location, batch_size: int = 32, beams: int = 1, device: str = "cpu") -> "Predictor":
        """The predictor of a folder that `finetune` wrote; raises SpanishTokError for another."""
        tuned = TaskBundle.load(Path(folder))
        model, codec = load_folder(Path(folder))
        return cls(model.to(device), codec, tuned, batch_size, beams)

    def predict(self, examples: Sequence[Example], progress: Bar = SILENT) -> list[Prediction]:
        """Predictions in the order of the examples; of several windows the surest one answers.

        `progress` advances by one a window.
        """
        self.model.eval()
        owners = [place for place, example in enumerate(examples) for _ in example.inputs]
        inputs = [ids for example in examples for ids in example.inputs]
        best: list[Prediction | None] = [None] * len(examples)
        texts = [example.fields.get(self.task.spans, "") for example in examples for _ in example.inputs]
        for place, prediction in self._in_batches(inputs, texts):
            rival = best[owners[place]]
            if rival is None or prediction.score > rival.score:
                best[owners[place]] = prediction
            progress.advance()
        return [prediction for prediction in best if prediction is not None]

    def _in_batches(self, inputs: Sequence[Ids], texts: Sequence[str]) -> Iterator[tuple[int, Prediction]]:
        """(place in `inputs`, its prediction), inputs of about the same length together.

        texts: what the prediction is to be a stretch of, where the task says so.
        """
        order = sorted(range(len(inputs)), key=lambda place: len(inputs[place]))
        answer: Callable[[Sequence[Ids], Sequence[str]], list[Prediction]]
        if self.labels:
            answer = partial(self._classify, classifier=Classifier(self.model, self.labels))
        else:
            answer = partial(self._write, backend=TorchBackend(self.model))
        for start in range(0, len(order), self.batch_size):
            places = order[start : start + self.batch_size]
            batch = [inputs[place] for place in places], [texts[place] for place in places]
            yield from zip(places, answer(*batch), strict=True)

    def _classify(
        self, inputs: Sequence[Ids], _: Sequence[str], classifier: "Classifier"
    ) -> list[Prediction]:
        ids = torch.from_numpy(padded(inputs, self.pad)).to(self.model.shared.weight.device)
        lengths = torch.tensor([[len(row)] for row in inputs], device=ids.device)
        mask = (torch.arange(ids.shape[1], device=ids.device) < lengths).long()
        names = classifier.labels.names
        return [_ranked(names, row.tolist()) for row in classifier.log_probabilities(ids, mask)]

    def _write(self, inputs: Sequence[Ids], texts: Sequence[str], backend: TorchBackend) -> list[Prediction]:
        longest, spans = self.task.target_tokens, bool(self.task.spans)
        options = GenerateOptions(longest, num_beams=self.beams, scores=True, renormalize=spans)
        choices = {text: candidate_spans(text, self.codec, self.end, longest) for text in set(texts) if spans}
        rules = [choices[text].allowed for text in texts] if spans else None
        found = search(backend, inputs, options, rules, self.codec.size)
        return [Prediction(self.codec.decode(one.ids).strip(), one.score or 0.0) for one in found]


def _ranked(names: Sequence[str], logarithms: Sequence[float]) -> Prediction:
    """The most probable label, and all of them from the most probable down."""
    ranked = sorted(zip(names, logarithms, strict=True), key=lambda pair: -pair[1])
    return Prediction(*ranked[0], {name: round(math.exp(value), 6) for name, value in ranked})


def predict(
    model: Predictor | Location, source: Location, counts: Counter[str] | None = None
) -> Iterator[dict[str, Any]]:
    """Answer the rows of a file, of standard input ("-", JSON lines) or of a Hub set with a fine-tuned model.

    One dictionary a row of a file, ready for JSON: row, id (where there is one), prediction, score, probabilities;
    or row, id and error, for a row that cannot be used. `counts` gets the numbers of "predicted" and "errors".
    """
    predictor = model if isinstance(model, Predictor) else Predictor.load(model)
    columns, also = columns_of(predictor.task, with_target=False)
    counts = counts if counts is not None else Counter()
    for chunk in _chunks(read_rows(source, columns, [*also, "id"]), predictor.batch_size * 8):
        examples, faults = _usable(chunk, predictor)
        answers = dict(zip((e.row for e in examples), predictor.predict(examples), strict=True))
        for row in chunk:
            told: dict[str, Any] = {"row": row.number}
            if "id" in row.values:
                told["id"] = row.values["id"]
            if row.number in faults:
                counts["errors"] += 1
                yield {**told, "error": faults[row.number]}
            else:
                counts["predicted"] += 1
                yield {**told, **_shown(answers[row.number])}


def _usable(rows: Iterable[Row], predictor: Predictor) -> tuple[list[Example], dict[int, str]]:
    """The rows that can be predicted, and why the others, by their numbers, cannot."""
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


def _shown(prediction: Prediction) -> dict[str, Any]:
    shown: dict[str, Any] = {"prediction": prediction.text, "score": round(prediction.score, 4)}
    if prediction.probabilities:
        shown["probabilities"] = dict(prediction.probabilities)
    return shown


def _chunks(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    iterator = iter(rows)
    while chunk := list(islice(iterator, size)):
        yield chunk


ROWS = 256  # (record, label) pairs that the decoder reads at once


class Classifier:
    """The labels of a classification, ready to be scored for batches of inputs.

    The probability of a label is the product over its ids of softmax(logits of the ids that may follow there):
    what constrained decoding draws from. Over all labels they sum to 1.
    """

    def __init__(self, model: T5, labels: Labels) -> None:
        self.model, self.labels = model, labels
        device = model.shared.weight.device
        self.ids = torch.tensor(padded(labels.ids, -1), device=device)  # (labels, length)
        self.start = model.shift_right(self.ids.clamp(min=0))
        # (labels, length, vocab_size): what constrained decoding allows at each place
        self.legal = torch.zeros((*self.ids.shape, model.config.vocab_size), dtype=torch.bool, device=device)
        for row, ids in enumerate(labels.ids):
            self.legal[row, : len(ids)] = mask_of(labels.beside(ids), model.config.vocab_size)
        self.legal[self.ids < 0] = True  # padding: any finite value, it is not counted

    @torch.inference_mode()
    def log_probabilities(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """(records, length) of ids and their mask -> (records, labels) of natural logarithms."""
        memory = self.model.encode(inputs, mask)
        step = max(1, ROWS // len(inputs))
        parts = [self._score(memory, mask, slice(at, at + step)) for at in range(0, len(self.ids), step)]
        return torch.cat(parts, 1)

    def _score(self, memory: Tensor, mask: Tensor, part: slice) -> Tensor:
        """The log-probabilities (records, labels) of some of the labels."""
        records, ids = len(memory), self.ids[part]
        labels = len(ids)
        hidden = self.model.decoder(
            self.model.shared(self.start[part]).repeat(records, 1, 1),
            mask.repeat_interleave(labels, 0),
            memory.repeat_interleave(labels, 0),
        )
        logits = self.model.logits(hidden).float().view(records, *ids.shape, -1)
        logits = logits.masked_fill(~self.legal[part], -torch.inf)
        chosen = logits.gather(-1, ids.clamp(min=0).expand(records, -1, -1)[..., None])[..., 0]
        steps: Tensor = (chosen - logits.logsumexp(-1)).masked_fill(ids < 0, 0.0)
        return steps.sum(-1)
