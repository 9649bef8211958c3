"""What a build will take: downloads, disk and time, before any of it is done.

Bytes come from the input and from the plan. Speeds are measured: each verb does a little work here, some seconds in
all, and its time is multiplied. All of it is rough.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from spanish_tok.corpus.estimate import READING, REMOTE, STORED, UNPACKED, spelt
from spanish_tok.corpus.pipeline import clean
from spanish_tok.files import shipped
from spanish_tok.measure.tables import ReportTable, print_tables
from spanish_tok.parallel.local import Local
from spanish_tok.plans.steps import Building
from spanish_tok.readers.opening.remote import is_remote
from spanish_tok.shards.reader import TokenArrays
from spanish_tok.t5.config import T5Config
from spanish_tok.tokenization.tokenizer import Tokenizer
from spanish_tok.vocab.counts.runs import count_runs
from spanish_tok.vocab.counts.table import Counts
from spanish_tok.vocab.trainer import train

BYTES_A_RECORD = 240.0  # of text, where the input does not tell
BYTES_AN_ID = 3.9  # of Spanish text, with 5,000 ids
TRIED = 2_000_000  # bytes of text that each verb is tried on
TRIED_RUNS = 20_000  # distinct runs that training is tried on
RUNS = 40.0  # distinct runs are about this, times the square root of the words of a text (Heaps' law)
VERIFYING, BENCHING = 15.0, 30.0  # seconds, whatever the size of the text
TRIED_STEPS = 3  # of a pretraining, after the first


@dataclass(frozen=True)
class StepEstimate:
    """What a step will take.

    download, disk: bytes; those of the disk stay. seconds: None where nothing can tell.
    """

    name: str
    state: str
    download: float = 0.0
    disk: float = 0.0
    seconds: float | None = 0.0


@dataclass(frozen=True)
class BuildEstimate:
    """What `build` would do, and what it would take: `dry_run`."""

    steps: tuple[StepEstimate, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the steps, ready for JSON."""
        return {"steps": [asdict(step) for step in self.steps]}

    def show(self) -> None:
        """Print the steps as a table on standard output."""
        print_tables([self.table()], sys.stdout)

    def table(self) -> ReportTable:
        """Return the steps and their sum as a table."""
        waiting = [step for step in self.steps if step.state == "to do"]
        total = StepEstimate(
            "in all", "", sum(step.download for step in waiting), sum(step.disk for step in waiting),
            sum(step.seconds or 0 for step in waiting),
        )  # fmt: skip
        rows = [
            (step.name, step.state, *(("", "", "") if step.state == "done" else _cells(step)))
            for step in (*self.steps, total)
        ]
        note = "Measured here in some seconds, and rough."
        return ReportTable(
            "What it would take", ("step", "state", "download", "disk", "time"), tuple(rows), note
        )


def estimate_build(building: Building, steps: list[str], waiting: list[str]) -> BuildEstimate:
    """Return what the steps will take, those that are done left out.

    waiting: the steps that are to do.
    """
    text, records = _text_of(building)
    words = text / 6
    runs = min(RUNS * words**0.5, words)
    ids = text / BYTES_AN_ID
    size = building.inputs.recipe.bytes if building.inputs.recipe else building.inputs.bytes
    remote = bool(building.inputs.items) and is_remote(building.inputs.items[0].name)
    reading = (size or 0) / (REMOTE if remote else READING)
    first = next(iter(building.plan.steps))
    threads = building.engine.threads_here

    def of(step: str) -> StepEstimate:
        if step not in waiting:
            return StepEstimate(step, "done")
        costs: dict[str, Callable[[], tuple[float, float | None]]] = {
            "sample": lambda: (text * STORED, 2 * text / READING),
            "clean": lambda: (text * STORED, text * _cleaning() / threads),
            "count": lambda: (runs * 12, text * _counting() / threads),
            "train": lambda: (1e6, runs * _training(building) / TRIED_RUNS),
            "verify": lambda: (0, VERIFYING),
            "shard": lambda: (ids * 1.7 + 16 * records, text * _encoding() / threads),
            "pretrain": lambda: (_model_bytes(building), _pretraining(building)),
            "bench": lambda: (0, BENCHING),
        }
        disk, taken = costs[step]()
        if step == first:
            taken = None if taken is None else taken + reading
            return StepEstimate(step, "to do", (size or 0) if remote else 0, disk, taken)
        return StepEstimate(step, "to do", 0, disk, taken)

    return BuildEstimate(tuple(of(step) for step in steps))


def _text_of(building: Building) -> tuple[float, float]:
    """Return about how many bytes of text and records are left after sampling."""
    inputs = building.inputs
    size = (inputs.recipe.bytes if inputs.recipe else None) or inputs.bytes or 0
    text = size * (UNPACKED if inputs.items and inputs.items[0].is_packed else 1.0)
    rows = inputs.guessed_rows() or text / BYTES_A_RECORD
    if "sample" not in building.plan.steps:
        return text, rows
    wanted = building.options("sample").size
    return (text * min(1.0, wanted / max(rows, 1)) or wanted * BYTES_A_RECORD), min(wanted, rows or wanted)


def _sentences() -> list[str]:
    """Return text to try the verbs on: the shipped sentences, numbered."""
    lines = shipped("corpus/sentences-es.txt").read_text(encoding="utf-8").splitlines()
    turns = TRIED // sum(map(len, lines)) + 1
    return [f"{line} {turn}" for turn in range(turns) for line in lines]


def _seconds(work: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _a_byte(work: Callable[[list[str]], Any]) -> float:
    """Return the seconds that one thread takes for a byte of text."""
    texts = _sentences()
    work(texts[:50])
    return _seconds(lambda: work(texts)) / sum(len(text.encode()) for text in texts)


def _cleaning() -> float:
    return _a_byte(lambda texts: clean(texts=texts, near_duplicate=0, engine=Local(1)))


def _counting() -> float:
    return _a_byte(lambda texts: count_runs([texts], threads=1))


def _encoding() -> float:
    tokenizer = Tokenizer.load()
    return _a_byte(lambda texts: tokenizer.encode_column(texts, threads=1))


def _training(building: Building) -> float:
    """Return the seconds that training takes for TRIED_RUNS runs."""
    counts = Counts.load(shipped("corpus/es-counts.parquet"))
    some = np.arange(0, len(counts), len(counts) // TRIED_RUNS)[:TRIED_RUNS]
    few = replace(counts, table=counts.table.take(some))
    return _seconds(lambda: train(few, size=1000, engine=Local(building.engine.threads)))


def _model_bytes(building: Building) -> float:
    """Return the bytes of the model and of the checkpoints that a run keeps.

    A checkpoint holds two numbers of the optimizer beside each weight.
    """
    options = building.options("pretrain")
    size = building.options("train").size if "train" in building.plan.steps else 5000
    preset = options.model if not Path(options.model).is_dir() else "spanish-tiny"
    parameters = T5Config.preset(preset, vocab_size=size).parameters
    return float(4 * parameters * (1 + 3 * options.keep))


def _pretraining(building: Building) -> float | None:
    """Return the seconds of all steps, measured on some of them.

    The ids are random, and nothing is compiled: a compiled step takes less. None without PyTorch.
    """
    if not find_spec("torch"):
        return None
    from spanish_tok.t5.model import torch_device
    from spanish_tok.training.pretraining.loop import Pretraining

    options = replace(
        building.options("pretrain"), compile="off"
    )  # compiling takes longer than an estimate may
    tokenizer = Tokenizer.load()
    length, rows = options.input_length, 8 * options.batch_size
    draw = np.random.default_rng(0)
    ids = draw.integers(3, 4900, rows * length, dtype=np.uint16)
    arrays = TokenArrays(ids, np.arange(0, ids.size + 1, length, dtype=np.int64))
    with tempfile.TemporaryDirectory() as folder:
        training = Pretraining(
            *arrays, tokenizer, options, Path(folder), torch_device(building.device, building.engine.threads)
        )
        steps = training.steps()
        next(steps)
        step_seconds = _seconds(lambda: [next(steps) for _ in range(TRIED_STEPS)]) / TRIED_STEPS
        return step_seconds * float(options.steps)


def _cells(step: StepEstimate) -> tuple[str, str, str]:
    return (
        spelt(step.download) if step.download else "",
        spelt(step.disk) if step.disk else "",
        "unknown: needs spanish-tok[t5]" if step.seconds is None else spelt_time(step.seconds),
    )


def spelt_time(seconds: float) -> str:
    """Return a time as people say it.

    >>> spelt_time(42), spelt_time(600), spelt_time(9000)
    ('42 s', '10 min', '2.5 h')
    """
    if seconds < 120:
        return f"{seconds:,.0f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"
