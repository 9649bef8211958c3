"""llama.cpp beside this package: logits and greedy outputs from a GGUF file of each precision.

    python -m benchmarks.llama ../shared/corpus/records-es-0.parquet [--model DIR]

Inputs are the first ids of real texts and a gap. An output is equal when all its ids are.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch

from spanish_tok import Generator, export
from spanish_tok.files import shipped
from spanish_tok.generation.sampling import GenerateOptions
from spanish_tok.t5.model import T5
from tests.llama import Llama

END, STEPS = 1, 32


def real_inputs(file: Path, generator: Generator, count: int) -> list[list[int]]:
    """Return the first 10 to 60 ids of texts, with a gap at the end."""
    column, tokenizer = pq.read_table(file, columns=["text"])["text"], generator.tokenizer
    texts = (column[n * (len(column) // count)].as_py() for n in range(count))
    gap = tokenizer.vocabulary.sentinel_id(0)
    return [[*tokenizer.encode(text[:300])[: 10 + n % 50], gap, END] for n, text in enumerate(texts)]


def compare(engine: Llama, model: Any, inputs: list[list[int]], ours: list[list[int]]) -> str:
    """Return equal outputs, the largest difference of logits, and the ties."""
    equal, apart, ties = 0, 0.0, []
    for n, (row, ids) in enumerate(zip(inputs, ours, strict=True)):
        written, logits = engine.greedy(row, STEPS)
        with torch.no_grad():
            expected = model(torch.tensor([row]), decoder_input_ids=torch.tensor([[0, *written[:-1]]]))[0]
        apart = max(apart, float(np.abs(logits - expected.numpy()).max()))
        if [number for number in written if number != END] == ids:
            equal += 1
            continue
        place = int(np.flatnonzero(expected.argmax(-1).numpy() != np.array(written))[0])
        best = expected[place].topk(2).values
        if (gap := float(best[0] - best[1])) < 1e-4:
            ties.append(f"output {n} at id {place}: {gap:.0e}")
    named = f"; ties: {', '.join(ties)}" if ties else ""
    return f"{equal} of {len(inputs)} outputs equal, logits at most {apart:.1e} apart{named}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path, help="records as Parquet, with a column text")
    parser.add_argument("--model", type=Path, default=shipped("models/es-tiny"))
    parser.add_argument("--texts", type=int, default=200)
    options = parser.parse_args()
    generator, model = Generator.load(options.model, "torch"), T5.load(options.model)
    inputs = real_inputs(options.file, generator, options.texts)
    found = generator.write_ids(inputs, GenerateOptions(max_new_tokens=STEPS))
    ours = [list(output.ids) for output in found]
    print(f"{len(ours)} outputs of {np.mean([len(ids) for ids in ours]):.1f} ids on average, {STEPS} at most")
    for precision in ("f32", "f16", "q8_0"):
        with tempfile.TemporaryDirectory() as folder:
            written = export(options.model, Path(folder) / "model", to="gguf", precision=precision)
            engine = Llama(written / "model.gguf", model.config.vocab_size)
            print(f"{precision}: {compare(engine, model, inputs, ours)}", flush=True)
            engine.close()


if __name__ == "__main__":
    main()
