"""The log of a training: a CSV file with a row for each step, and its curve."""

import csv
import os
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, Generic, TypeVar

from spanish_tok.errors import SpanishTokError
from spanish_tok.files import atomic_path


@dataclass
class StepRecord:
    """One step of any training; the last figure only if the step was validated."""

    step: int
    tokens: int  # so far; inputs and targets, padding left out
    cpu_seconds: float  # so far
    loss: float
    learning_rate: float
    gradient_norm: float  # before clipping
    tokens_per_second: int
    validation_loss: float | None = None


@dataclass
class PretrainStep(StepRecord):
    """One step of a pretraining; losses in nats a token."""

    bits_per_byte: float | None = None

    def shown(self) -> str:
        """Return the row in a few words, for a progress bar."""
        return (
            f"loss {self.loss:.3f}, {self.tokens_per_second:,} tokens/s, learning rate {self.learning_rate:.2g}, "
            f"gradient {self.gradient_norm:.2f}"
        )


COLUMN = "column"  # in the metadata of a field: its column's name, where that is no name of Python
R = TypeVar("R", bound=Any)  # a dataclass of numbers with the fields of a Row but the last, or more


class Log(Generic[R]):
    """log.csv in a folder, up to a step, and appended to.

    What a killed training wrote after that step is written again.

    `kind` is the dataclass of a row: whole and other numbers, None if missing.
    """

    def __init__(self, folder: Path, step: int, kind: type[R] = PretrainStep) -> None:  # type: ignore[assignment]
        self.path = folder / "log.csv"
        rows = read_log(self.path, kind) if self.path.exists() else []
        self.rows = [row for row in rows if row.step <= step]
        self.kind, self._begun = kind, False

    def _begin(self) -> None:
        with atomic_path(self.path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([_names(self.kind), *map(_cells, self.rows)])
        self._begun = True

    def add(self, row: R) -> None:
        """Append a row; before the first one, the file is cut off at the step."""
        if not self._begun:
            self._begin()
        self.rows.append(row)
        with open(self.path, "a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow(_cells(row))

    def replace_last(self, row: R) -> None:
        """Write the last row again, with the figures of validation."""
        self.rows[-1] = row
        self._begin()

    def mean_loss(self, first: int, last: int) -> float:
        """Return the mean loss of rows [first, last), or of those there are."""
        losses: list[float] = [row.loss for row in self.rows[first:last]]
        return sum(losses) / max(len(losses), 1)

    def draw(self) -> list[Path]:
        """Draw loss.png and loss.svg beside the log; nothing where it has no rows."""
        if not self.rows:
            return []
        return [draw(self.rows, self.path.with_name(f"loss.{kind}")) for kind in ("png", "svg")]


def read_log(path: str | os.PathLike[str], kind: type[R] = PretrainStep) -> list[R]:  # type: ignore[assignment]
    """Return the rows of a log.csv; a last line that was cut off is left out.

    Raises SpanishTokError for another file.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            lines = list(csv.reader(file))
        if not lines or lines[0] != _names(kind):
            raise ValueError("other columns")
        return [_row(line, kind) for line in lines[1:] if len(line) == len(lines[0])]
    except (OSError, ValueError, csv.Error) as error:  # cells that are no numbers; what is not UTF-8
        raise SpanishTokError(
            f"{path} is not the log of such a training ({error})", "Choose another folder."
        ) from None


def _names(kind: type[Any]) -> list[str]:
    """Return the columns: the names of the fields, or what their metadata say."""
    return [field.metadata.get(COLUMN, field.name) for field in fields(kind)]


def _cells(row: Any) -> list[object]:
    return ["" if value is None else value for value in astuple(row)]


def _row(line: list[str], kind: type[R]) -> R:
    kinds = {field.name: int if field.type is int else float for field in fields(kind)}
    may_lack = {field.name for field in fields(kind) if field.default is None}
    pairs = zip(kinds.items(), line, strict=True)
    row: R = kind(
        **{name: convert(cell) if cell or name not in may_lack else None for (name, convert), cell in pairs}
    )
    return row


def draw(rows: Sequence[Any], path: Path) -> Path:
    """Draw the loss curves by tokens seen; the suffix of the path is the format.

    Loss, its running mean, validation loss and the columns behind it (bits per byte, or metrics).
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    canvas = FigureCanvasSVG if path.suffix == ".svg" else FigureCanvasAgg
    figure = Figure(figsize=(7, 4), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    millions = [row.tokens / 1e6 for row in rows]
    axes.plot(
        millions, [row.loss for row in rows], color="#c8d4e3", linewidth=0.6, label="loss of each batch"
    )
    axes.plot(millions, running_mean([row.loss for row in rows]), color="#1f4e8c", label="its running mean")
    validated = [(row.tokens / 1e6, row.validation_loss) for row in rows if row.validation_loss is not None]
    names = [field.name for field in fields(rows[0])]
    first = names.index("validation_loss") + 1  # of the columns that are measured, not trained on
    measured = list(zip(names, _names(type(rows[0])), strict=True))[first:]
    axes.plot(*_columns(validated), "o-", color="#b5432a", label="held out", markersize=3)
    axes.set(xlabel="million tokens seen (inputs and targets)", ylabel="nats per token")
    axes.grid(alpha=0.3)
    right = axes.twinx()
    for number, (name, column) in enumerate(measured):
        points = [(row.tokens / 1e6, getattr(row, name)) for row in rows if getattr(row, name) is not None]
        colour = None if number else "#3a7d44"
        right.plot(*_columns(points), "s--", color=colour, markersize=3, label=column)
    right.set_ylabel(f"{measured[0][0].replace('_', ' ')}, held out (dashed)")
    if len(measured) > 1:
        right.legend(frameon=False, loc="center right")
    axes.legend(frameon=False)
    with atomic_path(path) as partial:
        canvas(figure).print_figure(partial, format=path.suffix[1:])
    return path


def _columns(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]


def running_mean(losses: Sequence[float], window: int = 50) -> list[float]:
    """Return the mean of the last `window` losses, at each step.

    >>> running_mean([4.0, 2.0, 0.0], window=2)
    [4.0, 3.0, 1.0]
    """
    sums = [0.0]
    for loss in losses:
        sums.append(sums[-1] + loss)
    return [(sums[i] - sums[max(0, i - window)]) / min(i, window) for i in range(1, len(sums))]
