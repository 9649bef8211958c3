"""Outputs of verbs, checked before the work, and put in place whole.

An output is new, or made by the same job, or replaced on demand (`force`) where it is of the same kind. What
somebody else wrote is never touched, and an input least of all.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO, TypeAlias

from spanish_tok.errors import SpanishTokError
from spanish_tok.files import atomic_text, read_json

Location: TypeAlias = str | os.PathLike[str]

LEAST = 64 << 10  # bytes; a disk with fewer free is full
MANIFESTS = ("manifest.json", "model.json")  # either makes a folder whole, and says which files are ours


def check_file(
    output: Location | None,
    inputs: Iterable[Location] = (),
    *,
    force: bool = False,
    kind: str = "a file",
    is_ours: Callable[[Path], bool] = lambda _: True,
) -> bool:
    """Check, before the work, that a file can be written.

    Returns whether one is there.
    inputs: what is read, which an output never replaces. force: replace a file for which `is_ours`, `kind` by name.
    Raises SpanishTokError otherwise.
    """
    if output is None or str(output) == "-":
        return False
    path = Path(output)
    check_not_read(path, inputs)
    if path.is_dir():
        raise SpanishTokError(f"{path} is a folder", f"Give the name of {kind}, such as {path / 'NAME'}.")
    if path.exists() and not path.is_file():
        raise SpanishTokError(f"{path} is not an ordinary file", "Give the name of a file.")
    if path.exists() and not is_ours(path):
        raise SpanishTokError(f"{path} exists, and is not {kind}", "Give another name.")
    _check_place(path)
    return path.exists() and not force


def check_new_file(output: Location | None, inputs: Iterable[Location] = (), **options: Any) -> None:
    """Check as `check_file` does.

    Raises SpanishTokError if the file is there already, too.
    """
    if check_file(output, inputs, **options):
        raise SpanishTokError(f"{output} exists already", "Give another name, or --force to replace it.")


def check_folder(output: Location, *, force: bool = False, kind: str = "an output") -> bool:
    """Check, before the work, that a folder can be filled.

    Returns whether it is.
    force: replace what our manifest names. Raises SpanishTokError for a file, and for a folder with other files.
    """
    path = Path(output)
    if path.exists() and not path.is_dir():
        raise SpanishTokError(f"{path} is a file", f"Give a folder for {kind}.")
    _check_place(path / "manifest.json")
    if strange := sorted(_files_in(path) - names_of(path)):
        raise SpanishTokError(f"{path} holds other files, such as {strange[0]}", "Give a new folder.")
    return bool(_files_in(path)) and not force


def check_new_folder(output: Location, kind: str = "a model") -> None:
    """Check as `check_folder` does.

    Raises SpanishTokError if the folder holds anything.
    """
    if check_folder(output, kind=kind):
        raise SpanishTokError(f"{output} holds files already", "Give a new folder.")


def names_of(folder: Path) -> set[str]:
    """Return the names of the files that our manifests in a folder state.

    The manifests themselves are among them.
    """
    names: set[str] = set()
    for name in MANIFESTS:
        if (folder / name).is_file():
            manifest = read_json(folder / name)
            files = manifest.get("files") if isinstance(manifest, dict) else None
            if isinstance(files, dict) and "spanish_tok" in manifest:
                names |= {name, *map(str, files)}
    return names | ({"generation_config.json"} if "model.json" in names else set())


def check_not_read(output: Path, inputs: Iterable[Location]) -> None:
    """Raise SpanishTokError if an output is one of the inputs.

    Other spellings and links of a path are seen.
    """
    for name in inputs:
        with suppress(OSError, ValueError):
            if os.path.samefile(name, output):
                raise SpanishTokError(f"{output} is read as an input", "Give another output.")


def as_list(paths: Any) -> list[Any]:
    """Return what an option for one path or several means, as a list."""
    if isinstance(paths, str | os.PathLike):
        return [paths]
    return list(paths) if hasattr(paths, "__iter__") else []


def _check_place(path: Path) -> None:
    """Raise SpanishTokError unless a file can be made there."""
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise SpanishTokError(
            f"{folder} cannot be written in ({error.strerror})", "Give another output."
        ) from None
    if free < LEAST:
        raise SpanishTokError(f"The disk is full: {folder}", "Make room, or give another output.")


def _files_in(folder: Path) -> set[str]:
    """Return the files of a folder, without what a killed process leaves."""
    if not folder.is_dir():
        return set()
    paths = (path for path in folder.iterdir() if path.name != ".lock" and path.suffix != ".partial")
    return {path.name for path in paths}


@contextmanager
def whole_folder(output: Location) -> Iterator[Path]:
    """Yield a new folder for the block to fill.

    In the end its files lie in `output`, manifests last. Where `output` is not there yet, it appears at once. What our
    manifests in it state is replaced.
    """
    final = Path(output).resolve()
    partial = final.with_name(f".{final.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        if not final.exists():
            os.replace(partial, final)
            return
        for name in sorted(names_of(final), key=_last_of_all, reverse=True):
            (final / name).unlink(missing_ok=True)
        for path in sorted(partial.iterdir(), key=lambda path: _last_of_all(path.name)):
            os.replace(path, final / path.name)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _last_of_all(name: str) -> tuple[bool, str]:
    return name in MANIFESTS, name


@contextmanager
def text_output(
    output: Location | None, inputs: Iterable[Location] = (), *, force: bool = False
) -> Iterator[TextIO | None]:
    """Open what the option `output` of a verb means.

    A new file, "-" for standard output, or None for neither.
    """
    if output is None:
        yield None
    elif str(output) == "-":
        yield sys.stdout
    else:
        check_new_file(output, inputs, force=force)
        with atomic_text(output) as file:
            yield file
