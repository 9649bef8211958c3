"""Counting and cleaning against an earlier commit, in turns in one run: is it faster, and are the results the same?

    python benchmarks/before.py COMMIT FILES.parquet [--runs 5] [--megabytes 40] [--json FILE]

The package of COMMIT is taken out of git into a temporary folder; each job is a new process, with compiled code on
disk. `count_runs` is timed alone, seconds of the processor; `count` and `clean` (all rules) are whole commands,
seconds of the processor on one thread and of the clock on two.
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from peers import OURS, python_of
from record import TOP, Report, add_json_option
from train import sample_of

COUNT_RUNS = """
import json, sys, time
import pyarrow.parquet as pq
try:
    from spanish_tok.vocab.counts.runs import count_runs
except ImportError:  # before counts had a folder
    from spanish_tok.vocab.counts import count_runs
text = pq.read_table(sys.argv[1])["text"]
count_runs(text.slice(0, 10), threads=1)
began = time.process_time()
counts = count_runs(text, threads=1)
print(json.dumps([time.process_time() - began, counts.fingerprint]))
"""
TABLE = "against the commit before"
# job -> its words after `spanish-tok`, and by which time it is judged
JOBS = {
    "count, one thread": ("count IN --output OUT.parquet --threads 1", "processor"),
    "count, two threads": ("count IN --output OUT.parquet --threads 2", "clock"),
    "clean, all rules, one thread": ("clean IN --output OUT --threads 1", "processor"),
}


class Timed(NamedTuple):
    """Seconds of a job, and a hash of what it made."""

    clock: float
    processor: float
    made: str


def package_of(commit: str, folder: Path) -> Path:
    """Take the package of a commit, with its data, out of git."""
    folder.mkdir()
    archive = folder / "tree.tar"
    subprocess.run(["git", "archive", "--output", str(archive), commit], check=True, cwd=TOP)
    with tarfile.open(archive) as tree:
        tree.extractall(folder, filter="data")
    archive.unlink()
    return folder


def run(tree: Path, command: list[str], cache: Path) -> tuple[float, str]:
    """Return seconds of the clock of a command, and what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "NUMBA_CACHE_DIR": str(cache)}
    began = time.perf_counter()
    with subprocess.Popen(
        [python_of(OURS), *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, cwd=tree
    ) as process:
        printed, said = process.communicate()
        clock = time.perf_counter() - began
    if process.returncode:
        raise SystemExit(f"{command} in {tree}: {said.decode()[-2000:]}")
    return clock, printed.decode()


def timed(job: str, tree: Path, text: Path, output: Path, cache: Path) -> Timed:
    """Do a job with the package of a tree."""
    before = _children()
    if job == "count_runs":
        _, printed = run(tree, ["-c", COUNT_RUNS, str(text)], cache)
        seconds, fingerprint = json.loads(printed.splitlines()[-1])
        return Timed(seconds, seconds, fingerprint)
    words = {"IN": str(text), "OUT.parquet": f"{output}.parquet", "OUT": str(output)}
    command = [words.get(word, word) for word in JOBS[job][0].split()]
    clock, _ = run(tree, ["-m", "spanish_tok", *command], cache)
    return Timed(clock, _children() - before, hash_of(output))


def _children() -> float:
    """Return seconds that the processor has worked for processes that ended."""
    times = os.times()
    return times.children_user + times.children_system


def hash_of(output: Path) -> str:
    """Return a hash of the rows that a job wrote, and delete them."""
    found = hashlib.sha256()
    files = [*output.parent.glob(f"{output.name}*.parquet"), *output.glob("*.parquet")]
    for file in sorted(files):
        for name, column in _columns(pq.read_table(file)):
            found.update(f"{name}{column}".encode())
        file.unlink()
    for file in sorted(output.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    if output.exists():
        output.rmdir()
    return found.hexdigest()


def _columns(table: pa.Table) -> list[tuple[str, Any]]:
    """Return the values of a table's columns, whatever types hold them."""
    return [(name, table[name].to_pylist()) for name in sorted(table.column_names)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("commit")
    parser.add_argument("files", nargs="+")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--megabytes", type=float, default=40)
    parser.add_argument("--only", nargs="*", choices=["count_runs", *JOBS])
    add_json_option(parser)
    arguments = parser.parse_args()
    report = Report("spanish-tok", "numba", "numpy", "pyarrow")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = Path(sample_of(arguments.files, arguments.megabytes, folder / "text.parquet"))
        few = Path(sample_of([str(text)], arguments.megabytes / 200, folder / "few.parquet"))
        trees = {"before": package_of(arguments.commit, folder / "before"), "now": TOP}
        report.checked(f"Before is {arguments.commit}; {arguments.megabytes:g} MB of text.")
        every: dict[str, list[Timed]] = {}
        for job in arguments.only or ["count_runs", *JOBS]:
            results: dict[str, list[Timed]] = {which: [] for which in trees}
            for which, tree in trees.items():
                timed(job, tree, few, folder / "output", folder / f"compiled-{which}")
            for _ in range(arguments.runs):
                for which, tree in trees.items():
                    cache = folder / f"compiled-{which}"
                    results[which].append(timed(job, tree, text, folder / "output", cache))
            keep(job, results, report)
            every[job] = results["now"]
    if {"count, one thread", "count, two threads"} <= every.keys():
        one, two = ([run.clock for run in every[f"count, {word}"]] for word in ("one thread", "two threads"))
        ratios = [a / b for a, b in zip(one, two, strict=True)]
        report.add(TABLE, "count, one thread over two (by the clock)", "now", ratios, "x")
    report.save(arguments.json)


def keep(job: str, results: dict[str, list[Timed]], report: Report) -> None:
    """Print and keep the seconds, how many times faster, and whether the results are the same."""
    which = JOBS[job][1] if job in JOBS else "processor"
    seconds = {name: [getattr(one, which) for one in found] for name, found in results.items()}
    row = f"{job} ({'by the clock' if which == 'clock' else 'processor time'})"
    for name, values in seconds.items():
        report.add(TABLE, row, name, values, "s")
    ratios = [a / b for a, b in zip(seconds["before"], seconds["now"], strict=True)]
    report.add(TABLE, row, "before : now", ratios, "x")
    made = {one.made for found in results.values() for one in found}
    told = "the same rows" if len(made) == 1 else "OTHER ROWS"
    report.checked(f"{job}: {told}.")
    medians = " and ".join(f"{name} {statistics.median(values):.2f} s" for name, values in seconds.items())
    print(f"{row:<46}{medians}, {statistics.median(ratios):.2f} x", flush=True)


if __name__ == "__main__":
    main()
