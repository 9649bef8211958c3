"""What several verbs share: options, engines, lines of text."""

import os
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import wraps
from pathlib import Path
from typing import Any

import click

import spanish_tok as st

FOLDER = click.Path(path_type=Path)
FILES = click.argument("files", nargs=-1, type=click.Path(allow_dash=True))

vocab_option = click.option(
    "--vocab", type=FOLDER, metavar="DIR", help="Vocabulary folder; default: the shipped one."
)
threads_option = click.option(
    "--threads", type=click.IntRange(1), help="Default: all allowed cores. Never changes the result."
)
device_option = click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
malformed_option = click.option(
    "--malformed",
    type=click.Choice(["error", "reject"]),
    default="error",
    show_default=True,
    help="Stop at a damaged row, or drop and count it.",
)
force_option = click.option(
    "--force", is_flag=True, help="Replace what --output holds, if it is of the same kind."
)


class FieldsOption(click.Option):
    """An option NAME=VALUE whose help lists the fields that it changes.

    They are read when the help is shown, and not before: that loads the module of the options.
    """

    def __init__(self, *arguments: Any, kinds: Sequence[str], **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.kinds = kinds

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        names = [field.name for kind in self.kinds for field in fields(getattr(st, kind))]
        shown, usage = super().get_help_record(ctx) or ("", "")
        return shown, f"{usage} NAME: {', '.join(names)}."


def set_option(*kinds: str) -> Callable[..., Any]:
    """Add --set, which changes the fields of public option classes, given by name."""
    usage = "Change an option; several times."
    return click.option(
        "--set", "assignments", multiple=True, metavar="NAME=VALUE", cls=FieldsOption, kinds=kinds, help=usage
    )


def texts_option(usage: str) -> Callable[..., Any]:
    """Add --text, which may be given several times.

    Or be followed by several files, as a shell's * makes them.
    """

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def merged(*, texts: Sequence[str], more: Sequence[str], **options: Any) -> Any:
            return command(texts=[*texts, *more], **options)

        with_more = click.argument("more", nargs=-1, metavar="[FILE]...")(merged)
        return click.option("--text", "texts", multiple=True, metavar="FILE", help=usage)(with_more)

    return add


DECODING = [
    click.option(
        "--invalid-utf8",
        type=click.Choice(["error", "repair", "reject"]),
        default="repair",
        show_default=True,
        help="Bytes that are not UTF-8: stop, read them as Windows-1252, or drop the row.",
    ),
    click.option("--encoding", metavar="NAME", help="Of text: utf-16-le, cp1252, ...; default: UTF-8."),
    click.option(
        "--max-row-bytes", type=click.IntRange(1), metavar="BYTES", help="Longest row.  [default: 256 MB]"
    ),
]
TABLES = [
    click.option(
        "--format",
        help="tsv, csv, jsonl, parquet, arrow or text (count, train: words); default: by the name.",
    ),
    click.option("--delimiter", metavar="SIGN", help="Between columns of csv.  [default: ,]"),
]
READING = [
    *TABLES,
    click.option(
        "--column",
        help="The column of text of all but text; a.b is an entry of a column. Of tsv: its first row names columns."
        "  [default: text]",
    ),
    malformed_option,
    *DECODING,
]
READ = ("format", "delimiter", "malformed", "invalid_utf8", "encoding", "max_row_bytes")
SIGNS = {"\\t": "\t", "tab": "\t"}  # how a tab is written on a command line
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
    threads_option,
]


def runs_on_engines(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that `engine` takes."""
    return _with_options(command, ENGINE)


def reads_files(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that `reading` takes."""
    return _with_options(command, READING)


def _with_options(command: Callable[..., Any], options: list[Callable[..., Any]]) -> Callable[..., Any]:
    for option in reversed(options):
        command = option(command)
    return command


def decodes_lines(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how lines of text are decoded.

    `reading` takes them.
    """
    return _with_options(command, DECODING)


def decodes_tables(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how rows of named columns are read.

    `reading` takes them.
    """
    return _with_options(command, [*TABLES, *DECODING])


def reading(options: dict[str, Any], rows: int | None = None) -> "st.ReadOptions":
    """Take the options that say how to read out of `options`.

    Those that are there are returned as ReadOptions.
    """
    column = options.pop("column", None)
    chosen = given({name: options.pop(name, None) for name in READ})
    if "delimiter" in chosen:
        chosen["delimiter"] = SIGNS.get(chosen["delimiter"], chosen["delimiter"])
    if column is not None:
        chosen |= {"text": column, "header": True}
    return st.ReadOptions(rows=rows, **chosen)


def engine(options: dict[str, Any]) -> "st.Local | st.Ray":
    """Take the options of `runs_on_engines` out of `options`; return the engine."""
    name, address, reader, threads = (options.pop(key) for key in ("engine", "address", "reader", "threads"))
    if name == "ray":
        return st.Ray(address, reader, threads)
    if reader == "ray":
        raise st.SpanishTokError(
            "Ray Data's readers read in the tasks of a cluster",
            "Give --engine ray, or leave --reader ray out.",
        )
    return st.Local(threads)


def given(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that were given on the command line: those that are not None."""
    return {name: value for name, value in options.items() if value is not None}


def lines(files: Sequence[str], texts: Sequence[str] = ()) -> Any:
    """Return what a verb on text reads: texts, files, or standard input."""
    return {"texts": list(texts)} if texts else {"files": list(files) or ["-"]}


def folder_size(folder: str | os.PathLike[str]) -> int:
    """Return the bytes of all files in a folder."""
    return sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
