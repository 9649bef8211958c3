"""The verb `finetune`: a model trained on a task, and evaluated."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from spanish_tok.errors import SpanishTokError, warn_deprecated
from spanish_tok.files import write_json
from spanish_tok.generation.generator import SHIPPED_MODEL, model_folder
from spanish_tok.options import changed, check_one_given
from spanish_tok.progress import ProgressOption, progress_of
from spanish_tok.readers.inputs import inputs_of
from spanish_tok.readers.options import Location, ReadOptions
from spanish_tok.t5.model import torch_device
from spanish_tok.t5.model_folder import load_folder
from spanish_tok.tasks.accents.evaluation import AccentEvaluation
from spanish_tok.tasks.accents.restorer import Restorer
from spanish_tok.tasks.bundle import TaskBundle
from spanish_tok.tasks.choices import count_labels
from spanish_tok.tasks.evaluate import evaluate_examples
from spanish_tok.tasks.examples import Example, ExampleSplit, RowReport, divide, read_examples
from spanish_tok.tasks.predictor import Predictor
from spanish_tok.tasks.scores import Evaluation
from spanish_tok.tasks.task import ACCENTS, Task
from spanish_tok.training.accents.train import train_accents
from spanish_tok.training.finetune_loop import Finetuning
from spanish_tok.training.finetune_options import FinetuneOptions
from spanish_tok.training.loop import check_folder_of_training


@dataclass(frozen=True)
class FinetuneResult:
    """A fine-tuning that came to its end.

    folder: of the best model; None if there was no output. predictor: that model at work. evaluation: on the held-out
    records, or on the validation records if none are held out; None without either. report: what became of every row.
    """

    folder: Path | None
    predictor: Predictor | Restorer
    evaluation: Evaluation | AccentEvaluation | None
    report: RowReport

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        evaluation = self.evaluation.to_dict() if self.evaluation else None
        return {
            "folder": self.folder and str(self.folder),
            "evaluation": evaluation,
            "rows": str(self.report),
        }


def finetune(
    input: Location | None = None,  # noqa: A002
    output: Location | None = None,
    *old: Any,
    task: Task | Location | None = None,
    model: Location | None = None,
    texts: Any = None,
    columns: Mapping[str, str] | None = None,
    validation: Location | None = None,
    random_weights: bool = False,
    device: str = "cpu",
    threads: int | None = None,
    options: FinetuneOptions | None = None,
    reading: ReadOptions | None = None,
    progress: ProgressOption = None,
    **changes: Any,
) -> Any:
    """Fine-tune a model on a task; write the best one into the folder `output`.

    input: a file of records (.parquet, .jsonl, .csv), "-", or a Hub set as owner/name:split; or `texts=`, records in
    memory as dictionaries or a table. task: a preset, a TOML file or a Task; with "accents" the input is any text with
    accents, and what is trained is a Restorer. model: the folder to start from, the
    shipped model by default; with `random_weights` only its shape and vocabulary. columns: field of the task -> column,
    where names differ. reading: how files are read. validation: records to choose the best epoch by, else a share of
    the input. Without `output` only the result holds the model. changes: fields of FinetuneOptions.

    An interrupted call resumes when it is given again. Returns a FinetuneResult. Raises SpanishTokError for data,
    labels and models that do not fit, and for another fine-tuning in `output`.

    The old order of arguments, finetune(model, source, task, output, ...), is deprecated.
    """
    if old:
        warn_deprecated("finetune(model, source, task, output)", "finetune(source, output, task=, model=)")
        return _finetune_in_old_order(input, output, *old, device=device, progress=progress,
                                      random_weights=random_weights, options=options, **changes)  # fmt: skip
    check_one_given(input, texts, to="train on", advice="Give either a file or texts=.")
    if task is None:
        raise SpanishTokError("finetune needs a task", "Give task=, a preset or a TOML file.")
    if task == ACCENTS:
        options = changed(FinetuneOptions, options, changes)
        torch_device(device, threads)
        inputs = inputs_of(
            input, ReadOptions(malformed=options.malformed, text=_text_column(columns)), texts=texts
        )
        with _folder_of(output) as folder:
            trained = train_accents(inputs, folder, model, random_weights, device, options, progress)
        return FinetuneResult(folder if output is not None else None, *trained)
    task = (task if isinstance(task, Task) else Task.load(task)).with_columns(columns or {})
    if output is not None:
        check_folder_of_training(Path(output))
    options, report = changed(FinetuneOptions, options, changes), RowReport()
    source = input if input is not None else texts
    with _folder_of(output) as folder:
        start = "random weights" if random_weights else str(model or SHIPPED_MODEL)
        torch_device(device, threads)
        torch.manual_seed(options.seed)
        network, adapter = load_folder(model_folder(model), options.dropout, random_weights)
        network = network.to(device)
        end = network.config.eos_token_id
        examples = list(read_examples(source, task, adapter, end, report, options.malformed, reading))
        share = 0.0 if validation else options.validation
        parts = divide(examples, task, share, options.held_out, options.division_seed)
        if validation:
            chosen = read_examples(validation, task, adapter, end, RowReport(), options.malformed, reading)
            parts = parts._replace(validation=divide(chosen, task, seed=options.division_seed).training)
        if options.records:
            parts = parts._replace(training=parts.training[: options.records])
        name = str(input) if input is not None else "texts"
        if not parts.training:
            raise SpanishTokError(
                f"{name} leaves no record to train on ({report})", "Check the task's columns."
            )
        division = {"validation": share, "held_out": options.held_out, "seed": options.division_seed}
        bundle = TaskBundle(task, labels_of(task, parts.training), division, {"start": start, "source": name})
        loop = Finetuning(network, adapter, bundle, parts, options, folder)
        with progress_of(progress).phase("fine-tuning", loop.planned) as bar:
            loop.run(bar)
        predictor = Predictor.load(folder, device=device)
        evaluation = _evaluated(predictor, parts, folder)
    return FinetuneResult(folder if output is not None else None, predictor, evaluation, report)


@contextmanager
def _folder_of(output: Location | None) -> Iterator[Path]:
    """Yield the folder of the result, one for the time being where none is asked for."""
    with tempfile.TemporaryDirectory() as temporary:
        yield Path(temporary if output is None else output)


def _text_column(columns: Mapping[str, str] | None) -> str:
    """Return the column of text; raise SpanishTokError for other fields."""
    if stray := sorted(set(columns or {}) - {"text"}):
        raise SpanishTokError(f"The task {ACCENTS} has no field {stray[0]!r}", "Its only field is text.")
    return dict(columns or {}).get("text", "text")


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


def _evaluated(predictor: Predictor, parts: ExampleSplit, folder: Path) -> Evaluation | None:
    """Evaluate on records that the model was not trained on; write evaluation.json."""
    examples = parts.held_out or parts.validation
    if not examples:
        return None
    evaluation = evaluate_examples(predictor, examples)
    write_json(folder / "evaluation.json", evaluation.to_dict())
    return evaluation


def _finetune_in_old_order(
    model: Location | None,
    source: Location | None,
    task: Task,
    output: Location,
    old_options: FinetuneOptions | None = None,
    *,
    options: FinetuneOptions | None = None,
    validation_source: Location | None = None,
    report: RowReport | None = None,
    progress: ProgressOption = None,
    **others: Any,
) -> Evaluation | None:
    """Call `finetune` with the arguments of before; return the evaluation alone."""
    result = finetune(source, output, task=task, model=model, options=old_options or options,
                      validation=validation_source, progress=progress, **others)  # fmt: skip
    if report is not None:
        vars(report).update(vars(result.report))
    evaluation: Evaluation | None = result.evaluation
    return evaluation
