"""The errors that a user may meet: one type with advice.

And what stands in for a name whose extra is missing, and the warning of a name that goes with the next version.
"""

import warnings
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
