"""Calls of functions on a Ray cluster.

Two tasks a core at a time, merged as a tree, retried if a node is lost.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any

import pyarrow as pa

from spanish_tok.errors import SpanishTokError
from spanish_tok.progress import SILENT, Bar

RETRIES = 3  # times that a part is run again after its worker or its node died
FAN_IN = 8  # results that one task merges
HANDOVER_BYTES = 256 << 20  # of tables that are merged in the cluster before they are fetched
HANDOVER_SECONDS = 20.0  # the longest that tables lie in the cluster alone
PARTS_A_CORE = 4  # tasks for each core, so that the last ones end at about the same time


class Cluster:
    """A Ray cluster that this process is connected to; `Ray.connected` gives one."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray

    @property
    def cores(self) -> int:
        """The cores of all nodes at this moment."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def groups(self, items: Sequence[Any], most: int) -> list[list[Any]]:
        """Return the items of each task: some tasks a core.

        Each has at most `most` items.
        """
        count = min(len(items), max(PARTS_A_CORE * self.cores, -(-len(items) // most)))
        return [list(items[first::count]) for first in range(count)]

    def map(
        self,
        function: Callable[..., Any],
        parts: Iterable[tuple[Any, ...]],
        shared: Any = None,
        bar: Bar = SILENT,
        amount: Callable[[Any], float] | None = None,
    ) -> Iterator[tuple[int, Any]]:
        """Call `function(shared, *part)` for every part.

        Yields (index of the part, result) as they are done.

        `shared` is sent to each worker once, and kept there; it is left out if it is None. `bar` advances by the
        `amount` of each result.

        After a failure no other part is started, but the results of those that run are still yielded, so that
        their work is kept; then the failure is raised: SpanishTokError if the function raised that or workers died.
        """
        task, failures = self._task(_call), list[BaseException]()
        sent = [] if shared is None else [self._ray.put(shared)]  # in a list, which Ray does not look into
        for index, result in self._done(lambda _, part: task.remote(function, sent, *part), parts, failures):
            bar.advance(amount(result) if amount else 1)
            yield index, result
        if failures:
            raise failures[0]

    def gathered(
        self,
        function: Callable[..., tuple[Any, pa.Table]],
        parts: Iterable[tuple[Any, ...]],
        merge: Callable[..., pa.Table],
        known: Callable[[], tuple[Any, ...]] = tuple,
        room: int = 0,
        noted: Callable[[Any], None] = lambda _: None,
    ) -> Iterator[tuple[list[tuple[int, Any]], pa.Table]]:
        """Call `function(*part)`, which returns a note and a table.

        Yields (indices and notes, one table).

        Notes are fetched at once, and shown to `noted`. Tables are fetched at once as long as they have at most
        `room` rows in all. Later ones stay in the cluster, where `merge(*known(), *tables)` makes one of FAN_IN,
        repeatedly; the merged table is fetched after HANDOVER_SECONDS, after HANDOVER_BYTES were merged, and at
        the end. Until then it is lost if this process dies. Failures are treated as in `map`.

        For example, with room for 100 rows and tables of 60, 50 and 40 rows: the first is yielded as it is, the
        other two are merged in the cluster and yielded as one table with both notes.
        """
        task, merging = self._task(_call, num_returns=2), self._task(_merge_known, num_cpus=0)
        failures = list[BaseException]()
        waiting = dict[int, Any]()  # index of a part -> reference to its table, which lies in the cluster
        notes, tables, size, since = list[tuple[int, Any]](), list[Any](), 0, time.monotonic()

        def start(index: int, part: tuple[Any, ...]) -> Any:
            note, waiting[index] = task.remote(_sized, [], function, *part)
            return note

        def merged() -> Any:
            return tables[0] if len(tables) == 1 else merging.remote(merge, known(), *tables)

        for index, (note, rows, table_bytes) in self._done(start, parts, failures):
            noted(note)
            if rows <= room:
                room -= rows
                yield [(index, note)], self._get(waiting.pop(index))
                continue
            notes.append((index, note))
            tables.append(waiting.pop(index))
            size += table_bytes
            if len(tables) == FAN_IN:
                tables = [merged()]
            if size > HANDOVER_BYTES or time.monotonic() - since > HANDOVER_SECONDS:
                yield notes, self._get(merged())
                notes, tables, size, since = [], [], 0, time.monotonic()
        if notes:
            yield notes, self._get(merged())
        if failures:
            raise failures[0]

    def _done(
        self,
        start: Callable[[int, tuple[Any, ...]], Any],
        parts: Iterable[tuple[Any, ...]],
        failures: list[BaseException],
    ) -> Iterator[tuple[int, Any]]:
        """Yield the results of tasks as they are done.

        `start` starts one, two a core at a time.

        The first failure goes into `failures`, and no other task is started.
        """
        coming, running = enumerate(parts), dict[Any, int]()  # reference to a result -> index of its part
        while True:
            room = 0 if failures else 2 * self.cores - len(running)
            for index, part in islice(coming, max(room, 0)):
                running[start(index, part)] = index
            if not running:
                break
            done, _ = self._ray.wait(list(running), num_returns=1)
            index = running.pop(done[0])
            try:
                result = self._get(done[0])
            except Exception as failure:  # what the function raised
                failures.append(failure)
                continue
            yield index, result

    def _get(self, reference: Any) -> Any:
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            raise _explained(error) from None

    def merged(
        self,
        function: Callable[..., Any],
        parts: Sequence[tuple[Any, ...]],
        merge: Callable[[Sequence[Any]], Any],
        bar: Bar = SILENT,
        amount: Callable[[Any], float] | None = None,
    ) -> Any:
        """Return the results of `function(*part)` for all parts, merged.

        They are merged as a tree of FAN_IN branches.

        What is ready first is merged first, so `merge` must be associative and commutative.
        """
        task, merging = self._task(function), self._task(_merge)
        waiting = [task.remote(*part) for part in parts]
        try:
            while len(waiting) > 1:
                count = min(FAN_IN, len(waiting))
                ready, waiting = self._ray.wait(waiting, num_returns=count, fetch_local=False)
                waiting.append(merging.remote(merge, *ready))
                bar.note(f"{len(waiting):,} tables to be merged")
            result = self._ray.get(waiting[0])
        except self._ray.exceptions.RayError as error:
            raise _explained(error) from None
        bar.advance(amount(result) if amount else 1)
        return result

    def _task(self, function: Callable[..., Any], *, num_cpus: int = 1, num_returns: int = 1) -> Any:
        options = {"num_cpus": num_cpus, "num_returns": num_returns, "max_retries": RETRIES}
        return self._ray.remote(**options, scheduling_strategy="SPREAD")(function)


def _call(function: Callable[..., Any], sent: list[Any], *part: Any) -> Any:
    """Run a function in a worker, with what was sent to all of them."""
    return function(*map(_received, sent), *part)


@lru_cache(maxsize=1)
def _received(reference: Any) -> Any:
    """Return what was sent to all workers.

    Such as a tokenizer, whose cache of words stays with it.
    """
    import ray

    return ray.get(reference)


def _merge(merge: Callable[[Sequence[Any]], Any], *results: Any) -> Any:
    """Merge one branch of the tree.

    Ray replaces references that are arguments by their results.
    """
    return merge(results)


def _merge_known(merge: Callable[..., Any], merged_before: tuple[Any, ...], *results: Any) -> Any:
    """Merge one branch of the tree, for a merge that takes more than the results."""
    return merge(*merged_before, *results)


def _sized(
    function: Callable[..., tuple[Any, pa.Table]], *part: Any
) -> tuple[tuple[Any, int, int], pa.Table]:
    """Return the result of a function, with the rows and bytes of its table."""
    note, table = function(*part)
    return (note, table.num_rows, table.nbytes), table


def _explained(error: Any) -> BaseException:
    """Return the error of a task.

    What its function raised, or that its worker died too often.
    """
    cause = getattr(error, "cause", None)
    if isinstance(cause, SpanishTokError | OSError):
        return cause
    if isinstance(cause, MemoryError) or "OutOfMemory" in f"{type(error).__name__} {error}":
        return SpanishTokError(
            f"A task ran out of memory {RETRIES + 1} times",
            "Take smaller --shard-bytes, fewer cores a node, or nodes with more memory; then run it again: "
            "what is done is kept.",
        )
    if cause is not None:
        return error if isinstance(error, BaseException) else RuntimeError(str(error))
    return SpanishTokError(
        f"Workers died {RETRIES + 1} times at one part ({type(error).__name__}: {str(error).splitlines()[0]})",
        "See the logs of Ray; then run it again: what is done is kept.",
    )
