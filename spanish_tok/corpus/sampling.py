"""A uniform sample: the records whose keyed hashes are smallest.

It does not depend on the order of the input.

The key of a record is XXH64 of its id, with the XXH64 of its source's name (with the seed) as seed; where it
has no id, of its text, the seed increased by how often that text stood there without an id before. So the same
seed draws the same records from files in any order, in batches of any size, by any number of workers, and
the samples of parts merge into the sample of the whole.
"""

from collections.abc import Sequence
from math import sqrt
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from spanish_tok.kernels.hash import hash_rows, occurrences, xxh64
from spanish_tok.text.arrow import bytes_and_offsets, text_chunks

Keys = NDArray[np.uint64]

SCHEMA = pa.schema([("key", pa.uint64()), ("id", pa.string()), ("text", pa.string())])
LARGEST_KEY = 2**64 - 1
CHUNK_BYTES = (
    32 << 20
)  # of text that are cleaned into one shard; a chunk ends with the record that reaches it
LONG_TEXT, LONG_WEIGHT = (
    4096,
    4,
)  # bytes; several chunks are in memory at once, and few records make them large


class KeyedSource:
    """One source of records, which gives them their keys.

    Records without ids must come in one stream.

    >>> batch = pa.record_batch({"id": ["7", "8"], "text": ["uno", "dos"]})
    >>> KeyedSource("es", seed=0).keys_of(batch)
    array([15282559627321129575, 13330457478938082823], dtype=uint64)
    """

    def __init__(self, name: str, seed: int) -> None:
        data = np.frombuffer(name.encode(), np.uint8)
        self.name = name
        self._seed = np.uint64(xxh64(data, 0, len(data), np.uint64(seed)))
        self._seen: NDArray[np.uint64] | None = (
            None  # (hash of a text, how often): only where ids are missing
        )
        self._filled = 0

    @property
    def counts_texts(self) -> bool:
        """Whether keys depend on what came before: some records had no id."""
        return self._seen is not None

    def keys_of(self, batch: pa.RecordBatch) -> Keys:
        """Return the keys of the records of a batch with the columns id and text."""
        ids, texts = batch.column("id"), batch.column("text")
        if ids.null_count == 0:
            return self._hashes(ids)
        missing = ids.is_null()  # only their texts are counted, else keys would depend on batches
        keys = self._hashes(ids)
        keys[missing.to_numpy(zero_copy_only=False)] = self._text_keys(texts.filter(missing))
        return keys

    def _hashes(self, column: pa.Array, seeds: Keys | None = None) -> Keys:
        (chunk,) = text_chunks(column)
        seeds = np.full(len(column), self._seed) if seeds is None else seeds
        return np.asarray(hash_rows(*bytes_and_offsets(chunk), seeds))

    def _text_keys(self, texts: pa.Array) -> Keys:
        if self._seen is None:
            self._seen = np.zeros((1 << 16, 2), np.uint64)
        hashes = self._hashes(texts)
        before, self._seen, self._filled = occurrences(hashes, self._seen, self._filled)
        return self._hashes(texts, before + self._seed) if before.any() else hashes


class Threshold:
    """Which keys may still be among the `size` smallest: those of `low` to `high`.

    Holds at most twice `size` keys of 8 bytes. `high` falls as keys are added; it begins at a guess where
    it is known about how many `rows` there will be, so that little is kept in vain.
    """

    def __init__(self, size: int, low: int = 0, rows: int | None = None) -> None:
        self.size = size
        self.low = low
        self.high = LARGEST_KEY if rows is None else guessed_threshold(size, low, rows)
        self._parts: list[Keys] = []
        self._held = 0

    def admits(self, keys: Keys) -> NDArray[np.bool_]:
        """Return True for each key that may be among the smallest."""
        return (keys >= np.uint64(self.low)) & (keys <= np.uint64(self.high))

    def add(self, keys: Keys) -> None:
        """Take note of keys that were admitted."""
        self._parts.append(keys)
        self._held += len(keys)
        if self._held >= 2 * self.size:
            self._shrink()

    def smallest(self) -> Keys:
        """Return the `size` smallest keys in order, and those equal to the last.

        Fewer if there are no more.
        """
        if self._held > self.size:
            self._shrink()
        keys = self._joined()
        keys.sort()
        return keys

    def _shrink(self) -> None:
        keys = self._joined()
        keys.partition(self.size - 1)  # in place: there may be millions
        self.high = int(keys[self.size - 1])
        self._parts = [keys[keys <= keys[self.size - 1]]]
        self._held = len(self._parts[0])

    def _joined(self) -> Keys:
        """Return all keys as one array, which takes the place of the parts."""
        self._parts = [np.concatenate([np.empty(0, np.uint64), *self._parts])]
        return self._parts[0]


def guessed_threshold(size: int, low: int, rows: int) -> int:
    """Return a key below which about `size` of the keys from `low` on lie.

    It is six standard deviations on the safe side.
    """
    wanted = size + 6 * sqrt(size) + 100
    share = wanted / max(rows, 1) + low / LARGEST_KEY
    return LARGEST_KEY if share >= 1 else int(share * LARGEST_KEY)


def candidates_of(batch: pa.RecordBatch, keys: Keys, threshold: Threshold) -> pa.RecordBatch:
    """Return the records of a batch that the threshold admits, by their keys.

    They are (key, id, text), in the order of their keys.
    """
    chosen = np.flatnonzero(threshold.admits(keys))
    chosen = chosen[np.argsort(keys[chosen], kind="stable")]
    kept = batch.take(pa.array(chosen))
    return pa.record_batch([pa.array(keys[chosen]), kept.column("id"), kept.column("text")], schema=SCHEMA)


def admitted(candidates: pa.RecordBatch, threshold: Threshold) -> pa.RecordBatch:
    """Return the candidates that the threshold still admits."""
    return candidates.filter(pa.array(threshold.admits(candidates.column("key").to_numpy())))


def in_order(parts: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """Return candidates as one batch in the order of the sample.

    That is by key, equal keys by id and text.
    """
    (batch,) = pa.Table.from_batches(parts, SCHEMA).combine_chunks().to_batches() or [empty_batch()]
    keys = batch.column("key").to_numpy()
    order = np.argsort(keys, kind="stable")
    if len(keys) > 1 and (np.diff(keys[order]) == 0).any():  # the same id twice
        order = pc.sort_indices(batch, [(name, "ascending") for name in SCHEMA.names])
    return batch.take(pa.array(order))


def chunk_ends(lengths: NDArray[Any], most: int, rows: int = 0, size: int = 0) -> NDArray[np.int64]:
    """Return where chunks end in records whose texts have these lengths in bytes.

    A chunk is cleaned at once and becomes a shard: `most` records, fewer where they have CHUNK_BYTES of text; a long
    text counts LONG_WEIGHT times. `rows` and `size` (weighted bytes) are in the first chunk already.

    >>> chunk_ends(np.array([10, CHUNK_BYTES, 10, 10, 10, 10]), 3).tolist()
    [2, 5]
    """
    sizes = np.cumsum(weighted(lengths))
    ends, begin, before = list[int](), 0, -size
    left = most - rows
    while begin < len(sizes):
        end = min(begin + left, int(np.searchsorted(sizes, before + CHUNK_BYTES)) + 1)
        if end > len(sizes):
            break
        ends.append(end)
        begin, before, left = end, int(sizes[end - 1]), most
    return np.array(ends, np.int64)


def weighted(lengths: NDArray[Any]) -> NDArray[np.int64]:
    """Return lengths in bytes, those of long texts times LONG_WEIGHT."""
    lengths = lengths.astype(np.int64)
    return np.where(lengths > LONG_TEXT, LONG_WEIGHT * lengths, lengths)


def empty_batch() -> pa.RecordBatch:
    """No candidates."""
    return pa.RecordBatch.from_pylist([], SCHEMA)


def merge_samples(parts: Sequence[pa.RecordBatch], size: int) -> pa.RecordBatch:
    """Merge samples of parts into the sample of the whole.

    Each part has at least `size` records, or is a whole part.

    Takes and gives batches of (key, id, text). Associative, so that samples merge as a tree.
    """
    return in_order(parts).slice(0, size)
