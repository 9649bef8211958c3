"""The layers of T5 in PyTorch.

Dropout, norm, attention, feed-forward, and the blocks that they make.

What sets them apart: RMS norm without bias before each sublayer, no scaling of attention scores, no biases in
linear layers. Parameters have the names of transformers.
"""

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from spanish_tok.t5.config import T5Config
from spanish_tok.t5.positions import buckets


class _Drop(torch.autograd.Function):
    """Dropout of float32 on a CPU, several times as fast as torch's.

    See kernels/nn/dropout.py.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, rate: float) -> Tensor:
        ctx.arguments = (int(torch.randint(1 << 32, ())), int(rate * (1 << 32)))
        return _dropped(x, *ctx.arguments)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _dropped(gradients[0], *ctx.arguments), None


def _dropped(x: Tensor, seed: int, levels: int) -> Tensor:
    from spanish_tok.kernels.nn.dropout import drop

    x = x.detach().contiguous()
    result = torch.empty_like(x)
    drop(x.view(-1).numpy(), result.view(-1).numpy(), seed, levels)
    return result


class Dropout(nn.Module):
    """Dropout, drawn from torch's own random state."""

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.rate = config.dropout_rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.rate:
            return x
        if x.device.type != "cpu" or x.dtype != torch.float32 or torch.compiler.is_compiling():
            return F.dropout(x, self.rate)
        dropped: Tensor = _Drop.apply(x, self.rate)  # type: ignore[no-untyped-call]
        return dropped


class Norm(nn.Module):
    """RMS norm: x / sqrt(mean(x^2) + epsilon) * weight; no mean, no bias.

    Zhang and Sennrich 2019.
    """

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(config.d_model))
        self.epsilon = config.layer_norm_epsilon

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.weight.shape, self.weight, self.epsilon)


class Attention(nn.Module):
    """Attention of several heads; the scores are not scaled.

    `bias` (positions and mask) is added to them.
    """

    def __init__(self, config: T5Config, positions: bool = False) -> None:
        super().__init__()
        self.config = config
        self.dropout = Dropout(config)
        self.positions = positions
        # (queries, keys, bidirectional) -> buckets, for a compiled step, which cannot make them; see compiled_step.py
        self.buckets_ahead: dict[tuple[int, int, bool], Tensor] = {}
        self.q = nn.Linear(config.d_model, config.inner, bias=False)
        self.k = nn.Linear(config.d_model, config.inner, bias=False)
        self.v = nn.Linear(config.d_model, config.inner, bias=False)
        self.o = nn.Linear(config.inner, config.d_model, bias=False)
        if positions:
            self.relative_attention_bias = nn.Embedding(
                config.relative_attention_num_buckets, config.num_heads
            )

    def forward(self, x: Tensor, bias: Tensor | None, source: Tensor | None = None) -> Tensor:
        """Attend: x (batch, queries, d_model) -> the same.

        Keys and values come from `source`, or from x itself.

        `bias` (1 or batch, 1 or heads, 1 or queries, keys) is added to the scores; None: nothing is.
        """
        source = x if source is None else source
        q, k, v = (self._heads(matrix(y)) for matrix, y in ((self.q, x), (self.k, source), (self.v, source)))
        if self.training and (self.config.dropout_rate or torch.compiler.is_compiling()):
            scores = q @ k.transpose(
                2, 3
            )  # a compiler fuses these; with a bias that learns torch's own does not
            mixed = self.dropout((scores if bias is None else scores + bias).softmax(-1)) @ v
        else:
            mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=1.0)
        output: Tensor = self.o(mixed.transpose(1, 2).flatten(2))
        return output

    def _heads(self, x: Tensor) -> Tensor:
        batch, length, _ = x.shape
        return x.view(batch, length, self.config.num_heads, self.config.d_kv).transpose(1, 2)

    def position_bias(self, queries: int, keys: int, bidirectional: bool) -> Tensor:
        """Return the bias by relative position, (1, heads, queries, keys)."""
        config, weight = self.config, self.relative_attention_bias.weight
        shape = config.relative_attention_num_buckets, config.relative_attention_max_distance
        numbers = self.buckets_ahead.get((queries, keys, bidirectional))
        if numbers is None:
            numbers = bucket_numbers(queries, keys, bidirectional, *shape, weight.device)
        bias = F.embedding(numbers, weight).permute(2, 0, 1)[None]
        # what lies in order a compiled step reads in vectors
        return bias.contiguous() if torch.compiler.is_compiling() else bias


def bucket_numbers(
    queries: int, keys: int, bidirectional: bool, count: int, furthest: int, device: torch.device
) -> Tensor:
    """Return the bucket of each query and key, int64 (queries, keys)."""
    numbers = torch.tensor(buckets(queries, keys, bidirectional, count, furthest), device=device)
    pairs = torch.arange(keys, device=device) - torch.arange(queries, device=device)[:, None]
    return numbers[pairs + queries - 1]


class FeedForward(nn.Module):
    """Two linear layers with ReLU between.

    Gated: GELU(x W0) * (x W1) instead of ReLU(x W), or SiLU for GELU.
    """

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.gated = config.gated
        self.silu = config.feed_forward_proj == "gated-silu"
        if self.gated:
            self.wi_0 = nn.Linear(config.d_model, config.d_ff, bias=False)
            self.wi_1 = nn.Linear(config.d_model, config.d_ff, bias=False)
        else:
            self.wi = nn.Linear(config.d_model, config.d_ff, bias=False)
        self.wo = nn.Linear(config.d_ff, config.d_model, bias=False)
        self.dropout = Dropout(config)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.gate(self.wi_0(x)) * self.wi_1(x) if self.gated else F.relu(self.wi(x))
        output: Tensor = self.wo(self.dropout(inner))
        return output

    def gate(self, x: Tensor) -> Tensor:
        """Return SiLU or GELU of x."""
        return F.silu(x) if self.silu else F.gelu(x, approximate="tanh")


class Sublayer(nn.Module):
    """x + dropout(inner(norm(x))).

    `inner` is held under the name that transformers gives it.
    """

    def __init__(self, name: str, inner: nn.Module, config: T5Config) -> None:
        super().__init__()
        self.name = name
        self.add_module(name, inner)
        self.layer_norm = Norm(config)
        self.dropout = Dropout(config)

    @property
    def inner(self) -> Any:
        return getattr(self, self.name)

    def forward(self, x: Tensor, *context: Tensor) -> Tensor:
        output: Tensor = x + self.dropout(self.inner(self.layer_norm(x), *context))
        return output


class Block(nn.Module):
    """Self-attention, attention to the encoder's output, feed-forward.

    The second in the decoder alone.
    """

    def __init__(self, config: T5Config, decoder: bool, positions: bool) -> None:
        super().__init__()
        sublayers = [Sublayer("SelfAttention", Attention(config, positions), config)]
        if decoder:
            sublayers.append(Sublayer("EncDecAttention", Attention(config), config))
        sublayers.append(Sublayer("DenseReluDense", FeedForward(config), config))
        self.layer = nn.ModuleList(sublayers)

    def forward(
        self, x: Tensor, bias: Tensor, memory: Tensor | None = None, memory_bias: Tensor | None = None
    ) -> Tensor:
        x = self.layer[0](x, bias)
        if memory is not None:
            x = self.layer[1](x, memory_bias, memory)
        output: Tensor = self.layer[-1](x)
        return output
