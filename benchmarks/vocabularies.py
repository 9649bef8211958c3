"""Does the vocabulary matter? Five of 5,000 ids, on text that none has seen.

    python benchmarks/vocabularies.py ../shared --output DIR [--bytes 16] [--seeds 1 2 3] [--tokens-only]

The folder holds corpus/, corpus-modern/, corpus-words/wordfreq-es.parquet and tasks/. Of corpus and corpus-modern 3 %
of the records, by a hash of the text, are held out; everything is trained on the others: version 1 (counts of corpus
alone), version 2 (corpus 0.5, corpus-modern 1, words 1), sentencepiece's Unigram and BPE, and byte pairs of tokenizers,
all three on the text of both. Every one gets text normalized by this package, and has 4,900 ordinary ids and 100
sentinels.

First table: tokens on held-out text, version 1 = 1. Second: bits per byte of T5-tiny after one pass over the same
`--bytes` MB of text (half of each corpus), the same words masked for all, a model a seed; differences from version 2 in
pairs of seeds, with the 95 % interval of Student's t. Each result is a file in DIR: run again after an interruption,
it goes on. `--text MB` trains sentencepiece and tokenizers on an even sample of so much, as does `--limit RECORDS` all.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from hashlib import blake2b
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from machine import describe
from vocabulary_sizes import SENTINELS, Coder, kept, train_bpe, train_tiny

from spanish_tok import Counts, merge, normalize_column, train
from spanish_tok.files import atomic_path
from spanish_tok.measure.quality import count_ids
from spanish_tok.measure.texts import sampled, size_of
from spanish_tok.text.alphabet import SPANISH
from spanish_tok.tokenization.adapters import load_adapter
from spanish_tok.training.bits_per_byte import bits_per_byte
from spanish_tok.training.losses import scorer_of
from spanish_tok.training.pretrain_options import PretrainOptions
from spanish_tok.vocab.counts import count_runs

IDS = 5000
HELD_OUT = 3  # of a hundred
MASKED = 240  # records of each text that bits per byte are measured on
STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}  # 0.975 quantile of t for so many seeds
FIRST, SECOND = "version 1", "version 2"
TEXTS = {"older": "corpus", "modern passages": "corpus-modern"}
TASKS = {
    "encyclopedia": ("qa-es", "context"),
    "news": ("news-classification-es", "text"),
    "law": ("summaries-law-es", "text"),
    "help": ("summaries-packages-es", "text"),
}


def is_held_out(column: pa.ChunkedArray) -> pa.Array:
    """Return which records are held out, by a hash of their text alone."""
    hashes = (blake2b(text.encode(), digest_size=4).digest() for text in column.to_pylist())
    return pa.array([int.from_bytes(hashed, "little") % 100 < HELD_OUT for hashed in hashes])


def read(folder: Path, limit: int) -> tuple[dict[str, pa.ChunkedArray], dict[str, pa.ChunkedArray]]:
    """Return the normalized texts to train on, and those held out, by name."""
    training, held_out = {}, {}
    for name, corpus in TEXTS.items():
        files = sorted((folder / corpus).glob("*.parquet"))
        column = pa.concat_tables([pq.read_table(file, columns=["text"]) for file in files])["text"]
        column = column.slice(0, limit or len(column))
        chosen = is_held_out(column)
        training[name] = normalize_column(column.filter(pc.invert(chosen)))
        held_out[name] = normalize_column(column.filter(chosen))
    for name, (task, column) in TASKS.items():
        texts = pq.read_table(folder / "tasks" / f"{task}.parquet", columns=[column])[column]
        held_out[name] = normalize_column(pa.chunked_array([pc.unique(texts)]))
    return training, held_out


def train_ours(training: Mapping[str, pa.ChunkedArray], words: Path, second: bool, folder: Path) -> None:
    """Train version 1 or version 2 of the released vocabulary, without what is held out."""
    older, modern = (count_runs(training[name]) for name in TEXTS)
    counts = merge([older, modern, Counts.from_words(words)], [0.5, 1, 1]) if second else older
    train(counts, folder, size=IDS)


def train_sentencepiece(text: Path, kind: str, model: Path) -> None:
    """Train sentencepiece on normalized text, a record a line, with its default rules."""
    import sentencepiece

    with atomic_path(model) as partial_file:
        prefix = str(partial_file).removesuffix(".partial")
        sentencepiece.SentencePieceTrainer.train(
            input=str(text), model_prefix=prefix, model_type=kind, vocab_size=IDS - SENTINELS,
            normalization_rule_name="identity", character_coverage=1.0, required_chars=SPANISH.strip(),
            max_sentence_length=1 << 24, num_threads=os.cpu_count() or 1,
            pad_id=0, eos_id=1, unk_id=2, bos_id=-1, minloglevel=2,
        )  # fmt: skip
        Path(f"{prefix}.vocab").unlink()
        Path(f"{prefix}.model").replace(partial_file)


def lines_of(training: Mapping[str, pa.ChunkedArray], megabytes: float) -> Iterator[list[str]]:
    """Yield the texts that sentencepiece and tokenizers are trained on, some at a time."""
    whole = sum(map(size_of, training.values()))
    share = min(1.0, megabytes * 1e6 / whole) if megabytes else 1.0
    for column in training.values():
        for batch in sampled(column, max(1, int(size_of(column) * share))).chunks:
            yield batch.to_pylist()


def train_all(
    training: Mapping[str, pa.ChunkedArray], words: Path, output: Path, text_mb: float
) -> dict[str, Path]:
    """Train what is not there yet; name -> vocabulary."""
    text = output / "text.txt"

    def spm(kind: str, path: Path) -> None:
        if not text.exists():
            with atomic_path(text) as partial_file, open(partial_file, "w", encoding="utf-8") as out:
                for lines in lines_of(training, text_mb):
                    out.writelines(f"{line}\n" for line in lines)
        train_sentencepiece(text, kind, path)

    made: dict[str, tuple[Path, Path, Callable[[Path], None]]] = {
        FIRST: (output / "v1", output / "v1" / "manifest.json", partial(train_ours, training, words, False)),
        SECOND: (output / "v2", output / "v2" / "manifest.json", partial(train_ours, training, words, True)),
        "sentencepiece Unigram": (
            output / "unigram.model",
            output / "unigram.model",
            partial(spm, "unigram"),
        ),
        "sentencepiece BPE": (output / "bpe.model", output / "bpe.model", partial(spm, "bpe")),
        "byte pairs of tokenizers": (
            output / "pairs" / "tokenizer.json",
            output / "pairs" / "tokenizer.json",
            lambda path: train_bpe(lines_of(training, text_mb), path, IDS),
        ),
    }
    for name, (path, done, make) in made.items():
        if not done.exists():
            print(f"training {name}", flush=True)
            begun = time.perf_counter()
            make(path)
            print(f"  {time.perf_counter() - begun:.0f} s", flush=True)
    return {name: path for name, (path, _, _) in made.items()}


def measure_tokens(path: Path, held_out: Mapping[str, pa.ChunkedArray]) -> dict[str, Any]:
    """Return the tokens and unknown ids of each held-out text."""
    adapter, found = load_adapter(path), {}
    for name, column in held_out.items():
        counts, _, _ = count_ids(adapter, column)
        found[name] = {"tokens": int(counts.sum()), "unknown": int(counts[adapter.unknown or 0])}
    return found


def measure_model(
    path: Path, texts: pa.Array, held_out: Mapping[str, pa.ChunkedArray], seed: int
) -> dict[str, Any]:
    """Return bits per byte of each held-out text, after one pass of T5-tiny over `texts`."""
    coder = Coder(load_adapter(path), IDS)
    begun = time.perf_counter()
    model, took = train_tiny(coder, texts, PretrainOptions(seed=seed))
    bits = {}
    for name, column in held_out.items():
        places = np.unique(np.linspace(0, len(column) - 1, MASKED).astype(np.int64))
        records = column.take(pa.array(places)).to_pylist()
        bits[name] = bits_per_byte(scorer_of(model), coder, records).value  # type: ignore[arg-type]
    return {"bits": bits, "seconds": time.perf_counter() - begun, "bytes": size_of(texts), **took}


def first_of_each(training: Mapping[str, pa.ChunkedArray], most: int) -> pa.Array:
    """Return about `most` bytes of records, half of each corpus, evenly taken and mixed."""
    halves = [sampled(column, most // 2).combine_chunks() for column in training.values()]
    mixed = pa.concat_arrays(
        [half.combine_chunks() if isinstance(half, pa.ChunkedArray) else half for half in halves]
    )
    return mixed.take(pa.array(np.random.default_rng(0).permutation(len(mixed))))


def tokens_table(found: Mapping[str, Mapping[str, Any]], texts: Sequence[str]) -> str:
    """Return Markdown: tokens of each text, version 1 = 1."""
    lines = ["| tokens, version 1 = 1 | " + " | ".join(texts) + " |", "|---|" + "--:|" * len(texts)]
    for name, figures in found.items():
        cells = [f"{figures[text]['tokens'] / found[FIRST][text]['tokens']:.3f}" for text in texts]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    ratios = [
        found[SECOND][text]["tokens"] / found["sentencepiece Unigram"][text]["tokens"] for text in texts
    ]
    lines.append(
        "| version 2 : sentencepiece Unigram | " + " | ".join(f"{ratio:.3f}" for ratio in ratios) + " |"
    )
    return "\n".join(lines)


def difference(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Return the mean of differences in pairs of seeds, with its interval.

    >>> difference([2.0, 2.1, 2.2], [2.1, 2.2, 2.4])
    '-0.133 ± 0.143'
    """
    pairs = [a - b for a, b in zip(ours, theirs, strict=True)]
    half = STUDENT[len(pairs)] * stdev(pairs) / len(pairs) ** 0.5 if len(pairs) in STUDENT else float("nan")
    return f"{mean(pairs):+.3f} ± {half:.3f}"


def bits_table(found: Mapping[str, Sequence[Mapping[str, Any]]], texts: Sequence[str]) -> str:
    """Return Markdown: mean bits per byte, and the difference from version 2."""
    lines = [
        "| bits per byte | " + " | ".join(texts) + " | steps | seconds |",
        "|---|" + "--:|" * (len(texts) + 2),
    ]
    for name, runs in found.items():
        cells = []
        for text in texts:
            values = [run["bits"][text] for run in runs]
            apart = (
                ""
                if name == SECOND
                else f" ({difference(values, [run['bits'][text] for run in found[SECOND]])})"
            )
            cells.append(f"{mean(values):.3f}{apart}")
        lines.append(
            f"| {name} | {' | '.join(cells)} | {runs[0]['steps']:,} | {mean(r['seconds'] for r in runs):,.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--bytes", type=float, default=16, help="MB of text that each T5 is trained on")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--text", type=float, default=0, help="MB for sentencepiece and tokenizers; 0: all")
    parser.add_argument("--limit", type=int, default=0, help="records of each corpus that are read; 0: all")
    parser.add_argument("--tokens-only", action="store_true", help="train no T5")
    arguments = parser.parse_args()
    print(describe("spanish-tok", "sentencepiece", "tokenizers", "torch"), flush=True)
    arguments.output.mkdir(parents=True, exist_ok=True)
    training, held_out = read(arguments.folder, arguments.limit)
    words = arguments.folder / "corpus-words" / "wordfreq-es.parquet"
    paths = train_all(training, words, arguments.output, arguments.text)
    slug = {name: name.replace(" ", "-") for name in paths}
    tokens = {
        name: kept(arguments.output / f"{slug[name]}-tokens.json", partial(measure_tokens, path, held_out))
        for name, path in paths.items()
    }
    print(tokens_table(tokens, list(held_out)), flush=True)
    if arguments.tokens_only:
        return
    texts = first_of_each(training, int(arguments.bytes * 1e6))
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in paths}
    for seed in arguments.seeds:  # a seed at a time, so that an early table has all vocabularies
        for name, path in paths.items():
            file = arguments.output / f"{slug[name]}-{arguments.bytes:g}MB-seed{seed}.json"
            runs[name].append(kept(file, partial(measure_model, path, texts, held_out, seed)))
        print(bits_table(runs, list(held_out)), flush=True)


if __name__ == "__main__":
    main()
