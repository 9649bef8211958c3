"""What a model may write where it has to choose: texts as ids, and as a trie of what may follow."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from spanish_tok.tasks.codec import Codec
from spanish_tok.tasks.examples import Example
from spanish_tok.tasks.task import Task
from spanish_tok.tasks.windows import Ids

LONGEST_SPAN = 16  # words
AROUND = ".,;:!?¡¿\"'«»“”‘’()[]…—–"  # what an answer neither begins nor ends with


@dataclass(frozen=True)
class Choices:
    """Texts of which the model writes one, as ids with `</s>` last, so that none begins with another."""

    ids: tuple[Ids, ...]

    @cached_property
    def trie(self) -> dict[int, Any]:
        """Each id that may come first -> the same for what may follow it: {5: {6: {1: {}}, 7: {1: {}}}}."""
        root: dict[int, Any] = {}
        for ids in self.ids:
            node = root
            for number in ids:
                node = node.setdefault(number, {})
        return root

    def allowed(self, written: Sequence[int]) -> tuple[int, ...]:
        """The ids that may follow those written so far; after a whole text, `</s>` again.

        For `spanish_tok.search` as it is; transformers' `prefix_allowed_tokens_fn` is
        `lambda _, ids: choices.allowed(ids.tolist()[1:])`.
        """
        node = self.trie
        for number in written:
            node = node.get(number, {})
        return tuple(node) or self.ids[0][-1:]

    def beside(self, target: Ids) -> list[Ids]:
        """The ids that are allowed at each place of a target, given what comes before; its own always.

        >>> Choices(((5, 6, 1), (5, 7, 1), (8, 1))).beside((5, 7, 1))
        [(5, 8), (6, 7), (1,)]
        """
        places, left = [], list(self.ids)
        for place, number in enumerate(target):
            places.append(tuple(sorted({number, *(ids[place] for ids in left)})))
            left = [ids for ids in left if ids[place] == number and len(ids) > place + 1]
        return places


def spans_of(text: str, codec: Codec, end: int, longest: int) -> Choices:
    """The stretches of a text: up to 16 whole words without the punctuation around them, of up to `longest` ids.

    Of a text without words, the empty one.

    >>> from spanish_tok import Tokenizer
    >>> codec = Codec.of(Tokenizer.load())
    >>> sorted(codec.decode(ids) for ids in spans_of("En Lima, sí.", codec, 1, 48).ids)
    ['en', 'en lima', 'en lima, sí', 'lima', 'lima, sí', 'sí']
    """
    words = text.split()
    texts = {
        " ".join(words[first : first + count]).strip(AROUND)
        for first in range(len(words))
        for count in range(1, LONGEST_SPAN + 1)
    } - {""}
    spans = {(*ids, end) for ids in codec.encode_all(sorted(texts))}
    return Choices(tuple(sorted(ids for ids in spans if len(ids) <= longest)) or ((end,),))


class SpanTargets:
    """The ids that prediction allows at each place of a record's target; found once for each record."""

    def __init__(self, task: Task, codec: Codec, end: int) -> None:
        self._task, self._codec, self._end = task, codec, end
        self._known: dict[tuple[str, Ids], list[Ids]] = {}

    def __call__(self, example: Example) -> list[Ids]:
        text = example.fields[self._task.spans]
        key = (text, example.labels)
        if key not in self._known:
            spans = spans_of(text, self._codec, self._end, self._task.target_tokens)
            self._known[key] = spans.beside(example.labels)
        return self._known[key]
