"""Fine-tuning of a model folder on a data set: read, divide, train, evaluate."""

from pathlib import Path

import torch

from spanish_tok.errors import SpanishTokError
from spanish_tok.files import write_json
from spanish_tok.generation.generator import SHIPPED_MODEL, model_folder
from spanish_tok.progress import SILENT, Bar
from spanish_tok.readers.options import Location
from spanish_tok.t5.model_folder import load_folder
from spanish_tok.tasks.bundle import TaskBundle
from spanish_tok.tasks.choices import count_labels
from spanish_tok.tasks.evaluate import evaluate_examples
from spanish_tok.tasks.examples import Example, ExampleSplit, RowReport, divide, read_examples
from spanish_tok.tasks.predictor import Predictor
from spanish_tok.tasks.scores import Evaluation
from spanish_tok.tasks.task import Task
from spanish_tok.training.finetune_options import FinetuneOptions
from spanish_tok.training.tuning import FineTuning


def finetune(
    model: Location | None,
    source: Location,
    task: Task,
    output: Location,
    options: FinetuneOptions | None = None,
    *,
    validation_source: Location | None = None,
    random_weights: bool = False,
    device: str = "cpu",
    report: RowReport | None = None,
    progress: Bar = SILENT,
) -> Evaluation | None:
    """Fine-tune a folder's model, or the shipped one (None), on a data set; write the best into the folder `output`.

    Records are divided by `options`; with `validation_source` the validation records come from there. Returns the
    evaluation of the best model on the held-out records, or on the validation records where none are held out, or
    None without either; it is written to evaluation.json too. `report` is filled with what became of every row.

    Raises SpanishTokError for data, labels and models that do not fit, and for another fine-tuning in `output`.
    """
    options, output = options or FinetuneOptions(), Path(output)
    report = report if report is not None else RowReport()
    torch.manual_seed(options.seed)
    network, codec = load_folder(model_folder(model), options.dropout, random_weights)
    network = network.to(device)
    end = network.config.eos_token_id
    examples = list(read_examples(source, task, codec, end, report, options.malformed))
    validation = 0.0 if validation_source else options.validation
    parts = divide(examples, task, validation, options.held_out, options.seed)
    if validation_source:
        chosen = read_examples(validation_source, task, codec, end, RowReport(), options.malformed)
        parts = parts._replace(validation=divide(chosen, task, seed=options.seed).training)
    if options.records:
        parts = parts._replace(training=parts.training[: options.records])
    if not parts.training:
        raise SpanishTokError(
            f"{source} leaves no record to train on ({report})", "Check the task's columns."
        )
    division = {"validation": validation, "held_out": options.held_out, "seed": options.seed}
    start = "random weights" if random_weights else str(model or SHIPPED_MODEL)
    notes = {"start": start, "source": str(source)}
    tuned = TaskBundle(task, labels_of(task, parts.training), division, notes)
    tuning = FineTuning(network, codec, tuned, parts, options, output)
    tuning.run(progress)
    return _final(output, parts, device)


def labels_of(task: Task, training: list[Example]) -> dict[str, int]:
    """The labels of a classification with their counts; raises SpanishTokError for one that the task does not list."""
    if not task.classifies:
        return {}
    counts = count_labels(example.target for example in training)
    if not task.labels:
        return counts
    if strange := [label for label in counts if label not in task.labels]:
        row = next(example.row for example in training if example.target == strange[0])
        raise SpanishTokError(
            f"Row {row:,} has the label {strange[0]!r}, which the task does not list",
            f"Its labels are {', '.join(task.labels)}.",
        )
    return {
        label: counts.get(label, 0) for label in sorted(task.labels, key=lambda name: -counts.get(name, 0))
    }


def _final(folder: Path, parts: ExampleSplit, device: str) -> Evaluation | None:
    """The best model on records that it was not trained on, written to evaluation.json too."""
    examples = parts.held_out or parts.validation
    if not examples:
        return None
    found = evaluate_examples(Predictor.load(folder, device=device), examples)
    write_json(folder / "evaluation.json", found.to_dict())
    return found
