"""The verbs on collections of records: recipes, sample, clean."""

from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spanish_tok.cli.options import reading, reads_files, runs_on_engines, threads_option
from spanish_tok.errors import SpanishTokError

if TYPE_CHECKING:
    from spanish_tok.corpus.cleaning import CleanOptions
    from spanish_tok.parallel.engines import EngineName
    from spanish_tok.readers.inputs import Inputs

FILES = click.argument("files", nargs=-1, type=click.Path(), metavar="RECIPE | FILES...")
OUTPUT = click.option("--output", type=click.Path(path_type=Path), help="Folder to write.")
RULE = click.option(
    "--rule",
    "rules",
    multiple=True,
    metavar="NAME=VALUE",
    help="The parameter of a rule of cleaning, or off: short=1, spanish=off. May be given several times.",
)
ROWS = click.option("--rows", type=click.IntRange(0), help="How many rows there must be, or it is an error.")
SOURCE = click.option(
    "--source", help="Name that enters the keys of records instead of the file's or recipe's."
)


@click.command()
def recipes() -> None:
    """List the data sets that are known by name."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from spanish_tok.readers.datasets import load_recipe, shipped_recipes

    table = Table("recipe", "what", "rows", "licence", box=None, pad_edge=False)
    for name in shipped_recipes():
        recipe = load_recipe(name)
        rows = f"{recipe.rows:,}" if recipe.rows else ""
        table.add_row(*map(Text, (name, recipe.title, rows, recipe.licence)))
    Console(highlight=False).print(table)
    click.echo("\nA new one is a TOML file: give its path. corpus/README.md says what it holds.")


@click.command()
@FILES
@click.option("--size", type=click.IntRange(1), required=True, help="Records to draw.")
@click.option("--seed", type=click.IntRange(0, 2**64 - 1), default=0, show_default=True)
@OUTPUT
@click.option("--at-most", is_flag=True, help="Fewer records than --size are no error.")
@click.option("--no-clean", is_flag=True, help="Take records as they are.")
@click.option(
    "--clean-all", is_flag=True, help="Clean and report on the whole input, not only on candidates."
)
@RULE
@ROWS
@SOURCE
@reads_files
@threads_option
@runs_on_engines
def sample(
    files: tuple[str, ...],
    size: int,
    seed: int,
    output: Path | None,
    at_most: bool,
    no_clean: bool,
    clean_all: bool,
    rules: tuple[str, ...],
    rows: int | None,
    source: str | None,
    threads: int | None,
    engine: "EngineName",
    address: str | None,
    **options: Any,
) -> None:
    """Draw a clean, uniform, reproducible sample of a RECIPE or of FILES.

    The same seed draws the same records whatever the order of the files. A call that was interrupted goes on
    where it stopped when it is given again.
    """
    from spanish_tok.corpus.pipeline import SURPLUS, sample_files
    from spanish_tok.progress import progress

    inputs = _inputs(files, options, rows, source)
    clean = None if no_clean else _rules(rules, inputs)
    known = inputs.guessed_rows()
    share = SURPLUS * size / known if known else 1.0
    folder = _begin(
        inputs, output, threads, share, 1.0 if clean_all else share * (clean is not None), spilled=True
    )
    manifest = sample_files(
        inputs, folder, size, seed=seed, clean=clean, clean_all=clean_all, at_most=at_most, threads=threads,
        engine=engine, address=address, display=progress, announce=lambda message: click.echo(message, err=True),
    )  # fmt: skip
    _conclude(manifest, folder)


@click.command()
@FILES
@OUTPUT
@click.option("--explain", metavar="TEXT", help="Show what each rule does to a text, and write nothing.")
@RULE
@ROWS
@reads_files
@threads_option
def clean(
    files: tuple[str, ...],
    output: Path | None,
    explain: str | None,
    rules: tuple[str, ...],
    rows: int | None,
    threads: int | None,
    **options: Any,
) -> None:
    """Repair or reject the records of a RECIPE or of FILES, and report what each rule did."""
    from spanish_tok.corpus.cleaning import CleanOptions
    from spanish_tok.corpus.pipeline import clean_files
    from spanish_tok.progress import progress

    if explain is not None:
        _explain(explain, _changed(CleanOptions(), rules))
        return
    inputs = _inputs(files, options, rows, None)
    folder = _begin(inputs, output, threads, 1.0, 1.0, spilled=False)
    manifest = clean_files(inputs, folder, clean=_rules(rules, inputs), threads=threads, display=progress)
    _conclude(manifest, folder)


def _inputs(
    files: tuple[str, ...], options: dict[str, Any], rows: int | None, source: str | None
) -> "Inputs":
    from spanish_tok.readers.inputs import inputs_of

    if not files:
        raise SpanishTokError("Nothing to read is given", "Give files, or a recipe: `spanish-tok recipes`.")
    inputs = inputs_of(files, replace(reading(**options), rows=rows), source)
    if inputs.recipe and inputs.recipe.warning:
        click.echo(f"Licence: {inputs.recipe.warning.strip()}", err=True)
    return inputs


def _begin(
    inputs: "Inputs", output: Path | None, threads: int | None, share: float, cleaned: float, *, spilled: bool
) -> Path:
    """Say what the job will take, where it is long, and raise where the disk is too small; return the output."""
    from spanish_tok.corpus.estimate import check_disk, estimate
    from spanish_tok.parallel.threads import available_cores

    if output is None:
        raise SpanishTokError("Where to write is not said", "Give --output FOLDER.")
    cores = threads or available_cores()
    needs = estimate(inputs, share, spilled=spilled, cleaned=cleaned, cores=cores)
    if needs:
        check_disk(needs.disk, output)
        if needs.seconds > 5:
            click.echo(str(needs), err=True)
    return output


def _rules(rules: tuple[str, ...], inputs: "Inputs") -> "CleanOptions":
    """The rules with the parameters of the recipe and then of the command line."""
    from spanish_tok.corpus.cleaning import CleanOptions

    recipe = inputs.recipe.clean if inputs.recipe else {}
    return _changed(CleanOptions(), (*(f"{name}={value}" for name, value in recipe.items()), *rules))


def _changed(options: "CleanOptions", rules: tuple[str, ...]) -> "CleanOptions":
    kinds = {rule.name: type(getattr(options, rule.name)) for rule in fields(options)}
    for rule in rules:
        name, _, value = rule.partition("=")
        if name not in kinds:
            raise SpanishTokError(f"There is no rule {name!r}", f"Give one of: {', '.join(kinds)}.")
        try:
            number = 0 if value == "off" else kinds[name](value)
        except ValueError:
            raise SpanishTokError(
                f"{value!r} is no parameter of the rule {name}", "Give a number, or off."
            ) from None
        options = replace(options, **{name: number})
    return options


def _explain(text: str, options: "CleanOptions") -> None:
    from spanish_tok.corpus.cleaning import explain

    steps = explain(text, options)
    width = max((len(rule) for rule, _ in steps), default=0)
    for rule, after in steps:
        click.echo(f"{rule:<{width}}  {'rejected' if after is None else repr(after)}")
    if not steps:
        click.echo("Nothing is changed, and the text is kept.")


def _conclude(manifest: dict[str, Any], folder: Path) -> None:
    """What was read, what each rule touched, and what was written."""
    for read in manifest["read"]:
        notes = [f"{read['rows']:,} rows"]
        notes += [f"{read[what]:,} {what}" for what in ("repaired", "rejected") if read[what]]
        notes += ["the last without a newline: it may be cut off"] if read["unterminated"] else []
        click.echo(f"{read['name']}: {', '.join(notes)}")
    looked = max(manifest["looked_at"], 1)
    for rule, touched in manifest["rules"].items():
        if touched:
            click.echo(f"  {rule:<16}{touched:>12,}  {100 * touched / looked:.3f} %")
    click.echo(f"{manifest['rows']:,} records of {manifest['looked_at']:,} that were looked at: {folder}")
