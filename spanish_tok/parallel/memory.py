"""Memory that goes back to the system as soon as it is free, or that is kept."""

import ctypes
import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

LARGE = 1 << 20  # bytes: an array from this size on has pages of its own, which go back with it
# of glibc's mallopt(3): from how many bytes on a block has pages of its own; how many may stay free at the heap's end
M_MMAP_THRESHOLD, M_TRIM_THRESHOLD = -3, -1
M_MMAP_MAX, MANY = -4, 65536  # how many blocks may have pages of their own; what glibc begins with
AS_BEFORE = 32 << 20  # where glibc's own threshold ends in a process that frees large arrays
_glibc = ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
_lock = threading.Lock()
_pools: list[pa.MemoryPool] = []  # Arrow's pool before each block that runs, on any thread


@contextmanager
def memory_given_back() -> Iterator[None]:
    """Let freed memory go back at once while the block runs.

    Arrow's (by jemalloc), and that of large arrays (by glibc; elsewhere nothing changes): both keep much of what is
    freed else. It costs some 6 % of the time.

    >>> with memory_given_back():
    ...     pa.default_memory_pool().backend_name in pa.supported_memory_backends()
    True
    """
    with _lock:
        _pools.append(pa.default_memory_pool())
        if "jemalloc" in pa.supported_memory_backends():
            pa.set_memory_pool(pa.jemalloc_memory_pool())
            pa.jemalloc_set_decay_ms(0)
        _set_threshold(LARGE)
    try:
        yield
    finally:
        with _lock:
            first = _pools.pop()
            if not _pools:  # the last block that ends, which need not be the one that began first
                pa.set_memory_pool(first)
                first.release_unused()  # what readers in C++ took from it all the same
                _set_threshold(AS_BEFORE)


@contextmanager
def memory_kept() -> Iterator[None]:
    """Keep freed memory while the block runs, for who wants as much again.

    By glibc; elsewhere nothing changes. A training takes and frees the same arrays at every step. Memory that comes
    fresh from the system each time, page by page, costs it a tenth of the time.

    >>> with memory_kept():
    ...     pass
    """
    with _lock:
        _set(M_MMAP_MAX, 0)
        _set(M_TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        with _lock:
            _set(M_MMAP_MAX, MANY)
            _set_threshold(AS_BEFORE)
            if _glibc is not None:
                _glibc.malloc_trim(0)


def _set_threshold(size: int) -> None:
    """Set from how many bytes on malloc gives a block pages of its own."""
    _set(M_MMAP_THRESHOLD, size)
    _set(M_TRIM_THRESHOLD, 2 * size)  # twice as much, as glibc has it when it finds both itself


def _set(parameter: int, value: int) -> None:
    """Set a parameter of glibc's mallopt(3)."""
    if _glibc is not None:
        _glibc.mallopt(parameter, value)
