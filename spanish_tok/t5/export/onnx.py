"""The model as two ONNX graphs: an encoder, and a decoder with a cache.

The cache holds keys and values. Batch and all lengths are free.
"""

from pathlib import Path

import numpy as np

from spanish_tok.t5.checkpoint import Checkpoint
from spanish_tok.t5.config import T5Config
from spanish_tok.t5.export.onnx_graph import FLOAT, INT64, Graph

ENCODER = "encoder.onnx"
DECODER = "decoder.onnx"
PRECISIONS = ("float32", "int8")
OPSET, IR_VERSION = 18, 10  # onnxruntime 1.18 and later read these
# bytes of weights in one file: protobuf ends at 2 GiB; the weights of a larger model lie beside its graphs
LARGEST = 1 << 30


def write_graphs(checkpoint: Checkpoint, folder: Path, precision: str = "float32") -> None:
    """Write encoder.onnx and decoder.onnx, with batch and all lengths free.

    precision: "float32", or "int8": matrices as int8 with one scale a row, which the engine unpacks when it loads the
    graph; what it computes stays float32.
    """
    _write(_encoder(checkpoint, precision == "int8"), folder / ENCODER)
    _write(_decoder(checkpoint, precision == "int8"), folder / DECODER)


def _encoder(checkpoint: Checkpoint, int8: bool) -> Graph:
    """Return the graph from ids to the keys and values that decoder layers read.

    So no step computes them again.
    """
    c = checkpoint.config
    graph = Graph(c, checkpoint.tensors, int8)
    ids = graph.read("input_ids", INT64, "batch", "length")
    mask = graph.mask_bias(graph.read("attention_mask", INT64, "batch", "length"))
    x = graph.node("Gather", graph.weight("shared.weight"), ids)
    positions = graph.positions(graph.constant(0, np.int64), graph.axis(ids, 1))
    for layer in range(c.num_layers):
        block = f"encoder.block.{layer}.layer"
        attention = f"{block}.0.SelfAttention"
        if layer == 0 or c.biased_everywhere:
            bias = graph.node("Add", graph.position_bias(attention, positions, positions, True), mask)
        normed = graph.norm(x, f"{block}.0.layer_norm.weight")
        keys, values = (graph.heads(normed, f"{attention}.{part}.weight") for part in "kv")
        x = graph.node("Add", x, graph.attend(normed, keys, values, bias, attention))
        normed = graph.norm(x, f"{block}.1.layer_norm.weight")
        x = graph.node("Add", x, graph.forward(normed, f"{block}.1.DenseReluDense"))
    x = graph.norm(x, "encoder.final_layer_norm.weight")
    readers = [f"decoder.block.{layer}.layer.1.EncDecAttention" for layer in range(c.num_decoder_layers)]
    memory = [
        (graph.heads(x, f"{reader}.k.weight"), graph.heads(x, f"{reader}.v.weight")) for reader in readers
    ]
    graph.give(graph.stack(memory), "memory", *_cache(c, "length"))
    return graph


def _decoder(checkpoint: Checkpoint, int8: bool) -> Graph:
    """Return the graph from the next ids and a cache to logits and a longer cache.

    It reads the encoder's mask and output, too.

    `past` (layers, 2, batch, heads, steps before, d_kv) is the `present` of the call before, or 0 steps long.
    """
    c = checkpoint.config
    graph = Graph(c, checkpoint.tensors, int8)
    ids = graph.read("decoder_input_ids", INT64, "batch", "steps")
    hidden = graph.mask_bias(graph.read("attention_mask", INT64, "batch", "length"))
    memory = graph.read("memory", FLOAT, *_cache(c, "length"))
    past = graph.read("past", FLOAT, *_cache(c, "before"))
    x = graph.node("Gather", graph.weight("shared.weight"), ids)
    before = graph.axis(past, 4)
    total = graph.node("Add", before, graph.axis(ids, 1))
    keys_at, queries_at = graph.positions(graph.constant(0, np.int64), total), graph.positions(before, total)
    present = []
    for layer in range(c.num_decoder_layers):
        block = f"decoder.block.{layer}.layer"
        attention, cross = f"{block}.0.SelfAttention", f"{block}.1.EncDecAttention"
        if layer == 0 or c.biased_everywhere:
            bias = graph.position_bias(attention, queries_at, keys_at, False)
        normed = graph.norm(x, f"{block}.0.layer_norm.weight")
        keys, values = (
            graph.node("Concat", old, graph.heads(normed, f"{attention}.{part}.weight"), axis=2)
            for old, part in zip(graph.pair(past, layer), "kv", strict=True)
        )
        present.append((keys, values))
        x = graph.node("Add", x, graph.attend(normed, keys, values, bias, attention))
        normed = graph.norm(x, f"{block}.1.layer_norm.weight")
        x = graph.node("Add", x, graph.attend(normed, *graph.pair(memory, layer), hidden, cross))
        normed = graph.norm(x, f"{block}.2.layer_norm.weight")
        x = graph.node("Add", x, graph.forward(normed, f"{block}.2.DenseReluDense"))
    x = graph.norm(x, "decoder.final_layer_norm.weight")
    if c.scaled:
        x = graph.node("Mul", x, graph.constant(c.d_model**-0.5))
    head = "shared.weight" if c.tie_word_embeddings else "lm_head.weight"
    graph.give(graph.linear(x, head), "logits", "batch", "steps", c.vocab_size)
    graph.give(graph.stack(present), "present", *_cache(c, "before + steps"))
    return graph


def _cache(config: T5Config, length: str) -> tuple[int | str, ...]:
    return config.num_decoder_layers, 2, "batch", config.num_heads, length, config.d_kv


def _write(graph: Graph, path: Path) -> None:
    import onnx
    from onnx import helper

    body = helper.make_graph(graph.nodes, path.stem, graph.inputs, graph.outputs, graph.initializers)
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(body, opset_imports=opsets, ir_version=IR_VERSION, producer_name="spanish-tok")
    large = sum(len(tensor.raw_data) for tensor in graph.initializers) > LARGEST
    onnx.save_model(
        model, path, save_as_external_data=large, location=f"{path.name}.data", size_threshold=1024
    )
