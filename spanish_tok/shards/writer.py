"""Token shards: data sets of text turned into Parquet files of ids, resumable, and read back as flat arrays.

A folder of shards holds `tokens-FFFFF-SSSSS.parquet`, shard S of input file F, with the columns (id: string,
tokens: list<uint16>), and manifest.json, written last. A shard ends with the record that brings its text to
`shard_bytes`, so that neither workers nor blocks of reading change a byte.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from spanish_tok.errors import SpanishTokError
from spanish_tok.files import atomic_path, read_json, sha256_of_file
from spanish_tok.jobs import MANIFEST, OutputFolder
from spanish_tok.parallel.engines import EngineName, check_shared, connected
from spanish_tok.parallel.threads import available_cores, map_in_order
from spanish_tok.progress import SILENT, Bar
from spanish_tok.readers.inputs import absolute, check_reader
from spanish_tok.readers.options import FileReport, Location, ReadOptions, check_rows
from spanish_tok.readers.records import expand_folders, read_file
from spanish_tok.readers.remote import is_remote
from spanish_tok.readers.streams import size_of
from spanish_tok.shards.job import FORMAT, ShardInput, ShardJob, cut
from spanish_tok.tokenization.tokenizer import Tokenizer
from spanish_tok.vocab.vocabulary import Vocabulary

ARRAYS = ".arrays"  # hidden, so that readers of a folder of Parquet pass it over


@dataclass(frozen=True)
class ShardOptions:
    """What decides the bytes of token shards, beside the input, how it is read, and the vocabulary.

    append_eos: end every record with `</s>`.
    shard_bytes: bytes of text, and 16 a record, at which a shard ends; what a worker holds at once.
    """

    append_eos: bool = False
    shard_bytes: int = 32 << 20


ShardResult = tuple[list[dict[str, Any]], list[FileReport]]  # rows of the manifest; what was read


class TokenArrays(NamedTuple):
    """Records as two arrays: record r is ids[offsets[r]:offsets[r + 1]]."""

    ids: NDArray[np.uint16]
    offsets: NDArray[np.int64]


def write_shards(
    paths: Iterable[Location],
    output: Location,
    tokenizer: Tokenizer | None = None,
    *,
    options: ShardOptions | None = None,
    reading: ReadOptions | None = None,
    workers: int | None = None,
    engine: EngineName = "local",
    address: str | None = None,
    progress: Bar = SILENT,
) -> dict[str, Any]:
    """Encode files of text (see `spanish_tok.readers.records`) into a folder of token shards; return its manifest.

    Run again after an interruption, it makes the shards that are missing. The bytes depend on the input,
    the vocabulary and the options, not on `workers` (threads; all cores by default), nor on `engine`: "ray"
    gives each file to a task on the cluster at `address` (see parallel/ray_engine.py), whose nodes must share `output`.

    Raises SpanishTokError where the folder holds anything else, and for what cannot be read.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "es.txt").write_text("Hola, mundo.\\nAdiós.\\n", encoding="utf-8")
    >>> manifest = write_shards([folder / "es.txt"], folder / "tokens")
    >>> manifest["records"], [shard["file"] for shard in manifest["shards"]]
    (2, ['tokens-00000-00000.parquet'])
    >>> ids, offsets = read_shards(folder / "tokens")
    >>> Tokenizer.load().decode(ids[offsets[0] : offsets[1]])
    'hola, mundo.'
    """
    options, reading = options or ShardOptions(), reading or ReadOptions()
    files = expand_folders(paths)
    check_reader(engine, reading, files)
    job = token_job(files, tokenizer or Tokenizer.load(), options, reading)
    folder = OutputFolder(Path(output).absolute(), job.described)
    manifest = folder.finished()
    if manifest and job.is_whole(folder.path, manifest):
        return manifest
    with folder.filling():
        if engine == "ray":
            made = _make_on_ray(job, files, folder.path, reading, address, progress)
        else:
            made = [make_shards(job, list(enumerate(files)), folder.path, reading, workers, progress)]
        rows = [row for rows, _ in made for row in rows]
        reports = [report for _, read in made for report in read]
        check_rows(sum(report.rows for report in reports), reading.rows, "the input")
        counted = {
            name: sum(getattr(report, name) for report in reports) for name in ("rejected", "repaired")
        }
        return folder.finish(job.manifest(rows, **counted))


def make_shards(
    job: ShardJob,
    files: Sequence[tuple[int, Location]],
    folder: Path,
    reading: ReadOptions,
    workers: int | None = 1,
    progress: Bar = SILENT,
) -> ShardResult:
    """Make the shards of some input files, each given with its place in the input: a task of any engine."""
    reports = [FileReport(os.fspath(path)) for _, path in files]
    sources = (
        source
        for (place, path), report in zip(files, reports, strict=True)
        for source in cut(read_file(path, reading, report), place, job.options["shard_bytes"])
    )
    return list(_make(job, sources, folder, workers, progress)), reports


def _make_on_ray(
    job: ShardJob,
    files: Sequence[Location],
    folder: Path,
    reading: ReadOptions,
    address: str | None,
    progress: Bar,
) -> list[ShardResult]:
    """Make the shards of each file on a cluster; in the order of the files."""
    made: dict[int, ShardResult] = {}
    reading = replace(reading, workers=1)
    parts = [([(place, absolute(path))], folder, reading) for place, path in enumerate(files)]
    with connected(address) as cluster:
        for place, (rows, reports) in cluster.map(make_shards, parts, shared=job):
            made[place] = rows, reports
            progress.advance(sum(row["records"] for row in rows))
            check_shared([folder / row["file"] for row in rows])
    return [made[place] for place in sorted(made)]


def token_job(
    files: Iterable[Location], tokenizer: Tokenizer, options: ShardOptions, reading: ReadOptions
) -> ShardJob:
    """The job of encoding files: what its workers need, and the key of what they make."""
    ways = ("format", "id", "text", "invalid_utf8", "malformed")
    chosen = asdict(options) | {way: getattr(reading, way) for way in ways}
    return ShardJob("tokens", tokenizer, chosen, [_identity(path) for path in files])


def _identity(path: Location) -> dict[str, Any]:
    """What tells an input from another: its bytes; of a remote one, its address and size."""
    if is_remote(path):
        return {"location": str(path), "bytes": size_of(path)}
    return {"name": os.path.basename(path), "sha256": sha256_of_file(path)}


def _make(
    job: ShardJob, sources: Iterable[ShardInput], folder: Path, workers: int | None, progress: Bar
) -> Iterator[dict[str, Any]]:
    """Make the shards of a job on the threads of this process."""
    made = map_in_order(lambda source: job.make(source, folder), sources, workers or available_cores())
    for row in made:
        progress.advance(row["records"])
        yield row


def decode_shards(
    folder: Location,
    output: Location,
    tokenizer: Tokenizer | None = None,
    *,
    workers: int | None = None,
    progress: Bar = SILENT,
) -> dict[str, Any]:
    """Turn token shards back into shards of (id, text), one for each; resumable as `write_shards` is.

    Raises SpanishTokError where they are damaged or were made with another vocabulary.
    """
    tokenizer = tokenizer or Tokenizer.load()
    manifest = read_manifest(folder, tokenizer.vocabulary)
    job = ShardJob("text", tokenizer, {}, manifest["shards"])
    sources = (
        ShardInput(f"text{path.name.removeprefix('tokens')}", table.to_batches())
        for path, table in _tables(Path(folder), manifest)
    )
    target = OutputFolder(output, job.described)
    finished = target.finished()
    if finished and job.is_whole(target.path, finished):
        return finished
    with target.filling():
        return target.finish(job.manifest(list(_make(job, sources, target.path, workers, progress))))


def read_manifest(folder: Location, vocabulary: Vocabulary | None = None) -> dict[str, Any]:
    """The manifest of a folder of token shards; `manifest["vocabulary"]["fingerprint"]` says whose ids they are.

    Raises SpanishTokError where the folder holds no finished token shards, or others than of `vocabulary`.
    """
    if not (Path(folder) / MANIFEST).exists():
        raise SpanishTokError(
            f"{folder} holds no finished token shards",
            "Give a folder that `spanish-tok shard` wrote; if that was interrupted, run it again: it goes on.",
        )
    manifest: dict[str, Any] = read_json(Path(folder) / MANIFEST)
    if not isinstance(manifest, dict) or manifest.get("kind") != "tokens":
        raise SpanishTokError(
            f"{folder} holds no token shards", "Give a folder that `spanish-tok shard` wrote."
        )
    if manifest["format"] != FORMAT:
        raise SpanishTokError(
            f"{folder} has format {manifest['format']}", f"This version reads format {FORMAT}."
        )
    made_with = manifest["vocabulary"]["fingerprint"]
    if vocabulary is not None and vocabulary.fingerprint != made_with:
        raise SpanishTokError(
            f"{folder} was made with the vocabulary {made_with[:16]}, not with {vocabulary.fingerprint[:16]}",
            "Give that vocabulary, or make the shards anew.",
        )
    return manifest


def read_shards(
    folder: Location, vocabulary: Vocabulary | None = None, *, cache: Location | None = None
) -> TokenArrays:
    """All records of a folder of token shards as (ids: uint16[n], offsets: int64[records + 1]), memory-mapped.

    The first call checks the shards and writes the arrays, uncompressed (2 bytes an id), into `cache`, by
    default a hidden folder beside the shards; later ones only map them. Several processes share the memory.

    Raises SpanishTokError where a shard is damaged, or was not made with `vocabulary` where that is given.
    """
    manifest = read_manifest(folder, vocabulary)
    cache = Path(cache) if cache is not None else Path(folder) / ARRAYS
    paths = [cache / f"{name}-{manifest['key'][:16]}.npy" for name in TokenArrays._fields]
    if not all(path.exists() for path in paths):
        _write_arrays(Path(folder), manifest, *paths)
    return TokenArrays(*(np.load(path, mmap_mode="r") for path in paths))


def _write_arrays(folder: Path, manifest: dict[str, Any], ids_path: Path, offsets_path: Path) -> None:
    offsets = np.zeros(manifest["records"] + 1, np.int64)
    at = row = 0
    with atomic_path(ids_path) as partial:
        ids = open_memmap(partial, "w+", np.uint16, (manifest["ids"],))
        for _, table in _tables(folder, manifest):
            for chunk in table["tokens"].chunks:
                values = chunk.flatten().to_numpy()
                ids[at : at + len(values)] = values
                offsets[row + 1 : row + 1 + len(chunk)] = at + np.cumsum(chunk.value_lengths().to_numpy())
                at, row = at + len(values), row + len(chunk)
        ids.flush()
    with atomic_path(offsets_path) as partial, open(partial, "wb") as file:
        np.save(file, offsets)


def _tables(folder: Path, manifest: dict[str, Any]) -> Iterator[tuple[Path, pa.Table]]:
    """Every shard of a manifest, once it has the SHA-256 that the manifest states."""
    for row in manifest["shards"]:
        path = folder / Path(row["file"]).name
        if not path.exists() or sha256_of_file(path) != row["sha256"]:
            raise SpanishTokError(
                f"{path} is missing or not as it was written (SHA-256)", "Make the shards anew."
            )
        yield path, pq.read_table(path)
