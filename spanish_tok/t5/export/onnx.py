"""The model as two ONNX graphs: an encoder, and a decoder with a cache.

The cache holds keys and values.

`torch.onnx.export` writes them. It traces, and what `layers.py` computes from lengths in NumPy, the buckets of
positions, would become constants of one length: so the graphs look buckets up by clamped distance, which is the same,
as all distances beyond the furthest share a bucket. Everything else is the model's own layers.
"""

import logging
import warnings
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from spanish_tok.t5.layers import Attention
from spanish_tok.t5.model import T5
from spanish_tok.t5.positions import buckets

ENCODER = "encoder.onnx"
DECODER = "decoder.onnx"
# bytes of weights in one file: protobuf ends at 2 GiB; the weights of a larger model lie beside its graphs
LARGEST = 1 << 30


class Encoder(nn.Module):
    """Ids -> the keys and values that each decoder layer attends to.

    So no step computes them again.
    """

    def __init__(self, model: T5) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(batch, length) twice -> memory (decoder layers, 2, batch, heads, length, d_kv)."""
        x = self.model.shared(input_ids)
        positions = torch.arange(x.shape[1])
        mask = _mask_bias(attention_mask)
        blocks: Any = self.model.encoder.block
        for i, block in enumerate(blocks):
            if i == 0 or self.model.config.biased_everywhere:
                bias = _position_bias(block.layer[0].inner, positions, positions, bidirectional=True) + mask
            x = block(x, bias)
        x = self.model.encoder.final_layer_norm(x)
        readers: Any = self.model.decoder.block
        return torch.stack([_keys_values(block.layer[1].inner, x) for block in readers])


class Decoder(nn.Module):
    """The next ids and a cache -> logits and the longer cache.

    The cache holds keys and values of the ids before.
    """

    def __init__(self, model: T5) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, decoder_input_ids: Tensor, attention_mask: Tensor, memory: Tensor, past: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return logits (batch, steps, vocab_size) and the present cache.

        Takes ids (batch, steps), the encoder's mask and output, and the past cache.

        `past` (layers, 2, batch, heads, steps before, d_kv) is the `present` of the call before, or 0 steps long.
        """
        x = self.model.shared(decoder_input_ids)
        before, steps = past.shape[4], x.shape[1]
        keys = torch.arange(before + steps)
        queries = keys[before:]
        memory_bias = _mask_bias(attention_mask)
        present = []
        blocks: Any = self.model.decoder.block
        for i, block in enumerate(blocks):
            attention, cross, forward = block.layer
            if i == 0 or self.model.config.biased_everywhere:
                bias = _position_bias(attention.inner, queries, keys, bidirectional=False)
                bias = bias.masked_fill(keys > queries[:, None], -torch.inf)
            normed = attention.layer_norm(x)
            cache = torch.cat([past[i], _keys_values(attention.inner, normed)], 3)
            x = x + _attend(attention.inner, normed, cache, bias)
            x = x + _attend(cross.inner, cross.layer_norm(x), memory[i], memory_bias)
            x = forward(x)
            present.append(cache)
        return self.model.logits(self.model.decoder.final_layer_norm(x)), torch.stack(present)


def write_graphs(model: T5, folder: Path) -> None:
    """Write encoder.onnx and decoder.onnx, with batch and all lengths free, float32."""
    c = model.config
    batch, length, steps, before = (torch.export.Dim(name) for name in ("batch", "length", "steps", "before"))
    ids, mask = torch.ones(2, 5, dtype=torch.int64), torch.ones(2, 5, dtype=torch.int64)
    _write(
        Encoder(model).eval(),
        folder / ENCODER,
        inputs={"input_ids": ids, "attention_mask": mask},
        outputs=["memory"],
        shapes={"input_ids": {0: batch, 1: length}, "attention_mask": {0: batch, 1: length}},
    )
    layers = c.num_decoder_layers
    _write(
        Decoder(model).eval(),
        folder / DECODER,
        inputs={
            "decoder_input_ids": ids[:, :3],
            "attention_mask": mask,
            "memory": torch.zeros(layers, 2, 2, c.num_heads, 5, c.d_kv),
            "past": torch.zeros(layers, 2, 2, c.num_heads, 4, c.d_kv),
        },
        outputs=["logits", "present"],
        shapes={
            "decoder_input_ids": {0: batch, 1: steps},
            "attention_mask": {0: batch, 1: length},
            "memory": {2: batch, 4: length},
            "past": {2: batch, 4: before},
        },
    )


def _write(
    graph: nn.Module, path: Path, inputs: dict[str, Tensor], outputs: list[str], shapes: dict[str, Any]
) -> None:
    size = sum(tensor.nbytes for tensor in graph.parameters())  # both stacks: at most twice what is written
    # the fused attention has an output of another layout than its decomposition: what follows would not fit
    with warnings.catch_warnings(), sdpa_kernel(SDPBackend.MATH):
        # about torch's own use of its trees, and about axes that are meant to be the same
        warnings.filterwarnings("ignore", "`isinstance.treespec, LeafSpec.` is deprecated", FutureWarning)
        warnings.filterwarnings("ignore", "# The axis name: .* will not be used", UserWarning)
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it misses torchvision
        torch.onnx.export(
            graph,
            kwargs=inputs,
            f=path,
            input_names=list(inputs),
            output_names=outputs,
            dynamic_shapes=shapes,
            dynamo=True,
            external_data=size > LARGEST,
            verbose=False,
        )


def _position_bias(attention: Attention, queries: Tensor, keys: Tensor, bidirectional: bool) -> Tensor:
    """Return the bias of each pair of positions, (1, heads, queries, keys)."""
    c = attention.config
    furthest = c.relative_attention_max_distance
    table = buckets(
        furthest + 1, furthest + 1, bidirectional, c.relative_attention_num_buckets, furthest
    )  # distances -furthest to furthest
    by_distance = attention.relative_attention_bias.weight[torch.tensor(table)]
    distances = (keys - queries[:, None]).clamp(-furthest, furthest)
    return F.embedding(distances + furthest, by_distance).permute(2, 0, 1)[None]


def _mask_bias(mask: Tensor) -> Tensor:
    """(batch, keys) of 0 and 1 -> (batch, 1, 1, keys) of -largest and 0."""
    return (1.0 - mask[:, None, None, :].float()) * torch.finfo(torch.float32).min


def _keys_values(attention: Attention, x: Tensor) -> Tensor:
    """(batch, length, d_model) -> (2, batch, heads, length, d_kv)."""
    return torch.stack([attention._heads(attention.k(x)), attention._heads(attention.v(x))])


def _attend(attention: Attention, x: Tensor, cache: Tensor, bias: Tensor) -> Tensor:
    """Compute what `Attention.forward` does, from given keys and values."""
    mixed = F.scaled_dot_product_attention(
        attention._heads(attention.q(x)), cache[0], cache[1], attn_mask=bias, scale=1.0
    )
    output: Tensor = attention.o(mixed.transpose(1, 2).flatten(2))
    return output
