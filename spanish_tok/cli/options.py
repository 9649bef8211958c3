"""Options that several verbs share, and reading lines from standard input or files."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from spanish_tok.errors import SpanishTokError

if TYPE_CHECKING:
    from spanish_tok.readers.options import ReadOptions

FILES = click.argument("files", nargs=-1, type=click.Path(allow_dash=True))
vocab_option = click.option(
    "--vocab",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Vocabulary folder; default: the shipped one.",
)
threads_option = click.option(
    "--threads", type=click.IntRange(1), help="Default: all allowed cores. Never changes the result."
)
READING = [
    click.option("--format", help="tsv, csv, jsonl, parquet or text; default: by the file's name."),
    click.option(
        "--column", default="text", show_default=True, help="The column of text of csv, jsonl, parquet."
    ),
    click.option("--malformed", type=click.Choice(["error", "reject"]), default="error", show_default=True),
    click.option(
        "--invalid-utf8",
        type=click.Choice(["error", "repair", "reject"]),
        default="repair",
        show_default=True,
    ),
]


ENGINE = [
    click.option(
        "--engine",
        type=click.Choice(["local", "ray"]),
        default="local",
        show_default=True,
        help="ray: the tasks of a Ray cluster. Never changes the result.",
    ),
    click.option("--address", metavar="HOST:PORT", help="Of the cluster; default: this machine's cores."),
    click.option(
        "--reader",
        type=click.Choice(["own", "ray"]),
        default="own",
        show_default=True,
        help="ray: Ray Data's readers of parquet, text and jsonl, with --engine ray. Never changes the result.",
    ),
]


def runs_on_engines(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options `engine` and `address`, and `reader`, which `reading` takes."""
    return _with_options(command, ENGINE)


def reads_files(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how files of records are read; `reading` takes them."""
    return _with_options(command, READING)


def _with_options(command: Callable[..., Any], options: list[Callable[..., Any]]) -> Callable[..., Any]:
    for option in reversed(options):
        command = option(command)
    return command


def reading(
    format: str | None,  # noqa: A002
    column: str,
    malformed: Any,
    invalid_utf8: Any,
    reader: Any = "own",
) -> "ReadOptions":
    """The options of `reads_files`, and the reader of `runs_on_engines`, as ReadOptions."""
    from spanish_tok.readers.options import ReadOptions

    return ReadOptions(
        format=format, text=column, malformed=malformed, invalid_utf8=invalid_utf8, reader=reader
    )


def lines_of(files: tuple[str, ...]) -> Iterator[tuple[str, int, str]]:
    """(file, line number from 1, text) for each line of the files, "-" or none being standard input.

    Lines end at "\\n" only. Raises SpanishTokError that names file and line where one is not UTF-8.
    """
    for name in files or ("-",):
        with click.open_file(name, "rb") as file:
            yield from _lines(file, "standard input" if name == "-" else name)


def _lines(file: IO[bytes], name: str) -> Iterator[tuple[str, int, str]]:
    for number, line in enumerate(file, 1):
        try:
            yield name, number, line.removesuffix(b"\n").decode("utf-8")
        except UnicodeDecodeError:
            raise SpanishTokError(f"{name}, line {number} is not UTF-8", "Convert the file first.") from None
