"""What a model may write if it has to choose.

Texts as ids, and as a trie of what may follow.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from spanish_tok.errors import SpanishTokError
from spanish_tok.tasks.examples import Example
from spanish_tok.tasks.task import Task
from spanish_tok.tasks.windows import Ids
from spanish_tok.tokenization.adapters import TokenizerAdapter

LONGEST_SPAN = 16  # words
AROUND = ".,;:!?¡¿\"'«»“”‘’()[]…—–"  # what an answer neither begins nor ends with


@dataclass(frozen=True)
class TargetTrie:
    """Texts of which the model writes one, as ids with `</s>` last.

    So none is a prefix of another.
    """

    ids: tuple[Ids, ...]

    @cached_property
    def trie(self) -> dict[int, Any]:
        """Each id that may come first -> the same for what may follow it.

        For example {5: {6: {1: {}}, 7: {1: {}}}}.
        """
        root: dict[int, Any] = {}
        for ids in self.ids:
            node = root
            for token_id in ids:
                node = node.setdefault(token_id, {})
        return root

    def allowed(self, written: Sequence[int]) -> tuple[int, ...]:
        """Return the ids that may follow those written so far.

        After a whole text `</s>` again.

        For `spanish_tok.generation.sampling` as it is; transformers' `prefix_allowed_tokens_fn` is
        `lambda _, ids: choices.allowed(ids.tolist()[1:])`.
        """
        node = self.trie
        for token_id in written:
            node = node.get(token_id, {})
        return tuple(node) or self.ids[0][-1:]

    def beside(self, target: Ids) -> list[Ids]:
        """Return the ids that are allowed at each position of a target.

        They depend on what comes before; the target's own id is always among them.

        >>> TargetTrie(((5, 6, 1), (5, 7, 1), (8, 1))).beside((5, 7, 1))
        [(5, 8), (6, 7), (1,)]
        """
        positions, left = [], list(self.ids)
        for position, token_id in enumerate(target):
            positions.append(tuple(sorted({token_id, *(ids[position] for ids in left)})))
            left = [ids for ids in left if ids[position] == token_id and len(ids) > position + 1]
        return positions


def candidate_spans(
    text: str, codec: TokenizerAdapter, end: int, longest: int, no_answer: str = ""
) -> TargetTrie:
    """Return the stretches of a text that may be answers.

    Up to 16 whole words without the punctuation around them, of up to `longest` ids.

    Of a text without words, the empty one. `no_answer` may be chosen too.

    >>> from spanish_tok import Tokenizer
    >>> codec = TokenizerAdapter.of(Tokenizer.load())
    >>> sorted(codec.decode(ids) for ids in candidate_spans("En Lima, sí.", codec, 1, 48).ids)
    ['en', 'en lima', 'en lima, sí', 'lima', 'lima, sí', 'sí']
    """
    words = text.split()
    texts = {
        " ".join(words[first : first + count]).strip(AROUND)
        for first in range(len(words))
        for count in range(1, LONGEST_SPAN + 1)
    } | {no_answer}
    texts -= {""}
    spans = {(*ids, end) for ids in codec.encode_all(sorted(texts))}
    return TargetTrie(tuple(sorted(ids for ids in spans if len(ids) <= longest)) or ((end,),))


class SpanTargets:
    """The ids that prediction allows at each position of a record's target.

    They are computed once for each record.
    """

    def __init__(self, task: Task, codec: TokenizerAdapter, end: int) -> None:
        self._task, self._codec, self._end = task, codec, end
        self._known: dict[tuple[str, Ids], list[Ids]] = {}

    def __call__(self, example: Example) -> list[Ids]:
        text = example.fields[self._task.spans]
        key = (text, example.labels)
        if key not in self._known:
            task = self._task
            spans = candidate_spans(text, self._codec, self._end, task.target_tokens, task.no_answer)
            self._known[key] = spans.beside(example.labels)
        return self._known[key]


ADVICE = "Give the classes other names in the data."


@dataclass(frozen=True)
class Labels(TargetTrie):
    """Labels as they stand in the data, and the ids that the model writes for each."""

    names: tuple[str, ...]

    @classmethod
    def build(cls, names: Iterable[str], codec: TokenizerAdapter, end: int, longest: int) -> "Labels":
        """Check labels and turn them into ids.

        Raises SpanishTokError, which names them: a label whose text does not survive normalization (only case
        and spacing may change), two that become the same, one of more than `longest` ids, fewer than two.

        >>> from spanish_tok import Tokenizer
        >>> codec = TokenizerAdapter.of(Tokenizer.load())
        >>> Labels.build(["Sí", "No"], codec, 1, 32).names
        ('Sí', 'No')
        >>> Labels.build(["año", "AÑO"], codec, 1, 32)
        Traceback (most recent call last):
        spanish_tok.errors.SpanishTokError: The labels 'año' and 'AÑO' are the same to the model: 'año'. Give ...
        """
        names = tuple(names)
        if len(names) < 2:
            raise SpanishTokError(f"There are {len(names)} labels", "A classification needs two or more.")
        seen: dict[str, str] = {}
        for name in names:
            read = codec.readable(name)
            if _folded(read) != _folded(name):
                raise SpanishTokError(f"The label {name!r} becomes {read!r} when it is normalized", ADVICE)
            if read in seen:
                raise SpanishTokError(
                    f"The labels {seen[read]!r} and {name!r} are the same to the model: {read!r}", ADVICE
                )
            seen[read] = name
        ids = tuple((*codec.encode(name), end) for name in names)
        for name, sequence in zip(names, ids, strict=True):
            if len(sequence) > longest:
                raise SpanishTokError(
                    f"The label {name!r} has {len(sequence)} ids, the task allows {longest}",
                    "Raise target_tokens, or shorten it.",
                )
        return cls(ids, names)


def count_labels(names: Iterable[str]) -> dict[str, int]:
    """How often each label occurs, the most frequent first, then by the alphabet."""
    counts = Counter(names)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).lower().split())
