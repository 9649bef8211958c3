"""What reports are made of: verdicts, cards and tables.

On a terminal, in a pipe, in HTML.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Literal, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

Row = tuple[str, ...]


@dataclass(frozen=True)
class ReportTable:
    """Cells ready to be read; the first column names the row.

    `note` says how the figures were measured.

    Columns are set flush right where all their cells are numbers. cuts: columns of words in pieces, which spaces
    separate; the page gives each piece a colour.
    """

    caption: str
    columns: Row
    rows: tuple[Row, ...]
    note: str = ""
    cuts: tuple[int, ...] = ()

    def is_number(self, column: int) -> bool:
        """Whether a column is to be set flush right."""
        cells = [row[column] for row in self.rows if row[column] not in ("", "-")]
        return bool(cells) and column > 0 and all(cell[:1].isdigit() or cell[:1] in "+-" for cell in cells)


Mark = Literal["yes", "no", "unsure"]


@dataclass(frozen=True)
class Verdict:
    """One question on a vocabulary, its answer and the rule behind it.

    mark: "unsure" where the text is too small, or the interval holds the threshold.
    """

    question: str
    mark: Mark
    answer: str
    rule: str


@dataclass(frozen=True)
class Card:
    """One figure that is worth a box of its own."""

    name: str
    value: str
    note: str = ""


def print_verdicts(verdicts: list[Verdict], out: TextIO) -> None:
    """Print verdicts, one line each, the rule below; on a terminal words wrap."""
    width = _console(out).width if out.isatty() else sys.maxsize
    for verdict in verdicts:
        for line in (
            f"{verdict.mark:6} {verdict.question} {printable(verdict.answer)}",
            f"{'':6} {verdict.rule}",
        ):
            print(fill(line, width, subsequent_indent=" " * 7), file=out)
    if verdicts:
        print(file=out)


def print_tables(tables: list[ReportTable], out: TextIO) -> None:
    """Print tables as a person reads them; on no terminal as plain text, however wide.

    A table whose words or numbers would be cut on this terminal is a list of its rows instead.
    """
    from rich.text import Text

    console = _console(out)
    for table in tables:
        console.print(Text(table.caption, style="bold"))
        grid = _grid(table)
        if console.measure(grid, options=console.options.update(width=10_000)).minimum <= console.width:
            console.print(grid)
        else:
            _print_rows(table, console)
        if table.note:
            console.print(Text(table.note, style="dim"))
        console.print()


def _console(out: TextIO) -> "Console":
    from rich.console import Console

    return Console(file=out, highlight=False, width=None if out.isatty() else 200)


def _grid(table: ReportTable) -> "Table":
    """Return a table with a column for each column, which a line holds whole."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for index, name in enumerate(table.columns):
        cells = [printable(row[index]) for row in table.rows]
        number = table.is_number(index)
        whole = number or not any(" " in cell for cell in cells)  # numbers and names are never torn
        head = fill(name, max(map(len, [*cells, *name.split()])), break_on_hyphens=False) if whole else name
        justify: Literal["right", "left"] = "right" if number else "left"
        grid.add_column(Text(head), justify=justify, no_wrap=whole, overflow="fold")
    for row in table.rows:
        grid.add_row(*map(Text, map(printable, row)))
    return grid


def _print_rows(table: ReportTable, console: "Console") -> None:
    """Print each row as a list: its first cell, below it the others, named."""
    from rich.table import Table
    from rich.text import Text

    for first, *others in table.rows:
        console.print(Text(printable(first)))
        grid = Table.grid(padding=(0, 2, 0, 0))
        for name, cell in zip(table.columns[1:], others, strict=True):
            grid.add_row(Text(f"  {name}", style="dim"), Text(printable(cell), overflow="fold"))
        console.print(grid)


def printable(text: str) -> str:
    """`text` with what would disturb a terminal spelled out.

    >>> printable("a\\x1b[31mb")
    'a\\\\x1b[31mb'
    """
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def percent(share: float) -> str:
    """Return a share as a percentage that never rounds up to 100.

    >>> percent(0.5), percent(0.99999), percent(1.0)
    ('50.00 %', '99.99 %', '100.00 %')
    """
    return f"{int(share * 10_000) / 100:.2f} %"


def interval_of(interval: tuple[float, float] | None) -> str:
    """Return an interval in words, or "" without one.

    >>> interval_of((1.5, 1.75)), interval_of(None)
    ('95 %: 1.500 to 1.750', '')
    """
    return f"95 %: {interval[0]:.3f} to {interval[1]:.3f}" if interval else ""


def with_interval(value: float, interval: tuple[float, float] | None) -> str:
    """Return a figure with its interval.

    >>> with_interval(1.6, (1.5, 1.75))
    '1.600 (95 %: 1.500 to 1.750)'
    """
    return f"{value:.3f} ({interval_of(interval)})" if interval else f"{value:.3f}"


def plain_name(name: str) -> str:
    """Return the name of a file or folder without the folders above it.

    A report can be shown to others, whom the layout of a disk does not concern.

    >>> plain_name("/home/ana/textos/mis-textos.csv"), plain_name("vocab/es-5000")
    ('mis-textos.csv', 'vocab/es-5000')
    """
    return Path(name).name if Path(name).is_absolute() else name
