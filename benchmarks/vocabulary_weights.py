"""Weights of the released counts: what others would give, on text that nothing was trained on.

    python benchmarks/vocabulary_weights.py ../shared [--weights 1,0,0 0.5,1,1 ...]

The folder and the text held out are those of `vocabularies.py`. Each line trains 5,000 ids from the counts of corpus,
corpus-modern and the list of words, times their weights, and prints the tokens of each text against the first line's,
± the 95 % interval over records.
"""

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
from machine import describe
from numpy.typing import NDArray
from vocabularies_trained import CORPORA, IDS, read

from spanish_tok import Counts, Tokenizer, merge, train
from spanish_tok.measure.figures.groups import ratio_of
from spanish_tok.measure.figures.quality import count_ids
from spanish_tok.tokenization.adapters import TokenizerAdapter
from spanish_tok.vocab.counts.runs import count_runs

WEIGHTS = ["1,0,0", "0.5,1,1", "1,1,1", "0.25,1,1", "0.5,1.5,1", "0.5,2,1", "0.5,1,0.5", "0.5,1,2"]


def tokens_with(
    weights: str, counts: list[Counts], held_out: dict[str, pa.ChunkedArray]
) -> dict[str, NDArray[np.float64]]:
    """Train with these weights; return the tokens of each record of each text."""
    pairs = [
        (one, float(weight))
        for one, weight in zip(counts, weights.split(","), strict=True)
        if float(weight) > 0
    ]
    vocabulary = train(merge([one for one, _ in pairs], [weight for _, weight in pairs]), size=IDS)
    adapter = TokenizerAdapter.of(Tokenizer(vocabulary), weights)
    return {text: count_ids(adapter, column)[2].astype(np.float64) for text, column in held_out.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", nargs="+", default=WEIGHTS, metavar="OLDER,MODERN,WORDS")
    parser.add_argument("--limit", type=int, default=0, help="records of each corpus that are read; 0: all")
    arguments = parser.parse_args()
    print(describe("spanish-tok"), flush=True)
    training, held_out = read(arguments.folder, arguments.limit)
    counts = [count_runs(training[name]) for name in CORPORA]
    counts.append(Counts.from_words(arguments.folder / "corpus-words" / "wordfreq-es.parquet"))
    print(f"| older, modern, words | {' | '.join(held_out)} |\n|---|{'--:|' * len(held_out)}")
    first: dict[str, NDArray[np.float64]] = {}
    for weights in arguments.weights:
        tokens = tokens_with(weights, counts, held_out)
        first = first or tokens
        ratios = [ratio_of(tokens[text], first[text]) for text in held_out]
        cells = [f"{one.value:.3f} ± {((one.high or 0) - (one.low or 0)) / 2:.3f}" for one in ratios]
        print(f"| {weights.replace(',', ', ')} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
