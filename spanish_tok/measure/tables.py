"""A table of figures with a caption, made once and shown everywhere.

On a terminal, in a pipe, in HTML.
"""

from dataclasses import dataclass
from typing import TextIO

Row = tuple[str, ...]


@dataclass(frozen=True)
class ReportTable:
    """Cells ready to be read; the first column names the row.

    `note` says how the figures were measured.

    Columns are set flush right where all their cells are numbers.
    """

    caption: str
    columns: Row
    rows: tuple[Row, ...]
    note: str = ""

    def is_number(self, column: int) -> bool:
        """Whether a column is to be set flush right."""
        cells = [row[column] for row in self.rows if row[column] not in ("", "-")]
        return bool(cells) and column > 0 and all(cell[:1].isdigit() or cell[:1] in "+-" for cell in cells)


def print_tables(tables: list[ReportTable], out: TextIO) -> None:
    """Print tables as a person reads them; on no terminal as plain text, however wide."""
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    console = Console(file=out, highlight=False, width=None if out.isatty() else 200)
    for table in tables:
        console.print(Text(table.caption, style="bold"))
        shown = RichTable(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
        for index, name in enumerate(table.columns):
            shown.add_column(
                Text(name), justify="right" if table.is_number(index) else "left", overflow="fold"
            )
        for row in table.rows:
            shown.add_row(*map(Text, map(printable, row)))
        console.print(shown)
        if table.note:
            console.print(Text(table.note, style="dim"))
        console.print()


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
