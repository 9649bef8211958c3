"""Rows of new pieces by FOCUS.

Mixtures of the rows of pieces that have nearby vectors.

For a new piece t, and the pieces O that both vocabularies have, with vectors v of all pieces trained on text that the
new vocabulary cut (fastText or word2vec, for example),

    e(t) = sum over o in O of w(t, o) e(o),    w(t, .) = sparsemax(cos(v(t), v(.)))

Dobler and de Melo 2023, "FOCUS: Effective Embedding Initialization for Monolingual Specialization of Multilingual
Models", https://aclanthology.org/2023.emnlp-main.829/; sparsemax: Martins and Astudillo 2016.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spanish_tok.errors import SpanishTokError
from spanish_tok.readers.options import Location

Floats = NDArray[np.float32]
AT_ONCE = 256  # new pieces that are weighted at a time


def read_vectors(path: Location, pieces: Sequence[str]) -> dict[int, Floats]:
    """Return the vectors of pieces by id, from a file in word2vec's text form.

    A line is a piece and its numbers, separated by spaces; a first line of two numbers (how many, how long) is
    skipped. Raises SpanishTokError that names the line.
    """
    ids = {piece: token_id for token_id, piece in enumerate(pieces)}
    vectors: dict[int, Floats] = {}
    line = length = 0
    try:
        with open(path, encoding="utf-8") as file:
            for line, row in enumerate(file, 1):
                piece, *cells = row.rstrip("\n").rstrip(" ").split(" ")
                if (line == 1 and len(cells) == 1) or not cells:
                    continue
                vector = np.array(cells, np.float32)
                length = length or len(vector)
                if len(vector) != length or not np.isfinite(vector).all():
                    raise ValueError
                if piece in ids:
                    vectors[ids[piece]] = vector
    except OSError as error:
        raise SpanishTokError(f"{path} cannot be read ({error.strerror})", "Check the path.") from None
    except ValueError as error:
        line += isinstance(error, UnicodeDecodeError)  # of the line that is read next
        raise SpanishTokError(
            f"{path}, line {line}: it is not a piece and {length or 'its'} numbers",
            "Give word2vec's text form.",
        ) from None
    if not length:
        raise SpanishTokError(f"{path} holds no vectors", "Give word2vec's text form.")
    return vectors


def sparsemax(scores: Floats) -> Floats:
    """Return the nearest probabilities of each row: few, the others are 0.

    >>> sparsemax(np.array([[1.0, 0.8, -1.0]], dtype=np.float32)).round(3).tolist()
    [[0.6000000238418579, 0.4000000059604645, 0.0]]
    """
    ordered = -np.sort(-scores, axis=1)
    sums = np.cumsum(ordered, axis=1)
    count = np.arange(1, scores.shape[1] + 1)
    inside = (1 + count * ordered > sums).sum(axis=1)
    threshold = (np.take_along_axis(sums, inside[:, None] - 1, 1) - 1) / inside[:, None]
    weights: Floats = np.maximum(scores - threshold, 0).astype(np.float32)
    return weights


def mixtures(
    vectors: dict[int, Floats], new: Sequence[int], shared: Sequence[int]
) -> dict[int, tuple[NDArray[np.int64], Floats]]:
    """Return the mixture of each new piece with a vector.

    Those are the shared pieces that make it, and their weights.
    """
    neighbours = np.array([token_id for token_id in shared if token_id in vectors], np.int64)
    wanted = [token_id for token_id in new if token_id in vectors]
    if not len(neighbours) or not wanted:
        return {}
    directions = _normed([vectors[int(token_id)] for token_id in neighbours])
    recipes = {}
    for first in range(0, len(wanted), AT_ONCE):
        part = wanted[first : first + AT_ONCE]
        weights = sparsemax(_normed([vectors[token_id] for token_id in part]) @ directions.T)
        for token_id, row in zip(part, weights, strict=True):
            chosen = np.flatnonzero(row)
            recipes[token_id] = neighbours[chosen], row[chosen]
    return recipes


def _normed(rows: Sequence[Floats]) -> Floats:
    matrix = np.stack(rows)
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    result: Floats = matrix / np.maximum(lengths, np.float32(1e-12))
    return result
