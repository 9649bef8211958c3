"""Where one machine and a Ray cluster differ: who calls the functions of a job, and what becomes of their failures.

The work itself is the local engine's: a task on the cluster calls `counting.count_part`, `shards.make_shards` or
`candidates.gather` over a part of the input (see parts.py: whole files, or row groups of a large Parquet file),
with one thread. What comes back is small and does not depend on how the input was parted, nor on which task
ended first: counts are added up, and samples cut to their size, as a tree in the cluster; shards have their
names from the input, the records of a sample their order from their keys.

Ray's own readers are not used, on purpose; tried with Ray 2.60. `read_text` drops empty lines, ends lines at
U+2028, U+0085 and a bare "\\r", and stops at invalid UTF-8. `read_json` makes a date of the id "2020-01-01" and fails
where ids are numbers and strings by turns; with lines=True neither, but then a number of more than 64 bits or a
byte that is not UTF-8 ends the job. `read_csv` fails at a further tab. None counts what it drops or mends, nor
names the row that is wrong. `read_parquet` divides a large file by row groups, and gave the same counts. But
  - of several paths it needs aiohttp, which neither Ray nor fsspec asks for: without it, threads that list files
    import one module at once and fail (ImportError, 12 times of 12 with 40 files);
  - all files must have one schema: ids that are strings here and integers there are an error, and a file
    without the column of texts gives nulls in silence, where the local engine names the file;
  - rows are told by a hash, and a damaged page ends the whole job, of which nothing is kept;
  - its tasks hold blocks of 128 MB, and what Arrow reads ahead: 1.2 to 1.5 GB a worker, with a limit of 32 MB
    for blocks, too, where batches of 8,192 rows take 0.4;
  - to count one file of 1,531 MB of text on two cores took 25 and 26 s (43 s the first time, as it starts
    actors), and the row groups that this package reads itself 19 to 22 s.
So a task reads with the readers of this package, from any address that fsspec knows (s3://, gs://, hf://) or a
disk that all nodes share, and no text but that of samples passes through Ray's object store, where blocks are
copied, spilled, and lost with their nodes. (docs/scale.md shows how the same functions run inside a Ray Data
pipeline of one's own.)
"""

import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from spanish_tok.counts import available_cores
from spanish_tok.errors import SpanishTokError
from spanish_tok.progress import SILENT, Progress
from spanish_tok.reading import Location
from spanish_tok.streams import is_remote

EngineName = Literal["local", "ray"]

RETRIES = 3  # times that a part is begun again after its worker or its node died
FAN_IN = 8  # results that are merged by one task
HANDOVER_BYTES = 256 << 20  # of tables that are merged before one of them comes to who asks for it
HANDOVER_SECONDS = 20.0  # the longest that they lie in the cluster alone
OBJECT_STORE = 200 << 20  # bytes, of a cluster that is started here: only results lie in it
TIMEOUT = 10.0  # seconds for a cluster to answer
SETTINGS = {  # of Ray, unless the environment says otherwise; they are read when it is imported
    "RAY_USAGE_STATS_ENABLED": "0",  # no calls home
    "RAY_task_oom_retries": str(RETRIES),  # the default is for ever
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # silences a warning about a future default
    "RAY_worker_niceness": "0",  # the default is 15: any other work of the machine would starve them
}


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
        progress: Progress = SILENT,
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


@contextmanager
def connected(address: str | None = None) -> Iterator[RayEngine]:
    """A connection to the cluster at `address`; without one to RAY_ADDRESS, or to a cluster of this machine's cores.

    A connection that this process has already is used, and left open.

    Raises SpanishTokError where Ray is not installed or nobody answers at the address.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ModuleNotFoundError:
        raise SpanishTokError("The engine ray needs Ray", "pip install 'spanish-tok[ray]'") from None
    if ray.is_initialized():
        yield RayEngine(ray)
        return
    with redirect_stdout(sys.stderr):  # where Ray prints what happens to workers and nodes
        _connect(ray, address or os.environ.get("RAY_ADDRESS"))
        try:
            yield RayEngine(ray)
        finally:
            ray.shutdown()


def _connect(ray: Any, address: str | None) -> None:
    """Connect to a cluster, or begin one here; no dashboard, nothing of what workers print."""
    own: dict[str, Any] = {"num_cpus": available_cores(), "object_store_memory": OBJECT_STORE}
    own |= {"include_dashboard": False}
    try:
        if address and address != "auto":
            host, _, port = address.removeprefix("ray://").rpartition(":")
            socket.create_connection((host, int(port)), TIMEOUT).close()  # Ray itself would end this process
        ray.init(
            address or "local", log_to_driver=False, logging_level=logging.ERROR, **({} if address else own)
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise SpanishTokError(
            f"There is no Ray cluster at {address} ({error})",
            "Begin one with `ray start --head`, or give no --address to use this machine alone.",
        ) from None


def absolute(location: Location) -> str:
    """A path that another process finds, too."""
    return str(location) if is_remote(location) else os.path.abspath(location)


def check_shared(paths: Sequence[Path]) -> None:
    """Raise SpanishTokError where a file that a worker wrote is not seen here."""
    if missing := [path for path in paths if not path.exists()]:
        raise SpanishTokError(
            f"{missing[0]} was written by a worker and is not seen here",
            "Give a folder on a disk that all nodes share under the same path.",
        )


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
