"""The steps of a plan: what each reads and writes, and its figures.

A step calls one verb. What it writes lies in the folder of the build under names of its own, and is the same bytes
whether the step was interrupted or not.
"""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from spanish_tok.corpus.pipeline import clean, sample
from spanish_tok.errors import SpanishTokError, extra_error
from spanish_tok.files import write_json
from spanish_tok.measure.bench import bench
from spanish_tok.measure.verify import verify
from spanish_tok.options import changed
from spanish_tok.parallel.local import Local
from spanish_tok.parallel.ray_engine import Ray
from spanish_tok.plans.plan import Plan
from spanish_tok.progress import Progress
from spanish_tok.readers.inputs import Inputs
from spanish_tok.shards.writer import shard
from spanish_tok.tokenization.adapters import OURS
from spanish_tok.vocab.counts.files import count
from spanish_tok.vocab.trainer import TrainOptions, train

KEYS = 1  # the version of the keys below: another one makes every step another
# step -> what it writes into the folder of the build
OUTPUTS = {
    "sample": ("sample",),
    "clean": ("clean",),
    "count": ("counts.parquet",),
    "train": ("vocab",),
    "verify": ("verification.json",),
    "shard": ("shards",),
    "pretrain": ("pretraining", "model"),
    "bench": ("bench.json",),
}
# step -> the steps whose output it reads, if they are in the plan; of the two kinds of records the last is read
READS = {
    "sample": (),
    "clean": ("sample",),
    "count": ("clean", "sample"),
    "train": ("count",),
    "verify": ("train",),
    "shard": ("clean", "sample", "train"),
    "pretrain": ("shard", "train"),
    "bench": ("clean", "sample", "train", "pretrain"),
}

Figures = dict[str, int | float | str]


@dataclass(frozen=True)
class Building:
    """A plan with its input and the folder that it fills: what every step is given."""

    plan: Plan
    inputs: Inputs
    folder: Path
    engine: Local | Ray
    device: str
    shown: Progress

    def options(self, step: str) -> Any:
        """Return the options of a step; cleaning begins from those of the recipe."""
        recipe = self.inputs.recipe
        return self.plan.options(step, recipe.clean if step == "clean" and recipe else None)

    def path(self, step: str) -> Path:
        """Return where the (first) output of a step lies."""
        return self.folder / OUTPUTS[step][0]

    def records(self, step: str) -> Inputs | Path:
        """Return the records that a step reads.

        The last step before it wrote them; without one, they are the input.
        """
        written = [name for name in READS[step] if name in ("clean", "sample") and name in self.plan.steps]
        return self.path(written[0]) if written else self.inputs

    @property
    def vocabulary(self) -> Path | None:
        """The vocabulary of the build; None for the shipped one."""
        return self.path("train") if "train" in self.plan.steps else None

    def keys(self) -> dict[str, str]:
        """Return, for each step, a hash of all that decides its output.

        Those are its options, and the keys of what it reads, down to the state of the input files.
        """
        keys: dict[str, str] = {}
        for step in self.plan.steps:
            read = {name: keys[name] for name in READS[step] if name in keys}
            from_input = isinstance(self.records(step), Inputs) and step in (
                "sample",
                "clean",
                "count",
                "shard",
                "bench",
            )
            source = [_state(self.inputs)] if from_input else []
            job = {
                "version": KEYS,
                "step": step,
                "options": _plain(self.options(step)),
                "reads": read,
                "input": source,
            }
            keys[step] = sha256(json.dumps(job, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:32]
        return keys


def run_step(step: str, building: Building) -> Figures:
    """Do a step, or finish one that was interrupted; return its figures."""
    return RUN[step](building)


def check_extras(steps: list[str]) -> None:
    """Raise SpanishTokError where a package is missing that a step needs."""
    if "pretrain" in steps and not find_spec("torch"):
        missing = ModuleNotFoundError(name="torch")
        raise extra_error("The step pretrain", missing) or missing


def _sample(building: Building) -> Figures:
    options = building.options("sample")
    own = {name: value for name, value in asdict(options).items() if name not in ("size", "clean")}
    records = sample(
        building.inputs, building.path("sample"), size=options.size, clean=False, engine=building.engine,
        progress=building.shown, **own,
    )  # fmt: skip
    return {
        "records": records.rows,
        "rows of the input": sum(entry["rows"] for entry in records.manifest["read"]),
    }


def _clean(building: Building) -> Figures:
    engine = building.engine if isinstance(building.engine, Local) else Local()
    records = clean(
        building.records("clean"), building.path("clean"), options=building.options("clean"), engine=engine,
        progress=building.shown,
    )  # fmt: skip
    touched = {f"rule {rule}": rows for rule, rows in records.rules.items() if rows}
    return {"records": records.rows, "looked at": records.manifest["looked_at"], **touched}


def _count(building: Building) -> Figures:
    alphabet = building.options("train") if "train" in building.plan.steps else TrainOptions()
    counts = count(
        building.records("count"), building.path("count"), licence=building.options("count").licence,
        alphabet=alphabet.alphabet, cased=alphabet.cased, engine=building.engine, progress=building.shown, force=True,
    )  # fmt: skip
    return {"distinct runs": len(counts), "runs": counts.total, "records": counts.records}


def _train(building: Building) -> Figures:
    entries = asdict(building.options("train"))
    size, sentinels = entries.pop("size"), entries.pop("sentinels")
    vocabulary = train(
        building.path("count"), building.path("train"), size=size, sentinels=sentinels,
        options=changed(TrainOptions, None, entries), engine=Local(building.engine.threads), progress=building.shown,
    )  # fmt: skip
    return {"ids": len(vocabulary), "fingerprint": vocabulary.fingerprint}


def _verify(building: Building) -> Figures:
    result = verify(building.path("train"), progress=building.shown)
    if not result.ok:
        failed = next(check for check in result.checks if check.failed and not check.note)
        raise SpanishTokError(
            f"{building.path('train')} does not pass: {failed.name}, {failed.example}", "Please report it."
        )
    write_json(building.path("verify"), result.to_dict())
    return {"checks": len(result.checks), "cases": sum(check.tried for check in result.checks)}


def _shard(building: Building) -> Figures:
    result = shard(
        building.records("shard"), building.path("shard"), building.vocabulary, options=building.options("shard"),
        engine=building.engine, progress=building.shown,
    )  # fmt: skip
    return {"records": result.records, "ids": result.ids}


def _pretrain(building: Building) -> Figures:
    from spanish_tok.t5.checkpoint import Checkpoint
    from spanish_tok.training.pretrain import pretrain

    result = pretrain(
        building.path("shard"), building.path("pretrain"), tokenizer=building.vocabulary, device=building.device,
        threads=building.engine.threads, options=building.options("pretrain"), progress=building.shown,
    )  # fmt: skip
    model = building.folder / OUTPUTS["pretrain"][1]
    if not model.exists() and result.checkpoint:  # it appears whole, or not at all
        Checkpoint.load(result.checkpoint).save(model)
    return {
        "steps": result.steps,
        "tokens": result.tokens,
        "nats a token at first": round(result.first_loss, 3),
        "nats a token at last": round(result.last_loss, 3),
    }


def _bench(building: Building) -> Figures:
    model = building.folder / OUTPUTS["pretrain"][1] if "pretrain" in building.plan.steps else None
    result = bench(
        building.vocabulary, building.records("bench"), building.path("bench"), model=model, force=True,
        megabytes=building.options("bench").megabytes, progress=building.shown,
    )  # fmt: skip
    speeds = [
        speed for speed in result.speed if speed.engine == OURS and speed.cores == 1 and not speed.failure
    ]
    figures: Figures = {
        "texts": result.quality.records,
        "failed round trips": result.round_trip.failures,
        "tokens a word": round(result.quality.tokens_per_word, 3),
        "characters a token": round(result.quality.characters_per_token, 3),
    }
    if speeds:
        figures["MB/s, one core, first pass"] = round(speeds[0].cold, 1)
    if result.model and result.model.bits_per_byte is not None:
        figures["bits per byte of masked words"] = round(result.model.bits_per_byte, 3)
    return figures


RUN: dict[str, Callable[[Building], Figures]] = {
    "sample": _sample,
    "clean": _clean,
    "count": _count,
    "train": _train,
    "verify": _verify,
    "shard": _shard,
    "pretrain": _pretrain,
    "bench": _bench,
}


def _plain(options: Any) -> dict[str, Any]:
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in asdict(options).items()
    }


def _state(inputs: Inputs) -> list[Any]:
    """Return what shows that an input is another one.

    That is how it is read, its size, and when it was changed.
    """
    return [
        [item.described() | {"name": os.path.abspath(item.name)}, os.path.getmtime(item.name)]
        if item.is_file
        else [item.described(), None]
        for item in inputs.items
    ]
