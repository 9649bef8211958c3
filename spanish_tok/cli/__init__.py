"""The command line: `spanish-tok VERB`.

One short command a verb; each imports what it needs when it runs.
"""

import errno
import os
import sys
import warnings
from difflib import get_close_matches
from importlib import import_module
from io import TextIOWrapper
from typing import Any

import click

from spanish_tok._version import __version__
from spanish_tok.errors import SpanishTokError, extra_error

# verb -> the module of this folder that holds it; the order is the order of `--help`
VERBS = {
    "demo": "demo",
    "build": "build",
    "recipes": "corpus",
    "sample": "corpus",
    "clean": "corpus",
    "count": "vocabulary",
    "train": "vocabulary",
    "verify": "vocabulary",
    "restore": "text",
    "normalize": "text",
    "tokenize": "text",
    "encode": "text",
    "decode": "text",
    "shard": "shards",
    "pretrain": "training",
    "finetune": "training",
    "predict": "training",
    "evaluate": "training",
    "generate": "model",
    "export": "model",
    "trim": "foreign",
    "transplant": "foreign",
    "bench": "measure",
    "compare": "measure",
}


class Verbs(click.Group):
    """A group that knows its verbs by name.

    It reports every expected error as one line, with status 2.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        if name not in VERBS:
            return None
        command: click.Command = getattr(import_module(f"spanish_tok.cli.{VERBS[name]}"), name)
        return command

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run as a program; an interrupted one ends at once, whatever its threads are at."""
        try:
            return super().__call__(*args, **kwargs)
        except SystemExit as end:
            if end.code != 130:
                raise
            sys.stdout.flush()
            os._exit(130)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        close = get_close_matches(args[0], VERBS)
        if args[0] not in VERBS and close:
            ctx.fail(f"No such command {args[0]!r}. Did you mean {' or '.join(close)}?")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        for stream in (
            sys.stdout,
            sys.stderr,
        ):  # what a terminal's encoding lacks is shown as a question mark
            if isinstance(stream, TextIOWrapper) and stream.encoding.lower().replace("-", "") != "utf8":
                stream.reconfigure(errors="replace")
        try:
            return super().invoke(ctx)
        except SpanishTokError as error:
            sys.exit(_complain(str(error), 2))
        except click.UsageError as error:
            where = error.ctx.command_path if error.ctx else "spanish-tok"
            sys.exit(_complain(f"{error.format_message()} (see {where} --help)", 2))
        except ModuleNotFoundError as error:
            if (hint := extra_error("This", error)) is None:
                raise
            sys.exit(_complain(str(hint), 2))
        except (KeyboardInterrupt, SystemError) as error:
            if not _interrupted(error):
                raise
            kept = str(error) if isinstance(error, KeyboardInterrupt) else ""
            sys.exit(_complain(f"Interrupted. {kept or 'No half-written file is left.'}", 130))
        except BrokenPipeError:  # the reader of our output left: `| head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                sys.exit(_complain("The disk is full. Nothing that looks finished was written.", 2))
            if error.filename is None:
                raise
            sys.exit(_complain(f"{error.filename}: {error.strerror}.", 2))


def _interrupted(error: BaseException | None) -> bool:
    """Return whether Ctrl-C is the cause of an error.

    Numba raises SystemError if it comes while a kernel is loaded.
    """
    while error and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__
    return error is not None


def _complain(message: str, status: int) -> int:
    click.echo(f"spanish-tok: {message}", err=True)
    return status


def _warn(message: Warning | str, *_: Any, **__: Any) -> None:
    click.echo(f"spanish-tok: {message}", err=True)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="spanish-tok")
def main() -> None:
    """Turn Spanish records into a T5 vocabulary, and text into training tokens."""
    setattr(warnings, "showwarning", _warn)  # noqa: B010 (a plain assignment needs the exact signature)
