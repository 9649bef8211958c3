"""The Ray engine beside the local one, on the same files and cores.

The verbs are count, sample and shard.

    python benchmarks/engines.py RECORDS.parquet... [--copies 10] [--one-file] [--reader ray] [--runs 2] [--json FILE]

The input is as many copies of the records as are asked for, each file with other ids, or one large file. Ray is
started once: that time, and the time of a first small job, in which its workers import and compile, are printed
by themselves. Then both engines run each verb by turns; ratios are of medians. Outputs are compared by SHA-256.
With --reader ray the Ray engine also reads with Ray Data's readers, by turns with the package's own. Memory is the
unshared memory of the largest worker, looked at ten times a second; what an idle one holds is printed before.
"""

import argparse
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from record import Report, add_json_option

import spanish_tok as st
from spanish_tok import ReadOptions
from spanish_tok.files import sha256_of_file
from spanish_tok.parallel.ray_engine import Ray
from spanish_tok.parallel.threads import available_cores
from spanish_tok.readers.inputs import inputs_of

MB = 1e6

Way = tuple[st.Local | st.Ray, ReadOptions]
LOCAL: Way = st.Local(), ReadOptions()
RAY: Way = st.Ray(), ReadOptions()
ALL_RAY: Way = st.Ray(), ReadOptions(reader="ray")


def joined(files: list[str], path: Path) -> list[str]:
    """Join the files into one, in row groups of 32,768 records, and delete them."""
    with pq.ParquetWriter(path, pq.read_schema(files[0]), compression="zstd") as writer:
        for file in files:
            writer.write_table(pq.read_table(file), row_group_size=1 << 15)
            Path(file).unlink()
    return [str(path)]


def multiply(files: list[Path], copies: int, folder: Path) -> tuple[list[str], float]:
    """Copy files of records under other ids; return paths, and the MB of text."""
    made, size = [], 0.0
    for number in range(copies):
        for file in files:
            table = pq.read_table(file, columns=["id", "text"])
            ids = pc.binary_join_element_wise(table["id"].cast(pa.string()), str(number), "-")
            path = folder / f"{file.stem}-{number}.parquet"
            pq.write_table(pa.table({"id": ids, "text": table["text"]}), path, compression="zstd")
            size += (pc.sum(pc.binary_length(table["text"])).as_py() or 0) / MB
            made.append(str(path))
    return made, size


class Watch:
    """The largest unshared memory, in MB, of a worker of Ray while the block runs."""

    def __enter__(self) -> "Watch":
        self.peak, self._ended = 0.0, False
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        self._thread.join()

    def _look(self) -> None:
        while not self._ended:
            self.peak = max(self.peak, *(_unshared(process) for process in _workers()), 0.0)
            time.sleep(0.1)


def _workers() -> list[psutil.Process]:
    return [
        process for process in psutil.Process().children(recursive=True) if _name(process).startswith("ray::")
    ]


def _name(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _unshared(process: psutil.Process) -> float:
    try:
        return float(process.memory_full_info().uss) / MB
    except psutil.Error:
        return 0.0


def jobs(files: list[str], folder: Path) -> dict[str, Callable[[Way], str]]:
    """Each verb as a function of how it is done that gives a hash of all that it made."""

    def count(way: Way) -> str:
        return st.count(files, reading=way[1], engine=way[0]).fingerprint

    def sample(way: Way) -> str:
        st.sample(inputs_of(files, way[1]), folder / "sample", size=200_000, clean=False, engine=way[0])
        return _hash(folder / "sample")

    def shard(way: Way) -> str:
        st.shard(files, folder / "tokens", reading=way[1], engine=way[0])
        return _hash(folder / "tokens")

    return {"count": count, "sample": sample, "shard": shard}


def _hash(folder: Path) -> str:
    """Of all files of a folder, which is deleted."""
    hashes = "".join(sha256_of_file(path) for path in sorted(folder.rglob("*")) if path.is_file())
    shutil.rmtree(folder)
    return hashes


def compare(
    name: str, job: Callable[[Way], str], ways: list[Way], runs: int, size: float, report: Report
) -> None:
    seconds: list[list[float]] = [[] for _ in ways]
    peaks = [0.0 for _ in ways]
    made: set[str] = set()
    for _ in range(runs):
        for place, way in enumerate(ways):
            start = time.perf_counter()
            with Watch() as watch:
                made.add(job(way))
            seconds[place].append(time.perf_counter() - start)
            peaks[place] = max(peaks[place], watch.peak)
    names = ["local", *("Ray" if way[1].reader == "own" else "Ray, its readers" for way in ways[1:])]
    for column, values, peak in zip(names, seconds, peaks, strict=True):
        report.add("seconds", name, column, values, "s")
        report.add("MB of text a second", name, column, [size / one for one in values], "MB/s")
        if column != "local":
            report.add("peak memory of a worker", name, column, [peak], "MB")
    local, *others = map(statistics.median, seconds)
    print(f"{name:<7} local {local:6.1f} s {size / local:6.0f} MB/s", end="")
    for (_, options), median, peak in zip(ways[1:], others, peaks[1:], strict=True):
        label = "ray" if options.reader == "own" else "ray, its readers"
        print(
            f"   {label} {median:6.1f} s {size / median:6.0f} MB/s {100 * (median / local - 1):+5.0f} %",
            end="",
        )
        print(f" peak of a worker {peak:5.0f} MB", end="")
    report.checked(f"   {name}: the same bytes." if len(made) == 1 else f"   {name}: OTHER BYTES.")


def main(arguments: Any) -> None:
    report = Report("spanish-tok", "ray", "pyarrow")
    ways = [LOCAL, RAY, ALL_RAY] if arguments.reader == "ray" else [LOCAL, RAY]
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        files, size = multiply(arguments.files, arguments.copies, folder)
        if arguments.one_file:
            files = joined(files, folder / "records.parquet")
        print(f"{len(files)} files, {size:,.0f} MB of text, {available_cores()} cores, {arguments.runs} runs")
        start = time.perf_counter()
        with Ray().connected():
            started = time.perf_counter()
            for job in jobs(files[:2], folder).values():
                job(LOCAL)
            first = time.perf_counter()
            for job in jobs(files[:2], folder).values():
                for way in ways[1:]:
                    job(way)
            report.add("start of Ray", "seconds", "start", [started - start], "s")
            report.add("start of Ray", "seconds", "first jobs", [time.perf_counter() - first], "s")
            idle = max(map(_unshared, _workers()), default=0)
            report.add("start of Ray", "an idle worker", "memory", [idle], "MB")
            print(
                f"start-up {started - start:.1f} s, first jobs {time.perf_counter() - first:.1f} s",
                flush=True,
            )
            print(f"an idle worker {idle:.0f} MB", flush=True)
            for verb, job in jobs(files, folder).items():
                if not arguments.only or verb in arguments.only:
                    compare(verb, job, ways, arguments.runs, size, report)
    report.save(arguments.json)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--copies", type=int, default=10)
    parser.add_argument("--one-file", action="store_true")
    parser.add_argument("--reader", choices=["own", "ray"], default="own")
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--only", nargs="*", default=None, help="count, sample, shard")
    add_json_option(parser)
    main(parser.parse_args())
