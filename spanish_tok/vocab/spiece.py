"""Read a spiece.model that may be foreign, cut off or hostile."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from spanish_tok.errors import SpanishTokError

if TYPE_CHECKING:
    pass


def parse_model(data: bytes, name: str) -> Any:
    """Return a ModelProto from a spiece.model that may be foreign or hostile.

    Checked before any tokenizer sees it: the loaders crash or accept nonsense on some of these.
    Raises SpanishTokError that names `name` and what is wrong.
    """
    from google.protobuf.message import DecodeError
    from sentencepiece import sentencepiece_model_pb2 as proto

    try:
        model = proto.ModelProto.FromString(data)
    except (DecodeError, UnicodeDecodeError) as error:
        raise _bad(name, f"is not a SentencePiece model ({error})") from None
    pieces = [piece.piece for piece in model.pieces]
    if not pieces:
        raise _bad(name, "holds no pieces")
    if model.trainer_spec.model_type != proto.TrainerSpec.UNIGRAM:
        raise _bad(name, "is no Unigram model", "Byte-pair and other models cannot be used here.")
    for fault, problem in _piece_faults(pieces, [piece.score for piece in model.pieces]):
        if fault:
            raise _bad(name, problem)
    kinds = proto.ModelProto.SentencePiece
    if sum(piece.type == kinds.UNKNOWN for piece in model.pieces) != 1:
        raise _bad(name, "must have exactly one unknown piece")
    check_charsmap(model.normalizer_spec.precompiled_charsmap, name)
    return model


def _piece_faults(pieces: Sequence[str], scores: Sequence[float]) -> list[tuple[bool, str]]:
    longest = max(pieces, key=len)
    return [
        ("" in pieces, "holds an empty piece"),
        (any("\0" in piece for piece in pieces), "holds a piece with NUL"),
        (len(longest) > 1000, f"holds a piece of {len(longest):,} characters"),
        (len(set(pieces)) < len(pieces), "holds a piece twice"),
        (not all(-1e30 < score < 1e30 for score in scores), "holds a score that is no number"),
    ]


def check_charsmap(charsmap: bytes, name: str) -> None:
    """Refuse a charsmap whose double array could be walked out of its bounds.

    Layout: uint32 size of the trie in bytes, the trie's uint32 units, then NUL-terminated expansions.
    A unit of darts-clone is a leaf where bit 31 is set (bits 0-30: a value), else bits 10-30 shifted by 8
    where bit 9 is set are the offset to its children's block.
    """
    import numpy as np

    if not charsmap:
        return
    size = int.from_bytes(charsmap[:4], "little")
    if len(charsmap) < 4 or size % 1024 or size == 0 or 4 + size >= len(charsmap) or charsmap[-1] != 0:
        raise _bad(name, "holds a damaged normalization table")
    units = np.frombuffer(charsmap, "<u4", size // 4, 4)
    inner = units[units >> 31 == 0]
    offsets = (inner >> 10).astype(np.int64) << ((inner & 0x200) >> 6)
    blocks = (np.flatnonzero(units >> 31 == 0) ^ offsets) | 0xFF
    values = units[units >> 31 == 1] & 0x7FFFFFFF
    if (inner.size and blocks.max() >= len(units)) or (
        values.size and values.max() >= len(charsmap) - 4 - size
    ):
        raise _bad(name, "holds a damaged normalization table")


def _bad(name: str, problem: str, advice: str = "Get it again, or train one.") -> SpanishTokError:
    return SpanishTokError(f"{name} {problem}", advice)
