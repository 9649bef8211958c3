"""T5's encoder without PyTorch: NumPy and compiled kernels."""

import numpy as np
from numpy.typing import NDArray

from spanish_tok.kernels.nn import t5 as kernels
from spanish_tok.kernels.nn.lanes import LANES
from spanish_tok.t5.checkpoint import Tensors
from spanish_tok.t5.config import T5Config
from spanish_tok.t5.cpu_weights import PackedStack, aligned, pack_encoder, pack_table, padded
from spanish_tok.t5.positions import buckets
from spanish_tok.t5.safetensors import Precision


class CpuEncoder:
    """The encoder of a model, with its embedding.

    Its kernels run without the GIL and share nothing, so threads can encode at once.
    """

    def __init__(self, config: T5Config, tensors: Tensors, precision: Precision) -> None:
        self.config = config
        self._encoder = pack_encoder(config, tensors, precision)
        self._table = pack_table(tensors["shared.weight"], precision)
        self._epsilon = np.float32(config.layer_norm_epsilon)

    def encode(self, ids: NDArray[np.int64], texts: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the hidden states (ids, d_model) of whole texts.

        Text t is ids[texts[t]:texts[t + 1]].
        """
        return self._encode(ids, texts)[1][: len(ids), : self.config.d_model]

    def _positions(
        self, stack: PackedStack, queries: int, keys: int, bidirectional: bool
    ) -> NDArray[np.float32]:
        """Return what is added to scores, by distance.

        They are (layers or 1 for all, heads, queries + keys - 1).

        The distances are -(queries - 1) to keys - 1.
        """
        c = self.config
        count, furthest = c.relative_attention_num_buckets, c.relative_attention_max_distance
        return stack.positions[:, :, buckets(queries, keys, bidirectional, count, furthest)]

    def _buffers(self, rows: int, queries: int, keys: int) -> tuple[NDArray[np.float32], ...]:
        """Return the kernels' buffers x, y, z and scores (see kernels/nn/t5.py)."""
        c = self.config
        narrow = padded(max(c.d_model, c.inner, c.d_kv)) + LANES
        wide = padded(max(3 * c.inner, c.d_ff * (2 if c.gated else 1), c.d_model)) + LANES
        shapes = (rows, narrow), (rows, narrow), (rows, wide), (queries, padded(keys) + LANES)
        x, y, z, scores = (aligned(shape, np.float32) for shape in shapes)
        return x, y, z, scores

    def _encode(self, ids: NDArray[np.int64], texts: NDArray[np.int64]) -> tuple[NDArray[np.float32], ...]:
        """Encode whole texts; return the buffers, with the result in the second.

        Text t is ids[texts[t]:texts[t + 1]].
        """
        c, longest = self.config, int(np.diff(texts).max())
        buffers = self._buffers(len(ids), kernels.QUERIES, longest)
        middle = padded(longest) + LANES
        positions = self._positions(self._encoder, longest, longest, True)
        bias = np.zeros((len(positions), c.num_heads, 2 * middle), np.float32)
        bias[:, :, middle - longest + 1 : middle + longest] = positions
        keys = aligned((padded(longest) * c.d_kv,), np.float32)
        values = aligned((padded(longest) * padded(c.d_kv),), np.float32)
        matrices, norms, sizes, _ = self._encoder
        kernels.encode(
            ids, texts, matrices, norms, self._table, sizes, self._epsilon, bias, buffers, keys, values
        )
        return buffers
