"""What this machine can do at most, on one core, measured in the run that a figure is held against.

Bytes over the bandwidth of copying, or operations over the peak, whichever takes longer, is the least time that a
piece of work can take.
"""

import os
import time
from collections.abc import Callable
from statistics import median

import numpy as np
from record import Report

from spanish_tok.kernels.nn.matmul_int8 import product_of
from spanish_tok.t5.cpu_weights import PRECISIONS, pack_matrices
from spanish_tok.t5.safetensors import Precision

COPIED = 64 << 20  # bytes: more than the caches hold
TABLE = "roofline of one core"


def add_roofline(report: Report, runs: int = 5) -> None:
    """Measure and keep: bytes copied a second, and operations a second in each precision."""
    report.add(TABLE, f"copying {COPIED >> 20} MiB", "at most", copy_speeds(runs), "GB/s")
    for precision in PRECISIONS:
        values = peak_operations(precision, runs)
        report.add(TABLE, f"{precision}, matrices in the caches", "at most", values, "GFLOP/s")
    for row, cells in report.entry["figures"][TABLE].items():
        print(f"{row:<36}{cells['at most']['median']:>9.1f} {cells['at most']['unit']}", flush=True)


def copy_speeds(runs: int) -> list[float]:
    """Return GB a second of `memcpy`; a byte that is read and written counts once."""
    source, target = np.ones(COPIED, np.uint8), np.empty(COPIED, np.uint8)
    np.copyto(target, source)  # the pages are there
    return [COPIED / seconds / 1e9 for seconds in timed(lambda: np.copyto(target, source), runs)]


def peak_operations(precision: Precision, runs: int) -> list[float]:
    """Return 1e9 multiplications and additions a second of the best product that stays in the caches.

    For float32 the larger of our kernel's and the linear algebra library's that NumPy has, run by run.
    """
    packed = pack_matrices([np.ones((1280, 320), np.float32)], precision)
    x, out = np.ones((32, 320), np.float32), np.empty((32, 1280), np.float32)
    product_of(packed.weights, packed.scales, x, out)
    work = 2 * x.size * out.shape[1]
    found = [
        work / median(timed(lambda: product_of(packed.weights, packed.scales, x, out), 10)) / 1e9
        for _ in range(runs)
    ]
    if precision != "float32":
        return found
    square = np.ones((768, 768), np.float32)
    affinity = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(affinity)})  # its threads share one core
    theirs = [2 * 768**3 / seconds / 1e9 for seconds in timed(lambda: square @ square, runs)]
    os.sched_setaffinity(0, affinity)
    return [max(pair) for pair in zip(found, theirs, strict=True)]


def timed(work: Callable[[], object], runs: int) -> list[float]:
    """Return seconds of the processor of each run of this process; one before warms up."""
    times = []
    for _ in range(runs + 1):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return times[1:]
