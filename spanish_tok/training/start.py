"""The model that a pretraining starts from."""

from dataclasses import replace
from pathlib import Path

from spanish_tok.errors import SpanishTokError
from spanish_tok.t5.checkpoint import Checkpoint
from spanish_tok.t5.config import T5Config
from spanish_tok.t5.init import locality_init
from spanish_tok.t5.model import T5
from spanish_tok.t5.presets import PRESETS
from spanish_tok.training.pretrain_options import PretrainOptions
from spanish_tok.vocab.vocabulary import Vocabulary


def model_of(options: PretrainOptions, vocabulary: Vocabulary) -> T5:
    """Return the model that a pretraining starts from.

    Random weights, or those of the folder `start`.

    Raises SpanishTokError if that folder is damaged or its model reads another vocabulary.
    """
    if not options.start:
        return random_model(options, len(vocabulary))
    checkpoint = Checkpoint.load(options.start)
    if checkpoint.vocabulary.fingerprint != vocabulary.fingerprint:
        raise SpanishTokError(
            f"The model of {options.start} reads another vocabulary than the shards hold",
            "Make shards with the model's own vocabulary: spanish-tok shard --vocab FOLDER.",
        )
    config = replace(checkpoint.config, dropout_rate=options.dropout)
    return T5.from_tensors(config, checkpoint.tensors)


def random_model(options: PretrainOptions, vocab_size: int) -> T5:
    """Return a model with random weights.

    They attend to nearby tokens if `locality_init`.
    """
    model = T5(config_of(options, vocab_size))
    if options.locality_init:
        locality_init(model, model.config)
    return model


def config_of(options: PretrainOptions, vocab_size: int) -> T5Config:
    """Return the shape of a model: a preset, or a folder's config.json.

    It has as many rows as the vocabulary has ids.
    """
    if options.model in PRESETS:
        return T5Config.preset(options.model, vocab_size=vocab_size, dropout_rate=options.dropout)
    if not Path(options.model).is_dir():
        raise SpanishTokError(
            f"model = {options.model!r} is neither a preset nor a folder", f"Presets: {', '.join(PRESETS)}."
        )
    values = T5Config.from_json(Path(options.model) / "config.json").to_dict()
    return T5Config.from_dict(values | {"vocab_size": vocab_size, "dropout_rate": options.dropout})
