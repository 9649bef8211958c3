"""The errors that a user may meet: one type with advice.

And what stands in for a name whose extra is missing, and the warning of a name that goes with the next version.
"""

import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any, NoReturn

# package -> the extra of pyproject.toml that installs it
EXTRAS = {
    "ctranslate2": "export",
    "datasets": "hub",
    "matplotlib": "t5",
    "onnx": "onnx",
    "onnxscript": "onnx",
    "ray": "ray",
    "sklearn": "t5",
    "torch": "t5",
    "torchmetrics": "t5",
    "transformers": "export",
}


class SpanishTokError(Exception):
    """Wrong input, a damaged file, an impossible option.

    Something the user can act on.

    The command line prints it as one line and exits with status 2.

    >>> str(SpanishTokError("es.parquet is empty", "Give a file with at least one record."))
    'es.parquet is empty. Give a file with at least one record.'
    """

    def __init__(self, problem: str, advice: str = "") -> None:
        self.problem = problem.rstrip(".")
        self.advice = advice
        super().__init__(problem, advice)

    def __str__(self) -> str:
        return f"{self.problem}. {self.advice}".strip()


def extra_error(name: str, missing: ModuleNotFoundError) -> SpanishTokError | None:
    """Return the error that says which extra `name` needs.

    None if the missing package belongs to no extra.

    >>> print(extra_error("pretrain", ModuleNotFoundError("No module named 'torch'", name="torch")))
    pretrain needs torch, which is not installed. pip install 'spanish-tok[t5]'
    """
    package = (missing.name or "").split(".")[0]
    if package not in EXTRAS:
        return None
    return SpanishTokError(
        f"{name} needs {package}, which is not installed", f"pip install 'spanish-tok[{EXTRAS[package]}]'"
    )


class MissingExtra:
    """A public name whose extra is not installed.

    Importing it is fine, using it says what to install.
    """

    def __init__(self, error: SpanishTokError) -> None:
        self._error = error

    def __call__(self, *_: Any, **__: Any) -> NoReturn:
        raise self._error

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):  # what inspect and doctest ask of every object
            raise AttributeError(name)
        raise self._error


def warn_deprecated(old: str, new: str, *, stacklevel: int = 3) -> None:
    """Warn that `old` will go with the next version, and name what replaces it."""
    warnings.warn(f"{old} is deprecated: use {new}.", DeprecationWarning, stacklevel=stacklevel)


class _HeldBack:
    """Standard error, kept aside while a library of Rust may panic.

    A panic prints a trace of its own before it raises. What else was written there is handed on, unless there was a
    panic. Several threads may be inside.
    """

    def __init__(self) -> None:
        self._lock, self._inside, self._panicked = Lock(), 0, False

    def enter(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside > 1:
                return
            self._panicked, self._kept = False, -1
            try:
                sys.stderr.flush()
                self._kept, self._aside = os.dup(2), tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
                os.dup2(self._aside.fileno(), 2)
            except (AttributeError, OSError, ValueError):  # there is no standard error
                pass

    def leave(self, *, panicked: bool) -> None:
        with self._lock:
            self._inside -= 1
            self._panicked |= panicked
            if self._inside or self._kept < 0:
                return
            os.dup2(self._kept, 2)
            os.close(self._kept)
            with self._aside:
                self._aside.seek(0)
                if not self._panicked and (written := self._aside.read()):
                    os.write(2, written)


_held_back = _HeldBack()


@contextmanager
def panics_told(name: object) -> Iterator[None]:
    """Turn what tokenizers raises, panics too, into a SpanishTokError.

    It names the file.

    A panic is no Exception, so that `except Exception` does not catch it.
    """
    panicked = False
    _held_back.enter()
    try:
        yield
    except BaseException as error:
        panicked = type(error).__name__ == "PanicException"
        if not isinstance(error, Exception) and not panicked:
            raise
        line = (str(error).splitlines() or [type(error).__name__])[0]
        raise SpanishTokError(
            f"{name} cannot be loaded by tokenizers, or used ({line})", "Is it whole?"
        ) from None
    finally:
        _held_back.leave(panicked=panicked)
