"""A tokenizer.json that may be hostile, checked before the library reads it."""

import base64
import binascii
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spanish_tok.errors import SpanishTokError
from spanish_tok.files import read_json
from spanish_tok.vocab.charsmap_check import charsmap_fault

STEP = {"type?": (str, None)}
SHAPE = {
    "model": {"type?": (str, None), "continuing_subword_prefix?": (str, None), "unk_token?": (str, None)},
    "normalizer?": (STEP, None),
    "pre_tokenizer?": ({**STEP, "pretokenizers?": [STEP]}, None),
    "decoder?": ({**STEP, "decoders?": [STEP]}, None),
}


def checked_pipeline(path: Path) -> Any:
    """Return the content of a tokenizer.json.

    Raises SpanishTokError that names the file if it is not one, or holds a charsmap that cannot be used.
    """
    pipeline = read_json(path, SHAPE)
    for charsmap in _charsmaps(pipeline.get("normalizer")):
        try:
            fault = charsmap_fault(base64.b64decode(charsmap, validate=True))
        except (binascii.Error, TypeError, ValueError) as error:
            fault = str(error)
        if fault:
            raise SpanishTokError(f"{path} holds a damaged normalization table ({fault})", "Get it again.")
    return pipeline


def _charsmaps(step: Any) -> Iterator[Any]:
    """Yield the charsmaps of a normalizer and of those inside it."""
    if isinstance(step, dict):
        if step.get("type") == "Precompiled":
            yield step.get("precompiled_charsmap")
        for inner in step.get("normalizers") or []:
            yield from _charsmaps(inner)
