"""Calls of functions on a Ray cluster: two a core at a time, merged as a tree, begun again where a node is lost."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any

import pyarrow as pa

from spanish_tok.errors import SpanishTokError
from spanish_tok.progress import SILENT, Bar

RETRIES = 3  # times that a part is begun again after its worker or its node died
FAN_IN = 8  # results that are merged by one task
HANDOVER_BYTES = 256 << 20  # of tables that are merged before one of them comes to who asks for it
HANDOVER_SECONDS = 20.0  # the longest that they lie in the cluster alone


class RayEngine:
    """A Ray cluster this process is connected to; `connected` gives one."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray

    @property
    def cores(self) -> int:
        """The cores of all nodes, as they are now."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def map(
        self, function: Callable[..., Any], parts: Iterable[tuple[Any, ...]], shared: Any = None
    ) -> Iterator[tuple[int, Any]]:
        """Call `function(shared, *part)` for every part; give (the part's place, the result) as they are done.

        `shared` is sent to each worker once, and kept there. It is left out where it is None.

        After a failure no other part is begun, but those that run are still given, so that their work is kept;
        then the failure is raised: as SpanishTokError where the function raised that, or where workers died.
        """
        task, failures = self._task(_call), list[BaseException]()
        sent = [] if shared is None else [self._ray.put(shared)]  # in a list, which Ray does not look into
        yield from self._done(lambda _, part: task.remote(function, sent, *part), parts, failures)
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
        """Call `function(*part)`, which gives a note and a table; give (places and notes, one table) now and then.

        Notes come here at once, and are shown to `noted`; tables, too, as long as they have at most `room` rows
        in all. Then they stay in the cluster, where `merge(*known(), *tables)` makes one of FAN_IN, again
        and again, and comes here after HANDOVER_SECONDS, or HANDOVER_BYTES of what is merged, and at the end:
        until then it is lost if this process dies. After a failure of a part it is as with `map`.
        """
        task, merging = self._task(_call, num_returns=2), self._task(_merge_known, num_cpus=0)
        failures, made = list[BaseException](), dict[int, Any]()
        notes, tables, size, since = list[tuple[int, Any]](), list[Any](), 0, time.monotonic()

        def begin(place: int, part: tuple[Any, ...]) -> Any:
            note, made[place] = task.remote(_sized, [], function, *part)
            return note

        def merged() -> Any:
            return tables[0] if len(tables) == 1 else merging.remote(merge, known(), *tables)

        for place, (note, rows, held) in self._done(begin, parts, failures):
            noted(note)
            if rows <= room:
                room -= rows
                yield [(place, note)], self._get(made.pop(place))
                continue
            notes.append((place, note))
            tables.append(made.pop(place))
            size += held
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
        begin: Callable[[int, tuple[Any, ...]], Any],
        parts: Iterable[tuple[Any, ...]],
        failures: list[BaseException],
    ) -> Iterator[tuple[int, Any]]:
        """What the tasks that `begin` begins give, as they are done, two a core at a time; none after a failure."""
        coming, running = enumerate(parts), dict[Any, int]()
        while True:
            room = 0 if failures else 2 * self.cores - len(running)
            for place, part in islice(coming, max(room, 0)):
                running[begin(place, part)] = place
            if not running:
                break
            done, _ = self._ray.wait(list(running), num_returns=1)
            place = running.pop(done[0])
            try:
                result = self._get(done[0])
            except Exception as failure:  # what the function raised
                failures.append(failure)
                continue
            yield place, result

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
        progress: Bar = SILENT,
    ) -> Any:
        """The results of `function(*part)` for all parts, merged on the cluster as a tree of FAN_IN branches.

        What is ready first is merged first, so `merge` must be associative and commutative.
        """
        task, merging = self._task(function), self._task(_merge)
        waiting = [task.remote(*part) for part in parts]
        try:
            while len(waiting) > 1:
                count = min(FAN_IN, len(waiting))
                ready, waiting = self._ray.wait(waiting, num_returns=count, fetch_local=False)
                waiting.append(merging.remote(merge, *ready))
                progress.note(f"{len(waiting):,} tables to be merged")
            return self._ray.get(waiting[0])
        except self._ray.exceptions.RayError as error:
            raise _explained(error) from None

    def _task(self, function: Callable[..., Any], *, num_cpus: int = 1, num_returns: int = 1) -> Any:
        options = {"num_cpus": num_cpus, "num_returns": num_returns, "max_retries": RETRIES}
        return self._ray.remote(**options, scheduling_strategy="SPREAD")(function)


def _call(function: Callable[..., Any], sent: list[Any], *part: Any) -> Any:
    """What a worker runs."""
    return function(*map(_received, sent), *part)


@lru_cache(maxsize=1)
def _received(reference: Any) -> Any:
    """What was sent to all workers, such as a tokenizer, which learns the words that it has seen."""
    import ray

    return ray.get(reference)


def _merge(merge: Callable[[Sequence[Any]], Any], *results: Any) -> Any:
    """One branch of the tree; Ray puts results in the place of references that are arguments."""
    return merge(results)


def _merge_known(merge: Callable[..., Any], known: tuple[Any, ...], *results: Any) -> Any:
    """One branch of the tree, where merging has to know more than the results."""
    return merge(*known, *results)


def _sized(
    function: Callable[..., tuple[Any, pa.Table]], *part: Any
) -> tuple[tuple[Any, int, int], pa.Table]:
    """What a function gives, with the rows and bytes of its table beside its note."""
    note, table = function(*part)
    return (note, table.num_rows, table.nbytes), table


def _explained(error: Any) -> BaseException:
    """What a task failed with: the error of its function, or that its worker died too often."""
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
