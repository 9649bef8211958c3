"""How scores of marks decide a word: among its forms, or letter by letter.

The encoder gives each letter three scores: what a mark adds to a known form beside the logarithm of its count, that an
unknown word has its acute accent there, and that its n is ñ or its u ü.
"""

import math
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spanish_tok.tasks.accents.forms import Forms
from spanish_tok.tasks.accents.words import ACUTE, accented_at, allowed

FORM, ACCENT, LETTER = range(3)
KINDS = 3
OTHER_LETTERS = re.compile("n|(?<=g)u(?=[ei])")


def marks_of(form: str) -> list[int]:
    """Return the letters of a form that carry a mark.

    >>> marks_of("ñandú")
    [0, 4]
    """
    return [index for index, letter in enumerate(form) if not letter.isascii()]


def vowels_of(base: str) -> list[int]:
    """Return the letters of a base that may have an acute accent."""
    return [index for index, letter in enumerate(base) if letter in ACUTE]


def others_of(base: str) -> list[int]:
    """Return the letters of a base that may be ñ or ü.

    >>> others_of("pinguino")
    [2, 4, 6]
    """
    return [match.start() for match in OTHER_LETTERS.finditer(base)]


def chosen(
    base: str, present: str, positions: Sequence[int], scores: NDArray[np.float32], forms: Forms
) -> str:
    """Return the form of a word that keeps the marks `present`.

    places: of its letters in `scores`, (KINDS, places of a window).
    """
    counted = forms.of(base)
    if counted:
        possible = [(form, count) for form, count in counted if allowed(form, present)]
        if len(possible) < 2:
            return possible[0][0] if possible else present
        best = [math.log(count) + _sum(scores[FORM], positions, marks_of(form)) for form, count in possible]
        return possible[int(np.argmax(best))][0]
    if not present.isascii():
        return present
    vowels = [vowel for vowel in vowels_of(base) if positions[vowel] >= 0]
    best = [0.0, *(float(scores[ACCENT, positions[vowel]]) for vowel in vowels)]
    winner = int(np.argmax(best))
    others = [at for at in others_of(base) if positions[at] >= 0 and scores[LETTER, positions[at]] > 0]
    return accented_at(base, vowels[winner - 1 : winner] if winner else [], others)


def _sum(scores: NDArray[np.float32], positions: Sequence[int], marks: Sequence[int]) -> float:
    return float(sum(scores[positions[mark]] for mark in marks if positions[mark] >= 0))
