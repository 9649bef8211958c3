"""Model folders of any T5 with their tokenizers.

For the verbs that train and predict.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from spanish_tok.t5.checkpoint import (
    CONFIG,
    Checkpoint,
    check_model_folder,
    check_vocabulary,
    checked_manifest,
    vocabulary_of,
)
from spanish_tok.t5.config import T5Config
from spanish_tok.t5.model import T5
from spanish_tok.tokenization.adapters import TokenizerAdapter
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
    if random_weights:
        vocabulary = vocabulary_of(folder, checked_manifest(folder))
        config = T5Config.from_json(folder / CONFIG)
        check_vocabulary(config, vocabulary, str(folder))
        model = T5(replace(config, dropout_rate=dropout)).eval()
    else:
        checkpoint = Checkpoint.load(folder)
        vocabulary = checkpoint.vocabulary
        model = T5.from_tensors(replace(checkpoint.config, dropout_rate=dropout), checkpoint.tensors)
    return model, TokenizerAdapter.of(Tokenizer(vocabulary), str(folder))


def save_folder(folder: Path, model: T5, codec: TokenizerAdapter, notes: dict[str, Any]) -> None:
    """Write a model folder that `load_folder` and transformers read.

    Each file is whole or not there.
    """
    assert codec.vocabulary
    model.checkpoint(codec.vocabulary, notes).write_into(folder)
