"""Pieces that no text can reach: they are shadowed by other pieces.

A segmentation is the path of the highest score. Where other pieces over the same characters score higher than a piece,
it stands in no such path, in no text: its id is lost.
"""

from collections.abc import Mapping
from math import inf

from spanish_tok.vocab.vocabulary import Vocabulary


def best_other_score(piece: str, scores: Mapping[str, float]) -> float:
    """Return the highest score of the piece's characters cut another way.

    -inf where there is no other way. All such paths are of shorter pieces.

    >>> best_other_score("sol", {"sol": -9.0, "s": -3.0, "ol": -4.0, "o": -3.0, "l": -3.0})
    -7.0
    """
    size = len(piece)
    best = [0.0, *[-inf] * size]
    for start in range(size):
        for end in range(start + 1, size + (start > 0)):
            score = scores.get(piece[start:end])
            if score is not None and best[start] + score > best[end]:
                best[end] = best[start] + score
    return best[size]


def shadowed_pieces(scores: Mapping[str, float]) -> list[str]:
    """Return the pieces that no text can reach, in the order of `scores`.

    A piece that ties with another path is reached: the piece that starts first wins.

    >>> shadowed_pieces({"sol": -9.0, "s": -3.0, "ol": -4.0, "o": -3.0, "l": -3.0})
    ['sol']
    """
    return [piece for piece, score in scores.items() if best_other_score(piece, scores) > score]


def unreachable_pieces(vocabulary: Vocabulary) -> list[str]:
    """Return the pieces of a vocabulary that no text can reach."""
    rows = enumerate(zip(vocabulary.pieces, vocabulary.scores, strict=True))
    return shadowed_pieces(
        {piece: score for row, (piece, score) in rows if row not in vocabulary.special_ids}
    )
