"""Make a synthetic collection in mMARCO's exact form.

`pid`, tab, passage, no header, 8,841,823 rows, 3.6 GB.

    python benchmarks/make_collection.py RECORDS.parquet... --output collection.tsv [--rows 8841823] [--seed 0]

A passage is two random records of real Spanish text, joined; into FAULTS the stated share of rows is turned.
Beside the collection, `collection.faults.parquet` (id, fault, original) says which rows, and what each was
before. The same records and seed give the same bytes.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from spanish_tok.files import atomic_path
from spanish_tok.progress import TerminalProgress
from spanish_tok.readers.records import read_records

ROWS = 8_841_823
LONGEST_PART = 640  # characters of a record: pairs of those up to here come near mMARCO's mean passage
CHUNK = 50_000  # rows made at once
ENGLISH = [
    "The average cost of a new roof depends on the size of the house and on the material that you choose.",
    "A blood test is one of the first things that a doctor will order for you when the pain does not go away.",
    "It was founded in the early years of the century and is still one of the largest in the country.",
    "You can find the number on the back of the card or on the last page of the letter that we sent to you.",
    "There are many ways to cook this fish, but most people would agree that it tastes best from the grill.",
    "When the water begins to boil, turn down the heat and let it stand for about ten minutes with the lid on.",
    "This is the reason why the price of gold has been rising for so long, and why it may fall at any time.",
    "They have been used in this way for hundreds of years, and they are known to be safe for most children.",
    "What is the difference between the two of them, and which one should be used with an older machine?",
    "If you want to know how long it takes to get there by train, ask for the timetable at the station.",
    "He was born in a small town in the north, where his father had been a teacher at the local school.",
    "Some of the most common signs are a dry cough, a high fever, and a feeling of weakness in the legs.",
]
INVISIBLE = "\x00\x07\x1b\x7f\u200b\ufeff"
ACCENTED = " El año próximo también será así."  # for a passage that has nothing to be decoded wrongly
WORDS = ["precio", "de", "los", "casa", "agua", "clima", "ciudad", "año", "la", "números", "sí", "mañana"]

Maker = Callable[[str, np.random.Generator], str]


def _mojibake(text: str, random: np.random.Generator) -> str:
    """Read UTF-8 as Windows-1252 or as Latin-1, all or the first half.

    Five bytes become Latin-1, as in browsers.
    """
    words = text.split(" ")
    half = len(words) // 2 if random.random() < 0.3 else len(words)
    wrong, rest = " ".join(words[:half]), words[half:]
    if wrong.isascii():
        wrong, rest = text, []
    if random.random() < 0.2:
        return " ".join([wrong.encode().decode("latin-1"), *rest])
    characters = [
        bytes([byte]).decode("cp1252") if byte not in b"\x81\x8d\x8f\x90\x9d" else chr(byte)
        for byte in wrong.encode()
    ]
    return " ".join(["".join(characters), *rest])


def _entities(text: str, random: np.random.Generator) -> str:
    names = {
        "á": "&aacute;",
        "é": "&#233;",
        "í": "&iacute;",
        "ó": "&#xF3;",
        "ñ": "&ntilde;",
        "ú": "&amp;uacute;",
    }
    return "".join(names.get(char, char) for char in text) + str(
        random.choice(["&nbsp;", " &amp;", "&quot;"])
    )


def _tags(text: str, random: np.random.Generator) -> str:
    words = text.split(" ")
    place = int(random.integers(len(words)))
    opening, closing = random.choice(
        [
            ["<b>", "</b>"],
            ["<p>", "</p>"],
            ['<a href="/x?a=1">', "</a>"],
            ["<br/>", ""],
            ["<SPAN class=y>", "</SPAN>"],
        ]
    )
    words[place] = f"{opening}{words[place]}{closing}"
    return " ".join(words)


def _subtitle(text: str, random: np.random.Generator) -> str:
    return str(random.choice([r"{\an8}", r"{\i1}", r"{\pos(192,240)}", r"{\c&HFFFFFF&\b1}"])) + text


def _control(text: str, random: np.random.Generator) -> str:
    place = int(random.integers(len(text) + 1))
    return text[:place] + INVISIBLE[random.integers(len(INVISIBLE))] + text[place:]


def _letters(_text: str, random: np.random.Generator) -> str:
    return " | ".join(f"{number / 100:.2f} %" for number in random.integers(1, 99999, 40))


def _english(_text: str, random: np.random.Generator) -> str:
    return " ".join(random.choice(ENGLISH, 4, replace=False)) + f" {random.integers(10**9)}"


FAULTS: dict[str, tuple[float, Maker]] = {  # rule that should find it -> share of rows, how it is made
    "mojibake": (0.005, _mojibake),
    "entities": (0.002, _entities),
    "tags": (0.002, _tags),
    "subtitles": (0.001, _subtitle),
    "control": (0.001, _control),
    "empty": (0.0005, lambda _, random: " " * int(random.integers(3))),
    "signs": (0.001, lambda _, random: str(random.choice([".", "?", "-", "$ "])) * int(random.integers(1, 60))),
    "repeated": (0.001, lambda _, random: " ".join([str(random.choice(WORDS))] * 50)),
    "short": (0.001, lambda _, random: " ".join(random.choice(WORDS, int(random.integers(1, 3)), replace=False))),
    "long": (0.0002, lambda text, _: " ".join(f"{text} {number}" for number in range(10_000 // len(text) + 1))),
    "letters": (0.001, _letters),
    "spanish": (0.002, _english),
    "duplicate": (0.002, lambda text, _: text),  # the text of the row before: see `_spoil`
    "near_duplicate": (0.002, lambda text, _: text.upper().replace(" ", "  ") + " !"),
}  # fmt: skip
COPIES = {"duplicate", "near_duplicate"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("records", nargs="+")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    pool = pa.chunked_array(
        [batch.column("text") for batch in read_records(arguments.records)]
    ).combine_chunks()
    pool = pool.filter(pc.less_equal(pc.utf8_length(pool), LONGEST_PART))
    random = np.random.Generator(np.random.PCG64(arguments.seed))
    faults: list[tuple[str, str, str]] = []
    with (
        atomic_path(arguments.output) as partial,
        open(partial, "wb", buffering=0) as file,
        TerminalProgress().phase("making", total=arguments.rows) as bar,
    ):
        for first in range(0, arguments.rows, CHUNK):
            rows = min(CHUNK, arguments.rows - first)
            file.write(_chunk(pool, first, rows, random, faults))
            bar.advance(rows)
    columns = [pa.array(column, pa.string()) for column in zip(*faults, strict=True)]
    pq.write_table(
        pa.table(columns, names=["id", "fault", "original"]), arguments.output.with_suffix(".faults.parquet")
    )
    print(f"{arguments.rows:,} rows, {arguments.output.stat().st_size:,} bytes, {len(faults):,} faults")


def _chunk(
    pool: pa.Array, first: int, rows: int, random: np.random.Generator, faults: list[tuple[str, str, str]]
) -> bytes:
    """Return some rows of the collection as bytes; faults go to `faults`."""
    left, right = (pool.take(pa.array(random.integers(len(pool), size=rows))) for _ in range(2))
    ids = pa.array(np.arange(first, first + rows)).cast(pa.string())
    passages = pc.binary_join_element_wise(left, right, " ")
    passages = _spoil(ids.to_pylist(), passages, random, faults)
    lines = pc.binary_join_element_wise(pc.binary_join_element_wise(ids, passages, "\t"), "", "\n")
    return bytes(lines.buffers()[2])[: lines.buffers()[2].size]


def _spoil(
    ids: list[str], passages: pa.Array, random: np.random.Generator, faults: list[tuple[str, str, str]]
) -> pa.Array:
    """Spoil some passages, never in two rows side by side."""
    texts = passages.to_pylist()
    chosen = random.random(len(texts))
    bounds = np.cumsum([share for share, _ in FAULTS.values()])
    spoiled = chosen < bounds[-1]
    spoiled[1:] &= ~spoiled[:-1]
    spoiled[0] = False
    for row in np.flatnonzero(spoiled):
        fault = list(FAULTS)[int(np.searchsorted(bounds, chosen[row], side="right"))]
        original = texts[row - 1] if fault in COPIES else texts[row]
        if fault == "mojibake" and original.isascii():
            original += ACCENTED
        texts[row] = FAULTS[fault][1](original, random)
        faults.append((ids[row], fault, original))
    return pa.array(texts, pa.string())


if __name__ == "__main__":
    main()
