"""The classes of a classification: checked, as ids, and as a trie of what may follow."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from spanish_tok.errors import SpanishTokError
from spanish_tok.tasks.codec import Codec
from spanish_tok.tasks.windows import Ids

ADVICE = "Give the classes other names in the data."


@dataclass(frozen=True)
class Labels:
    """Labels as they stand in the data, and the ids that the model writes for each, `</s>` last.

    No label's ids begin with another's, since `</s>` ends each.
    """

    names: tuple[str, ...]
    ids: tuple[Ids, ...]

    @classmethod
    def build(cls, names: Iterable[str], codec: Codec, end: int, longest: int) -> "Labels":
        """Check labels and turn them into ids.

        Raises SpanishTokError, which names them: a label whose text does not survive normalization (only case
        and spacing may change), two that become the same, one of more than `longest` ids, fewer than two.

        >>> from spanish_tok import Tokenizer
        >>> codec = Codec.of(Tokenizer.load())
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
        return cls(names, ids)

    @cached_property
    def following(self) -> dict[Ids, tuple[int, ...]]:
        """The trie: the ids of a label's beginning -> the ids that may follow it."""
        trie: dict[Ids, set[int]] = {}
        for ids in self.ids:
            for place, number in enumerate(ids):
                trie.setdefault(ids[:place], set()).add(number)
        return {prefix: tuple(sorted(after)) for prefix, after in trie.items()}

    def allowed(self, written: Sequence[int]) -> tuple[int, ...]:
        """The ids that may follow those written so far; after a whole label, `</s>` again.

        For `spanish_tok.search` as it is; transformers' `prefix_allowed_tokens_fn` is
        `lambda _, ids: labels.allowed(ids.tolist()[1:])`.
        """
        return self.following.get(tuple(written), self.ids[0][-1:])


def count_labels(names: Iterable[str]) -> dict[str, int]:
    """How often each label occurs, the most frequent first, then by the alphabet."""
    counts = Counter(names)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).lower().split())
