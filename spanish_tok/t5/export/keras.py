"""A model as a preset of KerasHub, for TensorFlow and JAX, and back.

h5py alone writes and reads the files, so neither TensorFlow nor Keras is needed here. KerasHub's T5 has as many
decoder as encoder layers: the shorter stack gets layers of zeros at its end. Such a layer adds nothing to what it
reads, and all its gradients are zero, so that training leaves it as it is; on the way back it is left out again.
"""

import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spanish_tok.errors import SpanishTokError
from spanish_tok.files import read_json, write_json
from spanish_tok.files.outputs import whole_folder
from spanish_tok.t5.checkpoint import CONFIG, Checkpoint, check_tensors, check_vocabulary
from spanish_tok.t5.config import T5Config
from spanish_tok.t5.export.keras_weights import WEIGHTS, read_weights, write_weights
from spanish_tok.text.charsmap import spanish_charsmap
from spanish_tok.text.table import spanish_table
from spanish_tok.vocab.foreign import KERAS, KERAS_PIECES
from spanish_tok.vocab.vocabulary import Vocabulary

VERSION = "0.32.0"  # of KerasHub, whose files these are
ORIGIN = "assets/spanish-tok"  # what KerasHub has no place for: our configuration and the vocabulary's folder
BUCKETS, DISTANCE = 32, 128  # KerasHub fixes these
ACTIVATIONS: dict[str, Any] = {
    "relu": "relu",
    "gated-gelu": {
        "module": "builtins",
        "class_name": "function",
        "config": "keras_hub>gelu_approximate",
        "registered_name": "function",
    },
}


def write_keras(checkpoint: Checkpoint, output: Path) -> None:
    """Write the folder that KerasHub's `from_preset` loads, whole or not at all.

    Raises SpanishTokError, which names the reason, for a model that KerasHub computes otherwise.
    """
    config = checkpoint.config
    check_fits(checkpoint)
    with whole_folder(output) as partial:
        write_json(partial / CONFIG, _object("t5_backbone", "T5Backbone", "float32", _backbone(config)))
        tokenizer: dict[str, Any] = {"config_file": "tokenizer.json", "proto": None, "sequence_length": None}
        tokenizer |= {"add_bos": False, "add_eos": False}
        write_json(partial / "tokenizer.json", _object("t5_tokenizer", "T5Tokenizer", "int32", tokenizer))
        metadata = {
            "keras_hub_version": VERSION,
            "parameter_count": config.parameters,
            "tasks": ["Seq2SeqLM"],
        }
        write_json(partial / "metadata.json", metadata)
        pieces = partial / KERAS_PIECES
        pieces.parent.mkdir(parents=True)
        pieces.write_bytes(checkpoint.vocabulary.serialized)
        (partial / ORIGIN).mkdir()
        checkpoint.vocabulary.write_into(partial / ORIGIN)
        write_json(partial / ORIGIN / CONFIG, config.to_dict())
        write_weights(partial / WEIGHTS, config, checkpoint.tensors)


def check_fits(checkpoint: Checkpoint) -> None:
    """Refuse a model that KerasHub would compute otherwise, with the reason."""
    config, foreign = checkpoint.config, checkpoint.vocabulary.foreign
    buckets = config.relative_attention_num_buckets, config.relative_attention_max_distance
    if foreign and foreign.by_json:
        reason = "it has no spiece.model"
    elif config.biased_everywhere:
        reason = "KerasHub's T5 has one position bias for all layers, an umT5 one each"
    elif config.feed_forward_proj not in ACTIVATIONS:
        reason = f"KerasHub's T5 has no {config.feed_forward_proj}"
    elif buckets != (BUCKETS, DISTANCE):
        reason = f"KerasHub's T5 has {BUCKETS} buckets up to a distance of {DISTANCE}"
    elif config.scaled != config.tie_word_embeddings:
        reason = "KerasHub scales the outputs of a tied T5, and of no other"
    elif config.decoder_start_token_id != config.pad_token_id:
        reason = "KerasHub's T5 begins to write with <pad>"
    else:
        return
    raise SpanishTokError(f"This model cannot become a preset of KerasHub: {reason}", "Export to onnx.")


def read_keras(folder: Path) -> Checkpoint:
    """Read a preset that `write_keras` or KerasHub's `save_to_preset` wrote.

    Layers of zeros at the end of a stack are left out. Where such a layer was trained all the same, the model keeps it,
    and a warning says so. The vocabulary is the one that was exported; in a folder that KerasHub wrote it is made from
    its spiece.model. Raises SpanishTokError, which names the file, for anything else and for a file that is damaged.
    """
    if not (folder / CONFIG).exists():
        raise SpanishTokError(f"{folder} is no preset of KerasHub: it has no {CONFIG}", "Check the path.")
    values = read_json(folder / CONFIG)
    config = _config(values, folder)
    origin = folder / ORIGIN
    stated = T5Config.from_json(origin / CONFIG) if (origin / CONFIG).exists() else config
    tensors = read_weights(folder / WEIGHTS, config)
    config = replace(
        config,
        num_layers=_kept(tensors, "encoder", config.num_layers),
        num_decoder_layers=_kept(tensors, "decoder", config.num_layers),
    )
    tensors = {name: tensor for name, tensor in tensors.items() if name in config.shapes()}
    if config.num_decoder_layers > stated.num_decoder_layers:
        warnings.warn(
            f"{folder}: a decoder layer that was added for KerasHub was trained: the model has "
            f"{config.num_decoder_layers} decoder layers now, not {stated.num_decoder_layers}",
            stacklevel=3,
        )
    if stated.shapes() == config.shapes():
        config = stated
    check_tensors(config, tensors, str(folder / WEIGHTS))
    vocabulary = _vocabulary(folder)
    check_vocabulary(config, vocabulary, str(folder))
    return Checkpoint(config, tensors, vocabulary)


def _object(module: str, name: str, dtype: str, config: dict[str, Any]) -> dict[str, Any]:
    """Return an object as Keras serializes it."""
    policy = {
        "module": "keras",
        "class_name": "DTypePolicy",
        "config": {"name": dtype},
        "registered_name": None,
    }
    return {
        "module": f"keras_hub.src.models.t5.{module}",
        "class_name": name,
        "config": {"name": module, "trainable": True, "dtype": policy, **config},
        "registered_name": f"{KERAS}{name}",
    }


def _backbone(config: T5Config) -> dict[str, Any]:
    return {
        "vocabulary_size": config.vocab_size,
        "hidden_dim": config.d_model,
        "intermediate_dim": config.d_ff,
        "num_layers": max(config.num_layers, config.num_decoder_layers),
        "num_heads": config.num_heads,
        "activation": ACTIVATIONS[config.feed_forward_proj],
        "key_value_dim": config.d_kv,
        "dropout": config.dropout_rate,
        "use_gated_activation": config.gated,
        "layer_norm_epsilon": config.layer_norm_epsilon,
        "tie_embedding_weights": config.tie_word_embeddings,
    }


def _config(values: Any, folder: Path) -> T5Config:
    """Return the configuration of a preset's backbone, with all its layers."""
    if not isinstance(values, dict) or values.get("registered_name") != f"{KERAS}T5Backbone":
        raise SpanishTokError(f"{folder} is no preset of KerasHub's T5", "Give a folder with a T5Backbone.")
    own: Any = values.get("config")
    try:
        gated, activation = own["use_gated_activation"], own["activation"]
        named = activation["config"] if isinstance(activation, dict) else activation
        kinds = {(False, "relu"): "relu", (True, "keras_hub>gelu_approximate"): "gated-gelu"}
        return T5Config(
            vocab_size=own["vocabulary_size"],
            d_model=own["hidden_dim"],
            d_kv=own["key_value_dim"] or own["hidden_dim"] // own["num_heads"],
            d_ff=own["intermediate_dim"],
            num_layers=own["num_layers"],
            num_decoder_layers=own["num_layers"],
            num_heads=own["num_heads"],
            dropout_rate=own["dropout"],
            layer_norm_epsilon=own["layer_norm_epsilon"],
            feed_forward_proj=kinds[gated, named],
            tie_word_embeddings=own["tie_embedding_weights"],
        )
    except (KeyError, TypeError) as error:
        raise SpanishTokError(
            f"{folder / CONFIG}: the backbone's {error} is not one of a T5 that is read here",
            "Its activations are relu, or a gate of gelu_approximate.",
        ) from None


def _kept(tensors: Mapping[str, NDArray[np.float32]], stack: str, layers: int) -> int:
    """Return how many layers of a stack stay.

    Those at its end whose outputs are all zero go.
    """
    ends = ("SelfAttention.o.weight", "EncDecAttention.o.weight", "DenseReluDense.wo.weight")
    while layers > 1 and not any(
        tensor.any()
        for name, tensor in tensors.items()
        if name.startswith(f"{stack}.block.{layers - 1}.") and name.endswith(ends)
    ):
        layers -= 1
    return layers


def _vocabulary(folder: Path) -> Vocabulary:
    """Return the vocabulary of a preset, or make ours from its spiece.model."""
    if (folder / ORIGIN).is_dir():
        return Vocabulary.load(folder / ORIGIN)
    if not (folder / KERAS_PIECES).exists():
        raise SpanishTokError(
            f"{folder} holds no tokenizer ({KERAS_PIECES})",
            "Save the backbone into the folder that `export --to keras` wrote: the tokenizer stays beside it.",
        )
    vocabulary = Vocabulary.from_model(folder / KERAS_PIECES)
    if not vocabulary.exact or vocabulary.charsmap != spanish_charsmap():
        raise SpanishTokError(
            f"{folder} holds another library's vocabulary, or one of another alphabet",
            f"Copy the folder {ORIGIN} of the preset that it was made from into it.",
        )
    return replace(vocabulary, notes={"normalization": spanish_table().origin})
