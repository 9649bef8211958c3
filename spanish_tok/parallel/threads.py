"""Work spread over threads, results in order.

For kernels and Arrow calls, which run without the GIL.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event, Lock
from typing import Generic, TypeVar

from spanish_tok.interrupts import stop_with

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_order(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """Like `map`, with `workers` threads working ahead by at most `workers` + 1 items.

    Whatever `function` or `items` raises is raised here, in its place. One worker means no thread at all.

    >>> list(map_in_order(len, ["uno", "cuatro"], workers=2))
    [3, 6]
    """
    if workers <= 1:
        yield from map(function, items)
        return
    waiting: deque[Future[Result]] = deque()
    with thread_pool(workers) as pool:
        for item in items:
            waiting.append(pool.submit(function, item))
            del item  # it may be large
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@contextmanager
def thread_pool(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Yield a pool of threads for the block.

    After an error, or Ctrl-C, what has not begun is dropped, and what is being compiled is left.
    """
    stop = Event()
    with ThreadPoolExecutor(workers, initializer=stop_with, initargs=(stop,)) as pool:
        try:
            yield pool
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


class Ahead(Generic[Result]):
    """A function of whole numbers, computed ahead by threads.

    The numbers are below `end`; `most` of them are computed before they are asked for.

    What it raises is raised where that number is asked for. Numbers are to be asked for in rising order.

    >>> with thread_pool(2) as pool:
    ...     squares = Ahead(lambda number: number**2, pool, end=4, most=2)
    ...     [squares(number) for number in range(4)]
    [0, 1, 4, 9]
    """

    def __init__(
        self, function: Callable[[int], Result], pool: ThreadPoolExecutor, *, end: int, most: int
    ) -> None:
        self._function, self._pool, self._end, self._most = function, pool, end, most
        self._waiting: dict[int, Future[Result]] = {}

    def __call__(self, number: int) -> Result:
        wanted = range(number, max(min(number + self._most + 1, self._end), number + 1))
        waiting = {n: future for n, future in self._waiting.items() if n in wanted}
        self._waiting = {n: waiting.get(n) or self._pool.submit(self._function, n) for n in wanted}
        return self._waiting.pop(number).result()


class Shared(Generic[Item]):
    """An iterator for several threads, each item to one of them.

    After `close` it has no more items.

    >>> numbers = Shared([1, 2, 3])
    >>> next(numbers), numbers.close(), list(numbers)
    (1, None, [])
    """

    def __init__(self, items: Iterable[Item]) -> None:
        self._items, self._lock, self._closed = iter(items), Lock(), False

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        with self._lock:
            if self._closed:
                raise StopIteration
            return next(self._items)

    def close(self) -> None:
        """End it for all threads, also where items are left."""
        self._closed = True


def available_cores() -> int:
    """How many cores this process may use, at most 16."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(allowed, 16)
