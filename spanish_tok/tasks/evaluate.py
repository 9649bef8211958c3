"""Evaluation of a fine-tuned model on a data set, or on the part of it that the model was not trained on."""

from collections.abc import Iterable
from typing import Literal

from spanish_tok.errors import SpanishTokError
from spanish_tok.progress import SILENT, Bar
from spanish_tok.readers.options import Location
from spanish_tok.tasks.examples import Example, Part, RowReport, divide, read_examples
from spanish_tok.tasks.predictor import Predictor
from spanish_tok.tasks.scores import Evaluation, score


def evaluate(
    model: Location,
    source: Location,
    part: Part | Literal["all"] = "all",
    *,
    malformed: Literal["error", "reject"] = "error",
    device: str = "cpu",
    report: RowReport | None = None,
    progress: Bar = SILENT,
) -> Evaluation:
    """Score the model of a folder that `finetune` wrote, beside the trivial rule of its task.

    `part` is "all", or the part that the model's own division makes of the same data: "held-out", "validation" or
    "training". Rows without input or target are left out and counted in `report`.

    Raises SpanishTokError for a damaged row (unless rejected), and where nothing is left to score.
    """
    predictor = Predictor.load(model, device=device)
    report = report if report is not None else RowReport()
    examples: Iterable[Example] = read_examples(
        source, predictor.task, predictor.codec, predictor.end, report, malformed
    )
    if part != "all":
        examples = divide(examples, predictor.task, **predictor.tuned.division).part(part)
    return evaluate_examples(predictor, list(examples), progress)


def evaluate_examples(predictor: Predictor, examples: list[Example], progress: Bar = SILENT) -> Evaluation:
    """Score a predictor on examples that are read already."""
    if not examples:
        raise SpanishTokError("There is no record to evaluate", "Give data with inputs and targets.")
    predictions = predictor.predict(examples, progress)
    texts = [prediction.text for prediction in predictions]
    return score(predictor.task, examples, texts, predictor.tuned.labels)
