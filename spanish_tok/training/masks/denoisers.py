"""Mixtures of denoisers: span corruption and four other ways to ask for text.

Prefixes and long spans are UL2's (Tay et al. 2022), recurring spans Splinter's (Ram et al. 2021), gap sentences
PEGASUS's (Zhang et al. 2020). Which one a row gets depends on (seed, epoch, record) alone, as the masks do.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spanish_tok.errors import SpanishTokError
from spanish_tok.training.span_corruption import SpanCorruption
from spanish_tok.vocab.vocabulary import Vocabulary

KINDS = ("spans", "prefix", "long_spans", "recurring_spans", "gap_sentences")
LONG = 4.0  # long spans are so many times as long as others
FREQUENT = 200  # ids, the most probable ones: a recurring span holds others, too
ENDS = (".", "!", "?", "\u2026")


@dataclass(frozen=True)
class Denoisers(SpanCorruption):
    """Span corruption mixed with other denoisers, by weight.

    spans: as SpanCorruption. prefix: the rest of each record from its beginning. long_spans: of four times the length.
    recurring_spans: words that occurred before in the record. gap_sentences: the sentences that say most of the rest.
    The last two are filled up with random spans, so that all ask for a share `rate` of the tokens.
    pieces: those of the vocabulary, which tell where words and sentences end.

    >>> denoisers = Denoisers.of(Vocabulary.load(), spans=0, prefix=1, rate=0.5)
    >>> denoisers.corrupt([10, 11, 12, 13], epoch=0, record=0)
    ([10, 11, 4999, 1], [4999, 12, 13, 1])
    """

    spans: float = 1.0
    prefix: float = 0.0
    long_spans: float = 0.0
    recurring_spans: float = 0.0
    gap_sentences: float = 0.0
    pieces: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        weights = [getattr(self, kind) for kind in KINDS]
        if not min(weights) >= 0 or not 0 < sum(weights) < float("inf"):
            raise SpanishTokError(
                f"The weights of {', '.join(KINDS)} are {', '.join(f'{weight:g}' for weight in weights)}",
                "Give numbers from 0 up, one of them above 0.",
            )

    @classmethod
    def of(cls, vocabulary: Vocabulary, **options: Any) -> "Denoisers":
        """Return denoisers with the sentinels and pieces of a vocabulary.

        Raises as `SpanCorruption.of` does.
        """
        found = super().of(vocabulary, pieces=tuple(vocabulary.pieces), **options)
        assert isinstance(found, Denoisers)
        return found

    def _corrupt(self, tokens: NDArray[Any], offsets: NDArray[np.int64], *rows: NDArray[Any]) -> None:
        from spanish_tok.kernels.denoisers import denoise_rows

        lowest, highest = tokens.min(initial=0), tokens.max(initial=0)
        if lowest < 0 or highest >= len(self.pieces):  # they are places in tables
            raise SpanishTokError(
                f"The ids go from {lowest} to {highest}, the vocabulary's from 0 to {len(self.pieces) - 1}",
                "Give ids of this vocabulary.",
            )
        long_span = LONG * float(self.mean_span)
        denoise_rows(tokens, offsets, self._options, long_span, self._shares, self._tables, *rows)

    @cached_property
    def _shares(self) -> NDArray[np.float64]:
        return np.cumsum([getattr(self, kind) for kind in KINDS], dtype=np.float64)

    @cached_property
    def _tables(self) -> NDArray[np.bool_]:
        """bool[3, ids]: ids that end a sentence, that continue a word, that are frequent."""
        words = [piece.removeprefix("\u2581") for piece in self.pieces]
        ends = [piece.endswith(ENDS) for piece in self.pieces]
        joins = [piece == word and word[:1].isalnum() for piece, word in zip(self.pieces, words, strict=True)]
        return np.array([ends, joins, np.arange(len(words)) < FREQUENT], np.bool_)
