"""The tensors of any T5 by the names of `T5Config.shapes`.

Files repeat the shared embedding under other names, leave it out where a copy is there, and hold tensors that no model
reads any more. What transformers does with them is done here.
"""

import re
from collections.abc import Iterator, Mapping

import numpy as np

from spanish_tok.errors import SpanishTokError
from spanish_tok.t5.config import T5Config
from spanish_tok.t5.foreign.files import Weights, WeightTensor

SHARED, HEAD = "shared.weight", "lm_head.weight"
# where the shared embedding is looked for, in this order
EMBEDDINGS = (SHARED, "encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
ANCHOR = "encoder.final_layer_norm.weight"  # every T5 has it; what stands before it is a wrapper's
# T5 1.0 was saved with a bias that its attention to the encoder never had
HISTORICAL = re.compile(r"decoder\.block\.\d+\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight")
FLOATS = ("F64", "F32", "F16", "BF16")
ROWS = 4096  # of two tensors that are compared at a time


def named_weights(config: T5Config, weights: Weights, where: str) -> tuple[T5Config, Weights]:
    """Return a model's tensors by our names.

    And its config with the head that they show.

    A head that differs from the embedding is one of its own, whatever the config says; without one, or with an equal
    one, the embedding is the head. Raises SpanishTokError for an encoder alone, for several embeddings, and for tensors
    that are missing, unexpected, no floats, or of another shape: nothing of theirs has been read then.
    """
    weights = _without_prefix(weights)
    named = {name: tensor for name, tensor in weights.items() if not HISTORICAL.fullmatch(name)}
    if not any(name.startswith("decoder.block.") for name in named):
        raise SpanishTokError(f"{where} holds an encoder alone", "Give a model with a decoder.")
    shared = _embedding(config, named, where)
    head = named.pop(HEAD, None)
    needed = config.shapes()
    for name in [name for name in named if name not in needed and same(named[name], shared)]:
        del named[name]
    named[SHARED] = shared
    tied = head is None or same(head, shared)
    if head is not None and not tied:
        named[HEAD] = head
    config = config.with_head(tied)
    check_shapes(config, {name: tensor.shape for name, tensor in named.items()}, where)
    if wrong := sorted(name for name, tensor in named.items() if tensor.kind not in FLOATS):
        kind = named[wrong[0]].kind
        raise SpanishTokError(f"{where}: {wrong[0]} is of type {kind}", "Store it as float32 or bfloat16.")
    return config, named


def check_shapes(config: T5Config, shapes: Mapping[str, tuple[int, ...]], where: str) -> None:
    """Raise SpanishTokError unless `shapes` are those of `config`.

    It names the tensor.
    """
    expected = config.shapes()
    for problem, names in (
        ("lacks", expected.keys() - shapes),
        ("holds the unexpected", shapes.keys() - expected),
    ):
        if names:
            first, *others = sorted(names)
            more = f" and {len(others)} more" if others else ""
            raise SpanishTokError(f"{where} {problem} {first}{more}", "Is it another model's config.json?")
    for name, shape in expected.items():
        if shapes[name] != shape:
            raise SpanishTokError(
                f"{where}: {name} has the shape {shapes[name]}, not {shape}",
                "Is it another model's config.json?",
            )


def _without_prefix(weights: Weights) -> Weights:
    """Return the tensors without what a wrapper put before all names.

    Such as `module.`.
    """
    prefixes = [name.removesuffix(ANCHOR) for name in weights if name.endswith("." + ANCHOR)]
    if ANCHOR in weights or not prefixes:
        return weights
    return {name.removeprefix(prefixes[0]): tensor for name, tensor in weights.items()}


def _embedding(config: T5Config, named: Weights, where: str) -> WeightTensor:
    """Return the shared embedding, which may lie under another name alone."""
    shape = (config.vocab_size, config.d_model)
    names = [name for name in EMBEDDINGS if name in named] + [
        name for name, tensor in named.items() if name not in (*EMBEDDINGS, HEAD) and tensor.shape == shape
    ]
    if not names and HEAD in named:
        names = [HEAD]
    if not names:
        raise SpanishTokError(f"{where} lacks {SHARED}", "Is it another model's config.json?")
    shared = named[names[0]]
    if shared.shape != shape:  # before anything is read: a damaged file may declare any size
        raise SpanishTokError(
            f"{where}: {names[0]} has the shape {shared.shape}, not {shape}",
            "Is it another model's config.json?",
        )
    if different := [name for name in EMBEDDINGS if name in named and not same(named[name], shared)]:
        raise SpanishTokError(
            f"{where}: {different[0]} differs from {names[0]}",
            "Models with several embeddings are not read.",
        )
    return shared


def same(tensor: WeightTensor, other: WeightTensor) -> bool:
    """Return whether two tensors hold the same numbers, some rows at a time."""
    if tensor is other:
        return True
    return tensor.shape == other.shape and all(
        np.array_equal(left, right) for left, right in zip(_blocks(tensor), _blocks(other), strict=True)
    )


def _blocks(tensor: WeightTensor) -> Iterator[np.ndarray]:
    rows = tensor.shape[0] if tensor.shape else 1
    if not tensor.shape:
        yield tensor.read().numbers()
        return
    for first in range(0, rows, ROWS):
        yield tensor.read(np.arange(first, min(first + ROWS, rows))).numbers()
