"""Any vocabulary through its own library.

Ours, a spiece.model, a tokenizer.json; and the other fast encoders.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa

from spanish_tok.errors import SpanishTokError
from spanish_tok.tokenization.tokenizer import Tokenizer
from spanish_tok.vocab.vocabulary import Vocabulary

OURS = "spanish-tok"
LISTS = pa.list_(pa.uint32())


def _unsupported(*_: Any) -> NoReturn:
    raise SpanishTokError(
        "This library only encodes whole texts", "Use sentencepiece or tokenizers for that."
    )


@dataclass(frozen=True)
class TokenizerAdapter:
    """One vocabulary in its own library, with one interface for all libraries.

    name: the path as it was given. kind: which library cuts. size: all ids.
    find_special, find_unknown, find_fingerprint: how `special`, `unknown` and `fingerprint` are found when they are
        first asked for, so that loading for speed stays what the library does.
    encode: text -> ids, never a special one, whatever the text says; without `</s>`.
    prepare, encode_batch, lists: a column of text -> what the library takes -> what it returns -> Arrow lists of ids;
        three steps, so that speed can be measured without the conversions.
    cut: one word as it stands inside a sentence -> its pieces, `▁` for the space before it.
    decode: ids -> text; specials leave no trace. piece: id -> its piece, for people.
    save: writes the files that loading a folder needs.
    find_unigram: how the pieces and scores of a Unigram model are found; None for another model.
    vocabulary: the Vocabulary, if it is one of ours.
    """

    name: str
    kind: str
    size: int
    encode: Callable[[str], list[int]]
    encode_batch: Callable[[Any], Any]
    prepare: Callable[[Any], Any] = lambda texts: texts.to_pylist()
    lists: Callable[[Any], pa.ListArray] = lambda rows: pa.array(rows, LISTS)
    find_special: Callable[[], frozenset[int]] = frozenset
    find_unknown: Callable[[], int | None] = lambda: None
    find_fingerprint: Callable[[], str] = str
    cut: Callable[[str], list[str]] = _unsupported
    decode: Callable[[Sequence[int]], str] = _unsupported
    piece: Callable[[int], str] = _unsupported
    save: Callable[[Path], None] = _unsupported
    find_unigram: Callable[[], Vocabulary | None] = lambda: None
    vocabulary: Vocabulary | None = field(default=None, repr=False)

    @cached_property
    def special(self) -> frozenset[int]:
        """The ids that text never becomes."""
        return self.find_special()

    @cached_property
    def unknown(self) -> int | None:
        """The id of `<unk>`; None if there is no such id."""
        return self.find_unknown()

    @cached_property
    def fingerprint(self) -> str:
        """A hash, equal for adapters of the same ids."""
        return self.find_fingerprint()

    @property
    def ordinary(self) -> int:
        """How many ids text can become."""
        return self.size - len(self.special)

    @cached_property
    def pieces(self) -> tuple[str, ...]:
        """The piece of each id."""
        return tuple(map(self.piece, range(self.size)))

    def encode_column(self, texts: Any) -> Any:
        """Return the ids of a large_string column as Arrow lists, no specials added."""
        return self.lists(self.encode_batch(self.prepare(texts)))

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of many texts, which is quicker than one after the other."""
        rows: list[list[int]] = self.encode_column(pa.array(texts, pa.large_string())).to_pylist()
        return rows

    def readable(self, text: str) -> str:
        """Return `text` as a model can read and write it: what is unknown is left out.

        >>> TokenizerAdapter.of(Tokenizer.load()).readable(" Ñandú 日 ")
        'ñandú ri'
        """
        return self.decode([token_id for token_id in self.encode(text) if token_id != self.unknown]).strip()

    @classmethod
    def of(cls, tokenizer: Tokenizer, name: str = OURS, threads: int | None = None) -> "TokenizerAdapter":
        """Return the adapter of a vocabulary of ours.

        Columns go through the column encoder.
        """
        vocabulary = tokenizer.vocabulary
        return cls(
            name=name,
            kind=OURS,
            size=len(vocabulary),
            find_special=lambda: frozenset(vocabulary.special_ids),
            find_unknown=lambda: vocabulary.unknown,
            encode=tokenizer.encode,
            prepare=lambda texts: texts,
            encode_batch=lambda texts: tokenizer.encode_column(texts, threads=threads),
            lists=_lists_of_ours,
            cut=tokenizer.tokens,
            decode=tokenizer.decode,
            piece=vocabulary.pieces.__getitem__,
            find_fingerprint=lambda: vocabulary.fingerprint,
            save=vocabulary.save,
            find_unigram=lambda: vocabulary,
            vocabulary=vocabulary,
        )


def _lists_of_ours(lists: pa.Array | pa.ChunkedArray) -> pa.ListArray:
    whole = lists.combine_chunks() if isinstance(lists, pa.ChunkedArray) else lists
    return whole.cast(LISTS)
