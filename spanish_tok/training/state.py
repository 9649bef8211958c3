"""Checkpoints of a training: everything that the next step depends on.

In safetensors and JSON.

A checkpoint is one folder: the model as T5 writes it, the vocabulary, optimizer.safetensors (the optimizer's tensors
and the random state) and training.json. It is written under another name and renamed: it is whole or not there.
"""

import json
import os
import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from spanish_tok.errors import SpanishTokError
from spanish_tok.files import parse_json, read_json, write_json
from spanish_tok.files.schema import COUNT, Shape, made, shape_of
from spanish_tok.t5.checkpoint import MANIFEST, Checkpoint
from spanish_tok.t5.model import T5
from spanish_tok.t5.safetensors import read_metadata, read_tensors, write_tensors
from spanish_tok.vocab.vocabulary import Vocabulary

PREFIX = "checkpoint-"
RANDOM = "random state of "
WEIGHT = "model."
STATE = "optimizer.safetensors"
PROGRESS = "training.json"


# the names of the arrays that an optimizer keeps for a parameter: AdamW's, Adafactor's of matrices and vectors, Muon's
STATES = {
    frozenset(names.split())
    for names in (
        "step exp_avg exp_avg_sq",
        "step row_var col_var",
        "step variance",
        "momentum_buffer size",
        "step exp_avg exp_avg_sq size",
    )
}


@dataclass
class TrainingState:
    """How far a training is: what training.json holds beside the recipe."""

    step: int = 0  # steps done; the next batch has this number
    tokens: int = 0  # of inputs and targets, padding left out
    cpu_seconds: float = 0.0
    seconds: float = 0.0

    def add(self, tokens: int, seconds: float, cpu_seconds: float) -> None:
        """Count one step more."""
        self.step += 1
        self.tokens += tokens
        self.seconds += seconds
        self.cpu_seconds += cpu_seconds

    def shown(self) -> str:
        """Return what is done, in a few words."""
        return f"{self.step:,} steps, {self.tokens:,} tokens, {self.cpu_seconds / 60:.0f} minutes of CPU time"


NOTES = {name.removesuffix("?"): shape for name, shape in shape_of(TrainingState).items()} | {
    "recipe": {"steps?": COUNT, "cooldown?": float},
    "vocabulary": str,
    "records": COUNT,
    "tokens_per_epoch": COUNT,
    "start?": (dict, None),
    "compiled?": bool,
    "returns?": [{"step": COUNT, "back_to": COUNT, "why": str}],
}


def save_checkpoint(
    folder: Path,
    model: T5,
    optimizer: torch.optim.Optimizer,
    vocabulary: Vocabulary,
    reached: TrainingState,
    notes: dict[str, Any],
    save_more: Callable[[Path], None] = lambda _: None,
) -> Path:
    """Write checkpoint-STEP into `folder`.

    It appears when all its files are on disk; `save_more` writes others into it.
    """
    final = folder / f"{PREFIX}{reached.step:07d}"
    partial = folder / f".{final.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        own = {"steps": reached.step, "tokens": reached.tokens}
        model.save(partial, vocabulary, notes=own | ({"start": notes["start"]} if notes.get("start") else {}))
        tensors = _flat(optimizer) | random_state(model)
        write_tensors(partial / STATE, {name: tensor.cpu().numpy() for name, tensor in tensors.items()})
        write_json(partial / PROGRESS, {**asdict(reached), **notes})
        save_more(partial)
        shutil.rmtree(final, ignore_errors=True)
        os.replace(partial, final)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return final


def load_checkpoint(folder: Path, model: T5, optimizer: torch.optim.Optimizer) -> TrainingState:
    """Load a checkpoint into model, optimizer and the random generators.

    Returns how far it was.
    """
    reached = made(TrainingState, notes_of(folder))
    weights = T5.from_checkpoint(Checkpoint.load(folder)).state_dict()
    _load_weights(model, weights, folder)
    _restore(optimizer, read_tensors(folder / STATE), folder / STATE)
    return reached


def newest_checkpoint(folder: Path, fits: Callable[[Path], bool] = lambda _: True) -> Path | None:
    """Return the checkpoint with the most steps in a folder, of those that fit.

    None without one.
    """
    return max(filter(fits, _checkpoints(folder)), default=None)


def checkpoint_at(folder: Path, step: int) -> Path | None:
    """Return the checkpoint of a step; None if there is none."""
    path = folder / f"{PREFIX}{step:07d}"
    return path if path in _checkpoints(folder) else None


def remove_newer(folder: Path, step: int) -> None:
    """Remove the checkpoints behind a step, and leave that of the step."""
    for path in _checkpoints(folder):
        if path.name > f"{PREFIX}{step:07d}":
            shutil.rmtree(path)


def remove_older(
    folder: Path, keep: int, always: Collection[int] = (), fits: Callable[[Path], bool] = lambda _: True
) -> None:
    """Remove all that fit but the newest `keep`, and those of the steps `always`."""
    kept = {f"{PREFIX}{step:07d}" for step in always}
    for old in sorted(filter(fits, _checkpoints(folder)))[:-keep]:
        if old.name not in kept:
            shutil.rmtree(old)


def notes_of(folder: Path) -> dict[str, Any]:
    """Return what training.json of a checkpoint holds.

    Raises SpanishTokError if it holds something else.
    """
    notes: dict[str, Any] = read_json(folder / PROGRESS, NOTES)
    return notes


def notes_at(folder: Path) -> dict[str, Any]:
    """Return what model.json tells of how a model was trained before.

    Nothing if another library wrote the folder.
    """
    path = folder / MANIFEST
    return dict(read_json(path, {"notes?": dict}).get("notes", {})) if path.exists() else {}


def _checkpoints(folder: Path) -> list[Path]:
    return [path for path in folder.glob(f"{PREFIX}*") if path.name.removeprefix(PREFIX).isdecimal()]


def _flat(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Return the tensors of an optimizer by name, such as "3.exp_avg".

    A name is "<number of the parameter>.<name>".
    """
    states = optimizer.state_dict()["state"]
    return {f"{index}.{name}": tensor for index, state in states.items() for name, tensor in state.items()}


def random_state(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return the state of the random generators of a training, by name."""
    states = {f"{RANDOM}cpu": torch.get_rng_state()}
    device = next(model.parameters()).device
    if device.type == "cuda":
        states[f"{RANDOM}cuda"] = torch.cuda.get_rng_state(device)
    return states


def restore_random_state(states: Mapping[str, torch.Tensor]) -> None:
    """Put what `random_state` returned back into the generators."""
    for name, state in states.items():
        if name == f"{RANDOM}cpu":
            torch.set_rng_state(state)
        elif torch.cuda.is_available():
            torch.cuda.set_rng_state(state)


def _load_weights(model: torch.nn.Module, weights: Mapping[str, torch.Tensor], path: Path) -> None:
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:  # names or shapes
        raise _damaged(path, f"weights of another model: {' '.join(str(error).split())[:200]}") from None


def _restore(optimizer: torch.optim.Optimizer, arrays: Mapping[str, NDArray[Any]], path: Path) -> None:
    """Put named arrays back into the optimizer and the generators.

    They are named as `_flat` and `_random_state` name them.

    Raises SpanishTokError that names the file and the array which does not fit.
    """
    states: dict[int, dict[str, torch.Tensor]] = {}
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for name, array in arrays.items():
        tensor = torch.tensor(array)
        if name.startswith(RANDOM):
            try:
                restore_random_state({name: tensor})
            except (RuntimeError, TypeError) as error:
                raise _damaged(path, f"{name}: {error}") from None
            continue
        index, _, key = name.partition(".")
        if not index.isdecimal() or int(index) >= len(parameters):
            raise _damaged(path, f"{name} belongs to no parameter")
        if not _fits(key, tensor, parameters[int(index)]):
            raise _damaged(path, f"{name} is {tensor.dtype} of the shape {tuple(tensor.shape)}")
        states.setdefault(int(index), {})[key] = tensor
    kinds = {frozenset(state) for state in states.values()}
    if states and (len(states) < len(parameters) or not kinds <= STATES):
        raise _damaged(path, "some of the optimizer's arrays are missing")
    optimizer.load_state_dict({**optimizer.state_dict(), "state": states})


def _fits(key: str, tensor: torch.Tensor, parameter: torch.Tensor) -> bool:
    """Return whether an array of an optimizer fits its parameter.

    Means over rows or columns have a length of 1."""
    if not tensor.is_floating_point():
        return False
    if key in ("step", "size"):
        return tensor.numel() == 1
    shape = list(parameter.shape)
    shape[-1] = 1 if key == "row_var" else shape[-1]
    if key == "col_var":
        shape[-2] = 1
    return list(tensor.shape) == shape


def _damaged(path: Path, fault: str) -> SpanishTokError:
    return SpanishTokError(f"{path} is damaged or of another training ({fault})", "Resume from another one.")


def save_state(
    path: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer, notes: dict[str, Any]
) -> None:
    """Write all that the next step depends on as one file, atomically.

    The file is safetensors; `notes` become its metadata.
    """
    tensors = {f"{WEIGHT}{name}": tensor.detach() for name, tensor in model.state_dict().items()}
    tensors |= _flat(optimizer) | random_state(model)
    arrays = {name: tensor.cpu().numpy() for name, tensor in tensors.items()}
    write_tensors(path, arrays, metadata={"notes": json.dumps(notes)})


def load_state(
    path: Path,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    check: Callable[[dict[str, Any]], None],
    shape: Shape = dict,
) -> dict[str, Any]:
    """Load a state of `save_state`, once its notes have their shape and pass `check`.

    Returns the notes.
    """
    arrays = read_tensors(path)
    name = f"The metadata of {path}"
    notes: dict[str, Any] = parse_json(read_metadata(path).get("notes", "{}"), name, shape)
    check(notes)
    weights = {name: arrays.pop(name) for name in list(arrays) if name.startswith(WEIGHT)}
    tensors = {name.removeprefix(WEIGHT): torch.tensor(array) for name, array in weights.items()}
    _load_weights(model, tensors, path)
    _restore(optimizer, arrays, path)
    return notes
