"""Progress: what long work reports to, and the one display of it.

It is on standard error, if that is a terminal.

A verb takes `progress=`: None shows nothing, True draws bars on a terminal and tells what is worth a line. A
`Progress` of one's own does what it likes, and a `Bar` is the bar of all phases. The verb opens a phase for each part
of its work and hands the phase's bar to the functions that do it.
"""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeAlias


class Bar:
    """What the work of one phase reports to; this base class shows nothing."""

    def advance(self, amount: float = 1) -> None:
        """Add `amount` to what is done.

        Rows, bytes, rounds: the unit of the phase's total.
        """

    def note(self, text: str) -> None:
        """Show `text` beside the bar, such as "17 rounds, 6,543 pieces"."""


SILENT = Bar()


class Progress:
    """How long work is shown; this base class shows nothing.

    Derive from it to show progress elsewhere.
    """

    def phase(
        self,
        description: str,  # noqa: ARG002
        total: float | None = None,  # noqa: ARG002
        *,
        unit: str = "",  # noqa: ARG002
    ) -> AbstractContextManager[Bar]:
        """Return a context manager that shows a phase while its block runs.

        `total` is in rows; in bytes where `unit` is "bytes", 1 where it is "share" (no numbers are shown then).
        """
        return nullcontext(SILENT)

    def tell(self, message: str) -> None:
        """Tell something that is worth a line, such as a warning about a licence."""


class TerminalProgress(Progress):
    """Bars with time left on standard error, if that is a terminal.

    Messages are always on standard error.

    >>> with TerminalProgress().phase("contando", total=2) as bar:
    ...     bar.advance()
    """

    def phase(
        self, description: str, total: float | None = None, *, unit: str = ""
    ) -> AbstractContextManager[Bar]:
        return _drawn(description, total, unit) if sys.stderr.isatty() else nullcontext(SILENT)

    def tell(self, message: str) -> None:
        print(message, file=sys.stderr)


class _OneBar(Progress):
    """One bar for all phases."""

    def __init__(self, bar: Bar) -> None:
        self._bar = bar

    def phase(self, *_: Any, **__: Any) -> AbstractContextManager[Bar]:
        return nullcontext(self._bar)


ProgressOption: TypeAlias = Progress | Bar | bool | None  # what `progress=` of every verb takes


def progress_of(progress: ProgressOption) -> Progress:
    """Return the display that the option `progress=` of a verb asks for."""
    if isinstance(progress, Bar):
        return _OneBar(progress)
    if isinstance(progress, Progress):
        return progress
    return TerminalProgress() if progress else Progress()


@contextmanager
def _drawn(description: str, total: float | None, unit: str) -> Iterator[Bar]:
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

        class DrawnBar(Bar):
            def advance(self, amount: float = 1) -> None:
                display.advance(task, amount)

            def note(self, text: str) -> None:
                display.update(task, note=text)

        yield DrawnBar()
