"""The verb `finetune`: a model trained on a task, or on several, and evaluated."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
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
from spanish_tok.tasks.bundle import load_bundles
from spanish_tok.tasks.evaluate import evaluate_examples
from spanish_tok.tasks.examples import RowReport
from spanish_tok.tasks.mixture import MixedTask, Mixture, is_mixture
from spanish_tok.tasks.predictor import Predictor
from spanish_tok.tasks.scores import Evaluation
from spanish_tok.tasks.task import ACCENTS, Task
from spanish_tok.training.accents.train import train_accents
from spanish_tok.training.finetune_options import FinetuneOptions
from spanish_tok.training.finetuning.loop import Finetuning
from spanish_tok.training.finetuning.records import TaskRecords, read_tasks
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


@dataclass(frozen=True)
class MixtureResult:
    """A fine-tuning on several tasks that came to its end.

    folder: of the best model; None if there was no output. tasks: name -> the model at work on that task, its
    evaluation and the report of its rows.
    """

    folder: Path | None
    tasks: Mapping[str, FinetuneResult]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        tasks = {name: result.to_dict() for name, result in self.tasks.items()}
        return {"folder": self.folder and str(self.folder), "tasks": tasks}


def finetune(
    input: Location | Mixture | None = None,  # noqa: A002
    output: Location | None = None,
    *old: Any,
    task: Task | Location | None = None,
    model: Location | None = None,
    texts: Any = None,
    columns: Mapping[str, str] | None = None,
    validation: Location | float | None = None,
    random_weights: bool = False,
    device: str = "cpu",
    threads: int | None = None,
    options: FinetuneOptions | None = None,
    reading: ReadOptions | None = None,
    progress: ProgressOption = None,
    **changes: Any,
) -> Any:
    """Fine-tune a model on a task, or several; write the best one into `output`.

    input: a file of records (.parquet, .jsonl, .csv), "-", or a Hub set as owner/name:split; or `texts=`, records in
    memory as dictionaries or a table. task: a preset, a TOML file or a Task; with "accents" the input is any text with
    accents, and what is trained is a Restorer. Several tasks: input is a Mixture, or its .toml file, which names tasks
    and data. model: the folder to start from, the shipped model by default; with `random_weights` only its shape and
    vocabulary. columns: field of the task -> column, where names differ. reading: how files are read. validation:
    records to choose the best epoch by, or the share of the input that does (a tenth). Without `output` only the
    result holds the model. changes: fields of FinetuneOptions.

    An interrupted call resumes when it is given again. Returns a FinetuneResult, of a mixture a MixtureResult. Raises
    SpanishTokError for data, labels and models that do not fit, and for another fine-tuning in `output`.

    The old order of arguments, finetune(model, source, task, output, ...), is deprecated.
    """
    if old:
        assert not isinstance(input, Mixture)
        warn_deprecated("finetune(model, source, task, output)", "finetune(source, output, task=, model=)")
        return _finetune_in_old_order(input, output, *old, device=device, progress=progress,
                                      random_weights=random_weights, options=options, **changes)  # fmt: skip
    check_one_given(input, texts, to="train on", advice="Give either a file or texts=.")
    if isinstance(validation, int | float):
        changes, validation = {**changes, "validation": validation}, None
    if task == ACCENTS and not isinstance(input, Mixture):
        if validation is not None:
            raise SpanishTokError("accents are validated on a part of their text", "Give a share of it.")
        options = changed(FinetuneOptions, options, changes)
        torch_device(device, threads)
        reading = replace(reading or ReadOptions(), malformed=options.malformed)
        if columns:
            reading = replace(reading, text=_text_column(columns))
        inputs = inputs_of(input, reading, texts=texts)
        with _folder_of(output) as folder:
            trained = train_accents(inputs, folder, model, random_weights, device, options, progress)
        return FinetuneResult(folder if output is not None else None, *trained)
    mixture = _mixture_of(input if input is not None else texts, task, columns, validation)
    if output is not None:
        check_folder_of_training(Path(output))
    options = changed(FinetuneOptions, options, changes)
    with _folder_of(output) as folder:
        start = "random weights" if random_weights else str(model or SHIPPED_MODEL)
        torch_device(device, threads)
        torch.manual_seed(options.seed)
        network, adapter = load_folder(model_folder(model), options.dropout, random_weights)
        network = network.to(device)
        records = read_tasks(mixture.tasks, adapter, network.config.eos_token_id, options, reading, start)
        loop = Finetuning(network, adapter, records, options, folder, mixture.name)
        with progress_of(progress).phase("fine-tuning", loop.planned) as bar:
            loop.run(bar)
        kept = folder if output is not None else None
        results = _results(records, folder, device, kept)
    return MixtureResult(kept, results) if is_mixture(input) else results[mixture.name]


def _mixture_of(
    source: Any, task: Task | Location | None, columns: Mapping[str, str] | None, validation: Location | None
) -> Mixture:
    """Return what is to be learnt, with its data: a mixture, or one task.

    Raises SpanishTokError where something is given beside a mixture that belongs into it.
    """
    if not is_mixture(source):
        if task is None:
            raise SpanishTokError(
                "finetune needs a task",
                "Give task= (--task), a preset or a TOML file; or a mixture's file in the place of data.",
            )
        task = (task if isinstance(task, Task) else Task.load(task)).with_columns(columns or {})
        return Mixture(task.name, (MixedTask(task, source, validation_data=validation),))
    name = source.name if isinstance(source, Mixture) else str(source)
    for given, what in ((task, "its tasks"), (columns, "columns"), (validation, "validation_data")):
        if given:
            raise SpanishTokError(
                f"{name} is a mixture of tasks, and names {what} itself",
                "Write it below [[tasks]]; or give data (.parquet, .jsonl, .csv) with one task.",
            )
    return source if isinstance(source, Mixture) else Mixture.load(source)


@contextmanager
def _folder_of(output: Location | None) -> Iterator[Path]:
    """Yield the folder of the result, one for the time being where none is asked for."""
    with tempfile.TemporaryDirectory() as temporary:
        yield Path(temporary if output is None else output)


def _text_column(columns: Mapping[str, str]) -> str:
    """Return the column of text; raise SpanishTokError for other fields."""
    if stray := sorted(set(columns) - {"text"}):
        raise SpanishTokError(f"The task {ACCENTS} has no field {stray[0]!r}", "Its only field is text.")
    return columns["text"]


def _results(
    tasks: Sequence[TaskRecords], folder: Path, device: str, kept: Path | None
) -> dict[str, FinetuneResult]:
    """Evaluate the best model on records that it was not trained on.

    Writes evaluation.json. Returns the result of each task by its name.
    """
    model = Predictor.load(folder, device=device, task=tasks[0].name)
    results: dict[str, FinetuneResult] = {}
    for one, bundle in zip(tasks, load_bundles(folder), strict=True):
        predictor = Predictor(model.model, model.codec, bundle)
        examples = one.parts.held_out or one.parts.validation
        evaluation = evaluate_examples(predictor, examples) if examples else None
        results[one.name] = FinetuneResult(kept, predictor, evaluation, one.report)
    found = {name: one.evaluation.to_dict() for name, one in results.items() if one.evaluation}
    if found:
        write_json(folder / "evaluation.json", found if len(tasks) > 1 else found[tasks[0].name])
    return results


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
