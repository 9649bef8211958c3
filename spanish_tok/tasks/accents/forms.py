"""The forms in which words without accents occur, and how often.

They come from counts of runs: `esta` and `está` are forms of the base `esta`.
"""

import os
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from spanish_tok.tasks.accents.words import without_marks
from spanish_tok.text.alphabet import SPACE_MARK
from spanish_tok.vocab.counts.table import SCHEMA, Counts, merge

LETTERS = re.compile("[a-záéíóúüñ]{2,}")
LEAST_WORD, LEAST_FORM, LEAST_SHARE = 3, 2, 1e-4  # below, a word or a form of one counts as a slip


@dataclass(frozen=True)
class Forms:
    """Base -> its forms with their counts, the most frequent first.

    >>> from spanish_tok.vocab.counts.runs import count_runs
    >>> forms = Forms.of_counts(count_runs(["la casa está aquí, esta está aquí; la piña está"] * 3))
    >>> forms.of("esta"), forms.usual("pina"), forms.usual("perro")
    ((('está', 9), ('esta', 3)), 'piña', 'perro')
    """

    forms: Mapping[str, tuple[tuple[str, int], ...]]

    def of(self, base: str) -> tuple[tuple[str, int], ...]:
        """Return the known forms of a base; none for an unknown word."""
        return self.forms.get(base, ())

    def usual(self, base: str) -> str:
        """Return the most frequent form: the honest rule.

        An unknown word stays without accents.
        """
        forms = self.of(base)
        return forms[0][0] if forms else base

    @classmethod
    def of_counts(cls, counts: Counts, fallback: Counts | None = None) -> "Forms":
        """Return the forms that counts hold; words that they lack come from `fallback`.

        Words of one letter, and words and forms that are too rare to be trusted, are left out.
        """
        forms_of_base = _by_base(counts)
        for base, others in _by_base(fallback).items() if fallback else ():
            if sum(forms_of_base.get(base, {}).values()) < LEAST_WORD:
                forms_of_base[base] = others
        return cls({base: known for base, forms in forms_of_base.items() if (known := _trusted(forms))})

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the forms as a table of counts, atomically."""
        rows = [{"run": form, "count": count} for forms in self.forms.values() for form, count in forms]
        merge([Counts(pa.Table.from_pylist(rows, SCHEMA))]).save(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Forms":
        """Read what `save` wrote."""
        return cls({base: _ordered(forms) for base, forms in _by_base(Counts.load(path)).items()})


def _by_base(counts: Counts) -> dict[str, dict[str, int]]:
    """Return base -> form -> count of all words of letters."""
    forms_of_base: dict[str, dict[str, int]] = defaultdict(dict)
    for run, count in zip(*counts.table.to_pydict().values(), strict=True):
        word = run.removeprefix(SPACE_MARK)
        if LETTERS.fullmatch(word):
            forms = forms_of_base[without_marks(word)]
            forms[word] = forms.get(word, 0) + count
    return forms_of_base


def _trusted(forms: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    total = sum(forms.values())
    least = max(LEAST_FORM, LEAST_SHARE * total)
    return (
        _ordered({form: count for form, count in forms.items() if count >= least})
        if total >= LEAST_WORD
        else ()
    )


def _ordered(forms: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(forms.items(), key=lambda row: (-row[1], row[0])))
