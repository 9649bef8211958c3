"""A model folder, read and checked without torch.

It holds config.json, model.safetensors and the vocabulary's files.

transformers loads such a folder as it is. model.json, written last, is the folder's own manifest: the vocabulary's
fingerprint and the SHA-256 of the files; a folder that transformers wrote has none and is checked by its shapes.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spanish_tok._version import __version__
from spanish_tok.errors import SpanishTokError
from spanish_tok.files import atomic_path, check_files, read_json, sha256_of_file, shipped, write_json
from spanish_tok.outputs import check_folder, whole_folder
from spanish_tok.t5.config import T5Config
from spanish_tok.t5.quantization import dequantize_tensors, quantize_tensors
from spanish_tok.vocab.vocabulary import MANIFEST as VOCABULARY_MANIFEST
from spanish_tok.vocab.vocabulary import Vocabulary

CONFIG = "config.json"
GENERATION = "generation_config.json"
WEIGHTS = "model.safetensors"
WEIGHTS_INT8 = "model-int8.safetensors"  # under another name, because no other library reads the scales
MANIFEST = "model.json"
RESTORER = "restorer.json"  # of a folder that restores accents: an encoder alone, which is no T5
FORMAT = 1
SHAPE = {"format": object, "vocabulary": str, "files": {str: str}, "notes?": dict}  # of model.json

Precision = Literal["float32", "bfloat16", "int8"]
Tensors = dict[str, NDArray[np.float32]]
# other names under which some writers repeat the shared embedding
COPIES = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight")


@dataclass(frozen=True)
class Checkpoint:
    """What a model folder holds: shape, arrays, vocabulary, notes.

    The arrays are float32, by transformers' names.
    """

    config: T5Config
    tensors: Tensors = field(repr=False)
    vocabulary: Vocabulary = field(repr=False)
    notes: Mapping[str, Any] = field(default_factory=dict)
    int8: bool = False  # whether the weights come from a file of int8

    def save(
        self, folder: str | os.PathLike[str], precision: Precision = "float32", *, force: bool = False
    ) -> None:
        """Write a new model folder; see `write_into`.

        `force` replaces a model or a vocabulary. Raises SpanishTokError for any other folder, and for what `write_into`
        refuses.
        """
        if check_folder(folder, force=force, kind="a model"):
            raise SpanishTokError(
                f"{folder} holds a model or a vocabulary", "Give another folder, or --force to replace it."
            )
        with whole_folder(folder) as partial:
            self.write_into(partial, precision)

    def write_into(self, folder: str | os.PathLike[str], precision: Precision = "float32") -> None:
        """Write the model's files into a folder.

        Each file is whole or not there, and model.json comes last.

        "int8" is this package's own form, a quarter of the size (see quantization.py); it leaves the vocabulary out
        where that is the one that ships with the package.
        Raises SpanishTokError where tensors and configuration do not fit together or the vocabulary is another.
        """
        folder = Path(folder)
        check_tensors(self.config, self.tensors, str(folder))
        _check_vocabulary(self.config, self.vocabulary, str(folder))
        (folder / MANIFEST).unlink(missing_ok=True)
        int8 = precision == "int8"
        if not _holds(folder, self.vocabulary) and not (
            int8 and self.vocabulary.fingerprint == _shipped().fingerprint
        ):
            self.vocabulary.write_into(folder)
        write_json(folder / CONFIG, {**self.config.to_dict(), "dtype": "float32" if int8 else precision})
        write_json(folder / GENERATION, generation_config(self.config))
        weights = WEIGHTS_INT8 if int8 else WEIGHTS
        write_tensors(folder / weights, quantize_tensors(self.tensors) if int8 else self.tensors, precision)
        manifest = {
            "format": FORMAT,
            "spanish_tok": __version__,
            "parameters": self.config.parameters,
            "vocabulary": self.vocabulary.fingerprint,
            "files": {name: sha256_of_file(folder / name) for name in (CONFIG, weights)},
            "notes": dict(self.notes),
        }
        write_json(folder / MANIFEST, manifest)

    @classmethod
    def load(cls, folder: str | os.PathLike[str], vocabulary: Vocabulary | None = None) -> "Checkpoint":
        """Read and check a model folder.

        `vocabulary` stands in if the folder holds none.

        Raises SpanishTokError, which names the file and the tensor: a file that is missing, damaged or cut off; a
        tensor that is missing, unexpected, of another shape, or not finite; another vocabulary.
        """
        folder = Path(folder)
        check_model_folder(folder)
        manifest = checked_manifest(folder)
        config = T5Config.from_json(folder / CONFIG)
        if vocabulary is None:
            vocabulary = vocabulary_of(folder, manifest)
        _check_vocabulary(config, vocabulary, str(folder))
        if manifest and manifest["vocabulary"] != vocabulary.fingerprint:
            raise SpanishTokError(
                f"The vocabulary beside {folder / WEIGHTS} is not the one that the model was trained with",
                "Copy the whole folder again.",
            )
        tensors, int8 = read_weights(folder, config)
        return cls(config, tensors, vocabulary, manifest.get("notes", {}), int8)


def read_weights(folder: Path, config: T5Config) -> tuple[Tensors, bool]:
    """Return the arrays of a model folder, and whether they are stored as int8.

    The folder may be another library's.

    Raises SpanishTokError where they are not those of `config`.
    """
    int8 = not (folder / WEIGHTS).exists() and (folder / WEIGHTS_INT8).exists()
    weights = folder / (WEIGHTS_INT8 if int8 else WEIGHTS)
    tensors = read_tensors(weights)
    if int8:
        tensors = dequantize_tensors(tensors, str(weights))
    if config.tie_word_embeddings:
        _drop_copies(tensors)
    check_tensors(config, tensors, str(weights))
    return tensors, int8


def generation_config(config: T5Config) -> dict[str, Any]:
    """Return the content of generation_config.json.

    transformers' `generate` reads its special ids there.
    """
    return {
        "decoder_start_token_id": config.decoder_start_token_id,
        "eos_token_id": config.eos_token_id,
        "pad_token_id": config.pad_token_id,
    }


def write_tensors(
    path: str | os.PathLike[str],
    tensors: Mapping[str, NDArray[Any]],
    precision: Precision = "float32",
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write arrays as one safetensors file, atomically.

    Floats are stored in `precision`, others as they are.
    """
    from safetensors import TensorSpec, serialize

    stored = {}
    for name, array in tensors.items():
        if precision == "bfloat16" and array.dtype == np.float32:
            stored[name] = (to_bfloat16(array), "bfloat16")
        else:
            stored[name] = (np.ascontiguousarray(array), array.dtype.name)
    specs = {
        name: TensorSpec(dtype=kind, shape=array.shape, data_ptr=array.ctypes.data, data_len=array.nbytes)
        for name, (array, kind) in stored.items()
    }
    with atomic_path(path) as partial:
        partial.write_bytes(serialize(specs, metadata={"format": "pt", **(metadata or {})}))


def read_tensors(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """Return the arrays of a safetensors file.

    bfloat16 and float16 are widened to float32.

    Raises SpanishTokError that names the file where it is missing, cut off, or holds another type.
    """
    from safetensors import SafetensorError, deserialize

    try:
        entries: list[tuple[str, Any]] = deserialize(Path(path).read_bytes())  # type: ignore[no-untyped-call]
    except OSError as error:
        raise SpanishTokError(f"{path} cannot be read ({error.strerror})", "Check the folder.") from None
    except SafetensorError as error:
        raise SpanishTokError(f"{path} is damaged or cut off ({error})", "Copy the file again.") from None
    return {name: _array(entry, name, path) for name, entry in entries}


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """Return the metadata of a safetensors file that `read_tensors` can read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise SpanishTokError(f"{path} is damaged or cut off ({error})", "Copy the file again.") from None


_KINDS = {
    "F32": "float32",
    "F16": "float16",
    "BF16": "uint16",
    "I64": "int64",
    "I32": "int32",
    "U8": "uint8",
    "I8": "int8",
}


def _array(entry: Mapping[str, Any], name: str, path: str | os.PathLike[str]) -> NDArray[Any]:
    kind = entry["dtype"]
    if kind not in _KINDS:
        raise SpanishTokError(f"{path}: {name} is of type {kind}", "Store it as float32 or bfloat16.")
    array = np.frombuffer(entry["data"], dtype=_KINDS[kind]).reshape(entry["shape"])
    if kind == "BF16":
        return from_bfloat16(array)
    return array.astype(np.float32) if kind == "F16" else array


def to_bfloat16(array: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Return the upper halves of float32 numbers, rounded to the nearest.

    Ties go to even; finite input only.

    >>> hex(to_bfloat16(np.array([1.0], dtype=np.float32))[0])
    '0x3f80'
    """
    bits = np.ascontiguousarray(array).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def from_bfloat16(halves: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Return the float32 numbers whose upper halves are given: exact.

    >>> from_bfloat16(np.array([0x3F80], dtype=np.uint16)).tolist()
    [1.0]
    """
    return (halves.astype(np.uint32) << 16).view(np.float32)


def check_tensors(config: T5Config, tensors: Mapping[str, NDArray[Any]], where: str) -> None:
    """Raise SpanishTokError unless `tensors` are those of `config`, all finite.

    The message names the tensor.
    """
    shapes = config.shapes()
    for problem, names in (
        ("lacks", shapes.keys() - tensors),
        ("holds the unexpected", tensors.keys() - shapes),
    ):
        if names:
            first, *others = sorted(names)
            more = f" and {len(others)} more" if others else ""
            raise SpanishTokError(f"{where} {problem} {first}{more}", "Is it another model's config.json?")
    for name, shape in shapes.items():
        if tensors[name].shape != shape:
            raise SpanishTokError(
                f"{where}: {name} has the shape {tensors[name].shape}, not {shape}",
                "Is it another model's config.json?",
            )
        if tensors[name].dtype != np.float32:
            raise SpanishTokError(f"{where}: {name} holds {tensors[name].dtype}", "Store it as float32.")
        if not np.isfinite(tensors[name]).all():
            raise SpanishTokError(
                f"{where}: {name} holds numbers that are not finite",
                "The training failed: use an earlier state.",
            )


def _drop_copies(tensors: dict[str, NDArray[Any]]) -> None:
    """Remove copies of the shared embedding; a copy that differs stays.

    It is refused as unexpected then.
    """
    for name in COPIES:
        if name in tensors and np.array_equal(tensors[name], tensors.get("shared.weight", ())):
            del tensors[name]


def check_model_folder(folder: Path) -> None:
    """Raise SpanishTokError for what is not the folder of a model.

    It names the checkpoint of a training."""
    if not folder.is_dir():
        raise SpanishTokError(f"{folder} is not a folder", "Give the folder of a model.")
    if not (folder / CONFIG).exists() and (found := sorted(folder.glob("checkpoint-*"))):
        raise SpanishTokError(f"{folder} is the folder of a training, not of a model", f"Give {found[-1]}.")


def refuse_restorer(folder: Path) -> None:
    """Raise SpanishTokError for a folder that restores accents."""
    if (folder / RESTORER).exists():
        raise SpanishTokError(
            f"{folder} restores accents (it has a {RESTORER}), and is no T5 that writes text",
            f"Use spanish-tok restore --model {folder}, or evaluate.",
        )


def checked_manifest(folder: Path) -> dict[str, Any]:
    """Return the content of model.json, once the files are as it says.

    Empty if there is no such file. Raises SpanishTokError for a folder that restores accents.
    """
    refuse_restorer(folder)
    path = folder / MANIFEST
    if not path.exists():
        return {}
    manifest: dict[str, Any] = read_json(path, SHAPE)
    if manifest["format"] != FORMAT:
        raise SpanishTokError(
            f"{folder} has format {manifest['format']}", f"This version reads format {FORMAT}."
        )
    check_files(folder, manifest["files"])
    return manifest


def _shipped() -> Vocabulary:
    return Vocabulary.load(shipped("vocab/es-5000"))


def vocabulary_of(folder: Path, manifest: Mapping[str, Any]) -> Vocabulary:
    """Return the folder's own vocabulary, or the shipped one.

    The shipped one if model.json says that it is the model's.
    """
    return Vocabulary.load(vocabulary_folder(folder, manifest))


def vocabulary_folder(folder: Path, manifest: Mapping[str, Any]) -> Path:
    """Return the folder that holds a model's vocabulary: its own, or the shipped one."""
    if (folder / VOCABULARY_MANIFEST).exists():
        return folder
    if manifest and _shipped().fingerprint == manifest["vocabulary"]:
        return shipped("vocab/es-5000")
    raise SpanishTokError(
        f"{folder} holds no vocabulary", "Copy the files of the vocabulary's folder into it."
    )


def _holds(folder: Path, vocabulary: Vocabulary) -> bool:
    try:
        return Vocabulary.load(folder).fingerprint == vocabulary.fingerprint
    except SpanishTokError:
        return False


def _check_vocabulary(config: T5Config, vocabulary: Vocabulary, where: str) -> None:
    if len(vocabulary) > config.vocab_size:
        raise SpanishTokError(
            f"{where}: the vocabulary has {len(vocabulary):,} ids, the model {config.vocab_size:,} rows",
            "It is another model's vocabulary.",
        )
