"""The verbs that measure: bench, compare."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spanish_tok.cli.options import reading, reads_files, vocab_option

if TYPE_CHECKING:
    from spanish_tok.measure.compare import Comparison
    from spanish_tok.measure.svg import Plot
    from spanish_tok.measure.tables import ReportTable

COMPARED = 16  # megabytes of text that vocabularies are compared on
MEGABYTES = click.option(
    "--megabytes", type=click.IntRange(1), default=400, show_default=True, help="Read at most so much text."
)
TEXT = click.option(
    "--text", "texts", multiple=True, type=click.Path(), metavar="FILE",
    help="A file of text; may be given several times. Default: 200 sentences that ship.",
)  # fmt: skip
JSON = click.option(
    "--json", "json_file", type=click.Path(allow_dash=True), help="Write all figures; - prints them."
)
HTML = click.option(
    "--html", "html_file", type=click.Path(path_type=Path), help="Write the report: one page, no network."
)


@click.command()
@click.argument("files", nargs=-1, type=click.Path())
@vocab_option
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="A model folder: its size, speed, bits per byte and fills too.",
)
@TEXT
@reads_files
@MEGABYTES
@click.option(
    "--against", multiple=True, metavar="NAME",
    help="sentencepiece, tokenizers, kitoken, tokie; default: all that are installed.",
)  # fmt: skip
@click.option(
    "--compare",
    "others",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="VOCAB",
    help="Another vocabulary, put beside it in the same report; may be given several times.",
)
@JSON
@HTML
def bench(
    files: tuple[str, ...],
    vocab: Path | None,
    model: Path | None,
    texts: tuple[str, ...],
    megabytes: int,
    against: tuple[str, ...],
    others: tuple[Path, ...],
    json_file: str | None,
    html_file: Path | None,
    **options: Any,
) -> None:
    """Measure a vocabulary on text: round trips, quality, speed; and a model, where one is given.

    FILES are more files of text, so that `--text *.parquet` works.
    """
    from spanish_tok.measure import bench as measuring
    from spanish_tok.measure.compare import comparison_tables
    from spanish_tok.measure.presentation import bench_plots, bench_tables, comparison_plots
    from spanish_tok.progress import progress

    given = (*texts, *files)
    with progress("measuring", unit="share") as bar:
        found = measuring.bench(vocab, given, reading(**options), model, against, megabytes * 1_000_000, bar)
    tables, plots, figures = bench_tables(found), bench_plots(found), found.as_json()
    if others:
        beside = _compared((vocab or model, *others), given, options, COMPARED)
        tables += comparison_tables(beside)
        plots += comparison_plots(beside)
        figures["comparison"] = beside.as_json()
    _show(tables, figures, json_file)
    if html_file:
        _report(html_file, f"spanish-tok bench: {found.vocabulary}", tables, plots, vocab or model)


@click.command()
@click.argument("vocabularies", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="VOCAB...")
@TEXT
@reads_files
@click.option(
    "--megabytes",
    type=click.IntRange(1),
    default=COMPARED,
    show_default=True,
    help="Compare on an even sample of so much.",
)
@JSON
@HTML
def compare(
    vocabularies: tuple[Path, ...],
    texts: tuple[str, ...],
    megabytes: int,
    json_file: str | None,
    html_file: Path | None,
    **options: Any,
) -> None:
    """Put vocabularies side by side on the same text, each through its own library.

    VOCAB is a folder or file: ours, any spiece.model, any tokenizer.json. One alone is compared with the shipped one.
    """
    from spanish_tok.measure.compare import comparison_tables
    from spanish_tok.measure.presentation import comparison_plots

    paths = vocabularies if len(vocabularies) > 1 else (None, *vocabularies)
    found = _compared(paths, texts, options, megabytes)
    tables = comparison_tables(found)
    _show(tables, found.as_json(), json_file)
    if html_file:
        ours = next((path for path in paths if path and (path / "manifest.json").exists()), None)
        _report(html_file, "spanish-tok compare", tables, comparison_plots(found), ours)


def _compared(
    vocabularies: tuple[Path | None, ...], texts: tuple[str, ...], options: dict[str, Any], megabytes: int
) -> "Comparison":
    """Compare vocabularies, None being the shipped one."""
    from spanish_tok.measure.compare import compare
    from spanish_tok.progress import progress

    with progress("comparing", total=len(vocabularies)) as bar:
        return compare(vocabularies, texts, reading(**options), megabytes * 1_000_000, bar)


def _report(
    path: Path, title: str, tables: "list[ReportTable]", plots: "list[Plot]", vocab: Path | None
) -> None:
    from spanish_tok.measure.html import write_report
    from spanish_tok.vocab.vocabulary import Vocabulary

    write_report(path, title, tables, plots, Vocabulary.load(vocab))
    click.echo(f"The report: {path}", err=True)


def _show(tables: "list[ReportTable]", found: dict[str, Any], json_file: str | None) -> None:
    from spanish_tok.files import write_json
    from spanish_tok.measure.tables import print_tables

    if json_file == "-":
        click.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    print_tables(tables, sys.stdout)
    if json_file:
        write_json(json_file, found)
