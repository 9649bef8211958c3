"""What a model may write where it has to choose: texts as ids, and as a trie of what may follow."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from spanish_tok.tasks.codec import Codec
from spanish_tok.tasks.windows import Ids

LONGEST_SPAN = 16  # words
AROUND = ".,;:!?¡¿\"'«»“”‘’()[]…—–"  # what an answer neither begins nor ends with


@dataclass(frozen=True)
class Choices:
    """Texts of which the model writes one, as ids with `</s>` last, so that none begins with another."""

    ids: tuple[Ids, ...]

    @cached_property
    def following(self) -> dict[Ids, tuple[int, ...]]:
        """The trie: the ids of a text's beginning -> the ids that may follow it."""
        trie: dict[Ids, set[int]] = {}
        for ids in self.ids:
            for place, number in enumerate(ids):
                trie.setdefault(ids[:place], set()).add(number)
        return {prefix: tuple(sorted(after)) for prefix, after in trie.items()}

    def allowed(self, written: Sequence[int]) -> tuple[int, ...]:
        """The ids that may follow those written so far; after a whole text, `</s>` again.

        For `spanish_tok.search` as it is; transformers' `prefix_allowed_tokens_fn` is
        `lambda _, ids: choices.allowed(ids.tolist()[1:])`.
        """
        return self.following.get(tuple(written), self.ids[0][-1:])


def spans_of(text: str, codec: Codec, end: int, longest: int) -> Choices:
    """The stretches of a text: up to 16 whole words without the punctuation around them, of up to `longest` ids.

    Of a text without words, the empty one.

    >>> from spanish_tok import Tokenizer
    >>> codec = Codec.of(Tokenizer.load())
    >>> sorted(codec.decode(ids) for ids in spans_of("En Lima, sí.", codec, 1, 48).ids)
    ['en', 'en lima', 'en lima, sí', 'lima', 'lima, sí', 'sí']
    """
    words = text.split()
    texts: set[str] = set()
    for first in range(len(words)):
        for last in range(first + 1, min(len(words), first + LONGEST_SPAN) + 1):
            texts.add(" ".join(words[first:last]).strip(AROUND))
    spans = {(*codec.encode(span), end) for span in texts if span}
    return Choices(tuple(sorted(ids for ids in spans if len(ids) <= longest)) or ((end,),))
