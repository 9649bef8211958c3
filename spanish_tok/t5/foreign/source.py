"""A model folder that is to be cut, or to get another vocabulary.

Its weights are read when they are needed.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spanish_tok.errors import SpanishTokError
from spanish_tok.files import read_json, write_json
from spanish_tok.t5.checkpoint import (
    CONFIG,
    GENERATION,
    Checkpoint,
    check_model_folder,
    check_vocabulary,
    checked_manifest,
    vocabulary_of,
)
from spanish_tok.t5.config import T5Config, with_plain_numbers
from spanish_tok.t5.foreign.cut_files import cut_files, renumbered
from spanish_tok.t5.foreign.files import Weights, weights_of
from spanish_tok.t5.foreign.kept_pieces import named_ids
from spanish_tok.t5.foreign.names import HEAD, SHARED, named_weights
from spanish_tok.t5.safetensors import Stored, write_stored
from spanish_tok.vocab.vocabulary import Vocabulary

PART = 1 << 24  # bytes of a tensor that are copied at a time


@dataclass(frozen=True)
class ModelSource:
    """A model folder that is to be cut: its weights are not read yet."""

    folder: Path
    vocabulary: Vocabulary
    config: T5Config
    weights: Weights
    configs: Mapping[str, Mapping[str, Any]]  # config.json and generation_config.json, as they are

    @classmethod
    def of(cls, folder: Path) -> "ModelSource":
        """Open a model folder; raise SpanishTokError if it is damaged."""
        check_model_folder(folder)
        vocabulary = vocabulary_of(folder, checked_manifest(folder))
        config = T5Config.from_json(folder / CONFIG)
        check_vocabulary(config, vocabulary, str(folder))
        config, weights = named_weights(config, _weights(folder), str(folder))
        names = [name for name in (CONFIG, GENERATION) if (folder / name).exists()]
        configs = {name: read_json(folder / name) for name in names}
        for name, values in configs.items():
            if not isinstance(values, dict):
                raise SpanishTokError(f"{folder / name} is not a JSON object", "Copy the file again.")
        return cls(folder, vocabulary, config, weights, configs)

    @property
    def named(self) -> frozenset[int]:
        """The ids that the configs name, those of the vocabulary."""
        beyond = {
            name: token_id
            for name in ("pad_token_id", "eos_token_id", "decoder_start_token_id")
            if (token_id := getattr(self.config, name)) >= len(self.vocabulary)
        }
        if beyond:
            name, token_id = beyond.popitem()
            raise SpanishTokError(
                f"{self.folder / CONFIG}: {name} is {token_id}, and the vocabulary has {len(self.vocabulary):,} ids",
                "Correct it: a row without a piece cannot stay.",
            )
        named = self._of_configs(lambda values: named_ids([values]))
        return frozenset(n for ids in named.values() for n in ids if 0 <= n < len(self.vocabulary))

    def renumbered(self, new: Mapping[int, int]) -> dict[str, dict[str, Any]]:
        """Return the configs by file, with new ids, and numbers where they have text."""
        configs = self._of_configs(lambda values: renumbered(values, new))
        return configs | {CONFIG: with_plain_numbers(configs[CONFIG])}

    def _of_configs(self, function: Callable[[Mapping[str, Any]], Any]) -> dict[str, Any]:
        """Return what a function makes of each config.

        Raises SpanishTokError for one with damaged ids.
        """
        ids = {}
        for name, values in self.configs.items():
            try:
                ids[name] = function(values)
            except (AttributeError, LookupError, TypeError, ValueError) as error:
                raise SpanishTokError(
                    f"{self.folder / name} names ids that are none ({error})", "Correct it."
                ) from None
        return ids

    def write(self, folder: Path, kept: NDArray[np.int64], rows: int) -> None:
        """Write the model with the pieces `kept` and so many rows."""
        new = {int(old): index for index, old in enumerate(kept)}
        cut_vocabulary(self.vocabulary, new).write_into(folder)
        for name, values in self.renumbered(new).items():
            size = {"vocab_size": rows} if name == CONFIG else {}
            write_json(folder / name, values | size)
        padding = np.full(rows - len(kept), self.vocabulary.pad, np.int64)
        chosen = np.concatenate([kept, padding])
        tensors = []
        for name, tensor in self.weights.items():
            cut = name in (SHARED, HEAD)
            shape = (rows, *tensor.shape[1:]) if cut else tensor.shape
            tensors.append((name, tensor.kind, shape, parts_of(name, tensor, chosen if cut else None)))
        write_stored(folder / "model.safetensors", tensors)


def cut_vocabulary(vocabulary: Vocabulary, new: Mapping[int, int]) -> Vocabulary:
    """Return a vocabulary with the pieces that stay.

    `new` maps old ids to new ones, in order.
    """
    pieces = tuple(vocabulary.pieces[old] for old in new)
    scores = tuple(vocabulary.scores[old] for old in new)
    if vocabulary.foreign is None:
        notes = {**vocabulary.notes, "trimmed_from": vocabulary.fingerprint}
        return replace(vocabulary, pieces=pieces, scores=scores, model=b"", notes=notes)
    files = cut_files(vocabulary.foreign.files, new)
    return replace(vocabulary, pieces=pieces, scores=scores, foreign=replace(vocabulary.foreign, files=files))


def _weights(folder: Path) -> Weights:
    """Return the tensors of a folder; those of int8 as float32, from memory."""
    if (folder / "model-int8.safetensors").exists() and not (folder / "model.safetensors").exists():
        return {name: InMemory(array) for name, array in Checkpoint.load(folder).tensors.items()}
    return weights_of(folder)


@dataclass(frozen=True)
class InMemory:
    """A float32 array with the methods of a tensor in a file."""

    array: NDArray[np.float32]
    kind: str = "F32"

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    def read(self, rows: NDArray[np.int64] | None = None) -> Stored:
        return Stored(self.array if rows is None else self.array[rows], self.kind)


def parts_of(name: str, tensor: Any, rows: NDArray[np.int64] | None) -> Iterable[NDArray[Any]]:
    """Yield a tensor's numbers, or those of some rows, some rows at a time.

    Raises SpanishTokError, which names the tensor, for numbers that are not finite.
    """
    rows = np.arange(tensor.shape[0]) if rows is None else rows
    step = max(1, PART // max(1, 8 * math.prod(tensor.shape[1:])))
    for first in range(0, len(rows), step):
        part = tensor.read(rows[first : first + step])
        if not np.isfinite(part.numbers()).all():
            raise SpanishTokError(
                f"{name} holds numbers that are not finite", "Use an earlier state of the model."
            )
        yield part.array
