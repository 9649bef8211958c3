"""The files of a vocabulary, each as its own library wants it.

What must be exact, and why:

* spiece.model: the sentinels are CONTROL pieces, so that typed text never becomes one; the normalizer is
  named `user_defined`, since one fast reader replaces any `nmt_nfkc*` by rules of its own.
* tokenizer.json: the library looks a grapheme cluster of up to 5 bytes up whole and keeps the shortest
  match, so that `N` and a tilde would lose the tilde. Hence decomposed letters are composed, and everything
  that joins its neighbour without leaving a trace is deleted, before the table is applied.
* Specials have the score -10000 there: with it, text that spells `</s>` out is never cut into a special
  where the caller switched special tokens off.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from spanish_tok.text.alphabet import JOINERS, SPACE_MARK

SPECIALS = ("<pad>", "</s>", "<unk>")
PAD, EOS, UNK = range(3)
SPECIAL_SCORE = -10000.0
MOST_INPUT_IDS = 512  # where truncation cuts by default: T5's inputs

# What vanishes and joins its neighbour in a grapheme cluster: NUL, marks, format characters, letters of the
# class Prepend, and two half-width marks. The skin tones join it too, but become a space.
VANISHING = rf"[\x00\p{{M}}\p{{Cf}}{JOINERS}\uff9e\uff9f]"
SKIN_TONES = "[\U0001f3fb-\U0001f3ff]"


class Written(Protocol):
    """What the files say of a vocabulary; `Vocabulary` has it."""

    @property
    def pieces(self) -> Sequence[str]:
        """The piece of each id."""

    @property
    def scores(self) -> Sequence[float]:
        """The score of each id."""

    @property
    def sentinels(self) -> int:
        """How many sentinels there are; they have the last ids."""

    @property
    def specials(self) -> int:
        """How many more specials stand below the sentinels."""

    @property
    def charsmap(self) -> bytes:
        """The normalization as SentencePiece compiles it."""

    @property
    def pairs(self) -> Mapping[str, str]:
        """Decomposed letter -> letter."""

    @property
    def special_ids(self) -> Collection[int]:
        """The ids that text never becomes."""

    def __len__(self) -> int: ...


def model_proto(vocabulary: Written) -> bytes:
    """spiece.model: what sentencepiece loads."""
    from sentencepiece import sentencepiece_model_pb2 as proto

    kinds = proto.ModelProto.SentencePiece
    model = proto.ModelProto()
    for token_id, (piece, score) in enumerate(zip(vocabulary.pieces, vocabulary.scores, strict=True)):
        control = token_id in vocabulary.special_ids
        kind = kinds.UNKNOWN if token_id == UNK else kinds.CONTROL if control else kinds.NORMAL
        model.pieces.add(piece=piece, score=score, type=kind)
    trainer = model.trainer_spec
    trainer.model_type = proto.TrainerSpec.UNIGRAM
    trainer.vocab_size = len(vocabulary)
    trainer.pad_id, trainer.eos_id, trainer.unk_id, trainer.bos_id = PAD, EOS, UNK, -1
    trainer.pad_piece, trainer.eos_piece, trainer.unk_piece = SPECIALS
    normalizer = model.normalizer_spec
    normalizer.name = "user_defined"
    normalizer.precompiled_charsmap = vocabulary.charsmap
    normalizer.add_dummy_prefix = normalizer.remove_extra_whitespaces = normalizer.escape_whitespaces = True
    return bytes(model.SerializeToString(deterministic=True))


def vocab_text(vocabulary: Written) -> str:
    """spiece.vocab: piece, tab, score, for people."""
    rows = zip(vocabulary.pieces, vocabulary.scores, strict=True)
    return "".join(f"{piece}\t{score:.14g}\n" for piece, score in rows)


def tokenizer_json(vocabulary: Written) -> str:
    """Return tokenizer.json, which tokenizers and transformers load."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

    special = vocabulary.special_ids
    scores = [
        SPECIAL_SCORE if token_id in special else score for token_id, score in enumerate(vocabulary.scores)
    ]
    rows = list(zip(vocabulary.pieces, scores, strict=True))
    tokenizer = Tokenizer(models.Unigram(rows, unk_id=UNK, byte_fallback=False))
    tokenizer.normalizer = _normalizer(vocabulary)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(SPACE_MARK, prepend_scheme="always")]
    )
    tokenizer.decoder = decoders.Metaspace(SPACE_MARK, prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", EOS)]
    )
    tokenizer.add_special_tokens(
        [
            AddedToken(vocabulary.pieces[token_id], special=True, normalized=False)
            for token_id in sorted(special)
        ]
    )
    return str(tokenizer.to_str(pretty=True)) + "\n"


def _normalizer(vocabulary: Written) -> Any:
    from tokenizers import Regex, normalizers

    compose = [normalizers.Replace(pair, letter) for pair, letter in vocabulary.pairs.items()]
    return normalizers.Sequence(
        [
            *compose,
            normalizers.Replace(Regex(VANISHING), ""),
            normalizers.Replace(Regex(SKIN_TONES), " "),
            normalizers.Precompiled(vocabulary.charsmap),
            normalizers.Replace(Regex(" {2,}"), " "),
            normalizers.Strip(),
        ]
    )


def tokenizer_config(vocabulary: Written) -> str:
    """tokenizer_config.json for transformers.

    transformers' own T5Tokenizer rebuilds the pipeline without the steps before the table; the general
    class keeps tokenizer.json as it is. `extra_ids` 0, else T5Tokenizer adds 100 sentinels to ours.
    """
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "extra_ids": 0,
        **_special_tokens(vocabulary),
        "clean_up_tokenization_spaces": False,
        "model_max_length": MOST_INPUT_IDS,
    }
    return _json(config)


def special_tokens_map(vocabulary: Written) -> str:
    """special_tokens_map.json for transformers."""
    return _json(_special_tokens(vocabulary))


def _special_tokens(vocabulary: Written) -> dict[str, Any]:
    sentinels = [f"<extra_id_{k}>" for k in range(vocabulary.sentinels)]
    first = len(vocabulary) - vocabulary.sentinels
    sentinels += [vocabulary.pieces[first - 1 - k] for k in range(vocabulary.specials)]
    pad, eos, unk = SPECIALS
    return {"pad_token": pad, "eos_token": eos, "unk_token": unk, "additional_special_tokens": sentinels}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"
