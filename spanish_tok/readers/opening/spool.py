"""Pipes, which can be read once, and copies on disk that can be read again."""

import hashlib
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO

STDIN = "-"
BLOCK = 1 << 20  # bytes that are copied at once


@dataclass(frozen=True)
class Spooled(os.PathLike[str]):
    """A pipe as a location that can be read again: `copy` holds its bytes.

    It is named as the pipe is.
    """

    pipe: str
    copy: Path
    sha256: str

    def __fspath__(self) -> str:
        return self.pipe

    def __str__(self) -> str:
        return name_of(self.pipe)


def is_pipe(location: str | os.PathLike[str]) -> bool:
    """Return whether a location can be read only once.

    Such as standard input, a named pipe, `<(...)` of a shell.

    >>> is_pipe("-"), is_pipe("no/such/file")
    (True, False)
    """
    if isinstance(location, Spooled):
        return False
    if str(location) == STDIN:
        return True
    try:
        mode = os.stat(location).st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def name_of(location: str | os.PathLike[str]) -> str:
    """Return how a location is called in messages."""
    return "standard input" if os.fspath(location) == STDIN else str(location)


def standard_input() -> IO[bytes]:
    """Return standard input, unbuffered: what was written to a pipe is there at once."""
    stdin: IO[bytes] = getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)
    return stdin


@contextmanager
def spooled(location: str, folder: Path) -> Iterator[Spooled]:
    """Copy a pipe into a folder while the block runs.

    The copy has a hidden name and is removed.
    """
    digest = hashlib.sha256()
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".pipe-", suffix=".partial") as file:
        with nullcontext(standard_input()) if location == STDIN else open(location, "rb") as source:
            while block := source.read(BLOCK):
                digest.update(block)
                file.write(block)
        file.flush()
        yield Spooled(location, Path(file.name), digest.hexdigest())
