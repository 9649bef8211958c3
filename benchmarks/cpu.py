"""Greedy decoding on a processor: our kernels, CTranslate2, and PyTorch.

PyTorch with this package's Generator; all in one run.

    python benchmarks/cpu.py [--model DIR | --preset base] [--runs 9]

128 new tokens after 64; batch 1 and 32; one thread, two threads beside it. `</s>` is kept from ending a text (minimum
length in CTranslate2; here the end id is one that is never best), so that all write as much. Runs take turns. Two
figures each: tokens a second by the clock (medians), and by processor time, which a busy machine blurs less.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from machine import describe

from spanish_tok.files import shipped
from spanish_tok.generation.sampling import Backend, GenerateOptions, write
from spanish_tok.kernels.nn.matmul import product
from spanish_tok.kernels.nn.matmul_int8 import product_of
from spanish_tok.parallel.threads import map_in_order
from spanish_tok.t5.checkpoint import Checkpoint
from spanish_tok.t5.config import T5Config
from spanish_tok.t5.cpu_backend import CpuBackend
from spanish_tok.t5.cpu_weights import PRECISIONS, aligned, pack_matrices
from spanish_tok.t5.presets import PRESETS
from spanish_tok.t5.safetensors import Precision
from spanish_tok.vocab.vocabulary import UNK

NEW, READ = 128, 64
OPTIONS = GenerateOptions(max_new_tokens=NEW)


class Endless:
    """A backend whose texts do not end.

    The end id is <unk>, which no training has as a target.
    """

    def __init__(self, backend: Any) -> None:
        self.config = replace(backend.config, eos_token_id=UNK)
        self.start = backend.start


def ours(backend: Any, batch: Sequence[Sequence[int]], threads: int) -> list[list[int]]:
    """Write for a batch; with threads each takes a part of it."""
    parts = [batch[place::threads] for place in range(min(threads, len(batch)))]
    written = list(map_in_order(lambda part: _written(Endless(backend), part), parts, len(parts)))
    return [written[place % len(parts)][place // len(parts)] for place in range(len(batch))]


def _written(backend: Backend, batch: Sequence[Sequence[int]]) -> list[list[int]]:
    texts: list[list[int]] = [[] for _ in batch]
    for one in write(backend, batch, OPTIONS):
        texts[one.request].append(one.id)
    return texts


def ctranslate2_of(folder: str, kind: str, threads: int, pieces: list[str]) -> Callable[..., list[list[int]]]:
    import ctranslate2

    translator = ctranslate2.Translator(folder, compute_type=kind, intra_threads=threads, inter_threads=1)
    numbers = {piece: number for number, piece in enumerate(pieces)}

    def run(batch: Sequence[Sequence[int]]) -> list[list[int]]:
        found = translator.translate_batch(
            [[pieces[i] for i in row] for row in batch],
            beam_size=1, max_decoding_length=NEW, min_decoding_length=NEW,
        )  # fmt: skip
        return [[numbers[piece] for piece in one.hypotheses[0]] for one in found]

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", type=Path, default=None, help="folder of a model; else the shipped one")
    parser.add_argument("--preset", choices=PRESETS, help="a model of this shape with random weights")
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, nargs="*", default=[1, 32])
    options = parser.parse_args()
    print(describe("numpy", "numba", "ctranslate2", "torch"))
    checkpoint = Checkpoint.load(options.model or shipped("models/es-tiny"))
    if options.preset:
        checkpoint = random_weights(options.preset, checkpoint)
    floor(checkpoint, options.runs)
    if not options.preset:
        start_up(options.model)
    with tempfile.TemporaryDirectory() as folder:
        ways = every_way(checkpoint, Path(folder), options.threads)
        for size in options.batch:
            compare(ways, size, options.runs if size == 1 else max(3, options.runs // 2), options.threads)


def random_weights(preset: str, like: Checkpoint) -> Checkpoint:
    """Return a model of another shape with the vocabulary of `like`, untrained."""
    import torch

    from spanish_tok.t5.model import T5

    torch.manual_seed(0)
    model = T5(T5Config.preset(preset, vocab_size=like.config.vocab_size))
    print(f"{preset}: {sum(parameter.numel() for parameter in model.parameters()):,} parameters")
    return model.checkpoint(like.vocabulary)


def every_way(
    checkpoint: Checkpoint, folder: Path, threads: int
) -> dict[str, Callable[..., list[list[int]]]]:
    """Name -> a function from a batch of ids to the ids written."""
    ways: dict[str, Callable[..., list[list[int]]]] = {}
    for precision in PRECISIONS:
        backend = CpuBackend(checkpoint, precision)
        ways[f"spanish-tok {precision}"] = lambda batch, backend=backend: ours(backend, batch, threads)
    try:
        from ctranslate2.converters import TransformersConverter

        checkpoint.save(folder / "float32")
        TransformersConverter(str(folder / "float32")).convert(str(folder / "ct2"))
        pieces = list(checkpoint.vocabulary.pieces)
        pieces += [
            f"<extra_id_{checkpoint.config.vocab_size - 1 - i}>"
            for i in range(len(pieces), checkpoint.config.vocab_size)
        ]
        for kind in ("float32", "int8"):
            ways[f"CTranslate2 {kind}"] = ctranslate2_of(str(folder / "ct2"), kind, threads, pieces)
    except ImportError:
        print("ctranslate2 or transformers is not installed: left out")
    try:
        import torch

        from spanish_tok.t5.model import T5
        from spanish_tok.t5.torch_backend import TorchBackend

        torch.set_num_threads(threads)
        model = TorchBackend(T5.from_checkpoint(checkpoint))
        ways["PyTorch, this Generator"] = lambda batch: _written(Endless(model), batch)
    except ImportError:
        print("torch is not installed: left out")
    return ways


def compare(ways: dict[str, Callable[..., list[list[int]]]], size: int, runs: int, threads: int) -> None:
    rng = np.random.default_rng(size)
    batch = [[*rng.integers(3, 4900, READ - 1).tolist(), 1] for _ in range(size)]
    found = {name: way(batch) for name, way in ways.items()}
    for name, texts in found.items():
        assert [len(text) for text in texts] == [NEW] * size, f"{name} did not write {NEW} ids for each text"
    clock: dict[str, list[float]] = {name: [] for name in ways}
    processor: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(runs):
        for name, way in ways.items():
            began, used = time.perf_counter(), time.process_time()
            way(batch)
            clock[name].append(time.perf_counter() - began)
            processor[name].append(time.process_time() - used)
    reference = found["spanish-tok float32"]
    print(f"\nbatch {size}, {threads} thread(s), {NEW} new after {READ}: tokens/s, median of {runs} runs")
    print(f"{'':<26}{'clock':>8}{'best':>8}{'processor':>11}{'best':>8}  ids equal to ours in float32")
    for name in ways:
        tokens = size * NEW
        same = np.mean(
            [a == b for x, y in zip(found[name], reference, strict=True) for a, b in zip(x, y, strict=False)]
        )
        print(
            f"{name:<26}{tokens / median(clock[name]):>8,.0f}{tokens / min(clock[name]):>8,.0f}"
            f"{tokens / median(processor[name]):>11,.0f}{tokens / min(processor[name]):>8,.0f}  {same:.1%}"
        )
    for mine, other in (("float32", "float32"), ("int8", "int8")):
        if f"CTranslate2 {other}" in ways:
            a, b = f"spanish-tok {mine}", f"CTranslate2 {other}"
            print(
                f"{mine}: {median(clock[b]) / median(clock[a]):.2f} x CTranslate2 by the clock,"
                f" {median(processor[b]) / median(processor[a]):.2f} x by processor time"
            )


def floor(checkpoint: Checkpoint, runs: int) -> None:
    """Return the bytes that a token must read, over the speed of one thread."""
    backend = CpuBackend(checkpoint, "float32")
    matrices = backend._decoder.matrices
    weights = int(matrices.starts[0, 6 * checkpoint.config.num_decoder_layers + 1])
    head = backend._decoder.matrices.starts[0, 6 * checkpoint.config.num_decoder_layers]
    print("\nfloor: bytes of the decoder's weights read for a token / what one thread reads of that size")
    for name, size in (
        ("float32", 4 * weights),
        ("float32, output layer screened", int(4 * head + (weights - head))),
        ("bfloat16", 2 * weights),
        ("int8", weights),
    ):
        rate = _bandwidth(size, runs)
        print(
            f"{name:<32}{size / 1e6:>6.1f} MB at {rate / 1e9:>5.1f} GB/s: {rate / size:>7,.0f} tokens/s at most"
        )

    for precision in PRECISIONS:
        print(f"{precision:<32}{_arithmetic(precision, runs) / 1e9:>6.0f} GFLOP/s for 32 rows at a time")


def _arithmetic(precision: Precision, runs: int) -> float:
    """Multiplications and additions a second of one product that stays in the caches."""
    packed = pack_matrices([np.ones((1280, 320), np.float32)], precision)
    x, out = np.ones((32, 320), np.float32), np.empty((32, 1280), np.float32)
    return (
        2 * x.size * out.shape[1] / _seconds(lambda: product_of(packed.weights, packed.scales, x, out), runs)
    )


def _bandwidth(size: int, runs: int) -> float:
    weights = aligned((size // 4 // 20480 * 20480,), np.float32)
    weights[:] = 1
    out, x = np.empty((1, weights.size // 320), np.float32), np.ones((1, 320), np.float32)
    return weights.nbytes / _seconds(lambda: product(weights, x, out), runs)


def _seconds(function: Callable[[], object], runs: int) -> float:
    times = []
    for _ in range(10 * runs):
        began = time.thread_time()
        function()
        times.append(time.thread_time() - began)
    return median(times)


def start_up(model: Path | None) -> None:
    """Measure a process from its start to its first token, and its memory.

    The compiled code is on disk.
    """
    where = repr(str(model)) if model else "None"
    code = (
        "from spanish_tok import Generator\n"
        f"print(next(iter(Generator.load({where}).stream('la capital de <extra_id_0> es madrid .'))), flush=True)\n"
        "print([line.split()[1] for line in open('/proc/self/status') if 'VmHWM' in line][0], flush=True)"
    )
    times, used, memory = [], [], 0
    for _ in range(6):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, env={**os.environ}
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            times.append(time.perf_counter() - began)
            memory = int(process.stdout.read()) // 1000
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    print(
        f"\nprocess start to first token: {median(times[1:]):.2f} s by the clock, best {min(times):.2f}"
        f" ({median(used[1:]):.2f} s of processor time to the end), peak memory {memory} MB"
    )


if __name__ == "__main__":
    main()
