"""Write the figures of docs/benchmarks.json into the pages that state them.

    python benchmarks/pages.py [PAGE.md ...] [--json docs/benchmarks.json]     # README, docs/index, docs/benchmarks*

A page marks where figures stand, so that it reads well on its own and nobody types one:

    <!-- = encode / cold, MB/s / spanish-tok / plain -->151.6<!-- = -->         # a figure: its median
    <!-- =.0f KEY over KEY -->10<!-- = -->                                      # of two; a format; KEY / min, KEY / max
    <!-- figures: encode / cold, MB/s -->                                       # a table, or all of a benchmark
    <!-- end of figures -->
    <!-- figures: aims -->
    <!-- end of figures -->
"""

import argparse
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from aims import found, held
from all import KEPT
from record import TOP

INLINE = re.compile(r"(<!-- =(\S*) (.+?) -->)(.*?)(<!-- = -->)", re.DOTALL)
BLOCK = re.compile(r"(<!-- figures: (.+?) -->\n)(.*?)(<!-- end of figures -->)", re.DOTALL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pages", nargs="*", type=Path)
    parser.add_argument("--json", type=Path, default=KEPT)
    arguments = parser.parse_args()
    kept = json.loads(arguments.json.read_text())["benchmarks"]
    for page in arguments.pages or pages():
        text = page.read_text(encoding="utf-8")
        if (filled := fill(text, kept)) != text:
            page.write_text(filled, encoding="utf-8")
            print(f"{page}: written")


def pages() -> list[Path]:
    """Return the pages that state figures."""
    return [TOP / "README.md", TOP / "docs" / "index.md", *sorted((TOP / "docs").glob("benchmarks*.md"))]


def fill(page: str, kept: dict[str, Any]) -> str:
    """Return a page with the figures that are kept.

    >>> kept = {"count": {"figures": {"speed": {"ours": {"cold": {"median": 151.6, "min": 148}}}}}}
    >>> fill("<!-- = count / speed / ours / cold -->1<!-- = --> MB/s", kept)
    '<!-- = count / speed / ours / cold -->152<!-- = --> MB/s'
    >>> fill("<!-- =.1f count / speed / ours / cold / min -->1<!-- = -->", kept)
    '<!-- =.1f count / speed / ours / cold / min -->148.0<!-- = -->'
    """
    page = INLINE.sub(lambda mark: f"{mark[1]}{inline(mark[3], mark[2], kept)}{mark[5]}", page)
    return BLOCK.sub(lambda mark: f"{mark[1]}\n{block(mark[2], kept)}\n\n{mark[4]}", page)


def inline(expression: str, form: str, kept: dict[str, Any]) -> str:
    """Return one figure, or the quotient of two, as text."""
    values = []
    for key in expression.split(" over "):
        value = found(kept, key)
        if value is None:
            raise SystemExit(f"There is no figure {key!r} in the JSON: mend the mark, or run its benchmark")
        values.append(value["median"] if isinstance(value, dict) else value)
    if isinstance(values[0], str):
        return str(values[0])
    value = values[0] / values[1] if len(values) == 2 else values[0]
    return format(value, form) if form else readable(value)


def readable(value: float) -> str:
    """Return a figure of three digits or a little more.

    >>> readable(39045854), readable(151.6), readable(12.2), readable(0.66), readable(3.0), readable(0)
    ('39,045,854', '152', '12.2', '0.66', '3.00', '0')
    """
    digits = (
        0 if abs(value) >= 100 or value == 0 else 1 if abs(value) >= 10 else 2 if abs(value) >= 0.1 else 4
    )
    return f"{value:,.{digits}f}"


def block(what: str, kept: dict[str, Any]) -> str:
    """Return the tables of a benchmark, or one of them, and under them how they were measured."""
    if what == "aims":
        rows = [(words, figure, "yes" if is_held else "no") for words, figure, is_held in held(kept)]
        return "\n".join(table(["aim", "figure", "held"], rows))
    name, _, only = what.partition(" / ")
    if name not in kept:
        raise SystemExit(f"There is no benchmark {name!r} in the JSON: mend the mark, or run it")
    entry, parts = kept[name], []
    for title, rows in entry["figures"].items():
        if not only or title == only:
            columns = list(dict.fromkeys(column for cells in rows.values() for column in cells))
            lines = [[row, *(cell(cells.get(column)) for column in columns)] for row, cells in rows.items()]
            parts.append("\n".join(table([title, *columns], lines)))
    return "\n\n".join([*parts, told(entry)])


def table(head: list[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """Yield the lines of a table; what follows the first column is set right."""
    yield f"| {' | '.join(head)} |"
    yield f"|---|{'--:|' * (len(head) - 1)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def cell(figure: dict[str, Any] | None) -> str:
    """Return a figure with its unit, unless the table says it, and its range.

    >>> cell({"median": 151.6, "min": 148, "max": 153.2, "runs": 5, "unit": "MB/s"})
    '152 (148 to 153)'
    >>> cell({"median": 5.2, "runs": 1, "unit": "x"}), cell(None)
    ('5.20 x', '')
    """
    if figure is None:
        return ""
    middle, unit = figure["median"], figure["unit"]
    shown = "" if unit in ("MB/s", "tokens/s", "") else f" {unit}"
    if figure.get("runs", 1) == 1:
        return f"{single(middle, unit)}{shown}"
    return f"{readable(middle)} ({readable(figure['min'])} to {readable(figure['max'])}){shown}"


def single(value: float, unit: str) -> str:
    """Return a figure that was measured once: numbers of things and shares are exact.

    >>> single(47, ""), single(2.5863, ""), single(99.99, "%"), single(0.9993, "x"), single(12.2, "s")
    ('47', '2.5863', '99.99', '0.9993', '12.2')
    """
    if not unit:
        return f"{int(value):,}" if value == int(value) else f"{value:g}"
    if unit == "%":
        return f"{value:.4g}"
    return f"{value:.4f}" if unit == "x" and 0.99 < value < 1.01 else readable(value)


def told(entry: dict[str, Any]) -> str:
    """Return how figures were measured: command, machine, date, versions, what was checked and left out."""
    versions = ", ".join(f"{name} {version}" for name, version in entry["versions"].items())
    when = f"{entry['date']}{', not redone since' if entry.get('earlier') else ''}"
    parts = [f"`{entry['command']}`", f"{entry['machine']}, {when}", versions]
    lines = [f"{'; '.join(filter(None, parts))}."]
    if entry["equal"]:
        lines.append(f"{entry['equal'][0].upper()}{entry['equal'][1:].rstrip('.;')}.")
    lines += [f"Left out: {name} ({reason})." for name, reason in entry["left out"].items()]
    return " ".join(lines)


if __name__ == "__main__":
    main()
