"""The verb `verify`: every file of a vocabulary folder in its own library."""

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from spanish_tok.files import shipped
from spanish_tok.progress import ProgressOption, progress_of
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


@dataclass(frozen=True)
class Check:
    """One question, and how many of how many cases agree.

    `example` is the first that does not. A note tells what is worth knowing, and fails nothing.
    """

    name: str
    tried: int
    failed: int
    example: str = ""
    note: bool = False

    def __str__(self) -> str:
        agree = f"{self.tried - self.failed:,} of {self.tried:,}"
        mark = "ok  " if not self.failed else "note" if self.note else "FAIL"
        return f"{mark}  {self.name:<52} {agree}  {self.example}".rstrip()


@dataclass(frozen=True)
class Verification:
    """The checks of one vocabulary."""

    checks: tuple[Check, ...]

    @property
    def failed(self) -> int:
        """How many checks failed."""
        return sum(check.failed > 0 and not check.note for check in self.checks)

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return not self.failed

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return {"ok": self.ok, "checks": [asdict(check) for check in self.checks]}


def sample_sentences() -> list[str]:
    """Return the Spanish sentences that ship with the package."""
    return shipped("corpus/sentences-es.txt").read_text(encoding="utf-8").splitlines()


def verify(
    vocabulary: str | os.PathLike[str] | None = None, *, progress: ProgressOption = None
) -> Verification:
    """Load a vocabulary folder in each library that is installed, and compare.

    Sizes, sentinels and ids must agree.

    vocabulary: a folder; the shipped one by default. transformers takes part if it is installed.
    Raises SpanishTokError if the folder is damaged.

    >>> verify().ok
    True
    """
    folder = Path(vocabulary) if vocabulary is not None else shipped("vocab/es-5000")
    tokenizer = Tokenizer.load(folder)
    texts = [
        *sample_sentences(),
        *AWKWARD,
        *(piece.replace("▁", " ") for piece in tokenizer.vocabulary.pieces),
    ]
    with progress_of(progress).phase("verifying", unit="share"):
        return Verification(tuple(_checks(tokenizer, folder, texts)))


def _checks(tokenizer: Tokenizer, folder: Path, texts: list[str]) -> list[Check]:
    checks = [_round_trips(tokenizer, texts), _code_points(tokenizer)]
    checks.append(_reachable_pieces(tokenizer.vocabulary))
    checks += _sentencepiece(tokenizer, folder, texts)
    checks += _tokenizers(tokenizer, folder, texts)
    if find_spec("transformers"):
        checks += _transformers(tokenizer, folder, texts)
    return checks


def _compare(name: str, cases: Sequence[Any], agree: Callable[[Any], bool]) -> Check:
    failed = [case for case in cases if not agree(case)]
    return Check(name, len(cases), len(failed), repr(failed[0]) if failed else "")


def _round_trips(tokenizer: Tokenizer, texts: list[str]) -> Check:
    def agrees(text: str) -> bool:
        ids = tokenizer.encode(text)
        ordinary = not tokenizer.vocabulary.special_ids.intersection(ids)
        return ordinary and tokenizer.decode(ids) == tokenizer.normalize(text)

    return _compare("decode(encode(x)) == normalize(x), no special id", texts, agrees)


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
        _compare(f"{name}: sentinels", sentinels, lambda pair: id_of(pair[0]) == pair[1]),
    ]


def _sentencepiece(tokenizer: Tokenizer, folder: Path, texts: list[str]) -> list[Check]:
    import sentencepiece

    peer = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spiece.model"))
    return [
        *_ids_of_pieces(tokenizer.vocabulary, "sentencepiece", peer.get_piece_size(), peer.piece_to_id),
        _compare("sentencepiece: ids", texts, lambda text: peer.encode(text) == tokenizer.encode(text)),
    ]


def _tokenizers(tokenizer: Tokenizer, folder: Path, texts: list[str]) -> list[Check]:
    from tokenizers import Tokenizer as Peer

    peer = Peer.from_file(str(folder / "tokenizer.json"))
    size = peer.get_vocab_size(with_added_tokens=True)
    checks = _ids_of_pieces(tokenizer.vocabulary, "tokenizers", size, peer.token_to_id)
    peer.encode_special_tokens = True
    return [
        *checks,
        _compare(
            "tokenizers: ids",
            texts,
            lambda text: peer.encode(text, add_special_tokens=False).ids == tokenizer.encode(text),
        ),
        _compare(
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
        _compare(
            "transformers: ids and </s>",
            texts,
            lambda text: peer(text, split_special_tokens=True)["input_ids"] == [*tokenizer.encode(text), EOS],
        ),
    ]
