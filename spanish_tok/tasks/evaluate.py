"""The verb `evaluate`: a fine-tuned model scored on a data set.

Or on a part of it that the model was not trained on.
"""

import os
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Literal

from spanish_tok.errors import SpanishTokError, warn_deprecated
from spanish_tok.files import write_json
from spanish_tok.files.outputs import as_list, check_new_file
from spanish_tok.options import check_one_given
from spanish_tok.progress import SILENT, Bar, ProgressOption, progress_of
from spanish_tok.readers.inputs import inputs_of
from spanish_tok.readers.options import Location, ReadOptions
from spanish_tok.t5.model import torch_device
from spanish_tok.tasks.accents.evaluation import AccentEvaluation, evaluate_restorer, texts_of
from spanish_tok.tasks.accents.restorer import Restorer, is_restorer, restorer_of
from spanish_tok.tasks.examples import Example, Part, RowReport, divide, read_examples
from spanish_tok.tasks.predictor import Predictor, check_task
from spanish_tok.tasks.scores import Evaluation, score
from spanish_tok.tasks.task import ACCENTS


def evaluate(
    input: Any = None,  # noqa: A002
    output: Location | None = None,
    *old: Any,
    model: Predictor | Restorer | Location | None = None,
    texts: Any = None,
    part: Part | Literal["all"] = "all",
    task: str | None = None,
    malformed: Literal["error", "reject"] = "error",
    device: str = "cpu",
    threads: int | None = None,
    report: RowReport | None = None,
    reading: ReadOptions | None = None,
    progress: ProgressOption = None,
    force: bool = False,
) -> Evaluation | AccentEvaluation:
    """Score a fine-tuned model on records with targets, beside a trivial rule.

    input: a file of records, "-", or a Hub set; or `texts=`, records in memory. model: a folder that `finetune`
    wrote, or a Predictor; for one that restores accents the input is any text with accents. part: "all", or the part
    that the model's own division makes of the same data: "held-out", "validation" or "training". task: its name, where
    the folder holds several. output: a file for the figures as JSON; `force` replaces one. Rows without input or target
    are left out and counted in `report`. reading: how files are read.

    Raises SpanishTokError for a damaged row (unless rejected), and if nothing is left to score.

    The old order of arguments, evaluate(model, source, part), is deprecated.
    """
    if model is None and input is not None and output is not None:
        warn_deprecated("evaluate(model, source, part)", "evaluate(source, model=model, part=part)")
        model, input, output, part = input, output, None, old[0] if old else part  # noqa: A001
    check_one_given(input, texts, to="score on", advice="Give either a file or texts=.")
    if model is None:
        raise SpanishTokError("evaluate needs a model", "Give model=, a folder that finetune wrote.")
    check_new_file(output, as_list(input), force=force)
    report = report if report is not None else RowReport()
    if is_restorer(model):
        _check_accents(task, part)
        inputs = inputs_of(input, replace(reading or ReadOptions(), malformed=malformed), texts=texts)
        golds = texts_of(inputs).to_pylist()
        report.rows = len(golds)
        with progress_of(progress).phase("evaluating", len(golds)) as bar:
            restored = evaluate_restorer(restorer_of(model), golds, bar)
        if output is not None:
            write_json(os.fspath(output), restored.to_dict())
        return restored
    assert not isinstance(model, Restorer)
    torch_device(device, threads)
    predictor = model if isinstance(model, Predictor) else Predictor.load(model, device=device, task=task)
    check_task(predictor, task)
    source = input if texts is None else texts
    examples: Iterable[Example] = read_examples(
        source, predictor.task, predictor.codec, predictor.end, report, malformed, reading
    )
    if part != "all":
        examples = divide(examples, predictor.task, **predictor.bundle.division).part(part)
    examples = list(examples)
    windows = sum(len(example.inputs) for example in examples)
    with progress_of(progress).phase("evaluating", windows) as bar:
        evaluation = evaluate_examples(predictor, examples, bar)
    if output is not None:
        write_json(os.fspath(output), evaluation.to_dict())
    return evaluation


def _check_accents(task: str | None, part: str) -> None:
    """Raise SpanishTokError for what a model that restores accents has not."""
    if task not in (None, ACCENTS):
        raise SpanishTokError(f"The model restores accents, and holds no task {task!r}", "Leave it out.")
    if part != "all":
        raise SpanishTokError(f"The model restores accents, and keeps no part {part!r}", "Leave it out.")


def evaluate_examples(predictor: Predictor, examples: list[Example], bar: Bar = SILENT) -> Evaluation:
    """Score a predictor on examples that are read already."""
    if not examples:
        raise SpanishTokError("There is no record to evaluate", "Give data with inputs and targets.")
    predictions = predictor.predict_examples(examples, bar)
    texts = [prediction.text for prediction in predictions]
    return score(predictor.task, examples, texts, predictor.bundle.labels)
