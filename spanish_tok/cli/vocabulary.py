"""The verbs on vocabularies: demo, count, train, verify."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spanish_tok.cli.options import reading, reads_files, runs_on_engines, threads_option
from spanish_tok.errors import SpanishTokError

if TYPE_CHECKING:
    from spanish_tok.vocab.counts import Counts

RECORDS = click.argument("files", nargs=-1, required=True, type=click.Path())


def _count(files: tuple[str, ...], threads: int | None, options: dict[str, Any], **engine: Any) -> "Counts":
    """The counts of files of text or of counts; what was cut is told on standard error."""
    from spanish_tok.progress import progress
    from spanish_tok.vocab.count_files import count_files

    with progress("counting records") as bar:
        counts = count_files(files, options=reading(**options), threads=threads, progress=bar, **engine)
    if counts.cut:
        click.echo(f"Runs longer than 64 characters, which were cut: {counts.cut:,}", err=True)
    return counts


@click.command()
@RECORDS
@reads_files
@threads_option
@runs_on_engines
@click.option("--output", required=True, type=click.Path(path_type=Path), help="Parquet file to write.")
def count(
    files: tuple[str, ...],
    threads: int | None,
    engine: str,
    address: str | None,
    output: Path,
    **options: Any,
) -> None:
    """Count the runs of FILES into one table (run, count).

    FILES are text (Parquet, TSV, CSV, JSON lines, plain, also compressed) or counts, which are added up.
    With the engine ray the counts of parts lie beside --output until all is done: a call that failed goes on.
    """
    kept = output.with_name(f".{output.name}.parts") if engine == "ray" else None
    counts = _count(files, threads, options, engine=engine, address=address, kept=kept)
    counts.save(output)
    click.echo(f"{len(counts):,} distinct runs of {counts.total:,}, {counts.records:,} records: {output}")


@click.command()
@RECORDS
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
@click.option(
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder to write; with several sizes, one folder each in it.",
)
def train(
    files: tuple[str, ...],
    threads: int | None,
    sizes: tuple[int, ...],
    sentinels: int,
    output: Path,
    **options: Any,
) -> None:
    """Train a vocabulary from FILES of text or of counts, told apart by their columns."""
    from spanish_tok.progress import progress
    from spanish_tok.vocab.trainer import train_vocabularies

    counts = _count(files, threads, options)
    with progress("training", total=1, unit="share") as bar:
        vocabularies = train_vocabularies(counts, sizes, sentinels, threads=threads, progress=bar)
    for size, vocabulary in vocabularies.items():
        folder = output if len(vocabularies) == 1 else output / str(size)
        vocabulary.save(folder)
        click.echo(f"{size:,} ids, fingerprint {vocabulary.fingerprint[:16]}: {folder}")


@click.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path))
def verify(folder: Path | None) -> None:
    """Check a vocabulary FOLDER in every library that is installed; the shipped one by default."""
    from spanish_tok.measure.verify import verify

    checks = verify(folder)
    for check in checks:
        click.echo(check)
    if failed := sum(check.failed > 0 for check in checks):
        raise SpanishTokError(f"{failed} of {len(checks)} checks failed", "Train the vocabulary anew.")


@click.command()
@click.option(
    "--output", type=click.Path(path_type=Path), default=Path("spanish-tok-demo"), show_default=True
)
@click.option("--t5", is_flag=True, help="Train a tiny T5 instead and let it fill masks; needs the extra t5.")
@click.option("--text", help="With --t5: a file of records to train on; default: the shipped sentences.")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), default=3.0, show_default=True)
def demo(output: Path, t5: bool, text: str | None, minutes: float) -> None:
    """Train a real 5,000-id vocabulary from the embedded counts and send text through it, offline."""
    if t5:
        from spanish_tok.measure import t5_demo as t5_demo

        t5_demo.run(output, text, minutes, sys.stdout)
        return
    from spanish_tok.measure.demo import run

    run(output, sys.stdout)
