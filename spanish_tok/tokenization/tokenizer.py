"""Tokenizer: text to ids and back, one string at a time or a column at once."""

import operator
import os
from collections.abc import Iterable
from functools import cached_property
from math import inf
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from spanish_tok.errors import SpanishTokError
from spanish_tok.text.alphabet import SPACE_MARK
from spanish_tok.text.charsmap import spanish_charsmap
from spanish_tok.text.table import checked, spanish_table
from spanish_tok.vocab.vocabulary import EOS, Vocabulary

if TYPE_CHECKING:
    import pyarrow as pa

    from spanish_tok.text.arrow import Column
    from spanish_tok.tokenization.column_encoder import ColumnEncoder
    from spanish_tok.tokenization.subword_regularization import Sampler

LONG = 100_000  # characters; from here on text goes to the compiled kernel at once
EXACT = 15_000  # a sum of scores up to here was exact in float32 all along (design: 2^14, less a margin)


class Tokenizer:
    """A vocabulary at work. Immutable: safe in threads, under fork and spawn, and it pickles.

    >>> tokenizer = Tokenizer.load()
    >>> ids = tokenizer.encode("¡Qué mañana tan FRÍA!")
    >>> tokenizer.decode(ids)
    '¡qué mañana tan fría!'
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary

    @classmethod
    def load(cls, folder: str | os.PathLike[str] | None = None) -> "Tokenizer":
        """The tokenizer of a vocabulary folder, or of the vocabulary that ships with the package."""
        return cls(Vocabulary.load(folder))

    def __reduce__(self) -> tuple[Any, ...]:
        return Tokenizer, (self.vocabulary,)

    def __repr__(self) -> str:
        return f"Tokenizer({self.vocab_size:,} ids, {self.vocabulary.sentinels} sentinels)"

    @property
    def vocab_size(self) -> int:
        """How many ids there are, the specials and sentinels included: the rows of an embedding."""
        return len(self.vocabulary)

    def sentinel_id(self, k: int) -> int:
        """The id of `<extra_id_k>`.

        >>> Tokenizer.load().sentinel_id(0)
        4999
        """
        return self.vocabulary.sentinel_id(k)

    @cached_property
    def _engine(self) -> Any:
        import sentencepiece

        return sentencepiece.SentencePieceProcessor(model_proto=self.vocabulary.serialized)

    def normalize(self, text: str) -> str:
        """`text` as this vocabulary's own table maps it: what `decode(encode(text))` gives back."""
        return str(self._engine.normalize(_checked(text))).lstrip(SPACE_MARK).replace(SPACE_MARK, " ")

    def encode(self, text: str, append_eos: bool = False) -> list[int]:
        """The ids of a text, `</s>` at the end if asked for. Never a special id, whatever the text says.

        Raises SpanishTokError for anything but a str, and for a lone surrogate.
        """
        ids = self._encode(_checked(text))
        return [*ids, EOS] if append_eos else ids

    def _encode(self, text: str) -> list[int]:
        exact = self.vocabulary.exact
        if not exact or len(text) < LONG:
            ids: list[int] = self._engine.encode(text)
            if (
                not exact
                or len(ids) * self._dearest < EXACT
                or -sum(map(self._scores.__getitem__, ids)) < EXACT
            ):
                return ids
        column: list[int] = self.encode_column([text])[0].as_py()
        return column

    @cached_property
    def _scores(self) -> tuple[float, ...]:
        return self.vocabulary.scores

    @cached_property
    def _dearest(self) -> float:
        return max(abs(score) for score in self.vocabulary.scores)

    def tokens(self, text: str) -> list[str]:
        """The pieces of a text; `▁` stands for the space before a word.

        >>> Tokenizer.load().tokens("Buenos días")
        ['▁buenos', '▁días']
        """
        pieces = self.vocabulary.pieces
        return [pieces[number] for number in self.encode(text)]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids; specials and sentinels leave no trace.

        Raises SpanishTokError, which names the position, for what is no whole number from 0 to vocab_size - 1.
        """
        return str(self._engine.decode(self._checked_ids(ids)))

    def _checked_ids(self, ids: Iterable[int]) -> list[int]:
        if not isinstance(ids, Iterable):
            raise SpanishTokError(f"Ids must be a list, not {type(ids).__name__}", "Give a flat list of ids.")
        numbers = []
        for position, number in enumerate(ids):
            try:
                numbers.append(operator.index(number))
            except TypeError:
                raise SpanishTokError(
                    f"Item {position} of the ids is {number!r}, not a whole number",
                    "Give a flat list of ids.",
                ) from None
        if numbers and not 0 <= min(numbers) <= max(numbers) < self.vocab_size:
            position = next(i for i, number in enumerate(numbers) if not 0 <= number < self.vocab_size)
            raise SpanishTokError(
                f"Item {position} of the ids is {numbers[position]}, but ids go from 0 to {self.vocab_size - 1}",
                "Were they made with another vocabulary?",
            )
        return numbers

    def stream(self) -> "Stream":
        """A decoder for ids that come one after the other."""
        return Stream(self)

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """For each id of `encode(text)`, the characters text[begin:end] that it stands for.

        A piece that begins with a space covers it. Begins and ends never fall. Where one character became
        several (`½` is ` 1/2`), the first piece covers it and the others have no length.

        >>> Tokenizer.load().offsets("Buenos   días")
        [(0, 6), (6, 13)]
        """
        from spanish_tok.text.alignment import align, spans

        if self.vocabulary.charsmap != spanish_charsmap():
            raise SpanishTokError(
                "Offsets need the table that ships with the package", "Train with the default table."
            )
        normalized, sources = align(spanish_table(), _checked(text))
        return spans(self.tokens(text), normalized, sources)

    def encode_sampled(self, text: str, alpha: float, seed: int) -> list[int]:
        """Ids of a segmentation drawn at random: subword regularization (Kudo 2018, section 3.3).

        A segmentation has a probability proportional to the product of its pieces' probabilities to the power
        `alpha`: 0 is uniform, large is the best one. The draw depends on (seed, text) alone, so that every
        process and thread draws the same; change the seed every epoch.
        """
        _check_draw(alpha, seed)
        return self._sampler.draw(self.normalize(text), alpha, seed)

    @cached_property
    def _sampler(self) -> "Sampler":
        from spanish_tok.tokenization.subword_regularization import Sampler

        return Sampler(self.vocabulary)

    def encode_column(self, column: "Column", append_eos: bool = False, threads: int | None = None) -> Any:
        """The ids of a whole text column as lists of uint16, at memory speed; equal to `encode` of each."""
        return self._column_encoder.encode(column, append_eos=append_eos, threads=threads)

    def decode_column(self, lists: "pa.Array | pa.ChunkedArray") -> Any:
        """The texts of a column of lists of ids; equal to `decode` of each."""
        return self._column_encoder.decode(lists)

    @cached_property
    def _column_encoder(self) -> "ColumnEncoder":
        from spanish_tok.tokenization.column_encoder import ColumnEncoder

        return ColumnEncoder(self.vocabulary)


class Stream:
    """Text from ids that arrive one at a time: `push` gives what each adds; together they equal `decode`.

    >>> tokenizer = Tokenizer.load()
    >>> stream = tokenizer.stream()
    >>> [stream.push(number) for number in tokenizer.encode("buenos días")]
    ['buenos', ' días']
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._begun = False

    def push(self, number: int) -> str:
        """The text that one id adds."""
        vocabulary = self._tokenizer.vocabulary
        (number,) = self._tokenizer._checked_ids([number])
        if number in vocabulary.special_ids:
            return str(self._tokenizer.decode([number]))
        text = vocabulary.pieces[number].replace(SPACE_MARK, " ")
        if not self._begun:
            text = text.removeprefix(" ")
            self._begun = True
        return text


def _checked(text: str) -> str:
    """`text` as the engine takes it: NUL, which it cannot delete, replaced by another character that is deleted."""
    return checked(text).replace("\0", "\1")


def _check_draw(alpha: Any, seed: Any) -> None:
    if not isinstance(alpha, Real) or not 0 <= float(alpha) < inf:
        raise SpanishTokError(f"alpha is {alpha!r}", "Give a number from 0 (uniform) up; 0.1 is usual.")
    if not isinstance(seed, Integral):
        raise SpanishTokError(f"The seed is {seed!r}", "Give a whole number.")
