"""What carried rows are worth: bits per byte of a model with another vocabulary, before training and after some steps.

    python benchmarks/transplant.py --text records.parquet --output docs/assets/transplant

Trains a vocabulary of --size ids from the counts that ship, gives it to --model twice (rows carried over; rows drawn
anew, of the same deviation), and trains all weights of both on the same batches. Prints the curves as a table in
Markdown, and draws them as OUTPUT.png and OUTPUT.svg. Held-out texts are the first
of the records; the words that are masked in them depend on the text alone, so that vocabularies can be compared.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import spanish_tok as st
from spanish_tok.files import shipped
from spanish_tok.measure.figures.texts import texts_of
from spanish_tok.readers.inputs import inputs_of
from spanish_tok.t5.checkpoint import Checkpoint
from spanish_tok.training.bits_per_byte import bits_per_byte
from spanish_tok.training.losses import scorer_of

TEXTS = 300  # held out, that bits per byte are measured on
NAMES = {"means": "rows carried over", "random": "random rows"}
Curve = list[tuple[int, float]]


def measured(folder: Path, texts: list[str]) -> float:
    """Return the bits per byte of a model."""
    return bits_per_byte(scorer_of(st.T5.load(folder)), st.Tokenizer.load(folder), texts).value


def with_random_rows(folder: Path, kept: Path) -> None:
    """Write the model of a folder with rows drawn anew, of the same deviation."""
    checkpoint = Checkpoint.load(kept)
    rows = checkpoint.tensors["shared.weight"]
    drawn = np.random.default_rng(0).normal(0, rows.std(), rows.shape).astype(np.float32)
    replace(checkpoint, tensors=checkpoint.tensors | {"shared.weight": drawn}).save(folder)


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
    for (name, curve), color in zip(curves.items(), ("#1f4e8c", "#b5432a"), strict=True):
        axes.plot(*zip(*curve, strict=True), color=color, marker="o", markersize=4, label=NAMES[name])
    axes.axhline(
        before, color="#666666", linestyle="--", linewidth=1, label="the model with its own vocabulary"
    )
    axes.set(xlabel="step", ylabel="bits per byte, held-out texts", title=title, ylim=(0, None))
    axes.legend()
    for suffix in ("png", "svg"):
        figure.savefig(output.with_suffix(f".{suffix}"), metadata={"Date": None} if suffix == "svg" else None)


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
    parser.add_argument("--output", type=Path, help="draw OUTPUT.png and OUTPUT.svg")
    options = parser.parse_args()
    texts = texts_of(inputs_of(options.text), options.megabytes * 1_000_000).column.to_pylist()
    held_out, training = texts[:TEXTS], texts[TEXTS:]
    with tempfile.TemporaryDirectory() as temporary:
        top = Path(temporary)
        st.train(shipped("corpus/es-counts.parquet"), top / "vocab", size=options.size)
        before = measured(options.model, held_out)
        print(f"the model with its own vocabulary: {before:.3f} bits per byte", flush=True)
        print(st.transplant(options.model, top / "means", vocab=top / "vocab"), flush=True)
        with_random_rows(top / "random", top / "means")
        curves = {name: trained(top / name, options, training, held_out) for name in NAMES}
    print("| bits per byte | " + " | ".join(f"step {step}" for step, _ in curves["means"]) + " |")
    print("|---" * (1 + len(curves["means"])) + "|")
    for name, curve in curves.items():
        print(f"| {NAMES[name]} | " + " | ".join(f"{value:.3f}" for _, value in curve) + " |")
    if options.output:
        draw(
            options.output, before, curves, f"{options.model.name} with a vocabulary of {options.size:,} ids"
        )


if __name__ == "__main__":
    main()
