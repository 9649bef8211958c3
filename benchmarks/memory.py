"""Measure the peak memory of every verb that reads text.

    python benchmarks/memory.py --folder FOLDER [--megabytes 400] [--only count,shard] [--forms text,jsonl]
    python benchmarks/memory.py --folder FOLDER --what row      # one row of 200 MB, one word of 200 MB
    python benchmarks/memory.py --folder FOLDER --what bombs    # 10 GB of one byte, compressed
    python benchmarks/memory.py --folder FOLDER --what ray      # the workers of a cluster

Rows: the same words in rows of 300 kB and of 150 bytes; the two peaks should be alike. Each call is a process of its
own on two threads. FOLDER keeps what is made, for another call.
"""

import argparse
import bz2
import gzip
import json
import lzma
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from machine import describe

from spanish_tok.files import shipped

SPANISH_TOK = [sys.executable, "-m", "spanish_tok"]
ROWS = {"long": 300_000, "short": 150}  # bytes
ROW_MEGABYTES = 200
BOMB_BYTES = 10_000_000_000
MEMBER = 100_000_000
BLOCK = 100_000  # bytes: a longer row is made of whole sentences

# verb -> its arguments; IN is the input, OUT what is written, N a size of a sample
VERBS = {
    "count": "count IN --output OUT.parquet --threads 2",
    "sample": "sample IN --size N --at-most --rule long=0 --output OUT --threads 2",
    "sample --no-clean": "sample IN --size N --at-most --no-clean --output OUT --threads 2",
    "clean": "clean IN --rule long=0 --output OUT --threads 2",
    "shard": "shard IN --output OUT --threads 2",
    "train": "train IN --size 1000 --output OUT --threads 2",
    "bench": "bench --text IN --json OUT.json --against sentencepiece",
    "compare": f"compare {shipped('vocab/es-5000')} --text IN --json OUT.json",
    "normalize": "normalize IN",
    "encode": "encode IN",
}
LINES = ("normalize", "encode")  # verbs of files of lines
ROWS_READ = """
import sys
from spanish_tok.readers.rows import read_rows
print(sum(len(row.values["text"]) for row in read_rows(sys.argv[1], ["text"])))
"""  # what finetune, predict and evaluate read with
COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lambda data: lzma.compress(data, preset=1),
    "zst": lambda data: pa.Codec("zstd").compress(data, asbytes=True),
}
FILLINGS = {"NUL": b"\0", "a": b"a", "spaces": b" ", "newlines": b"\n"}


class Used(NamedTuple):
    """What a command took, and how it ended."""

    megabytes: float
    seconds: float
    status: int
    said: str


def measured(command: list[str], **more: Any) -> Used:
    """Run a command in a process of its own."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **more)
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    code = os.waitstatus_to_exitcode(status)
    return Used(usage.ru_maxrss / 1024, time.perf_counter() - start, code, said.strip())


def apart(function: Callable[..., Any], *arguments: Any) -> None:
    """Call a function in a process of its own.

    The peak of a command is at least that of the process that starts it.
    """
    process = os.fork()
    if not process:
        function(*arguments)
        os._exit(0)
    assert os.waitpid(process, 0)[1] == 0, arguments


def arguments_of(verb: str, read: Path, output: Path, size: int = 1000) -> list[str]:
    """Return the command line of a verb, after what an earlier call wrote is gone."""
    for left in output.parent.glob(f"{output.name}*"):
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    words = {"IN": str(read), "N": str(size)}
    return [words.get(word, word.replace("OUT", str(output))) for word in VERBS[verb].split()]


def command_of(verb: str, read: Path, output: Path, size: int = 1000) -> list[str]:
    """Return the command that runs a verb, or reads rows of named columns."""
    if verb == "rows":
        return [sys.executable, "-c", ROWS_READ, str(read)]
    return [*SPANISH_TOK, *arguments_of(verb, read, output, size)]


def rows_of(length: int, total: int) -> Iterator[str]:
    """Yield rows of about `length` bytes, `total` in all: the same words in the same order, whatever the length."""
    sentences = shipped("corpus/bench-es.txt").read_text(encoding="utf-8").split("\n")
    draw, size, row = random.Random(0), 0, list[str]()
    for _ in range(total // 50):  # sentences are longer
        words = f"{draw.choice(sentences)} {draw.randrange(10**6)}"
        total -= len(words.encode()) + 1
        for part in [words] if length > BLOCK else words.split(" "):
            row.append(part)
            size += len(part.encode()) + 1
            if size >= length:
                yield " ".join(row)
                row, size = [], 0
        if total <= 0:
            break
    yield " ".join(row) or "."


def written(folder: Path, form: str, name: str, total: int) -> Path:
    """Return a file of rows, made unless it is there."""
    path = folder / f"{name}-{total // 10**6}.{form}"
    if not path.exists():
        apart(write_rows, path, form, name, total)
    return path


def write_rows(path: Path, form: str, name: str, total: int) -> None:
    """Write a file of rows."""
    partial = path.with_suffix(".partial")
    rows = rows_of(ROWS[name], total)
    if form == "parquet":
        with pq.ParquetWriter(partial, pa.schema([("id", pa.string()), ("text", pa.string())])) as writer:
            for first in range(0, total, 8 << 20):
                texts = [next(rows, "") for _ in range(min(8 << 20, total - first) // ROWS[name])]
                ids = [f"{first}-{number}" for number in range(len(texts))]
                writer.write_table(pa.table({"id": ids, "text": texts}, writer.schema))
    else:
        lines: dict[str, Callable[[int, str], str]] = {
            "txt": lambda _, row: row,
            "tsv": lambda number, row: f"{number}\t{row}",
            "jsonl": lambda number, row: json.dumps({"id": number, "text": row}, ensure_ascii=False),
            "csv": lambda number, row: f'{number},"{row.replace(chr(34), chr(34) * 2)}"',
        }
        with open(partial, "w", encoding="utf-8") as file:
            file.write("id,text\n" * (form == "csv"))
            file.writelines(lines[form](number, row) + "\n" for number, row in enumerate(rows))
    partial.rename(path)


def measure_rows(folder: Path, total: int, verbs: list[str], forms: list[str]) -> None:
    """Print, for each verb and format, the peaks with long and with short rows."""
    print(f"{'verb':20}{'format':>8}{'300 kB':>9}{'150 B':>9}{'ratio':>7}   seconds")
    for form in forms:
        files = {name: written(folder, form, name, total) for name in ROWS}
        for verb in verbs:
            if (verb in LINES and form != "txt") or (verb == "rows" and form in ("txt", "tsv")):
                continue
            used = {}
            for name, path in files.items():
                size = max(total // ROWS[name] // 2, 1)  # half of all rows
                used[name] = measured(command_of(verb, path, folder / "out", size))
                if used[name].status:
                    print(verb, form, name, used[name].status, used[name].said, file=sys.stderr)
            peaks = [used[name].megabytes for name in ROWS]
            seconds = " ".join(f"{used[name].seconds:.0f}" for name in ROWS)
            ratio = max(peaks) / min(peaks)
            print(f"{verb:20}{form:>8}{peaks[0]:9.0f}{peaks[1]:9.0f}{ratio:7.2f}   {seconds}", flush=True)


def write_row(path: Path, kind: str) -> None:
    """Write one row of 200 MB."""
    total = ROW_MEGABYTES * 10**6
    row = " ".join(rows_of(total, total)) if kind == "words" else "ñandú" * (total // 7)
    path.write_text(row + "\n", encoding="utf-8")


def measure_row(folder: Path, verbs: list[str]) -> None:
    """Print the peaks of one row of 200 MB: of words, and of one word."""
    for kind in ("words", "word"):
        path = folder / f"one-{kind}.txt"
        if not path.exists():
            apart(write_row, path, kind)
        for verb in verbs:
            used = measured(command_of(verb, path, folder / "out", 1))
            told = f"{used.seconds:.0f} s  {used.status} {used.said[-300:]}"
            print(f"{verb:20}{kind:>8}{used.megabytes:9.0f}   {told}", flush=True)


def write_bomb(path: Path, byte: bytes, compress: Callable[[bytes], bytes]) -> None:
    """Write a bomb: files may have many members."""
    path.write_bytes(compress(byte * MEMBER) * (BOMB_BYTES // MEMBER))


def measure_bombs(folder: Path, verbs: list[str], only: list[str], kinds: list[str]) -> None:
    """Print the peaks of 10 GB of one byte, and what was said."""
    for filling, byte in FILLINGS.items():
        for suffix, compress in COMPRESSORS.items():
            name = f"{filling}.{suffix}"
            if only and name not in only and filling not in only and suffix not in only:
                continue
            path = folder / f"bomb-{name}"
            if not path.exists():
                apart(write_bomb, path, byte, compress)
            for verb in verbs:
                for form in kinds:
                    if verb in LINES and form != "text":
                        continue
                    more = [] if verb in LINES else ["--format", form]
                    command = [*SPANISH_TOK, *arguments_of(verb, path, folder / "out", 1), *more]
                    used = measured(command)
                    print(
                        f"{verb:20}{name:>14}{form:>8}{used.megabytes:9.0f}   {used.seconds:.0f} s  "
                        f"{used.status} {used.said[-200:]}",
                        flush=True,
                    )


def peak_of_workers(stopped: threading.Event, peaks: dict[int, float]) -> None:
    """Note the peaks of all workers of Ray, in MB, until it is stopped."""
    while not stopped.wait(0.05):
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if process.joinpath("cmdline").read_bytes().startswith(b"ray::"):
                    status = dict(
                        line.split(":", 1) for line in process.joinpath("status").read_text().splitlines()
                    )
                    peaks[int(process.name)] = int(status["VmHWM"].split()[0]) / 1024
            except (OSError, KeyError):  # it has ended
                continue


def measure_ray(folder: Path, total: int, verbs: list[str], forms: list[str], reader: str) -> None:
    """Print the peaks of the workers of a cluster, with long and with short rows."""
    for form in forms:
        files = {name: written(folder, form, name, total) for name in ROWS}
        for verb in verbs:
            if "bench" in verb or "compare" in verb or verb in LINES:
                continue
            highest = {}
            for name, path in files.items():
                stopped, peaks = threading.Event(), dict[int, float]()
                watch = threading.Thread(target=peak_of_workers, args=(stopped, peaks))
                watch.start()
                command = arguments_of(verb, path, folder / "out", max(total // ROWS[name] // 2, 1))
                used = measured([*SPANISH_TOK, *command, "--engine", "ray", "--reader", reader])
                stopped.set()
                watch.join()
                highest[name] = max(peaks.values(), default=0)
                if used.status:
                    print(verb, form, name, used.status, used.said[-500:], file=sys.stderr)
            long, short = (highest[name] for name in ROWS)
            ratio = max(long, short) / max(min(long, short), 1)
            print(f"{verb:20}{form:>8}{long:9.0f}{short:9.0f}{ratio:7.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--what", choices=["rows", "row", "bombs", "ray"], default="rows")
    parser.add_argument("--megabytes", type=int, default=400)
    parser.add_argument("--only", default=",".join([*VERBS, "rows"]), help="verbs; rows")
    parser.add_argument("--forms", default="txt", help="txt, tsv, csv, jsonl, parquet")
    parser.add_argument("--bombs", default="", help="such as NUL, gz, or NUL.gz; all by default")
    parser.add_argument("--kinds", default="text,tsv,csv,jsonl", help="formats that bombs are read as")
    parser.add_argument("--reader", choices=["own", "ray"], default="own")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    verbs, forms = given.only.split(","), given.forms.split(",")
    print(describe("spanish-tok", "pyarrow", "numba"))
    if given.what == "rows":
        measure_rows(given.folder, given.megabytes * 10**6, verbs, forms)
    elif given.what == "row":
        measure_row(given.folder, verbs)
    elif given.what == "bombs":
        measure_bombs(
            given.folder, verbs, [name for name in given.bombs.split(",") if name], given.kinds.split(",")
        )
    else:
        measure_ray(given.folder, given.megabytes * 10**6, verbs, forms, given.reader)


if __name__ == "__main__":
    main()
