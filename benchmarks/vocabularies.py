"""Does the vocabulary matter? Five of 5,000 ids, on text that none has seen.

    python benchmarks/vocabularies.py ../shared --output DIR [--tokens-only] [--megabytes 16] [--seeds 0 1 2]
    python benchmarks/vocabularies_summary.py

The folder holds corpus/, corpus-modern/, corpus-words/wordfreq-es.parquet and tasks/. Of corpus and corpus-modern 3 %
of the records, by a hash of the text, are held out; everything is trained on the others: version 1 (counts of corpus
alone), version 2 (corpus 0.5, corpus-modern 1, words 1), sentencepiece's Unigram and BPE, and byte pairs of tokenizers,
all three on the text of both. Every one gets text normalized by this package, and has 4,900 ordinary ids and 100
sentinels.

First the tokens of held-out text. Then a T5-tiny for each vocabulary and seed, one pass over the same `--megabytes` of
text (half of each corpus), by `pretrain` with its shipped recipe; its figure is bits per byte of the same masked words.
DIR takes vocabularies and checkpoints, `--results` the figures: a file for the tokens, and one for each vocabulary and
seed. Run again after an interruption, it goes on; the second command prints the tables of what is there. `--only NAME`
leaves the other vocabularies out, `--set` changes the recipe, `--text MB` trains sentencepiece and tokenizers on an
even sample of so much, and `--limit RECORDS` reads no more of each corpus.
"""

import argparse
import os
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from machine import describe
from vocabularies_summary import MEGABYTES, NAMES, RESULTS, SECOND, TOKENS, file_of, summary
from vocabularies_trained import IDS, SPOKEN, WRITTEN, Texts, read, train_all
from vocabulary_sizes import Coder, kept

from spanish_tok import PretrainOptions, TokenArrays, Tokenizer, pretrain
from spanish_tok.measure.figures.groups import ratio_of
from spanish_tok.measure.figures.quality import count_ids
from spanish_tok.measure.figures.texts import sampled, size_of
from spanish_tok.t5.checkpoint import Checkpoint
from spanish_tok.t5.model import T5
from spanish_tok.tokenization.libraries import load_adapter
from spanish_tok.training.bits_per_byte import bits_per_byte
from spanish_tok.training.losses import scorer_of
from spanish_tok.training.packing import PackedBatches
from spanish_tok.training.span_corruption import SpanCorruption

MASKED = 240  # records of each text that bits per byte are measured on


def measure_tokens(paths: Mapping[str, Path], held_out: Texts) -> dict[str, Any]:
    """Return the tokens of each held-out text by each vocabulary, and the ratios of version 2.

    A ratio has its 95 % interval: records are what was drawn.
    """
    figures: dict[str, Any] = {}
    for text, column in held_out.items():
        tokens, unknown = {}, 0
        for name, path in paths.items():
            adapter = load_adapter(path)
            counts, _, each = count_ids(adapter, column)
            tokens[name] = each.astype(np.float64)
            unknown += int(counts[adapter.unknown or 0])
        ratios = {name: ratio_of(tokens[SECOND], tokens[name]) for name in paths}
        figures[text] = {
            "records": len(column),
            "bytes": size_of(column),
            "tokens": {name: int(counts.sum()) for name, counts in tokens.items()},
            "unknown": unknown,
            "version 2 over": {name: [one.value, one.low, one.high] for name, one in ratios.items()},
        }
    return figures


def measure_model(
    name: str,
    path: Path,
    texts: pa.Array,
    held_out: Texts,
    seed: int,
    changes: Sequence[str],
    folder: Path,
) -> Any:
    """Return bits per byte of each held-out text, after one pass of T5-tiny over `texts`.

    The folder takes the checkpoints. Every vocabulary has its specials and sentinels where the shipped one has them,
    which therefore stands in for it in `pretrain`.
    """
    coder = Coder(load_adapter(path), IDS)
    lists = coder.adapter.encode_column(texts)
    ids = lists.flatten().to_numpy().astype(np.uint16)
    offsets = np.concatenate([[0], np.cumsum(pc.list_value_length(lists).to_numpy())]).astype(np.int64)
    options = options_of(ids, offsets, seed).with_strings(changes)
    begun = time.perf_counter()
    done = pretrain(TokenArrays(ids, offsets), folder, tokenizer=Tokenizer.load(), threads=1, options=options)
    seconds = time.perf_counter() - begun
    assert done.checkpoint
    checkpoint = Checkpoint.load(done.checkpoint)
    score = scorer_of(T5.from_tensors(checkpoint.config, checkpoint.tensors))
    bits = {}
    for text, column in held_out.items():
        if text not in (SPOKEN, WRITTEN):
            places = np.unique(np.linspace(0, len(column) - 1, MASKED).astype(np.int64))
            records = column.take(pa.array(places)).to_pylist()
            bits[text] = bits_per_byte(score, coder, records).value  # type: ignore[arg-type]
    return {
        "vocabulary": name,
        "seed": seed,
        "bytes": size_of(texts),
        "bits per byte": bits,
        "tokens": len(ids),
        "steps": done.steps,
        "loss": done.last_loss,
        "seconds": round(seconds),
        "cpu seconds": round(done.cpu_seconds),
        "recipe": options.entries(),
        "machine": describe("spanish-tok", "torch"),
    }


def options_of(ids: Any, offsets: Any, seed: int) -> PretrainOptions:
    """Return the shipped recipe for one pass over the records."""
    recipe = PretrainOptions(seed=seed, held_out=0, validation_records=0)
    corruption = SpanCorruption(
        first_sentinel=IDS - 1, rate=recipe.masking_rate, mean_span=recipe.mean_span, seed=seed
    )
    used = np.flatnonzero(np.diff(offsets))
    batches = PackedBatches(ids, offsets, used, corruption, recipe.input_length, recipe.batch_size)
    steps = batches.batches_per_epoch
    return PretrainOptions(
        seed=seed, held_out=0, validation_records=0, steps=steps, warmup=steps // 10, save_every=100, keep=1
    )


def first_of_each(training: Mapping[str, pa.ChunkedArray], most: int) -> pa.Array:
    """Return about `most` bytes of records, half of each corpus, evenly taken and mixed."""
    halves = [sampled(column, most // 2).combine_chunks() for column in training.values()]
    mixed = pa.concat_arrays(
        [half.combine_chunks() if isinstance(half, pa.ChunkedArray) else half for half in halves]
    )
    return mixed.take(pa.array(np.random.default_rng(0).permutation(len(mixed))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--output", type=Path, required=True, help="for vocabularies and checkpoints")
    parser.add_argument("--results", type=Path, default=RESULTS, help="for the figures")
    parser.add_argument(
        "--megabytes", type=float, default=MEGABYTES, help="of text that each T5 is trained on"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, metavar="NAME")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="of the recipe")
    parser.add_argument("--text", type=float, default=0, help="MB for sentencepiece and tokenizers; 0: all")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of sentencepiece")
    parser.add_argument("--limit", type=int, default=0, help="records of each corpus that are read; 0: all")
    parser.add_argument("--tokens-only", action="store_true", help="train no T5")
    arguments = parser.parse_args()
    print(describe("spanish-tok", "sentencepiece", "tokenizers", "torch"), flush=True)
    arguments.output.mkdir(parents=True, exist_ok=True)
    training, held_out = read(arguments.folder, arguments.limit)
    words = arguments.folder / "corpus-words" / "wordfreq-es.parquet"
    paths = train_all(arguments.only, training, words, arguments.output, arguments.text, arguments.threads)
    if len(paths) == len(NAMES):
        kept(arguments.results / TOKENS, partial(measure_tokens, paths, held_out))
    texts = first_of_each(training, int(arguments.megabytes * 1e6))
    runs = [(seed, name) for seed in arguments.seeds for name in paths]  # so that early tables have all names
    for seed, name in [] if arguments.tokens_only else runs:
        file = file_of(name, arguments.megabytes, seed)
        folder = arguments.output / file.removesuffix(".json")
        make = partial(measure_model, name, paths[name], texts, held_out, seed, arguments.set, folder)
        kept(arguments.results / file, make)
    print(summary(arguments.results, arguments.megabytes))


if __name__ == "__main__":
    main()
