"""Bits per byte: how well a model fills masks, whatever its vocabulary.

No torch here.

The masks are spans of whole words of the normalized text, drawn by a hash of the text: the same characters
are masked whatever the vocabulary. A model is any function from a batch to summed nats, of any backend.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spanish_tok.errors import SpanishTokError
from spanish_tok.tokenization.tokenizer import Tokenizer
from spanish_tok.training.span_corruption import Batch, SpanCorruption, padded
from spanish_tok.vocab.vocabulary import EOS

# (inputs, targets), int64[rows, longest] each, rows end in `</s>`, then `<pad>` 0 -> summed nats of all targets
Scorer = Callable[[NDArray[np.int64], NDArray[np.int64]], float]

WORDS = SpanCorruption(first_sentinel=0xFFFF, rate=0.15, mean_span=2.0)  # masks words, by their numbers
LONGEST = 200  # words of a text that are looked at
BATCH = 32


class MaskedText(NamedTuple):
    """A normalized text and its masked spans of characters, (begin, end).

    Both ends lie at word boundaries.
    """

    text: str
    spans: tuple[tuple[int, int], ...]

    @property
    def masked_bytes(self) -> int:
        """UTF-8 bytes of the masked characters."""
        return sum(len(self.text[begin:end].encode()) for begin, end in self.spans)

    def shown(self) -> str:
        """Return the text with `<extra_id_0>`, ... for its masks, for people."""
        parts, last = [], 0
        for gap, (begin, end) in enumerate(self.spans):
            parts += [self.text[last:begin], f"<extra_id_{gap}>"]
            last = end
        return "".join([*parts, self.text[last:]])


class BitsPerByte(NamedTuple):
    """A measurement: bits per byte = nats / (ln 2 x masked bytes)."""

    nats: float
    masked_bytes: int
    target_ids: int  # sentinels and `</s>` included, as in the nats

    @property
    def value(self) -> float:
        return self.nats / (math.log(2) * self.masked_bytes)


def mask_words(text: str) -> MaskedText:
    """Mask 15 % of the words of a normalized text, at least one.

    Two in a span on average.

    The draw depends on the text alone. Of a longer text only the first 200 words are kept.

    >>> mask_words("la capital de españa es madrid .").shown()
    'la capital de españa <extra_id_0> madrid .'
    """
    words = text.split(" ")[:LONGEST]
    record = int.from_bytes(blake2b(" ".join(words).encode(), digest_size=8).digest(), "little")
    _, targets = WORDS.corrupt(range(2, 2 + len(words)), epoch=0, record=record)
    masked = [token_id - 2 if token_id <= LONGEST + 1 else None for token_id in targets[:-1]]
    ends = np.cumsum([len(word) + 1 for word in words]) - 1
    spans: list[tuple[int, int]] = []
    for before, word in zip([None, *masked], masked, strict=False):
        if word is None:
            continue
        begin = spans.pop()[0] if before is not None else int(ends[word]) - len(words[word])
        spans.append((begin, int(ends[word])))
    return MaskedText(" ".join(words), tuple(spans))


def encode_masked(tokenizer: Tokenizer, masked: MaskedText) -> tuple[list[int], list[int]]:
    """Return input and target ids of a masked text.

    What stands between masks is encoded by itself, as is each mask.
    """
    inputs: list[int] = []
    targets: list[int] = []
    last = 0
    for gap, (begin, end) in enumerate(masked.spans):
        sentinel = tokenizer.sentinel_id(gap)
        inputs += [*tokenizer.encode(masked.text[last:begin]), sentinel]
        targets += [sentinel, *tokenizer.encode(masked.text[begin:end])]
        last = end
    return [*inputs, *tokenizer.encode(masked.text[last:]), EOS], [*targets, EOS]


def bits_per_byte(scorer: Scorer, tokenizer: Tokenizer, texts: Iterable[str]) -> BitsPerByte:
    """Measure a model on texts; raise SpanishTokError without any.

    Texts are normalized by the vocabulary's own table first; empty ones are skipped.
    """
    masked = [mask_words(normalized) for text in texts if (normalized := tokenizer.normalize(text))]
    if not masked:
        raise SpanishTokError("There is no text to measure bits per byte on", "Give some that is not empty.")
    pairs = sorted((encode_masked(tokenizer, text) for text in masked), key=lambda pair: len(pair[0]))
    nats = sum(scorer(*batch) for batch in _batches(pairs))
    return BitsPerByte(nats, sum(text.masked_bytes for text in masked), sum(len(pair[1]) for pair in pairs))


def _batches(pairs: Sequence[tuple[list[int], list[int]]]) -> Iterable[Batch]:
    for first in range(0, len(pairs), BATCH):
        inputs, targets = zip(*pairs[first : first + BATCH], strict=True)
        yield Batch(padded(inputs), padded(targets))
