"""The verbs on vocabularies: count, train, verify."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

import spanish_tok as st
from spanish_tok.cli.options import (
    FOLDER,
    engine,
    force_option,
    reading,
    reads_files,
    runs_on_engines,
    set_option,
    texts_option,
    threads_option,
)

FILES = click.argument("files", nargs=-1, required=True, type=click.Path())


def adds_up(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how the counts of FILES are added up."""
    for option in reversed(ADDING):
        command = option(command)
    return command


def keeps_characters(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say which characters are kept."""
    alphabet = click.option(
        "--alphabet", default="es", show_default=True, metavar="NAME|FILE",
        help="es, pt, ca, gl, fr, it, de, or a TOML file: the letters that are kept.",
    )  # fmt: skip
    return alphabet(click.option("--cased", is_flag=True, help="Capitals are kept.")(command))


ADDING = [
    click.option(
        "--weights", callback=lambda _, __, text: text and numbers_of(text), metavar="W,W,...",
        help="A number for each of FILES as written: a folder or a quoted pattern is one.",
    ),
    click.option(
        "--total", type=click.IntRange(1), default=20_000_000, show_default=True,
        help="What the frequencies of a list of words are scaled to.",
    ),
    click.option(
        "--licence", "licences", multiple=True, metavar="NAME",
        help="Of the data, recorded: once for all, or once for each of FILES.",
    ),
]  # fmt: skip


@click.command()
@FILES
@reads_files
@runs_on_engines
@adds_up
@keeps_characters
@click.option("--output", required=True, type=FOLDER, help="Parquet file to write.")
@force_option
def count(files: tuple[str, ...], output: Path, force: bool, **options: Any) -> None:
    """Count the runs of FILES into one table (run, count).

    FILES are text (Parquet, TSV, CSV, JSON lines, plain, also compressed), a recipe, counts, or lists of words
    (columns word and count or frequency; with --format words a word and its count a line). All are added up.
    With the engine ray the counts of parts lie beside --output until all is done: a call that failed resumes.
    """
    how, runner = reading(options), engine(options)
    adds = adding(options)
    counts = st.count(
        list(files), output, **adds, **options, reading=how, engine=runner, progress=True, force=force
    )
    click.echo(f"{len(counts):,} distinct runs of {counts.total:,}, {counts.records:,} records: {output}")


@click.command()
@FILES
@reads_files
@threads_option
@adds_up
@click.option(
    "--size",
    "sizes",
    type=int,
    multiple=True,
    default=[5000],
    show_default=True,
    help="Ids in all; may be given several times.",
)
@click.option("--sentinels", type=click.IntRange(0), default=100, show_default=True)
@keeps_characters
@click.option("--split-digits", is_flag=True, help="Every digit is a piece of its own.")
@click.option(
    "--special", multiple=True, metavar="TEXT", help="A further special, such as <sep>; several times."
)
@click.option(
    "--piece", multiple=True, metavar="TEXT", help="A piece that stays, such as ▁ordenador; several times."
)
@click.option("--no-join", default="", metavar="CHARS", help="Characters that stand alone, such as -_/")
@set_option("TrainOptions")
@click.option(
    "--output", required=True, type=FOLDER, help="Folder to write; with several sizes, one folder each in it."
)
@force_option
def train(
    files: tuple[str, ...],
    threads: int | None,
    sizes: tuple[int, ...],
    assignments: tuple[str, ...],
    output: Path,
    **options: Any,
) -> None:
    """Train a vocabulary from FILES of text, counts or words: their columns tell."""
    how, adds = reading(options), adding(options)
    vocabularies = st.train(
        list(files), output, size=list(sizes), reading=how, **adds, engine=st.Local(threads), progress=True,
        **{**options, **st.assigned(assignments)},
    )  # fmt: skip
    for size, vocabulary in vocabularies.items():
        folder = output if len(vocabularies) == 1 else output / str(size)
        click.echo(f"{size:,} ids, fingerprint {vocabulary.fingerprint[:16]}: {folder}")


@click.command()
@click.argument("folder", required=False, type=FOLDER)
@click.option("--against", type=FOLDER, metavar="MODEL", help="The model that a trimmed one comes from.")
@texts_option("Text for --against, one file or more.")
@reads_files
def verify(folder: Path | None, against: Path | None, texts: list[str], **options: Any) -> None:
    """Check a vocabulary FOLDER in every library that is installed.

    The shipped one by default. With --against FOLDER is a trimmed model, compared with its original on text: status 1
    if any id, row or logit differs, or no text could be compared.
    """
    result = st.verify(folder, against=against, input=texts or None, reading=reading(options), progress=True)
    for check in result.checks:
        click.echo(check)
    for unit, share in result.shares.items():
        click.echo(f"      {unit} cut as before: {share:.2%}")
    if against and not result.ok:
        raise click.exceptions.Exit(1)
    if not result.ok:
        raise st.SpanishTokError(
            f"{result.failed} of {len(result.checks)} checks failed",
            "Train the vocabulary again, or copy it again.",
        )


def numbers_of(text: str) -> list[float]:
    """Return the numbers of a list with commas."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise st.SpanishTokError(f"--weights {text} is not numbers", "Write, say, --weights 0.5,1.") from None


def adding(options: dict[str, Any]) -> dict[str, Any]:
    """Take the options of `adds_up` out of `options`, as `count` takes them."""
    licences = options.pop("licences")
    return {
        "weights": options.pop("weights"),
        "total": options.pop("total"),
        "licence": "".join(licences) if len(licences) < 2 else list(licences),
    }
