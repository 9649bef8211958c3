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

    A line is a piece and its numbers, separated by spaces. A first line of two numbers says how many lines follow and
    how long they are. A vector of zeros has no direction, and is none. Raises SpanishTokError that names the line, for
    one that is damaged or gives a piece a second vector, and for a file that is cut off.
    """
    ids = {piece: token_id for token_id, piece in enumerate(pieces)}
    vectors: dict[int, Floats] = {}
    line = length = 0
    stated = None
    try:
        with open(path, encoding="utf-8") as file:
            for line, row in enumerate(file, 1):
                piece, *cells = row.rstrip("\n").rstrip(" ").split(" ")
                if line == 1 and len(cells) == 1 and piece.isdecimal() and cells[0].isdecimal():
                    stated, length = int(piece), int(cells[0])
                    continue
                if not cells:
                    continue
                with np.errstate(over="ignore"):  # what is too large becomes infinite, and is told below
                    vector = np.array(cells, np.float32)
                length = length or len(vector)
                if len(vector) != length or not np.isfinite(vector).all():
                    raise ValueError
                if ids.get(piece) in vectors:
                    raise SpanishTokError(
                        f"{path}, line {line}: {piece!r} has a vector already", "Leave one."
                    )
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
    if stated is not None and line - 1 < stated:
        raise SpanishTokError(f"{path} holds {line - 1:,} vectors of {stated:,}", "Copy the file again.")
    if not length:
        raise SpanishTokError(f"{path} holds no vectors", "Give word2vec's text form.")
    return {token_id: vector for token_id, vector in vectors.items() if vector.any()}


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
    matrix = np.stack(rows).astype(np.float64)  # squares of large or small float32 leave its range
    result: Floats = (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32)
    return result
