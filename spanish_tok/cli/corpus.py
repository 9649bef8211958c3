"""The verbs on collections of records: recipes, sample, clean."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import click

import spanish_tok as st
from spanish_tok.cli.options import (
    FOLDER,
    engine,
    force_option,
    given,
    reading,
    reads_files,
    runs_on_engines,
    set_option,
    threads_option,
)

FILES = click.argument("files", nargs=-1, type=click.Path(), metavar="RECIPE | FILES...")
OUTPUT = click.option("--output", type=FOLDER, help="Folder to write.")
RULE = click.option(
    "--rule",
    "rules",
    multiple=True,
    metavar="NAME=VALUE",
    help="The parameter of a rule of cleaning, or off: short=1, spanish=off. May be given several times. The rules: "
    "mojibake, entities, tags, subtitles, control, empty, signs, repeated, letters, short, long, spanish, duplicate, "
    "near_duplicate.",
)
ROWS = click.option("--rows", type=click.IntRange(0), help="How many rows there must be, or it is an error.")


@click.command()
def recipes() -> None:
    """List the data sets that are known by name."""
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    wide = [Column(name, overflow="fold") for name in ("what", "rows", "licence")]
    table = Table(Column("recipe", no_wrap=True), *wide, box=None, pad_edge=False)
    for dataset in st.recipes():
        rows = f"{dataset.rows:,}" if dataset.rows else ""
        table.add_row(*map(Text, (dataset.name, dataset.title, rows, dataset.licence)))
    Console(highlight=False).print(table)
    click.echo("\nA new one is a TOML file: give its path. corpus/README.md says what it holds.")


@click.command()
@FILES
@click.option("--size", type=click.IntRange(1), required=True, help="Records to draw.")
@click.option("--seed", type=click.IntRange(0, 2**64 - 1), default=0, show_default=True)
@OUTPUT
@force_option
@click.option("--at-most", is_flag=True, help="Fewer records than --size are no error.")
@click.option("--no-clean", is_flag=True, help="Take records as they are.")
@click.option(
    "--clean-all", is_flag=True, help="Clean and report on the whole input, not only on candidates."
)
@RULE
@set_option("SampleOptions")
@ROWS
@click.option("--source", help="Name that enters the keys of records instead of the file's or recipe's.")
@reads_files
@runs_on_engines
def sample(
    files: tuple[str, ...],
    size: int,
    output: Path | None,
    no_clean: bool,
    rules: tuple[str, ...],
    assignments: tuple[str, ...],
    rows: int | None,
    **options: Any,
) -> None:
    """Draw a clean, uniform, reproducible sample of a RECIPE or of FILES.

    The same seed draws the same records whatever the order of the files. An interrupted call resumes when it is
    given again.
    """
    changes = _rules(rules) | st.assigned(assignments)
    how, runner = reading(options, rows), engine(options)
    if no_clean:
        options["clean"] = False
    records = st.sample(
        list(files), _needed(output), size=size, reading=how, engine=runner, progress=True,
        **given(options) | changes,
    )  # fmt: skip
    _tell(records)


@click.command()
@FILES
@OUTPUT
@force_option
@click.option("--explain", metavar="TEXT", help="Show what each rule does to a text, and write nothing.")
@RULE
@set_option("CleanOptions")
@ROWS
@reads_files
@threads_option
def clean(
    files: tuple[str, ...],
    output: Path | None,
    force: bool,
    explain: str | None,
    rules: tuple[str, ...],
    assignments: tuple[str, ...],
    rows: int | None,
    threads: int | None,
    **options: Any,
) -> None:
    """Repair or reject the records of a RECIPE or of FILES, and report it."""
    changes = _rules(rules) | st.assigned(assignments)
    if explain is not None:
        _explain(explain, changes)
        return
    how, runner = reading(options, rows), st.Local(threads)
    records = st.clean(
        list(files), _needed(output), reading=how, engine=runner, progress=True, force=force, **changes
    )
    _tell(records)


def _needed(output: Path | None) -> Path:
    if output is None:
        raise st.SpanishTokError("--output is required", "Give --output FOLDER.")
    return output


def _rules(rules: tuple[str, ...]) -> dict[str, Any]:
    names = [rule.name for rule in fields(st.CleanOptions)]
    if bare := [rule for rule in rules if "=" not in rule]:
        raise st.SpanishTokError(
            f"--rule {bare[0]} is not NAME=VALUE",
            f"Write, say, --rule short=1. The rules: {', '.join(names)}.",
        )
    changes = st.assigned(rules, flag="--rule")
    if wrong := [name for name in changes if name not in names]:
        raise st.SpanishTokError(f"There is no rule {wrong[0]!r}", f"Give one of: {', '.join(names)}.")
    return changes


def _explain(text: str, changes: dict[str, Any]) -> None:
    steps = st.explain(text, **changes)
    width = max((len(rule) for rule, _ in steps), default=0)
    for rule, after in steps:
        click.echo(f"{rule:<{width}}  {'rejected' if after is None else repr(after)}")
    if not steps:
        click.echo("Nothing is changed, and the text is kept.")


def _tell(records: "st.Records") -> None:
    """Tell what was read, what each rule touched, and what was written."""
    manifest = records.to_dict()
    for entry in manifest["read"]:
        notes = [f"{entry['rows']:,} rows"]
        notes += [f"{entry[fate]:,} {fate}" for fate in ("repaired", "rejected") if entry[fate]]
        notes += ["the last without a newline: it may be cut off"] if entry["unterminated"] else []
        click.echo(f"{entry['name']}: {', '.join(notes)}")
    looked = max(manifest["looked_at"], 1)
    for rule, touched in records.rules.items():
        if touched:
            click.echo(f"  {rule:<16}{touched:>12,}  {100 * touched / looked:.3f} %")
    click.echo(f"{records.rows:,} records of {manifest['looked_at']:,} that were looked at: {records.folder}")
