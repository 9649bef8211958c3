"""A text as pieces without marks, and where in them the letters of its words lie."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from spanish_tok.tasks.accents.words import Word, chunks_of, without_marks, words_of
from spanish_tok.tokenization.tokenizer import Tokenizer

SLOTS = 17  # letters of a piece that a mark may stand on: those of the longest piece, and ▁
KNOWN = 1 << 16  # chunks whose pieces are remembered
WINDOW = 256  # pieces that the encoder sees at once


class PlacedWord(NamedTuple):
    """A word in a window of pieces.

    word: its start and end are those of the text. places: for each letter piece * SLOTS + letter within the piece, or
    -1 where that is beyond the slots.
    """

    word: Word
    places: tuple[int, ...]


@dataclass
class Window:
    """Pieces that the encoder sees at once, and the words in them."""

    ids: list[int] = field(default_factory=list)
    words: list[PlacedWord] = field(default_factory=list)


class PieceReader:
    """Cuts texts into windows of pieces, with what is known of frequent chunks kept.

    >>> reader = PieceReader(Tokenizer.load())
    >>> window, = reader.windows("¿Cómo está?")
    >>> [(word.word.base, word.places) for word in window.words]
    [('como', (17, 18, 19, 20)), ('esta', (35, 36, 37, 38))]
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self._read = lru_cache(KNOWN)(self._chunk)

    def windows(self, text: str, most: int = WINDOW) -> Iterator[Window]:
        """Yield the windows of a text, each of at most `most` pieces.

        They are cut at white space; a single longer chunk is a window of its own, without words.
        """
        window = Window()
        for start, chunk in chunks_of(text):
            ids, words = self._read(chunk)
            if len(ids) > most:
                ids, words = ids[:most], ()
            if len(window.ids) + len(ids) > most:
                yield window
                window = Window()
            base = len(window.ids) * SLOTS
            for word, positions in words:
                moved = Word(word.start + start, word.end + start, word.letters, word.base)
                at = tuple(position + base if position >= 0 else -1 for position in positions)
                window.words.append(PlacedWord(moved, at))
            window.ids += ids
        if window.ids:
            yield window

    def _chunk(self, chunk: str) -> tuple[list[int], Sequence[tuple[Word, tuple[int, ...]]]]:
        """Return the pieces of a chunk without marks, and its placed words."""
        plain = without_marks(chunk)
        ids, pieces = self.tokenizer.encode(plain), self.tokenizer.tokens(plain)
        slots = [
            piece * SLOTS + letter if letter < SLOTS else -1
            for piece, text in enumerate(pieces)
            for letter in range(len(text))
        ]
        normalized = self.tokenizer.normalize(plain)
        words = []
        for word in words_of(chunk):
            before = without_marks(chunk[: word.start])
            start = len(self.tokenizer.normalize(before + "a")) - 1
            if normalized[start : start + len(word.base)] == word.base:
                words.append((word, tuple(slots[start + 1 : start + 1 + len(word.base)])))
        return ids, words
