"""The Ray engine beside the local one: count, sample and shard the same files on the same cores.

    python benchmarks/engines.py RECORDS.parquet... [--copies 10] [--one-file] [--runs 2] [--folder FOLDER]

The input is as many copies of the records as are asked for, each file with other ids, or one large file. Ray is
started once: that time, and the time of a first small job, in which its workers import and compile, are printed
by themselves. Then both engines run each verb by turns; ratios are of medians. Outputs are compared by SHA-256.
Memory is the unshared memory of the largest worker, looked at ten times a second; what an idle one holds is
printed before.
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
from machine import describe

from spanish_tok import count_files, inputs_of, sample_files, write_shards
from spanish_tok.counts import available_cores
from spanish_tok.engines import EngineName, connected
from spanish_tok.files import sha256_of_file

MB = 1e6


def joined(files: list[str], path: Path) -> list[str]:
    """The files as one, in row groups of 32,768 records; they are deleted."""
    with pq.ParquetWriter(path, pq.read_schema(files[0]), compression="zstd") as writer:
        for file in files:
            writer.write_table(pq.read_table(file), row_group_size=1 << 15)
            Path(file).unlink()
    return [str(path)]


def multiply(files: list[Path], copies: int, folder: Path) -> tuple[list[str], float]:
    """Copies of files of records under other ids; their paths, and the MB of text in them."""
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


def jobs(files: list[str], folder: Path) -> dict[str, Callable[[EngineName], str]]:
    """Each verb as a function of the engine that gives a hash of all that it made."""

    def count(engine: EngineName) -> str:
        return count_files(files, engine=engine).fingerprint

    def sample(engine: EngineName) -> str:
        sample_files(inputs_of(files), folder / "sample", 200_000, engine=engine)
        return _hash(folder / "sample")

    def shard(engine: EngineName) -> str:
        write_shards(files, folder / "tokens", engine=engine)
        return _hash(folder / "tokens")

    return {"count": count, "sample": sample, "shard": shard}


def _hash(folder: Path) -> str:
    """Of all files of a folder, which is deleted."""
    hashes = "".join(sha256_of_file(path) for path in sorted(folder.rglob("*")) if path.is_file())
    shutil.rmtree(folder)
    return hashes


def compare(name: str, job: Callable[[EngineName], str], runs: int, size: float) -> None:
    seconds: dict[str, list[float]] = {"local": [], "ray": []}
    made: set[str] = set()
    peak = 0.0
    engines: tuple[EngineName, ...] = ("local", "ray")
    for _ in range(runs):
        for engine in engines:
            start = time.perf_counter()
            with Watch() as watch:
                made.add(job(engine))
            seconds[engine].append(time.perf_counter() - start)
            peak = max(peak, watch.peak)
    local, ray = (statistics.median(seconds[engine]) for engine in engines)
    same = "the same bytes" if len(made) == 1 else "OTHER BYTES"
    print(
        f"{name:<7} local {local:6.1f} s {size / local:6.0f} MB/s   ray {ray:6.1f} s {size / ray:6.0f} MB/s"
        f"   overhead {100 * (ray / local - 1):+5.0f} %   peak of a worker {peak:5.0f} MB   {same}",
        flush=True,
    )


def main(arguments: Any) -> None:
    print(describe())
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        files, size = multiply(arguments.files, arguments.copies, folder)
        if arguments.one_file:
            files = joined(files, folder / "records.parquet")
        print(f"{len(files)} files, {size:,.0f} MB of text, {available_cores()} cores, {arguments.runs} runs")
        start = time.perf_counter()
        with connected():
            started = time.perf_counter()
            for job in jobs(files[:2], folder).values():
                job("local")
            first = time.perf_counter()
            for job in jobs(files[:2], folder).values():
                job("ray")
            print(
                f"start-up {started - start:.1f} s, first jobs {time.perf_counter() - first:.1f} s",
                flush=True,
            )
            print(f"an idle worker {max(map(_unshared, _workers()), default=0):.0f} MB", flush=True)
            for verb, job in jobs(files, folder).items():
                if not arguments.only or verb in arguments.only:
                    compare(verb, job, arguments.runs, size)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--copies", type=int, default=10)
    parser.add_argument("--one-file", action="store_true")
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--only", nargs="*", default=None, help="count, sample, shard")
    main(parser.parse_args())
