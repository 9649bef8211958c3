"""Files: written whole or not at all, hashed, found in wheel or checkout."""

import hashlib
import json
import os
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from spanish_tok.errors import SpanishTokError
from spanish_tok.files.schema import Shape, fault_of


@contextmanager
def atomic_path(path: str | os.PathLike[str], *, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`; move it there at the end.

    It is moved when the block ends without an error.

    Where it is not `durable`, the file withstands a `kill -9` but perhaps no power cut: for notes that are
    written many times a minute, as waiting for the disk takes up to a tenth of a second.

    A reader never sees a half-written file: an exception, Ctrl-C or a full disk removes the temporary
    file, and a `kill -9` leaves it under a name that ends in `.partial`.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with atomic_path(folder / "hola.txt") as partial:
    ...     _ = partial.write_text("hola")
    >>> [file.name for file in folder.iterdir()]
    ['hola.txt']
    """
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    partial = final.with_name(f".{final.name}.{os.getpid()}.partial")
    try:
        yield partial
        if durable:
            with open(partial, "rb") as written:
                os.fsync(written.fileno())
        os.replace(partial, final)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def atomic_text(path: str | os.PathLike[str]) -> Iterator[TextIO]:
    """Open a UTF-8 text file that appears when the block succeeds."""
    with atomic_path(path) as partial, open(partial, "w", encoding="utf-8", newline="\n") as file:
        yield file


def write_json(path: str | os.PathLike[str], value: Any, *, durable: bool = True) -> None:
    """Write `value` as indented UTF-8 JSON with a last newline, atomically."""
    with atomic_path(path, durable=durable) as partial:
        partial.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def read_json(path: str | os.PathLike[str], shape: Shape = object) -> Any:
    """Read a JSON file that must have a shape (see schema.py).

    Raises SpanishTokError that names the file, and the place in it, if it is missing, not JSON, or of another shape.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise SpanishTokError(f"{path} does not exist", "Check the path.") from None
    except OSError as error:
        raise SpanishTokError(f"{path} cannot be read ({error.strerror})", "Check the path.") from None
    return parse_json(content, str(path), shape)


def read_toml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a TOML file.

    Raises SpanishTokError that names the file, if it is missing or not TOML.
    """
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SpanishTokError(f"{path} does not exist", "Check the path.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpanishTokError(f"{path} is not valid TOML ({error})", "Correct it.") from None


def parse_json(content: str | bytes, name: str, shape: Shape = object) -> Any:
    """Parse JSON that must have a shape (see schema.py); errors call it `name`."""
    try:
        value = json.loads(content.decode("utf-8") if isinstance(content, bytes) else content)
    except (ValueError, RecursionError) as error:
        problem = "it is nested too deep" if isinstance(error, RecursionError) else error
        raise SpanishTokError(
            f"{name} is not valid JSON ({problem})", "It may be cut off: write it again."
        ) from None
    check_shape(value, shape, name)
    return value


def check_shape(value: Any, shape: Shape, name: str) -> None:
    """Raise SpanishTokError, which calls it `name`, unless a value has a shape.

    For shapes see schema.py."""
    if fault := fault_of(value, shape):
        raise SpanishTokError(f"{name} is damaged or of another kind: {fault}", "Get it or write it again.")


def check_format(path: str | os.PathLike[str], format_number: object, readable: int) -> None:
    """Raise SpanishTokError unless a format number is the one that this version reads."""
    if format_number != readable:
        raise SpanishTokError(f"{path} has format {format_number}", f"This version reads format {readable}.")


def sha256_of_file(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file's bytes in hexadecimal, read in blocks."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_files(folder: Path, expected: dict[str, str]) -> None:
    """Raise SpanishTokError for a file of a folder that is missing or changed.

    It names the first file that is missing or has another SHA-256.

    `expected` maps the names of files to their SHA-256, as a manifest states them.
    """
    for name, sha256 in expected.items():
        path = folder / Path(name).name
        if not os.path.isfile(path):
            raise SpanishTokError(f"{path} is missing", "Copy the whole folder again.")
        if sha256_of_file(path) != sha256:
            raise SpanishTokError(
                f"{path} is not as it was written (SHA-256)", "Copy the whole folder again."
            )


def shipped(path: str) -> Path:
    """Return where a file that ships with the package lies.

    Inside the wheel, or at the top of a checkout.

    >>> shipped("corpus/README.md").name
    'README.md'
    """
    package = Path(__file__).parents[1]
    for root in (package / "data", package.parent):
        if (root / path).exists():
            return root / path
    raise SpanishTokError(f"{path} does not lie in this installation", "Install spanish-tok again.")
