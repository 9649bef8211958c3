"""The report of cleaning: what each rule touched, with its first ten examples."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from spanish_tok.corpus.cleaning import KEPT, REJECTIONS, REPAIRS, RULES, Cleaned
from spanish_tok.files.schema import COUNT

EXAMPLES = 10  # kept for each rule
SHOWN = 300  # characters of an example
SHAPE = {
    "looked_at": COUNT,
    "kept": COUNT,
    "rules": {rule: {"records": COUNT, "examples": [{str: (str, None)}]} for rule in RULES},
}


@dataclass
class CleaningReport:
    """Counts and examples by rule; reports of parts add up to the report of the whole.

    looked: records that were looked at. kept: those that no rule rejected.
    touched: for each rule, the records that it repaired or rejected. A record may be repaired by several
    rules, and is rejected by one, the first.
    """

    looked: int = 0
    kept: int = 0
    touched: dict[str, int] = field(default_factory=lambda: dict.fromkeys(RULES, 0))
    examples: dict[str, list[dict[str, str | None]]] = field(
        default_factory=lambda: {rule: [] for rule in RULES}
    )

    def add(self, other: "CleaningReport") -> None:
        """Add the report of what came after."""
        self.looked += other.looked
        self.kept += other.kept
        for rule in RULES:
            self.touched[rule] += other.touched[rule]
            self.examples[rule] = (self.examples[rule] + other.examples[rule])[:EXAMPLES]

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the counts in all, then those and the examples of each rule."""
        rules = {rule: {"records": self.touched[rule], "examples": self.examples[rule]} for rule in RULES}
        return {"looked_at": self.looked, "kept": self.kept, "rules": rules}

    @staticmethod
    def from_dict(value: dict[str, Any]) -> "CleaningReport":
        """Return the report that `as_dict` turned into a dictionary."""
        rules = value["rules"]
        return CleaningReport(
            value["looked_at"],
            value["kept"],
            {rule: rules[rule]["records"] for rule in RULES},
            {rule: rules[rule]["examples"] for rule in RULES},
        )


def report_of(raw: pa.RecordBatch, cleaned: Cleaned) -> CleaningReport:
    """Return the report of one batch.

    `raw` is the batch before it was cleaned, with the columns id and text.
    """
    report = CleaningReport(len(cleaned.reasons), int((cleaned.reasons == KEPT).sum()))
    for rule in RULES:
        if rule in REPAIRS:
            rows = np.flatnonzero(cleaned.repairs >> REPAIRS.index(rule) & 1)
        else:
            rows = np.flatnonzero(cleaned.reasons == 1 + REJECTIONS.index(rule))
        report.touched[rule] = len(rows)
        report.examples[rule] = [_example(raw, cleaned, int(row), rule) for row in rows[:EXAMPLES]]
    return report


def _example(raw: pa.RecordBatch, cleaned: Cleaned, row: int, rule: str) -> dict[str, str | None]:
    before = raw.column("text")[row].as_py()
    example = {"id": raw.column("id")[row].as_py(), "text": before[:SHOWN]}
    if rule in REPAIRS:
        after = cleaned.batch.column("text")[row].as_py()
        changed = next(
            (k for k, pair in enumerate(zip(before, after, strict=False)) if len(set(pair)) > 1), 0
        )
        start = max(0, min(changed, len(before)) - SHOWN // 3)
        example = {**example, "text": before[start : start + SHOWN], "repaired": after[start : start + SHOWN]}
    return example
