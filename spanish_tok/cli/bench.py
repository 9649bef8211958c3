"""The verbs that measure: bench, compare."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from spanish_tok.cli.options import reading, reads_files, vocab_option

MEGABYTES = click.option(
    "--megabytes", type=click.IntRange(1), default=400, show_default=True, help="Read at most so much text."
)
TEXT = click.option(
    "--text", "texts", multiple=True, type=click.Path(), metavar="FILE",
    help="A file of text; may be given several times. Default: 200 sentences that ship.",
)  # fmt: skip
JSON = click.option("--json", "json_file", type=click.Path(allow_dash=True), help="Write all figures; - prints them.")
HTML = click.option("--html", "html_file", type=click.Path(path_type=Path), help="Write the report: one page, no network.")


@click.command()
@click.argument("files", nargs=-1, type=click.Path())
@vocab_option
@TEXT
@reads_files
@MEGABYTES
@click.option(
    "--against", multiple=True, metavar="NAME",
    help="sentencepiece, tokenizers, kitoken, tokie; default: all that are installed.",
)  # fmt: skip
@JSON
@HTML
def bench(
    files: tuple[str, ...],
    vocab: Path | None,
    texts: tuple[str, ...],
    megabytes: int,
    against: tuple[str, ...],
    json_file: str | None,
    html_file: Path | None,
    **options: Any,
) -> None:
    """Measure a vocabulary on text: round trips, quality, speed.

    FILES are more files of text, so that `--text *.parquet` works.
    """
    from spanish_tok import bench as measuring
    from spanish_tok.bench_tables import bench_tables
    from spanish_tok.progress import progress

    with progress("measuring", unit="share") as bar:
        found = measuring.bench(vocab, (*texts, *files), reading(**options), against, megabytes * 1_000_000, bar)
    tables = bench_tables(found)
    _show(tables, found.as_json(), json_file)
    if html_file:
        from spanish_tok.report import write_report

        write_report(html_file, "spanish-tok bench", tables, bench_plots(found), vocab)


def _show(tables: list[Any], found: dict[str, Any], json_file: str | None) -> None:
    from spanish_tok.figures import print_tables
    from spanish_tok.files import write_json

    if json_file == "-":
        click.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    print_tables(tables, sys.stdout)
    if json_file:
        write_json(json_file, found)
