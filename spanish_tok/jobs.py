"""Jobs that fill a folder: one process at a time, and resumable."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spanish_tok.errors import SpanishTokError

LOCK = ".lock"


@contextmanager
def claim(folder: Path) -> Iterator[None]:
    """Reserve a folder for this process while the block runs.

    The system drops the lock when the process ends, however it ends. Windows and some network disks have no such
    lock: there the block runs without one.

    Raises SpanishTokError if another process of this machine has reserved the folder.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / LOCK, "wb") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                raise SpanishTokError(
                    f"Another process is at work in {folder}", "Wait for it, stop it, or give another folder."
                ) from None
        try:
            yield
        finally:
            (folder / LOCK).unlink(missing_ok=True)
