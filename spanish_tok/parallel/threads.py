"""Work spread over threads, results in order.

For kernels and Arrow calls, which run without the GIL.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Generic, TypeVar

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
    with ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


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
