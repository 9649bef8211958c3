"""Keep what a benchmark measured as JSON: every figure with all that is needed to judge it.

    report = Report("spanish-tok", "numba")                    # prints processor and versions, as `describe`
    report.add("speed", "plain", "tokie", [27.1, 27.6], "MB/s")
    report.save(arguments.json)                                # nothing without --json

A figure stands in a table, a row and a column; its median, smallest and largest value over the runs are kept.
"""

import argparse
import json
import shlex
import statistics
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from machine import describe

from spanish_tok.files import atomic_path
from spanish_tok.measure.peers import version_of

TOP = Path(__file__).parents[1]
DIGITS = 4  # that are kept of a figure; no clock here is better


class Report:
    """The figures of one run of one benchmark."""

    def __init__(self, *packages: str) -> None:
        """Print processor and versions, and remember them."""
        line = describe(*packages)
        print(line, flush=True)
        self.entry: dict[str, Any] = {
            "command": command_line(),
            "date": datetime.now(UTC).date().isoformat(),
            "machine": line.split(",")[0],
            "versions": {package: version_of(package) for package in packages},
            "code": code(),
            "equal": "",
            "left out": {},
            "figures": {},
        }

    def add(self, table: str, row: str, column: str, values: Sequence[float], unit: str) -> None:
        """Add a figure: its value in each run."""
        cells = self.entry["figures"].setdefault(table, {}).setdefault(row, {})
        cells[column] = figure(values, unit)

    def leave_out(self, name: str, reason: str) -> None:
        """Note a contender that could not take part."""
        print(f"{name} is left out: {reason}", flush=True)
        self.entry["left out"][name] = reason

    def checked(self, what: str) -> None:
        """Note how results were compared, and what came of it."""
        print(what, flush=True)
        self.entry["equal"] = " ".join([*self.entry["equal"].split(" "), what]).strip()

    def save(self, path: Path | None) -> None:
        """Write the figures, if a path was asked for."""
        if path:
            write_json(path, self.entry)


def figure(values: Sequence[float], unit: str) -> dict[str, Any]:
    """Return median, smallest and largest value of the runs.

    >>> figure([3.0, 1.00004, 2.0], "s")
    {'median': 2, 'min': 1, 'max': 3, 'runs': 3, 'unit': 's'}
    """
    found = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {name: rounded(value) for name, value in found.items()} | {"runs": len(values), "unit": unit}


def rounded(value: float) -> float:
    """Return a value of four digits; larger whole numbers stay as they are.

    >>> rounded(0.123456), rounded(12.0), rounded(39045854)
    (0.1235, 12, 39045854)
    """
    short = float(f"{value:.{DIGITS}g}") if abs(value) < 10**DIGITS else round(value)
    return int(short) if short == int(short) else short


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Give a benchmark the option --json."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the figures as JSON, too")


def command_line() -> str:
    """Return the command as it was given, without where its JSON goes."""
    words = sys.argv[1:]
    if "--json" in words:
        place = words.index("--json")
        words = words[:place] + words[place + 2 :]
    return shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *words])


def code() -> str:
    """Return what names the measured code: the version and git's hash of the package's folder."""
    found = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD:spanish_tok"],
        capture_output=True, text=True, check=False, cwd=TOP,
    )  # fmt: skip
    return f"{version_of('spanish-tok')} {found.stdout.strip()}".strip()


def write_json(path: Path, content: Any) -> None:
    """Write JSON that reads well as lines of a diff: a figure stays on one line."""
    with atomic_path(path) as partial:
        partial.write_text(dumped(content) + "\n", encoding="utf-8")


def dumped(content: Any, indent: str = "") -> str:
    """Return JSON; dicts that hold dicts are spread over lines."""
    if not isinstance(content, dict) or not any(isinstance(value, dict) for value in content.values()):
        return json.dumps(content, ensure_ascii=False)
    inner = indent + " "
    parts = [
        f"{inner}{json.dumps(key, ensure_ascii=False)}: {dumped(value, inner)}"
        for key, value in content.items()
    ]
    return "{\n" + ",\n".join(parts) + f"\n{indent}}}"
