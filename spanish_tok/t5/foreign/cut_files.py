"""The files of a trimmed tokenizer, and configs with new ids.

`new` maps each old id that stays to its new one.
"""

import json
from collections.abc import Mapping
from typing import Any

from spanish_tok.errors import SpanishTokError
from spanish_tok.t5.foreign.kept_pieces import NEEDED

Ids = Mapping[int, int]
LISTS = (
    "suppress_tokens",
    "begin_suppress_tokens",
)  # of ids that may not be written: those that went, cannot
ROWS = ("bad_words_ids", "force_words_ids")  # of words, each a list of ids


def cut_files(files: Mapping[str, bytes], new: Ids) -> dict[str, bytes]:
    """Return the tokenizer's files with the pieces that stay.

    Raises SpanishTokError for a tokenizer.json that is no Unigram's.
    """
    cut = {"spiece.model": _spiece, "tokenizer.json": _tokenizer_json, "tokenizer_config.json": _tokenizer_config,
           "added_tokens.json": _added_tokens}  # fmt: skip
    return {name: cut[name](content, new) if name in cut else content for name, content in files.items()}


def _spiece(content: bytes, new: Ids) -> bytes:
    """Return spiece.model with the pieces that stay, its options as they are."""
    from sentencepiece import sentencepiece_model_pb2 as proto

    model = proto.ModelProto.FromString(content)
    kept = [piece for token_id, piece in enumerate(model.pieces) if token_id in new]
    whole = proto.ModelProto()
    whole.CopyFrom(proto.ModelProto(pieces=kept, trainer_spec=model.trainer_spec))
    whole.normalizer_spec.CopyFrom(model.normalizer_spec)
    if model.HasField("denormalizer_spec"):
        whole.denormalizer_spec.CopyFrom(model.denormalizer_spec)
    whole.trainer_spec.vocab_size = len(kept)
    for name in ("unk_id", "bos_id", "eos_id", "pad_id"):
        setattr(whole.trainer_spec, name, new.get(getattr(whole.trainer_spec, name), -1))
    return bytes(whole.SerializeToString(deterministic=True))


def _tokenizer_json(content: bytes, new: Ids) -> bytes:
    values = json.loads(content)
    model = values["model"]
    if not isinstance(model.get("vocab"), list):
        raise SpanishTokError(f"tokenizer.json holds a {model.get('type')} model", "Only Unigram is trimmed.")
    model["vocab"] = [entry for token_id, entry in enumerate(model["vocab"]) if token_id in new]
    if model.get("unk_id") is not None:
        model["unk_id"] = new[model["unk_id"]]
    values["added_tokens"] = [
        {**token, "id": new[token["id"]]} for token in values.get("added_tokens") or [] if token["id"] in new
    ]
    if isinstance(values.get("padding"), dict):
        values["padding"]["pad_id"] = new.get(values["padding"].get("pad_id"), 0)
    _renumber_template(values.get("post_processor"), new)
    return json.dumps(values, ensure_ascii=False).encode()


def _renumber_template(step: Any, new: Ids) -> None:
    """Renumber the special tokens that a post-processor adds, at any depth."""
    if isinstance(step, list):
        for inner in step:
            _renumber_template(inner, new)
    elif isinstance(step, dict):
        for token in (step.get("special_tokens") or {}).values():
            if isinstance(token, dict) and "ids" in token:
                token["ids"] = [new[token_id] for token_id in token["ids"]]
        _renumber_template(step.get("processors"), new)


def _tokenizer_config(content: bytes, new: Ids) -> bytes:
    values = json.loads(content)
    if isinstance(values.get("added_tokens_decoder"), dict):
        listed = values["added_tokens_decoder"]
        values["added_tokens_decoder"] = {str(new[int(n)]): v for n, v in listed.items() if int(n) in new}
    return json.dumps(values, ensure_ascii=False, indent=2).encode()


def _added_tokens(content: bytes, new: Ids) -> bytes:
    kept = {token: new[token_id] for token, token_id in json.loads(content).items() if token_id in new}
    return json.dumps(kept, ensure_ascii=False, indent=2).encode()


def _known(ids: list[Any], new: Ids) -> list[int]:
    return [new[int(token_id)] for token_id in ids if int(token_id) in new]


def _all(ids: list[Any], new: Ids) -> list[int]:
    """Return the new ids of a word; none if a piece of it went."""
    kept = _known(ids, new)
    return kept if len(kept) == len(ids) else []


def renumbered(config: Mapping[str, Any], new: Ids) -> dict[str, Any]:
    """Return a config.json or generation_config.json with new ids, at any depth.

    >>> new = {0: 0, 1: 1, 50: 2}
    >>> renumbered({"forced_bos_token_id": 50, "bad_words_ids": [[50], [50, 7]], "suppress_tokens": [7]}, new)
    {'forced_bos_token_id': 2, 'bad_words_ids': [[2]]}
    """
    entries: dict[str, Any] = {}
    for name, value in config.items():
        if name == "forced_decoder_ids":
            value = value and [[at, old if old is None else new.get(int(old))] for at, old in value]
        elif name in NEEDED and value is not None:
            value = _known(value, new) if isinstance(value, list) else new.get(int(value))
        elif name in LISTS and value:
            value = _known(value, new) or None
        elif name in ROWS and value:
            value = [row for row in (_all(row, new) for row in value) if row] or None
        elif name == "sequence_bias" and isinstance(value, list):
            value = [[row, bias] for row, bias in ((_all(r, new), bias) for r, bias in value) if row] or None
        elif isinstance(value, dict):
            value = renumbered(value, new)
        if value is not None or config[name] is None:
            entries[name] = value
    return entries
