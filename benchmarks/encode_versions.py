"""Encoding speed of two vocabularies of this package, in turns in one process: does another one cost speed?

    python benchmarks/encode_versions.py FIRST SECOND FILES.parquet [--records 30000] [--turns 5] [--json FILE]

FIRST and SECOND are vocabulary folders; so many records of each file are encoded by one thread. Every turn makes a new
encoder for each, which knows no word yet ("cold"), and passes twice ("warm"). MB of text per second of processor time,
and the ratio of the second to the first in pairs of turns.
"""

import argparse
import statistics
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from record import Report, add_json_option

from spanish_tok import Tokenizer


def speeds(folder: Path, text: pa.Array) -> list[float]:
    """Return MB per second of two passes of a new encoder."""
    tokenizer, passes = Tokenizer.load(folder), []
    tokenizer.encode_column(text.slice(0, 1), threads=1)  # loads compiled code
    for _ in range(2):
        begun = time.process_time()
        tokenizer.encode_column(text, threads=1)
        passes.append(text.nbytes / 1e6 / (time.process_time() - begun))
    return passes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--records", type=int, default=30_000)
    parser.add_argument("--turns", type=int, default=5)
    add_json_option(parser)
    arguments = parser.parse_args()
    report = Report("spanish-tok", "numba")
    parts = [pq.read_table(file, columns=["text"]).slice(0, arguments.records) for file in arguments.files]
    text = pa.concat_tables(parts)["text"].combine_chunks()
    folders = [arguments.first, arguments.second]
    found: list[list[list[float]]] = [[], []]
    for turn in range(arguments.turns):
        for which in (0, 1) if turn % 2 else (1, 0):
            found[which].append(speeds(folders[which], text))
    for place, name in enumerate(("cold", "warm")):
        first, second = ([each[place] for each in its] for its in found)
        ratios = [b / a for a, b in zip(first, second, strict=True)]
        for column, values in (("first", first), ("second", second)):
            report.add("MB of text per second of processor time", name, column, values, "MB/s")
        report.add("MB of text per second of processor time", name, "second : first", ratios, "x")
        print(
            f"{name}: {statistics.median(first):.1f} and {statistics.median(second):.1f} MB/s, "
            f"second : first {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        )
    report.save(arguments.json)


if __name__ == "__main__":
    main()
