"""Restored words beside those of a text with accents, the model's and the rule's."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

import pyarrow as pa

from spanish_tok.errors import SpanishTokError
from spanish_tok.progress import SILENT, Bar
from spanish_tok.readers.inputs import Inputs
from spanish_tok.readers.options import FileReport
from spanish_tok.tasks.accents.forms import Forms
from spanish_tok.tasks.accents.restorer import Restorer
from spanish_tok.tasks.accents.words import all_words, with_forms, without_marks
from spanish_tok.text.arrow import text_chunks

# accents that the academy has left to the writer since 2010
FREE = {
    word: without_marks(word)
    for word in re.findall(
        r"\w+", "sólo éste ésta éstos éstas ése ésa ésos ésas aquél aquélla aquéllos aquéllas"
    )
}
SHOWN = ("esta", "solo", "mas", "el", "que", "si", "publico")
BATCH = 64


@dataclass(frozen=True)
class AccentEvaluation:
    """Words that differ from the gold text in a letter, of the model and of the rule.

    rule: each word's most frequent form. words: those in lower case or capitalized. free: words that differ in an
    accent that the academy leaves to the writer (sólo, éste), which is not wrong; shouted: words in capitals alone,
    which are not counted. ambiguous: base -> (times, wrong of the model, wrong of the rule). errors: "gold -> restored"
    -> times.
    """

    words: int
    wrong: int
    rule_wrong: int
    free: int = 0
    shouted: int = 0
    ambiguous: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    errors: Mapping[str, int] = field(default_factory=dict)

    @property
    def value(self) -> float:
        """The share of words that are right."""
        return 1 - self.wrong / max(self.words, 1)

    def to_dict(self) -> dict[str, Any]:
        """Return the figures, ready for JSON."""
        return {
            **asdict(self),
            "wrong_share": 1 - self.value,
            "rule_wrong_share": self.rule_wrong / max(self.words, 1),
        }

    def __str__(self) -> str:
        lines = [
            f"{self.words:,} words; apart: {self.free:,} differ in a free accent, {self.shouted:,} are in capitals"
        ]
        for name, wrong in (("model", self.wrong), ("rule: most frequent form", self.rule_wrong)):
            lines.append(f"  {name:<26}{wrong:>8,} wrong {wrong / max(self.words, 1):>9.3%}")
        lines.append(f"  {'word':<12}{'times':>8}{'model':>8}{'rule':>8}  wrong")
        lines += [f"  {base:<12}{n:>8,}{a:>8,}{b:>8,}" for base, (n, a, b) in self.ambiguous.items()]
        return "\n".join(lines)


def evaluate_restorer(restorer: Restorer, texts: Iterable[str], bar: Bar = SILENT) -> AccentEvaluation:
    """Strip the accents of texts, restore them, and count the words that differ.

    Raises SpanishTokError where the texts hold no word.
    """
    total: Counter[str] = Counter()
    table: dict[str, list[int]] = {base: [0, 0, 0] for base in SHOWN}
    errors: Counter[str] = Counter()
    golds = iter(texts)
    while batch := list(islice(golds, BATCH)):
        plain = [with_forms(text, lambda word: word.base) for text in batch]
        for text, restored in zip(batch, restorer.restore_all(plain), strict=True):
            _compare(text, restored, restorer.forms, total, table, errors)
        bar.advance(len(batch))
    if not total["words"]:
        raise SpanishTokError("There is no word to evaluate", "Give a text with accents.")
    counts = {name: total[name] for name in ("words", "wrong", "rule_wrong", "free", "shouted")}
    ambiguous = {base: (n, a, b) for base, (n, a, b) in table.items() if n}
    return AccentEvaluation(**counts, ambiguous=ambiguous, errors=dict(errors.most_common(200)))


def _compare(
    gold: str,
    restored: str,
    forms: Forms,
    total: Counter[str],
    table: Mapping[str, list[int]],
    errors: Counter[str],
) -> None:
    """Count the words of one text, and those that are wrong."""
    for right, mine in zip(all_words(gold), all_words(restored), strict=True):
        if right.shouted:
            total["shouted"] += 1
            continue
        total["words"] += 1
        wrong = [_differs(right.composed, form) for form in (mine.composed, forms.usual(right.base))]
        total["wrong"] += wrong[0]
        total["rule_wrong"] += wrong[1]
        total["free"] += right.composed != mine.composed and not wrong[0]
        if wrong[0]:
            errors[f"{right.composed} -> {mine.composed}"] += 1
        if right.base in table:
            row = table[right.base]
            row[0], row[1], row[2] = row[0] + 1, row[1] + wrong[0], row[2] + wrong[1]


def _differs(gold: str, form: str) -> bool:
    """Whether two forms differ in more than a free accent."""
    return FREE.get(gold, gold) != FREE.get(form, form)


def texts_of(inputs: Inputs) -> pa.LargeStringArray:
    """Return all texts of inputs as one array."""
    reports = [FileReport(item.name) for item in inputs.items]
    read = zip(inputs.items, reports, strict=True)
    columns = [batch["text"] for item, report in read for batch in item.read(report)]
    inputs.check(reports)
    chunks = [chunk for column in columns for chunk in text_chunks(column)]
    return pa.concat_arrays(chunks) if chunks else pa.array([], pa.large_string())
