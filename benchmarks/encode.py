"""Encode a real corpus on one core: ids and MB of text a second.

Beside sentencepiece, tokenizers, kitoken and tokie.

    python benchmarks/encode.py FILES.parquet [--variants plain unseen upper decomposed] [--runs 3] [--only NAME ...]
        [--beside VOCABULARY]

Every contender runs in new processes pinned to one core, with the released vocabulary, on the same records in
memory: Arrow for ours, Python strings, made before, for the others. Seconds are those that the processor worked
(on a busy machine the clock on the wall measures the neighbours), the median of the runs; what took more than
20 s runs once. "cold" is the first pass of a process (compiled code on disk, no word known yet, memory for the
ids included), "warm" the second. Ids are compared with sentencepiece's record by record. The variants, so that
a table of known words alone cannot win: one word in five replaced by 7 to 11 random letters; all in upper case;
all decomposed (NFD). `--beside` measures another of our vocabularies in the same run.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from machine import describe
from numpy.typing import NDArray

from spanish_tok.files import shipped
from spanish_tok.readers.records import read_records

FOLDER = shipped("vocab/es-5000")
CONTENDERS = ("spanish-tok", "sentencepiece", "sentencepiece numpy", "tokenizers", "kitoken", "tokie")
VARIANTS = ("plain", "unseen", "upper", "decomposed")
LONG = 20.0  # seconds; what takes longer runs once
Encode = Callable[[], Any]
Flat = tuple[NDArray[np.uint16], NDArray[np.int64]]  # ids of all records, ids in each record


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


def contender(name: str, column: pa.Array) -> tuple[Encode, Callable[[Any], Flat]]:
    """Return what encodes the column, and what makes its result comparable.

    The text is handed over beforehand.
    """
    if name == "spanish-tok" or name not in CONTENDERS:
        from spanish_tok import Tokenizer

        folder = FOLDER if name in CONTENDERS else Path(name)
        Tokenizer.load(folder).encode_column(column.slice(0, 1), threads=1)  # loads compiled code
        ours = Tokenizer.load(folder)
        return lambda: ours.encode_column(column, threads=1), lambda lists: (
            lists.flatten().to_numpy(),
            lists.value_lengths().to_numpy().astype(np.int64),
        )
    texts = column.to_pylist()
    if name.startswith("sentencepiece"):
        import sentencepiece

        engine = sentencepiece.SentencePieceProcessor(model_file=str(FOLDER / "spiece.model"))
        kind: Any = "numpy" if name.endswith("numpy") else int
        return lambda: engine.encode(texts, return_type=kind, num_threads=1), flat
    if name == "tokenizers":
        import tokenizers

        fast = tokenizers.Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
        return lambda: fast.encode_batch_fast(texts, add_special_tokens=False), lambda found: flat(
            [one.ids for one in found]
        )
    if name == "kitoken":
        import kitoken

        kit = kitoken.Kitoken.from_sentencepiece_file(str(FOLDER / "spiece.model"))
        return lambda: kit.encode_all(texts), flat
    import tokie

    flattening: Any = tokie.Tokenizer.from_json(str(FOLDER / "tokenizer.json"))
    return lambda: flattening.encode_batch_flat(texts, add_special_tokens=False), lambda found: (
        found[0].astype(np.uint16),
        found[1].astype(np.int64),
    )


def flat(lists: list[Any]) -> Flat:
    lengths = np.fromiter(map(len, lists), np.int64, len(lists))
    ids = np.empty(lengths.sum(), np.uint16)
    end = 0
    for one in lists:
        ids[end : end + len(one)] = one
        end += len(one)
    return ids, lengths


def work(name: str, text: Path, output: Path) -> None:
    """Encode twice in a process of its own; print the seconds, keep the ids."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with pa.memory_map(str(text)) as source:
        column = pa.concat_arrays(pa.ipc.open_file(source).read_all()["text"].chunks)
    encode, flatten = contender(name, column)
    seconds = []
    for _ in range(2):
        found = None  # the memory of the first pass is free for the second
        start = time.process_time()
        found = encode()
        seconds.append(time.process_time() - start)
    ids, lengths = flatten(found)
    np.savez(output, ids=ids, lengths=lengths)
    print(json.dumps({"seconds": seconds}))


def measured(name: str, text: Path, output: Path) -> list[float]:
    """[cold, warm] seconds of one process."""
    environment = {**os.environ, "RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    command = [sys.executable, __file__, "--worker", name, str(text), str(output)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return list(json.loads(done.stdout.splitlines()[-1])["seconds"])


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


def compare(variant: str, texts: list[str], names: list[str], runs: int, folder: Path) -> None:
    table = pa.table({"text": pa.array(varied(texts, variant), pa.large_string())})
    path = folder / f"{variant}.arrow"
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    column = table["text"].chunk(0)
    megabytes = pc.sum(pc.binary_length(column)).as_py() / 1e6
    print(f"\n{variant}: {len(column):,} records, {megabytes:.1f} MB, {hit_rates(column)}", flush=True)
    results: dict[str, list[list[float]]] = {name: [] for name in names}
    for run in range(runs):  # in turns, so that a busy minute hits all of them
        for name in names:
            if run == 0 or results[name][0][0] < LONG:
                results[name].append(measured(name, path, folder / f"{slug(name)}.npz"))
    show(results, megabytes, len(column), folder)


def show(results: dict[str, list[list[float]]], megabytes: float, records: int, folder: Path) -> None:
    cold, warm = (
        {name: statistics.median(run[place] for run in runs) for name, runs in results.items()}
        for place in (0, 1)
    )
    print(
        f"{'':<22}{'cold MB/s':>10}{'warm MB/s':>10}{'cold M ids/s':>14}{'ours, cold':>12}{'equal records':>16}"
    )
    for name in results:
        ids = len(np.load(folder / f"{slug(name)}.npz")["ids"]) / 1e6
        equal = "-"  # of another vocabulary
        if name in CONTENDERS:
            same = equal_records(folder / f"{slug(name)}.npz", folder / "sentencepiece.npz")
            equal = f"{same / records:.4%}"
        ratio = cold[name] / cold[CONTENDERS[0]]
        print(
            f"{name:<22}{megabytes / cold[name]:>10.1f}{megabytes / warm[name]:>10.1f}"
            f"{ids / cold[name]:>14.2f}{ratio:>10.2f} x{equal:>16}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="*")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=VARIANTS)
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=CONTENDERS)
    parser.add_argument("--beside", nargs="+", default=[], metavar="VOCABULARY", help="folders of ours")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--worker", nargs=3, metavar=("NAME", "TEXT", "OUTPUT"))
    arguments = parser.parse_args()
    if arguments.worker:
        name, text, output = arguments.worker
        work(name, Path(text), Path(output))
        return
    print(
        describe(
            "spanish-tok", "sentencepiece", "tokenizers", "kitoken", "tokie", "numba", "numpy", "pyarrow"
        )
    )
    names = [name for name in CONTENDERS if name in {*arguments.only, *CONTENDERS[:2]}] + arguments.beside
    texts = [text for batch in read_records(arguments.files) for text in batch["text"].to_pylist()]
    with tempfile.TemporaryDirectory() as folder:
        for variant in arguments.variants:
            compare(variant, texts, names, arguments.runs, Path(folder))


if __name__ == "__main__":
    main()
