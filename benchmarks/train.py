"""Train 4,897 pieces with spanish-tok and with sentencepiece.

Time, memory and tokens, in sentencepiece's text mode.

    python benchmarks/train.py FILES.parquet [--threads 2] [--on all|rest] [--runs 1] [--megabytes 150] [--json FILE]

Every contender reads the same records, normalizes them by the same table, keeps every character, and runs in a
process of its own: once over all records, once without one in twenty, which is held out. Three contenders:

* spanish-tok: Parquet to vocabulary, counting included, compiled code on disk already
* sentencepiece: a text file to a model; its default rules, by which a piece may cross runs (`▁1.`)
* sentencepiece-runs: the same after mapping digits and other characters to letters of other scripts, which
  keeps its pieces within runs
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from peers import OURS, python_of
from record import TOP, Report, add_json_option

import spanish_tok as st
from spanish_tok.readers.records import read_records
from spanish_tok.text.alphabet import DIGITS, OTHERS
from spanish_tok.text.table import spanish_table

RUNS = [
    ("all", "spanish-tok"), ("all", "sentencepiece"),
    ("rest", "spanish-tok"), ("rest", "sentencepiece"), ("rest", "sentencepiece-runs"),
]  # fmt: skip
PIECES = 4897
HELD_OUT = 20
GREEK = "αβγδεζηθικ"
CYRILLIC = [chr(code) for code in range(0x430, 0x430 + len(OTHERS))]
SCRIPTS = str.maketrans(dict(zip(DIGITS + OTHERS, [*GREEK, *CYRILLIC], strict=True)))


def columns(files: list[str], part: str) -> Iterator[pa.Array]:
    """Yield the text column of every batch, with or without held-out records."""
    seen = 0
    for batch in read_records(files):
        rows = range(seen, seen + batch.num_rows)
        seen += batch.num_rows
        text = batch.column("text")
        yield (
            text
            if part == "all"
            else text.filter(pa.array([(row % HELD_OUT == 0) == (part == "held-out") for row in rows]))
        )


def train_ours(files: list[str], part: str, output: str, threads: int) -> None:
    from spanish_tok.vocab.counts.runs import count_runs

    st.train(
        count_runs(columns(files, part), threads=threads), size=PIECES + 103, engine=st.Local(threads)
    ).save(output)


def train_sentencepiece(text: str, runs: bool, output: str, threads: int) -> None:
    import sentencepiece

    rules = [
        (source, target.translate(SCRIPTS) if runs else target) for source, target in spanish_table().rules()
    ]
    if runs:
        rules += [(char, char.translate(SCRIPTS)) for char in DIGITS + OTHERS]
    characters = "".join(spanish_table().alphabet.split())
    sentencepiece.SentencePieceTrainer.train(
        input=text,
        model_prefix=output,
        vocab_size=PIECES + 3,
        normalizer=sentencepiece.SentencePieceNormalizer(norm_map=rules),
        character_coverage=1.0,
        required_chars=characters.translate(SCRIPTS) if runs else characters,
        max_sentence_length=1 << 24,
        num_threads=threads,
        bos_id=-1,
        minloglevel=2,
    )


def write_text(files: list[str], part: str, path: Path) -> None:
    """One record a line, as sentencepiece wants it."""
    with open(path, "w", encoding="utf-8") as out:
        for column in columns(files, part):
            out.writelines(" ".join(text.split()) + "\n" for text in column.to_pylist())


def measured(arguments: list[str]) -> dict[str, float]:
    """Run this file as a worker; seconds and peak megabytes of that process."""
    environment = {**os.environ, "PYTHONPATH": str(TOP)}
    done = subprocess.run(
        [python_of(OURS), __file__, *arguments], check=True, capture_output=True, text=True, env=environment
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def work(name: str, files: list[str], part: str, output: str, threads: int) -> None:
    start = time.perf_counter()
    if name == "spanish-tok":
        train_ours(files, part, output, threads)
    else:
        train_sentencepiece(files[0], name.endswith("runs"), output, threads)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(json.dumps({"seconds": time.perf_counter() - start, "megabytes": peak}))


def count_tokens(files: list[str], part: str, model: Path) -> int:
    import sentencepiece

    encoder = sentencepiece.SentencePieceProcessor(model_file=str(model))
    return sum(
        sum(map(len, encoder.encode(column.to_pylist(), num_threads=2))) for column in columns(files, part)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="+")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=1, help="of ours; sentencepiece trains once")
    parser.add_argument("--megabytes", type=float, help="of text, an even sample; default: all")
    parser.add_argument(
        "--on", choices=["all", "rest"], help="Train on all records or without the held-out; default: both."
    )
    parser.add_argument("--worker", nargs=3, metavar=("NAME", "PART", "OUTPUT"))
    add_json_option(parser)
    arguments = parser.parse_args()
    if arguments.worker:
        name, part, output = arguments.worker
        work(name, arguments.files, part, output, arguments.threads)
        return
    report = Report("spanish-tok", "sentencepiece", "numba", "numpy")
    with tempfile.TemporaryDirectory() as folder:
        runs = [run for run in RUNS if arguments.on in (None, run[0])]
        files = arguments.files
        if arguments.megabytes:
            files = [sample_of(files, arguments.megabytes, Path(folder) / "sample.parquet")]
        compare(runs, files, Path(folder), arguments, report)
    report.save(arguments.json)


def sample_of(files: list[str], megabytes: float, path: Path) -> str:
    """Write every so many-th record, so that they have about so many MB in all."""
    texts = pa.chunked_array([batch.column("text") for batch in read_records(files)])
    step = max(1, round(pc.sum(pc.binary_length(texts)).as_py() / 1e6 / megabytes))
    pq.write_table(pa.table({"text": texts.take(pa.array(range(0, len(texts), step)))}), path)
    return str(path)


def compare(
    runs: list[tuple[str, str]],
    files: list[str],
    folder: Path,
    arguments: argparse.Namespace,
    report: Report,
) -> None:
    measured(["--worker", "spanish-tok", "held-out", str(folder / "warm"), *files])  # compile once
    records = sum(len(column) for column in columns(files, "all"))
    size = sum(pc.sum(pc.binary_length(column)).as_py() or 0 for column in columns(files, "all")) / 1e6
    report.checked(f"{records:,} records, {size:.1f} MB of text.")
    print(
        f"{'trained on':<12}{'contender':<20}{'s':>7}{'MB':>7}{'tokens, all':>14}{'tokens, held out':>18}",
        flush=True,
    )
    for part, name in runs:
        text = folder / f"{part}.txt"
        if name != "spanish-tok" and not text.exists():
            write_text(files, part, text)
        output = folder / f"{name}-{part}"
        ours = name == "spanish-tok"
        worker = ["--worker", name, part, str(output), "--threads", str(arguments.threads)]
        times = arguments.runs if ours else 1
        results = [measured([*worker, *(files if ours else [str(text)])]) for _ in range(times)]
        model = output / "spiece.model" if ours else output.with_name(output.name + ".model")
        whole = count_tokens(files, "all", model)
        held_out = count_tokens(files, "held-out", model) if part == "rest" else 0
        seconds, peaks = ([one[key] for one in results] for key in ("seconds", "megabytes"))
        table = "on all records" if part == "all" else "on nineteen records in twenty"
        report.add(table, name, "time", seconds, "s")
        report.add(table, name, "peak memory", peaks, "MB")
        report.add(table, name, "tokens" if part == "all" else "tokens, held out", [held_out or whole], "")
        if name == "sentencepiece":
            keep_ratios(report, table)
        print(
            f"{part:<12}{name:<20}{statistics.median(seconds):>7.1f}{statistics.median(peaks):>7.0f}"
            f"{whole:>14,}{held_out:>18,}",
            flush=True,
        )


def keep_ratios(report: Report, table: str) -> None:
    """Keep how many times ours sentencepiece takes."""
    ours, theirs = (report.entry["figures"][table][name] for name in ("spanish-tok", "sentencepiece"))
    for column in ours:
        ratio = theirs[column]["median"] / ours[column]["median"]
        report.add(table, "sentencepiece : spanish-tok", column, [ratio], "x")


if __name__ == "__main__":
    main()
