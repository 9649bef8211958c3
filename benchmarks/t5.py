"""The model against its peers, in one run.

Greedy decoding of 128 tokens, a training step, and a step of pretraining, compiled.

    python benchmarks/t5.py --model DIR [--texts FILE.parquet ...] [--threads 1] [--json FILE]
    python benchmarks/t5.py --pretraining [--device cuda] [--threads 2]

DIR is a model folder; without --texts random ids are read. Seconds are of the processor, all threads together, the
median of several runs, contenders taking turns; all write exactly 128 tokens, so that lengths are equal. With --texts
the greedy ids of all are compared on 200 real inputs, which may end by themselves.

--pretraining times whole steps of the default recipe's model without dropout, in bfloat16 where that is native: batches
made by threads, loss, gradients, clipping, AdamW; seconds of the clock. On a CPU 32 sequences of 256 ids, the aim is
1.3 times the eager step and 1.25 times transformers'; on a graphics card 256 of them, 3 million tokens a second and 5
times transformers'.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))
from record import Report, add_json_option

from spanish_tok import GenerateOptions, Generator, PretrainOptions, SpanCorruption, T5Config
from spanish_tok.parallel.threads import Ahead, thread_pool
from spanish_tok.t5.export.libraries import export
from spanish_tok.t5.model import T5
from spanish_tok.training.losses import loss_of as loss_of_batch
from spanish_tok.training.optimizers import autocast, optimizer_for
from spanish_tok.training.packing import PackedBatches
from spanish_tok.training.pretraining.compiled_step import BatchShape, CompiledStep
from spanish_tok.training.span_corruption import Batch

Rows = list[list[int]]
NEW = 128
PEER = "transformers"


def seconds_of(contenders: Mapping[str, Callable[[], Any]], runs: int) -> dict[str, list[float]]:
    """Return seconds of the processor for each contender in each of `runs`.

    After one to warm up, in turns.
    """
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for run in range(runs + 1):
        for name, work in contenders.items():
            start = time.process_time()
            work()
            if run:
                found[name].append(time.process_time() - start)
    return found


def keep(report: Report, table: str, column: str, tokens: int, found: dict[str, list[float]]) -> None:
    """Print and keep tokens a second, and how many times transformers'."""
    for name, seconds in found.items():
        report.add(table, name, column, [tokens / one for one in seconds], "tokens/s")
        ratios = [b / a for a, b in zip(seconds, found[PEER], strict=True)]
        report.add(table, f"{name} : {PEER}", column, ratios, "x")
        speed = tokens / median(seconds)
        print(f"{column:<18}{name:<24}{speed:>11,.0f} tokens/s {median(ratios):>7.2f} x", flush=True)


def inputs(files: list[str], tokenizer: Any, count: int) -> Rows:
    """Rows of up to 64 ids with two gaps, from real records or random."""
    if not files:
        random = np.random.default_rng(0)
        return [[*random.integers(3, 4900, 63).tolist(), 1] for _ in range(count)]
    from spanish_tok.readers.records import read_records

    rows: Rows = []
    for batch in read_records(files):
        for text in batch.column("text").to_pylist():
            ids = tokenizer.encode(text)[:64]
            if len(ids) >= 20:
                third = len(ids) // 3
                gaps = (tokenizer.sentinel_id(0), tokenizer.sentinel_id(1))
                rows.append(
                    [*ids[:third], gaps[0], *ids[third + 3 : 2 * third], gaps[1], *ids[2 * third + 3 :], 1]
                )
            if len(rows) == count:
                return rows
    return rows


def padded(rows: Rows) -> tuple[torch.Tensor, torch.Tensor]:
    longest = max(map(len, rows))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    return ids, torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])


def decoders(folder: Path, work: Path, threads: int) -> dict[str, Callable[[Rows, int, bool], Rows]]:
    """Return name -> function (rows, most new tokens, all written) -> ids."""
    import ctranslate2
    import transformers

    ours = Generator.load(folder, "torch")
    endless = Generator.load(folder, "torch")
    endless.backend.config = replace(endless.backend.config, eos_token_id=2)  # <unk>: never written
    theirs = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    pieces = ours.tokenizer.vocabulary.pieces
    numbers = {piece: number for number, piece in enumerate(pieces)}

    def with_ours(rows: Rows, most: int, full: bool) -> Rows:
        writer = endless if full else ours
        return [list(one.ids) for one in writer.write_ids(rows, GenerateOptions(max_new_tokens=most))]

    def with_transformers(rows: Rows, most: int, full: bool) -> Rows:
        ids, mask = padded(rows)
        least = {"min_new_tokens": most} if full else {}
        found = theirs.generate(
            input_ids=ids, attention_mask=mask, max_new_tokens=most, do_sample=False, num_beams=1, **least
        )
        texts = [row[1:] for row in found.tolist()]
        return [row[: row.index(1)] if 1 in row else row for row in texts]

    def with_ctranslate2(precision: str) -> Callable[[Rows, int, bool], Rows]:
        export(folder, work / precision, to="ctranslate2", precision=precision)
        translator = ctranslate2.Translator(str(work / precision), intra_threads=threads)

        def decode(rows: Rows, most: int, full: bool) -> Rows:
            found = translator.translate_batch(
                [[pieces[number] for number in row] for row in rows],
                beam_size=1,
                max_decoding_length=most,
                min_decoding_length=most if full else 0,
            )
            return [[numbers[piece] for piece in one.hypotheses[0]] for one in found]

        return decode

    return {
        "spanish-tok": with_ours,
        PEER: with_transformers,
        "CTranslate2 float32": with_ctranslate2("float32"),
        "CTranslate2 int8": with_ctranslate2("int8"),
    }


def bench_decoding(
    decode: dict[str, Callable[[Rows, int, bool], Rows]], rows: Rows, runs: int, report: Report
) -> None:
    for size in (1, 32):
        batch = rows[:size]
        work = {name: partial(one, batch, NEW, True) for name, one in decode.items()}
        keep(report, "greedy decoding of 128 tokens", f"batch {size}", size * NEW, seconds_of(work, runs))


def loss_of(model: Any, ids: Any, labels: Any, mask: Any) -> Any:
    return model(input_ids=ids, attention_mask=mask, labels=labels).loss


def bench_training(runs: int, report: Report) -> None:
    """Time forward and backward of 16 x 256 ids and 16 x 60 labels.

    float32, with T5's dropout of 0.1 and without.
    """
    import transformers

    ids, labels = torch.randint(3, 4900, (16, 256)), torch.randint(3, 4900, (16, 60))
    mask = torch.ones_like(ids)
    for rate in (0.1, 0.0):
        config = T5Config.spanish_tiny(dropout_rate=rate)
        ours = T5(config).train()
        theirs = transformers.T5ForConditionalGeneration(transformers.T5Config(**config.to_dict())).train()

        def step(model: Any, loss: Callable[[], Any]) -> None:
            loss().backward()
            model.zero_grad()

        seconds = seconds_of(
            {
                "spanish-tok": partial(step, ours, partial(ours.loss, ids, labels, mask)),
                PEER: partial(step, theirs, partial(loss_of, theirs, ids, labels, mask)),
            },
            runs,
        )
        keep(report, "a training step", f"dropout {rate}", ids.numel() + labels.numel(), seconds)


def batches_of(rows: int, steps: int) -> PackedBatches:
    """Batches of random ids in records like those of a corpus, 60 ids each, packed and masked by the default recipe."""
    recipe = PretrainOptions()
    tokens = rows * recipe.input_length * steps * 2
    ids = np.random.default_rng(0).integers(3, 4900, tokens).astype(np.uint16)
    offsets = np.append(np.arange(0, tokens, 60), tokens)
    corruption = SpanCorruption(4999, rate=recipe.masking_rate, mean_span=recipe.mean_span)
    records = np.arange(offsets.size - 1)
    return PackedBatches(ids, offsets, records, corruption, recipe.input_length, rows)


def bench_pretraining(device: str, runs: int, report: Report) -> None:
    """Time steps of pretraining: compiled, eager, and transformers'."""
    import transformers

    rows, steps = (256, 20) if device.startswith("cuda") else (32, 2)
    batches = batches_of(rows, 40 * (runs + 1))
    config = T5Config.spanish_tiny(dropout_rate=0.0)
    within = autocast("auto", device)
    compiled = CompiledStep(T5(config).to(device).train(), BatchShape.of(batches), within)
    eager = T5(config).to(device).train()
    theirs = transformers.T5ForConditionalGeneration(transformers.T5Config(**config.to_dict()))
    theirs = theirs.to(device).train()

    def differentiated(loss: Callable[[Batch], Any]) -> Callable[[Batch], None]:
        def differentiate(batch: Batch) -> None:
            with within():
                found = loss(batch)
            found.backward()

        return differentiate

    def loss_of_theirs(batch: Batch) -> Any:
        ids, labels = (torch.from_numpy(array).to(device) for array in (batch.inputs, batch.labels))
        return theirs(input_ids=ids, attention_mask=(ids != 0).long(), labels=labels).loss

    models: dict[str, tuple[Any, Callable[[Batch], Any]]] = {
        "spanish-tok, compiled": (compiled.model, compiled.differentiate),
        "spanish-tok, eager": (eager, differentiated(partial(loss_of_batch, eager))),
        PEER: (theirs, differentiated(loss_of_theirs)),
    }
    optimizers = {name: optimizer_for(PretrainOptions(), model) for name, (model, _) in models.items()}
    found: dict[str, list[float]] = {name: [] for name in models}
    tokens = 0
    for run in range(runs + 1):
        for name, (model, differentiate) in models.items():
            begun, tokens = time.perf_counter(), 0
            with thread_pool(4) as pool:
                batch_of = Ahead(batches.batch, pool, end=batches.batches_per_epoch, most=8)
                for step in range(run * steps, (run + 1) * steps):
                    batch = batch_of(step)
                    tokens += int((batch.inputs != 0).sum() + (batch.targets != 0).sum())
                    model.zero_grad()
                    differentiate(batch)
                    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0).item()
                    optimizers[name].step()
                if device.startswith("cuda"):
                    torch.cuda.synchronize()
            if run:
                found[name].append(time.perf_counter() - begun)
            elif name.endswith("compiled"):
                print(
                    f"compiling took {time.perf_counter() - begun:.0f} s; fault: {compiled.fault}", flush=True
                )
    keep(report, "steps of pretraining", f"{rows} x 256, {device}", tokens, found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--pretraining", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--texts", nargs="*", default=[])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=3)
    add_json_option(parser)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    report = Report("spanish-tok", "torch", "transformers", "ctranslate2")
    print(f"{arguments.threads} thread(s)")
    if arguments.pretraining:
        torch.set_flush_denormal(True)
        bench_pretraining(arguments.device, arguments.runs, report)
        report.save(arguments.json)
        return
    if not arguments.model:
        parser.error("give --model DIR, or --pretraining")
    with tempfile.TemporaryDirectory() as work:
        decode = decoders(arguments.model, Path(work), arguments.threads)
        rows = inputs(arguments.texts, Generator.load(arguments.model).tokenizer, 200)
        if arguments.texts:
            found = {
                name: [ids for row in rows for ids in one([row], 64, False)] for name, one in decode.items()
            }
            for name, texts in found.items():
                same = sum(map(list.__eq__, texts, found["spanish-tok"]))
                report.checked(f"greedy ids of {name} equal to ours on {same} of {len(rows)} inputs;")
        bench_decoding(decode, rows, arguments.runs, report)
    bench_training(arguments.runs, report)
    report.save(arguments.json)


if __name__ == "__main__":
    main()
