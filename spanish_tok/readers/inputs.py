"""Inputs of a verb: files, folders, patterns, a recipe or texts in memory."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from spanish_tok.errors import SpanishTokError
from spanish_tok.files import sha256_of_file
from spanish_tok.readers.datasets import Dataset, is_recipe, load_recipe
from spanish_tok.readers.hub import HubSet, read_hub_set
from spanish_tok.readers.in_memory import read_texts, sha256_of_texts, text_column
from spanish_tok.readers.options import FileReport, Location, ReadOptions, check_rows
from spanish_tok.readers.records import expand_paths, format_of, read_file, sources_of
from spanish_tok.readers.remote import is_remote
from spanish_tok.readers.streams import COMPRESSIONS, StandardInput, open_stream, size_of

PROBES = 32
PROBE = 1 << 16  # bytes; newlines are counted in PROBES such stretches of a file, to guess its rows
CAUTION = 0.95  # a guess of rows is multiplied by this: too many candidates cost little, too few another pass
IN_MEMORY = "texts"  # the name of texts that come from no file
RAY_FORMATS = ("parquet", "text", "jsonl")  # that Ray Data's readers read exactly, or not at all

InputOption: TypeAlias = "Location | Sequence[Location] | Inputs | None"  # what `input` of a verb may be


@dataclass(frozen=True)
class Input:
    """One file, one set of the Hub, standard input, or the texts in memory.

    source: the name that enters the keys of its records.
    hub_set: for a set of the Hub. texts: large_string, for texts in memory. held: for standard input.
    """

    source: str
    name: str
    options: ReadOptions
    hub_set: HubSet | None = None
    texts: pa.ChunkedArray | None = field(default=None, repr=False)
    held: StandardInput | None = field(default=None, repr=False)

    @property
    def reads_one_file(self) -> bool:
        """Whether it is a file, on disk or at an address."""
        return self.hub_set is None and self.texts is None and self.held is None

    @property
    def is_file(self) -> bool:
        """Whether it is a file on this machine's disks."""
        return self.reads_one_file and not is_remote(self.name)

    @property
    def is_packed(self) -> bool:
        """Whether it holds more text than bytes: a compressed file, or Parquet."""
        if not self.reads_one_file:
            return False
        return Path(self.name).suffix in COMPRESSIONS or self._format() == "parquet"

    @property
    def bytes(self) -> int | None:
        """Bytes as they are stored; None if unknown."""
        if self.texts is not None:
            return int(self.texts.nbytes)
        if self.held is not None:
            return len(self.held.data)
        return None if self.hub_set else size_of(self.name)

    def read(self, report: FileReport, end: int | None = None) -> Iterator[pa.RecordBatch]:
        """Return its batches of (id, text) from where `report` stands.

        `end`: the row of a Parquet file to stop before, the end of a row group.
        """
        if self.texts is not None:
            return read_texts(self.texts, self.options, report)
        if self.hub_set is not None:
            return read_hub_set(self.hub_set, self.options, report)
        return read_file(self.held or self.name, self.options, report, end)

    def described(self) -> dict[str, Any]:
        """Return what tells it from other inputs, for the key of a job.

        It is cheap for files: source and name, size if known, and how it is read; of what lies in memory the SHA-256.
        """
        options = asdict(self.options)
        for way in ("rows", "reader", "block_bytes", "workers"):  # none changes what is read
            options.pop(way)
        if self.texts is not None or self.held is not None:
            return {"source": self.source, **self.identity()} | options
        return {"source": self.source, "name": self.name, "bytes": self.bytes} | options

    def identity(self) -> dict[str, Any]:
        """Return what tells it from any other input, for the key of shards.

        That is the SHA-256 of its bytes; of a remote one its address and size.
        """
        if self.texts is not None:
            return {"name": self.name, "sha256": sha256_of_texts(self.texts)}
        if self.held is not None:
            return {"name": self.name, "sha256": sha256(self.held.data).hexdigest()}
        if self.hub_set:
            return {"location": self.name, "bytes": None, **self.hub_set._asdict()}
        if is_remote(self.name):
            return {"location": self.name, "bytes": self.bytes}
        return {"name": os.path.basename(self.name), "sha256": sha256_of_file(self.name)}

    def guessed_rows(self) -> int | None:
        """Return about how many rows it has, rather too few; None if unknown."""
        if self.texts is not None:
            return len(self.texts)
        if self.held is not None:
            return self.held.data.count(b"\n")
        if not self.is_file or Path(self.name).suffix in COMPRESSIONS:
            return None
        if self._format() == "parquet":
            try:
                return int(pq.read_metadata(self.name).num_rows)
            except (pa.ArrowInvalid, OSError):
                return None  # reading it will say what is wrong
        size, rows, probed = self.bytes or 0, 0, 0
        with open_stream(self.name) as stream:
            for probe in range(PROBES):
                stream.seek(size // PROBES * probe)
                part = stream.read(PROBE) or b""
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

    def check(self, reports: Sequence[FileReport]) -> None:
        """Raise SpanishTokError unless as many rows were read as there must be."""
        last = self.items[-1].name if self.items else "the input"
        check_rows(sum(report.rows for report in reports), self.rows, last)

    @property
    def bytes(self) -> int | None:
        """Bytes of all inputs as they are stored; None if one is unknown."""
        sizes = [item.bytes for item in self.items]
        return None if None in sizes else sum(size or 0 for size in sizes)

    def known_rows(self) -> int | None:
        """Return how many rows there are, if Parquet files, texts or a recipe tell."""
        told = all(
            item.texts is not None or (item.is_file and item._format() == "parquet") for item in self.items
        )
        return self.guessed_rows() if told else self.rows

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

    Texts and standard input are held in memory, so that they can be read again.
    Raises SpanishTokError for both or neither, and for what is missing.

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
    names = [input] if isinstance(input, str | os.PathLike) else list(input)
    if not names:
        raise SpanishTokError("Nothing to read is given", "Give files, or a recipe: `spanish-tok recipes`.")
    if len(names) == 1 and is_recipe(str(names[0])):
        return _of_recipe(load_recipe(str(names[0])), options, source)
    locations = expand_paths(names)
    sources = [source] * len(locations) if source else sources_of(locations)
    return Inputs(tuple(map(partial(_of_file, options), sources, locations)), options.rows)


def _of_file(options: ReadOptions, source: str, location: Location) -> Input:
    """Return a file as an input; standard input is read here."""
    held = StandardInput.read() if str(location) == "-" else None
    return Input(source, str(location), options, held=held)


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


def check_reader(item: Input, *, on_cluster: bool) -> None:
    """Raise SpanishTokError where Ray Data's readers are asked for and cannot be used."""
    if item.options.reader == "own":
        return
    if not on_cluster:
        raise SpanishTokError(
            "Ray Data's readers read in the tasks of a cluster",
            "Give --engine ray, or leave --reader ray out.",
        )
    kind = (item.options.format or format_of(item.name)) if item.reads_one_file else "what is not a file"
    if kind not in RAY_FORMATS:
        raise SpanishTokError(
            f"Ray Data has no reader that reads {kind} as it is: {item.name}", "Leave --reader ray out."
        )


def absolute(location: Location) -> str:
    """Return a location that other processes find: an absolute path or an address."""
    return str(location) if is_remote(location) else os.path.abspath(location)
