"""The classes of a classification: checked, and as ids."""

import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from spanish_tok.errors import SpanishTokError
from spanish_tok.tasks.choices import Choices
from spanish_tok.tasks.codec import Codec

ADVICE = "Give the classes other names in the data."


@dataclass(frozen=True)
class Labels(Choices):
    """Labels as they stand in the data, and the ids that the model writes for each."""

    names: tuple[str, ...]

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
        return cls(ids, names)


def count_labels(names: Iterable[str]) -> dict[str, int]:
    """How often each label occurs, the most frequent first, then by the alphabet."""
    counts = Counter(names)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).lower().split())
