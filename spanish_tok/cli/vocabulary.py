"""The verbs on vocabularies: demo, count, train, verify."""

import sys
from pathlib import Path

import click

from spanish_tok.cli.options import threads_option
from spanish_tok.errors import SpanishTokError

text_options = [
    click.argument("files", nargs=-1, required=True, type=click.Path()),
    click.option("--format", "form", help="tsv, csv, jsonl, parquet or text; default: by the file's name."),
    click.option("--column", default="text", show_default=True, help="The column of text of csv, jsonl, parquet."),
    click.option("--malformed", type=click.Choice(["error", "reject"]), default="error", show_default=True),
    click.option("--invalid-utf8", type=click.Choice(["error", "repair", "reject"]), default="repair", show_default=True),
    threads_option,
]


def takes_text(command):  # type: ignore[no-untyped-def]
    """Add the arguments that say what to read."""
    for option in reversed(text_options):
        command = option(command)
    return command


def _count(files, form, column, malformed, invalid_utf8, threads):  # type: ignore[no-untyped-def]
    """The counts of files of text or of counts, with a progress display, what was dropped on standard error."""
    from spanish_tok.counts import count_files
    from spanish_tok.progress import progress
    from spanish_tok.reading import ReadOptions

    options = ReadOptions(format=form, text=column, malformed=malformed, invalid_utf8=invalid_utf8)
    with progress("counting records") as bar:
        counts = count_files(files, options=options, threads=threads, progress=bar)
    if counts.cut:
        click.echo(f"{counts.cut:,} times a run longer than 64 characters was cut.", err=True)
    return counts


@click.command()
@takes_text
@click.option("--output", required=True, type=click.Path(path_type=Path), help="Parquet file to write.")
def count(files, form, column, malformed, invalid_utf8, threads, output):  # type: ignore[no-untyped-def]
    """Count the runs of FILES into one table (run, count).

    FILES are text (Parquet, TSV, CSV, JSON lines, plain, also compressed) or counts, which are added up.
    """
    counts = _count(files, form, column, malformed, invalid_utf8, threads)
    counts.save(output)
    click.echo(f"{len(counts):,} distinct runs of {counts.total:,}, {counts.records:,} records: {output}")


@click.command()
@takes_text
@click.option("--size", "sizes", type=int, multiple=True, default=[5000], show_default=True, help="Ids in all; may be given several times.")
@click.option("--sentinels", type=click.IntRange(0), default=100, show_default=True)
@click.option("--output", required=True, type=click.Path(path_type=Path), help="Folder to write; with several sizes, one folder each in it.")
def train(files, form, column, malformed, invalid_utf8, threads, sizes, sentinels, output):  # type: ignore[no-untyped-def]
    """Train a vocabulary from FILES of text or of counts, told apart by their columns."""
    from spanish_tok.progress import progress
    from spanish_tok.trainer import train_vocabularies

    counts = _count(files, form, column, malformed, invalid_utf8, threads)
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
    from spanish_tok.verify import verify

    checks = verify(folder)
    for check in checks:
        agree = f"{check.tried - check.failed:,} of {check.tried:,}"
        click.echo(f"{'ok  ' if not check.failed else 'FAIL'}  {check.name:<55} {agree}  {check.example}".rstrip())
    if failed := sum(check.failed > 0 for check in checks):
        raise SpanishTokError(f"{failed} of {len(checks)} checks failed", "Train the vocabulary anew.")


@click.command()
@click.option("--output", type=click.Path(path_type=Path), default=Path("spanish-tok-demo"), show_default=True)
def demo(output: Path) -> None:
    """Train a real 5,000-id vocabulary from the embedded counts and send text through it, offline."""
    from spanish_tok.demo import run

    run(output, sys.stdout)
