"""What `sample` and `clean` read: files and recipes as one list of inputs, and what is known of them before."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from spanish_tok.errors import SpanishTokError
from spanish_tok.files import read_json
from spanish_tok.parallel.engines import EngineName
from spanish_tok.readers.datasets import Dataset, is_recipe, load_recipe
from spanish_tok.readers.options import FileReport, Location, ReadOptions, check_rows
from spanish_tok.readers.records import expand_folders, format_of, read_file
from spanish_tok.readers.remote import is_remote
from spanish_tok.readers.streams import COMPRESSIONS, base_name, open_stream, size_of

PROBES = 32
PROBE = 1 << 16  # bytes looked at in each of so many places of a file, to guess its rows
CAUTION = 0.95  # a guess of rows is taken by this: too many candidates cost little, too few another pass


@dataclass(frozen=True)
class Input:
    """One file, or one set of the Hub, with the source name that enters the keys of its records."""

    source: str
    name: str
    options: ReadOptions
    hub_set: tuple[str, str, str | None, str] | None = None

    def read(self, report: FileReport, end: int | None = None) -> Iterator[pa.RecordBatch]:
        """Its batches of (id, text) from where `report` stands, up to row `end` where that is given."""
        if self.hub_set is None:
            return read_file(self.name, self.options, report, end)
        from spanish_tok.readers.hub import read_hub_set

        return read_hub_set(*self.hub_set, self.options, report)

    def described(self) -> dict[str, Any]:
        """What tells it from another input: name, size where known, options."""
        size = None if self.hub_set else size_of(self.name)
        options = asdict(self.options)
        for way in ("rows", "reader", "block_bytes", "workers"):  # none changes what is read
            options.pop(way)
        return {"source": self.source, "name": self.name, "bytes": size} | options


@dataclass(frozen=True)
class Inputs:
    """All inputs of a job, and the rows that there must be where a recipe or option says so."""

    items: tuple[Input, ...]
    rows: int | None = None
    recipe: Dataset | None = None

    def check(self, reports: Sequence[FileReport]) -> None:
        """Raise SpanishTokError where the rows read are not those that there must be."""
        check_rows(sum(report.rows for report in reports), self.rows, self.items[-1].name)

    @property
    def bytes(self) -> int | None:
        """Bytes of all inputs as they are stored, or None where one does not tell."""
        sizes = [None if item.hub_set else size_of(item.name) for item in self.items]
        return None if None in sizes else sum(size or 0 for size in sizes)

    def guessed_rows(self) -> int | None:
        """About how many rows there are, rather too few, or None where that cannot be told cheaply."""
        if self.rows is not None:
            return self.rows
        guesses = [_guessed_rows(item) for item in self.items]
        return None if None in guesses else sum(guess or 0 for guess in guesses)


def inputs_of(
    names: Sequence[Location], options: ReadOptions | None = None, source: str | None = None
) -> Inputs:
    """Files, folders that `sample` or `clean` wrote, or the name of one recipe, as inputs.

    `source` replaces the names of sources, which otherwise come from those of the files or the recipe.
    """
    options = options or ReadOptions()
    if len(names) == 1 and is_recipe(str(names[0])):
        return _from_recipe(load_recipe(str(names[0])), options, source)
    locations = expand_folders(names)
    sources = [source] * len(locations) if source else sources_of(locations)
    items = (Input(source, str(name), options) for source, name in zip(sources, locations, strict=True))
    return Inputs(tuple(items), options.rows)


def _from_recipe(recipe: Dataset, options: ReadOptions, source: str | None) -> Inputs:
    options = replace(options, **recipe.read)
    source = source or recipe.name
    if recipe.hub_set:
        name = f"hf://datasets/{recipe.hub_set[0]}@{recipe.hub_set[1]}"
        items = [Input(source, name, options, recipe.hub_set)]
    else:
        locations = expand_folders(recipe.locations)
        names = [source] if len(locations) == 1 else [f"{source}/{name}" for name in sources_of(locations)]
        items = [Input(name, str(location), options) for name, location in zip(names, locations, strict=True)]
    return Inputs(tuple(items), recipe.rows, recipe)


def _guessed_rows(item: Input) -> int | None:
    kind = None if item.hub_set else item.options.format or format_of(item.name)
    if kind is None or is_remote(item.name) or item.name == "-" or Path(item.name).suffix in COMPRESSIONS:
        return None
    if kind == "parquet":
        try:
            return int(pq.read_metadata(item.name).num_rows)
        except (pa.ArrowInvalid, OSError):
            return None  # reading it will say what is wrong
    size, rows, looked = size_of(item.name) or 0, 0, 0
    with open_stream(item.name) as stream:
        for probe in range(PROBES):
            stream.seek(size // PROBES * probe)
            part = stream.read(PROBE) or b""
            rows, looked = rows + part.count(b"\n"), looked + len(part)
    return int(CAUTION * size * rows / max(looked, 1))


def samples_of(folders: Sequence[Location]) -> list[dict[str, Any]]:
    """The manifests of folders that `sample` wrote."""
    return [read_json(Path(folder) / "manifest.json") for folder in folders]


RAY_FORMATS = ("parquet", "text", "jsonl")  # that Ray Data's readers read exactly, or not at all


def check_reader(engine: EngineName, options: ReadOptions, paths: Iterable[Location]) -> None:
    """Raise SpanishTokError where Ray Data's readers are asked for and there are none for an engine or a file."""
    if options.reader == "own":
        return
    if engine != "ray":
        raise SpanishTokError(
            "Ray Data's readers read in the tasks of a cluster",
            "Give --engine ray, or leave --reader ray out.",
        )
    for path in paths:
        kind = options.format or format_of(path)
        if kind not in RAY_FORMATS:
            raise SpanishTokError(
                f"Ray Data has no reader that reads {kind} as it is: {path}", "Leave --reader ray out."
            )


def absolute(location: Location) -> str:
    """A path that another process finds, too."""
    return str(location) if is_remote(location) else os.path.abspath(location)


def sources_of(paths: Sequence[Location]) -> list[str]:
    """The names of sources: those of the files without suffixes, with folders where two would be the same.

    >>> sources_of(["datos/es.tsv.gz", "2019/foros.parquet", "2020/foros.parquet"])
    ['es', '2019/foros', '2020/foros']
    >>> sources_of(["foros.txt", "foros.jsonl", "datos/es.tsv"])  # not even those tell them apart
    ['foros', 'foros', 'es']
    """
    stems = [PurePosixPath(os.fspath(path)).parent / base_name(path).split(".")[0] for path in paths]
    depths = [1] * len(stems)
    while True:
        names = ["/".join(stem.parts[-depth:]) for stem, depth in zip(stems, depths, strict=True)]
        same = {name for name, count in Counter(names).items() if count > 1}
        longer = [depth + (name in same) for name, depth in zip(names, depths, strict=True)]
        alike = [place for place, name in enumerate(names) if name in same]
        if all(longer[place] > len(stems[place].parts) for place in alike):
            return names
        depths = longer
