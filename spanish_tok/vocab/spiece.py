"""Read a spiece.model that may be foreign, cut off or hostile."""

from collections.abc import Collection, Sequence
from typing import Any

from spanish_tok.errors import SpanishTokError
from spanish_tok.text.charsmap import spanish_charsmap
from spanish_tok.vocab.charsmap_check import charsmap_fault

UNKNOWN, CONTROL, NORMAL, BYTE = 2, 3, 1, 6  # kinds of pieces
BYTES = {f"<0x{byte:02X}>" for byte in range(256)}  # the pieces that stand for bytes


def parse_model(data: bytes, name: str, *, any_kind: bool = False) -> Any:
    """Return a ModelProto from a spiece.model that may be foreign or hostile.

    any_kind: not only of Unigram models.
    Checked before any tokenizer sees it: the loaders crash or accept nonsense on some of these.
    Raises SpanishTokError that names `name` and what is wrong.
    """
    from google.protobuf.message import DecodeError
    from sentencepiece import sentencepiece_model_pb2 as proto

    try:
        model = proto.ModelProto.FromString(data)
        pieces = [piece.piece for piece in model.pieces]
    except (DecodeError, UnicodeDecodeError, TypeError) as error:
        raise _bad(name, f"is not a SentencePiece model ({error})") from None
    if not pieces:
        raise _bad(name, "holds no pieces")
    if not all(isinstance(piece, str) for piece in pieces):
        raise _bad(name, "holds a piece that is not UTF-8")
    if model.trainer_spec.model_type != proto.TrainerSpec.UNIGRAM and not any_kind:
        raise _bad(name, "is no Unigram model", "Byte-pair and other models cannot be used here.")
    scores, kinds = [piece.score for piece in model.pieces], [piece.type for piece in model.pieces]
    for fault, problem in [
        *_piece_faults(pieces, scores),
        *_kind_faults(pieces, kinds, model.trainer_spec.byte_fallback),
    ]:
        if fault:
            raise _bad(name, problem)
    for spec in (model.normalizer_spec, model.denormalizer_spec):
        charsmap = spec.precompiled_charsmap
        if charsmap != spanish_charsmap() and (problem := charsmap_fault(charsmap)):
            raise _bad(name, f"holds a damaged normalization table ({problem})")
    return model


def load_engine(data: bytes, name: str = "The model") -> Any:
    """Return sentencepiece's processor of a model that `parse_model` has checked.

    Raises SpanishTokError that names `name` where the library refuses it.
    """
    import sentencepiece

    try:
        return sentencepiece.SentencePieceProcessor(model_proto=data)
    except (RuntimeError, ValueError) as error:
        raise _bad(name, f"is not one that sentencepiece loads ({str(error).strip()})") from None


def kinds_are_ours(model: Any, special: Collection[int]) -> bool:
    """Return whether the pieces of a ModelProto have the kinds that ours have.

    special: the special ids."""
    expected = (
        UNKNOWN if token_id == 2 else CONTROL if token_id in special else NORMAL
        for token_id in range(len(model.pieces))
    )  # fmt: skip
    return all(piece.type == kind for piece, kind in zip(model.pieces, expected, strict=True))


def _piece_faults(pieces: Sequence[str], scores: Sequence[float]) -> list[tuple[bool, str]]:
    longest = max(pieces, key=len)
    return [
        ("" in pieces, "holds an empty piece"),
        (any("\0" in piece for piece in pieces), "holds a piece with NUL"),
        (len(longest) > 1000, f"holds a piece of {len(longest):,} characters"),
        (len(set(pieces)) < len(pieces), "holds a piece twice"),
        (not all(-1e30 < score < 1e30 for score in scores), "holds a score that is no number"),
    ]


def _kind_faults(pieces: Sequence[str], kinds: Sequence[int], falls_back: bool) -> list[tuple[bool, str]]:
    of_bytes = {piece for piece, kind in zip(pieces, kinds, strict=True) if kind == BYTE}
    return [
        (kinds.count(UNKNOWN) != 1, "must have exactly one unknown piece"),
        (NORMAL not in kinds, "holds no pieces of text"),
        (of_bytes != BYTES and bool(of_bytes or falls_back), "does not hold the 256 pieces of bytes"),
    ]


def _bad(name: str, problem: str, advice: str = "Get it again, or train one.") -> SpanishTokError:
    return SpanishTokError(f"{name} {problem}", advice)
