"""A tiny T5 trained before your eyes: on the shipped sentences, or on a text of yours; then it fills masks."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TextIO

import numpy as np

from spanish_tok.errors import SpanishTokError
from spanish_tok.generation.generator import Generator
from spanish_tok.measure.verify import sample_sentences
from spanish_tok.progress import progress
from spanish_tok.readers.records import read_records
from spanish_tok.tokenization.tokenizer import Tokenizer
from spanish_tok.training.bits_per_byte import mask_words
from spanish_tok.training.pretrain import Pretraining
from spanish_tok.training.pretrain_options import PretrainOptions

SHOWN = 6  # texts with fills
TIMED = 4  # steps that tell how many the minutes hold
FEWEST = 120


def run(output: Path, text: str | None, minutes: float, out: TextIO) -> None:
    """Train for some minutes into the folder `output`, and print masked texts and what the model fills in.

    Without `text`, a file that `read_records` reads, it trains on the 60 shipped sentences, over and over.
    """
    tokenizer = Tokenizer.load()
    texts = _texts(text) if text else sample_sentences()
    print(f"{len(texts):,} records of {text or 'the shipped sentences'}", file=out)
    folder = output / "t5"
    recipe = _recipe(len(texts) > 1000)
    training = _training(texts, tokenizer, _fitted(recipe, texts, tokenizer, folder, minutes), folder)
    print(training.summary(), file=out, flush=True)
    with progress("pretraining", total=training.recipe.steps) as bar:
        checkpoint = training.run(bar)
    rows = training.log.rows
    print(
        f"loss {rows[0].loss:.2f} at first, {training.log.mean_loss(-20, len(rows)):.2f} at last: {checkpoint}\n",
        file=out,
    )
    held_out = training.validation.sample if training.validation else []
    print(_about(bool(held_out)), file=out)
    generator = Generator.load(checkpoint)
    for shown in (held_out or [tokenizer.normalize(line) for line in texts])[:SHOWN]:
        masked = mask_words(shown).shown()
        print(f"  {masked}\n  {generator.fill(masked)}\n", file=out)


def _about(held_out: bool) -> str:
    if held_out:
        return "Records that it has not seen, masked, and what it fills in after these few minutes:\n"
    return (
        "Masked sentences and what it fills in. It has seen nothing but these sentences, over and over: what\n"
        "it knows, it knows by heart. Give a text of your own, some megabytes of it, to see it learn Spanish.\n"
    )


def _texts(path: str) -> list[str]:
    texts = [text for batch in read_records([path]) for text in batch.column("text").to_pylist() if text]
    if not texts:
        raise SpanishTokError(f"{path} holds no text", "Give a file with a record a line.")
    return texts


def _recipe(much: bool) -> PretrainOptions:
    """Few records are learnt in small batches, and none of them is held out."""
    values = {"held_out": "0.02"} if much else {"batch_size": "4", "held_out": "0"}
    return PretrainOptions.load().with_values(
        {**values, "warmup": "40", "validate_every": "100000", "save_every": "100000"}
    )


def _fitted(
    recipe: PretrainOptions, texts: Sequence[str], tokenizer: Tokenizer, folder: Path, minutes: float
) -> PretrainOptions:
    """The recipe with as many steps as the minutes hold, by the time of the first ones in `folder`."""
    training = _training(texts, tokenizer, recipe, folder)
    if training.reached.step:
        raise SpanishTokError(f"{folder} holds a model already", "Choose another folder, or remove it.")
    begun = time.perf_counter()
    steps = training.steps()
    for _ in range(TIMED):
        next(steps)
    seconds = (time.perf_counter() - begun) / TIMED
    training.save()
    return replace(recipe, steps=max(FEWEST, round(60 * minutes / seconds)))


def _training(
    texts: Sequence[str], tokenizer: Tokenizer, recipe: PretrainOptions, folder: Path
) -> Pretraining:
    rows = tokenizer.encode_column(list(texts))
    offsets = np.asarray(rows.offsets, np.int64)
    return Pretraining(np.asarray(rows.values, np.uint16), offsets, tokenizer, recipe, folder)
