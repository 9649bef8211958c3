"""Subword regularization: a segmentation drawn at random.

By forward filtering and backward sampling (Kudo 2018, 3.3).
"""

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from math import exp, log

from spanish_tok.errors import SpanishTokError
from spanish_tok.text.alphabet import SPACE_MARK
from spanish_tok.vocab.vocabulary import Vocabulary

PiecesEnding = tuple[tuple[int, int, float], ...]  # (start, id, probability) of each piece that ends here
Ends = tuple[PiecesEnding, ...]  # for each end in a word
WORDS_KEPT, LONGEST_KEPT = 20_000, 64  # some kilobytes each


class Sampler:
    """A source of random segmentations.

    Words are independent of each other, and the lattices of recent ones are cached.

    pieces: ordinary piece -> (id, score). longest: characters of the longest.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        ordinary = (token_id for token_id in range(len(vocabulary)) if token_id not in vocabulary.special_ids)
        self.pieces = {
            vocabulary.pieces[token_id]: (token_id, vocabulary.scores[token_id]) for token_id in ordinary
        }
        self.longest = max(map(len, self.pieces))
        self._kept = lru_cache(WORDS_KEPT)(self._filter_forward)

    def draw(self, normalized: str, alpha: float, seed: int) -> list[int]:
        """Ids of a segmentation of a normalized text, drawn by (seed, text) alone."""
        uniform = uniform_numbers(seed, normalized)
        ids: list[int] = []
        for word in normalized.split():
            ends = (self._kept if len(word) <= LONGEST_KEPT else self._filter_forward)(
                SPACE_MARK + word, alpha
            )
            ids += sample_backward(ends, uniform)
        return ids

    def _filter_forward(self, word: str, alpha: float) -> Ends:
        """Return, for each end in a word, the pieces that end there.

        Each comes with the probability that it is the one.
        """
        sums = [0.0]  # logarithm of the sum over all ways to get here
        ends = []
        for end in range(1, len(word) + 1):
            reached = [
                (start, piece[0], sums[start] + alpha * piece[1])
                for start in range(max(0, end - self.longest), end)
                if (piece := self.pieces.get(word[start:end]))
            ]
            if not reached:
                raise SpanishTokError(
                    f"The vocabulary has no piece for {word[end - 1]!r}",
                    "Sample with one that was trained here.",
                )
            most = max(value for _, _, value in reached)
            sums.append(most + log(sum(exp(value - most) for _, _, value in reached)))
            ends.append(
                tuple((start, token_id, exp(value - sums[end])) for start, token_id, value in reached)
            )
        return tuple(ends)


def sample_backward(ends: Ends, uniform: Iterator[float]) -> list[int]:
    """One segmentation, from the last piece to the first, a random number for each."""
    ids = []
    end = len(ends)
    while end > 0:
        end, token_id = _choose(ends[end - 1], next(uniform))
        ids.append(token_id)
    return ids[::-1]


def _choose(reached: PiecesEnding, left: float) -> tuple[int, int]:
    """Return the (start, id) into whose share of [0, 1) a number falls."""
    for start, token_id, probability in reached:
        left -= probability
        if left < 0:
            return start, token_id
    return reached[-1][:2]  # the shares add up to 1 but for rounding


def uniform_numbers(seed: int, text: str) -> Iterator[float]:
    """Yield numbers in [0, 1) from Philox, keyed by a hash of seed and text.

    Philox is a counter-based generator.
    """
    import numpy as np

    key = hashlib.blake2b(f"{seed}\n{text}".encode(), digest_size=16).digest()
    generator = np.random.Philox(key=int.from_bytes(key, "little"))
    while True:
        yield from ((int(raw) >> 11) * 2.0**-53 for raw in generator.random_raw(64))
