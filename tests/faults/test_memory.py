"""Rows B2 and E5: memory is bounded by bytes, whatever the rows. `benchmarks/memory.py` has the whole table."""

import json
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

from spanish_tok.files import shipped

TOTAL = 60_000_000
SENTENCES = shipped("corpus/bench-es.txt").read_text(encoding="utf-8").replace("\n", " ")
CALLS = {
    "count": "count IN --output OUT.parquet --threads 2",
    "sample": "sample IN --size N --at-most --rule long=0 --output OUT --threads 2",
    "clean": "clean IN --rule long=0 --output OUT --threads 2",
    "shard": "shard IN --output OUT --threads 2",
    "normalize": "normalize IN",
    "encode": "encode IN",
}

PROGRAM = """
import sys
from spanish_tok.__main__ import run
from tests.memory import peak
try:
    run()
finally:
    print(peak(), file=sys.stderr)
"""


def peak_of(verb: str, read: Path, output: Path, length: int = 150) -> float:
    """Return the peak memory of a call in a process of its own, in MB; a sample has half of the rows."""
    words = {"IN": str(read), "N": str(TOTAL // length // 2)}
    call = [words.get(word, word.replace("OUT", str(output))) for word in CALLS[verb].split()]
    command = [sys.executable, "-c", PROGRAM, *call]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True)
    return int(done.stderr.split()[-1]) / 1024


def rows_file(folder: Path, form: str, length: int) -> Path:
    """Write the same words, of which some are new every 150 bytes, in rows of `length` bytes."""
    path = folder / f"{length}.{form}"
    with open(path, "w", encoding="utf-8") as file:
        for first in range(0, TOTAL // 150, length // 150):
            row = " ".join(map(sentence, range(first, first + length // 150)))
            file.write(json.dumps({"text": row}, ensure_ascii=False) if form == "jsonl" else row)
            file.write("\n")
    return path


def sentence(number: int) -> str:
    begin = number * 150 % (len(SENTENCES) - 200)
    return f"{number} {SENTENCES[begin : begin + 140]}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("verb", "form"),
    [
        *product(["count", "sample", "clean", "shard"], ["txt", "jsonl"]),
        ("normalize", "txt"),
        ("encode", "txt"),
    ],
)
def test_B2_E5_long_rows_take_the_memory_of_short_ones(verb: str, form: str, tmp_path: Path) -> None:
    peak_of(verb, rows_file(tmp_path, "txt", 1_000_000), tmp_path / "first")  # compiles
    long, short = (
        peak_of(verb, rows_file(tmp_path, form, length), tmp_path / f"out-{length}", length)
        for length in (300_000, 150)
    )
    assert max(long, short) < 1000
    assert max(long, short) / min(long, short) < 1.2


@pytest.mark.slow
@pytest.mark.parametrize("text", ["words", "word", "characters that become several"])
@pytest.mark.parametrize("verb", list(CALLS))
def test_B2_E5_one_row_is_bounded(verb: str, text: str, tmp_path: Path) -> None:
    unit = {
        "words": "el perro come y la perra duerme ",
        "word": "ñandú",
        "characters that become several": "½ ",
    }
    count = TOTAL // len(unit[text].encode())
    (tmp_path / "x.txt").write_text(unit[text] * count + "\n", encoding="utf-8")
    (tmp_path / "first.txt").write_text("uno dos tres\n")
    if verb in ("sample", "clean") and text == "word":
        pytest.skip("cleaning rejects it, and nothing is left")
    peak_of(verb, tmp_path / "first.txt", tmp_path / "first")  # compiles
    most = (
        1500 if text == "characters that become several" else 1000
    )  # an id a byte: Parquet takes 12 bytes for each
    assert peak_of(verb, tmp_path / "x.txt", tmp_path / "out") < most
