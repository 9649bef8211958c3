"""The verb `build`: all steps of a plan, one after another, into one folder.

    out/sample/ clean/ counts.parquet vocab/ shards/ pretraining/ model/ ...   what the steps write
    out/build.json      the steps that are done, each with its key, its figures and its time
    out/index.html      the same for people

A step is skipped where build.json holds its key: a hash of its options and of all that it reads. What was written
under another key is removed before the step is done again.
"""

import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from spanish_tok._version import __version__
from spanish_tok.errors import SpanishTokError
from spanish_tok.files import read_json, write_json
from spanish_tok.jobs import LOCK, claim, remove_partials
from spanish_tok.parallel.local import Local
from spanish_tok.parallel.ray_engine import Ray
from spanish_tok.plans.estimates import BuildEstimate, estimate_build
from spanish_tok.plans.page import BuildResult, StepResult
from spanish_tok.plans.plan import STEPS, Plan
from spanish_tok.plans.steps import OUTPUTS, Building, check_extras, run_step
from spanish_tok.progress import ProgressOption, progress_of
from spanish_tok.readers.inputs import InputOption, Inputs, inputs_of
from spanish_tok.readers.options import Location, ReadOptions

RECORD, PAGE = "build.json", "index.html"
DONE = {"key": str, "seconds": float, "figures": dict}
SHAPE = {"steps": {str: DONE}, "begun": ({"step": str, "key": str}, None), "stale": [str]}  # of build.json


def build(
    plan: Location | Plan,
    output: Location,
    *,
    input: InputOption = None,  # noqa: A002
    reading: ReadOptions | None = None,
    until: str | None = None,
    dry_run: bool = False,
    device: str = "cpu",
    engine: Local | Ray | None = None,
    progress: ProgressOption = None,
    **changes: Mapping[str, Any],
) -> BuildResult | BuildEstimate:
    """Go from records to a measured model: do the steps of a plan.

    plan: mmarco-tiny, files-tiny, or a TOML file (see plans/plan.py). output: the folder that it fills. input: what is
    read instead of the plan's own input; reading: how. until: the last step to do. changes: entries of steps, such as
    train={"size": 8000}. device: "cpu" or "cuda", of the pretraining. dry_run: do nothing, and return the steps with
    downloads, disk and time, which are estimated from what this machine does in some seconds.

    An interrupted call resumes when it is given again. A step whose input and options are those of an
    earlier call is skipped; a changed one is done again, with all that follows from it: its earlier output is removed.
    Neither engine nor device makes a step another one.

    Raises SpanishTokError, before any work, for an entry of the plan that is wrong, an input that is missing, an extra
    that is not installed, and a folder that holds other files.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> steps = {"count": {}, "train": {"size": 195}}
    >>> _ = (folder / "es.txt").write_text("el perro y la perra\\nlos perros y las perras\\n" * 9)
    >>> result = build(Plan("propio", "El mío", (str(folder / "es.txt"),), steps=steps), folder / "out")
    >>> [(step.name, step.state) for step in result.steps], sorted(path.name for path in result.folder.iterdir())
    ([('count', 'done'), ('train', 'done')], ['build.json', 'counts.parquet', 'index.html', 'vocab'])
    """
    plan, shown, folder = Plan.load(plan).changed(changes), progress_of(progress), Path(output).resolve()
    if reading is not None:
        plan = replace(plan, reading=reading)
    steps = _chosen(plan, until)
    inputs = _inputs(plan, input, folder)
    building = Building(plan, inputs, folder, engine or Local(), device, shown)
    keys, record = building.keys(), _record(folder)
    if dry_run:
        waiting = [step for step in steps if not _is_done(step, keys[step], record, folder)]
        return estimate_build(building, steps, waiting)
    check_extras([step for step in steps if not _is_done(step, keys[step], record, folder)])
    with claim(folder):
        remove_partials(folder)
        results = [_do(step, building, keys, record) for step in steps]
        result = BuildResult(folder, plan, tuple(results))
        result.to_html(folder / PAGE)
    return result


def _do(step: str, building: Building, keys: Mapping[str, str], record: dict[str, Any]) -> StepResult:
    """Do a step and record it, or skip it where it is done."""
    folder, key = building.folder, keys[step]
    if _is_done(step, key, record, folder) and not record["stale"]:
        building.shown.tell(f"{step}: done before")
        done = record["steps"][step]
        return StepResult(step, "skipped", done["seconds"], done["figures"])
    if record["begun"] != {"step": step, "key": key}:
        _remove_what_follows(step, folder, keys, record)
        record["begun"] = {"step": step, "key": key}
        _write(folder, record)
    building.shown.tell(f"{step} ...")
    begun = time.monotonic()
    figures = run_step(step, building)
    seconds = round(time.monotonic() - begun, 1)
    record["steps"][step] = {"key": key, "seconds": seconds, "figures": figures}
    record["begun"] = None
    _write(folder, record)
    return StepResult(step, "done", seconds, figures)


def _remove_what_follows(step: str, folder: Path, keys: Mapping[str, str], record: dict[str, Any]) -> None:
    """Remove what a step, and those that follow from it, wrote under another key.

    What is to be removed is written down first: a call after a kill removes the rest.
    """
    done = record["steps"]
    later = list(STEPS)[list(STEPS).index(step) + 1 :]
    outdated = [step, *(name for name in later if name in done and done[name]["key"] != keys.get(name))]
    for name in outdated:
        record["steps"].pop(name, None)
    record["stale"] = sorted({*record["stale"], *(path for name in outdated for path in OUTPUTS[name])})
    record["begun"] = None
    _write(folder, record)
    for name in record["stale"]:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    record["stale"] = []


def _is_done(step: str, key: str, record: dict[str, Any], folder: Path) -> bool:
    """Return whether a step was done under this key, and its outputs are there."""
    done = record["steps"].get(step)
    return bool(done and done["key"] == key and all((folder / name).exists() for name in OUTPUTS[step]))


def _record(folder: Path) -> dict[str, Any]:
    """Return what build.json holds; an empty record of a new folder.

    Raises SpanishTokError for a folder that holds other files.
    """
    if folder.exists() and not folder.is_dir():
        raise SpanishTokError(f"{folder} is a file", "Give a folder.")
    if (folder / RECORD).exists():
        record: dict[str, Any] = read_json(folder / RECORD, SHAPE)
        return record
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    if strange := [path for path in paths if path.name != LOCK and path.suffix != ".partial"]:
        raise SpanishTokError(f"{folder} holds other files, such as {strange[0]}", "Give a new folder.")
    return {"spanish_tok": __version__, "steps": {}, "begun": None, "stale": []}


def _write(folder: Path, record: dict[str, Any]) -> None:
    ordered = {step: record["steps"][step] for step in STEPS if step in record["steps"]}
    write_json(folder / RECORD, {**record, "steps": ordered})


def _chosen(plan: Plan, until: str | None) -> list[str]:
    """Return the steps to do, up to `until`."""
    steps = list(plan.steps)
    if until is not None and until not in steps:
        raise SpanishTokError(f"The plan has no step {until!r}", f"Give one of: {', '.join(steps)}.")
    return steps if until is None else steps[: steps.index(until) + 1]


def _inputs(plan: Plan, given: InputOption, folder: Path) -> Inputs:
    """Return what the plan reads.

    Raises SpanishTokError for nothing, for what can be read only once, and for what lies in the output.
    """
    if given is None and not plan.input:
        raise SpanishTokError(f"The plan {plan.name} names no input", "Give files, folders or a recipe.")
    inputs = inputs_of(given if given is not None else list(plan.input), plan.reading)
    for item in inputs.items:
        if item.is_pipe:
            raise SpanishTokError(f"{item.name} can be read only once", "Write it to a file first.")
        if item.is_file and folder in Path(item.name).resolve().parents:
            raise SpanishTokError(f"{item.name} lies in the output", "Give another output.")
    return inputs
