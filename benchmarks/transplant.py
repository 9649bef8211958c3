"""What carried rows are worth: bits per byte of a model with another vocabulary, before training and after some steps.

    python benchmarks/transplant.py --model models/es-tiny --size 8000 --steps 200 --text records.parquet

One row each: the model as it is; transplanted by means; the same with random rows. The steps train all weights.
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


def measured(model: Any, tokenizer: st.Tokenizer, texts: list[str]) -> float:
    """Return the bits per byte of a model."""
    return bits_per_byte(scorer_of(model), tokenizer, texts).value


def with_random_rows(folder: Path, kept: Path) -> Path:
    """Write the model of a folder with rows drawn anew, of the same deviation."""
    checkpoint = Checkpoint.load(kept)
    rows = checkpoint.tensors["shared.weight"]
    drawn = np.random.default_rng(0).normal(0, rows.std(), rows.shape).astype(np.float32)
    replace(checkpoint, tensors=checkpoint.tensors | {"shared.weight": drawn}).save(folder)
    return folder


def main() -> None:
    """Print the curve."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=shipped("models/es-tiny"))
    parser.add_argument("--size", type=int, default=8000)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--text", nargs="+", required=True)
    parser.add_argument("--megabytes", type=int, default=20)
    options = parser.parse_args()
    texts = texts_of(inputs_of(options.text), options.megabytes * 1_000_000).column.to_pylist()
    held_out, training = texts[:TEXTS], texts[TEXTS:]
    with tempfile.TemporaryDirectory() as temporary:
        top = Path(temporary)
        st.train(shipped("corpus/es-counts.parquet"), top / "vocab", size=options.size)
        print(
            "the model as it is:",
            measured(st.T5.load(options.model), st.Tokenizer.load(), held_out),
            flush=True,
        )
        print(st.transplant(options.model, top / "means", vocab=top / "vocab"))
        with_random_rows(top / "random", top / "means")
        for name in ("means", "random"):
            before = measured(st.T5.load(top / name), st.Tokenizer.load(top / "vocab"), held_out)
            run = st.pretrain(
                texts=training, output=top / f"{name}-run", tokenizer=top / "vocab", start=str(top / name),
                steps=options.steps, batch_size=16, input_length=256, held_out=0.0, warmup=10, save_every=10_000,
            )  # fmt: skip
            assert run.checkpoint
            after = measured(st.T5.load(run.checkpoint), st.Tokenizer.load(top / "vocab"), held_out)
            print(f"{name}: {before:.3f} right after, {after:.3f} after {options.steps} steps", flush=True)


if __name__ == "__main__":
    main()
