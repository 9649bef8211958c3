"""Tokenizer: text to ids and back, one string at a time or a column at once."""

import os
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

from spanish_tok.errors import SpanishTokError
from spanish_tok.text.alphabet import SPACE_MARK
from spanish_tok.text.table import NormalizationTable
from spanish_tok.tokenization.checks import check_draw, checked_ids, checked_text, listed_texts
from spanish_tok.tokenization.engines import engine_of
from spanish_tok.tokenization.stream import Stream
from spanish_tok.vocab.vocabulary import Vocabulary

if TYPE_CHECKING:
    import pyarrow as pa

    from spanish_tok.text.arrow import Column
    from spanish_tok.tokenization.column_encoder import ColumnEncoder
    from spanish_tok.tokenization.subword_regularization import Sampler

LONG = 100_000  # characters; from here on text goes to the compiled kernel at once
EXACT = 15_000  # a sum of scores up to here was exact in float32 all along (design: 2^14, less a margin)


class Tokenizer:
    """A vocabulary at work.

    Immutable: safe in threads, under fork and spawn, and it pickles.

    >>> tokenizer = Tokenizer.load()
    >>> ids = tokenizer.encode("¡Qué mañana tan FRÍA!")
    >>> tokenizer.decode(ids)
    '¡qué mañana tan fría!'
    >>> tokenizer(["Hola, mundo", "Hola"], padding=True)
    {'input_ids': [[1884, 6, 340, 1], [1884, 1, 0, 0]], 'attention_mask': [[1, 1, 1, 1], [1, 1, 0, 0]]}
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.eos_id, self.pad_id, self.unk_id = vocabulary.eos, vocabulary.pad, vocabulary.unknown

    @classmethod
    def load(cls, folder: str | os.PathLike[str] | None = None) -> "Tokenizer":
        """Load the tokenizer of a vocabulary folder; by default of the shipped one."""
        return cls(Vocabulary.load(folder))

    def __reduce__(self) -> tuple[Any, ...]:
        return Tokenizer, (self.vocabulary,)

    def __repr__(self) -> str:
        return f"Tokenizer({self.vocab_size:,} ids, {self.vocabulary.sentinels} sentinels)"

    def __len__(self) -> int:
        return self.vocab_size

    @property
    def vocab_size(self) -> int:
        """The number of ids, specials and sentinels included.

        These are the rows of an embedding.
        """
        return len(self.vocabulary)

    def sentinel_id(self, k: int) -> int:
        """Return the id of `<extra_id_k>`.

        >>> Tokenizer.load().sentinel_id(0)
        4999
        """
        return self.vocabulary.sentinel_id(k)

    def get_vocab(self) -> dict[str, int]:
        """Return the id of each piece, specials and sentinels included."""
        return {piece: token_id for token_id, piece in enumerate(self.vocabulary.pieces)}

    @overload
    def piece_to_id(self, piece: str) -> int: ...
    @overload
    def piece_to_id(self, piece: list[str]) -> list[int]: ...
    def piece_to_id(self, piece: Any) -> Any:
        """Return the id of a piece, or of each in a list; `unk_id` if there is none.

        >>> Tokenizer.load().piece_to_id(["▁ho", "</s>", "ж"])
        [599, 1, 2]
        """
        if isinstance(piece, str):
            return self._id_of.get(piece, self.unk_id)
        return [self.piece_to_id(each) for each in piece]

    @overload
    def id_to_piece(self, token_id: int) -> str: ...
    @overload
    def id_to_piece(self, token_id: list[int]) -> list[str]: ...
    def id_to_piece(self, token_id: Any) -> Any:
        """Return the piece of an id, or of each in a list.

        Raises SpanishTokError for an id that the vocabulary does not have.
        """
        if not isinstance(token_id, Iterable):
            return self.id_to_piece([token_id])[0]
        return [self.vocabulary.pieces[checked] for checked in checked_ids(token_id, self.vocab_size)]

    @cached_property
    def _id_of(self) -> dict[str, int]:
        return self.get_vocab()

    @cached_property
    def _engine(self) -> Any:
        return engine_of(self.vocabulary)

    @cached_property
    def _continuing_engine(self) -> Any:
        return engine_of(self.vocabulary, continued=True)

    @overload
    def normalize(self, text: str) -> str: ...
    @overload
    def normalize(self, text: list[str]) -> list[str]: ...
    def normalize(self, text: str | list[str]) -> str | list[str]:
        """Return text as this vocabulary's own table maps it.

        It is what `decode(encode(text))` returns.

        A list of texts gives a list, here and in the other methods.
        """
        if isinstance(text, list):
            return [self.normalize(each) for each in text]
        return str(self._engine.normalize(checked_text(text))).lstrip(SPACE_MARK).replace(SPACE_MARK, " ")

    @overload
    def encode(self, text: str, append_eos: bool = False) -> list[int]: ...
    @overload
    def encode(self, text: list[str], append_eos: bool = False) -> list[list[int]]: ...
    def encode(self, text: str | list[str], append_eos: bool = False) -> list[int] | list[list[int]]:
        """Return the ids of a text, with `</s>` at the end if asked for.

        Never a special id, whatever the text says. Raises SpanishTokError for anything but str, and for a lone
        surrogate.

        >>> Tokenizer.load().encode(["Hola", "Mundo"])
        [[1884], [340]]
        """
        if isinstance(text, list):
            return [self.encode(each, append_eos) for each in text]
        ids = self._encode(checked_text(text))
        return [*ids, self.eos_id] if append_eos else ids

    def encode_continued(self, text: str) -> list[int]:
        """Return the ids of a text that continues a word: its first piece has no `▁`.

        >>> tokenizer = Tokenizer.load()
        >>> tokenizer.encode("cara") + tokenizer.encode_continued("colito") == tokenizer.encode("caracolito")
        True
        """
        if not text or text[0].isspace():
            return self.encode(text)
        if not self.vocabulary.exact or self.vocabulary.foreign:
            ids: list[int] = self._continuing_engine.encode(checked_text(text))
            return ids
        # a piece never crosses from a digit to a letter or a sign, so the ids of one before it can be cut off
        shield = "." if text[0].isdigit() else "1"
        return self.encode(shield + text)[len(self.encode(shield)) :]

    def _encode(self, text: str) -> list[int]:
        exact = self._exact
        if not exact or len(text) < LONG:
            ids: list[int] = self._engine.encode(text)
            if (
                not exact
                or len(ids) * self._lowest_score < EXACT
                or -sum(map(self._scores.__getitem__, ids)) < EXACT
            ):
                return ids
        column: list[int] = self.encode_column([text])[0].as_py()
        return column

    @cached_property
    def _exact(self) -> bool:
        """Whether sums of scores are exact, so that kernels and sentencepiece agree."""
        return self.vocabulary.exact and not self.vocabulary.foreign

    @cached_property
    def _scores(self) -> tuple[float, ...]:
        return self.vocabulary.scores

    @cached_property
    def _lowest_score(self) -> float:
        return max(abs(score) for score in self.vocabulary.scores)

    def encode_batch(
        self, texts: Iterable[str], append_eos: bool = False, *, threads: int | None = None
    ) -> list[list[int]]:
        """Return the ids of each text, by compiled code where there is much of it.

        texts: any collection of str: a list, a column of pandas, polars or datasets. `encode_column` is faster still:
        it makes no Python object for a text. threads: None stands for all cores; never changes the result.

        Raises SpanishTokError, which tells the place of anything but text.

        >>> Tokenizer.load().encode_batch(("Hola", "Mundo"), append_eos=True)
        [[1884, 1], [340, 1]]
        """
        texts = listed_texts(texts)
        if sum(map(len, texts)) < LONG:
            return [self.encode(text, append_eos) for text in texts]
        rows: list[list[int]] = self.encode_column(texts, append_eos, threads).to_pylist()
        return rows

    def decode_batch(self, ids: Iterable[Iterable[int]]) -> list[str]:
        """Return the text of each row of ids: lists, arrays or tensors.

        Raises SpanishTokError, which tells the row of a wrong id.

        >>> Tokenizer.load().decode_batch([[1884, 1, 0], [340, 1, 0]])
        ['hola', 'mundo']
        """
        texts = []
        for row, its_ids in enumerate(ids):
            try:
                texts.append(str(self._engine.decode(checked_ids(its_ids, self.vocab_size))))
            except SpanishTokError as error:
                raise SpanishTokError(f"Row {row}: {error.problem}", error.advice) from None
        return texts

    def encode_nbest(self, text: str, n: int) -> list[tuple[list[int], float]]:
        """Return the n most probable segmentations of a text: (ids, score) pairs.

        The first has the ids of `encode`. A score is the sum of its pieces' scores, natural logarithms of their
        probabilities. There are fewer than n pairs where there are fewer segmentations.

        >>> Tokenizer.load().encode_nbest("hola", 2)
        [([1884], -9.5146484375), ([599, 60], -14.7939453125)]
        """
        from spanish_tok.tokenization.nbest import nbest

        words = "".join(SPACE_MARK + word for word in self.normalize(text).split())
        return nbest(words, self._sampler.pieces, self._sampler.longest, n)

    def __call__(
        self,
        text: str | Iterable[str],
        padding: bool | str = False,
        truncation: bool = False,
        max_length: int | None = None,
        return_tensors: str | None = None,
        append_eos: bool = True,
    ) -> dict[str, Any]:
        """Return input_ids and attention_mask of one text or of several, for a model.

        text: one str gives flat lists, and with return_tensors a batch of one; any collection of str gives a row each.
        padding: True to the longest row, "max_length" to `max_length`. truncation: rows are cut to `max_length` ids,
        `</s>` included. max_length: 512 by default. return_tensors: "np" or "pt". The ids are those of transformers'
        AutoTokenizer with split_special_tokens=True.

        Raises SpanishTokError for what is no text, and for options that make no sense.

        >>> Tokenizer.load()("¡Hola, mundo!", truncation=True, max_length=4)
        {'input_ids': [388, 685, 60, 1], 'attention_mask': [1, 1, 1, 1]}
        """
        from spanish_tok.tokenization.batches import batch_of, ids_per_text

        most, fewest = ids_per_text(truncation, padding, max_length)
        rows = [self.encode(text)] if isinstance(text, str) else self.encode_batch(text)
        end = [self.eos_id] if append_eos else []
        rows = [row[: most - len(end) if most else None] + end for row in rows]
        batch = batch_of(rows, fewest, self.pad_id if padding else None, return_tensors)
        flat = isinstance(text, str) and return_tensors is None
        return {name: values[0] for name, values in batch.items()} if flat else batch

    @overload
    def tokens(self, text: str) -> list[str]: ...
    @overload
    def tokens(self, text: list[str]) -> list[list[str]]: ...
    def tokens(self, text: str | list[str]) -> list[str] | list[list[str]]:
        """Return the pieces of a text; `▁` stands for the space before a word.

        >>> Tokenizer.load().tokens("Buenos días")
        ['▁buenos', '▁días']
        """
        if isinstance(text, list):
            return [self.tokens(each) for each in text]
        pieces = self.vocabulary.pieces
        return [pieces[token_id] for token_id in self.encode(text)]

    @overload
    def decode(self, ids: Iterable[int]) -> str: ...
    @overload
    def decode(self, ids: Sequence[Sequence[int]]) -> list[str]: ...
    def decode(self, ids: Any) -> str | list[str]:
        """Return the text of ids; specials and sentinels leave no trace.

        A list of lists gives a list of texts.

        Raises SpanishTokError, which names the position, for what is not a whole number from 0 to vocab_size - 1.
        """
        if isinstance(ids, Sequence) and ids and isinstance(ids[0], Sequence) and not isinstance(ids, str):
            return [str(self._engine.decode(checked_ids(row, self.vocab_size))) for row in ids]
        return str(self._engine.decode(checked_ids(ids, self.vocab_size)))

    def stream(self, *, inside: bool = False) -> "Stream":
        """Return a decoder for ids that come one after the other."""
        return Stream(self._pushed, self.vocabulary.special_ids, inside=inside)

    @cached_property
    def _pushed(self) -> list[str | int]:
        """What each id adds to a stream: a text, or a byte of a character."""
        kinds, vocabulary = self._engine, self.vocabulary
        return [
            int(piece[1:-1], 16) if kinds.is_byte(token_id)
            else str(kinds.decode([token_id])) if token_id in vocabulary.special_ids or kinds.is_control(token_id)
            else piece.replace(SPACE_MARK, " ")
            for token_id, piece in enumerate(vocabulary.pieces)
        ]  # fmt: skip

    @overload
    def offsets(self, text: str) -> list[tuple[int, int]]: ...
    @overload
    def offsets(self, text: list[str]) -> list[list[tuple[int, int]]]: ...
    def offsets(self, text: str | list[str]) -> Any:
        """Return, for each id of a text, the characters that it stands for.

        They are text[begin:end] for the ids of `encode(text)`.

        A piece that begins with a space covers it. Begins and ends never fall. Where one character became
        several (`½` is ` 1/2`), the first piece covers it and the others have no length.

        >>> Tokenizer.load().offsets("Buenos   días")
        [(0, 6), (6, 13)]
        """
        if isinstance(text, list):
            return [self.offsets(each) for each in text]
        from spanish_tok.text.alignment import align, spans

        normalized, sources = align(self.table, checked_text(text))
        return spans(self.tokens(text), normalized, sources)

    @cached_property
    def table(self) -> "NormalizationTable":
        """The normalization table of this vocabulary.

        Raises SpanishTokError for a foreign one whose rules a table cannot hold.
        """
        from spanish_tok.tokenization.compiler import table_of

        table = table_of(self.vocabulary.charsmap)
        if table is None:
            raise SpanishTokError(
                "The normalization of this vocabulary is no table of characters", "Offsets need one."
            )
        return table

    def encode_sampled(self, text: str, alpha: float, seed: int) -> list[int]:
        """Return the ids of a segmentation drawn at random.

        This is subword regularization (Kudo 2018, 3.3).

        A segmentation has a probability proportional to the product of its pieces' probabilities to the power
        `alpha`: 0 is uniform, large is the best one. The draw depends on (seed, text) alone, so that every
        process and thread draws the same; change the seed every epoch.
        """
        check_draw(alpha, seed)
        return self._sampler.draw(self.normalize(text), alpha, seed)

    @cached_property
    def _sampler(self) -> "Sampler":
        from spanish_tok.tokenization.subword_regularization import Sampler

        return Sampler(self.vocabulary)

    def encode_column(self, column: "Column", append_eos: bool = False, threads: int | None = None) -> Any:
        """Return the ids of a text column as lists of uint16, at memory speed.

        Equal to `encode` of each text. `threads`: None stands for all cores. A Series of polars gives one, for
        `pl.col("text").map_batches(tokenizer.encode_column)`; anything else gives an Arrow array.
        """
        lists = self._column_encoder.encode(column, append_eos=append_eos, threads=threads)
        return type(column)(lists) if type(column).__module__.startswith("polars.") else lists  # type: ignore[call-arg]

    def decode_column(self, lists: "pa.Array | pa.ChunkedArray | Sequence[Sequence[int]]") -> Any:
        """Return the texts of a column of lists of ids; equal to `decode` of each.

        Lists in Python will do, too."""
        return self._column_encoder.decode(lists)

    @cached_property
    def _column_encoder(self) -> "ColumnEncoder":
        from spanish_tok.tokenization.column_encoder import ColumnEncoder

        return ColumnEncoder(self.vocabulary)
