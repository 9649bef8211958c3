"""What a pretrained model has learnt, beside two baselines.

Nats per token and bits per byte held out, and ten fills.

    python benchmarks/pretrained.py SHARDS CHECKPOINT
    python benchmarks/pretrained.py --models DIR ... --records FILE.parquet ... [--texts 2000]

The second form compares model folders, of any vocabulary: bits per byte on the 1 % of each file's texts that trainings
by the default recipe hold out, by a hash of the text, and the ten fills of each.

The sentences below were written for this page, in the manner of the corpus's domains (novels, law, textbooks, software
documentation); their masks are those that bits per byte puts there.
"""

import argparse
import re
from pathlib import Path

import numpy as np
import torch
from machine import describe
from numpy.typing import NDArray
from precision import held_out_texts

from spanish_tok import Generator, SpanCorruption, Tokenizer
from spanish_tok.files import read_json, read_toml
from spanish_tok.shards.reader import load_shards
from spanish_tok.t5.checkpoint import Checkpoint
from spanish_tok.t5.model import T5
from spanish_tok.training.bits_per_byte import Scorer, bits_per_byte, mask_words
from spanish_tok.training.held_out import Validation, split
from spanish_tok.training.losses import scorer_of
from spanish_tok.training.packing import PackedBatches
from spanish_tok.training.pretrain_options import PretrainOptions
from spanish_tok.vocab.vocabulary import PAD

FILLS = Path(__file__).with_name("fills.toml")
GAP, WORD = re.compile(r"<extra_id_\d+>"), re.compile(r"\w+")
SENTENCES = """\
La anciana cerró la ventana, apagó la vela y se sentó a esperar a su hijo junto al fuego.
—No volveré a esta casa mientras viva mi padre —dijo el joven, y salió sin mirar atrás.
El coronel montó a caballo antes del amanecer y cruzó el río con veinte hombres.
El presente decreto entrará en vigor el día siguiente al de su publicación en el boletín oficial.
Artículo 4.º El ministerio de hacienda podrá autorizar la transferencia de los créditos necesarios.
La velocidad de un objeto que cae aumenta de manera constante mientras actúa sobre él la fuerza de gravedad.
Los átomos de un mismo elemento tienen igual número de protones, pero pueden tener distinto número de neutrones.
Para instalar el programa, descargue el archivo, ábralo y siga las instrucciones que aparecen en la pantalla.
Esta función devuelve una lista con los nombres de los archivos que se encuentran en el directorio indicado.
Si la variable no tiene ningún valor, el sistema muestra un mensaje de error y termina la ejecución.""".splitlines()


def frequencies(batches: PackedBatches, vocab_size: int, count: int = 300) -> NDArray[np.float64]:
    """Return how probable each id is among the targets of training batches.

    1 is added to every count.
    """
    targets = np.concatenate([batches.batch(step).targets.ravel() for step in range(count)])
    counts = np.bincount(targets[targets != PAD], minlength=vocab_size).astype(np.float64) + 1
    return np.asarray(counts / counts.sum(), np.float64)


def scorer_by_frequency(probabilities: NDArray[np.float64]) -> Scorer:
    """Return the scorer of a model that knows frequencies of ids alone."""

    def score(_: NDArray[np.int64], targets: NDArray[np.int64]) -> float:
        return float(-np.log(probabilities[targets[targets != PAD]]).sum())

    return score


def show_fills(folder: Path) -> None:
    """Print what a model fills into the ten sentences, greedily, as it comes.

    And how many of them got a word that fills.toml, written before a training, takes for sense.
    """
    generator = Generator.load(folder)
    tokenizer = generator.tokenizer
    sense, right = read_toml(FILLS)["sentence"], 0
    for sentence, expected in zip(SENTENCES, sense, strict=True):
        masked = mask_words(tokenizer.normalize(sentence))
        filled = generator.fill(masked.shown())
        found = fills_of(masked.shown(), filled)[expected["gap"]]
        right += bool(set(WORD.findall(found)) & set(expected["words"].split()))
        print(f"\n{masked.shown()}\n  was: {' | '.join(masked.text[a:b] for a, b in masked.spans)}")
        print(f"  now: {filled}")
    print(f"\n{right} of {len(SENTENCES)} sentences got a word of {FILLS.name}")


def fills_of(masked: str, filled: str) -> list[str]:
    """Return what stands in each gap of a filled text.

    >>> fills_of("a <extra_id_0> c <extra_id_1>", "a b c d.")
    ['b', 'd.']
    """
    kept = [re.escape(part.strip()) for part in GAP.split(masked)]
    found = re.fullmatch(r"\s*(.*?)\s*".join(kept), filled)
    return list(found.groups()) if found else [""] * (len(kept) - 1)


def compare_models(folders: list[Path], files: list[Path], texts: int) -> None:
    """Print bits per byte of each model on held-out texts of each file, and its fills."""
    print(describe("torch"))
    for file in files:
        chosen = held_out_texts([file], texts)
        values = []
        for folder in folders:
            model = Checkpoint.load(folder)
            measured = bits_per_byte(
                scorer_of(T5.from_checkpoint(model)), Tokenizer(model.vocabulary), chosen
            )
            values.append(measured.value)
            print(
                f"{file.name}, {len(chosen):,} texts, {folder}: {measured.value:.4f} bits per byte "
                f"({values[-1] / values[0] - 1:+.2%})",
                flush=True,
            )
    for folder in folders:
        print(f"\n{folder}")
        show_fills(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("shards", type=Path, nargs="?")
    parser.add_argument("checkpoint", type=Path, nargs="?")
    parser.add_argument("--models", type=Path, nargs="+", default=[])
    parser.add_argument("--records", type=Path, nargs="+", default=[])
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.models and arguments.records:
        compare_models(arguments.models, arguments.records, arguments.texts)
        return
    if not arguments.checkpoint:
        parser.error("give SHARDS and CHECKPOINT, or --models and --records")
    notes = read_json(arguments.checkpoint / "training.json")
    recipe, tokenizer = PretrainOptions.of(notes["recipe"]), Tokenizer.load(arguments.checkpoint)
    ids, offsets = load_shards(arguments.shards, tokenizer.vocabulary)
    parts = split(ids, offsets, tokenizer, recipe.held_out)
    corruption = SpanCorruption.of(tokenizer.vocabulary, seed=recipe.seed)
    training, held_out = (
        PackedBatches(ids, offsets, records, corruption, recipe.input_length, recipe.batch_size)
        for records in parts
    )
    validation = Validation(held_out, tokenizer, arguments.texts)
    model = T5.load(arguments.checkpoint)
    print(describe("torch"))
    print(
        f"{notes['step']:,} steps, {notes['tokens']:,} tokens, {notes['cpu_seconds'] / 60:.1f} min of CPU time"
    )
    print(f"{parts.training.size:,} records to train on, {parts.held_out.size:,} held out")
    print(f"nats per token, 64 held-out sequences: {validation.nats_per_token(scorer_of(model)):.3f}")
    scorers = {
        "the model": scorer_of(model),
        "frequencies of ids": scorer_by_frequency(frequencies(training, tokenizer.vocab_size)),
        "all ids alike": scorer_by_frequency(np.full(tokenizer.vocab_size, 1 / tokenizer.vocab_size)),
    }
    print(f"bits per byte, {len(validation.sample):,} held-out records:")
    for name, scorer in scorers.items():
        measured = bits_per_byte(scorer, tokenizer, validation.sample)
        nats = measured.nats / measured.target_ids
        print(
            f"  {name}: {measured.value:.3f} ({nats:.3f} nats per target id, {measured.masked_bytes:,} masked bytes)"
        )
    show_fills(arguments.checkpoint)


if __name__ == "__main__":
    main()
