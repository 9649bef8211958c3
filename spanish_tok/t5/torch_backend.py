"""The PyTorch backend of the generator.

Encode once, then one token at a time over a cache of keys and values.

Weights are copied once into the form that a step wants: (in, out) matrices, q, k and v in one, each norm's weight
folded into the matrix behind it. So a step is few operations, which is what a small model's speed hangs on.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor

from spanish_tok.t5.config import T5Config
from spanish_tok.t5.model import T5
from spanish_tok.t5.positions import buckets


@dataclass(frozen=True)
class Layer:
    """One decoder block's matrices, (in, out), norms folded in.

    `up` has both halves side by side if gated.
    """

    qkv: Tensor
    o: Tensor
    cross_q: Tensor
    cross_kv: Tensor
    cross_o: Tensor
    up: Tensor
    down: Tensor


class TorchBackend:
    """Decodes with a `T5`; keeps the `generation.Backend` protocol."""

    def __init__(self, model: T5) -> None:
        self.config: T5Config = model.config
        self._model = model.eval()
        self._silu = model.config.feed_forward_proj == "gated-silu"
        with torch.no_grad():
            self._layers = [_layer(block) for block in model.decoder.block]
            c = self.config
            norm = model.decoder.final_layer_norm.weight
            self._head = _transposed(model.head * (norm * c.d_model**-0.5 if c.scaled else norm))
            blocks: Any = model.decoder.block
            biased = blocks if c.biased_everywhere else [blocks[0]] * len(blocks)
            weights = [block.layer[0].inner.relative_attention_bias.weight.detach().T for block in biased]
            self._positions: Tensor = torch.stack(weights)  # (layers, heads, buckets)

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> "TorchBackend":
        """Load the backend of a model folder; raise SpanishTokError if it is damaged."""
        return cls(T5.load(folder))

    @torch.inference_mode()
    def start(self, batch: Sequence[Sequence[int]], limit: int) -> "TorchState":
        """Encode the rows of ids; see `generation.Backend.start`."""
        longest = max(map(len, batch))
        c, device = self.config, self._positions.device
        ids = torch.full((len(batch), longest), c.pad_token_id)
        for row, prompt in zip(ids, batch, strict=True):
            row[: len(prompt)] = torch.tensor(prompt)
        mask = None
        if any(len(prompt) < longest for prompt in batch):
            lengths = torch.tensor([len(prompt) for prompt in batch])
            mask = (torch.arange(longest) < lengths[:, None]).to(device)
        memory = self._model.encode(ids.to(device), mask)
        return TorchState(self, memory, mask, limit)


class TorchState:
    """A batch in progress: caches of keys and values.

    It keeps the `sampling.State` protocol.

    Caches are preallocated for `limit` steps; the encoder's keys and values are computed once, keys transposed.
    """

    def __init__(self, backend: TorchBackend, memory: Tensor, mask: Tensor | None, limit: int) -> None:
        c = backend.config
        self._backend = backend
        self._step = 0
        rows, length, _ = memory.shape
        self._cache = [memory.new_empty(2, rows, c.num_heads, limit, c.d_kv) for _ in backend._layers]
        self._memory: list[tuple[Tensor, Tensor]] = []
        for layer in backend._layers:
            k, v = (memory @ layer.cross_kv).view(rows, length, 2, c.num_heads, c.d_kv).unbind(2)
            self._memory.append((k.permute(0, 2, 3, 1).contiguous(), v.transpose(1, 2).contiguous()))
        self._memory_bias = memory.new_zeros(rows, 1, 1, length)
        if mask is not None:
            self._memory_bias.masked_fill_(~mask[:, None, None], -torch.inf)
        self._sources = np.arange(rows)
        bucket_of_distance = buckets(
            limit, 1, False, c.relative_attention_num_buckets, c.relative_attention_max_distance
        )  # distances -(limit - 1) to 0
        self._bias = backend._positions[
            :, :, torch.tensor(bucket_of_distance, device=memory.device)
        ]  # (layers, heads, limit)

    @property
    def rows(self) -> int:
        return len(self._sources)

    @torch.inference_mode()
    def step(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the logits that follow the last ids; see `sampling.State.step`."""
        backend, c = self._backend, self._backend.config
        x = F.embedding(torch.from_numpy(ids).to(self._bias.device), backend._model.shared.weight)
        for layer, cache, memory, bias in zip(
            backend._layers, self._cache, self._memory, self._bias, strict=True
        ):
            x = self._attend(x, layer, cache, bias)
            x = self._attend_to_memory(x, layer, *memory)
            up = _norm(x, c) @ layer.up
            if c.gated:
                gate, up = up.chunk(2, -1)
                up = (F.silu(gate) if backend._silu else F.gelu(gate, approximate="tanh")) * up
            else:
                up = up.relu_()
            x = torch.addmm(x, up, layer.down)
        self._step += 1
        scores: NDArray[np.float32] = (_norm(x, c) @ backend._head).cpu().numpy()
        return scores

    def _attend(self, x: Tensor, layer: Layer, cache: Tensor, bias: Tensor) -> Tensor:
        c, end = self._backend.config, self._step + 1
        qkv = (_norm(x, c) @ layer.qkv).view(-1, 3, c.num_heads, c.d_kv)
        cache[:, :, :, self._step] = qkv[:, 1:].transpose(0, 1)
        keys, values = cache[0, :, :, :end], cache[1, :, :, :end]
        scores = qkv[:, 0, :, None] @ keys.transpose(2, 3)
        scores += bias[:, None, -end:]
        mixed = scores.softmax(-1) @ values
        return torch.addmm(x, mixed.view(-1, c.inner), layer.o)

    def _attend_to_memory(self, x: Tensor, layer: Layer, keys: Tensor, values: Tensor) -> Tensor:
        c = self._backend.config
        q = (_norm(x, c) @ layer.cross_q).view(-1, c.num_heads, 1, c.d_kv)
        scores = q @ keys
        scores += self._memory_bias
        mixed = scores.softmax(-1) @ values
        return torch.addmm(x, mixed.view(-1, c.inner), layer.cross_o)

    @torch.inference_mode()
    def reorder(self, rows: NDArray[np.int64]) -> None:
        """Replace row i by what was row rows[i]; see `generation.State.reorder`."""
        chosen = torch.from_numpy(rows).to(self._bias.device)
        if not np.array_equal(rows, np.arange(self.rows)):
            for layer, cache in enumerate(self._cache):
                fresh = cache.new_empty(2, len(rows), *cache.shape[2:])
                fresh[:, :, :, : self._step] = cache[:, :, :, : self._step].index_select(1, chosen)
                self._cache[layer] = fresh
        sources = self._sources[rows]
        if not np.array_equal(sources, self._sources):  # beams of one text share what they attend to
            self._memory = [(k.index_select(0, chosen), v.index_select(0, chosen)) for k, v in self._memory]
            self._memory_bias = self._memory_bias.index_select(0, chosen)
        self._sources = sources


def _norm(x: Tensor, config: T5Config) -> Tensor:
    return F.rms_norm(x, (config.d_model,), None, config.layer_norm_epsilon)


def _transposed(matrix: Tensor) -> Tensor:
    return matrix.detach().float().T.contiguous()


def _layer(block: Any) -> Layer:
    """Return the matrices of a decoder block in the form that a step wants."""
    attention, cross, forward = block.layer
    mine, other = attention.inner, cross.inner
    wi = [forward.inner.wi_0, forward.inner.wi_1] if forward.inner.gated else [forward.inner.wi]
    return Layer(
        qkv=_transposed(
            torch.cat([m.weight for m in (mine.q, mine.k, mine.v)]) * attention.layer_norm.weight
        ),
        o=_transposed(mine.o.weight),
        cross_q=_transposed(other.q.weight * cross.layer_norm.weight),
        cross_kv=_transposed(torch.cat([other.k.weight, other.v.weight])),
        cross_o=_transposed(other.o.weight),
        up=_transposed(torch.cat([m.weight for m in wi]) * forward.layer_norm.weight),
        down=_transposed(forward.inner.wo.weight),
    )
