"""Compiled code: arrays in, arrays out, no input or output, no Python objects.

Every function here is plain Python that Numba compiles on its first call and keeps on disk; it runs
without the GIL. Each has a slow, obvious twin in tests/, which it must equal on random input.
"""

import hashlib
import os
import stat
import sys
import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, cast

from spanish_tok.interrupts import call_whole, import_whole, interruptible, stop_here

import_whole("numba")  # half of it, where Ctrl-C breaks its import off, could not be imported again

import numba  # noqa: E402
from numba.core import event  # noqa: E402
from numba.core.registry import CPUDispatcher  # noqa: E402

NOTE = "spanish-tok: compiling for the first use; once, it may take a minute ..."
QUIET = "SPANISH_TOK_QUIET"  # the variable that leaves the note out


class _CompilingNote(event.Listener):  # type: ignore[misc]  # Numba has no types
    """A note on standard error, once a process, that code is compiled.

    It says how long that may take. In a log, too, a first run that is silent for half a minute would look broken.
    Code from disk says nothing.
    """

    said = False

    def on_start(self, event: Any) -> None:
        if not self.said and not os.environ.get(QUIET):
            print(NOTE, file=sys.stderr, flush=True)
        self.said = True

    def on_end(self, event: Any) -> None:
        pass


class _Stop(event.Listener):  # type: ignore[misc]
    """A compiler that was asked to stop does so between two of its steps.

    Nothing is half done there.
    """

    def on_start(self, _: Any) -> None:
        stop_here()

    def on_end(self, _: Any) -> None:
        pass


event.register("numba:compile", _CompilingNote())
event.register("numba:run_pass", _Stop())


class Kernel(CPUDispatcher):  # type: ignore[misc]
    """A compiled function that a signal does not break, see `interrupts`."""

    def __call__(self, *arguments: Any) -> Any:
        return call_whole(super().__call__, *arguments)

    def _compile_for_args(self, *arguments: Any, **named: Any) -> Any:
        """Compile, or load from disk; Numba calls it for types that it meets first."""
        return interruptible(partial(super()._compile_for_args, *arguments, **named))


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile `function` with Numba: no GIL, cached on disk, no fast-math.

    Results must not vary.
    """
    return _compiled(function)


def inner_kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a kernel that neither makes nor returns an array.

    It is compiled without counting references to arrays.

    Numba counts them, atomically, wherever an array is taken out of a tuple; for a function that is called
    once a word that costs more than its work.
    """
    return _compiled(function, _nrt=False)


def _compiled(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = before or compiled_folder()
    try:
        compiled = numba.njit(nogil=True, cache=True, **options)(function)
    finally:
        numba.config.CACHE_DIR = before
    compiled.__class__ = Kernel
    return cast(Callable[..., Any], compiled)


@cache
def compiled_folder() -> str:
    """Return where compiled code is cached.

    In the user's cache folder, one subfolder for each state of the sources.

    Numba looks at the file of the outermost function only; a change in a helper of another file would
    go unseen. Hence the hash of all sources in the path. The package's own folder may be read-only.
    NUMBA_CACHE_DIR, where set, wins. Without a home that can be written, the user has one folder among the
    temporary files; a folder of another user there is not trusted, and one for this process alone is made.
    """
    sources = sorted(Path(__file__).parent.rglob("*.py"))
    state = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    for base in (_home_cache, _temporary_cache):
        try:
            folder = base() / "compiled" / state
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return str(folder)
        except (OSError, RuntimeError):  # Path.home(): a user without a name and without HOME
            continue
    return tempfile.mkdtemp(prefix="spanish-tok-compiled-")


def _home_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or Path.home() / ".cache"
    return Path(base) / "spanish-tok"


def _temporary_cache() -> Path:
    """Return this user's folder among the temporary files; made once, and told then.

    Raises OSError if it is a link, or anybody else could have put code there.
    """
    user = os.getuid() if hasattr(os, "getuid") else "user"
    folder = Path(tempfile.gettempdir()) / f"spanish-tok-{user}"
    if not folder.is_dir():
        folder.mkdir(mode=0o700)
        print(f"spanish-tok: no home to write in; compiled code is kept in {folder}", file=sys.stderr)
    state = folder.lstat()
    if not stat.S_ISDIR(state.st_mode) or state.st_mode & 0o022 or user not in ("user", state.st_uid):
        raise PermissionError(f"{folder} is not this user's alone")
    return folder
