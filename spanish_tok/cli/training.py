"""The verbs on trained models: pretrain, finetune, predict, evaluate."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

import spanish_tok as st
from spanish_tok.cli.options import (
    FILES,
    FOLDER,
    decodes_tables,
    device_option,
    force_option,
    given,
    malformed_option,
    reading,
    set_option,
    threads_option,
    vocab_option,
)


def _show_recipe(context: click.Context, _: click.Parameter, wanted: str | None) -> None:
    if wanted:
        click.echo(st.shipped_recipe(wanted), nl=False)
        context.exit()


@click.command()
@click.argument("shards", nargs=-1, required=True, type=FOLDER)
@click.option("--output", required=True, type=FOLDER, help="Folder to write, or to resume in.")
@click.option(
    "--recipe",
    default="default",
    show_default=True,
    help="default, gpu (for a graphics card), or a TOML file.",
)
@set_option("PretrainOptions")
@vocab_option
@threads_option
@click.option("--device", default="cpu", show_default=True, help="cpu, or cuda for one GPU.")
@click.option(
    "--show-recipe",
    is_flag=False,
    flag_value="default",
    metavar="[default|gpu]",
    is_eager=True,
    expose_value=False,
    callback=_show_recipe,
    help="Print a shipped recipe; the default one explains every entry.",
)
def pretrain(
    shards: tuple[Path, ...],
    output: Path,
    recipe: str,
    assignments: tuple[str, ...],
    vocab: Path | None,
    **resources: Any,
) -> None:
    """Pretrain a T5 on SHARDS, folders that `shard` wrote, by span corruption.

    `--set weights=0.5,1` shows the records of the second folder twice as often as those of the first.

    Writes checkpoints, a log (log.csv) and the loss curve (loss.png, loss.svg). If it is interrupted, run it again: it
    resumes from the newest checkpoint, and its losses are those of a run that was not interrupted.
    """
    options = st.PretrainOptions.load(recipe)
    result = st.pretrain(
        shards, output, tokenizer=vocab, options=options.with_strings(assignments), progress=True, **resources
    )  # fmt: skip
    click.echo(result)


@click.command()
@click.argument("data")
@click.option(
    "--model", type=FOLDER, help="Folder to start from: ours, or a transformers T5.  [default: shipped]"
)
@click.option("--task", metavar="NAME|FILE", help="A preset, or a TOML file; not for a mixture.")
@click.option(
    "--output", required=True, type=FOLDER, help="Folder of the result; run again, it resumes there."
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
@click.option("--split-seed", type=int, help="Of the division of DATA alone.  [default: that of --seed]")
@set_option("FinetuneOptions")
@malformed_option
@decodes_tables
@device_option
@threads_option
def finetune(
    data: str,
    output: Path,
    task: str | None,
    columns: tuple[str, ...],
    validation_data: str | None,
    validation: float | None,
    assignments: tuple[str, ...],
    input_tokens: int | None,
    target_tokens: int | None,
    model: Path | None,
    random_weights: bool,
    device: str,
    threads: int | None,
    **changes: Any,
) -> None:
    """Fine-tune a model on DATA, records with targets.

    DATA is a .parquet, .jsonl or .csv file, or a Hub set as owner/name:split. Or it is a mixture, a .toml file that
    lists several tasks with their data: one model learns them all.

    TASK is summarization, question-answering, classification, or a TOML file of your own; or accents: DATA is then
    any text with accents, and `restore --model` uses the result.
    """
    malformed = changes.pop("malformed")
    how = reading(changes)
    options = st.FinetuneOptions(malformed=malformed, **given({**changes, "validation": validation}))
    lengths = given({"input_tokens": input_tokens, "target_tokens": target_tokens})
    if lengths and task in (None, "accents"):
        raise st.SpanishTokError(
            "--input-tokens and --target-tokens change one task of records with targets",
            "Give it by --task; of a mixture, write them into the file of each task.",
        )
    chosen = replace(st.Task.load(task), **lengths) if task and lengths else task
    result = st.finetune(
        data, output, task=chosen, model=model, columns=_columns(columns),
        validation=validation_data, random_weights=random_weights, device=device, threads=threads,
        options=options, reading=how, progress=True, **st.assigned(assignments),
    )  # fmt: skip
    for name, one in result.tasks.items() if isinstance(result, st.MixtureResult) else [(data, result)]:
        click.echo(f"{name}: {one.report}")
        click.echo(str(one.evaluation) if one.evaluation else "no records were set apart to evaluate")
    click.echo(f"the best model is in {output}")


def _columns(pairs: tuple[str, ...]) -> dict[str, str]:
    columns = {field: column for field, _, column in (pair.partition("=") for pair in pairs)}
    if wrong := [field for field, column in columns.items() if not (field and column)]:
        raise st.SpanishTokError(f"--column {wrong[0]} names no column", "Write --column field=column.")
    return columns


task_option = click.option("--task", metavar="NAME", help="Of several that MODEL learnt.")


@click.command()
@click.argument("model", type=FOLDER)
@FILES
@click.option("--output", type=FOLDER, help="A .jsonl file; default: standard output.")
@force_option
@click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True)
@click.option("--beams", type=click.IntRange(1), default=1, show_default=True, help="1 is greedy.")
@task_option
@decodes_tables
@device_option
@threads_option
def predict(model: Path, files: tuple[str, ...], output: Path | None, **options: Any) -> None:
    """Answer records with a fine-tuned MODEL: one JSON object a record.

    Reads FILES (.parquet, .jsonl, .csv) or Hub sets, or JSON lines from standard input. A record that cannot be
    used gets an "error" instead of a "prediction"; how many is told at the end, and the status is 1.
    """
    how = reading(options)
    counts = st.predict(
        files=list(files) or ["-"], output=output or "-", model=model, reading=how, progress=True, **options
    )
    click.echo(f"{counts['predicted']:,} predicted, {counts['errors']:,} errors", err=True)
    if counts["errors"]:
        raise click.exceptions.Exit(1)


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
@task_option
@click.option("--output", type=FOLDER, help="Write the figures as JSON too.")
@force_option
@malformed_option
@decodes_tables
@device_option
@threads_option
def evaluate(model: Path, data: str, output: Path | None, **options: Any) -> None:
    """Score a fine-tuned MODEL on DATA, beside a trivial rule.

    For a model that restores accents DATA is any text with accents.
    """
    report, malformed = st.RowReport(), options.pop("malformed")
    how = reading(options)
    evaluation = st.evaluate(
        data, output, model=model, malformed=malformed, report=report, reading=how, progress=True, **options
    )
    click.echo(f"{data}: {report}")
    click.echo(str(evaluation))
