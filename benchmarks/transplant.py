"""What carried rows are worth: bits per byte of a model with another vocabulary, before training and after some steps.

    python benchmarks/transplant.py --text records.parquet --work trials --output docs/assets/transplant

Trains a vocabulary of --size ids from the counts that ship, gives it to --model with rows carried over (as means;
with --focus by FOCUS, too, with vectors that gensim trains on the same texts), with new pieces' rows drawn at random,
and with all rows drawn at random (of the same deviation), and trains all of each on the same batches. Prints the
curves as a table in Markdown, and draws them as OUTPUT.png and OUTPUT.svg. Held-out texts are the first of the records;
the words that are masked in them depend on the text alone, so that vocabularies can be compared. With --work FOLDER an
interrupted run goes on where it was.
"""

import argparse
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import spanish_tok as st
from spanish_tok.files import atomic_path, shipped
from spanish_tok.files.outputs import whole_folder
from spanish_tok.measure.figures.texts import texts_of
from spanish_tok.readers.inputs import inputs_of
from spanish_tok.t5.checkpoint import Checkpoint
from spanish_tok.t5.foreign.transplant import kept_rows
from spanish_tok.training.bits_per_byte import bits_per_byte
from spanish_tok.training.losses import scorer_of

TEXTS = 300  # held out, that bits per byte are measured on
LENGTH, PASSES = 100, 5  # of the vectors for FOCUS: numbers in each, times that the texts are read
# rows -> what the curve is called, and its color
CURVES = {
    "focus": ("rows by FOCUS", "#5a8a3a"),
    "means": ("rows as means", "#1f4e8c"),
    "new-random": ("new pieces random", "#c98a1b"),
    "all-random": ("all rows random", "#b5432a"),
}
Curve = list[tuple[int, float]]


def measured(folder: Path, texts: list[str]) -> float:
    """Return the bits per byte of a model."""
    return bits_per_byte(scorer_of(st.T5.load(folder)), st.Tokenizer.load(folder), texts).value


def with_random_rows(folder: Path, carried: Path, kept: Sequence[int]) -> None:
    """Write a model with rows drawn anew, of the same deviation, but for those of the ids `kept`."""
    checkpoint = Checkpoint.load(carried)
    rows = checkpoint.tensors["shared.weight"]
    drawn = np.random.default_rng(0).normal(0, rows.std(), rows.shape).astype(np.float32)
    drawn[list(kept)] = rows[list(kept)]
    replace(checkpoint, tensors=checkpoint.tensors | {"shared.weight": drawn}).save(folder)


def write_vectors(path: Path, vocabulary: Path, texts: list[str]) -> None:
    """Write vectors of a vocabulary's pieces, trained by gensim on texts that it cut, in word2vec's text form."""
    from gensim.models import Word2Vec

    tokenizer = st.Tokenizer.load(vocabulary)
    pieces = tokenizer.vocabulary.pieces
    rows = [[pieces[number] for number in tokenizer.encode(text)] for text in texts]
    vectors = Word2Vec(rows, vector_size=LENGTH, sg=1, min_count=1, workers=1, seed=1, epochs=PASSES).wv
    with atomic_path(path) as partial:
        vectors.save_word2vec_format(str(partial))


def write_starts(top: Path, options: Any, texts: list[str]) -> list[str]:
    """Write the vocabulary, and the model with each kind of rows; return the kinds."""
    if not (top / "vocab").exists():
        st.train(shipped("corpus/es-counts.parquet"), top / "vocab", size=options.size)
    if not (top / "means").exists():
        print(st.transplant(options.model, top / "means", vocab=top / "vocab"), flush=True)
    old, new = (st.Tokenizer.load(folder).vocabulary for folder in (options.model, top / "vocab"))
    for name, kept in (("new-random", [*kept_rows(old, new)]), ("all-random", [])):
        if not (top / name).exists():
            with whole_folder(top / name) as partial:
                with_random_rows(partial, top / "means", kept)
    if options.focus and not (top / "focus").exists():
        write_vectors(top / "vectors.txt", top / "vocab", texts)
        told = st.transplant(options.model, top / "focus", vocab=top / "vocab", vectors=top / "vectors.txt")
        print(told, flush=True)
    return [name for name in CURVES if name != "focus" or options.focus]


def trained(start: Path, options: Any, training: list[str], held_out: list[str]) -> Curve:
    """Return (step, bits per byte) before training and at each checkpoint."""
    output = start.parent / f"{start.name}-run"
    st.pretrain(
        texts=training, output=output, tokenizer=start, start=str(start), steps=options.steps, batch_size=8,
        input_length=256, held_out=0.0, warmup=options.steps // 10, learning_rate=options.learning_rate,
        save_every=options.every, keep=options.steps,
    )  # fmt: skip
    states = {int(folder.name.rpartition("-")[2]): folder for folder in output.glob("checkpoint-*")}
    return [(step, measured(folder, held_out)) for step, folder in sorted({0: start, **states}.items())]


def draw(output: Path, before: float, curves: dict[str, Curve], title: str) -> None:
    """Draw the curves, and a line for the model as it was."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    for name, curve in curves.items():
        label, color = CURVES[name]
        axes.plot(*zip(*curve, strict=True), color=color, marker="o", markersize=4, label=label)
    axes.axhline(
        before, color="#666666", linestyle="--", linewidth=1, label="the model with its own vocabulary"
    )
    axes.set(xlabel="step", ylabel="bits per byte, held-out texts", title=title, ylim=(0, None))
    axes.legend()
    for suffix in ("png", "svg"):
        metadata = {"Date": None} if suffix == "svg" else None
        figure.savefig(output.with_name(f"{output.name}.{suffix}"), metadata=metadata)


def main() -> None:
    """Print and draw the curves."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=shipped("models/es-tiny"))
    parser.add_argument("--size", type=int, default=8000)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--every", type=int, default=50)
    parser.add_argument("--learning-rate", type=float, default=0.005)
    parser.add_argument("--text", nargs="+", required=True)
    parser.add_argument("--megabytes", type=int, default=20)
    parser.add_argument("--focus", action="store_true", help="by FOCUS, too; needs gensim")
    parser.add_argument("--work", type=Path, help="a folder for vocabulary and models; by default they go")
    parser.add_argument("--output", type=Path, help="draw OUTPUT.png and OUTPUT.svg")
    options = parser.parse_args()
    texts = texts_of(inputs_of(options.text), options.megabytes * 1_000_000).column.to_pylist()
    held_out, training = texts[:TEXTS], texts[TEXTS:]
    with nullcontext(options.work) if options.work else tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        before = measured(options.model, held_out)
        print(f"the model with its own vocabulary: {before:.3f} bits per byte", flush=True)
        names = write_starts(top, options, training)
        curves = {name: trained(top / name, options, training, held_out) for name in names}
    print("| bits per byte | " + " | ".join(f"step {step}" for step, _ in curves["means"]) + " |")
    print("|---" * (1 + len(curves["means"])) + "|")
    for name, curve in curves.items():
        print(f"| {CURVES[name][0]} | " + " | ".join(f"{value:.3f}" for _, value in curve) + " |")
    if options.output:
        draw(
            options.output, before, curves, f"{options.model.name} with a vocabulary of {options.size:,} ids"
        )


if __name__ == "__main__":
    main()
