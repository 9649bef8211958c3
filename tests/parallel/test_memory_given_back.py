"""Memory that goes back to the system while a block runs, or that is kept."""

import platform
import resource
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pyarrow as pa
import pytest

from spanish_tok.parallel.memory import memory_given_back, memory_kept


def test_arrows_pool_is_the_one_before_after_blocks_within_blocks() -> None:
    before = pa.default_memory_pool().backend_name
    with memory_given_back():
        inside = pa.default_memory_pool().backend_name
        with memory_given_back():
            assert pa.default_memory_pool().backend_name == inside
        assert pa.default_memory_pool().backend_name == inside
    assert pa.default_memory_pool().backend_name == before
    assert inside == ("jemalloc" if "jemalloc" in pa.supported_memory_backends() else before)


def test_blocks_of_threads_may_end_in_any_order() -> None:
    before, met = pa.default_memory_pool().backend_name, Barrier(4)

    def work(_: int) -> None:
        with memory_given_back():
            met.wait(timeout=60)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert pa.default_memory_pool().backend_name == before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="memory is kept by glibc's malloc")
def test_memory_that_is_kept_is_not_asked_for_again() -> None:
    def pages_asked_for() -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(20):
            b"1" * (40 << 20)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    with memory_kept():
        kept = pages_asked_for()
    assert pages_asked_for() > 5 * kept
