"""Count runs of a real corpus: MB of text a second, on one thread and on two.

The median of several runs.

    python benchmarks/count.py FILES.parquet [--runs 5] [--json FILE]

The text lies in memory as Arrow; normalization, splitting and counting are measured, with the table of
distinct runs built anew each time. Beside it, in the same run: `str.split` and `Counter` of Python over the
same records, which neither normalizes nor splits words. On a machine that others use too, look at the column of
MB per second of processor time: it leaves out the time in which others ran.
"""

import argparse
import statistics
import time
from collections import Counter
from collections.abc import Callable

import pyarrow as pa
from record import Report, add_json_option

from spanish_tok.readers.records import read_records
from spanish_tok.vocab.counts.runs import count_runs


def seconds_of(work: Callable[[], object], runs: int) -> tuple[list[float], list[float]]:
    """Seconds on the clock and of the processor, of each run."""
    clock, processor = [], []
    for _ in range(runs):
        start, busy = time.perf_counter(), time.process_time()
        work()
        clock.append(time.perf_counter() - start)
        processor.append(time.process_time() - busy)
    return clock, processor


def count_words(texts: list[str]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text.split())
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="+")
    parser.add_argument("--runs", type=int, default=5)
    add_json_option(parser)
    arguments = parser.parse_args()
    report = Report("spanish-tok", "numba", "numpy", "pyarrow")
    text = pa.chunked_array([batch.column("text") for batch in read_records(arguments.files)])
    megabytes = sum(len(value.encode()) for value in text.to_pylist()) / 1e6
    print(f"{len(text):,} records, {megabytes:.1f} MB")
    count_runs(text.slice(0, 10))  # compiled code from disk
    texts = text.to_pylist()
    rows: list[tuple[str, int, Callable[[], object]]] = [
        ("spanish-tok, 1 thread", arguments.runs, lambda: count_runs(text, threads=1)),
        ("spanish-tok, 2 threads", arguments.runs, lambda: count_runs(text, threads=2)),
        ("Python split and Counter", 1, lambda: count_words(texts)),
    ]
    print(f"{'':<28}{'MB/s':>8}{'MB/s of processor time':>26}")
    for name, runs, work in rows:
        clock, processor = ([megabytes / one for one in seconds] for seconds in seconds_of(work, runs))
        report.add("MB of text a second", name, "by the clock", clock, "MB/s")
        report.add("MB of text a second", name, "of processor time", processor, "MB/s")
        print(f"{name:<28}{statistics.median(clock):>8.0f}{statistics.median(processor):>26.0f}", flush=True)
    counts = [count_runs(text, threads=threads) for threads in (1, 2)]
    assert counts[0].fingerprint == counts[1].fingerprint
    report.checked(f"{len(counts[0]):,} distinct runs of {counts[0].total:,}, the same for 1 and 2 threads")
    report.save(arguments.json)


if __name__ == "__main__":
    main()
