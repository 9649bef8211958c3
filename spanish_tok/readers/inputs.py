"""Inputs of a verb: files, folders, patterns, a recipe or texts in memory."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from spanish_tok.errors import SpanishTokError
from spanish_tok.files import sha256_of_file
from spanish_tok.files.outputs import as_list
from spanish_tok.readers.datasets import Dataset, is_recipe, load_recipe
from spanish_tok.readers.hub import HubSet, read_hub_set
from spanish_tok.readers.in_memory import read_texts, sha256_of_texts, text_column
from spanish_tok.readers.opening.compression import SUFFIXES
from spanish_tok.readers.opening.paths import expand_paths, file_name
from spanish_tok.readers.opening.remote import is_remote
from spanish_tok.readers.opening.spool import STDIN, Spooled, is_pipe, name_of, spooled
from spanish_tok.readers.options import FileReport, Location, ReadOptions, check_found, check_rows
from spanish_tok.readers.records import format_of, read_file, sources_of
from spanish_tok.readers.streams import check_text, is_compressed, size_of

PROBES = 32
PROBE = 1 << 16  # bytes; newlines are counted in PROBES such stretches of a file, to guess its rows
CAUTION = 0.95  # a guess of rows is multiplied by this: too many candidates cost little, too few another pass
IN_MEMORY = "texts"  # the name of texts that come from no file
TEXT_FORMATS = ("tsv", "text", "csv", "jsonl")
RAY_FORMATS = ("parquet", "text", "jsonl")  # that Ray Data's readers read exactly, or not at all

InputOption: TypeAlias = "Location | Sequence[Location] | Inputs | None"  # what `input` of a verb may be


@dataclass(frozen=True)
class Input:
    """One file, one set of the Hub, standard input, or the texts in memory.

    source: the name that enters the keys of its records.
    hub_set: for a set of the Hub. texts: large_string, for texts in memory. copy: of a pipe, see `rereadable`.
    """

    source: str
    name: str
    options: ReadOptions
    hub_set: HubSet | None = None
    texts: pa.ChunkedArray | None = field(default=None, repr=False)
    copy: Spooled | None = None

    @property
    def reads_one_file(self) -> bool:
        """Whether it is a file, on disk or at an address, that can be read again."""
        return self.hub_set is None and self.texts is None and self.copy is None and not self.is_pipe

    @property
    def is_pipe(self) -> bool:
        """Whether it can be read only once."""
        return self.hub_set is None and self.texts is None and self.copy is None and is_pipe(self.name)

    @property
    def is_file(self) -> bool:
        """Whether it is a file on this machine's disks."""
        return self.reads_one_file and not is_remote(self.name)

    @property
    def is_packed(self) -> bool:
        """Whether it holds more text than bytes: a compressed file, or Parquet."""
        if not self.reads_one_file:
            return False
        if is_remote(self.name):
            return (
                PurePosixPath(file_name(self.name)).suffix.lower() in SUFFIXES or self._format() == "parquet"
            )
        return self._format() == "parquet" or is_compressed(self.name)

    @property
    def bytes(self) -> int | None:
        """Bytes as they are stored; None if unknown."""
        if self.texts is not None:
            return int(self.texts.nbytes)
        return None if self.hub_set else size_of(self.copy or self.name)

    def read(self, report: FileReport, end: int | None = None) -> Iterator[pa.RecordBatch]:
        """Return its batches of (id, text) from where `report` stands.

        `end`: the row of a Parquet file to stop before, the end of a row group.
        """
        if self.texts is not None:
            return read_texts(self.texts, self.options, report)
        if self.hub_set is not None:
            return read_hub_set(self.hub_set, self.options, report)
        return read_file(self.copy or self.name, self.options, report, end)

    def described(self) -> dict[str, Any]:
        """Return what tells it from other inputs, for the key of a job.

        It is cheap for files: source and name, size if known, and how it is read; of what lies in memory the SHA-256.
        """
        options = self.options.described()
        for way in ("rows", "reader", "block_bytes", "workers"):  # none changes what is read
            options.pop(way)
        if self.texts is not None or self.copy is not None:
            return {"source": self.source, **self.identity()} | options
        return {"source": self.source, "name": self.name, "bytes": self.bytes} | options

    def identity(self) -> dict[str, Any]:
        """Return what tells it from any other input, for the key of shards.

        That is the SHA-256 of its bytes; of a remote one its address and size.
        """
        if self.texts is not None:
            return {"name": self.name, "sha256": sha256_of_texts(self.texts)}
        if self.copy is not None:
            return {"name": STDIN, "sha256": self.copy.sha256}
        if self.hub_set:
            return {"location": self.name, "bytes": None, **self.hub_set._asdict()}
        if is_remote(self.name):
            return {"location": self.name, "bytes": self.bytes}
        return {"name": os.path.basename(self.name), "sha256": sha256_of_file(self.name)}

    def guessed_rows(self) -> int | None:
        """Return about how many rows it has, rather too few; None if unknown."""
        if self.texts is not None:
            return len(self.texts)
        if not self.is_file or self._format() == "arrow" or is_compressed(self.name):
            return None
        if self._format() == "parquet":
            try:
                return int(pq.read_metadata(self.name).num_rows)
            except (pa.ArrowException, OSError, ValueError):
                return None  # reading it will say what is wrong
        size, rows, probed = self.bytes or 0, 0, 0
        with open(self.name, "rb") as stream:
            for probe in range(PROBES):
                stream.seek(size // PROBES * probe)
                part = stream.read(PROBE)
                rows, probed = rows + part.count(b"\n"), probed + len(part)
        return int(CAUTION * size * rows / max(probed, 1))

    def _format(self) -> str:
        return self.options.format or format_of(self.name)


@dataclass(frozen=True)
class Inputs:
    """All inputs of a job, in order.

    rows: how many there must be; None if neither a recipe nor an option says so.
    """

    items: tuple[Input, ...]
    rows: int | None = None
    recipe: Dataset | None = None

    @property
    def called(self) -> str:
        """How the input is called in messages: its first names."""
        names = ", ".join(name_of(item.name) for item in self.items[:3])
        return names + ", ..." * (len(self.items) > 3) or "the input"

    def check(self, reports: Sequence[FileReport]) -> None:
        """Raise SpanishTokError unless as many rows were read as there must be.

        There must be at least one record.
        """
        rows, rejected = (sum(getattr(report, count) for report in reports) for count in ("rows", "rejected"))
        check_rows(rows, self.rows, self.items[-1].name if self.items else "the input")
        check_found(rows - rejected, rejected, self.called)

    @property
    def bytes(self) -> int | None:
        """Bytes of all inputs as they are stored; None if one is unknown."""
        sizes = [item.bytes for item in self.items]
        return None if None in sizes else sum(size or 0 for size in sizes)

    def known_rows(self) -> int | None:
        """Return how many rows there are, if Parquet files, texts or a recipe tell."""
        counted = all(
            item.texts is not None or (item.is_file and item._format() == "parquet") for item in self.items
        )
        return self.guessed_rows() if counted else self.rows

    def guessed_rows(self) -> int | None:
        """Return about how many rows there are; None if that is not cheap to know.

        The guess is rather too low, unless a recipe or an option states the rows.
        """
        if self.rows is not None:
            return self.rows
        total = 0
        for item in self.items:
            rows = item.guessed_rows()
            if rows is None:
                return None
            total += rows
        return total


def inputs_of(
    input: InputOption = None,  # noqa: A002
    options: ReadOptions | None = None,
    source: str | None = None,
    *,
    texts: Any = None,
) -> Inputs:
    """Return what a verb reads, files or texts in memory, as one list of inputs.

    input: a path, an address, a pattern such as "datos/*.tsv" or "s3://es/*.parquet", a folder, the name of a
    recipe or its TOML file, "-" for standard input, or a list of paths. A folder that `sample` or `clean` wrote
    stands for its shards, any other one for its files in sorted order.
    texts: a list or a generator of str, or an Arrow, pandas or polars column. They have no ids.
    options: how files are read. source: replaces the names of sources, which otherwise come from the files or the
    recipe.

    Texts are held in memory. What comes through a pipe can be read once; see `rereadable`.
    Raises SpanishTokError for both or neither, for what is missing, and for files on disk that are no text.

    >>> [item.name for item in inputs_of(texts=["¡Hola!", "Adiós"]).items]
    ['texts']
    """
    options = options or ReadOptions()
    if input is None and texts is None:
        raise SpanishTokError("Nothing to read is given", "Give files, a recipe, or texts=.")
    if input is not None and texts is not None:
        raise SpanishTokError("Both files and texts= are given", "Give one of them.")
    if isinstance(input, Inputs):
        return input
    if input is None:
        column = text_column(texts)
        return Inputs((Input(source or IN_MEMORY, IN_MEMORY, options, texts=column),), options.rows)
    if not (isinstance(input, str | os.PathLike) or hasattr(input, "__iter__")):
        raise SpanishTokError(
            f"The input is of the type {type(input).__name__}", "Give a path, or a list of paths."
        )
    names = as_list(input)
    if not names:
        raise SpanishTokError("Nothing to read is given", "Give files, or a recipe: `spanish-tok recipes`.")
    if len(names) == 1 and is_recipe(str(names[0])):
        return _of_recipe(load_recipe(str(names[0])), options, source)
    locations = expand_paths(names)
    for location in locations:
        _check_begin(location, options)
    sources = [source] * len(locations) if source else sources_of(locations)
    return Inputs(tuple(map(partial(_of_file, options), sources, locations)), options.rows)


def _of_file(options: ReadOptions, source: str, location: Location) -> Input:
    return Input(source, str(location), options)


def _check_begin(location: Location, options: ReadOptions) -> None:
    """Raise SpanishTokError for a file on disk that is no text.

    That is before any work is done.
    """
    kind = options.format or format_of(location)
    if kind in TEXT_FORMATS and not (is_remote(location) or is_pipe(location)):
        check_text(location, options.encoding)


@contextmanager
def rereadable(inputs: Inputs, output: Location | None) -> Iterator[Inputs]:
    """Give the inputs so that each can be read several times while the block runs.

    What comes through a pipe is copied first: beside the output, or to the system's folder for temporary files.
    """
    with ExitStack() as copies:
        folder = Path(tempfile.gettempdir())
        if output is not None:
            folder = next(parent for parent in Path(output).absolute().parents if parent.is_dir())
        items = (
            replace(item, copy=copies.enter_context(spooled(item.name, folder))) if item.is_pipe else item
            for item in inputs.items
        )
        yield replace(inputs, items=tuple(items))


def _of_recipe(recipe: Dataset, options: ReadOptions, source: str | None) -> Inputs:
    """Return the inputs of a data set; what its recipe says overrides `options`."""
    options = replace(options, **recipe.read)
    source = source or recipe.name
    if recipe.hub_set:
        name = f"hf://datasets/{recipe.hub_set.repository}@{recipe.hub_set.revision}"
        items = [Input(source, name, options, recipe.hub_set)]
    else:
        locations = expand_paths(recipe.locations)
        names = [source] if len(locations) == 1 else [f"{source}/{name}" for name in sources_of(locations)]
        items = list(map(partial(_of_file, options), names, locations))
    return Inputs(tuple(items), recipe.rows, recipe)
