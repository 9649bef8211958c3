"""Encode a column and write token shards, on one thread and on two.

    python benchmarks/shard.py FILES.parquet [--copies 10] [--megabytes 100] [--runs 3] [--json FILE]

`shard --eos` is a whole command, start, reading, checking and writing included, over so many copies of the files.
`encode_column` encodes an even sample in memory, words known, in one process. By the clock, and for the command by
processor time and peak memory, too; the bytes of shards and the ids must be the same for one thread and two.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from engines import multiply
from record import Report, add_json_option
from sample import measured
from train import sample_of

from spanish_tok import Tokenizer
from spanish_tok.files import sha256_of_file

THREADS = {1: "1 thread", 2: "2 threads"}


def bench_column(text: pa.Array, runs: int, report: Report) -> None:
    """Encode in turns on one thread and on two."""
    tokenizer, megabytes = Tokenizer.load(), pc.sum(pc.binary_length(text)).as_py() / 1e6
    first = [tokenizer.encode_column(text, threads=threads) for threads in THREADS]  # every word is known now
    assert first[0].equals(first[1]), "threads change ids"
    speeds: dict[int, list[float]] = {threads: [] for threads in THREADS}
    for _ in range(runs):
        for threads, found in speeds.items():
            began = time.perf_counter()
            tokenizer.encode_column(text, threads=threads)
            found.append(megabytes / (time.perf_counter() - began))
    for threads, found in speeds.items():
        report.add("encode_column, words known", "by the clock", THREADS[threads], found, "MB/s")
        print(
            f"encode_column, {THREADS[threads]}: {statistics.median(found):.0f} MB/s by the clock", flush=True
        )


def bench_command(files: list[str], size: float, runs: int, folder: Path, report: Report) -> None:
    """Run the command in turns on one thread and on two."""
    hashes = set()
    results: dict[int, list[tuple[float, float, float]]] = {threads: [] for threads in THREADS}
    for _ in range(runs):
        for threads, found in results.items():
            output = folder / "tokens"
            command = ["shard", *files, "--eos", "--threads", str(threads), "--output", str(output)]
            found.append(measured([sys.executable, "-m", "spanish_tok", *command]))
            hashes.add("".join(sha256_of_file(path) for path in sorted(output.glob("*.parquet"))))
            shutil.rmtree(output)
    assert len(hashes) == 1, "threads change shards"
    for threads, found in results.items():
        clock, processor, peak = zip(*found, strict=True)
        for row, values, unit in (
            ("by the clock", [size / one for one in clock], "MB/s"),
            ("of processor time", [size / one for one in processor], "MB/s"),
            ("peak memory", peak, "MB"),
        ):
            report.add("shard --eos", row, THREADS[threads], values, unit)
            print(f"shard, {THREADS[threads]}, {row}: {statistics.median(values):.0f} {unit}", flush=True)
    report.checked(f"{size:,.0f} MB of text in {len(files)} files; the same bytes.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--copies", type=int, default=10)
    parser.add_argument("--megabytes", type=float, default=100, help="of the sample in memory")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where copies and shards lie meanwhile")
    add_json_option(parser)
    arguments = parser.parse_args()
    report = Report("spanish-tok", "numba", "pyarrow")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        sample = sample_of([str(file) for file in arguments.files], arguments.megabytes, folder / "sample")
        bench_column(pq.read_table(sample)["text"].combine_chunks(), arguments.runs, report)
        files, size = multiply(arguments.files, arguments.copies, folder)
        bench_command(files, size, arguments.runs, folder, report)
    report.save(arguments.json)


if __name__ == "__main__":
    main()
