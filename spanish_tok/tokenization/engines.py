"""What cuts one text.

Sentencepiece, or for a tokenizer.json alone the library tokenizers.
"""

import json
from typing import TYPE_CHECKING, Any

from spanish_tok.errors import panics_told
from spanish_tok.text.alphabet import SPACE_MARK
from spanish_tok.vocab.foreign import JSON, ForeignFiles
from spanish_tok.vocab.spiece import load_engine

if TYPE_CHECKING:
    from spanish_tok.vocab.vocabulary import Vocabulary

NOT_TEXT = "\U0010ffff"  # no character


def engine_of(vocabulary: "Vocabulary", continued: bool = False) -> Any:
    """Return the engine of a vocabulary.

    A SentencePieceProcessor, or what has its methods.

    `continued`: it puts no `▁` before a text, which continues a word.
    """
    if vocabulary.foreign and vocabulary.foreign.by_json:
        return JsonEngine(vocabulary, vocabulary.foreign, continued)
    data = vocabulary.serialized
    if continued:
        from sentencepiece import sentencepiece_model_pb2 as proto

        model = proto.ModelProto.FromString(data)
        model.normalizer_spec.add_dummy_prefix = False
        data = model.SerializeToString()
    return load_engine(data)


class JsonEngine:
    """A tokenizer.json behind the methods of sentencepiece that are used here."""

    def __init__(self, vocabulary: "Vocabulary", foreign: ForeignFiles, continued: bool = False) -> None:
        import tokenizers

        values = json.loads(foreign.files[JSON])
        _hide(values, foreign.special)
        if continued:
            values["pre_tokenizer"] = _continued(values.get("pre_tokenizer"))
            values["normalizer"] = _continued(values.get("normalizer"))
        with panics_told(JSON):
            self._library: Any = tokenizers.Tokenizer.from_str(json.dumps(values))
        self._library.encode_special_tokens = True
        self._library.no_truncation()
        self._library.no_padding()
        self._special, self._byte_of, self._eos = foreign.special, foreign.byte_of, vocabulary.eos

    def encode(self, texts: Any, add_eos: bool = False, num_threads: int = 1) -> Any:  # noqa: ARG002 (of the environment)
        """Return the ids of a text, or of each of a list."""
        listed = [texts] if isinstance(texts, str) else texts
        with panics_told(JSON):
            rows = self._library.encode_batch_fast(listed, add_special_tokens=False)
        ids_of_rows = [[*row.ids, self._eos] if add_eos else list(row.ids) for row in rows]
        return ids_of_rows[0] if isinstance(texts, str) else ids_of_rows

    def decode(self, ids: Any) -> Any:
        """Return the text of ids, or of each of several rows; specials leave no trace."""
        if len(ids) and not isinstance(ids[0], int):
            return [self.decode(row) for row in ids]
        kept = [token_id for token_id in ids if token_id not in self._special]
        with panics_told(JSON):
            return str(self._library.decode(kept))

    def is_byte(self, token_id: int) -> bool:
        """Return whether an id stands for a byte."""
        return token_id in self._byte_of

    def is_control(self, token_id: int) -> bool:
        """Return whether an id is one that text never becomes."""
        return token_id in self._special

    def normalize(self, text: Any) -> Any:
        """Return a text, or each of a list, as the normalizer maps it, with single spaces."""
        if not isinstance(text, str):
            return [self.normalize(one) for one in text]
        steps = self._library.normalizer
        with panics_told(JSON):
            text = steps.normalize_str(text) if steps else text
        return " ".join(text.replace(SPACE_MARK, " ").split())


def _hide(values: dict[str, Any], special: frozenset[int]) -> None:
    """Rename special pieces of a Unigram model.

    So that text that spells one out stays text.
    """
    vocab = values["model"].get("vocab")
    if not isinstance(vocab, list):
        return
    unknown = values["model"].get("unk_id")
    hidden = {token_id for token_id in special if token_id < len(vocab) and token_id != unknown}
    for token_id in hidden:
        vocab[token_id][0] = NOT_TEXT + vocab[token_id][0]
    added = values.get("added_tokens") or []
    # special ones of those beyond: text becomes none of them; all stay, as their order is their id
    values["added_tokens"] = [
        {**token, "special": token.get("special") or token["id"] in special}
        for token in added
        if token["id"] not in hidden
    ]
    values["post_processor"] = None


def _continued(step: Any) -> Any:
    """Return a step of a tokenizer.json, and all steps in it.

    Without what puts `▁` before a text.
    """
    if isinstance(step, list):
        return [_continued(inner) for inner in step if inner.get("type") != "Prepend"]
    if not isinstance(step, dict):
        return step
    changed = {name: _continued(value) for name, value in step.items()}
    if step.get("type") == "Metaspace":
        changed |= {"prepend_scheme": "never"}
        changed.pop("add_prefix_space", None)
    return None if step.get("type") == "Prepend" else changed
