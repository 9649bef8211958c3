"""Jobs that fill a folder, which is whole once the manifest is there.

One process at a time, resumable.

    out/unfinished/job.json     what the job is; there from the first moment
    out/unfinished/state.json   how far it is, if the job keeps a state
    out/...                     what the job writes, each file whole or not at all
    out/manifest.json           written last; `unfinished` is removed after it

The same call resumes an interrupted job. A folder of another job, or with files of somebody else, is refused.
"""

import errno
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spanish_tok.errors import SpanishTokError
from spanish_tok.files import check_shape, read_json, write_json
from spanish_tok.files.schema import Shape

LOCK = ".lock"
MANIFEST = "manifest.json"
OURS = re.compile(
    r"manifest\.json|report\.json|unfinished\.json|(part|tokens|text)-[\d-]+\.parquet|.*\.npy|\.gitattributes"
)
OLD_MARK = "unfinished.json"  # where earlier versions described an unfinished job of token shards


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


def remove_partials(folder: Path) -> None:
    """Remove the files and folders that killed processes were writing in a folder."""
    for partial in folder.glob(".*.partial"):
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            partial.unlink(missing_ok=True)


class OutputFolder:
    """A folder that one job fills.

    job: all that decides the bytes of the output. The manifest holds it, as the entry `under`, or entry by entry.
    inputs: what shows that an input changed while the job was unfinished, such as times of change.
    shape, state_shape: of the manifest and of the state (see files/schema.py), which are checked when they are read.
    reads: the files that the job reads, which never lie in its output. force: replace the work of another job, or of
    this one if it is finished; an unfinished one is resumed.

    >>> import tempfile
    >>> folder = OutputFolder(Path(tempfile.mkdtemp()) / "salida", {"size": 2}, under="job")
    >>> with folder.filling():
    ...     folder.save_state({"done": 1})
    ...     manifest = folder.finish({"rows": 2, "job": folder.job})
    >>> folder.finished() == manifest, sorted(path.name for path in folder.path.iterdir())
    (True, ['manifest.json'])
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        job: Mapping[str, Any],
        *,
        under: str | None = None,
        inputs: Mapping[str, Any] | None = None,
        shape: Shape = dict,
        state_shape: Shape = object,
        reads: Iterable[str] = (),
        force: bool = False,
    ) -> None:
        self.path, self.job, self.inputs = Path(path), dict(job), dict(inputs or {})
        self._reads, self._force = list(reads), force
        self.state: Any = None  # what `save_state` wrote last, here or in a call that was interrupted
        self.unfinished = self.path / "unfinished"
        self._under, self._shape, self._state_shape = under, shape, state_shape

    def finished(self) -> dict[str, Any] | None:
        """Return the manifest of the job if it is done, None if there is none yet.

        Raises SpanishTokError if the manifest is of another job.
        """
        if self.path.exists() and not self.path.is_dir():
            raise SpanishTokError(f"{self.path} is a file", "Give a folder.")
        if self._force or not (self.path / MANIFEST).exists():
            return None
        manifest = read_json(self.path / MANIFEST)
        self._refuse_another(manifest)
        check_shape(manifest, self._shape, str(self.path / MANIFEST))
        self._remove_marks()  # the process may have been killed between the manifest and the end
        return dict(manifest)

    @contextmanager
    def filling(self) -> Iterator[None]:
        """Keep the folder for this job while the block fills it.

        Inside, `state` holds how far an earlier call came.

        Raises SpanishTokError if the folder holds another job or other files, or another process is at work in it.
        """
        if self._force and not self._is_begun():
            self._clear()
        marked = self._check()
        with claim(self.path):
            if not marked:
                job = {self._under: self.job} if self._under else self.job
                write_json(self.unfinished / "job.json", {**job, **self.inputs})
            elif (self.unfinished / "state.json").exists():
                self.state = read_json(self.unfinished / "state.json", self._state_shape)
            try:
                yield
            except KeyboardInterrupt:
                raise KeyboardInterrupt(f"Repeat the call: it resumes in {self.path}.") from None

    def save_state(self, state: Any) -> None:
        """Write how far the job is (JSON).

        It survives a kill, but perhaps not a power cut.
        """
        self.state = state
        write_json(self.unfinished / "state.json", state, durable=False)

    def finish(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """Write the manifest, remove all marks, and return the manifest.

        The manifest makes the folder whole.
        """
        write_json(self.path / MANIFEST, manifest)
        self._remove_marks()
        remove_partials(self.path)
        return manifest

    def _is_begun(self) -> bool:
        """Return whether an unfinished job of this kind lies here."""
        try:
            return self._check() and not (self.path / MANIFEST).exists()
        except SpanishTokError:
            return False

    def _clear(self) -> None:
        """Remove the work of an earlier job.

        Raises SpanishTokError if anything else lies here.
        """
        foreign = [path for path in self.path.rglob("*") if _is_foreign(path)]
        marks = (self.path / MANIFEST, self.unfinished / "job.json", self.path / OLD_MARK)
        if not foreign:
            return
        inside = [name for name in self._reads if self.path.resolve() in Path(name).resolve().parents]
        strange = [path for path in foreign if not _is_ours(path.relative_to(self.path))]
        if inside or strange or not any(mark.exists() for mark in marks):
            raise SpanishTokError(
                f"{self.path} holds other files, such as {(inside or strange or foreign)[0]}",
                "Give a new folder.",
            )
        with claim(self.path):
            (self.path / MANIFEST).unlink(missing_ok=True)
            for path in foreign:
                path.unlink(missing_ok=True)
            self._remove_marks()

    def _check(self) -> bool:
        """Return whether the folder is marked as this job's.

        Raises SpanishTokError if it is not ours to fill.
        """
        if (self.path / MANIFEST).exists():  # done before, but a file of it was lost
            self._refuse_another(read_json(self.path / MANIFEST))
        for mark in (self.unfinished / "job.json", self.path / OLD_MARK):
            if mark.exists():
                started = read_json(mark, dict)
                self._refuse_another(started)
                if any(started.get(name) != value for name, value in self.inputs.items()):
                    raise SpanishTokError(
                        f"{self.path} holds an unfinished job, and its input has changed since",
                        "Give another folder, or remove this one to start over.",
                    )
                return True
        if (self.path / MANIFEST).exists():
            return False
        if self.path.is_file() or any(map(_is_foreign, self.path.rglob("*"))):
            raise SpanishTokError(f"{self.path} is not an empty folder", "Give a new one.")
        return False

    def _refuse_another(self, earlier: Any) -> None:
        """Raise SpanishTokError unless `earlier` (JSON) describes this job.

        The message names what differs.
        """
        if isinstance(earlier, dict) and self._under:
            earlier = earlier.get(self._under)
        if not isinstance(earlier, dict):
            earlier = {}
        if other := [name for name, value in self.job.items() if earlier.get(name) != value]:
            raise SpanishTokError(
                f"{self.path} holds the work of another {' and another '.join(map(_spelled, other))}",
                "Give another folder, or --force to replace it.",
            )

    def _remove_marks(self) -> None:
        shutil.rmtree(self.unfinished, ignore_errors=True)
        (self.path / OLD_MARK).unlink(missing_ok=True)


def _spelled(name: str) -> str:
    """Return an entry of a job as people call it."""
    return {"inputs": "input", "rows": "number of rows", "clean": "cleaning"}.get(
        name, name.replace("_", " ")
    )


def _is_ours(path: Path) -> bool:
    """Return whether a job of this package writes a path of its folder."""
    return path.parts[0] == "unfinished" or bool(OURS.fullmatch(path.name))


def _is_foreign(path: Path) -> bool:
    """Return whether a file is not one that a killed job leaves at its start."""
    return path.is_file() and path.name != LOCK and path.suffix != ".partial"
