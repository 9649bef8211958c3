"""Jobs that are killed or interrupted at random moments, done again, and compared with whole ones.

    python -m tests.broken_off kill --number 1000 --seed 0
    python -m tests.broken_off interrupt --number 500 --seed 0 --minutes 3

A line of the log is one try, named by its seed; what the log holds is not tried again, so that a long run goes on,
in parts of some minutes if asked for. A job that is interrupted is a program of its own, as it may be importing.
One that is killed is a copy (fork) of this process, which has imported everything: the kill meets the work. Moments
are in seconds of the job's own processor time, so that what else runs on the machine does not move them.
"""

import argparse
import hashlib
import json
import math
import os
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

import spanish_tok as st
from spanish_tok import cli
from spanish_tok.t5.config import T5Config
from spanish_tok.t5.safetensors import read_tensors

KILLED = ("sample", "shard", "count", "train", "pretrain", "finetune")
INTERRUPTED = ("train", "count", "shard", "sample", "encode_column", "generate")
GOLDEN = (5**0.5 - 1) / 2  # multiples of it, modulo 1, are spread evenly
AT_MOST = 2.0  # seconds that an interrupt may take
EARLY = 0.3  # seconds in which Python itself may still be starting, which ends it then
TOO_LONG = 600.0  # seconds that no job takes, even on a busy machine
TIMES = re.compile(r"seconds|tokens_per_second|read_at|torch|source|start")
SMALL: dict[str, Any] = {
    "d_model": 32,
    "d_kv": 16,
    "d_ff": 64,
    "num_layers": 1,
    "num_decoder_layers": 1,
    "num_heads": 2,
}

# The jobs from Python: they are done again in the same process after an interrupt.
PROGRAM = """
import hashlib, sys
def job(kind, folder):
    import spanish_tok as st
    if kind == "encode_column":
        lines = open(folder + "/text.txt").read().split("\\n")
        columns = [st.Tokenizer.load().encode_column(lines) for _ in range(6)]
        return hashlib.sha256(str([len(column.flatten()) for column in columns]).encode()).hexdigest()
    texts = ["los archivos que <extra_id_0> encuentran <extra_id_1> directorio"] * 8
    results = st.generate(texts, max_new_tokens=60, num_beams=4)
    return hashlib.sha256(str([result.text for result in results]).encode()).hexdigest()
try:
    print("whole", job(*sys.argv[1:]), flush=True)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    print("again", job(*sys.argv[1:]), flush=True)
"""


class Jobs:
    """The jobs with their inputs and right results, in a folder that stays."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "text.txt").exists():
            words = random.Random(1).choices(["perro", "gata", "casa", "que", "y", "comía"], k=600_000)
            numbers = range(0, len(words), 6)
            lines = (" ".join(words[n : n + 6]) + f" palabra{n % 90_000} otra{n * 7}." for n in numbers)
            (folder / "text.txt").write_text("\n".join(lines) + "\n")
            records = ({"text": f"el perro {n} come en casa .", "summary": f"perro {n}"} for n in range(240))
            (folder / "records.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
            T5Config(**SMALL).to_json(folder / "small" / "config.json")
        if not (folder / "model").exists():  # what `pretrain` and `finetune` begin with
            self._prepare(["shard", str(folder / "records.jsonl"), "--output", str(folder / "tokens")])
            with tempfile.TemporaryDirectory(dir=folder) as temporary:
                run = Path(temporary) / "run"
                self._prepare(
                    [*self.call("pretrain", run)[3:], "--set", "steps=6", "--set", "validate_every=6"]
                )
                os.replace(run / "checkpoint-0000006", folder / "model")
        known = folder / "whole.json"
        self.whole: dict[str, Any] = json.loads(known.read_text()) if known.exists() else {}

    def call(self, job: str, output: Path) -> list[str]:
        """Return the program that does a job."""
        text, one = str(self.folder / "text.txt"), ["--threads", "1"]  # several wait for each other, busily
        calls = {
            "sample": ["sample", text, "--size", "60000", "--at-most"],
            "shard": ["shard", text, "--shard-bytes", "300000"],
            "count": ["count", text],
            "train": ["train", text, "--set", "seeds=50000"],
            "pretrain": ["pretrain", str(self.folder / "tokens"), *one, "--set", f"model={self.folder / 'small'}",
                         "--set", "batch_size=2", "--set", "input_length=64", "--set", "steps=60", "--set", "warmup=5",
                         "--set", "save_every=7", "--set", "validate_every=20"],
            "finetune": ["finetune", str(self.folder / "records.jsonl"), *one, "--model", str(self.folder / "model"),
                         "--task", "summarization", "--epochs", "2", "--input-tokens", "32", "--target-tokens", "8",
                         "--batch-size", "8", "--set", "save_every=4"],
        }  # fmt: skip
        if job not in calls:
            return [sys.executable, "-c", PROGRAM, job, str(self.folder)]
        return [sys.executable, "-m", "spanish_tok", *calls[job], "--output", str(output)]

    def _prepare(self, arguments: list[str]) -> None:
        told = self.folder / "told"
        assert ended(forked(arguments, told)) == 0, told.read_text()

    def of(self, job: str, cold: bool | None) -> tuple[float, str]:
        """Return the seconds of processor time and the digest of a whole job, measured once and kept.

        A job that finds compiled code is done twice, as the first time may compile it. cold: whether a program of its
        own has an empty cache of compiled code; None: it is a copy of this process.
        """
        name = f"{job} {'forked' if cold is None else 'cold' if cold else 'warm'}"
        for _ in range(0 if name in self.whole else 1 if cold else 2):
            with tempfile.TemporaryDirectory(dir=self.folder) as temporary:
                output, begun = Path(temporary) / "out", _of_children()
                call = self.call(job, output)
                if cold is None:
                    self._prepare(call[3:])
                    told = ""
                else:
                    with _environment(cold) as environment:
                        done = subprocess.run(call, capture_output=True, text=True, env=environment)
                    assert done.returncode == 0, done.stderr[-2000:]
                    told = done.stdout
                digest = digest_of(output) if output.exists() else told.split()[-1]
                self.whole[name] = [_of_children() - begun, digest]
            (self.folder / "whole.json").write_text(json.dumps(self.whole))
        seconds, digest = self.whole[name]
        return seconds, digest

    def kill(self, seed: int) -> dict[str, Any]:
        """Kill a job up to three times, finish it, and compare its bytes."""
        draw, job = random.Random(seed), KILLED[seed % len(KILLED)]
        seconds, digest = self.of(job, None)
        moments: list[float] = []
        with tempfile.TemporaryDirectory(dir=self.folder) as temporary:
            output, told = Path(temporary) / "out", Path(temporary) / "told"
            for _ in range(draw.randint(1, 3)):
                moment = draw.random() * seconds
                if ended(forked(self.call(job, output)[3:], told), moment) is None:
                    moments.append(round(moment, 2))
            status = ended(forked(self.call(job, output)[3:], told))
            same = status == 0 and digest_of(output) == digest
            return {"job": job, "kills": len(moments), "moments": moments, "right": same, "status": status,
                    "told": "" if same else told.read_text()[-500:]}  # fmt: skip

    def interrupt(self, seed: int) -> dict[str, Any]:
        """Interrupt a job, half of the times with an empty cache of compiled code."""
        job, cold = INTERRUPTED[seed % len(INTERRUPTED)], bool(seed // len(INTERRUPTED) % 2)
        seconds, digest = self.of(job, cold)
        moment = seconds * ((seed // (2 * len(INTERRUPTED)) + 1) * GOLDEN % 1)
        with (
            tempfile.TemporaryDirectory(dir=self.folder) as temporary,
            _environment(cold) as environment,
            subprocess.Popen(
                self.call(job, output := Path(temporary) / "out"),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment,
            ) as process,
        ):
            while cpu_of(process.pid) < moment and process.poll() is None:
                time.sleep(0.005)
            begun, cpu = time.monotonic(), cpu_of(process.pid)
            process.send_signal(signal.SIGINT)
            assert process.stdout
            first = process.stdout.readline()
            took = min(time.monotonic() - begun, cpu_of(process.pid) - cpu)
            rest, told = process.communicate()
            left = [path.name for path in Path(temporary).iterdir() if path.suffix == ".partial"]
            python = job in ("encode_column", "generate")
            status = process.returncode
            if python:
                right = status == 0 and digest in first + rest
            else:
                lines = [line for line in told.splitlines() if "compiling for the first use" not in line]
                right = status == 0 or (status == 130 and len(lines) == 1 and not left)
            whole = digest in first + rest if python else output.exists() and digest_of(output) == digest
            # Python ends at once on Ctrl-C while it starts, and, with all done, while it takes itself down
            right = right or (status == -signal.SIGINT and (moment < EARLY or whole))
            slow = took > AT_MOST and (first.startswith("interrupted") or status != 0)
            right = right and not slow
            return {"job": job, "cold": cold, "moment": round(moment, 2), "took": round(took, 2), "status": status,
                    "right": right, "told": "" if right else told[-300:] + str(left)}  # fmt: skip


@contextmanager
def _environment(cold: bool) -> Iterator[dict[str, str]]:
    """Yield the environment of a program, with an empty cache of compiled code if it is to be cold."""
    if not cold:
        yield dict(os.environ)
        return
    with tempfile.TemporaryDirectory(prefix="cold-", ignore_cleanup_errors=True) as cache:
        yield {**os.environ, "NUMBA_CACHE_DIR": cache}


def forked(arguments: list[str], told: Path) -> int:
    """Run the command line in a copy of this process, and return its number; what it prints goes to a file."""
    if number := os.fork():
        return number
    status = 1
    try:
        file = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1)
        os.dup2(file, 2)
        cli.main(arguments, prog_name="spanish-tok")
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def cpu_of(number: int) -> float:
    """Return the seconds of processor time of a process; infinity of one that is gone. Linux alone."""
    try:
        return time.clock_gettime(~number << 3 | 2)
    except OSError:
        return math.inf


def _of_children() -> float:
    """Return the seconds of processor time of all processes that were waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def ended(number: int, seconds: float = math.inf) -> int | None:
    """Wait until a process took so long, then kill it; return its status, None if it was killed."""
    begun = time.monotonic()
    while cpu_of(number) < seconds and time.monotonic() - begun < TOO_LONG:
        known, status = os.waitpid(number, os.WNOHANG)
        if known:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(number, signal.SIGKILL)
    os.waitpid(number, 0)
    return None


def digest_of(output: Path) -> str:
    """Return the SHA-256 of all files of an output, times left out."""
    digest = hashlib.sha256()
    for path in sorted(output.rglob("*")) if output.is_dir() else [output]:
        if path.is_file() and path.suffix not in (".png", ".svg", ".npy") and not path.name.startswith("."):
            digest.update(path.name.encode() + _content(path))
    return digest.hexdigest()


def _content(path: Path) -> bytes:
    if path.suffix == ".json":
        return json.dumps(_timeless(json.loads(path.read_text())), sort_keys=True).encode()
    if path.suffix == ".csv":
        rows = [line.split(",") for line in path.read_text().splitlines()]
        kept = [place for place, name in enumerate(rows[0]) if not TIMES.search(name)]
        return json.dumps([[row[place] for place in kept] for row in rows]).encode()
    if path.suffix == ".safetensors":  # the metadata hold times
        tensors = sorted(read_tensors(path).items())
        return b"".join(name.encode() + np.ascontiguousarray(array).tobytes() for name, array in tensors)
    return path.read_bytes()


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _timeless(entry) for name, entry in value.items() if not TIMES.search(name)}
    return [_timeless(entry) for entry in value] if isinstance(value, list) else value


def tries(way: str, number: int, seed: int, folder: Path, minutes: float = 1e9) -> Iterator[dict[str, Any]]:
    """Yield the results of tries until `number` kills or interrupts were made, those of the log first."""
    if way == "kill":
        _import_all()
    jobs, log, end = Jobs(folder), folder / f"{way}.jsonl", time.monotonic() + 60 * minutes
    lines = map(json.loads, log.read_text().splitlines()) if log.exists() else ()
    known = {line["seed"]: line for line in lines}
    made = 0
    while made < number and (seed in known or time.monotonic() < end):
        if seed not in known:
            known[seed] = {"seed": seed, **getattr(jobs, way)(seed)}
            with open(log, "a") as file:
                file.write(json.dumps(known[seed], ensure_ascii=False) + "\n")
        yield known[seed]
        made += known[seed].get("kills", 1)
        seed += 1


def _import_all() -> None:
    """Import what the jobs do; nothing is computed here, as a copy of a process has none of its threads."""
    for name in KILLED:
        getattr(st, name)
    for name in (
        "matplotlib.backends.backend_agg",
        "matplotlib.backends.backend_svg",
        "torchmetrics.functional.text.rouge",
    ):
        import_module(name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("way", choices=["kill", "interrupt"])
    parser.add_argument("--number", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no other try after so many")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "spanish-tok-broken-off")
    given = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    results: Counter[str] = Counter()
    for result in tries(given.way, given.number, given.seed, given.folder, given.minutes):
        results[f"{result['job']}: {'right' if result['right'] else 'WRONG'}"] += result.get("kills", 1)
        if not result["right"]:
            print(result, flush=True)
    for name, number in sorted(results.items()):
        print(f"{number:>6}  {name}")
    sys.exit(any(name.endswith("WRONG") for name in results))


if __name__ == "__main__":
    main()
