"""The verb `shard`: data sets of text as Parquet files of ids, and back.

A folder of shards holds `tokens-FFFFF-SSSSS.parquet`, shard S of input F, with the columns (id: string,
tokens: list<uint16>, or list<uint32> where the vocabulary has more than 65,536 ids), and manifest.json, written last,
which names the type of the ids. A shard ends with the record that brings its text to
`shard_bytes`, so that neither threads nor blocks of reading change a byte.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from spanish_tok.errors import SpanishTokError
from spanish_tok.jobs import OutputFolder
from spanish_tok.options import changed
from spanish_tok.parallel.local import Local
from spanish_tok.parallel.memory import memory_given_back
from spanish_tok.parallel.ray_engine import Ray
from spanish_tok.parallel.threads import map_in_order
from spanish_tok.progress import SILENT, Bar, Progress, ProgressOption, progress_of
from spanish_tok.readers.inputs import Input, InputOption, Inputs, inputs_of, rereadable
from spanish_tok.readers.options import FileReport, Location, ReadOptions, lost_rows, tell_lost
from spanish_tok.readers.splits import input_of_task
from spanish_tok.shards.job import ShardInput, ShardJob, shard_inputs
from spanish_tok.shards.reader import TokenArrays, id_type, load_shards, read_manifest, shard_tables
from spanish_tok.tokenization.tokenizer import Tokenizer
from spanish_tok.tokenization.verbs import tokenizer_of


@dataclass(frozen=True)
class ShardOptions:
    """What decides the bytes of token shards.

    Beside the input, how it is read, and the vocabulary.

    append_eos: end every record with `</s>`.
    shard_bytes: bytes of text, and 16 a record, at which a shard ends; what a worker holds at once.
    """

    append_eos: bool = False
    shard_bytes: int = 32 << 20


@dataclass(frozen=True)
class ShardResult:
    """Shards that were written, or ids in memory.

    folder: where they lie; None if they are in memory alone. manifest: what manifest.json holds.
    """

    folder: Path | None
    manifest: Mapping[str, Any]
    in_memory: TokenArrays | None = None

    @property
    def records(self) -> int:
        """How many records the shards hold."""
        return int(self.manifest["records"])

    @property
    def ids(self) -> int:
        """How many ids the shards hold; 0 for shards of text."""
        return int(self.manifest.get("ids", 0))

    def load(self) -> TokenArrays:
        """Return the ids as flat arrays, see `load_shards`."""
        if self.in_memory is not None:
            return self.in_memory
        if self.folder is None:
            raise SpanishTokError("These shards were not written", "Give an output.")
        return load_shards(self.folder)

    def to_dict(self) -> dict[str, Any]:
        """Return the manifest, ready for JSON."""
        return dict(self.manifest)


def shard(
    input: InputOption = None,  # noqa: A002
    output: Location | None = None,
    tokenizer: Tokenizer | Location | None = None,
    *,
    texts: Any = None,
    reading: ReadOptions | None = None,
    options: ShardOptions | None = None,
    engine: Local | Ray | None = None,
    progress: ProgressOption = None,
    force: bool = False,
    **changes: Any,
) -> ShardResult:
    """Encode all texts of the input into a folder of token shards.

    input: files, folders, patterns, or a recipe by name; or `texts=` in memory. tokenizer: the shipped one by default,
    or a vocabulary folder. changes: fields of ShardOptions. Without `output` the ids are in memory alone.
    force: replace the work of another job in `output`.

    An interrupted call writes the missing shards when it is given again. The bytes depend on the input, the
    vocabulary and the options, not on `engine`. The engine Ray gives each file to a task of the cluster, whose nodes
    must share `output`.

    Raises SpanishTokError if the folder holds anything else, and for what cannot be read.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "es.txt").write_text("Hola, mundo.\\nAdiós.\\n", encoding="utf-8")
    >>> result = shard(folder / "es.txt", folder / "tokens")
    >>> result.records, [shard["file"] for shard in result.manifest["shards"]]
    (2, ['tokens-00000-00000.parquet'])
    >>> ids, offsets = result.load()
    >>> Tokenizer.load().decode(ids[offsets[0] : offsets[1]])
    'hola, mundo.'
    """
    options, engine = changed(ShardOptions, options, changes), engine or Local()
    tokenizer = tokenizer_of(tokenizer)
    once, shown = inputs_of(input, reading, texts=texts), progress_of(progress)
    if output is None:
        return _in_memory(once, tokenizer, options, engine, shown)
    with rereadable(once, output) as inputs:
        items = [input_of_task(item, engine) for item in inputs.items]
        job = token_job(items, tokenizer, options)
        reads = [item.name for item in items if item.is_file]
        folder = OutputFolder(Path(output).absolute(), job.described, reads=reads, force=force)
        if _is_done(folder, job):
            return ShardResult(folder.path, folder.finished() or {})
        results: dict[int, tuple[list[dict[str, Any]], list[FileReport]]] = {}
        with (
            memory_given_back(),
            folder.filling(),
            shown.phase("encoding records", inputs.known_rows()) as bar,
            engine.connected() as workers,
        ):
            groups = workers.groups(list(enumerate(items)), 1)
            parts = [(group, folder.path, engine.task_threads) for group in groups]
            for index, result in workers.map(write_shards_of, parts, job, bar, _records_of):
                results[index] = result
                _check_shared([folder.path / entry["file"] for entry in result[0]])
            ordered = [results[index] for index in sorted(results)]
            lost = _checked(inputs, [report for _, reports in ordered for report in reports], shown)
            return _finish(folder, job, [entry for entries, _ in ordered for entry in entries], lost)


def _checked(inputs: Inputs, reports: Sequence[FileReport], shown: Progress) -> dict[str, int]:
    """Return how many rows were lost, and tell them.

    Raises SpanishTokError unless the input is whole.
    """
    inputs.check(reports)
    tell_lost(reports, shown)
    return lost_rows(reports)


def write_shards_of(
    job: ShardJob, items: Sequence[tuple[int, Input]], folder: Path, threads: int, bar: Bar = SILENT
) -> tuple[list[dict[str, Any]], list[FileReport]]:
    """Write the shards of some inputs: a task of any engine.

    Each input comes with its index in the whole input.

    Returns the entries of the manifest, and what was read of each input.
    """
    reports = [FileReport(item.name) for _, item in items]
    sources = shard_inputs(items, reports, job.options["shard_bytes"])
    return list(_entries(job, sources, folder, threads, bar)), reports


def decode_shards(
    input: Location,  # noqa: A002
    output: Location,
    tokenizer: Tokenizer | Location | None = None,
    *,
    engine: Local | None = None,
    progress: ProgressOption = None,
    force: bool = False,
) -> ShardResult:
    """Turn token shards back into shards of (id, text), one for each.

    It resumes as `shard` does.

    Raises SpanishTokError if they are damaged or were made with another vocabulary.
    """
    tokenizer = tokenizer_of(tokenizer)
    manifest = read_manifest(input, tokenizer.vocabulary)
    job = ShardJob("text", tokenizer, {}, manifest["shards"])
    reads = [str(Path(input) / "manifest.json")]
    folder = OutputFolder(Path(output).absolute(), job.described, reads=reads, force=force)
    if _is_done(folder, job):
        return ShardResult(folder.path, folder.finished() or {})
    sources = (
        ShardInput(f"text{path.name.removeprefix('tokens')}", table.to_batches())
        for path, table in shard_tables(Path(input), manifest)
    )
    with folder.filling(), progress_of(progress).phase("decoding records", manifest["records"]) as bar:
        threads = (engine or Local()).task_threads
        entries = list(_entries(job, sources, folder.path, threads, bar))
        return _finish(folder, job, entries, {})


def token_job(items: Iterable[Input], tokenizer: Tokenizer, options: ShardOptions) -> ShardJob:
    """Return the job of encoding inputs.

    It holds what its workers need, and the key of its shards.
    """
    items = list(items)
    how = (items[0].options if items else ReadOptions()).described()
    ways = ("format", "id", "text", "invalid_utf8", "malformed", "encoding", "delimiter", "header")
    chosen = asdict(options) | {way: how[way] for way in ways if way in how}
    return ShardJob("tokens", tokenizer, chosen, [item.identity() for item in items])


def _is_done(folder: OutputFolder, job: ShardJob) -> bool:
    """Return whether every shard that the manifest of this job names lies there."""
    manifest = folder.finished()
    return manifest is not None and all(
        job.row_of(folder.path / entry["file"]) is not None for entry in manifest["shards"]
    )


def _entries(
    job: ShardJob, sources: Iterable[ShardInput], folder: Path, threads: int, bar: Bar
) -> Iterator[dict[str, Any]]:
    """Write shards on the threads of this process.

    Yields their entries of the manifest in order.
    """
    for entry in map_in_order(partial(job.write, folder=folder), sources, threads):
        bar.advance(entry["records"])
        yield entry


def _finish(
    folder: OutputFolder, job: ShardJob, entries: list[dict[str, Any]], lost: Mapping[str, int]
) -> ShardResult:
    totals = {name: sum(entry[name] for entry in entries) for name in job.counted}
    width = {"id_type": id_type(len(job.tokenizer.vocabulary))} if job.kind == "tokens" else {}
    manifest = {**job.described, "key": job.key, **width, **totals, **lost, "shards": entries}
    return ShardResult(folder.path, folder.finish(manifest))


def _in_memory(
    inputs: Inputs, tokenizer: Tokenizer, options: ShardOptions, engine: Local | Ray, shown: Progress
) -> ShardResult:
    """Encode without writing shards."""
    ids = [np.empty(0, id_type(len(tokenizer.vocabulary)))]
    lengths = [np.zeros(1, np.int64)]
    reports = [FileReport(item.name) for item in inputs.items]
    for item, report in zip(inputs.items, reports, strict=True):
        for batch in input_of_task(item, engine).read(report):
            column = tokenizer.encode_column(batch["text"], options.append_eos, threads=engine.threads_here)
            for chunk in getattr(column, "chunks", [column]):
                ids.append(chunk.flatten().to_numpy())
                lengths.append(chunk.value_lengths().to_numpy())
    lost = _checked(inputs, reports, shown)
    arrays = TokenArrays(np.concatenate(ids), np.cumsum(np.concatenate(lengths), dtype=np.int64))
    return ShardResult(None, {"records": arrays.offsets.size - 1, "ids": arrays.ids.size, **lost}, arrays)


def _records_of(result: tuple[list[dict[str, Any]], list[FileReport]]) -> int:
    return sum(entry["records"] for entry in result[0])


def _check_shared(paths: Sequence[Path]) -> None:
    """Raise SpanishTokError if a file that a worker wrote is not seen here."""
    if missing := [path for path in paths if not path.exists()]:
        raise SpanishTokError(
            f"{missing[0]} was written by a worker and is not seen here",
            "Give a folder on a disk that all nodes share under the same path.",
        )
