"""Options that several verbs share, and reading lines from standard input or files."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import click

from spanish_tok.errors import SpanishTokError

FILES = click.argument("files", nargs=-1, type=click.Path(allow_dash=True))
vocab_option = click.option(
    "--vocab", type=click.Path(path_type=Path), metavar="DIR", help="Vocabulary folder; default: the shipped one."
)
threads_option = click.option(
    "--threads", type=click.IntRange(1), help="Default: all allowed cores. Never changes the result."
)


def lines_of(files: tuple[str, ...]) -> Iterator[tuple[str, int, str]]:
    """(file, line number from 1, text) for each line of the files, "-" or none being standard input.

    Lines end at "\\n" only. Raises SpanishTokError that names file and line where one is not UTF-8.
    """
    for name in files or ("-",):
        with click.open_file(name, "rb") as file:
            yield from _lines(file, "standard input" if name == "-" else name)


def _lines(file: BinaryIO, name: str) -> Iterator[tuple[str, int, str]]:
    for number, line in enumerate(file, 1):
        try:
            yield name, number, line.removesuffix(b"\n").decode("utf-8")
        except UnicodeDecodeError:
            raise SpanishTokError(f"{name}, line {number} is not UTF-8", "Convert the file first.") from None
