"""Every verb that reads text, as one table: what it read of a file, and how the command line ends."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from click.testing import CliRunner

import spanish_tok as st
from spanish_tok.cli import main


class Ended(NamedTuple):
    """How a command ended."""

    status: int
    said: str  # on standard error
    printed: str

    @property
    def is_one_line(self) -> bool:
        return self.said.count("\n") == 1 and self.said.startswith("spanish-tok: ")


def run(*arguments: object, given: bytes | None = None) -> Ended:
    """Run a command; anything but a clean exit is raised."""
    done = CliRunner().invoke(main, list(map(str, arguments)), input=given)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Ended(done.exit_code, done.stderr, done.stdout)


def counted(path: Any, _: Path, reading: st.ReadOptions, engine: Any = None) -> Any:
    return st.count(path, reading=reading, engine=engine).fingerprint


def sharded(path: Any, out: Path, reading: st.ReadOptions, engine: Any = None) -> Any:
    arrays = st.shard(path, out / "shards", reading=reading, engine=engine).load()
    return arrays.ids.tolist(), arrays.offsets.tolist()


def sampled(path: Any, out: Path, reading: st.ReadOptions, engine: Any = None) -> Any:
    records = st.sample(
        path,
        out / "sample",
        size=10**6,
        at_most=True,
        reading=reading,
        source="x",
        engine=engine,
        clean=False,
    )
    return records.table()["text"].to_pylist()


def cleaned(path: Any, out: Path, reading: st.ReadOptions, engine: Any = None) -> Any:
    rules = st.CleanOptions(*[0] * 14)
    return (
        st.clean(path, out / "clean", reading=reading, options=rules, engine=engine)
        .table()["text"]
        .to_pylist()
    )


def measured(path: Any, _: Path, reading: st.ReadOptions) -> Any:
    from spanish_tok.measure.figures.texts import texts_of
    from spanish_tok.readers.inputs import inputs_of

    return texts_of(inputs_of(path, reading)).column.to_pylist()


def normalized(path: Any, _: Path, reading: st.ReadOptions) -> Any:
    return st.normalize(files=path, reading=replace(reading, format=None))


# verb -> what it read, in a form that two readings of the same texts share
READ: dict[str, Callable[..., Any]] = {
    "count": counted,
    "shard": sharded,
    "sample": sampled,
    "clean": cleaned,
    "bench": measured,
}
READ_LINES = {**READ, "normalize": normalized}  # of files of text, a record a line


def command(verb: str, path: object, out: Path, *options: object) -> Sequence[object]:
    """Return the command line of a verb on a file."""
    return {
        "count": ("count", path, "--output", out / "counts.parquet", *options),
        "train": ("train", path, "--size", 300, "--output", out / "vocabulary", *options),
        "shard": ("shard", path, "--output", out / "shards", *options),
        "sample": (
            "sample",
            path,
            "--size",
            5,
            "--at-most",
            "--no-clean",
            "--output",
            out / "sample",
            *options,
        ),
        "clean": ("clean", path, "--output", out / "clean", *options),
        "bench": ("bench", path, "--json", out / "bench.json", *options),
        "compare": (
            "compare",
            vocabulary(),
            "--text",
            path,
            "--json",
            out / "c.json",
            *options,
        ),
        "normalize": ("normalize", path, *options),
        "encode": ("encode", path, *options),
    }[verb]


def vocabulary() -> Path:
    from spanish_tok.files import shipped

    return shipped("vocab/es-5000")


VERBS = ("count", "train", "shard", "sample", "clean", "bench", "compare")  # that read files of records
LINE_VERBS = ("normalize", "encode")
