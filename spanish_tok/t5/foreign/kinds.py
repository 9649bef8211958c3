"""Which kinds of models are read here, and what is said of the others."""

from collections.abc import Mapping
from typing import Any

from spanish_tok.errors import SpanishTokError

# model_type -> the class of transformers; a T5 is 1.0, 1.1 or Flan
KINDS = {
    "t5": "T5ForConditionalGeneration",
    "mt5": "MT5ForConditionalGeneration",
    "umt5": "UMT5ForConditionalGeneration",
}
# model_type -> its name, and why it cannot be read
OTHERS = {
    "byt5": ("ByT5", "it reads bytes and has no vocabulary of pieces"),
    "longt5": ("LongT5", "its attention is another one"),
    "switch_transformers": ("Switch Transformer", "it has several experts"),
    "t5gemma": ("T5Gemma", "its layers are Gemma's"),
    "t5gemma2": ("T5Gemma", "its layers are Gemma's"),
}
ADVICE = "Only T5 (1.0, 1.1, Flan), mT5 and umT5 models with an encoder and a decoder are read here."


def check_kind(values: Mapping[str, Any]) -> None:
    """Raise SpanishTokError, which names the kind, unless it is a T5's.

    T5, mT5 and umT5 are read.

    >>> check_kind({"model_type": "longt5"})
    Traceback (most recent call last):
    spanish_tok.errors.SpanishTokError: The model is a LongT5: its attention is another one. Only T5 (1.0, 1.1, ...
    """
    kind = values.get("model_type", "t5")
    if values.get("tokenizer_class") == "ByT5Tokenizer":
        kind = "byt5"
    if not isinstance(kind, str) or kind not in KINDS.keys() | OTHERS.keys():
        raise SpanishTokError(f"model_type is {kind!r}", ADVICE)
    if kind in OTHERS:
        name, why = OTHERS[kind]
        raise SpanishTokError(f"The model is a {name}: {why}", ADVICE)
    classes = values.get("architectures") or [""]
    if str(classes[0] if isinstance(classes, list) else classes).endswith("EncoderModel") or (
        values.get("is_encoder_decoder") is False
    ):
        raise SpanishTokError("The model is an encoder alone: it cannot write", ADVICE)
