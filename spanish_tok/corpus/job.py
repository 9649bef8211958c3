"""A job of `sample` or `clean`: its input, its folder, the notes of its manifest."""

import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from spanish_tok.corpus.cleaning import CleanOptions
from spanish_tok.corpus.estimate import check_disk, estimate
from spanish_tok.corpus.writer import SHAPE, state_shape
from spanish_tok.files.schema import COUNT, Shape, shape_of
from spanish_tok.jobs import OutputFolder
from spanish_tok.parallel.local import Local
from spanish_tok.parallel.ray_engine import Ray
from spanish_tok.progress import Progress
from spanish_tok.readers.inputs import Inputs
from spanish_tok.readers.options import FileReport, Location
from spanish_tok.readers.splits import read_by

LONG = 5.0  # seconds; a longer job is announced with what it will take
IN_ORDER = {"reports": [shape_of(FileReport)], "skip": COUNT}  # a position of `clean`, see `_in_input_order`


def readable(inputs: Inputs, engine: Local | Ray, shown: Progress) -> Inputs:
    """Return inputs that are read as the engine says; tell the warning of a recipe."""
    inputs = replace(inputs, items=tuple(read_by(item, engine) for item in inputs.items))
    if inputs.recipe and inputs.recipe.warning:
        shown.tell(f"Licence: {inputs.recipe.warning.strip()}")
    return inputs


def announce(
    inputs: Inputs,
    output: Path,
    engine: Local | Ray,
    shown: Progress,
    *,
    share: float,
    cleaned: float,
    spilled: bool,
) -> None:
    """Tell what a long job will take.

    Raises SpanishTokError if the disk has too little room.
    """
    needs = estimate(inputs, share, spilled=spilled, cleaned=cleaned, cores=engine.threads_here)
    if needs:
        check_disk(needs.disk, output)
        if needs.seconds > LONG:
            shown.tell(str(needs))


def described(inputs: Inputs, clean: CleanOptions | None) -> dict[str, Any]:
    """Return what makes a job another one, apart from the state of its files."""
    described = sorted((item.described() for item in inputs.items), key=str)
    return {"inputs": described, "rows": inputs.rows, "clean": asdict(clean) if clean else None}


def job_folder(
    output: Location, job: Mapping[str, Any], inputs: Inputs, position: Shape, force: bool
) -> OutputFolder:
    """Return the output folder of a job, which cannot resume after an input changes.

    position: the shape of its position.
    """
    files = [item.name for item in inputs.items if item.is_file]
    changed_at = [os.path.getmtime(item.name) if item.is_file else None for item in inputs.items]
    return OutputFolder(
        output, job, under="job", inputs={"inputs_changed": changed_at}, reads=files, force=force,
        shape=SHAPE, state_shape=state_shape(position),
    )  # fmt: skip


def input_facts(inputs: Inputs, reports: list[FileReport]) -> dict[str, Any]:
    """Return what the manifest says of the input."""
    recipe = inputs.recipe and {
        key: getattr(inputs.recipe, key) for key in ("name", "title", "licence", "warning")
    }
    read = [
        {key: value for key, value in asdict(report).items() if key not in ("offset", "complete")}
        for report in reports
    ]
    return {"recipe": recipe or None, "read": read}
