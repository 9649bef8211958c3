"""A model folder, read and checked without torch.

It holds config.json, model.safetensors and the vocabulary's files.

transformers loads such a folder as it is. model.json, written last, is the folder's own manifest: the vocabulary's
fingerprint and the SHA-256 of the files; a folder that transformers wrote has none and is checked by its shapes.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spanish_tok._version import __version__
from spanish_tok.errors import SpanishTokError
from spanish_tok.files import check_files, check_format, read_json, sha256_of_file, shipped, write_json
from spanish_tok.files.outputs import check_folder, whole_folder
from spanish_tok.t5.config import T5Config
from spanish_tok.t5.foreign.files import check_parts, weights_file, weights_of
from spanish_tok.t5.foreign.names import HEAD, check_shapes, named_weights
from spanish_tok.t5.quantization import dequantize_tensors, quantize_tensors
from spanish_tok.t5.safetensors import Precision, read_tensors, write_tensors
from spanish_tok.vocab.folder import MANIFEST as VOCABULARY_MANIFEST
from spanish_tok.vocab.foreign import is_foreign, refuse_keras
from spanish_tok.vocab.vocabulary import Vocabulary

CONFIG = "config.json"
GENERATION = "generation_config.json"
WEIGHTS = "model.safetensors"
WEIGHTS_INT8 = "model-int8.safetensors"  # under another name, because no other library reads the scales
MANIFEST = "model.json"
RESTORER = "restorer.json"  # of a folder that restores accents: an encoder alone, which is no T5
HUB = re.compile(r"[\w-]+/[\w.-]+")  # the name of a model of the Hub, which may be a path, too
FORMAT = 1
SHAPE = {"format": object, "vocabulary": str, "files": {str: str}, "notes?": dict}  # of model.json

Tensors = dict[str, NDArray[np.float32]]


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
        check_vocabulary(self.config, self.vocabulary, str(folder))
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
        own = self.vocabulary.foreign.files if self.vocabulary.foreign else ()
        manifest = {
            "format": FORMAT,
            "spanish_tok": __version__,
            "parameters": self.config.parameters,
            "vocabulary": self.vocabulary.fingerprint,
            "files": {name: sha256_of_file(folder / name) for name in (CONFIG, weights, *own)},
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
        check_vocabulary(config, vocabulary, str(folder))
        if manifest and manifest["vocabulary"] != vocabulary.fingerprint:
            raise SpanishTokError(
                f"The vocabulary beside {folder / WEIGHTS} is not the one that the model was trained with",
                "Copy the whole folder again.",
            )
        config, tensors, int8 = read_weights(folder, config)
        return cls(config, tensors, vocabulary, manifest.get("notes", {}), int8)


def read_weights(folder: Path, config: T5Config) -> tuple[T5Config, Tensors, bool]:
    """Return the arrays of a model folder, its config with the head they show.

    And whether they are int8.

    The folder may be another library's: safetensors or PyTorch's files, one or many (see `foreign`).

    Raises SpanishTokError where they are not those of `config`.
    """
    int8 = (folder / WEIGHTS_INT8).exists() and not (folder / WEIGHTS).exists()
    if int8:
        where = str(folder / WEIGHTS_INT8)
        tensors = dequantize_tensors(read_tensors(where), where)
        config = config.with_head(tied=HEAD not in tensors)
    else:
        where = str(folder / WEIGHTS) if (folder / WEIGHTS).exists() else str(folder)
        config, weights = named_weights(config, weights_of(folder), where)
        tensors = {name: tensor.read().numbers() for name, tensor in weights.items()}
    check_tensors(config, tensors, where)
    return config, tensors, int8


def generation_config(config: T5Config) -> dict[str, Any]:
    """Return the content of generation_config.json.

    transformers' `generate` reads its special ids there.
    """
    return {
        "decoder_start_token_id": config.decoder_start_token_id,
        "eos_token_id": config.eos_token_id,
        "pad_token_id": config.pad_token_id,
    }


def check_tensors(config: T5Config, tensors: Mapping[str, NDArray[Any]], where: str) -> None:
    """Raise SpanishTokError unless `tensors` are those of `config`, all finite.

    The message names the tensor.
    """
    check_shapes(config, {name: array.shape for name, array in tensors.items()}, where)
    for name in config.shapes():
        if tensors[name].dtype != np.float32:
            raise SpanishTokError(f"{where}: {name} holds {tensors[name].dtype}", "Store it as float32.")
        if not np.isfinite(tensors[name]).all():
            raise SpanishTokError(
                f"{where}: {name} holds numbers that are not finite",
                "The training failed: use an earlier state.",
            )


def check_model_folder(folder: Path) -> None:
    """Raise SpanishTokError for what is not the folder of a model.

    It names the checkpoint of a training, and a preset of KerasHub."""
    if not folder.is_dir():
        hub = f" Of the Hub: hf download {folder} --local-dir FOLDER." if HUB.fullmatch(str(folder)) else ""
        raise SpanishTokError(f"{folder} is not a folder", f"Give the folder of a model.{hub}")
    if not (folder / CONFIG).exists() and (saved := sorted(folder.glob("checkpoint-*"))):
        raise SpanishTokError(f"{folder} is the folder of a training, not of a model", f"Give {saved[-1]}.")
    refuse_keras(folder)
    check_parts(folder)
    if not (folder / CONFIG).exists() and (weights := weights_file(folder)):
        raise SpanishTokError(
            f"{folder} holds the weights of a model ({weights}) without its {CONFIG}",
            "Copy the whole folder.",
        )


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
    check_format(folder, manifest["format"], FORMAT)
    check_files(folder, manifest["files"])
    return manifest


def _shipped() -> Vocabulary:
    return Vocabulary.load(shipped("vocab/es-5000"))


def vocabulary_of(folder: Path, manifest: Mapping[str, Any]) -> Vocabulary:
    """Return the folder's own vocabulary, another T5's too, or the shipped one.

    The shipped one if model.json says that it is the model's.
    """
    return Vocabulary.load(vocabulary_folder(folder, manifest))


def vocabulary_folder(folder: Path, manifest: Mapping[str, Any]) -> Path:
    """Return the folder that holds a model's vocabulary.

    Its own, another T5's too, or the shipped one.
    """
    if (folder / VOCABULARY_MANIFEST).exists():
        return folder
    if manifest and _shipped().fingerprint == manifest["vocabulary"]:
        return shipped("vocab/es-5000")
    if is_foreign(folder):
        return folder
    check_model_folder(folder)
    raise SpanishTokError(
        f"{folder} holds no vocabulary", "Copy the files of the vocabulary's folder into it."
    )


def _holds(folder: Path, vocabulary: Vocabulary) -> bool:
    try:
        return Vocabulary.load(folder).fingerprint == vocabulary.fingerprint
    except SpanishTokError:
        return False


def check_vocabulary(config: T5Config, vocabulary: Vocabulary, where: str) -> None:
    """Raise SpanishTokError if a vocabulary has more ids than the model rows."""
    if len(vocabulary) > config.vocab_size:
        raise SpanishTokError(
            f"{where}: the vocabulary has {len(vocabulary):,} ids, the model {config.vocab_size:,} rows",
            "It is another model's vocabulary.",
        )
