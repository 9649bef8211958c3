"""Batches of text for the training that restores accents."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from spanish_tok.tasks.accents.forms import Forms
from spanish_tok.tasks.accents.pieces import SLOTS, Window
from spanish_tok.tasks.accents.scores import ACCENT, FORM, LETTER, marks_of, others_of, vowels_of
from spanish_tok.tasks.accents.words import Word
from spanish_tok.tasks.batches import padded
from spanish_tok.training.accents.tagger import AccentBatch

BARE = 3  # words that the rule would accent in a text without any accent: it was written without


def is_bare(words: Iterable[Word], forms: Forms) -> bool:
    """Whether a text seems to have been written without accents.

    Such a text would teach that nothing has any.
    """
    missing = 0
    for word in words:
        if not word.composed.isascii():
            return False
        missing += not forms.usual(word.base).isascii()
    return missing >= BARE


def batch_of(windows: Sequence[Window], forms: Forms) -> AccentBatch:
    """Return windows as one batch; words in capitals alone teach nothing."""
    ids = padded([tuple(window.ids) for window in windows], 0)
    width = ids.shape[1] * SLOTS
    kind, zero = ids.size * SLOTS, 3 * ids.size * SLOTS
    places: list[list[list[int]]] = []
    priors: list[list[float]] = []
    form, acutes, acute, others, other = [], [], [], [], []
    words = 0
    for row, window in enumerate(windows):
        for placed in window.words:
            if placed.word.shouted or min(placed.places) < 0:
                continue
            words += 1
            base, gold = placed.word.base, placed.word.composed
            at = [row * width + place for place in placed.places]
            known = dict(forms.of(base))
            if gold in known and len(known) > 1:
                places.append([[FORM * kind + at[mark] for mark in marks_of(name)] for name in known])
                priors.append([math.log(count) for count in known.values()])
                form.append(list(known).index(gold))
            vowels = vowels_of(base)
            accents = [index for index, vowel in enumerate(vowels) if gold[vowel] != base[vowel]]
            if len(accents) < 2:
                acutes.append([zero, *(ACCENT * kind + at[vowel] for vowel in vowels)])
                acute.append(accents[0] + 1 if accents else 0)
            for letter in others_of(base):
                others.append(LETTER * kind + at[letter])
                other.append(float(gold[letter] in "ñü"))
    return AccentBatch(
        ids,
        _marks(places, zero),
        _filled(priors, -math.inf).astype(np.float32),
        np.array(form, np.int64),
        _filled(acutes, -1).astype(np.int64),
        np.array(acute, np.int64),
        np.array(others, np.int64),
        np.array(other, np.float32),
        words,
    )


def _filled(rows: Sequence[Sequence[float]], filling: float) -> NDArray[np.float64]:
    array = np.full((len(rows), max(map(len, rows), default=0)), filling)
    for index, row in enumerate(rows):
        array[index, : len(row)] = row
    return array


def _marks(words: Sequence[Sequence[Sequence[int]]], zero: int) -> NDArray[np.int64]:
    """Return the places of the marks of forms as one array (words, forms, marks)."""
    forms = max(map(len, words), default=0)
    marks = max((len(positions) for word in words for positions in word), default=0)
    array = np.full((len(words), forms, marks), zero, np.int64)
    for index, word in enumerate(words):
        for name, positions in enumerate(word):
            array[index, name, : len(positions)] = positions
    return array
