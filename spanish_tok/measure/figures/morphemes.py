"""Morphemes: whether a vocabulary cuts words where a lexicon of morphemes does.

A border lies between two characters of a word. Over running words: precision is the share of the borders between pieces
that are borders between morphemes, recall the share of the latter that are found, F1 their harmonic mean (Creutz &
Lindén 2004, "Morpheme Segmentation Gold Standards for Finnish and English").
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate

import pyarrow as pa

from spanish_tok.errors import SpanishTokError
from spanish_tok.measure.tables import ReportTable, percent
from spanish_tok.readers.options import Location, ReadOptions
from spanish_tok.readers.records import read_records
from spanish_tok.text.alphabet import SPACE_MARK
from spanish_tok.text.table import normalize
from spanish_tok.tokenization.adapters import TokenizerAdapter

JOIN = "+"  # between two morphemes

Lexicon = Mapping[str, frozenset[int]]  # word -> places of its borders: "casas" -> {4} for casa+s


@dataclass(frozen=True)
class MorphemeFigures:
    """Borders of one vocabulary against a lexicon, over running words.

    words: distinct words of the text that the lexicon knows. running: how often they occur. share: of all running
    words. right: borders of both; cut: borders between pieces; known: borders of the lexicon. skipped: running words
    whose pieces do not spell them, which are left out.
    """

    words: int
    running: int
    share: float
    right: int
    cut: int
    known: int
    skipped: int = 0

    @property
    def precision(self) -> float:
        """Share of the borders between pieces that the lexicon has; 1 without any."""
        return self.right / self.cut if self.cut else 1.0

    @property
    def recall(self) -> float:
        """Share of the lexicon's borders that lie between pieces; 1 without any."""
        return self.right / self.known if self.known else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def load_lexicon(path: Location) -> Lexicon:
    """Read a table of words and their morphemes: tab-separated, `casas` and `casa+s`.

    Words and morphemes are normalized. Raises SpanishTokError, which names the row, where the morphemes do not spell
    the word, where a word comes twice with other borders, and for an empty file.
    """
    lexicon: dict[str, frozenset[int]] = {}
    row = 0
    for batch in read_records([path], ReadOptions(format="tsv")):
        for given, cut in zip(batch["id"].to_pylist(), batch["text"].to_pylist(), strict=True):
            row += 1
            word, morphemes = normalize(given), [normalize(part) for part in cut.split(JOIN)]
            if "".join(morphemes) != word or " " in word or not all(morphemes):
                raise SpanishTokError(
                    f"{path}, row {row}: {cut!r} does not spell {given!r}",
                    "Write a word, a tab, and morpheme+morpheme.",
                )
            borders = frozenset(list(accumulate(map(len, morphemes)))[:-1])
            if lexicon.setdefault(word, borders) != borders:
                raise SpanishTokError(f"{path}, row {row}: {given!r} is there twice", "Leave one of them.")
    if not lexicon:
        raise SpanishTokError(
            f"{path} holds no words", "Write a word, a tab, and morpheme+morpheme in each line."
        )
    return lexicon


def measure_morphemes(adapter: TokenizerAdapter, words: pa.Table, lexicon: Lexicon) -> MorphemeFigures:
    """Compare a tokenizer's borders with a lexicon's.

    words: (word, count), the distinct words of the text as `word_counts` returns them.
    """
    right = cut = known = distinct = running = skipped = total = 0
    for word, count in zip(words["word"].to_pylist(), words["count"].to_pylist(), strict=True):
        total += count
        if (expected := lexicon.get(word)) is None:
            continue
        pieces = [piece.replace(SPACE_MARK, "") for piece in adapter.cut(word)]
        if "".join(pieces) != word:
            skipped += count
            continue
        found = {place for place in accumulate(map(len, pieces)) if 0 < place < len(word)}
        right += count * len(found & expected)
        cut += count * len(found)
        known += count * len(expected)
        distinct += 1
        running += count
    return MorphemeFigures(distinct, running, running / max(1, total), right, cut, known, skipped)


def morphemes_table(figures: list[tuple[str, MorphemeFigures]]) -> ReportTable:
    """Return the table of all vocabularies, by name."""
    rows = tuple(
        (
            name,
            f"{one.words:,}",
            f"{one.running:,}",
            percent(one.share),
            f"{one.precision:.3f}",
            f"{one.recall:.3f}",
            f"{one.f1:.3f}",
            f"{one.skipped:,}",
        )
        for name, one in figures
    )
    columns = (
        "vocabulary", "words known", "running words", "of all", "precision", "recall", "F1", "skipped"
    )  # fmt: skip
    note = "Borders between pieces against the lexicon's borders between morphemes, over running words."
    return ReportTable("Morphemes", columns, rows, note)
