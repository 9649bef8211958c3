"""Print the tables of `vocabularies.py`, from whatever figures are there.

    python benchmarks/vocabularies_summary.py [FOLDER] [--megabytes 16]

The folder holds tokens.json and a file for each vocabulary and seed. Differences from version 2 are taken in pairs of
seeds, with the 95 % interval of Student's t; a seed that one of the two lacks is left out.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from spanish_tok.files import read_json

MEGABYTES = 16
RESULTS = Path(__file__).parent / "results" / "vocabularies"
TOKENS = "tokens.json"
FIRST, SECOND, UNIGRAM = "version 1", "version 2", "sentencepiece Unigram"
NAMES = (FIRST, SECOND, UNIGRAM, "sentencepiece BPE", "byte pairs of tokenizers")
STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}  # 0.975 quantile of t for so many seeds
Runs = Mapping[str, Mapping[int, Mapping[str, Any]]]  # vocabulary -> seed -> figures


def file_of(name: str, megabytes: float, seed: int | str) -> str:
    """Return the name of the file that holds the figures of a run.

    >>> file_of("version 2", 16, 0)
    'version-2-16MB-seed0.json'
    """
    return f"{name.replace(' ', '-')}-{megabytes:g}MB-seed{seed}.json"


def runs_in(folder: Path, megabytes: float) -> Runs:
    """Return the figures of each run over so much text that is there."""
    found = {
        name: [read_json(file) for file in sorted(folder.glob(file_of(name, megabytes, "*")))]
        for name in NAMES
    }
    return {name: {run["seed"]: run for run in its} for name, its in found.items()}


def tokens_table(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """Return Markdown: tokens of each text, and what version 2 needs of the others'."""
    lines = [
        f"| text | records | {' | '.join(NAMES)} | version 2 : 1 | version 2 : sentencepiece Unigram |",
        "|---|" + "--:|" * (len(NAMES) + 3),
    ]
    for text, its in figures.items():
        numbers = [f"{number:,}" for number in (its["records"], *(its["tokens"][name] for name in NAMES))]
        ratios = [_interval(*its["version 2 over"][name]) for name in (FIRST, UNIGRAM)]
        lines.append(f"| {' | '.join([text, *numbers, *ratios])} |")
    unknown = sum(its["unknown"] for its in figures.values())
    return "\n".join([*lines, "", f"`<unk>` in all: {unknown}; ± is the 95 % interval over records"])


def _interval(value: float, low: float, high: float) -> str:
    return f"{value:.3f} ± {(high - low) / 2:.3f}"


def difference(ours: Mapping[int, float], theirs: Mapping[int, float]) -> str:
    """Return the mean of differences in pairs of seeds, with its interval from two pairs on.

    >>> difference({0: 2.0, 1: 2.1, 2: 2.2}, {0: 2.1, 1: 2.2, 2: 2.4, 3: 9.0})
    '-0.133 ± 0.143'
    >>> difference({0: 2.0}, {0: 2.5}), difference({}, {0: 1.0})
    ('-0.500', '')
    """
    pairs = [ours[seed] - theirs[seed] for seed in sorted(ours.keys() & theirs.keys())]
    if not pairs:
        return ""
    if len(pairs) not in STUDENT:
        return f"{mean(pairs):+.3f}"
    return f"{mean(pairs):+.3f} ± {STUDENT[len(pairs)] * stdev(pairs) / len(pairs) ** 0.5:.3f}"


def bits_table(runs: Runs) -> str:
    """Return Markdown: mean bits per byte, and in brackets the difference from version 2."""
    texts = list(next(iter(next(its for its in runs.values() if its).values()))["bits per byte"])
    lines = [
        f"| vocabulary | seeds | {' | '.join(texts)} | steps | processor seconds |",
        "|---|" + "--:|" * (len(texts) + 3),
    ]
    for name, its in runs.items():
        if its:
            cells = [_cell(runs, name, text) for text in texts]
            steps = f"{mean(run['steps'] for run in its.values()):,.0f}"
            seconds = f"{mean(run['cpu seconds'] for run in its.values()):,.0f}"
            seeds = ", ".join(map(str, sorted(its)))
            lines.append(f"| {' | '.join([name, seeds, *cells, steps, seconds])} |")
    return "\n".join(lines)


def _cell(runs: Runs, name: str, text: str) -> str:
    values, reference = (
        {seed: run["bits per byte"][text] for seed, run in runs[which].items()} for which in (name, SECOND)
    )
    apart = "" if name == SECOND else difference(values, reference)
    return f"{mean(values.values()):.3f}" + (f" ({apart})" if apart else "")


def missing(runs: Runs, seeds: Sequence[int] = (0, 1, 2)) -> list[str]:
    """Return which runs are not there yet."""
    return [f"{name}, seed {seed}" for seed in seeds for name in NAMES if seed not in runs[name]]


def summary(folder: Path, megabytes: float = MEGABYTES) -> str:
    """Return all tables that the figures of a folder allow."""
    parts = []
    if (folder / TOKENS).exists():
        parts.append(tokens_table(read_json(folder / TOKENS)))
    runs = runs_in(folder, megabytes)
    if any(runs.values()):
        parts.append(bits_table(runs))
    if left := missing(runs):
        parts.append(f"Not trained yet: {'; '.join(left)}")
    return "\n\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?", default=RESULTS)
    parser.add_argument(
        "--megabytes", type=float, default=MEGABYTES, help="of text that each T5 was trained on"
    )
    arguments = parser.parse_args()
    print(summary(arguments.folder, arguments.megabytes))


if __name__ == "__main__":
    main()
