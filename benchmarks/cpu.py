"""Greedy decoding on a processor: our kernels beside CTranslate2, ONNX Runtime, OpenVINO and PyTorch.

PyTorch with this package's Generator; ONNX Runtime and OpenVINO with our graphs (onnx_decoders.py); all in one run.

    python benchmarks/cpu.py [--model DIR | --preset base] [--runs 9] [--batch 1 32] [--prefill 512] [--scaling]
        [--json FILE]

128 new tokens after 64; batch 1 and 32; one thread, two threads beside it. `</s>` is kept from ending a text (minimum
length in CTranslate2; here the end id is one that is never best), so that all write as much. Runs take turns. Two
figures each: tokens a second by the clock (medians), and by processor time, which a busy machine blurs less.
`--prefill` times one text of so many ids up to its first token instead, `--scaling` ours on two threads beside one.
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
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from onnx_decoders import onnx_ways
from record import Report, add_json_option
from roofline import add_roofline

from spanish_tok.files import shipped
from spanish_tok.generation.sampling import Backend, GenerateOptions, write
from spanish_tok.kernels.nn.matmul import product
from spanish_tok.parallel.threads import map_in_order
from spanish_tok.t5.checkpoint import Checkpoint
from spanish_tok.t5.config import T5Config
from spanish_tok.t5.cpu_backend import CpuBackend
from spanish_tok.t5.cpu_weights import PRECISIONS, aligned
from spanish_tok.t5.presets import PRESETS
from spanish_tok.vocab.vocabulary import UNK

NEW, READ = 128, 64
Rows = Sequence[Sequence[int]]
Way = Callable[[Rows, int], list[list[int]]]  # a batch of ids, and how many to write -> the ids written


class Endless:
    """A backend whose texts do not end.

    The end id is <unk>, which no training has as a target.
    """

    def __init__(self, backend: Any) -> None:
        self.config = replace(backend.config, eos_token_id=UNK)
        self.start = backend.start


def ours(backend: Any, batch: Rows, new: int, threads: int) -> list[list[int]]:
    """Write for a batch; with threads each takes a part of it."""
    parts = [batch[place::threads] for place in range(min(threads, len(batch)))]
    written = list(map_in_order(lambda part: _written(Endless(backend), part, new), parts, len(parts)))
    return [written[place % len(parts)][place // len(parts)] for place in range(len(batch))]


def _written(backend: Backend, batch: Rows, new: int) -> list[list[int]]:
    texts: list[list[int]] = [[] for _ in batch]
    for one in write(backend, batch, GenerateOptions(max_new_tokens=new)):
        texts[one.request].append(one.id)
    return texts


def ctranslate2_of(folder: str, kind: str, threads: int, pieces: list[str]) -> Way:
    import ctranslate2

    translator = ctranslate2.Translator(folder, compute_type=kind, intra_threads=threads, inter_threads=1)
    numbers = {piece: number for number, piece in enumerate(pieces)}

    def run(batch: Rows, new: int) -> list[list[int]]:
        found = translator.translate_batch(
            [[pieces[i] for i in row] for row in batch],
            beam_size=1, max_decoding_length=new, min_decoding_length=new,
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
    parser.add_argument(
        "--prefill", type=int, nargs="*", default=[], help="ids of a text, up to its first token"
    )
    parser.add_argument("--scaling", action="store_true", help="two threads beside one, batch 32, ours")
    parser.add_argument("--no-start", action="store_true", help="without the start of a process")
    add_json_option(parser)
    options = parser.parse_args()
    report = Report("spanish-tok", "numpy", "numba", "ctranslate2", "onnxruntime", "openvino", "torch")
    checkpoint = Checkpoint.load(options.model or shipped("models/es-tiny"))
    if options.preset:
        checkpoint = random_weights(options.preset, checkpoint)
    add_roofline(report)
    floor(checkpoint, options.runs, report)
    if not options.preset and not options.no_start:
        start_up(options.model, report)
    with tempfile.TemporaryDirectory() as folder:
        ways = every_way(checkpoint, Path(folder), options.threads, report)
        for size in options.batch:
            runs = options.runs if size == 1 else max(3, options.runs // 2)
            compare(ways, size, runs, options.threads, report)
        for length in options.prefill:
            compare_prefill(ways, length, options.runs, report)
    if options.scaling:
        compare_threads(checkpoint, max(3, options.runs // 2), report)
    report.save(options.json)


def random_weights(preset: str, like: Checkpoint) -> Checkpoint:
    """Return a model of another shape with the vocabulary of `like`, untrained."""
    import torch

    from spanish_tok.t5.model import T5

    torch.manual_seed(0)
    model = T5(T5Config.preset(preset, vocab_size=like.config.vocab_size))
    print(f"{preset}: {sum(parameter.numel() for parameter in model.parameters()):,} parameters")
    return model.checkpoint(like.vocabulary)


def every_way(checkpoint: Checkpoint, folder: Path, threads: int, report: Report) -> dict[str, Way]:
    """Name -> a function from a batch of ids to the ids written."""
    ways: dict[str, Way] = {}
    for precision in PRECISIONS:
        backend = CpuBackend(checkpoint, precision)
        ways[f"spanish-tok {precision}"] = partial(ours, backend, threads=threads)
    checkpoint.save(folder / "float32")
    try:
        from ctranslate2.converters import TransformersConverter

        TransformersConverter(str(folder / "float32")).convert(str(folder / "ct2"))
        pieces = list(checkpoint.vocabulary.pieces)
        pieces += [
            f"<extra_id_{checkpoint.config.vocab_size - 1 - i}>"
            for i in range(len(pieces), checkpoint.config.vocab_size)
        ]
        for kind in ("float32", "int8"):
            ways[f"CTranslate2 {kind}"] = ctranslate2_of(str(folder / "ct2"), kind, threads, pieces)
    except Exception as error:
        report.leave_out("CTranslate2", f"{type(error).__name__}: {error}")
    ways |= onnx_ways(checkpoint, folder, threads, report)
    try:
        import torch

        from spanish_tok.t5.model import T5
        from spanish_tok.t5.torch_backend import TorchBackend

        torch.set_num_threads(threads)
        model = TorchBackend(T5.from_checkpoint(checkpoint))
        ways["PyTorch, this Generator"] = lambda batch, new: _written(Endless(model), batch, new)
    except ImportError as error:
        report.leave_out("PyTorch", str(error))
    return ways


def in_turns(works: dict[str, Callable[[], object]], runs: int) -> tuple[dict[str, list[float]], ...]:
    """Return seconds of the clock, and of the processor, of each contender in each run."""
    clock: dict[str, list[float]] = {name: [] for name in works}
    processor: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(runs):
        for name, work in works.items():
            began, used = time.perf_counter(), time.process_time()
            work()
            clock[name].append(time.perf_counter() - began)
            processor[name].append(time.process_time() - used)
    return clock, processor


def compare(ways: dict[str, Way], size: int, runs: int, threads: int, report: Report) -> None:
    rng = np.random.default_rng(size)
    batch = [[*rng.integers(3, 4900, READ - 1).tolist(), 1] for _ in range(size)]
    found = {name: way(batch, NEW) for name, way in ways.items()}
    for name, texts in found.items():
        assert [len(text) for text in texts] == [NEW] * size, f"{name} did not write {NEW} ids for each text"
    clock, processor = in_turns({name: partial(way, batch, NEW) for name, way in ways.items()}, runs)
    reference = found["spanish-tok float32"]
    print(f"\nbatch {size}, {threads} thread(s), {NEW} new after {READ}: tokens/s, median of {runs} runs")
    print(f"{'':<26}{'clock':>8}{'best':>8}{'processor':>11}{'best':>8}  ids equal to ours in float32")
    column, tokens = f"batch {size}", size * NEW
    table = f"tokens a second, {'one thread' if threads == 1 else f'{threads} threads'}"
    for name in ways:
        same = np.mean(
            [a == b for x, y in zip(found[name], reference, strict=True) for a, b in zip(x, y, strict=False)]
        )
        print(
            f"{name:<26}{tokens / median(clock[name]):>8,.0f}{tokens / min(clock[name]):>8,.0f}"
            f"{tokens / median(processor[name]):>11,.0f}{tokens / min(processor[name]):>8,.0f}  {same:.1%}"
        )
        used = processor if threads == 1 else clock
        report.add(table, name, column, [tokens / seconds for seconds in used[name]], "tokens/s")
        report.add("ids equal to ours in float32, %", name, column, [100 * float(same)], "%")
    for kind in ("float32", "int8"):
        a, b = f"spanish-tok {kind}", f"CTranslate2 {kind}"
        if b in ways:
            used = processor if threads == 1 else clock
            print(
                f"{kind}: {median(clock[b]) / median(clock[a]):.2f} x CTranslate2 by the clock,"
                f" {median(processor[b]) / median(processor[a]):.2f} x by processor time,"
                f" {min(used[b]) / median(used[a]):.2f} x its best run"
            )
            ratios = [min(used[b]) / seconds for seconds in used[a]]
            report.add(table, f"{kind}, ours : CTranslate2's best run", column, ratios, "x")


def compare_prefill(ways: dict[str, Way], length: int, runs: int, report: Report) -> None:
    """Time reading a text and writing one token, batch 1."""
    batch = [[*np.random.default_rng(0).integers(3, 4900, length - 1).tolist(), 1]]
    first = {name: way(batch, 1) for name, way in ways.items()}
    _, processor = in_turns({name: partial(way, batch, 1) for name, way in ways.items()}, 2 * runs)
    print(f"\n{length} ids up to the first token, batch 1: ms of processor time, median of {2 * runs} runs")
    for name, seconds in processor.items():
        milliseconds = [1000 * one for one in seconds]
        report.add("up to the first token, ms", name, f"{length} ids", milliseconds, "ms")
        told = "" if first[name] == first["spanish-tok float32"] else "  another first token"
        print(f"{name:<26}{median(milliseconds):>8.1f}{min(milliseconds):>8.1f}{told}")
    for kind in ("float32", "int8"):
        if f"CTranslate2 {kind}" in ways:
            best = min(processor[f"CTranslate2 {kind}"])
            ratios = [best / seconds for seconds in processor[f"spanish-tok {kind}"]]
            row = f"{kind}, ours : CTranslate2's best run"
            report.add("up to the first token, ms", row, f"{length} ids", ratios, "x")


def compare_threads(checkpoint: Checkpoint, runs: int, report: Report) -> None:
    """Time ours on two threads and on one, batch 32, by the clock, in turns."""
    rng = np.random.default_rng(32)
    batch = [[*rng.integers(3, 4900, READ - 1).tolist(), 1] for _ in range(32)]
    for precision in PRECISIONS:
        backend = CpuBackend(checkpoint, precision)
        works: dict[str, Callable[[], object]] = {
            f"{threads} threads": partial(ours, backend, batch, NEW, threads) for threads in (1, 2)
        }
        assert works["1 threads"]() == works["2 threads"](), "threads change ids"
        clock, _ = in_turns(works, runs)
        one, two = clock.values()
        row = f"spanish-tok {precision}"
        for column, seconds in (("1 thread", one), ("2 threads", two)):
            speeds = [32 * NEW / each for each in seconds]
            report.add("two threads, batch 32, by the clock", row, column, speeds, "tokens/s")
        ratios = [a / b for a, b in zip(one, two, strict=True)]
        report.add("two threads, batch 32, by the clock", row, "2 : 1", ratios, "x")
        print(f"{row:<26} two threads {median(ratios):.2f} x one, batch 32, the same ids", flush=True)


def floor(checkpoint: Checkpoint, runs: int, report: Report) -> None:
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
        row, table = f"{name}, {size / 1e6:.1f} MB", "weights read for a token at batch 1"
        report.add(table, row, "read", [rate / 1e9], "GB/s")
        report.add(table, row, "at most", [rate / size], "tokens/s")


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


def start_up(model: Path | None, report: Report) -> None:
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
    for column, seconds in (("by the clock", times[1:]), ("processor time to the end", used[1:])):
        report.add("a process from its start to its first token", "spanish-tok", column, seconds, "s")
    report.add("a process from its start to its first token", "spanish-tok", "peak memory", [memory], "MB")
    print(
        f"\nprocess start to first token: {median(times[1:]):.2f} s by the clock, best {min(times):.2f}"
        f" ({median(used[1:]):.2f} s of processor time to the end), peak memory {memory} MB"
    )


if __name__ == "__main__":
    main()
