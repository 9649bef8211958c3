"""The verb `demo`: the main job on what ships, offline.

Or a tiny T5 trained before your eyes.
"""

import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import numpy as np

from spanish_tok.errors import SpanishTokError
from spanish_tok.files import shipped
from spanish_tok.files.outputs import check_new_folder
from spanish_tok.generation.generator import Generator
from spanish_tok.generation.sampling import GenerateOptions
from spanish_tok.measure.verify import AWKWARD, sample_sentences, verify
from spanish_tok.options import changed
from spanish_tok.progress import ProgressOption, progress_of
from spanish_tok.readers.options import Location
from spanish_tok.readers.records import read_records
from spanish_tok.text.alphabet import SPANISH
from spanish_tok.tokenization.tokenizer import Tokenizer
from spanish_tok.training.bits_per_byte import mask_words
from spanish_tok.training.pretrain_options import PretrainOptions
from spanish_tok.vocab.counts.table import Counts
from spanish_tok.vocab.formats import UNK
from spanish_tok.vocab.trainer import train

if TYPE_CHECKING:
    from spanish_tok.training.pretraining.loop import Pretraining

SHOWN = ("¡Qué mañana tan FRÍA!", "El 21½ % de la cigüeña… hola😀mundo", "Man\u0303ana: N\u0303ANDU\u0301")

GAPS = (
    "El ministro de <extra_id_0> firmó el <extra_id_1> .",
    "Abrió la puerta <extra_id_0> y salió a la <extra_id_1> .",
    "Haga clic en el <extra_id_0> para guardar el <extra_id_1> .",
    "La función devuelve una lista de los archivos que <extra_id_0> encuentran <extra_id_1> directorio indicado .",
)
FILLED = 6  # texts with fills of the tiny T5
TIMED = 4  # steps that tell how many the minutes hold
FEWEST = 120  # steps
BEAMS = GenerateOptions(num_beams=4, max_new_tokens=24)  # greedy search likes to repeat itself


def demo(
    output: Location = "spanish-tok-demo",
    *,
    t5: bool = False,
    text: Location | None = None,
    minutes: float = 3.0,
    out: TextIO | None = None,
    progress: ProgressOption = None,
) -> None:
    """Train the shipped vocabulary from its counts, check it, and show it at work.

    It is written into the folder `output`, where it replaces an earlier demo.

    With `t5` train a tiny T5 for some minutes instead, on the records of the file `text` or on the 60 shipped
    sentences, and print masked texts with what the model fills in. Prints to `out`, standard output by default.
    Raises SpanishTokError if a check fails.
    """

    def say(line: str = "") -> None:
        print(line, file=out or sys.stdout, flush=True)

    if t5:
        _t5_demo(Path(output), text, minutes, say, progress)
    else:
        _vocabulary_demo(Path(output), say, progress)


def _vocabulary_demo(output: Path, say: Callable[..., None], progress: ProgressOption) -> None:
    counts = Counts.load(shipped("corpus/es-counts.parquet"))
    say(f"{len(counts):,} distinct runs, {counts.total:,} in all, of {counts.records:,} Spanish records")
    train(counts, output, size=5000, progress=progress, force=True)
    tokenizer = Tokenizer.load(output)
    say(f"a vocabulary of {tokenizer.vocab_size:,} ids: {output}\n")
    for text in SHOWN:
        ids = tokenizer.encode(text)
        say(f"  {text}\n  {' '.join(tokenizer.tokens(text))}\n  {ids}\n  {tokenizer.decode(ids)}\n")
    result = verify(output)
    for check in result.checks:
        say(f"  {check}")
    say()
    for name, value in summary(tokenizer):
        say(f"  {name:<24}{value:>12}")
    say(
        "\n  the shipped model fills gaps (seven million parameters: it knows the language's habits, not the world)"
    )
    generator = Generator.load()
    for text in GAPS:
        say(f"  {text}\n  {generator.fill(text, BEAMS)}")
    if not result.ok:
        raise SpanishTokError("A check failed", "Please report it with the lines above.")


def summary(tokenizer: Tokenizer) -> list[tuple[str, str]]:
    """Return the figures of a vocabulary on the shipped sentences.

    Name and value, ready to print.
    """
    sentences = sample_sentences()
    texts = [*sentences, *AWKWARD]
    encoded = [tokenizer.encode(text) for text in texts]
    normal = [tokenizer.normalize(text) for text in sentences]
    tokens = sum(map(len, encoded[: len(sentences)]))
    words = sum(len(text.split()) for text in normal)
    failures = sum(
        tokenizer.decode(ids) != tokenizer.normalize(text) for ids, text in zip(encoded, texts, strict=True)
    )
    return [
        ("size", f"{tokenizer.vocab_size:,}"),
        ("alphabet", f"{len(SPANISH)}"),
        ("characters per token", f"{sum(map(len, normal)) / tokens:.3f}"),
        ("tokens per word", f"{tokens / words:.3f}"),
        ("<unk>", f"{sum(ids.count(UNK) for ids in encoded)}"),
        ("round-trip failures", f"{failures}"),
    ]


def _t5_demo(
    output: Path, text: Location | None, minutes: float, say: Callable[..., None], progress: ProgressOption
) -> None:
    tokenizer = Tokenizer.load()
    texts = _texts(text) if text else sample_sentences()
    say(f"{len(texts):,} records of {text or 'the shipped sentences'}")
    folder = output / "t5"
    if any(folder.glob("checkpoint-*")):  # of an earlier demo
        shutil.rmtree(folder)
    check_new_folder(folder)
    recipe = _recipe(len(texts) > 1000)
    training = _training(texts, tokenizer, _fitted(recipe, texts, tokenizer, folder, minutes), folder)
    say(training.summary())
    with progress_of(progress).phase("pretraining", training.options.steps) as bar:
        training.run(bar)
    checkpoint = training.newest()
    rows = training.log.rows
    first, last = rows[0].loss, training.log.mean_loss(-20, len(rows))
    say(f"loss {first:.2f} at first, {last:.2f} at last: {checkpoint}\n")
    held_out = training.validation.sample if training.validation else []
    say(_about(bool(held_out)))
    generator = Generator.load(checkpoint)
    for shown in (held_out or [tokenizer.normalize(line) for line in texts])[:FILLED]:
        masked = mask_words(shown).shown()
        say(f"  {masked}\n  {generator.fill(masked)}\n")


def _about(held_out: bool) -> str:
    if held_out:
        return "Records that it has not seen, masked, and what it fills in after these few minutes:\n"
    return (
        "Masked sentences and what it fills in. It has seen nothing but these sentences, over and over: what\n"
        "it knows, it knows by heart. Give a text of your own, some megabytes of it, to see it learn Spanish.\n"
    )


def _texts(path: Location) -> list[str]:
    texts = [text for batch in read_records([path]) for text in batch.column("text").to_pylist() if text]
    if not texts:
        raise SpanishTokError(f"{path} holds no text", "Give a file with a record a line.")
    return texts


def _recipe(much: bool) -> PretrainOptions:
    """Return options for many records, or for few: small batches, and none held out."""
    values = {"held_out": "0.02"} if much else {"batch_size": "4", "held_out": "0"}
    return changed(
        PretrainOptions, None, {**values, "warmup": "40", "validate_every": "100000", "save_every": "100000"}
    )


def _fitted(
    recipe: PretrainOptions, texts: Sequence[str], tokenizer: Tokenizer, folder: Path, minutes: float
) -> PretrainOptions:
    """Return the options with as many steps as the minutes hold.

    The time of the first steps tells.
    """
    training = _training(texts, tokenizer, recipe, folder)
    if training.state.step:
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
) -> "Pretraining":
    from spanish_tok.training.pretraining.loop import Pretraining  # PyTorch: the other demo does without

    rows = tokenizer.encode_column(list(texts))
    offsets = np.asarray(rows.offsets, np.int64)
    return Pretraining(np.asarray(rows.values, np.uint16), offsets, tokenizer, recipe, folder)
