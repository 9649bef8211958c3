"""The engine of one machine: every job in this process, on its threads."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import starmap
from typing import Any, ClassVar, Literal, TypeVar

from spanish_tok.errors import SpanishTokError
from spanish_tok.parallel.threads import available_cores
from spanish_tok.progress import SILENT, Bar

Item = TypeVar("Item")


@dataclass(frozen=True)
class Local:
    """Run jobs in this process, on `threads` threads.

    None stands for all cores. Never changes the result.

    >>> Local(threads=2).task_threads
    2
    """

    threads: int | None = None
    divides: ClassVar[bool] = False  # one task reads all of the input
    reader: ClassVar[Literal["own", "ray"]] = "own"

    def __post_init__(self) -> None:
        if self.threads is not None and self.threads < 1:
            raise SpanishTokError(f"threads is {self.threads}", "Give at least 1, or None for all cores.")

    @property
    def task_threads(self) -> int:
        """Threads of one task: here all of them."""
        return self.threads or available_cores()

    @property
    def threads_here(self) -> int:
        """Threads for the work that every engine does in this process."""
        return self.task_threads

    def connected(self) -> AbstractContextManager["Local"]:
        """Return a context manager that gives what runs tasks: this object."""
        return nullcontext(self)

    def groups(self, items: Sequence[Item], most: int) -> list[list[Item]]:  # noqa: ARG002
        """Return the items of each task: all in one."""
        return [list(items)]

    def map(
        self,
        function: Callable[..., Any],
        parts: Iterable[tuple[Any, ...]],
        shared: Any = None,
        bar: Bar = SILENT,
        amount: Callable[[Any], float] | None = None,  # noqa: ARG002
    ) -> Iterator[tuple[int, Any]]:
        """Call `function(shared, *part, bar=bar)` for every part.

        Yields (index of the part, result).

        The function reports to `bar` itself. `shared` is left out if it is None.
        """
        called = partial(function, bar=bar) if shared is None else partial(function, shared, bar=bar)
        return enumerate(starmap(called, parts))

    def merged(
        self,
        function: Callable[..., Any],
        parts: Sequence[tuple[Any, ...]],
        merge: Callable[[Sequence[Any]], Any],
        bar: Bar = SILENT,
        amount: Callable[[Any], float] | None = None,
    ) -> Any:
        """Return the results of `function(*part, bar=bar)` for all parts, merged."""
        results = [result for _, result in self.map(function, parts, None, bar, amount)]
        return results[0] if len(results) == 1 else merge(results)
