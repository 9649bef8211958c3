"""Vocabularies of 1,000 to 16,000 ids, and byte-pair encoding of 5,000.

In one table; resumable.

    python benchmarks/vocabulary_sizes.py FILES.parquet --output DIR [--megabytes 1] [--sizes 1000 5000]

One record in twenty is held out. All vocabularies are trained on the others: Unigram from their counts by this
package, byte-pair encoding by the library tokenizers, with the same alphabet, the same number of ids (100
sentinels included), and no piece across runs, so that the algorithm alone differs. Characters per token and
Rényi efficiency are those of held-out text. Bits per byte: T5-tiny, one pass over the same records
(`--megabytes` of normalized text), the same seed; then fixed masks of whole words of 500 held-out records, the
same characters for all. The same bytes are more steps for a vocabulary with more tokens. Each result is a file
in DIR: run again after an interruption, it goes on.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from machine import describe

import spanish_tok as st
from spanish_tok import normalize_column
from spanish_tok.files import atomic_path, read_json, write_json
from spanish_tok.measure.figures.quality import measure_quality, word_counts
from spanish_tok.measure.figures.texts import size_of
from spanish_tok.readers.records import read_records
from spanish_tok.t5.model import T5
from spanish_tok.text.alphabet import DIGITS, LETTERS, SPACE_MARK, SPANISH
from spanish_tok.tokenization.adapters import TokenizerAdapter
from spanish_tok.tokenization.libraries import load_adapter
from spanish_tok.training.bits_per_byte import bits_per_byte
from spanish_tok.training.losses import loss_of, scorer_of
from spanish_tok.training.optimizers import flush_denormals, optimizer_for
from spanish_tok.training.packing import PackedBatches
from spanish_tok.training.pretrain_options import PretrainOptions
from spanish_tok.training.span_corruption import SpanCorruption
from spanish_tok.training.start import random_model
from spanish_tok.vocab.counts.runs import count_runs
from spanish_tok.vocab.formats import SPECIALS

HELD_OUT = 20
MASKED_RECORDS = 500
SENTINELS = 100
SIZES = [1000, 2000, 4000, 5000, 8000, 16000]
BPE = "bpe-5000"


def texts_of(files: Sequence[str], held_out: bool) -> Iterator[pa.Array]:
    """Yield the normalized texts of the records that are, or are not, held out."""
    seen = 0
    for batch in read_records(files):
        rows = np.arange(seen, seen + batch.num_rows)
        seen += batch.num_rows
        chosen = pa.array((rows % HELD_OUT == 0) == held_out)
        yield normalize_column(batch.column("text").filter(chosen)).combine_chunks()


def train_bpe(texts: Iterator[list[str]], path: Path, size: int) -> None:
    """Train byte-pair encoding by tokenizers.

    Words with `▁` before them, cut into runs, every character kept.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer: Any = Tokenizer(models.BPE(unk_token="<unk>"))
    runs = (
        rf"{SPACE_MARK}?[{LETTERS}]+|{SPACE_MARK}?[{DIGITS}]+|{SPACE_MARK}?[^{LETTERS}{DIGITS}{SPACE_MARK}]+"
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(SPACE_MARK, prepend_scheme="always"),
            pre_tokenizers.Split(Regex(runs), "isolated"),
        ]
    )
    tokenizer.decoder = decoders.Metaspace(SPACE_MARK, prepend_scheme="always")
    trainer = trainers.BpeTrainer(
        vocab_size=size - SENTINELS,
        special_tokens=list(SPECIALS),
        initial_alphabet=list(SPANISH.replace(" ", SPACE_MARK)),
        max_token_length=16,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    with atomic_path(path) as temporary:
        tokenizer.save(str(temporary))


def train_all(files: Sequence[str], sizes: Sequence[int], output: Path) -> dict[str, Path]:
    """Train what is not there yet; name -> vocabulary."""
    folders = {f"unigram-{size}": output / f"unigram-{size}" for size in sizes}
    missing = [size for size in sizes if not (output / f"unigram-{size}" / "manifest.json").exists()]
    if missing:
        counts = count_runs(texts_of(files, held_out=False))
        for size, vocabulary in st.train(counts, size=missing, sentinels=SENTINELS).items():
            vocabulary.save(output / f"unigram-{size}")
    bpe = output / BPE / "tokenizer.json"
    if not bpe.exists():
        train_bpe((texts.to_pylist() for texts in texts_of(files, held_out=False)), bpe, 5000)
    return {BPE: bpe.parent, **folders}


@dataclass(frozen=True)
class Coder:
    """What `bits_per_byte` needs of a tokenizer, for any vocabulary.

    Texts are normalized already.
    """

    adapter: TokenizerAdapter
    size: int

    def normalize(self, text: str) -> str:
        return text

    def sentinel_id(self, k: int) -> int:
        return self.size - 1 - k

    def encode(self, text: str) -> list[int]:
        return self.adapter.encode(text)


def train_tiny(coder: Coder, texts: pa.Array, recipe: PretrainOptions) -> tuple[T5, dict[str, float]]:
    """One pass of T5-tiny over `texts`; the model, and what it took."""
    lists = coder.adapter.encode_column(texts)
    ids = lists.flatten().to_numpy().astype(np.uint16)
    offsets = np.concatenate([[0], np.cumsum(lists.value_lengths().to_numpy())]).astype(np.int64)
    corruption = SpanCorruption(first_sentinel=coder.sentinel_id(0), sentinels=SENTINELS, seed=recipe.seed)
    batches = PackedBatches(
        ids, offsets, np.flatnonzero(np.diff(offsets)), corruption, recipe.input_length, recipe.batch_size
    )
    steps = batches.batches_per_epoch
    recipe = replace(recipe, steps=steps, warmup=steps // 10)
    torch.manual_seed(recipe.seed)
    flush_denormals()
    model = random_model(recipe, coder.size)
    optimizer = optimizer_for(recipe, model)
    begun, losses = time.process_time(), []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate_at(step)
        optimizer.zero_grad()
        loss = loss_of(model, batches.batch(step))
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        optimizer.step()
        losses.append(loss.item())
        if step % 50 == 0:
            print(f"  step {step} of {steps}, loss {losses[-1]:.3f}", flush=True)
    return model, {
        "steps": steps,
        "loss": float(np.mean(losses[-20:])),
        "cpu_seconds": time.process_time() - begun,
    }


def measure_fit(adapter: TokenizerAdapter, held_out: pa.ChunkedArray) -> dict[str, Any]:
    """Compression and balance on held-out text."""
    found = measure_quality(adapter, held_out, held_out, word_counts(held_out))
    return {
        "characters_per_token": found.characters_per_token,
        "tokens_per_word": found.tokens_per_word,
        "renyi": found.renyi,
    }


def measure_bits(coder: Coder, texts: pa.Array, held_out: pa.ChunkedArray) -> dict[str, Any]:
    """Bits per byte of held-out masks, after one pass of T5-tiny over `texts`."""
    model, took = train_tiny(coder, texts, PretrainOptions())
    places = np.linspace(0, len(held_out) - 1, MASKED_RECORDS).astype(np.int64)
    found = bits_per_byte(scorer_of(model), coder, held_out.take(pa.array(places)).to_pylist())  # type: ignore[arg-type]
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return {"bits_per_byte": found.value, "parameters": parameters, "training_bytes": size_of(texts), **took}


def first_bytes(columns: Iterator[pa.Array], most: int) -> pa.Array:
    """Return the first records, up to about `most` bytes."""
    taken, size = [], 0
    for column in columns:
        ends = np.cumsum(pc.binary_length(column).to_numpy())
        rows = int(np.searchsorted(ends, most - size, side="right"))
        taken.append(column.slice(0, rows))
        size += int(ends[rows - 1]) if rows else 0
        if rows < len(column):
            break
    return pa.concat_arrays(taken)


def table(results: Sequence[dict[str, Any]]) -> str:
    """Markdown, to be published as it is; "-" for what was not measured yet."""
    names = [
        "characters per token",
        "tokens per word",
        "Rényi efficiency",
        "bits per byte",
        "steps",
        "parameters",
    ]
    formats = {
        "characters_per_token": ".3f",
        "tokens_per_word": ".3f",
        "renyi": ".4f",
        "bits_per_byte": ".3f",
    }
    formats |= {"steps": ",", "parameters": ","}
    lines = [f"| vocabulary | ids | {' | '.join(names)} |", "|---|" + "--:|" * 7]
    for found in sorted(results, key=lambda found: (found["ids"], found["name"])):
        figures = [format(found[name], how) if name in found else "-" for name, how in formats.items()]
        lines.append(f"| {found['name'].split('-')[0]} | {found['ids']:,} | {' | '.join(figures)} |")
    return "\n".join(lines)


def kept(file: Path, make: Callable[[], dict[str, Any]], only_kept: bool = False) -> dict[str, Any]:
    """Return the result of `make`, from its file if an earlier run wrote it."""
    if not file.exists():
        if only_kept:
            return {}
        print(file.stem, flush=True)
        write_json(file, make())
    found: dict[str, Any] = read_json(file)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="+")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--megabytes", type=float, default=1.0)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-model", action="store_true", help="train no T5; show what is there")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(describe("spanish-tok", "tokenizers", "torch", "numpy"), flush=True)
    paths = train_all(arguments.files, arguments.sizes, arguments.output)
    held_out = pa.chunked_array(list(texts_of(arguments.files, held_out=True)))
    texts = first_bytes(texts_of(arguments.files, held_out=False), int(arguments.megabytes * 1e6))
    results = []
    for name, path in paths.items():
        adapter = load_adapter(path)
        coder = Coder(adapter, adapter.size + (SENTINELS if name == BPE else 0))
        start = arguments.output / name
        fit = kept(start.with_name(f"{name}-fit.json"), partial(measure_fit, adapter, held_out))
        bits = kept(
            start.with_name(f"{name}-{arguments.megabytes:g}MB.json"),
            partial(measure_bits, coder, texts, held_out),
            only_kept=arguments.no_model,
        )
        results.append({**bits, **fit, "name": name, "ids": coder.size})
    print(table(results))


if __name__ == "__main__":
    main()
