"""The verbs on tasks: finetune, predict, evaluate."""

import json
import sys
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spanish_tok.cli.options import FILES, threads_option
from spanish_tok.errors import SpanishTokError

if TYPE_CHECKING:
    from spanish_tok.tasks.task import Task

FOLDER = click.Path(path_type=Path)
malformed_option = click.option(
    "--malformed",
    type=click.Choice(["error", "reject"]),
    default="error",
    show_default=True,
    help="Stop at a damaged row, or drop and count it.",
)
device_option = click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")


@click.command()
@click.argument("data")
@click.option(
    "--model", type=FOLDER, help="Folder to start from: ours, or a transformers T5.  [default: shipped]"
)
@click.option("--task", "task_name", required=True, metavar="NAME|FILE", help="A preset, or a TOML file.")
@click.option(
    "--output", required=True, type=FOLDER, help="Folder of the result; run again, it goes on there."
)
@click.option("--column", "columns", multiple=True, metavar="FIELD=COLUMN", help="Where the names differ.")
@click.option("--validation-data", metavar="DATA", help="Validation records; else a share of DATA.")
@click.option("--validation", type=float, help="Share of DATA that chooses the best epoch.  [default: 0.1]")
@click.option("--held-out", type=float, help="Share of DATA that is only evaluated at the end.  [default: 0]")
@click.option("--records", type=int, help="Train on so many records only; the set-apart ones do not change.")
@click.option("--validation-records", type=int, help="Validate on so many after an epoch.  [default: 300]")
@click.option("--epochs", type=int, help="At most so many.  [default: 10]")
@click.option("--patience", type=int, help="Epochs without a better metric before it stops.  [default: 3]")
@click.option("--batch-size", type=int, help="Records in a step.  [default: 16]")
@click.option("--optimizer", type=click.Choice(["adamw", "adafactor"]), help="[default: adamw]")
@click.option("--learning-rate", type=float, help="[default: 0.002]")
@click.option("--dropout", type=float, help="[default: 0.1]")
@click.option("--input-tokens", type=int, help="Longest input; default: the task's.")
@click.option("--target-tokens", type=int, help="Longest target; default: the task's.")
@click.option("--random-weights", is_flag=True, help="Take only shape and vocabulary from the model.")
@click.option("--precision", type=click.Choice(["auto", "bf16", "fp32"]), help="[default: auto]")
@click.option("--seed", type=int, help="[default: 0]")
@malformed_option
@device_option
@threads_option
def finetune(data: str, model: Path | None, task_name: str, output: Path, **options: Any) -> None:
    """Fine-tune a model on DATA: a .parquet, .jsonl or .csv file, or a Hub set as owner/name:split.

    TASK is summarization, question-answering, classification, or a TOML file of your own.
    """
    from spanish_tok.progress import progress
    from spanish_tok.tasks.examples import RowReport
    from spanish_tok.training.finetune import finetune
    from spanish_tok.training.finetune_options import FinetuneOptions

    _use_threads(options.pop("threads"))
    task = _task(task_name, options)
    own = {name: options.pop(name) for name in ("validation_data", "random_weights", "device")}
    tuning = FinetuneOptions(**{name: value for name, value in options.items() if value is not None})
    report = RowReport()
    with progress("fine-tuning") as bar:
        found = finetune(
            model,
            data,
            task,
            output,
            tuning,
            validation_source=own["validation_data"],
            random_weights=own["random_weights"],
            device=own["device"],
            report=report,
            progress=bar,
        )
    click.echo(f"{data}: {report}")
    click.echo(str(found) if found else "no records were set apart to evaluate")
    click.echo(f"the best model is in {output}")


def _task(name: str, options: dict[str, Any]) -> "Task":
    """The task with what the command line changes in it; its entries are taken out of `options`."""
    from spanish_tok.tasks.task import Task

    pairs = [pair.partition("=") for pair in options.pop("columns")]
    if wrong := [field for field, equals, column in pairs if not (field and equals and column)]:
        raise SpanishTokError(f"--column {wrong[0]} names no column", "Write --column field=column.")
    task = Task.load(name).with_columns({field: column for field, _, column in pairs})
    lengths = {name: options.pop(name) for name in ("input_tokens", "target_tokens")}
    return replace(task, **{name: value for name, value in lengths.items() if value is not None})


@click.command()
@click.argument("model", type=FOLDER)
@FILES
@click.option("--output", type=FOLDER, help="A .jsonl file; default: standard output.")
@click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True)
@click.option("--beams", type=click.IntRange(1), default=1, show_default=True, help="1 is greedy.")
@device_option
@threads_option
def predict(
    model: Path,
    files: tuple[str, ...],
    output: Path | None,
    threads: int | None,
    **options: Any,
) -> None:
    """Answer records with a fine-tuned MODEL: one JSON object a record.

    Reads FILES (.parquet, .jsonl, .csv) or Hub sets, or JSON lines from standard input. A record that cannot be
    used gets an "error" instead of a "prediction"; how many is told at the end.
    """
    from spanish_tok.files import atomic_path
    from spanish_tok.progress import progress
    from spanish_tok.tasks.predictor import Predictor, predict

    _use_threads(threads)
    predictor = Predictor.load(model, **options)
    counts: Counter[str] = Counter()
    with ExitStack() as stack:
        bar = stack.enter_context(progress("predicting"))
        out = sys.stdout
        if output:
            partial = stack.enter_context(atomic_path(output))
            out = stack.enter_context(open(partial, "w", encoding="utf-8"))
        for source in files or ("-",):
            for told in predict(predictor, source, counts):
                named = {"file": source, **told} if len(files) > 1 else told
                print(json.dumps(named, ensure_ascii=False), file=out, flush=output is None)
                bar.advance()
    click.echo(f"{counts['predicted']:,} predicted, {counts['errors']:,} errors", err=True)


@click.command()
@click.argument("model", type=FOLDER)
@click.argument("data")
@click.option(
    "--part",
    type=click.Choice(["all", "held-out", "validation", "training"]),
    default="all",
    show_default=True,
    help="The part that the fine-tuning made of the same DATA.",
)
@click.option("--output", type=FOLDER, help="Write the figures as JSON too.")
@malformed_option
@device_option
@threads_option
def evaluate(
    model: Path, data: str, part: Any, output: Path | None, malformed: Any, device: str, threads: int | None
) -> None:
    """Score a fine-tuned MODEL on DATA, beside a trivial rule."""
    from spanish_tok.files import write_json
    from spanish_tok.progress import progress
    from spanish_tok.tasks.evaluate import evaluate
    from spanish_tok.tasks.examples import RowReport

    _use_threads(threads)
    report = RowReport()
    with progress("evaluating") as bar:
        found = evaluate(model, data, part, malformed=malformed, device=device, report=report, progress=bar)
    click.echo(f"{data}: {report}")
    click.echo(str(found))
    if output:
        write_json(output, found.to_dict())


def _use_threads(threads: int | None) -> None:
    import torch

    from spanish_tok.parallel.threads import available_cores

    torch.set_num_threads(threads or available_cores())
