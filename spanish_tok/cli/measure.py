"""The verbs that measure: bench, compare."""

import json
from pathlib import Path
from typing import Any

import click

import spanish_tok as st
from spanish_tok.cli.options import FOLDER, force_option, reading, reads_files, vocab_option

TEXT = click.option(
    "--text", "texts", multiple=True, type=click.Path(), metavar="FILE",
    help="A file of text; may be given several times. Default: 200 sentences that ship.",
)  # fmt: skip
JSON = click.option(
    "--json", "json_file", type=click.Path(allow_dash=True), help="Write all figures; - prints them."
)
HTML = click.option("--html", "html_file", type=FOLDER, help="Write the report: one page, no network.")


@click.command()
@click.argument("files", nargs=-1, type=click.Path())
@vocab_option
@click.option(
    "--model",
    type=FOLDER,
    metavar="DIR",
    help="A model folder: its size, speed, bits per byte and fills too.",
)
@TEXT
@reads_files
@click.option(
    "--megabytes", type=click.IntRange(1), default=100, show_default=True, help="Read at most so much text."
)
@click.option(
    "--against", multiple=True, metavar="NAME",
    help="sentencepiece, tokenizers, kitoken, tokie; default: all that are installed.",
)  # fmt: skip
@click.option(
    "--compare", "others", multiple=True, type=FOLDER, metavar="VOCAB",
    help="Another vocabulary, put beside it in the same report; may be given several times.",
)  # fmt: skip
@JSON
@HTML
@force_option
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
    force: bool,
    **options: Any,
) -> None:
    """Measure a vocabulary on text: round trips, quality, speed; and a model.

    FILES are more files of text, so that `--text *.parquet` works.
    """
    result = st.bench(
        vocab, [*texts, *files] or None, reading=reading(options), model=model, against=against,
        compare=others, megabytes=megabytes, html=html_file, json=_named(json_file), progress=True, force=force,
    )  # fmt: skip
    _show(result, json_file, html_file)


@click.command()
@click.argument("vocabularies", nargs=-1, required=True, type=FOLDER, metavar="VOCAB...")
@TEXT
@reads_files
@click.option(
    "--megabytes",
    type=click.IntRange(1),
    default=16,
    show_default=True,
    help="Compare on an even sample of so much.",
)
@click.option(
    "--group", default="", metavar="COLUMN",
    help="A column of the files, such as a variety of Spanish: what each of its groups costs.",
)  # fmt: skip
@click.option(
    "--lexicon", type=FOLDER, metavar="FILE",
    help="Words and their morphemes, casas<TAB>casa+s: how often pieces end where morphemes do.",
)  # fmt: skip
@JSON
@HTML
@force_option
def compare(
    vocabularies: tuple[Path, ...],
    texts: tuple[str, ...],
    megabytes: int,
    group: str,
    lexicon: Path | None,
    json_file: str | None,
    html_file: Path | None,
    force: bool,
    **options: Any,
) -> None:
    """Put vocabularies side by side on the same text, each through its own library.

    VOCAB is a folder or file: ours, any spiece.model, any tokenizer.json. One alone is compared with the shipped one.
    """
    result = st.compare(
        list(vocabularies), list(texts) or None, group=group, lexicon=lexicon, reading=reading(options),
        megabytes=megabytes, html=html_file, json=_named(json_file), progress=True, force=force,
    )  # fmt: skip
    _show(result, json_file, html_file)


def _named(json_file: str | None) -> str | None:
    """Return the file of figures, None where they are printed."""
    return None if json_file == "-" else json_file


def _show(result: "st.Bench | st.Comparison", json_file: str | None, html_file: Path | None) -> None:
    """Show the figures; the files are written before, so that `| head` costs none."""
    if html_file:
        click.echo(f"The report: {html_file}", err=True)
    if json_file == "-":
        click.echo(json.dumps(result.to_dict(), ensure_ascii=False, indent=2))
        return
    result.show()
