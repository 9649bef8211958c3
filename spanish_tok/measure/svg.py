"""Three kinds of plot as inline SVG: bars, columns, a line.

Colours come from the page, text from the caller.

Every plot has a title and a description in words for those who cannot see it, and no script.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import floor, log10

WIDTH, BAR, GAP, LINE = 340, 14, 8, 17  # a phone shows it as it is drawn
HEIGHT, LEFT, BOTTOM, TOP = 210, 44, 40, 14
LABELS = 6  # below a histogram
LONGEST_LABEL = 42  # characters


@dataclass(frozen=True)
class Plot:
    """A picture, the caption above it, and a description for a screen reader."""

    caption: str
    description: str
    body: str
    height: int

    def svg(self) -> str:
        """Return an SVG element that scales with its column."""
        return (
            f'<svg role="img" viewBox="0 0 {WIDTH} {self.height}" aria-label="{escape(self.description)}">'
            f"<title>{escape(self.caption)}</title>{self.body}</svg>"
        )


def bars(caption: str, rows: Sequence[tuple[str, float, str]]) -> Plot:
    """Return horizontal bars for (label, value, value in words).

    The first is drawn strong.

    >>> bars("MB/s", [("ours", 100.0, "100 MB/s"), ("theirs", 50.0, "50 MB/s")]).description
    'MB/s: ours 100 MB/s; theirs 50 MB/s'
    """
    most = max((value for _, value, _ in rows), default=0) or 1
    parts, step = [], LINE + BAR + GAP
    for index, (label, value, shown) in enumerate(rows):
        y = index * step
        length = max(1.0, (WIDTH - 90) * value / most)
        kind = "strong" if index == 0 else "plain"
        parts += [
            _text(0, y + LINE - 4, _clipped(label), "start"),
            f'<rect class="{kind}" x="0" y="{y + LINE}" width="{length:.1f}" height="{BAR}" rx="2"/>',
            _text(length + 6, y + LINE + BAR - 3, shown, "start"),
        ]
    description = "; ".join(f"{label} {shown}" for label, _, shown in rows)
    return Plot(caption, f"{caption}: {description}", "".join(parts), len(rows) * step + GAP)


def columns(caption: str, across: str, bins: Sequence[tuple[str, int]]) -> Plot:
    """Return a histogram: one column for each (label, count).

    As many labels as fit are below them, and `across` below those.
    """
    most, step = max((count for _, count in bins), default=0) or 1, (WIDTH - LEFT) / max(1, len(bins))
    every = -(-len(bins) // LABELS)
    parts = _up_axis(0, most)
    for index, (label, count) in enumerate(bins):
        height = (HEIGHT - BOTTOM - TOP) * count / most
        x, y = LEFT + index * step, HEIGHT - BOTTOM - height
        size = f'width="{max(1.0, step - 1):.1f}" height="{height:.1f}"'
        parts.append(f'<rect class="strong" x="{x + 0.5:.1f}" y="{y:.1f}" {size}/>')
        if index % every == 0:
            parts.append(_text(x + step / 2, HEIGHT - BOTTOM + 14, label, "middle"))
    parts.append(_text((LEFT + WIDTH) / 2, HEIGHT - 6, across, "middle"))
    description = ", ".join(f"{label}: {count:,}" for label, count in bins)
    return Plot(caption, f"{caption}, by {across}: {description}", "".join(parts), HEIGHT)


def line(caption: str, across: str, points: Sequence[tuple[float, float]]) -> Plot:
    """Return a line through (x, y) with a dot and its value at each point."""
    points = sorted(points)
    low, high = min(y for _, y in points), max(y for _, y in points)
    low, high = low - (high - low) * 0.15 - 1e-9, high + (high - low) * 0.15 + 1e-9
    first, last = points[0][0], max(points[-1][0], points[0][0] + 1)

    def at(x: float, y: float) -> tuple[float, float]:
        across_share, up_share = (x - first) / (last - first), (y - low) / (high - low)
        return LEFT + 20 + (WIDTH - LEFT - 60) * across_share, HEIGHT - BOTTOM - (
            HEIGHT - BOTTOM - TOP
        ) * up_share

    dots = [at(x, y) for x, y in points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in dots)
    parts = [*_up_axis(low, high), f'<polyline class="line" points="{path}"/>']
    for (x, y), (value, height) in zip(dots, points, strict=True):
        parts += [
            f'<circle class="strong" cx="{x:.1f}" cy="{y:.1f}" r="4"/>',
            _text(x, y - 9, f"{height:.2f}", "middle"),
            _text(x, HEIGHT - BOTTOM + 14, f"{value:,.0f}", "middle"),
        ]
    parts.append(_text((LEFT + WIDTH) / 2, HEIGHT - 6, across, "middle"))
    description = ", ".join(f"{x:,.0f}: {y:.3f}" for x, y in points)
    return Plot(caption, f"{caption}, by {across}: {description}", "".join(parts), HEIGHT)


def _up_axis(low: float, high: float) -> list[str]:
    """Light lines with values at round numbers."""
    raw = (high - low) / 4
    unit = 10 ** floor(log10(raw)) if raw > 0 else 1.0
    step = next((unit * m for m in (1, 2, 5, 10) if unit * m >= raw), unit)
    parts, value = [], (floor(low / step) + (low > 0)) * step
    while value <= high:
        y = HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * (value - low) / (high - low)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(LEFT - 6, y + 4, short(value), "end"))
        value += step
    return parts


def short(value: float) -> str:
    """Return a number in a few characters.

    >>> short(0.25), short(1500), short(50_000), short(2_000_000)
    ('0.25', '1,500', '50k', '2M')
    """
    for unit, letter in ((1e6, "M"), (1e4, "k")):
        if value >= unit:
            return f"{value / (1e6 if letter == 'M' else 1e3):g}{letter}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.4g}"


def _clipped(label: str) -> str:
    return label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 1] + "…"


def _text(x: float, y: float, content: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(content)}</text>'
