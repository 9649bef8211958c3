"""A model for other libraries, by the maintained converters.

transformers' folder, CTranslate2's, ONNX graphs, llama.cpp's GGUF, KerasHub's preset.
"""

import os
import shutil
import tempfile
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from spanish_tok.errors import SpanishTokError
from spanish_tok.files import shipped, write_json
from spanish_tok.files.outputs import check_folder, whole_folder
from spanish_tok.readers.options import Location
from spanish_tok.t5.checkpoint import CONFIG, GENERATION, Checkpoint, generation_config
from spanish_tok.t5.foreign.names import HEAD, SHARED
from spanish_tok.t5.safetensors import Precision

FORMS = ("transformers", "ctranslate2", "onnx", "gguf", "keras", "int8")
SOURCES = ("keras",)


def export(
    model: Location | None = None,
    output: Location | None = None,
    *,
    to: str,
    precision: str | None = None,
    source: str | None = None,
    force: bool = False,
) -> Path:
    """Write a model for another library into the folder `output`; return that folder.

    model: a model folder, the shipped one by default. to: "transformers" (precision float32 or bfloat16),
    "ctranslate2" (a quantization of its converter), "onnx" (float32 or int8), "gguf" (f32, f16 or q8_0, as llama.cpp
    calls them), "keras" (float32), or "int8": this package's own, a quarter of the size, which `Generator.load` reads.
    source: "keras" reads a preset of KerasHub instead of a model folder.

    Raises SpanishTokError for a damaged model, an unknown form or precision, a missing library, and if output holds
    files already; `force` replaces a model folder of this package.
    """
    if output is None:
        raise SpanishTokError("export needs an output", "Give a new folder.")
    folder, output, form = Path(model) if model is not None else shipped("models/es-tiny"), Path(output), to
    if form not in FORMS:
        raise SpanishTokError(f"There is no export to {form!r}", f"Choose from {', '.join(FORMS)}.")
    if check_folder(output, force=force, kind="an export"):
        raise SpanishTokError(f"{output} is not empty", "Give a new folder, or --force to replace a model.")
    if source not in (None, *SOURCES):
        raise SpanishTokError(f"There is no export from {source!r}", f"Give {' or '.join(SOURCES)}.")
    if source and form == "ctranslate2":
        raise SpanishTokError("CTranslate2's converter reads no preset", "Export to transformers first.")
    checkpoint = from_keras(folder) if source == "keras" else Checkpoint.load(folder)
    only = {"int8": "int8", "keras": "float32"}
    if form in only and precision not in (None, only[form]):
        raise SpanishTokError(f"{form} has no precision {precision!r}", "Leave it out.")
    if form == "int8":
        checkpoint.save(output, "int8", force=force)
    elif form == "onnx":
        to_onnx(checkpoint, output, precision or "float32")
    elif form == "gguf":
        to_gguf(checkpoint, output, precision or "f32")
    elif form == "keras":
        to_keras(checkpoint, output)
    elif form == "transformers":
        to_transformers(checkpoint, output, precision or "float32", force=force)
    else:
        to_ctranslate2(checkpoint, output, precision or "float32")
    return output


def to_transformers(checkpoint: Checkpoint, output: Path, precision: str, *, force: bool = False) -> None:
    """Write what transformers' Auto classes load.

    config.json, generation_config.json, model.safetensors and the tokenizer's files.
    """
    precisions: dict[str, Precision] = {"float32": "float32", "bfloat16": "bfloat16"}
    if precision not in precisions:
        raise SpanishTokError(f"There is no precision {precision!r} here", "Give float32 or bfloat16.")
    checkpoint.save(output, precisions[precision], force=force)


def to_ctranslate2(checkpoint: Checkpoint, output: Path, precision: str) -> None:
    """Write CTranslate2's model.bin by its own converter.

    It reads a folder through transformers: a copy without the rows that have no id, which it would name twice. Whether
    outputs are scaled it takes from an entry that transformers 5 changes, so that is set here.
    """
    _need("export", "ctranslate2", "transformers")
    from ctranslate2.converters import TransformersConverter
    from ctranslate2.specs.model_spec import ACCEPTED_MODEL_TYPES, OPTIONAL

    if precision not in ACCEPTED_MODEL_TYPES:
        raise SpanishTokError(
            f"CTranslate2 has no precision {precision!r}", f"Give one of {', '.join(ACCEPTED_MODEL_TYPES)}."
        )
    c = checkpoint.config

    class Converter(TransformersConverter):  # type: ignore[misc]
        """The converter, which is told whether outputs are scaled."""

        def _load(self) -> Any:
            spec = super()._load()
            spec.decoder.scale_outputs = c.d_model**-0.5 if c.scaled else OPTIONAL
            return spec

    with tempfile.TemporaryDirectory() as copy:
        without_spare_rows(checkpoint).write_into(copy)
        try:
            Converter(copy, low_cpu_mem_usage=True).convert(os.fspath(output), quantization=precision)
            checkpoint.vocabulary.write_into(output)
        except ValueError as error:  # of an earlier version that knows no umT5
            shutil.rmtree(output, ignore_errors=True)
            raise SpanishTokError(
                f"CTranslate2's converter refuses the model ({error})", "pip install -U ctranslate2"
            ) from None
        except BaseException:
            shutil.rmtree(output, ignore_errors=True)
            raise


def without_spare_rows(checkpoint: Checkpoint) -> Checkpoint:
    """Return a model without the rows of embedding and output layer that have no id."""
    ids = len(checkpoint.vocabulary)
    cut = {name: checkpoint.tensors[name][:ids] for name in (SHARED, HEAD) if name in checkpoint.tensors}
    return replace(
        checkpoint,
        config=replace(checkpoint.config, vocab_size=ids),
        tensors={**checkpoint.tensors, **cut},
    )


def to_onnx(checkpoint: Checkpoint, output: Path, precision: str) -> None:
    """Write encoder.onnx and decoder.onnx.

    And the configuration, and the vocabulary's files. precision: float32 or int8.
    """
    _need("onnx", "onnx")
    from spanish_tok.t5.export.onnx import PRECISIONS, write_graphs

    if precision not in PRECISIONS:
        raise SpanishTokError(
            f"ONNX has no precision {precision!r} here", f"Give one of {', '.join(PRECISIONS)}."
        )
    with whole_folder(output) as partial:  # a decoder without its encoder is of no use
        checkpoint.vocabulary.write_into(partial)
        write_json(partial / CONFIG, {**checkpoint.config.to_dict(), "dtype": "float32"})
        write_json(partial / GENERATION, generation_config(checkpoint.config))
        write_graphs(checkpoint, partial, precision)


def to_gguf(checkpoint: Checkpoint, output: Path, precision: str) -> None:
    """Write model.gguf, model and vocabulary in one file, for llama.cpp.

    precision: f32, f16 or q8_0. llama.cpp's own package writes the file.
    """
    _need("gguf", "gguf")
    from spanish_tok.t5.export.gguf import FILE, PRECISIONS, write_gguf

    if precision not in PRECISIONS:
        raise SpanishTokError(
            f"GGUF has no precision {precision!r} here", f"Give one of {', '.join(PRECISIONS)}."
        )
    write_gguf(checkpoint, output / FILE, precision)


def to_keras(checkpoint: Checkpoint, output: Path) -> None:
    """Write a preset of KerasHub, for TensorFlow and JAX.

    Neither of them is needed here.
    """
    _need("keras", "h5py")
    from spanish_tok.t5.export.keras import write_keras

    write_keras(checkpoint, output)


def from_keras(folder: Path) -> Checkpoint:
    """Read a preset of KerasHub as a checkpoint."""
    _need("keras", "h5py")
    from spanish_tok.t5.export.keras import read_keras

    return read_keras(folder)


def _need(extra: str, *packages: str) -> None:
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise SpanishTokError(
            f"{' and '.join(missing)} must be installed", f"pip install 'spanish-tok[{extra}]'"
        )
