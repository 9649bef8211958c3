"""Corpus preparation: from files or a recipe to a folder of clean records, all of them or a uniform sample."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from spanish_tok.corpus.candidates import CandidatePass
from spanish_tok.corpus.cleaning import CleanOptions
from spanish_tok.corpus.sampling import Keys
from spanish_tok.corpus.writer import SHARD_ROWS, Chunk, RecordWriter
from spanish_tok.errors import SpanishTokError
from spanish_tok.jobs import OutputFolder
from spanish_tok.parallel.engines import EngineName
from spanish_tok.parallel.threads import available_cores
from spanish_tok.progress import SILENT, Bar
from spanish_tok.readers.inputs import Inputs, check_reader
from spanish_tok.readers.options import SCHEMA, FileReport
from spanish_tok.readers.remote import is_remote

SURPLUS = 1.1  # candidates for each record wanted, where cleaning will reject some
EVERYTHING = 1 << 62  # candidates

Display = Callable[..., AbstractContextManager[Bar]]
Announce = Callable[[str], None]


def nothing_shown(_description: str, _total: float | None = None, **_: Any) -> AbstractContextManager[Bar]:
    """No progress display; `progress.progress` is the one for people."""
    return nullcontext(SILENT)


def sample_files(
    inputs: Inputs,
    output: str | os.PathLike[str],
    size: int,
    *,
    seed: int = 0,
    clean: CleanOptions | None = None,
    clean_all: bool = False,
    at_most: bool = False,
    threads: int | None = None,
    engine: EngineName = "local",
    address: str | None = None,
    display: Display = nothing_shown,
    announce: Announce = lambda _: None,
) -> dict[str, Any]:
    """Draw `size` records uniformly from all inputs into the folder `output`; return its manifest.

    The records are those with the smallest keys (see corpus/sampling.py) among those that cleaning keeps (all where
    `clean` is None), in the order of their keys, which is random. Only candidates are cleaned, unless
    `clean_all`, which reports on the whole input and gives the same sample. The shards depend on the input,
    `size`, `seed` and `clean` alone. A call that was interrupted is gone on with by the same call.

    With the engine "ray" the candidates are found and merged by tasks on the cluster at `address`, which must see
    the input under the same paths (a source is one task, but for large Parquet files, see readers/splits.py); cleaning
    and writing are done here.

    Memory: 16 bytes for each record of the sample, 32 more with cleaning, about 32 for each distinct text of
    a source without ids, and 400 MB. Disk: the text of the candidates while it runs.

    Raises SpanishTokError where fewer records than `size` come out, unless `at_most`.
    """
    for item in inputs.items:
        check_reader(engine, item.options, [item.name])
    output = Path(output)
    job = {"verb": "sample", "size": size, "seed": seed, "clean_all": clean_all, **_described(inputs, clean)}
    folder = OutputFolder(output, job, under="job", inputs=_changed(inputs))
    if manifest := folder.finished():
        return manifest
    with folder.filling():
        writer = RecordWriter(folder)
        if inputs.rows is not None and size > inputs.rows and not at_most:
            raise _too_few(size, inputs.rows, "the input holds")
        threads = threads or available_cores()
        sampling = _Sampling(inputs, writer, size, seed, clean, clean_all, threads, engine, address, display)
        gathered, enough = sampling.go_over(writer.position or sampling.beginning())
        while not enough:
            position = writer.position
            announce(
                f"{writer.rows:,} records came out of {position['before']:,} candidates, and {size:,} are wanted:"
                " going over the input once more."
            )
            gathered, enough = sampling.go_over(position)
        if writer.rows < size and not at_most:
            where = f"of {gathered.rows:,} records cleaning keeps" if clean else "the input holds"
            raise _too_few(size, writer.rows, where)
        return writer.finish(
            _facts(inputs, gathered.reports) | {"kind": "sample", "size": size, "seed": seed}
        )


@dataclass(frozen=True)
class _Sampling:
    """What the passes of one sample have in common.

    A position is {"pass": its number, "low": the smallest key that it takes, "wanted": how many candidates,
    "before": how many there were in earlier passes, "range": shards of it that were gone through}.
    """

    inputs: Inputs
    writer: RecordWriter
    size: int
    seed: int
    clean: CleanOptions | None
    clean_all: bool
    threads: int
    engine: EngineName
    address: str | None
    display: Display

    def beginning(self) -> dict[str, int]:
        """The position of the first pass."""
        wanted = EVERYTHING if self.clean_all else rounded(self.size * (SURPLUS if self.clean else 1))
        return {"pass": 1, "low": 0, "wanted": wanted, "before": 0, "range": 0}

    def go_over(self, position: dict[str, int]) -> tuple[CandidatePass, bool]:
        """Gather the candidates of a pass and write what is kept of them; say whether that is all or enough."""
        rows = self.inputs.guessed_rows()
        guess = (
            rows if position["pass"] == 1 else None
        )  # it may have been what made the first pass too narrow
        writer, wanted, low = self.writer, position["wanted"], position["low"]
        gathered = CandidatePass(self.inputs, self.seed, writer.folder.unfinished, wanted, low, guess)
        with self.display("reading", rows) as bar:
            if self.engine == "ray":
                gathered.run_on_ray(self.address, bar)
            else:
                gathered.run(self.threads, bar)
        keys, exhausted = usable(gathered.keys, gathered.rows - position["before"])
        with self.display("cleaning" if self.clean else "writing", self.size) as bar:
            bar.advance(writer.rows)
            chunks = _ranges(gathered, keys, position)
            stop, workers = not self.clean_all, self.threads
            writer.write(chunks, self.clean, most=self.size, stop=stop, workers=workers, bar=bar)
        enough = exhausted or writer.rows == self.size
        if not enough:
            writer.save(_next_pass(position, keys, self.size, writer.rows))
        gathered.close()
        return gathered, enough


def clean_files(
    inputs: Inputs,
    output: str | os.PathLike[str],
    *,
    clean: CleanOptions,
    threads: int | None = None,
    display: Display = nothing_shown,
) -> dict[str, Any]:
    """Clean all inputs into the folder `output`, records in the order of the input; return its manifest.

    Of duplicates the first stays. A call that was interrupted is gone on with by the same call.
    Memory: 64 bytes for each distinct text and 400 MB.
    """
    output = Path(output)
    job = {"verb": "clean", **_described(inputs, clean)}
    folder = OutputFolder(output, job, under="job", inputs=_changed(inputs))
    if manifest := folder.finished():
        return manifest
    with folder.filling():
        writer = RecordWriter(folder)
        position = writer.position or {"reports": [], "skip": 0}
        reports = [FileReport(**report) for report in position["reports"]]
        reports += [FileReport(item.name) for item in inputs.items[len(reports) :]]
        with display("cleaning", inputs.guessed_rows()) as bar:
            chunks = _in_input_order(inputs, reports, position["skip"], bar)
            writer.write(chunks, clean, workers=threads or available_cores())
        inputs.check(reports)
        return writer.finish(_facts(inputs, reports) | {"kind": "clean"})


def rounded(size: float) -> int:
    """Up to whole shards, so that a pass ends where a shard does."""
    return -int(-size // SHARD_ROWS) * SHARD_ROWS


def usable(keys: Keys, rows: int) -> tuple[Keys, bool]:
    """The candidates' keys that can be gone through, and whether they are all that there are.

    A pass that a guess made too narrow may end in the middle of a shard: what comes after the last whole one
    is left to the next pass.
    """
    if len(keys) >= rows:
        return keys, True
    whole = len(keys) // SHARD_ROWS * SHARD_ROWS
    return (keys[keys <= keys[whole - 1]] if whole else keys[:0]), False


def _ranges(gathered: CandidatePass, keys: Keys, position: dict[str, int]) -> Iterator[Chunk]:
    first = position["range"]
    ranges = gathered.spill.ranges(keys, SHARD_ROWS, position["before"], first)
    for number, batch in enumerate(ranges, first + 1):
        yield Chunk(batch, {**position, "range": number})


def _next_pass(position: dict[str, int], keys: Keys, size: int, kept: int) -> dict[str, int]:
    """Where the next pass begins, and how many candidates it takes, judged by how many passed so far."""
    before = position["before"] + len(keys)
    share = max(kept / before, 0.01) if before else 1.0
    low = int(keys[-1]) + 1 if len(keys) else position["low"]
    wanted = rounded((size - kept) / share * SURPLUS)
    return {"pass": position["pass"] + 1, "low": low, "wanted": wanted, "before": before, "range": 0}


def _in_input_order(inputs: Inputs, reports: list[FileReport], skip: int, bar: Bar) -> Iterator[Chunk]:
    """Chunks of SHARD_ROWS records across batches and files.

    A position is the state of reading before the batch that the next chunk begins in, and the rows of that
    batch which were in chunks before.
    """
    parts: list[pa.RecordBatch] = []
    held = 0
    for place, item in enumerate(inputs.items):
        if reports[place].complete:
            continue
        before = [asdict(report) for report in reports]
        for batch in item.read(reports[place]):
            bar.advance(batch.num_rows)
            begin, skip = skip, 0
            while held + batch.num_rows - begin >= SHARD_ROWS:
                end = begin + SHARD_ROWS - held
                chunk = joined([*parts, batch.slice(begin, end - begin)])
                yield Chunk(chunk, {"reports": before, "skip": end})
                parts, held, begin = [], 0, end
            parts.append(batch.slice(begin))
            held += batch.num_rows - begin
            before = [asdict(report) for report in reports]
    yield Chunk(joined(parts), {"reports": [asdict(report) for report in reports], "skip": 0})


def joined(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    """Batches of (id, text) as one."""
    batches = pa.Table.from_batches(parts, SCHEMA).combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], SCHEMA)


def _described(inputs: Inputs, clean: CleanOptions | None) -> dict[str, Any]:
    """What makes a job another one, apart from the state of its files."""
    described = sorted((item.described() for item in inputs.items), key=str)
    return {"inputs": described, "rows": inputs.rows, "clean": asdict(clean) if clean else None}


def _changed(inputs: Inputs) -> dict[str, Any]:
    """Return when each input was changed last, None if unknown: a job cannot resume after its input changes."""
    names = [item.name for item in inputs.items]
    times = [None if is_remote(name) or name == "-" else os.path.getmtime(name) for name in names]
    return {"inputs_changed": times}


def _facts(inputs: Inputs, reports: list[FileReport]) -> dict[str, Any]:
    recipe = inputs.recipe and {
        key: getattr(inputs.recipe, key) for key in ("name", "title", "licence", "warning")
    }
    read = [
        {key: value for key, value in asdict(report).items() if key not in ("offset", "complete")}
        for report in reports
    ]
    return {"recipe": recipe or None, "read": read}


def _too_few(size: int, found: int, where: str) -> SpanishTokError:
    return SpanishTokError(
        f"{size:,} records are wanted, and {where} {found:,}",
        "Ask for fewer, or take what there is with --at-most.",
    )
