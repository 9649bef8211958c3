"""model.weights.h5: the tensors of a T5 as Keras stores them, through h5py."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spanish_tok.errors import SpanishTokError
from spanish_tok.files import atomic_path
from spanish_tok.t5.checkpoint import Tensors
from spanish_tok.t5.config import T5Config
from spanish_tok.t5.safetensors import from_bfloat16

WEIGHTS = "model.weights.h5"
# a layer's group in the file -> its matrix in a block; Keras holds (inputs, outputs), torch the other way round
SELF = {
    f"self_attention/{name}_projector": f"SelfAttention.{name[0]}"
    for name in ("query", "key", "value", "output")
}
CROSS = {
    f"cross_attention/{name}_projector": f"EncDecAttention.{name[0]}"
    for name in ("query", "key", "value", "output")
}


def _locations(config: T5Config) -> Iterator[tuple[str, str]]:
    """Yield (place in the file, our name) of every tensor.

    Keras counts the layers of a class, those of the encoder first.
    """
    layers = max(config.num_layers, config.num_decoder_layers)
    yield "reversible_embedding/vars/0", "shared.weight"
    if not config.tie_word_embeddings:
        yield "reversible_embedding/vars/1", "lm_head.weight"
    yield "t5_layer_norm/vars/0", "encoder.final_layer_norm.weight"
    yield "t5_layer_norm_1/vars/0", "decoder.final_layer_norm.weight"
    inner = ["input_projector", "gate_projector"] if config.gated else ["input_projector"]
    wide = ["wi_0", "wi_1"] if config.gated else ["wi"]
    for layer in range(2 * layers):
        stack, last = ("encoder", 1) if layer < layers else ("decoder", 2)
        group = f"t5_transformer_layer{f'_{layer}' if layer else ''}"
        block = f"{stack}.block.{layer % layers}.layer"
        parts = {module: f"0.{matrix}" for module, matrix in SELF.items()}
        parts |= {module: f"1.{matrix}" for module, matrix in CROSS.items()} if last == 2 else {}
        parts |= {
            module: f"{last}.DenseReluDense.{matrix}"
            for module, matrix in zip([*inner, "output_projector"], [*wide, "wo"], strict=True)
        }
        norms = ["self_attention_layer_norm", *["cross_attention_layer_norm"] * (last - 1), "layer_norm"]
        parts |= {norm: f"{sublayer}.layer_norm" for sublayer, norm in enumerate(norms)}
        for module, name in parts.items():
            yield f"{group}/{module}/vars/0", f"{block}.{name}.weight"
        if layer % layers == 0:
            bias = "0.SelfAttention.relative_attention_bias.weight"
            yield f"{group}/self_attention/vars/0", f"{block}.{bias}"


def _turned(name: str) -> bool:
    """Whether Keras holds a matrix turned: all but embedding and position biases."""
    return name != "shared.weight" and "relative_attention_bias" not in name


def write_weights(path: Path, config: T5Config, tensors: Tensors) -> None:
    """Write all tensors; a stack that is shorter gets layers of zeros at its end."""
    import h5py

    layers = max(config.num_layers, config.num_decoder_layers)
    shapes = replace(config, num_layers=layers, num_decoder_layers=layers).shapes()
    with atomic_path(path) as partial, h5py.File(partial, "w") as file:
        for location, name in _locations(config):
            filling = np.ones if name.endswith("layer_norm.weight") else np.zeros
            tensor = tensors[name] if name in tensors else filling(shapes[name], np.float32)
            values = tensor.T if _turned(name) else tensor
            file.create_dataset(f"layers/{location}", data=np.ascontiguousarray(values))


def read_weights(path: Path, config: T5Config) -> Tensors:
    """Return all tensors, with layers of zeros.

    Raises SpanishTokError for a damaged file.
    """
    import h5py

    if not path.exists():
        advice = f"Save it in one file: KerasHub cuts models of more than 10 GB into parts of {WEIGHTS}."
        raise SpanishTokError(f"{path} does not exist", advice)
    try:
        with h5py.File(path) as file:
            return {name: _numbers(file, location, name) for location, name in _locations(config)}
    except (KeyError, OSError) as error:
        raise SpanishTokError(f"{path} is damaged, or no T5's ({error})", "Copy the folder again.") from None


def _numbers(file: Any, location: str, name: str) -> NDArray[np.float32]:
    stored = file[f"layers/{location}"]
    array = np.asarray(stored)
    if stored.attrs.get("dtype") == "bfloat16":
        array = from_bfloat16(array.view(np.uint16))
    return np.ascontiguousarray(array.T if _turned(name) else array, np.float32)
