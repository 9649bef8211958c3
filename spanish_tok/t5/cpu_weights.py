"""A checkpoint's tensors in the form in which the kernels read them.

In one of three precisions, in the order of reading.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from spanish_tok.kernels.nn.lanes import LANES
from spanish_tok.kernels.nn.matmul import LINE, pack
from spanish_tok.kernels.nn.matmul_int8 import LARGEST, pack_pairs, paired
from spanish_tok.t5.checkpoint import Tensors
from spanish_tok.t5.config import T5Config
from spanish_tok.t5.quantization import quantize
from spanish_tok.t5.safetensors import Precision, from_bfloat16, to_bfloat16

PRECISIONS: tuple[Precision, ...] = get_args(Precision)
GATES = ("relu", "gated-gelu", "gated-silu")  # what the kernels call 0, 1, 2
Weights = NDArray[np.float32] | NDArray[np.uint16] | NDArray[np.int8]


class Matrices(NamedTuple):
    """Matrices in panels, one behind the other.

    See kernels/nn/matmul.py, for int8 kernels/nn/matmul_int8.py.
    """

    weights: Weights
    scales: NDArray[np.float32]  # one a row of the panels with int8, else empty
    starts: NDArray[np.int64]  # (2, matrices + 1): where each begins in weights and in scales


class EmbeddingTable(NamedTuple):
    """The embedding: a row of each id, padded with zeros to a multiple of 64 columns."""

    rows: Weights
    scales: NDArray[np.float32]  # one a row with int8, else empty


class Screen(NamedTuple):
    """The output layer in int8, from which `best` bounds the logits.

    See kernels/nn/argmax.py.
    """

    rough: NDArray[np.int8]
    scales: NDArray[np.float32]
    errors: NDArray[np.float32]


class Sizes(NamedTuple):
    """What the kernels need to know of a stack's shape."""

    layers: int
    d_model: int
    heads: int
    d_kv: int
    d_ff: int
    gated: int  # 0: ReLU, 1: gated by GELU, 2: by SiLU


class PackedStack(NamedTuple):
    """The encoder or the decoder, packed."""

    matrices: Matrices
    norms: NDArray[np.float32]  # (norms in the order of their use, padded d_model)
    sizes: Sizes
    positions: NDArray[np.float32]  # (layers, or 1 for all, heads, buckets): the relative position bias


def padded(size: int) -> int:
    """Return the next multiple of 64.

    >>> padded(320), padded(321)
    (320, 384)
    """
    return -(-size // LANES) * LANES


def aligned(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Return an array, not initialized, that starts with a line of the cache.

    No vector then lies in two lines.
    """
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.empty(size + LINE, np.uint8)
    start = -memory.ctypes.data % LINE
    within: NDArray[Any] = memory[start : start + size].view(dtype).reshape(shape)
    return within


def pack_encoder(config: T5Config, tensors: Tensors, precision: Precision) -> PackedStack:
    """Pack the encoder.

    Of each layer q, k and v in one matrix, o, the feed-forward's first (gated: both), its last.
    """

    def matrices() -> Iterator[NDArray[np.float32]]:
        for block in range(config.num_layers):
            layer = f"encoder.block.{block}.layer"
            yield _joined(tensors, f"{layer}.0.SelfAttention", "qkv")
            yield tensors[f"{layer}.0.SelfAttention.o.weight"]
            yield from _feed_forward(config, tensors, f"{layer}.1.DenseReluDense")

    return _stack(config, tensors, "encoder", pack_matrices([*matrices()], precision))


def pack_decoder(config: T5Config, tensors: Tensors, precision: Precision) -> PackedStack:
    """Pack the decoder in the order of a step.

    Then the output layer, then of each layer k and v of the encoder's output.
    """
    blocks = [f"decoder.block.{block}.layer" for block in range(config.num_decoder_layers)]

    def matrices() -> Iterator[NDArray[np.float32]]:
        for layer in blocks:
            yield _joined(tensors, f"{layer}.0.SelfAttention", "qkv")
            yield tensors[f"{layer}.0.SelfAttention.o.weight"]
            yield tensors[f"{layer}.1.EncDecAttention.q.weight"]
            yield tensors[f"{layer}.1.EncDecAttention.o.weight"]
            yield from _feed_forward(config, tensors, f"{layer}.2.DenseReluDense")
        yield head_of(config, tensors)
        for layer in blocks:
            yield _joined(tensors, f"{layer}.1.EncDecAttention", "kv")

    stack = _stack(config, tensors, "decoder", pack_matrices([*matrices()], precision))
    if config.scaled:
        stack.norms[-1] *= np.float32(config.d_model**-0.5)
    return stack


def head_of(config: T5Config, tensors: Tensors) -> NDArray[np.float32]:
    """Return the output layer (ids, d_model)."""
    return tensors["shared.weight" if config.tie_word_embeddings else "lm_head.weight"]


def pack_table(embedding: NDArray[np.float32], precision: Precision) -> EmbeddingTable:
    """Pack the embedding (ids, d_model).

    A kernel reads its rows in whole vectors.
    """
    stored, scales = _stored(embedding, precision)
    rows = aligned((len(stored), padded(stored.shape[1])), stored.dtype)
    rows[:, stored.shape[1] :] = 0
    rows[:, : stored.shape[1]] = stored
    return EmbeddingTable(rows, scales)


def pack_matrices(matrices: Sequence[NDArray[np.float32]], precision: Precision) -> Matrices:
    """Lay matrices (outputs, inputs) out in panels, one behind the other."""
    whole = precision == "int8"
    rows = [padded(len(matrix)) for matrix in matrices]
    columns = [paired(matrix.shape[1]) if whole else matrix.shape[1] for matrix in matrices]
    sizes = [count * width for count, width in zip(rows, columns, strict=True)]
    starts = np.zeros((2, len(matrices) + 1), np.int64)
    np.cumsum(sizes, out=starts[0, 1:])
    if whole:
        np.cumsum(rows, out=starts[1, 1:])
    scales = np.zeros(starts[1, -1], np.float32)
    weights = aligned((int(starts[0, -1]),), _STORED[precision])
    for matrix, (start, scale_start) in zip(matrices, starts.T, strict=False):
        stored, own_scales = _stored(matrix, precision)
        (pack_pairs if whole else pack)(stored, weights[start:])
        scales[scale_start : scale_start + len(own_scales)] = own_scales
    return Matrices(weights, scales, starts)


ROUNDING = np.float32(1e-4)  # of a row's length: above what summing 1,024 products in float32 may lose, twice
UNUSED = np.float32(1e30)  # the error of a row that only fills a panel


def pack_screen(head: NDArray[np.float32], precision: Precision) -> Screen:
    """Pack the output layer (ids, d_model) in int8, with bounds of errors.

    One bound a row; see kernels/nn/argmax.py.
    """
    exact = from_bfloat16(to_bfloat16(head)) if precision == "bfloat16" else head
    quantized, _ = quantize(exact)
    packed = pack_matrices([exact], "int8")
    errors = np.full(packed.scales.size, UNUSED)
    difference = np.linalg.norm(exact - quantized * packed.scales[: len(head), None], axis=1)
    rounding = ROUNDING + np.sqrt(head.shape[1]) / 2 / LARGEST
    errors[: len(head)] = difference + rounding * (np.linalg.norm(exact, axis=1) + difference)
    return Screen(packed.weights, packed.scales, errors)  # type: ignore[arg-type]


_STORED = {"float32": np.float32, "bfloat16": np.uint16, "int8": np.int8}


def _stored(matrix: NDArray[np.float32], precision: Precision) -> tuple[Weights, NDArray[np.float32]]:
    """Return a matrix in the type of a precision, and for int8 its scales."""
    if precision == "int8":
        return quantize(matrix)
    none = np.zeros(0, np.float32)
    return (to_bfloat16(matrix), none) if precision == "bfloat16" else (np.ascontiguousarray(matrix), none)


def _joined(tensors: Tensors, attention: str, names: str) -> NDArray[np.float32]:
    return np.concatenate([tensors[f"{attention}.{name}.weight"] for name in names])


def _feed_forward(config: T5Config, tensors: Tensors, layer: str) -> Iterator[NDArray[np.float32]]:
    names = ("wi_0", "wi_1") if config.gated else ("wi",)
    yield np.concatenate([tensors[f"{layer}.{name}.weight"] for name in names])
    yield tensors[f"{layer}.wo.weight"]


def _stack(config: T5Config, tensors: Tensors, name: str, matrices: Matrices) -> PackedStack:
    decoder = name == "decoder"
    layers = config.num_decoder_layers if decoder else config.num_layers
    norm_names = [
        f"{name}.block.{block}.layer.{layer}.layer_norm"
        for block in range(layers)
        for layer in range(3 if decoder else 2)
    ]
    norms = np.zeros((len(norm_names) + 1, padded(config.d_model)), np.float32)
    for row, norm in zip(norms, [*norm_names, f"{name}.final_layer_norm"], strict=True):
        row[: config.d_model] = tensors[f"{norm}.weight"]
    c = config
    gated = GATES.index(c.feed_forward_proj)
    sizes = Sizes(layers, c.d_model, c.num_heads, c.d_kv, c.d_ff, gated)
    biases = [
        tensors[f"{name}.block.{block}.layer.0.SelfAttention.relative_attention_bias.weight"].T
        for block in range(layers if c.biased_everywhere else 1)
    ]
    return PackedStack(matrices, norms, sizes, np.stack(biases))
