"""The code blocks of a page: run in order, in one folder, and what they print compared with what the page shows.

A block with a title is a file, which is written. `console` blocks are commands after `$ ` and what they print, `pycon`
blocks are doctests, `python` blocks run; the names of a page are shared. A comment before a block says what it needs
beyond this machine, and when it was tried: `<!-- needs: network, 2026-11-30 -->`; such blocks are not run. Those that
need `keras` run where KERAS_PYTHON names the interpreter of an environment that has KerasHub (`make test-keras`).

    python -m tests.docs.blocks docs/start/*.md        # writes what the blocks print into the pages; read the diff
"""

import contextlib
import doctest
import io
import os
import re
import shlex
import subprocess
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TOP = Path(__file__).parents[2]
FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NEEDS = re.compile(r"<!-- needs: (network|card|cluster|keras), (\d{4}-\d\d-\d\d) -->\n\Z")
TITLE = re.compile(r'title="([^"]+)"')
RUN = ("console", "pycon", "python")
KERAS_PYTHON = os.environ.get("KERAS_PYTHON", "")
NUMBER = r"\d[\d,.]*"
# Times, sizes of files and speeds are those of one machine; nothing else may differ.
UNIT = r"(?:ms|s|seconds|minutes|kB|MB|GB|MB/s|tokens a second|tokens/s)"
MEASURED = re.compile(rf"{NUMBER} ?{UNIT}(?![\w/])|\b\d+:\d\d:\d\d\b")
SHELL = re.compile(r"[|<>;&$*`]")


@dataclass
class Block:
    """One fenced block: where it stands in the page, its language and text, its file, what it needs."""

    start: int
    end: int
    language: str
    text: str
    title: str
    needs: str


def blocks_of(page: str) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    found = []
    for fence in FENCE.finditer(page):
        language, info, text = fence.groups()
        title, needs = TITLE.search(info), NEEDS.search(page[: fence.start()])
        start = fence.start(3)
        found.append(
            Block(
                start, start + len(text), language, text, title[1] if title else "", needs[1] if needs else ""
            )
        )
    return found


def masked(text: str) -> list[str]:
    """Return lines without what differs from machine to machine: times, sizes, speeds."""
    return [MEASURED.sub("…", line).rstrip() for line in text.strip("\n").splitlines()]


@dataclass
class Page:
    """A page under way: a folder to run in, and the names of its Python."""

    folder: Path
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "__main__"})

    def __post_init__(self) -> None:
        """Lay out what a checkout holds beside the pages: files as links, folders of their own."""
        for name in ("corpus", "examples", "models/es-tiny", "vocab/es-5000"):
            (self.folder / name).mkdir(parents=True)
            for file in (TOP / name).iterdir():
                (self.folder / name / file.name).symlink_to(file)

    def printed(self, block: Block) -> str:
        """Run a block; return its text with what it prints now."""
        with inside(self.folder):
            if block.title:
                Path(block.title).write_text(block.text, encoding="utf-8")
            if block.language not in RUN or block.title.endswith(".py"):
                return block.text
            if block.needs:
                tried = block.needs == "keras" and KERAS_PYTHON
                return self._console(block.text, KERAS_PYTHON) if tried else block.text
            return {"console": self._console, "pycon": self._doctests, "python": self._python}[
                block.language
            ](block.text)

    def _console(self, text: str, python: str = sys.executable) -> str:
        parts = []
        for command in commands_of(text):
            parts += [f"$ {command}", said_by(command.replace("\\\n", " "), python).rstrip("\n")]
        return "\n".join(part for part in parts if part) + "\n"

    def _python(self, text: str) -> str:
        exec(compile(text, "<page>", "exec"), self.names)
        return text

    def _doctests(self, text: str) -> str:
        parts = []
        for example in doctest.DocTestParser().get_examples(text):
            first, *more = example.source.rstrip("\n").split("\n")
            parts += [f">>> {first}", *(f"... {line}".rstrip() for line in more)]
            if shown := self._example(example.source).rstrip("\n"):
                parts.append(shown)
        return "\n".join(parts) + "\n"

    def _example(self, source: str) -> str:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            try:
                exec(compile(source, "<page>", "single"), self.names)
            except Exception as error:
                return "Traceback (most recent call last):\n    ...\n" + "".join(
                    traceback.format_exception_only(error)
                )
        return out.getvalue()


def commands_of(text: str) -> list[str]:
    """Return the commands of a console block, lines that end in a backslash joined by it.

    >>> commands_of("$ a\\nout\\n$ b --c\\n")
    ['a', 'b --c']
    """
    return [found[1] for found in re.finditer(r"^\$ ((?:.*\\\n)*.*)$", text, re.MULTILINE)]


def said_by(command: str, interpreter: str = sys.executable) -> str:
    """Return what a command prints; one of ours runs in this process, any other in a shell.

    `interpreter` is what `python` stands for there.
    """
    if command.startswith("spanish-tok ") and not SHELL.search(command):
        return said_here(shlex.split(command)[1:])
    tool = f'spanish-tok() {{ "{sys.executable}" -m spanish_tok "$@"; }}\n'
    python = f'python() {{ "{interpreter}" "$@"; }}\n'
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TOP), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        ["bash", "-c", tool + python + command],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return done.stdout


def said_here(arguments: list[str]) -> str:
    from click.testing import CliRunner

    from spanish_tok.cli import main

    return CliRunner().invoke(main, arguments, prog_name="spanish-tok", catch_exceptions=False).output


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def main(paths: list[str]) -> None:
    """Write what the blocks of pages print into them."""
    import tempfile

    os.environ["SPANISH_TOK_QUIET"] = "1"
    for path in map(Path, paths):
        text = path.read_text(encoding="utf-8")
        with tempfile.TemporaryDirectory() as folder:
            page, fresh, end = Page(Path(folder)), [], 0
            for block in blocks_of(text):
                printed = page.printed(block)
                kept = block.text if masked(printed) == masked(block.text) else printed
                fresh += [text[end : block.start], kept]
                end = block.end
        path.write_text("".join([*fresh, text[end:]]), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
