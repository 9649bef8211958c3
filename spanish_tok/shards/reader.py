"""Token shards read back as flat arrays, memory-mapped."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.lib.format import write_array_header_1_0
from numpy.typing import NDArray

from spanish_tok.errors import SpanishTokError
from spanish_tok.files import atomic_path, check_format, check_shape, read_json, sha256_of_file
from spanish_tok.files.schema import COUNT
from spanish_tok.jobs import MANIFEST
from spanish_tok.readers.options import Location
from spanish_tok.shards.job import FORMAT, token_schema
from spanish_tok.text.arrow import ids_kind
from spanish_tok.vocab.ids import MOST_IDS, check_offsets
from spanish_tok.vocab.vocabulary import Vocabulary

COUNTED = ("records", "ids")
SHAPE = {
    "key": str,
    "vocabulary": {"fingerprint": str, "size": range(1, MOST_IDS + 1)},
    "records": COUNT,
    "ids": COUNT,
    "shards": [{"file": str, "sha256": str, "records": COUNT, "ids": COUNT}],
}
ARRAYS = ".arrays"  # hidden, so that readers of a folder of Parquet skip it


class TokenArrays(NamedTuple):
    """Records as two arrays: record r is ids[offsets[r]:offsets[r + 1]]."""

    ids: NDArray[Any]
    offsets: NDArray[np.int64]


def joined(parts: Sequence[TokenArrays]) -> TokenArrays:
    """Return the records of several arrays, one after the other.

    One alone stays as it is, memory-mapped; several are copied into memory.
    """
    if len(parts) == 1:
        return parts[0]
    begins = np.cumsum([0, *(part.ids.size for part in parts)])
    offsets = [part.offsets[1:] + begin for part, begin in zip(parts, begins, strict=False)]
    return TokenArrays(
        np.concatenate([part.ids for part in parts]), np.concatenate([np.zeros(1, np.int64), *offsets])
    )


def id_type(size: int) -> str:
    """Return NumPy's name of the type of ids of a vocabulary of so many.

    >>> id_type(65_536), id_type(250_100)
    ('uint16', 'uint32')
    """
    return str(ids_kind(size).value_type)


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
    path = Path(folder) / MANIFEST
    manifest: dict[str, Any] = read_json(path, dict)
    if manifest.get("kind") != "tokens":
        raise SpanishTokError(
            f"{folder} holds no token shards", "Give a folder that `spanish-tok shard` wrote."
        )
    check_format(folder, manifest.get("format"), FORMAT)
    check_shape(manifest, SHAPE, str(path))
    if wrong := [name for name in COUNTED if manifest[name] != sum(row[name] for row in manifest["shards"])]:
        raise SpanishTokError(
            f"{path}: the {wrong[0]} of its shards do not add up", "Write the shards again."
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

    They are ids: uint16[n], or uint32[n] where the vocabulary has more than 65,536, and offsets: int64[records + 1].

    The first call checks the shards and writes the arrays, uncompressed (2 or 4 bytes an id), into `cache`, by
    default a hidden folder beside the shards; later ones only map them. Several processes share the memory.

    Raises SpanishTokError if a shard is damaged, or was not made with `vocabulary` if that is given.
    """
    manifest = read_manifest(folder, vocabulary)
    cache = Path(cache) if cache is not None else Path(folder) / ARRAYS
    paths = [cache / f"{name}-{manifest['key'][:16]}.npy" for name in TokenArrays._fields]
    if not all(path.exists() for path in paths):
        _write_arrays(Path(folder), manifest, *paths)
    arrays = TokenArrays(*map(_mapped, paths))
    if (arrays.ids.size, arrays.offsets.size) != (manifest["ids"], manifest["records"] + 1):
        raise _damaged(paths[0], "has another length than the manifest says")
    return check_arrays(arrays, manifest["vocabulary"]["size"], str(paths[0]))


def _mapped(path: Path) -> NDArray[Any]:
    """Return the array of a file, memory-mapped."""
    try:
        array = np.load(path, mmap_mode="r")
    except Exception as error:  # NumPy raises half a dozen kinds for a damaged header
        raise _damaged(path, f"is damaged ({error})") from None
    if not isinstance(array, np.ndarray):
        raise _damaged(path, "is no array")
    return array


def _damaged(path: Path, problem: str) -> SpanishTokError:
    return SpanishTokError(f"{path} {problem}", "Remove it: it is written again from the shards.")


def check_arrays(arrays: TokenArrays, size: int, name: str) -> TokenArrays:
    """Return arrays that are records of a vocabulary of `size` ids.

    Raises SpanishTokError for another type, offsets out of order or range, and an id that the vocabulary has not.
    """
    ids, offsets = arrays
    if ids.dtype != id_type(size) or ids.ndim != 1 or offsets.dtype != np.int64:
        raise SpanishTokError(
            f"{name} holds {ids.dtype} and {offsets.dtype}",
            f"Ids are {id_type(size)}[n], offsets int64[records + 1].",
        )
    check_offsets(offsets, ids.size, f"The offsets of {name}")
    if offsets[0] or offsets[-1] != ids.size:
        raise SpanishTokError(f"The offsets of {name} do not cover its ids", "Write the shards again.")
    if ids.size and ids.max() >= size:
        raise SpanishTokError(
            f"{name} holds the id {ids.max()}, but ids go from 0 to {size - 1}",
            "Were they made with another vocabulary?",
        )
    return arrays


def _write_arrays(folder: Path, manifest: dict[str, Any], ids_path: Path, offsets_path: Path) -> None:
    kind = np.dtype(id_type(manifest["vocabulary"]["size"]))
    lengths = [np.zeros(1, np.int64)]
    with atomic_path(ids_path) as partial, open(partial, "wb") as file:
        header = {"descr": kind.str, "fortran_order": False, "shape": (manifest["ids"],)}
        write_array_header_1_0(file, header)
        for _, table in shard_tables(folder, manifest):
            for chunk in table["tokens"].chunks:
                file.write(chunk.flatten().to_numpy().data)
                lengths.append(chunk.value_lengths().to_numpy())
    with atomic_path(offsets_path) as partial, open(partial, "wb") as file:
        np.save(file, np.cumsum(np.concatenate(lengths), dtype=np.int64))


def shard_tables(folder: Path, manifest: dict[str, Any]) -> Iterator[tuple[Path, pa.Table]]:
    """Yield every shard of a manifest as a table.

    Raises SpanishTokError unless it has the SHA-256, the columns and the numbers of records and ids that are stated.
    """
    schema = token_schema(manifest["vocabulary"]["size"])
    for row in manifest["shards"]:
        path = folder / Path(row["file"]).name
        if not os.path.isfile(path) or sha256_of_file(path) != row["sha256"]:
            raise SpanishTokError(
                f"{path} is missing or not as it was written (SHA-256)", "Write the shards again."
            )
        try:
            table = pq.read_table(path, columns=schema.names)
            table.validate(full=True)
            table = table.cast(schema)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise SpanishTokError(
                f"{path} holds no ids of records ({_first_line(error)})", "Write the shards again."
            ) from None
        counts = table.num_rows, pc.sum(pc.list_value_length(table["tokens"])).as_py() or 0
        if counts != (row["records"], row["ids"]) or table["tokens"].null_count:
            raise SpanishTokError(
                f"{path} holds other records than the manifest says", "Write the shards again."
            )
        yield path, table


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
