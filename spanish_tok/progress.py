"""The one progress display: on standard error, and only where that is a terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Progress:
    """What long work reports to: `advance` by an amount done, `note` the state in a few words.

    This base class shows nothing; `progress()` returns one that draws a bar on a terminal.
    """

    def advance(self, amount: float = 1) -> None:
        """Add `amount` to what is done (rows, bytes, rounds: the unit of `total`)."""

    def note(self, text: str) -> None:
        """Show `text` beside the bar, such as "17 rounds, 6,543 pieces"."""


SILENT = Progress()


@contextmanager
def progress(description: str, total: float | None = None, *, unit: str = "") -> Iterator[Progress]:
    """Draw a bar with time left while the block runs.

    `total` is in rows; in bytes where `unit` is "bytes", 1 where it is "share" (no numbers are shown then).

    >>> with progress("contando", total=2) as bar:
    ...     bar.advance()
    """
    if not sys.stderr.isatty():
        yield SILENT
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.progress import Progress as RichProgress

    counted: dict[str, list[Any]] = {"bytes": [DownloadColumn(), TransferSpeedColumn()], "share": []}
    amounts = counted.get(unit, [MofNCompleteColumn()])
    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        *amounts,
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    ]
    with RichProgress(*columns, TextColumn("{task.fields[note]}"), console=Console(stderr=True)) as display:
        task = display.add_task(description, total=total, note="")

        class Bar(Progress):
            def advance(self, amount: float = 1) -> None:
                display.advance(task, amount)

            def note(self, text: str) -> None:
                display.update(task, note=text)

        yield Bar()
