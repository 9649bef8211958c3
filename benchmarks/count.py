"""Count runs of a real corpus: MB of text a second on one thread and on two, median of several runs.

    python benchmarks/count.py FILES.parquet [--runs 5]

The text lies in memory as Arrow; normalization, splitting and counting are measured, with the table of
distinct runs built anew each time. Beside it, in the same run: `str.split` and `Counter` of Python over the
same records, which neither normalizes nor splits words.
"""

import argparse
import statistics
import time
from collections import Counter
from collections.abc import Callable

import pyarrow as pa
from machine import describe

from spanish_tok import count_runs
from spanish_tok.records import read_records


def median_seconds(work: Callable[[], object], runs: int) -> float:
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def count_words(texts: list[str]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text.split())
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="+")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    text = pa.chunked_array([batch.column("text") for batch in read_records(arguments.files)])
    megabytes = sum(len(value.encode()) for value in text.to_pylist()) / 1e6
    print(describe("numba", "numpy", "pyarrow"))
    print(f"{len(text):,} records, {megabytes:.1f} MB")
    count_runs(text.slice(0, 10))  # compiled code from disk
    rows: list[tuple[str, Callable[[], object]]] = [
        ("spanish-tok, 1 thread", lambda: count_runs(text, threads=1)),
        ("spanish-tok, 2 threads", lambda: count_runs(text, threads=2)),
    ]
    for name, work in rows:
        print(f"{name:<40}{megabytes / median_seconds(work, arguments.runs):>8.0f} MB/s", flush=True)
    texts = text.to_pylist()
    print(
        f"{'Python split and Counter':<40}{megabytes / median_seconds(lambda: count_words(texts), 1):>8.0f} MB/s"
    )
    counts = [count_runs(text, threads=threads) for threads in (1, 2)]
    assert counts[0].fingerprint == counts[1].fingerprint
    print(f"{len(counts[0]):,} distinct runs of {counts[0].total:,}, the same for 1 and 2 threads")


if __name__ == "__main__":
    main()
