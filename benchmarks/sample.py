"""Draw a sample of a large collection, beside `shuf`.

Time, peak memory, and what each rule of cleaning does.

    python benchmarks/make_collection.py RECORDS.parquet... --output collection.tsv
    python benchmarks/sample.py collection.tsv [--size 2000000] [--runs 3] [--folder FOLDER] [--only speed|rules]
        [--json FILE]

Each run draws with `shuf -n`, with `sample --no-clean` and with `sample`, one after the other, in processes of
their own; ratios are those of medians. Then every rule is held against collection.faults.parquet: of the
records that were made for it, how many it found, and of those that were left alone, how many it touched.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from record import Report, add_json_option

from spanish_tok.corpus.cleaning import (
    REPAIRS,
    RULES,
    Cleaned,
    CleanOptions,
    Duplicates,
    clean_batch,
    reason_of,
)
from spanish_tok.readers.records import read_records

SPANISH_TOK = [sys.executable, "-m", "spanish_tok"]


def measured(command: list[str], output: Path | None = None) -> tuple[float, float, float]:
    """Seconds, seconds of processor, and peak memory in MB of a command."""
    start = time.perf_counter()
    with open(output or os.devnull, "wb") as file:
        process = subprocess.Popen(command, stdout=file)
        _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, command
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def compare_speed(collection: Path, size: int, runs: int, folder: Path, report: Report) -> None:
    rows: dict[str, list[tuple[float, float, float]]] = {}
    subprocess.run(["cat", str(collection)], stdout=subprocess.DEVNULL, check=True)  # all read from memory
    for run in range(runs):
        for name, options in {"shuf -n": None, "sample --no-clean": ["--no-clean"], "sample": []}.items():
            output = folder / f"benchmark-{run}"
            if options is None:
                result = measured(["shuf", "-n", str(size), str(collection)], output)
                output.unlink()
            else:
                command = [
                    *SPANISH_TOK,
                    "sample",
                    str(collection),
                    "--size",
                    str(size),
                    "--output",
                    str(output),
                ]
                result = measured([*command, *options])
                assert sum(pq.read_metadata(shard).num_rows for shard in output.glob("*.parquet")) == size
                shutil.rmtree(output)
            rows.setdefault(name, []).append(result)
            print(f"run {run + 1}: {name:<20}{result[0]:>8.1f} s", flush=True)
    base = statistics.median(seconds for seconds, _, _ in rows["shuf -n"])
    print(f"{'':<20}{'median s':>10}{'x shuf':>8}{'processor s':>13}{'peak MB':>9}")
    for name, results in rows.items():
        columns = ("seconds", "seconds of processor", "peak memory")
        for column, unit, values in zip(columns, ("s", "s", "MB"), zip(*results, strict=True), strict=True):
            report.add("drawing the sample", name, column, values, unit)
        seconds, processor, peak = (statistics.median(column) for column in zip(*results, strict=True))
        print(f"{name:<20}{seconds:>10.1f}{seconds / base:>8.2f}{processor:>13.1f}{peak:>9.0f}")


def judge_rules(collection: Path, report: Report) -> None:
    """Hold each rule against the faults that were made for it."""
    faults = pq.read_table(collection.with_suffix(".faults.parquet"))
    made, found, touched = Counter[str](), Counter[str](), Counter[str]()
    clean = equal = 0
    duplicates = Duplicates(CleanOptions())
    for batch in read_records([collection]):
        cleaned = clean_batch(batch)
        duplicates.mark(cleaned)
        places = pc.index_in(batch.column("id"), faults["id"].combine_chunks()).to_numpy(zero_copy_only=False)
        spoiled = ~np.isnan(places)
        clean += int((~spoiled).sum())
        touched.update(_touched(cleaned, ~spoiled))
        for row in np.flatnonzero(spoiled):
            fault, original = (faults[name][int(places[row])].as_py() for name in ("fault", "original"))
            made[fault] += 1
            found[fault] += fault in _rules_of(cleaned, int(row))
            equal += fault == "mojibake" and cleaned.batch.column("text")[int(row)].as_py() == original
    print(
        f"{'rule':<16}{'made':>9}{'found':>9}{'%':>9}{'touched of ' + format(clean, ',') + ' clean':>30}{'%':>9}"
    )
    for rule in RULES:
        share = 100 * found[rule] / max(made[rule], 1)
        of_clean = 100 * touched[rule] / clean
        for column, value, unit in (
            ("made", made[rule], ""), ("found", found[rule], ""), ("found, %", share, "%"),
            ("touched of the clean", touched[rule], ""), ("touched, %", of_clean, "%"),
        ):  # fmt: skip
            report.add("what each rule finds", rule, column, [value], unit)
        print(f"{rule:<16}{made[rule]:>9,}{found[rule]:>9,}{share:>9.2f}{touched[rule]:>30,}{of_clean:>9.4f}")
    report.checked(f"repaired mojibake that equals the original: {equal:,} of {made['mojibake']:,}")


def _touched(cleaned: Cleaned, among: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Counter[str]:
    touched = Counter({rule: int((cleaned.repairs[among] >> k & 1).sum()) for k, rule in enumerate(REPAIRS)})
    reasons, counts = np.unique(cleaned.reasons[among], return_counts=True)
    touched.update({reason_of(code) or "": int(count) for code, count in zip(reasons, counts, strict=True)})
    return touched


def _rules_of(cleaned: Cleaned, row: int) -> set[str | None]:
    repairs = {rule for k, rule in enumerate(REPAIRS) if cleaned.repairs[row] >> k & 1}
    return repairs | {reason_of(int(cleaned.reasons[row]))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("collection", type=Path)
    parser.add_argument("--size", type=int, default=2_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to write; default: beside the collection")
    parser.add_argument("--only", choices=["speed", "rules"])
    add_json_option(parser)
    arguments = parser.parse_args()
    report = Report("spanish-tok", "numba", "numpy", "pyarrow", "ftfy")
    print(f"{arguments.collection.stat().st_size:,} bytes, {arguments.size:,} records wanted")
    clean_batch(pa.record_batch({"text": ["compiled code from disk"]}))
    if arguments.only != "rules":
        folder = arguments.folder or arguments.collection.parent
        compare_speed(arguments.collection, arguments.size, arguments.runs, folder, report)
    if arguments.only != "speed":
        judge_rules(arguments.collection, report)
    report.save(arguments.json)


if __name__ == "__main__":
    main()
