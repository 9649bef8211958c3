"""The verbs that change a model's vocabulary: trim, transplant."""

from pathlib import Path
from typing import Any

import click

import spanish_tok as st
from spanish_tok.cli.options import FOLDER, given, reading, reads_files, texts_option, vocab_option


@click.command()
@click.argument("model", type=FOLDER)
@texts_option("Text to keep the pieces of, one file or more.")
@click.option("--counts", type=FOLDER, metavar="FILE", help="A table (piece, count) instead of text.")
@click.option("--size", type=click.IntRange(1), help="Ids in all; default: all pieces in use.")
@click.option(
    "--multiple", type=click.IntRange(1), default=1, show_default=True, help="Round the rows up to it."
)
@click.option("--keep-characters", type=FOLDER, metavar="FILE", help="Characters to keep, used or not.")
@click.option("--save-counts", type=FOLDER, metavar="FILE", help="Write the counts of the pieces.")
@reads_files
@click.option("--output", required=True, type=FOLDER, help="Folder to write.")
def trim(model: Path, output: Path, texts: list[str], **options: Any) -> None:
    """Cut the vocabulary of MODEL, any T5, down to the pieces that a text uses.

    Check the result with: spanish-tok verify OUTPUT --against MODEL --text FILE.
    """
    how = reading(options)
    result = st.trim(model, output, input=texts or None, reading=how, progress=True, **given(options))
    click.echo(result)


@click.command()
@click.argument("model", type=FOLDER)
@vocab_option
@click.option(
    "--vectors", type=FOLDER, metavar="FILE", help="Vectors of the new pieces (word2vec's text form): FOCUS."
)
@click.option("--output", required=True, type=FOLDER, help="Folder to write.")
def transplant(model: Path, vocab: Path | None, vectors: Path | None, output: Path) -> None:
    """Give MODEL, any T5, another vocabulary, and carry its embeddings over.

    Pieces in both keep their row; others begin as the mean of the rows of their old pieces, or by FOCUS.
    """
    click.echo(st.transplant(model, output, vocab=vocab, vectors=vectors, progress=True))
