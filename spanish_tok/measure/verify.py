"""The verb `verify`: every file of a vocabulary folder in its own library."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from spanish_tok.errors import SpanishTokError
from spanish_tok.files import shipped
from spanish_tok.measure.checks.against import against_checks
from spanish_tok.measure.checks.foreign import foreign_checks
from spanish_tok.measure.checks.results import Check, Verification
from spanish_tok.measure.figures.texts import texts_of
from spanish_tok.progress import ProgressOption, progress_of
from spanish_tok.readers.inputs import InputOption, inputs_of
from spanish_tok.readers.options import Location, ReadOptions
from spanish_tok.text.alphabet import CODE_POINTS, SURROGATES
from spanish_tok.tokenization.tokenizer import Tokenizer
from spanish_tok.vocab.audit import unreachable_pieces
from spanish_tok.vocab.formats import EOS
from spanish_tok.vocab.vocabulary import Vocabulary

AWKWARD = (
    "",
    " ",
    "MAN\u0303ANA PINGU\u0308INO CAFE\u0301",
    "1º 2ª 3.er n.º ½ ² ™ ﬁn",
    "hola😀mundo 👩‍👩‍👧 🇪🇸 👍🏽",
    "Привет, κόσμε! 北京 日本語 العربية ไทย",
    "pre</s>post <extra_id_5> <pad> ▁▁ <unk>",
    "a\u00adb\u200bc\u2028d\u3000e\ufefff",
)


def sample_sentences() -> list[str]:
    """Return the Spanish sentences that ship with the package."""
    return shipped("corpus/sentences-es.txt").read_text(encoding="utf-8").splitlines()


def verify(
    vocabulary: Location | None = None,
    *,
    against: Location | None = None,
    input: InputOption = None,  # noqa: A002
    texts: Any = None,
    reading: ReadOptions | None = None,
    progress: ProgressOption = None,
) -> Verification:
    """Load a vocabulary folder in each library that is installed, and compare.

    Sizes, sentinels and ids must agree.

    vocabulary: a folder, also of another T5; the shipped one by default. transformers takes part if it is installed.
    With `against`, the model that `trim` was given, a trimmed model is compared with it on text (input or texts, as for
    `count`; the sentences that ship by default): ids, rows, logits and greedy ids must be the same.
    Raises SpanishTokError if the folder is damaged.

    >>> verify().ok
    True
    """
    if against is None and not (input is None and texts is None):
        raise SpanishTokError(
            "verify takes text for a trimmed model alone", "Give its original with against, too."
        )
    folder = Path(vocabulary) if vocabulary is not None else shipped("vocab/es-5000")
    with progress_of(progress).phase("verifying", unit="share") as bar:
        if against is not None:
            inputs = None if input is None and texts is None else inputs_of(input, reading, texts=texts)
            checks, shares = against_checks(folder, Path(against), texts_of(inputs).column, bar)
            return Verification(tuple(checks), shares)
        tokenizer = Tokenizer.load(folder)
        tried = [
            *sample_sentences(),
            *AWKWARD,
            *(piece.replace("▁", " ") for piece in tokenizer.vocabulary.pieces),
        ]
        return Verification(tuple(_checks(tokenizer, folder, tried)))


def _checks(tokenizer: Tokenizer, folder: Path, texts: list[str]) -> list[Check]:
    if tokenizer.vocabulary.foreign:
        return foreign_checks(tokenizer, folder, [text for text in texts if text not in AWKWARD])
    checks = [_round_trips(tokenizer, texts), _code_points(tokenizer)]
    checks.append(_reachable_pieces(tokenizer.vocabulary))
    checks += _sentencepiece(tokenizer, folder, texts)
    checks += _tokenizers(tokenizer, folder, texts)
    if find_spec("transformers"):
        checks += _transformers(tokenizer, folder, texts)
    return checks


def _round_trips(tokenizer: Tokenizer, texts: list[str]) -> Check:
    def agrees(text: str) -> bool:
        ids = tokenizer.encode(text)
        ordinary = not tokenizer.vocabulary.special_ids.intersection(ids)
        return ordinary and tokenizer.decode(ids) == tokenizer.normalize(text)

    return Check.of("decode(encode(x)) == normalize(x), no special id", texts, agrees)


def _code_points(tokenizer: Tokenizer) -> Check:
    """Encode and decode every Unicode scalar value between two letters."""
    engine, unknown = tokenizer._engine, tokenizer.vocabulary.special_ids
    failed, tried = [], 0
    for block in range(1, CODE_POINTS, 1 << 16):
        codes = [code for code in range(block, min(block + (1 << 16), CODE_POINTS)) if code not in SURROGATES]
        texts = [f"a{chr(code)}b" for code in codes]
        encoded, normal = engine.encode(texts), engine.normalize(texts)
        decoded = engine.decode(encoded)
        tried += len(codes)
        failed += [
            code
            for code, ids, back, text in zip(codes, encoded, decoded, normal, strict=True)
            if back != text.removeprefix("▁").replace("▁", " ") or unknown.intersection(ids)
        ]
    return Check(
        "round trip of every Unicode character", tried, len(failed), f"U+{failed[0]:04X}" if failed else ""
    )


def _reachable_pieces(vocabulary: Vocabulary) -> Check:
    """Tell the pieces that no text can reach, as earlier trainers left some."""
    lost = unreachable_pieces(vocabulary)
    ordinary = len(vocabulary) - len(vocabulary.special_ids)
    return Check("pieces that a text can reach", ordinary, len(lost), " ".join(lost[:8]), note=True)


def _ids_of_pieces(vocabulary: Vocabulary, name: str, size: int, id_of: Callable[[str], Any]) -> list[Check]:
    sentinels = [(f"<extra_id_{k}>", vocabulary.sentinel_id(k)) for k in range(vocabulary.sentinels)]
    return [
        Check(
            f"{name}: {len(vocabulary):,} ids",
            1,
            int(size != len(vocabulary)),
            f"{size:,} ids" * (size != len(vocabulary)),
        ),
        Check.of(f"{name}: sentinels", sentinels, lambda pair: id_of(pair[0]) == pair[1]),
    ]


def _sentencepiece(tokenizer: Tokenizer, folder: Path, texts: list[str]) -> list[Check]:
    import sentencepiece

    peer = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spiece.model"))
    return [
        *_ids_of_pieces(tokenizer.vocabulary, "sentencepiece", peer.get_piece_size(), peer.piece_to_id),
        Check.of("sentencepiece: ids", texts, lambda text: peer.encode(text) == tokenizer.encode(text)),
    ]


def _tokenizers(tokenizer: Tokenizer, folder: Path, texts: list[str]) -> list[Check]:
    from tokenizers import Tokenizer as Peer

    peer = Peer.from_file(str(folder / "tokenizer.json"))
    size = peer.get_vocab_size(with_added_tokens=True)
    checks = _ids_of_pieces(tokenizer.vocabulary, "tokenizers", size, peer.token_to_id)
    peer.encode_special_tokens = True
    return [
        *checks,
        Check.of(
            "tokenizers: ids",
            texts,
            lambda text: peer.encode(text, add_special_tokens=False).ids == tokenizer.encode(text),
        ),
        Check.of(
            "tokenizers: ids and </s>",
            texts,
            lambda text: peer.encode(text).ids == tokenizer.encode(text, append_eos=True),
        ),
    ]


def _transformers(tokenizer: Tokenizer, folder: Path, texts: list[str]) -> list[Check]:
    from transformers import AutoTokenizer

    peer = AutoTokenizer.from_pretrained(folder)
    return [
        *_ids_of_pieces(tokenizer.vocabulary, "transformers", len(peer), peer.convert_tokens_to_ids),
        Check.of(
            "transformers: ids and </s>",
            texts,
            lambda text: peer(text, split_special_tokens=True)["input_ids"] == [*tokenizer.encode(text), EOS],
        ),
    ]
