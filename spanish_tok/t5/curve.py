"""The loss curve of a training as PNG or SVG (matplotlib, without a display)."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from spanish_tok.files import atomic_path


def draw(rows: Sequence[Any], path: Path) -> Path:
    """Draw loss, its running mean, validation loss and the log's last column (bits per byte, or a metric) by tokens
    seen; the suffix of the path is the format.
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
    last = fields(rows[0])[-1].name
    measured = [(row.tokens / 1e6, getattr(row, last)) for row in rows if getattr(row, last) is not None]
    axes.plot(*_columns(validated), "o-", color="#b5432a", label="held out", markersize=3)
    axes.set(xlabel="million tokens seen (inputs and targets)", ylabel="nats per token")
    axes.grid(alpha=0.3)
    right = axes.twinx()
    right.plot(*_columns(measured), "s--", color="#3a7d44", markersize=3)
    right.set_ylabel(f"{last.replace('_', ' ')}, held out (dashed)")
    axes.legend(frameon=False)
    with atomic_path(path) as partial:
        canvas(figure).print_figure(partial, format=path.suffix[1:])
    return path


def _columns(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]


def running_mean(losses: Sequence[float], window: int = 50) -> list[float]:
    """The mean of the last `window` losses, at each step.

    >>> running_mean([4.0, 2.0, 0.0], window=2)
    [4.0, 3.0, 1.0]
    """
    sums = [0.0]
    for loss in losses:
        sums.append(sums[-1] + loss)
    return [(sums[i] - sums[max(0, i - window)]) / min(i, window) for i in range(1, len(sums))]
