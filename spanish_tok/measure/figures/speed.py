"""How fast encoders are on one text.

Each in a process of its own, on one core and on all, cold and warm.
"""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import pyarrow as pa

from spanish_tok.measure.figures.round_trip import count_differing
from spanish_tok.measure.figures.texts import size_of
from spanish_tok.measure.peers import THREADLESS, load_peer, version_of
from spanish_tok.parallel.threads import available_cores
from spanish_tok.progress import SILENT, Bar
from spanish_tok.tokenization.adapters import OURS

SAMPLE_BYTES = 4_000_000
WARM_SECONDS = 1.0  # of warm passes; at least one
MOST_PASSES = 7


@dataclass(frozen=True)
class Speed:
    """What one encoder did with a sample on `cores` cores.

    load: seconds from the start of importing the library to the ids of a first word, compiled code on disk.
    cold, warm: MB of UTF-8 a second; the first pass over the text, and the median of the passes after it.
    differing: records whose ids are not those of spanish-tok. failure: why there are no figures.
    """

    engine: str
    version: str
    cores: int
    load: float = 0.0
    cold: float = 0.0
    warm: float = 0.0
    differing: int = 0
    failure: str = ""


@dataclass(frozen=True)
class Measured:
    """What comes back from the process of one encoder; times in seconds."""

    load: float
    cold: float
    warm: float
    lists: pa.ListArray


def measure_speed(
    folder: Path, texts: pa.ChunkedArray, peers: list[str], progress: Bar = SILENT
) -> list[Speed]:
    """Measure spanish-tok and `peers` with one vocabulary on the same text.

    One after the other.
    """
    size = size_of(texts) / 1e6
    speeds: list[Speed] = []
    reference: pa.ListArray | None = None
    for cores, name in _runs(peers):
        progress.note(f"{name}, {cores} core" + "s" * (cores > 1))
        try:
            result = _in_new_process(name, folder, texts, cores)
        except (BrokenProcessPool, Exception) as error:  # a peer may fail in any way, and the others go on
            speeds.append(Speed(name, version_of(name), cores, failure=f"{type(error).__name__}: {error}"))
            continue
        if name == OURS and reference is None:
            reference = result.lists
        differing = count_differing(result.lists, reference) if reference is not None else 0
        speed = size / result.cold, size / result.warm
        speeds.append(Speed(name, version_of(name), cores, result.load, *speed, differing))
        progress.advance()
    return speeds


def _runs(peers: list[str]) -> Iterator[tuple[int, str]]:
    """(cores, encoder) in the order of measuring."""
    everything = available_cores()
    for name in (OURS, *peers):
        yield 1, name
    for name in (OURS, *peers):
        if everything > 1 and name not in THREADLESS:
            yield everything, name


def _in_new_process(name: str, folder: Path, texts: pa.ChunkedArray, cores: int) -> Measured:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measure, name, folder, texts, cores).result()


def _measure(name: str, folder: Path, texts: pa.ChunkedArray, cores: int) -> Measured:
    """Measure one encoder in a new process.

    It is pinned to its cores before any library starts threads.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    os.environ["RAYON_NUM_THREADS"] = os.environ["NUMBA_NUM_THREADS"] = str(cores)
    start = time.perf_counter()
    engine = load_peer(name, folder, cores)
    engine.encode_batch(engine.prepare(pa.chunked_array([["a"]], pa.large_string())))
    load = time.perf_counter() - start
    prepared = engine.prepare(texts)
    times: list[float] = []
    while not times or (sum(times[1:]) < WARM_SECONDS and len(times) < 1 + MOST_PASSES):
        start = time.perf_counter()
        output = engine.encode_batch(prepared)
        times.append(time.perf_counter() - start)
    return Measured(load, times[0], median(times[1:]) if times[1:] else times[0], engine.lists(output))
