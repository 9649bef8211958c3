"""What a build came to: the figures of all its steps, as tables and as one page."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from spanish_tok._version import __version__
from spanish_tok.measure.html import Reported
from spanish_tok.measure.svg import Plot
from spanish_tok.measure.tables import Card, Mark, ReportTable, Verdict
from spanish_tok.plans.plan import Plan
from spanish_tok.vocab.vocabulary import Vocabulary

OF_CARDS = {
    "clean": ("records",),
    "train": ("ids",),
    "shard": ("ids",),
    "pretrain": ("tokens",),
    "bench": ("tokens a word", "bits per byte of masked words"),
}


@dataclass(frozen=True)
class StepResult:
    """One step of a build.

    state: "skipped" if it was done before. seconds: of the call that ended it.
    """

    name: str
    state: Literal["done", "skipped"]
    seconds: float
    figures: Mapping[str, int | float | str]


@dataclass(frozen=True)
class BuildResult(Reported):
    """The steps that `build` did or skipped, in their order.

    folder: where their outputs lie; the vocabulary in `vocab`, the model in `model`.
    """

    folder: Path
    plan: Plan
    steps: tuple[StepResult, ...]

    def title(self) -> str:
        return f"spanish-tok build: {self.plan.title}"

    def verdicts(self) -> list[Verdict]:
        """Return whether all checks passed, and whether the model learnt."""
        by_step = {step.name: step.figures for step in self.steps}
        verdicts = []
        if "verify" in by_step:
            answer = f"{by_step['verify']['checks']} checks of {by_step['verify']['cases']:,} cases passed."
            rule = "Rule: every library gives the same ids and every round trip holds, or the build stops."
            verdicts.append(Verdict("Is the vocabulary right?", "yes", answer, rule))
        if "pretrain" in by_step:
            first, last = (
                float(by_step["pretrain"][f"nats a token at {when}"]) for when in ("first", "last")
            )
            mark: Mark = "yes" if last < first else "no"
            rule = "Rule: the mean loss of the last 20 steps is below that of the first 20."
            verdicts.append(
                Verdict("Did the model learn?", mark, f"{first:.3f} nats a token, then {last:.3f}.", rule)
            )
        return verdicts

    def cards(self) -> list[Card]:
        """Return the figures that people ask for first."""
        by_step = {step.name: step.figures for step in self.steps}
        return [
            Card(name, shown(by_step[step][name]), step)
            for step, names in OF_CARDS.items()
            for name in names
            if name in by_step.get(step, {})
        ]

    def tables(self) -> list[ReportTable]:
        """Return the steps with their times, then the figures of each."""
        steps = tuple((step.name, step.state, f"{step.seconds:,.1f}") for step in self.steps)
        note = f"{', '.join(self.plan.input) or 'input given with the command'}; spanish-tok {__version__}"
        tables = [ReportTable("Steps", ("step", "state", "seconds"), steps, note)]
        for step in self.steps:
            rows = tuple((name, shown(value)) for name, value in step.figures.items())
            tables.append(ReportTable(step.name, ("figure", "value"), rows))
        return tables

    def plots(self) -> list[Plot]:
        return []

    def live_vocabulary(self) -> Vocabulary:
        """Return the vocabulary of the build, or the shipped one."""
        folder = self.folder / "vocab"
        return Vocabulary.load(folder if any(step.name == "train" for step in self.steps) else None)

    def to_dict(self) -> dict[str, Any]:
        """Return the steps and their figures, ready for JSON."""
        steps = [
            {"name": s.name, "state": s.state, "seconds": s.seconds, "figures": dict(s.figures)}
            for s in self.steps
        ]
        return {
            "spanish_tok": __version__,
            "plan": self.plan.name,
            "folder": str(self.folder),
            "steps": steps,
        }


def shown(value: int | float | str) -> str:
    """Return a figure as people read it.

    >>> shown(12345), shown(1.5), shown("d91f45c6")
    ('12,345', '1.5', 'd91f45c6')
    """
    return value if isinstance(value, str) else f"{value:,}"
