"""The cost of a precision: bytes, bits per byte, equal greedy outputs.

The last column: equal to what PyTorch writes from the same weights (in bfloat16 and int8 those that were stored).

    python benchmarks/precision.py --model DIR records.parquet ... [--texts 300] [--json FILE]

DIR holds float32 weights. Held out is what `pretrain` holds out by default: 1 % of the texts, by their hash.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from record import Report, add_json_option

from spanish_tok.generation.generator import Generator
from spanish_tok.generation.sampling import GenerateOptions
from spanish_tok.measure.figures.model import scorer_of
from spanish_tok.t5.checkpoint import WEIGHTS, WEIGHTS_INT8, Checkpoint
from spanish_tok.t5.cpu_backend import CpuBackend
from spanish_tok.t5.cpu_weights import PRECISIONS
from spanish_tok.t5.torch_backend import TorchBackend
from spanish_tok.text.packed_table import normalize_column
from spanish_tok.tokenization.tokenizer import Tokenizer
from spanish_tok.training.bits_per_byte import bits_per_byte, encode_masked, mask_words
from spanish_tok.training.held_out import _hashes


def held_out_texts(files: list[Path], count: int, share: float = 0.01) -> list[str]:
    """Up to `count` normalized texts that no training by the default recipe saw."""
    found: list[str] = []
    for file in files:
        column = normalize_column(pq.read_table(file, columns=["text"])["text"])
        chosen = np.flatnonzero(_hashes(column) < np.uint64(share * 2.0**64))
        found += [text for text in column.take(pa.array(chosen)).to_pylist() if text]
        if len(found) >= count:
            break
    return found[:count]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--texts", type=int, default=300)
    add_json_option(parser)
    options = parser.parse_args()
    report = Report("spanish-tok", "numpy", "numba", "torch")
    checkpoint = Checkpoint.load(options.model)
    tokenizer = Tokenizer(checkpoint.vocabulary)
    texts = held_out_texts(options.files, options.texts)
    inputs = [encode_masked(tokenizer, mask_words(text))[0] for text in texts]
    print(f"{len(texts)} held-out texts; greedy, at most 64 new tokens, of each text with its words masked")
    print("           MB on disk  bits per byte  against float32  equal outputs  equal ids  as PyTorch")
    reference: list[tuple[int, ...]] = []
    base = 0.0
    for precision in PRECISIONS:
        with tempfile.TemporaryDirectory() as folder:
            checkpoint.save(folder, precision)
            reading = TorchBackend.load(folder)
            size = (Path(folder) / (WEIGHTS_INT8 if precision == "int8" else WEIGHTS)).stat().st_size
        backend = CpuBackend(checkpoint, precision)
        value = bits_per_byte(scorer_of(backend), tokenizer, texts).value
        written, by_torch = (
            [one.ids for one in Generator(either, tokenizer).write_ids(inputs, GenerateOptions(64))]
            for either in (backend, reading)
        )
        reference, base = reference or written, base or value
        equal = np.mean([a == b for a, b in zip(written, reference, strict=True)])
        as_torch = np.mean([a == b for a, b in zip(written, by_torch, strict=True)])
        ids = [a == b for x, y in zip(written, reference, strict=True) for a, b in zip(x, y, strict=False)]
        for column, figure, unit in (
            ("on disk", size / 1e6, "MB"), ("bits per byte", value, ""),
            ("against float32", 100 * (value / base - 1), "%"),
            ("equal greedy outputs", 100 * float(equal), "%"), ("equal ids", 100 * float(np.mean(ids)), "%"),
            ("outputs as PyTorch's", 100 * float(as_torch), "%"),
        ):  # fmt: skip
            report.add("the cost of a precision", precision, column, [figure], unit)
        print(
            f"{precision:<10}{size / 1e6:>11.2f}{value:>15.4f}{value / base - 1:>+17.3%}"
            f"{equal:>15.1%}{np.mean(ids):>11.1%}{as_torch:>12.1%}"
        )
    report.save(options.json)


if __name__ == "__main__":
    main()
