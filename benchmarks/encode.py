"""Encode a real corpus on one core: ids and MB of text a second.

Beside sentencepiece, tokenizers 0.23 and 1.0, kitoken, tokie and splintr.

    python benchmarks/encode.py FILES.parquet [--megabytes 20] [--variants plain unseen upper decomposed] [--runs 3]
        [--only NAME ...] [--beside VOCABULARY] [--json FILE]

Every contender runs in new processes pinned to one core, with the released vocabulary, on the same records in
memory: Arrow for ours, Python strings, made before, for the others; a peer in an environment of its own where
peers.py has made one. Seconds are those that the processor worked (on a busy machine the clock on the wall measures
the neighbours), the median of the runs; what takes more than 4 s runs once. "cold" is the first pass of a process
(compiled code on disk, no word known yet, memory for the ids included), "warm" the second. Ids are compared with
sentencepiece's record by record. The variants, so that a table of known words alone cannot win: one word in five
replaced by 7 to 11 random letters; all in upper case; all decomposed (NFD). `--megabytes` takes an even sample.
`--beside` measures another of our vocabularies in the same run. A peer that cannot run is listed with the reason.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import tempfile
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from encode_worker import PEERS
from peers import FOLDER as ENVIRONMENTS
from peers import python_of
from record import Report, add_json_option

from spanish_tok.files import shipped
from spanish_tok.readers.records import read_records

FOLDER = shipped("vocab/es-5000")
OURS, JUDGE = "spanish-tok", "sentencepiece"
CONTENDERS = (OURS, *PEERS)
VARIANTS = ("plain", "unseen", "upper", "decomposed")
LONG = 4.0  # seconds; what takes longer runs once
Runs = dict[str, list[dict[str, Any]]]  # name -> what encode_worker.py printed, run by run


def even_sample(texts: list[str], megabytes: float | None) -> list[str]:
    """Return every so many-th text, so that they have about so many MB in all."""
    size = sum(len(text.encode()) for text in texts) / 1e6
    return texts if not megabytes else texts[:: max(1, round(size / megabytes))]


def varied(texts: list[str], variant: str) -> list[str]:
    if variant == "upper":
        return [text.upper() for text in texts]
    if variant == "decomposed":
        return [unicodedata.normalize("NFD", text) for text in texts]
    if variant == "plain":
        return texts
    draw, seen, result = random.Random(4), 0, []
    letters = "".join(char for text in texts[:2000] for char in text.lower() if char.isalpha())
    for text in texts:
        words = text.split(" ")
        for place in range(-seen % 5, len(words), 5):
            words[place] = "".join(draw.choices(letters, k=draw.randint(7, 11)))
        seen += len(words)
        result.append(" ".join(words))
    return result


def measured(name: str, text: Path, output: Path, environments: Path) -> dict[str, Any]:
    """Run one contender in a process of its own; raise CalledProcessError where it cannot."""
    environment = {**os.environ, "RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    worker = str(Path(__file__).with_name("encode_worker.py"))
    folder = FOLDER if name in CONTENDERS else name
    command = [python_of(name, environments), worker, name, str(folder), str(text), str(output)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def able(names: list[str], sample: list[str], folder: Path, environments: Path, report: Report) -> list[str]:
    """Return the contenders that encode a few records; note why the others do not."""
    text = written(sample, folder / "sample.npz")
    found = []
    for name in names:
        try:
            said = measured(name, text, folder / "sample-ids.npz", environments)["version"]
        except subprocess.CalledProcessError as error:
            report.leave_out(name, (error.stderr.strip().splitlines() or ["it ended without a word"])[-1])
            continue
        if said:
            report.entry["versions"][name.removesuffix(" numpy")] = said
            print(f"{name}: {said}", flush=True)
        found.append(name)
    return found


def written(texts: list[str], path: Path) -> Path:
    """Write the bytes of all texts, and where each begins."""
    encoded = [text.encode() for text in texts]
    data = np.frombuffer(b"".join(encoded), np.uint8)
    np.savez(path, data=data, offsets=np.cumsum([0, *map(len, encoded)], dtype=np.int64))
    return path


def slug(name: str) -> str:
    """Return a name as part of a file's name."""
    return name.replace("/", "-")


def equal_records(left: Path, right: Path) -> int:
    """How many records have the same ids in two files that `work` wrote."""
    (a, a_lengths), (b, b_lengths) = (
        (archive["ids"], archive["lengths"]) for archive in (np.load(left), np.load(right))
    )
    same = a_lengths == b_lengths
    rows = np.repeat(np.flatnonzero(same), a_lengths[same])
    other = a[np.repeat(same, a_lengths)] != b[np.repeat(same, b_lengths)]
    return int(same.sum() - len(np.unique(rows[other])))


def hit_rates(column: pa.Array) -> str:
    """Count the chunks between spaces, and those that the cache knew.

    Cold and warm.
    """
    from spanish_tok import Vocabulary
    from spanish_tok.kernels.text.encode import encode_records
    from spanish_tok.text.arrow import bytes_and_offsets
    from spanish_tok.tokenization.column_encoder import new_table
    from spanish_tok.tokenization.compiler import compile_vocabulary

    chunks = pc.sum(pc.add(pc.count_substring(column, " "), 1)).as_py()
    compiled, known = compile_vocabulary(Vocabulary.load()), new_table()
    assert compiled
    missed = [encode_records(*bytes_and_offsets(column), *compiled, known, -1)[2] for _ in range(2)]
    distinct = len(pc.unique(pc.list_flatten(pc.split_pattern(column.slice(0, len(column) // 20), " "))))
    first = pc.sum(pc.add(pc.count_substring(column.slice(0, len(column) // 20), " "), 1)).as_py()
    rates = " cold, ".join(f"{1 - number / chunks:.2%}" for number in missed)
    return f"{chunks:,} chunks, known {rates} warm; distinct in the first 5 %: {distinct / first:.1%}"


def compare(
    variant: str,
    texts: list[str],
    names: list[str],
    arguments: argparse.Namespace,
    folder: Path,
    report: Report,
) -> None:
    path = written(varied(texts, variant), folder / f"{variant}.npz")
    column = pa.array(varied(texts, variant), pa.large_string())
    megabytes = pc.sum(pc.binary_length(column)).as_py() / 1e6
    print(f"\n{variant}: {len(column):,} records, {megabytes:.1f} MB, {hit_rates(column)}", flush=True)
    results: Runs = {name: [] for name in names}
    for run in range(arguments.runs):  # in turns, so that a busy minute hits all of them
        for name in names:
            if run == 0 or results[name][0]["seconds"][0] < LONG:
                output = folder / f"{slug(name)}.npz"
                results[name].append(measured(name, path, output, arguments.peers))
    show(variant, results, megabytes, len(column), folder, report)


def show(variant: str, results: Runs, megabytes: float, records: int, folder: Path, report: Report) -> None:
    """Print and keep MB of text a second, and how many times the best peer's ours is, run by run."""
    speeds = {
        place: {name: [megabytes / run["seconds"][k] for run in runs] for name, runs in results.items()}
        for k, place in enumerate(("cold", "warm"))
    }
    for place, found in speeds.items():
        for name, values in found.items():
            report.add(f"{place}, MB/s", name, variant, values, "MB/s")
        peers = [name for name in found if name in PEERS]
        best = max(peers, key=lambda name: statistics.median(found[name]))
        ratios = [a / b for a, b in zip(found[OURS], found[best], strict=False)]
        report.add(f"{place}, MB/s", "ours : the best peer", variant, ratios, "x")
    print(
        f"{'':<22}{'cold MB/s':>10}{'warm MB/s':>10}{'cold M ids/s':>14}{'ours, cold':>12}{'equal records':>16}"
    )
    cold, warm = (
        {name: statistics.median(values) for name, values in found.items()} for found in speeds.values()
    )
    for name in results:
        ids = len(np.load(folder / f"{slug(name)}.npz")["ids"]) / 1e6
        equal = "-"  # of another vocabulary
        if name in CONTENDERS:
            same = equal_records(folder / f"{slug(name)}.npz", folder / f"{JUDGE}.npz") / records
            report.add("ids equal to sentencepiece's, % of records", name, variant, [100 * same], "%")
            equal = f"{same:.4%}"
        print(
            f"{name:<22}{cold[name]:>10.1f}{warm[name]:>10.1f}{ids / megabytes * cold[name]:>14.2f}"
            f"{cold[OURS] / cold[name]:>10.2f} x{equal:>16}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="+")
    parser.add_argument("--megabytes", type=float, help="of an even sample; default: all")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=VARIANTS)
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=CONTENDERS)
    parser.add_argument("--beside", nargs="+", default=[], metavar="VOCABULARY", help="folders of ours")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--peers", type=Path, default=ENVIRONMENTS, help="environments that peers.py made")
    add_json_option(parser)
    arguments = parser.parse_args()
    report = Report(OURS, "numba", "numpy", "pyarrow")
    names = [name for name in CONTENDERS if name in {*arguments.only, OURS, JUDGE}] + arguments.beside
    texts = [text for batch in read_records(arguments.files) for text in batch["text"].to_pylist()]
    texts = even_sample(texts, arguments.megabytes)
    with tempfile.TemporaryDirectory() as folder:
        names = able(names, texts[:20], Path(folder), arguments.peers, report)
        for variant in arguments.variants:
            compare(variant, texts, names, arguments, Path(folder), report)
    report.save(arguments.json)


if __name__ == "__main__":
    main()
