"""The job behind token shards.

What decides their bytes, where a shard ends, and how one is written.

Each shard is written on its own, by any worker of any engine, and carries the key of its job: a shard of another
input, vocabulary or option is never taken for one of this job.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from spanish_tok._version import __version__
from spanish_tok.corpus.sampling import chunk_ends, weighted
from spanish_tok.errors import SpanishTokError
from spanish_tok.files import atomic_path, sha256_of_file
from spanish_tok.files.schema import COUNT, fault_of
from spanish_tok.options import FieldsAlone
from spanish_tok.readers.inputs import Input
from spanish_tok.readers.options import FileReport
from spanish_tok.text.arrow import ids_kind
from spanish_tok.tokenization.tokenizer import Tokenizer

FORMAT = 1
METADATA_KEY = b"spanish-tok"
RECORD_BYTES = 16  # that a record counts beside its text, so that empty records fill a shard too
ROW_GROUP = 1 << 16
LONG_RECORD = 32 << 20  # bytes of text, from which on a shard is written in the way that takes least memory
MOST_IDS = 65_000_000  # of a record: Arrow takes 16 bytes an id while it writes one row of Parquet
TEXTS = pa.schema([pa.field("id", pa.string()), pa.field("text", pa.large_string(), nullable=False)])


def token_schema(size: int) -> pa.Schema:
    """Return the columns of token shards of a vocabulary of so many ids."""
    return pa.schema([pa.field("id", pa.string()), pa.field("tokens", ids_kind(size), nullable=False)])


class ShardInput(NamedTuple):
    """One shard to be written: its file name, and the records as Arrow batches."""

    name: str
    batches: list[pa.RecordBatch]


@dataclass(frozen=True)
class ShardJob(FieldsAlone):
    """All that a worker needs to write any shard of a job, here or on another machine.

    kind: "tokens" turns (id, text) into (id, tokens), "text" the other way.
    options: what decides the bytes of the shards beside inputs and vocabulary.
    inputs: what tells each input from another, in their order.

    It is small, and it pickles.
    """

    kind: Literal["tokens", "text"]
    tokenizer: Tokenizer
    options: dict[str, Any]
    inputs: list[dict[str, Any]]

    @property
    def described(self) -> dict[str, Any]:
        """The first entries of the manifest: all that decides the bytes of the shards."""
        vocabulary = self.tokenizer.vocabulary
        return {
            "format": FORMAT,
            "kind": self.kind,
            "spanish_tok": __version__,
            "vocabulary": {"fingerprint": vocabulary.fingerprint, "size": len(vocabulary)},
            "options": self.options,
            "inputs": self.inputs,
        }

    @cached_property
    def key(self) -> str:
        """SHA-256 of what is described; cached, as the list of inputs may be long."""
        return hashlib.sha256(json.dumps(self.described, sort_keys=True).encode()).hexdigest()

    @property
    def schema(self) -> pa.Schema:
        """The columns of its shards."""
        return token_schema(len(self.tokenizer.vocabulary)) if self.kind == "tokens" else TEXTS

    @property
    def counted(self) -> tuple[str, ...]:
        """The names of the counts that the manifest holds for each shard."""
        return ("records", "ids") if self.kind == "tokens" else ("records",)

    def convert(self, records: pa.RecordBatch | pa.Table) -> pa.Table:
        """Return a batch of records converted, on this thread and into one chunk."""
        if self.kind == "tokens":
            append_eos = self.options["append_eos"]
            column = self.tokenizer.encode_column(records["text"], append_eos, threads=1)
            if (longest := pc.max(pc.list_value_length(column)).as_py() or 0) > MOST_IDS:
                raise SpanishTokError(
                    f"A record becomes {longest:,} ids, and one of a shard has at most {MOST_IDS:,}",
                    "Cut it into several records, or let --max-row-bytes refuse such rows by their place.",
                )
        else:
            column = self.tokenizer.decode_column(records["tokens"])
        return pa.Table.from_arrays([records["id"], column], schema=self.schema).combine_chunks()

    def write(self, source: ShardInput, folder: Path) -> dict[str, Any]:
        """Write a shard, unless it lies there already; return its entry of the manifest.

        Removes the batches from `source`, to free memory: the caller must not keep references.
        """
        path = folder / source.name
        row = self.row_of(path)
        if row is None:
            row = self._write_groups(source.batches, path)
        return {"file": path.name, **row, "sha256": sha256_of_file(path)}

    def _write_groups(self, batches: list[pa.RecordBatch], path: Path) -> dict[str, int]:
        """Convert and write one row group after the other, each in memory of its own."""
        row = dict.fromkeys(self.counted, 0)
        long = max(int(_text_bytes(batch).max(initial=0)) for batch in batches) >= LONG_RECORD
        with atomic_path(path) as partial, parquet_writer(partial, self.schema, long=long) as writer:
            while batches:
                group = self.convert(take_rows(batches, ROW_GROUP))
                writer.write_table(group, ROW_GROUP)
                row["records"] += group.num_rows
                if "ids" in row:
                    row["ids"] += pc.sum(pc.list_value_length(group["tokens"])).as_py()
            note = {"key": self.key, "vocabulary": self.tokenizer.vocabulary.fingerprint, "row": row}
            writer.add_key_value_metadata({METADATA_KEY: json.dumps(note)})
        return row

    def row_of(self, path: Path) -> dict[str, int] | None:
        """Return the counts of a shard; None unless it is whole and of this job."""
        try:
            note = json.loads((pq.read_metadata(path).metadata or {}).get(METADATA_KEY, b"{}"))
        except (OSError, ValueError, RecursionError):  # no file; no Parquet
            return None
        fits = not fault_of(note, {"key": str, "row": dict.fromkeys(self.counted, COUNT)})
        return note["row"] if fits and note["key"] == self.key else None


def take_rows(batches: list[pa.RecordBatch], count: int) -> pa.Table:
    """Remove the first `count` rows from `batches`, and return them.

    Fewer where their texts are long (see `chunk_ends`), all rows if there are no more.
    """
    taken, rows, size = list[pa.RecordBatch](), 0, 0
    while batches:
        batch = batches.pop(0)
        lengths = _text_bytes(batch)
        ends = chunk_ends(lengths, count, rows, size)
        if len(ends):
            taken.append(batch.slice(0, int(ends[0])))
            if ends[0] < batch.num_rows:
                batches.insert(0, batch.slice(int(ends[0])))
            break
        taken.append(batch)
        rows, size = rows + batch.num_rows, size + int(weighted(lengths).sum())
    return pa.Table.from_batches(taken)


def _text_bytes(batch: pa.RecordBatch) -> NDArray[Any]:
    """Return the bytes of the texts of a batch.

    Of ids it is about those of the texts that they stand for.
    """
    if "text" in batch.schema.names:
        return np.asarray(pc.binary_length(batch["text"]))
    return 3 * np.asarray(pc.list_value_length(batch["tokens"]))


def parquet_writer(path: Path, schema: pa.Schema, *, long: bool = False) -> pq.ParquetWriter:
    """Return a writer of Parquet.

    The bytes of ids are split into streams, which is smaller and faster here than a dictionary. With `long` records
    their differences are packed, which takes two thirds of the memory and is as small.
    """
    ways: dict[str, Any] = {"compression": "zstd", "compression_level": 1}
    if "tokens" in schema.names:
        way = "DELTA_BINARY_PACKED" if long else "BYTE_STREAM_SPLIT"
        ways |= {"column_encoding": {"tokens.list.element": way}}
        ways |= {"compression": "none", "compression_level": None} if long else {}
    return pq.ParquetWriter(path, schema, use_dictionary=False, write_statistics=["id"], **ways)


def shard_inputs(
    items: Iterable[tuple[int, Input]], reports: Sequence[FileReport], shard_bytes: int
) -> Iterator[ShardInput]:
    """Yield the records of some inputs as shards.

    Each ends with the record that fills it.

    items: (index in the whole input, input); the index is in the file name.
    """
    for (index, item), report in zip(items, reports, strict=True):
        waiting: list[pa.RecordBatch] = []
        shard = size = 0
        for whole in item.read(report):
            batch = whole
            while batch.num_rows:
                lengths = pc.binary_length(batch["text"]).to_numpy().astype(np.int64)
                sizes = size + np.cumsum(lengths + RECORD_BYTES)
                last = int(np.searchsorted(sizes, shard_bytes))  # the record that fills the shard
                waiting.append(batch.slice(0, last + 1))
                size = int(sizes[-1])
                if last < len(sizes):
                    yield ShardInput(f"tokens-{index:05}-{shard:05}.parquet", waiting)
                    waiting, size, shard = [], 0, shard + 1
                batch = batch.slice(last + 1)
        if waiting:
            yield ShardInput(f"tokens-{index:05}-{shard:05}.parquet", waiting)
