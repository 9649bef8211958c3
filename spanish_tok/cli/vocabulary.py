"""The verbs on vocabularies: count, train, verify."""

from pathlib import Path
from typing import Any

import click

import spanish_tok as st
from spanish_tok.cli.options import (
    FOLDER,
    engine,
    reading,
    reads_files,
    runs_on_engines,
    set_option,
    threads_option,
)

FILES = click.argument("files", nargs=-1, required=True, type=click.Path())


@click.command()
@FILES
@reads_files
@runs_on_engines
@click.option("--output", required=True, type=FOLDER, help="Parquet file to write.")
def count(files: tuple[str, ...], output: Path, **options: Any) -> None:
    """Count the runs of FILES into one table (run, count).

    FILES are text (Parquet, TSV, CSV, JSON lines, plain, also compressed), a recipe, or counts, which are added up.
    With the engine ray the counts of parts lie beside --output until all is done: a call that failed resumes.
    """
    how, runner = reading(options), engine(options)
    counts = st.count(list(files), output, reading=how, engine=runner, progress=True)
    _tell_cut(counts)
    click.echo(f"{len(counts):,} distinct runs of {counts.total:,}, {counts.records:,} records: {output}")


@click.command()
@FILES
@reads_files
@threads_option
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
@set_option
@click.option(
    "--output", required=True, type=FOLDER, help="Folder to write; with several sizes, one folder each in it."
)
def train(
    files: tuple[str, ...],
    threads: int | None,
    sizes: tuple[int, ...],
    sentinels: int,
    assignments: tuple[str, ...],
    output: Path,
    **options: Any,
) -> None:
    """Train a vocabulary from FILES of text or of counts, told apart by their columns."""
    runner = st.Local(threads)
    counts = st.count(list(files), reading=reading(options), engine=runner, progress=True)
    _tell_cut(counts)
    vocabularies = st.train(
        counts, output, size=list(sizes), sentinels=sentinels, engine=runner, progress=True,
        **st.assigned(assignments),
    )  # fmt: skip
    for size, vocabulary in vocabularies.items():
        folder = output if len(vocabularies) == 1 else output / str(size)
        click.echo(f"{size:,} ids, fingerprint {vocabulary.fingerprint[:16]}: {folder}")


@click.command()
@click.argument("folder", required=False, type=FOLDER)
def verify(folder: Path | None) -> None:
    """Check a vocabulary FOLDER in every library that is installed.

    The shipped one by default.
    """
    result = st.verify(folder, progress=True)
    for check in result.checks:
        click.echo(check)
    if not result.ok:
        raise st.SpanishTokError(
            f"{result.failed} of {len(result.checks)} checks failed", "Train the vocabulary again."
        )


def _tell_cut(counts: "st.Counts") -> None:
    if counts.cut:
        click.echo(f"Runs longer than 64 characters, which were cut: {counts.cut:,}", err=True)
