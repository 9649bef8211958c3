"""What must not follow a text: repeated n-grams, an early end.

What was written is less welcome, too. As transformers' logits processors of these names do it; the start id counts
as written.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Rules(Protocol):
    """The options of a generation that change scores."""

    @property
    def no_repeat_ngram_size(self) -> int: ...
    @property
    def repetition_penalty(self) -> float: ...
    @property
    def min_new_tokens(self) -> int: ...


def changes_scores(rules: Rules) -> bool:
    """Whether any of the rules is in force."""
    return bool(rules.no_repeat_ngram_size or rules.min_new_tokens) or rules.repetition_penalty != 1


def penalized(
    scores: NDArray[np.float32], texts: Sequence[Sequence[int]], start: int, rules: Rules
) -> NDArray[np.float32]:
    """Return scores (rows, ids) with those of written ids divided by the penalty.

    Multiplied where they are negative (Keskar et al. 2019, as transformers does it). texts: the ids of each row.
    """
    if rules.repetition_penalty == 1:
        return scores
    result, penalty = scores.copy(), np.float32(rules.repetition_penalty)
    for row, text in zip(result, texts, strict=True):
        ids = np.unique([start, *text])
        written = row[ids]
        row[ids] = np.where(written < 0, written * penalty, written / penalty)
    return result


def banned(text: Sequence[int], start: int, end: int, rules: Rules) -> list[int]:
    """Return the ids that must not follow a text.

    >>> from spanish_tok.generation.sampling import GenerateOptions
    >>> banned([7, 8, 9, 7, 8], 0, 1, GenerateOptions(no_repeat_ngram_size=3, min_new_tokens=6))
    [9, 1]
    """
    ids = []
    if size := rules.no_repeat_ngram_size:
        whole = [start, *text]
        tail = whole[len(whole) - size + 1 :]
        if len(whole) >= size:
            starts = range(len(whole) - size + 1)
            ids = [whole[at + size - 1] for at in starts if whole[at : at + size - 1] == tail]
    return [*ids, end] if len(text) < rules.min_new_tokens else ids
