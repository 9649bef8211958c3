"""The files that hold a model's weights: one or many, safetensors or PyTorch's.

A .bin file is a pickle. Only torch's own unpickler for weights reads it (`weights_only=True`), which runs no code.
"""

import zipfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from spanish_tok.errors import SpanishTokError
from spanish_tok.files import read_json
from spanish_tok.t5.safetensors import Stored, StoredTensor, stored_tensors

SAFETENSORS = "model.safetensors"
BIN = "pytorch_model.bin"
INDEX = ".index.json"  # behind the name of a file that is cut into several
AGAIN = "Copy the whole folder again."
OTHERS = {"tf_model.h5": "TensorFlow", "flax_model.msgpack": "Flax", "rust_model.ot": "Rust"}


class WeightTensor(Protocol):
    """A tensor of a file.

    Its type and shape are known, its numbers are read when they are asked for.
    """

    @property
    def kind(self) -> str:
        """The type, by safetensors' name."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of its axes."""

    def read(self, rows: NDArray[np.int64] | None = None) -> Stored:
        """Return the numbers, or those of some rows."""


Weights = dict[str, WeightTensor]


def weights_of(folder: Path) -> Weights:
    """Return the tensors of a model folder by the names that the files give them.

    Raises SpanishTokError, which names the file, where one is missing or damaged.
    """
    for name, read in ((SAFETENSORS, _safetensors), (BIN, _torch)):
        if (folder / name).exists():
            return read(folder / name)
        if (folder / (name + INDEX)).exists():
            return _parts(folder / (name + INDEX), read)
    for name, library in OTHERS.items():
        if (folder / name).exists():
            raise SpanishTokError(
                f"{folder} holds weights for {library} alone ({name})",
                "Load it in transformers 4 with from_tf or from_flax, and save it there.",
            )
    raise SpanishTokError(
        f"{folder / SAFETENSORS} does not exist",
        f"A model folder holds it, {BIN}, or several parts and {INDEX}.",
    )


def _safetensors(path: Path) -> Weights:
    return dict(stored_tensors(path))


def weights_file(folder: Path) -> str | None:
    """Return the name of the file that holds a folder's weights, or is their index.

    None if there is no such file."""
    names = [name for file in (SAFETENSORS, BIN) for name in (file, file + INDEX)]
    return next((name for name in [*names, *OTHERS] if (folder / name).exists()), None)


def check_parts(folder: Path) -> None:
    """Raise SpanishTokError for a folder with an index of files, but without them."""
    index = weights_file(folder)
    if index is None or not index.endswith(INDEX):
        return
    names = sorted(set(_places(folder / index).values()))
    missing = [name for name in names if not (folder / name).exists()]
    if missing == names:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        raise SpanishTokError(
            f"{folder} holds no weights, only {index}: an index that names {names[0]}{more}",
            "Copy the files that it names into the folder, too.",
        )
    if missing:
        raise SpanishTokError(f"{folder / missing[0]} is missing, which {index} names", AGAIN)


def _places(index: Path) -> dict[str, str]:
    """Return the file, beside the index, that it states for each tensor."""
    values = read_json(index)
    part_of = values.get("weight_map") if isinstance(values, dict) else None
    if not (
        isinstance(part_of, dict) and part_of and all(isinstance(name, str) for name in part_of.values())
    ):
        raise SpanishTokError(f"{index} is not an index of weights", AGAIN)
    for name in part_of.values():
        if not name or name in (".", "..") or set(name) & set("/\\\0"):
            raise SpanishTokError(f"{index} names {name!r}, which is no file beside it", "Get another copy.")
    return part_of


def _parts(index: Path, read: Any) -> Weights:
    """Return the tensors of several files, each from the file that an index gives it."""
    check_parts(index.parent)
    part_of = _places(index)
    weights: Weights = {}
    for name in sorted(set(part_of.values())):
        path = index.parent / name
        tensors = read(path)
        named = [tensor for tensor, part in part_of.items() if part == name]
        if missing := [tensor for tensor in named if tensor not in tensors]:
            raise SpanishTokError(f"{path} lacks {missing[0]}, which {index.name} places there", AGAIN)
        weights |= {tensor: tensors[tensor] for tensor in named}
    return weights


@dataclass(frozen=True)
class TorchTensor:
    """A tensor that torch read, or mapped, from a .bin file."""

    tensor: Any
    kind: str

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.tensor.shape)

    def read(self, rows: NDArray[np.int64] | None = None) -> Stored:
        import torch

        chosen = self.tensor if rows is None else self.tensor[torch.from_numpy(rows)]
        plain = chosen.contiguous()
        return Stored((plain.view(torch.uint16) if self.kind == "BF16" else plain).numpy(), self.kind)


def _torch(path: Path) -> Weights:
    """Return the tensors of a .bin file: weights alone, never code."""
    try:
        import torch
    except ModuleNotFoundError:
        raise SpanishTokError(f"{path} needs torch to be read", "pip install 'spanish-tok[t5]'") from None
    zipped = zipfile.is_zipfile(path)  # files from before PyTorch 1.6 are not, and are read whole
    if zipped and (weights := _places_in(path)):
        return weights
    try:
        values = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except Exception as error:  # the unpickler raises whatever the bytes make of it
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise SpanishTokError(
            f"{path} is damaged, or holds more than weights ({reason})", "Get model.safetensors instead."
        ) from None
    if not isinstance(values, dict) or not all(
        isinstance(tensor, torch.Tensor) for tensor in values.values()
    ):
        raise SpanishTokError(f"{path} holds something else than a model's weights", "Get it again.")
    kinds = _kinds()
    weights = {}
    for name, tensor in values.items():
        if tensor.dtype not in kinds or tensor.layout != torch.strided:
            raise SpanishTokError(
                f"{path}: {name} is of type {tensor.dtype}", "Store it as float32 or bfloat16."
            )
        weights[str(name)] = TorchTensor(tensor.detach(), kinds[tensor.dtype])
    return weights


def _kinds() -> dict[Any, str]:
    """Return safetensors' name of each of torch's types that is read."""
    import torch

    return {
        torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
        torch.int64: "I64", torch.int32: "I32", torch.uint8: "U8", torch.int8: "I8",
    }  # fmt: skip


def _places_in(path: Path) -> Weights:
    """Return where the tensors of a .bin file lie in it.

    So rows are read as from safetensors; a mapped file counts as memory, page for page. torch tells the places
    where it loads a file for the device "meta". Nothing is returned unless all tensors are plain ones, which lie
    within the file.
    """
    import torch

    values: Any = None
    with suppress(Exception):  # whatever is wrong with the file is told when it is loaded
        values = torch.load(path, map_location="meta", weights_only=True)
    kinds, size = _kinds(), path.stat().st_size
    weights: Weights = {}
    for name, tensor in values.items() if isinstance(values, dict) else ():
        if (
            not isinstance(tensor, torch.Tensor)
            or tensor.dtype not in kinds
            or tensor.layout != torch.strided
        ):
            return {}
        storage = tensor.untyped_storage()
        begin = getattr(storage, "_checkpoint_offset", None)
        offset = tensor.storage_offset() * tensor.element_size()
        if begin is None or not tensor.is_contiguous() or offset + tensor.nbytes > storage.nbytes():
            return {}
        if begin + storage.nbytes() > size:
            return {}
        weights[str(name)] = StoredTensor(
            path, str(name), kinds[tensor.dtype], tuple(tensor.shape), begin + offset
        )
    return weights
