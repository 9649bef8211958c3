"""Model folders of any T5.

Ours with their vocabulary, or transformers' with a tokenizer.json.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from spanish_tok.errors import SpanishTokError
from spanish_tok.files import write_json
from spanish_tok.t5.checkpoint import (
    CONFIG,
    GENERATION,
    MANIFEST,
    WEIGHTS,
    Checkpoint,
    check_model_folder,
    checked_manifest,
    generation_config,
    read_weights,
    vocabulary_of,
    write_tensors,
)
from spanish_tok.t5.config import T5Config
from spanish_tok.t5.model import T5
from spanish_tok.tokenization.adapters import TokenizerAdapter, adapter_of_model_folder
from spanish_tok.tokenization.tokenizer import Tokenizer


def load_folder(
    folder: Path, dropout: float = 0.0, random_weights: bool = False
) -> tuple[T5, TokenizerAdapter]:
    """Load the model of a folder in evaluation mode, and its tokenizer.

    With another rate of dropout.

    With `random_weights` only the shape and the tokenizer are taken from the folder; torch's seed decides the rest.
    Raises SpanishTokError for a path that is not a folder, a damaged one, or one that holds another model's tokenizer.
    """
    check_model_folder(folder)
    ours = (folder / MANIFEST).exists()
    if ours:
        codec = TokenizerAdapter.of(Tokenizer(vocabulary_of(folder, checked_manifest(folder))))
    else:
        codec = adapter_of_model_folder(folder)
    config = T5Config.from_json(folder / CONFIG)
    if codec.size > config.vocab_size:
        raise SpanishTokError(
            f"{folder}: the tokenizer has {codec.size:,} ids, the model {config.vocab_size:,} rows",
            "It is another model's tokenizer.",
        )
    config = replace(config, dropout_rate=dropout)
    if random_weights:
        return T5(config).eval(), codec
    if codec.vocabulary:
        return T5.from_tensors(config, Checkpoint.load(folder, codec.vocabulary).tensors), codec
    return T5.from_tensors(config, read_weights(folder, config)[0]), codec


def save_folder(folder: Path, model: T5, codec: TokenizerAdapter, notes: dict[str, Any]) -> None:
    """Write a model folder that `load_folder` and transformers read.

    Each file is whole or not there.
    """
    if codec.vocabulary:
        model.checkpoint(codec.vocabulary, notes).write_into(folder)
        return
    codec.save(folder)
    write_json(folder / CONFIG, model.config.to_dict())
    write_json(folder / GENERATION, generation_config(model.config))
    write_tensors(
        folder / WEIGHTS, {name: tensor.detach().cpu().numpy() for name, tensor in model.state_dict().items()}
    )
