"""The backend of the generator without PyTorch: NumPy and compiled kernels.

It runs on any processor.

Weights lie in memory in the order in which a step reads them: at batch 1 a step is one pass over them, and as fast as
the memory (or cache) that holds them. Kernels run without the GIL and share nothing, so threads can decode at once.
"""

import os
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spanish_tok.errors import SpanishTokError
from spanish_tok.kernels.nn import t5 as kernels
from spanish_tok.kernels.nn.lanes import LANES
from spanish_tok.t5.checkpoint import Checkpoint
from spanish_tok.t5.cpu_encoder import CpuEncoder
from spanish_tok.t5.cpu_weights import PRECISIONS, aligned, head_of, pack_decoder, pack_screen, padded
from spanish_tok.t5.safetensors import Precision

KVCache = tuple[
    NDArray[Any], NDArray[Any], NDArray[np.float32], NDArray[np.float32]
]  # keys, values, their scales

TOKENS_AT_A_TIME = 1024  # that the encoder takes, of whole texts


class CpuBackend(CpuEncoder):
    """Decodes with a checkpoint's weights; keeps the `search.Backend` protocol.

    `precision`: "float32"; "bfloat16" halves the weights; "int8" quarters them, and rounds to int16 what they are
    multiplied with. With narrow weights the caches of keys and values are int16, too, with a scale for each of them.
    """

    def __init__(self, checkpoint: Checkpoint, precision: Precision | None = None) -> None:
        """Pack the weights; without a `precision` as they are stored: int8, else float32."""
        if precision is None:
            precision = "int8" if checkpoint.int8 else "float32"
        if precision not in PRECISIONS:
            raise SpanishTokError(f"There is no precision {precision!r}", f"Give {', '.join(PRECISIONS)}.")
        config, tensors = checkpoint.config, checkpoint.tensors
        super().__init__(config, tensors, precision)
        self.precision = precision
        self._decoder = pack_decoder(config, tensors, precision)
        self._scaled = precision != "float32"
        self._screen = None if precision == "int8" else pack_screen(head_of(config, tensors), precision)

    @classmethod
    def load(cls, folder: str | os.PathLike[str], precision: Precision | None = None) -> "CpuBackend":
        """Load the backend of a model folder; raise SpanishTokError if it is damaged."""
        return cls(Checkpoint.load(folder), precision)

    def start(self, batch: Sequence[Sequence[int]], limit: int) -> "CpuState":
        """Encode the rows of ids; see `search.Backend.start`."""
        return CpuState(self, [np.array(ids, np.int64) for ids in batch], limit)

    def _kept(self, shape: tuple[int, ...], capacity: int) -> KVCache:
        """Return room for `capacity` keys and values, and their scales.

        `capacity` is a multiple of 64; each is of `shape`.
        """
        kind = np.dtype(np.int16 if self._scaled else np.float32)
        scales = (*shape, capacity if self._scaled else 0)
        widths = self.config.d_kv, padded(self.config.d_kv)
        keys, values = (aligned((*shape, capacity * width), kind) for width in widths)
        return keys, values, aligned(scales, np.float32), aligned(scales, np.float32)


class CpuState:
    """A batch under way; keeps the `search.State` protocol.

    The caches hold `limit` steps of each row; what the decoder attends to is kept once for each text.
    """

    def __init__(self, backend: CpuBackend, batch: list[NDArray[np.int64]], limit: int) -> None:
        c = backend.config
        self._backend = backend
        self._step, self._limit = 0, limit
        rows, capacity = len(batch), padded(limit)
        shape = (c.num_decoder_layers, rows, c.num_heads)
        self._cache = backend._kept(shape, capacity)
        positions = backend._positions(backend._decoder, capacity, 1, False)
        self._bias = np.zeros((len(positions), c.num_heads, capacity + LANES), np.float32)
        self._bias[:, :, :capacity] = positions
        self._memory = _remember(backend, batch)
        self._texts = np.arange(rows)
        self._longest = max(limit, *map(len, batch))
        self._make_room(rows)

    def _make_room(self, rows: int) -> None:
        self._buffers = self._backend._buffers(rows, 1, self._longest)
        self._logits = aligned((rows, padded(self._backend.config.vocab_size)), np.float32)

    def step(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the logits that follow the last ids; see `sampling.State.step`."""
        kernels.decode_logits(*self._arguments(ids), self._logits)
        self._step += 1
        return self._logits[: len(ids), : self._backend.config.vocab_size]

    def best(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the most probable id of each row, without all logits.

        See `sampling.GreedyState`.
        """
        screen, size = self._backend._screen, self._backend.config.vocab_size
        if screen is None or len(ids) > 1:
            highest: NDArray[np.int64] = self.step(ids).argmax(axis=1)
            return highest
        winner = kernels.decode_best(*self._arguments(ids), self._logits, screen, size)
        self._step += 1
        return np.array([winner])

    def _arguments(self, ids: NDArray[np.int64]) -> tuple[Any, ...]:
        """Return the arguments of the kernels' `decode`."""
        if self._step == self._limit:
            raise IndexError(f"all {self._limit} steps are done")
        backend = self._backend
        matrices, norms, sizes, _ = backend._decoder
        memory = (*self._memory, self._texts)
        return (
            *(ids, self._step, matrices, norms, backend._table, sizes, backend._epsilon),
            *(self._bias, self._cache, memory, self._buffers),
        )

    def reorder(self, rows: NDArray[np.int64]) -> None:
        """Replace row i by what was row rows[i]; see `search.State.reorder`."""
        self._texts = self._texts[rows]
        if len(rows) > len(self._logits):
            self._make_room(len(rows))
        if not np.array_equal(rows, np.arange(self._cache[0].shape[1])):
            d_kv, done = self._backend.config.d_kv, self._step
            keys, values, *scales = self._cache
            keys = _taken(keys, rows, 1, padded(done) * d_kv)
            values = _taken(values, rows, padded(d_kv) // LANES, done * LANES)
            key_scales, value_scales = (_taken(factors, rows, 1, done) for factors in scales)
            self._cache = keys, values, key_scales, value_scales


def _taken(cache: NDArray[Any], rows: NDArray[np.int64], groups: int, used: int) -> NDArray[Any]:
    """Return rows of a cache (layers, rows, heads, numbers).

    Of each head's numbers the first `used` of each group count.
    """
    layers, before, heads, size = cache.shape
    fresh = aligned((layers, len(rows), heads, groups, size // groups), cache.dtype)
    fresh[..., :used] = cache.reshape(layers, before, heads, groups, size // groups)[:, rows, :, :, :used]
    return fresh.reshape(layers, len(rows), heads, size)


def _remember(
    backend: CpuBackend, batch: list[NDArray[np.int64]]
) -> tuple[KVCache, NDArray[np.int64], NDArray[np.int64]]:
    """Encode texts for the decoder.

    Returns keys and values of its layers, the position of each text in them, and its length.
    """
    c = backend.config
    lengths = np.array([len(ids) for ids in batch])
    ends = np.cumsum([padded(length) for length in lengths])
    starts = ends - ends[0] if len(batch) == 1 else np.concatenate([[0], ends[:-1]])
    kept = backend._kept((c.num_decoder_layers, c.num_heads), int(ends[-1]))
    matrices, _, sizes, _ = backend._decoder
    for first, last in _groups(lengths):
        texts = np.array([0, *accumulate(lengths[first:last])], np.int64)
        buffers = backend._encode(np.concatenate(batch[first:last]), texts)
        kernels.remember(texts, matrices, sizes, buffers, starts[first:last], kept)
    return kept, starts, lengths


def _groups(lengths: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Cut texts in order into groups of at most TOKENS_AT_A_TIME ids.

    Or one longer text; yields (first, last) of each.

    >>> _groups(np.array([600, 400, 100, 5000, 3]))
    [(0, 2), (2, 3), (3, 4), (4, 5)]
    """
    groups, first, total = [], 0, 0
    for text, length in enumerate(lengths):
        if text > first and total + length > TOKENS_AT_A_TIME:
            groups.append((first, text))
            first, total = text, 0
        total += int(length)
    return [*groups, (first, len(lengths))]
