"""Run every benchmark, and keep all figures in one JSON, from which pages.py writes those of the documentation.

    python benchmarks/all.py CORPUS.parquet... [--only NAME ...] [--again] [--json docs/benchmarks.json]
        [--model DIR] [--before COMMIT] [--collection FILE] [--first-version DIR]

What the JSON holds already for the same code and machine is not done again, so that a run that was stopped goes on;
`--again` does it again. A benchmark that fails, or that needs what is not given, is named, and the others go on.
`--tiny` makes each as short as it can be, to try the commands; such figures belong nowhere.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import peers
from aims import held
from machine import describe
from record import TOP, code, write_json

KEPT = TOP / "docs" / "benchmarks.json"
FORMAT = 1

# name -> command; words in capitals are given to this one
JOBS = {
    "encode": "encode.py CORPUS --megabytes 20 --runs 5 --variants plain",
    "encode-variants": "encode.py CORPUS --megabytes 20 --runs 5 --variants unseen upper decomposed",
    "decode": "cpu.py --runs 9 --prefill 512 --scaling",
    "decode-two-threads": "cpu.py --runs 9 --threads 2 --no-start",
    "decode-small": "cpu.py --preset small --batch 1 --runs 5",
    "decode-base": "cpu.py --preset base --batch 1 --runs 5",
    "first-use": "first_use.py --runs 5",
    "count": "count.py CORPUS --runs 5",
    "before": "before.py BEFORE CORPUS --runs 5 --megabytes 160",  # so much that the work outweighs the start
    "train": "train.py CORPUS --on all --runs 5",
    "train-rest": "train.py CORPUS --on rest",
    "train-part": "train.py CORPUS --on all --megabytes 40 --runs 5",
    "t5": "t5.py --model MODEL --runs 5",
    "t5-ids": "t5.py --model MODEL --runs 1 --texts CORPUS",
    "pretraining": "t5.py --pretraining --threads 2",
    "precision": "precision.py --model MODEL CORPUS --texts 100",
    "shard": "shard.py CORPUS",
    "encode-versions": "encode_versions.py FIRST-VERSION vocab/es-5000 CORPUS",
    "engines": "engines.py CORPUS",
    "engines-one-file": "engines.py CORPUS --one-file --runs 3",
    "engines-readers": "engines.py CORPUS --reader ray",
    "sample": "sample.py COLLECTION --only speed",
    "rules": "sample.py COLLECTION --only rules",
}
TINY = {
    "encode": "--runs 1 --megabytes 1 --only spanish-tok sentencepiece tokenizers",
    "decode": "--runs 1 --batch 1 --no-start",
    "count": "--runs 1",
    "first-use": "--runs 1",
    "before": "--runs 1 --megabytes 0.1 --only count_runs",
    "train": "--runs 1",
    "shard": "--copies 1 --megabytes 1 --runs 1",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("corpus", nargs="+", type=Path, help="Parquet files of records")
    parser.add_argument(
        "--only", nargs="+", choices=JOBS, default=list(JOBS), metavar="NAME", help=", ".join(JOBS)
    )
    parser.add_argument("--again", action="store_true", help="also what is kept for this code and machine")
    parser.add_argument("--json", type=Path, default=KEPT)
    parser.add_argument("--tiny", action="store_true", help="as short as can be; for trying")
    parser.add_argument("--model", help="folder of a T5 in float32, as `spanish-tok export` writes it")
    parser.add_argument("--before", help="the commit that counting and cleaning are held against")
    parser.add_argument("--collection", help="what make_collection.py made")
    parser.add_argument("--first-version", help="folder of version 1 of the vocabulary")
    arguments = parser.parse_args()
    if not arguments.tiny:
        for name, fault in peers.make(peers.FOLDER).items():
            print(f"no environment for {name}: {fault}", flush=True)
    kept = read(arguments.json)
    faults = {}
    for name in arguments.only:
        if not arguments.again and is_done(kept["benchmarks"].get(name)):
            print(f"{name}: kept, of this code and machine", flush=True)
            continue
        began = time.monotonic()
        fault = run(name, arguments, kept)
        if fault:
            faults[name] = fault
        print(f"{name}: {fault or f'done in {time.monotonic() - began:.0f} s'}", flush=True)
    for aim, figure, is_held in held(kept["benchmarks"]):
        print(f"{'held  ' if is_held else 'missed'} {aim}: {figure}")
    sys.exit(1 if any("failed" in fault for fault in faults.values()) else 0)


def read(path: Path) -> dict[str, Any]:
    """Return the figures kept so far."""
    return dict(json.loads(path.read_text())) if path.exists() else {"format": FORMAT, "benchmarks": {}}


def is_done(entry: dict[str, Any] | None) -> bool:
    """Whether figures are those of this code on this machine."""
    return entry is not None and entry["code"] == code() and entry["machine"] == describe().split(",")[0]


def run(name: str, arguments: argparse.Namespace, kept: dict[str, Any]) -> str:
    """Run one benchmark and keep its figures; return what went wrong, or nothing."""
    given = {
        "CORPUS": [str(path) for path in arguments.corpus],
        "MODEL": arguments.model, "BEFORE": arguments.before,
        "COLLECTION": arguments.collection, "FIRST-VERSION": arguments.first_version,
    }  # fmt: skip
    words = []
    for word in JOBS[name].split():
        if word in given and not given[word]:
            return f"left out, as it needs --{word.lower()}"
        value = given.get(word, word)
        words += value if isinstance(value, list) else [value]
    if arguments.tiny:
        words += TINY.get(name, "").split()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "figures.json"
        script = [sys.executable, str(Path(__file__).with_name(words[0])), *words[1:], "--json", str(made)]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(TOP), os.environ.get("PYTHONPATH", "")]),
        }
        print(f"\n$ {shlex.join(['python', f'benchmarks/{JOBS[name]}'])}".replace("'", ""), flush=True)
        done = subprocess.run(script, check=False, env=environment, cwd=TOP)
        if done.returncode or not made.exists():
            return f"failed, status {done.returncode}"
        entry = json.loads(made.read_text())
    entry["command"] = f"python benchmarks/{JOBS[name]}"
    entry["load before"] = round(load, 1)
    kept["benchmarks"] = (
        {key: kept["benchmarks"].get(key) for key in JOBS} | kept["benchmarks"] | {name: entry}
    )
    kept["benchmarks"] = {key: value for key, value in kept["benchmarks"].items() if value}
    write_json(arguments.json, kept)
    return ""


if __name__ == "__main__":
    main()
