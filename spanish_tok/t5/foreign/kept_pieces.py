"""Which pieces of a vocabulary stay when it is trimmed.

Always: specials, sentinels, byte pieces, pieces that match by themselves, the ids that the configs name, and the piece
of the lowest score, which decides what an unknown character costs: with another cost text could be cut in another way.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spanish_tok.errors import SpanishTokError
from spanish_tok.t5.foreign.piece_counts import PieceCounts
from spanish_tok.text.alphabet import SPACE_MARK
from spanish_tok.vocab.vocabulary import Vocabulary

# entries of config.json and generation_config.json that name ids which a model needs
NEEDED = (
    "pad_token_id", "eos_token_id", "bos_token_id", "sep_token_id", "cls_token_id", "mask_token_id",
    "decoder_start_token_id", "forced_bos_token_id", "forced_eos_token_id", "forced_decoder_ids",
)  # fmt: skip


def kept_pieces(
    counts: PieceCounts, size: int | None, characters: str, named: frozenset[int]
) -> NDArray[np.int64]:
    """Return the ids of the pieces that stay, in their order.

    size: ids in all; None: all pieces in use. characters: kept beside those in use. named: ids that configs name.

    Raises SpanishTokError, which names the least size, for one that is too small.
    """
    vocabulary = counts.tokenizer.vocabulary
    required = required_pieces(vocabulary, _used_characters(counts) | set(characters)) | named
    if size is not None and size < len(required):
        raise SpanishTokError(
            f"{size:,} ids are too few",
            f"The specials and characters need {len(required):,}: give that or more.",
        )
    used = np.flatnonzero(counts.uses)
    others = [int(n) for n in used[np.argsort(-counts.uses[used], kind="stable")] if int(n) not in required]
    room = len(others) if size is None else size - len(required)
    return np.array(sorted([*required, *others[:room]]), np.int64)


def required_pieces(vocabulary: Vocabulary, characters: set[str]) -> set[int]:
    """Return the ids that always stay.

    Of single characters those given, or all if there are no byte pieces.
    """
    pieces, special = vocabulary.pieces, vocabulary.special_ids
    byte_of: Mapping[int, int] = vocabulary.foreign.byte_of if vocabulary.foreign else {}
    matched = vocabulary.foreign.matched if vocabulary.foreign else frozenset[int]()
    unused = vocabulary.foreign.unused if vocabulary.foreign else frozenset[int]()
    ordinary = [n for n in range(len(pieces)) if n not in special and n not in byte_of and n not in matched]
    singles = {n for n in ordinary if len(pieces[n]) == 1}
    if byte_of:
        singles = {n for n in singles if pieces[n] in characters or pieces[n] == SPACE_MARK}
    lowest = min(ordinary, key=lambda n: vocabulary.scores[n], default=0)
    return (set(special) - unused) | set(byte_of) | set(matched) | singles | {lowest}


def _used_characters(counts: PieceCounts) -> set[str]:
    """Return the characters of the pieces in use.

    One with a piece of its own is never written in bytes.
    """
    pieces = counts.tokenizer.vocabulary.pieces
    return {char for n in np.flatnonzero(counts.uses) for char in pieces[n]}


def named_ids(configs: Iterable[Mapping[str, Any]]) -> frozenset[int]:
    """Return the ids that configs name for start, end and forced places, at any depth.

    >>> sorted(named_ids([{"eos_token_id": [1, 5], "task": {"forced_bos_token_id": "7"}, "suppress_tokens": [9]}]))
    [1, 5, 7]
    """
    ids: set[int] = set()
    for config in configs:
        for name, value in config.items():
            if name == "forced_decoder_ids":
                ids |= {int(pair[1]) for pair in value or [] if pair[1] is not None}
            elif name in NEEDED and value is not None:
                ids |= {int(token_id) for token_id in (value if isinstance(value, list) else [value])}
            elif isinstance(value, dict):
                ids |= named_ids([value])
    return frozenset(ids)
