"""Token shards read back as flat arrays, memory-mapped."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from spanish_tok.errors import SpanishTokError
from spanish_tok.files import atomic_path, read_json, sha256_of_file
from spanish_tok.jobs import MANIFEST
from spanish_tok.readers.options import Location
from spanish_tok.shards.job import FORMAT
from spanish_tok.vocab.vocabulary import Vocabulary

ARRAYS = ".arrays"  # hidden, so that readers of a folder of Parquet skip it


class TokenArrays(NamedTuple):
    """Records as two arrays: record r is ids[offsets[r]:offsets[r + 1]]."""

    ids: NDArray[np.uint16]
    offsets: NDArray[np.int64]


def read_manifest(folder: Location, vocabulary: Vocabulary | None = None) -> dict[str, Any]:
    """Return the manifest of a folder of token shards.

    `manifest["vocabulary"]["fingerprint"]` says whose ids they are. Raises SpanishTokError unless the folder holds
    finished token shards, of `vocabulary` if that is given.
    """
    if not (Path(folder) / MANIFEST).exists():
        raise SpanishTokError(
            f"{folder} holds no finished token shards",
            "Give a folder that `spanish-tok shard` wrote; if that was interrupted, run it again: it resumes.",
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
            "Give that vocabulary, or write the shards again.",
        )
    return manifest


def load_shards(
    folder: Location, vocabulary: Vocabulary | None = None, *, cache: Location | None = None
) -> TokenArrays:
    """Return all records of token shards as flat arrays, memory-mapped.

    They are ids: uint16[n] and offsets: int64[records + 1].

    The first call checks the shards and writes the arrays, uncompressed (2 bytes an id), into `cache`, by
    default a hidden folder beside the shards; later ones only map them. Several processes share the memory.

    Raises SpanishTokError if a shard is damaged, or was not made with `vocabulary` if that is given.
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
        for _, table in shard_tables(folder, manifest):
            for chunk in table["tokens"].chunks:
                values = chunk.flatten().to_numpy()
                ids[at : at + len(values)] = values
                offsets[row + 1 : row + 1 + len(chunk)] = at + np.cumsum(chunk.value_lengths().to_numpy())
                at, row = at + len(values), row + len(chunk)
        ids.flush()
    with atomic_path(offsets_path) as partial, open(partial, "wb") as file:
        np.save(file, offsets)


def shard_tables(folder: Path, manifest: dict[str, Any]) -> Iterator[tuple[Path, pa.Table]]:
    """Yield every shard of a manifest as a table.

    Raises SpanishTokError unless it has the SHA-256 that is stated.
    """
    for row in manifest["shards"]:
        path = folder / Path(row["file"]).name
        if not path.exists() or sha256_of_file(path) != row["sha256"]:
            raise SpanishTokError(
                f"{path} is missing or not as it was written (SHA-256)", "Write the shards again."
            )
        yield path, pq.read_table(path)
