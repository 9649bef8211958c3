"""The verb `trim`: a model with the pieces that a text uses, and no others.

Tokenizer, embedding and output layer are cut together. What text needs kept pieces only is cut as before, and the
model computes the same numbers for it: `verify DIR --against MODEL` proves it.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spanish_tok.errors import SpanishTokError
from spanish_tok.files import read_json, write_json
from spanish_tok.files.outputs import check_new_folder, whole_folder
from spanish_tok.options import changed
from spanish_tok.progress import Bar, ProgressOption, progress_of
from spanish_tok.readers.inputs import InputOption, inputs_of
from spanish_tok.readers.options import FileReport, Location, ReadOptions
from spanish_tok.t5.checkpoint import (
    CONFIG,
    GENERATION,
    Checkpoint,
    check_model_folder,
    check_vocabulary,
    checked_manifest,
    vocabulary_of,
)
from spanish_tok.t5.config import T5Config
from spanish_tok.t5.foreign.cut_files import cut_files, renumbered
from spanish_tok.t5.foreign.files import Weights, weights_of
from spanish_tok.t5.foreign.kept_pieces import kept_pieces, named_ids
from spanish_tok.t5.foreign.names import HEAD, SHARED, named_weights
from spanish_tok.t5.foreign.piece_counts import PieceCounts
from spanish_tok.t5.safetensors import Stored, write_stored
from spanish_tok.tokenization.tokenizer import Tokenizer
from spanish_tok.vocab.vocabulary import Vocabulary

PART = 1 << 24  # bytes of a tensor that are copied at a time


@dataclass(frozen=True)
class TrimOptions:
    """How a vocabulary is cut.

    size: ids in all, the most used pieces; None: all pieces in use.
    multiple: the rows of the embedding are rounded up to a multiple of it; those beyond the ids repeat `<pad>`'s.
    """

    size: int | None = None
    multiple: int = 1

    def __post_init__(self) -> None:
        if self.multiple < 1:
            raise SpanishTokError(f"multiple is {self.multiple}", "Give a whole number from 1 up, such as 8.")


@dataclass(frozen=True)
class TrimResult:
    """A trimmed model.

    Its folder, ids and rows before and after, and the share of all uses that kept pieces have.
    """

    folder: Path
    ids_before: int
    ids: int
    rows_before: int
    rows: int
    share: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return {**asdict(self), "folder": str(self.folder)}

    def __str__(self) -> str:
        return (
            f"{self.ids:,} ids of {self.ids_before:,}, {self.rows:,} rows of {self.rows_before:,}; the pieces that "
            f"stay are {self.share:.2%} of all uses: {self.folder}"
        )


def trim(
    model: Location,
    output: Location | None = None,
    *,
    input: InputOption = None,  # noqa: A002
    texts: Any = None,
    counts: Location | None = None,
    keep_characters: Location | None = None,
    save_counts: Location | None = None,
    reading: ReadOptions | None = None,
    options: TrimOptions | None = None,
    progress: ProgressOption = None,
    **changes: Any,
) -> TrimResult:
    """Cut the vocabulary of a model down to the pieces that a text uses.

    model: a folder of any T5. output: a new folder. input, texts: what to read, as for `count`; or counts: a table
    (piece, count) that `save_counts` wrote, for our vocabularies also (run, count). keep_characters: a file of
    characters to keep beside those that the text uses; a vocabulary without byte pieces keeps all of its own. changes:
    fields of TrimOptions.

    Rows are read from the file: memory holds what stays, never the whole model. Raises SpanishTokError for a damaged
    model, a size that is too small, and an output that holds anything.
    """
    options = changed(TrimOptions, options, changes)
    if output is None:
        raise SpanishTokError("trim needs an output", "Give a new folder.")
    check_new_folder(output)
    if sum(given is not None for given in (input, texts, counts)) != 1:
        raise SpanishTokError("trim needs one of text, texts= and counts", "Give one.")
    source = ModelSource.of(Path(model))
    tokenizer = Tokenizer(source.vocabulary)
    with progress_of(progress).phase("counting pieces") as bar:
        if counts is not None:
            found = PieceCounts.of_table(tokenizer, counts)
        else:
            found = PieceCounts.of_texts(tokenizer, _columns(input, texts, reading, bar))
    if save_counts is not None:
        found.save(save_counts)
    characters = tokenizer.normalize(Path(keep_characters).read_text("utf-8")) if keep_characters else ""
    kept = kept_pieces(found, options.size, characters, source.named)
    rows = -(-len(kept) // options.multiple) * options.multiple
    with whole_folder(output) as partial, progress_of(progress).phase("writing", unit="share"):
        source.write(partial, kept, rows)
    total = int(found.uses.sum())
    return TrimResult(
        folder=Path(output),
        ids_before=len(source.vocabulary),
        ids=len(kept),
        rows_before=source.config.vocab_size,
        rows=rows,
        share=int(found.uses[kept].sum()) / total if total else 0.0,
    )


def _columns(given: InputOption, texts: Any, reading: ReadOptions | None, bar: Bar) -> Iterator[Any]:
    for item in inputs_of(given, reading, texts=texts).items:
        for batch in item.read(FileReport(item.name)):
            bar.advance(batch.num_rows)
            yield batch.column("text")


@dataclass(frozen=True)
class ModelSource:
    """A model folder that is to be cut: its weights are not read yet."""

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
        if missing := sorted(config.shapes().keys() ^ weights.keys()):
            raise SpanishTokError(f"{folder} lacks, or has beyond its config, {missing[0]}", "Copy it again.")
        names = [name for name in (CONFIG, GENERATION) if (folder / name).exists()]
        return cls(vocabulary, config, weights, {name: read_json(folder / name) for name in names})

    @property
    def named(self) -> frozenset[int]:
        """The ids that the configs name, those of the vocabulary."""
        try:
            return frozenset(n for n in named_ids(self.configs.values()) if 0 <= n < len(self.vocabulary))
        except (TypeError, ValueError) as error:
            raise SpanishTokError(f"A config names ids that are none ({error})", "Correct it.") from None

    def write(self, folder: Path, kept: NDArray[np.int64], rows: int) -> None:
        """Write the model with the pieces `kept` and so many rows."""
        new = {int(old): place for place, old in enumerate(kept)}
        cut_vocabulary(self.vocabulary, new).write_into(folder)
        for name, values in self.configs.items():
            size = {"vocab_size": rows} if name == CONFIG else {}
            write_json(folder / name, renumbered(values, new) | size)
        padding = np.full(rows - len(kept), self.vocabulary.pad, np.int64)
        chosen = np.concatenate([kept, padding])
        tensors = []
        for name, tensor in self.weights.items():
            cut = name in (SHARED, HEAD)
            shape = (rows, *tensor.shape[1:]) if cut else tensor.shape
            tensors.append((name, tensor.kind, shape, parts_of(tensor, chosen if cut else None)))
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


def parts_of(tensor: Any, rows: NDArray[np.int64] | None) -> Iterable[NDArray[Any]]:
    """Yield a tensor's numbers, or those of some rows, some rows at a time."""
    if rows is None and len(tensor.shape) < 2:
        yield tensor.read().array
        return
    rows = np.arange(tensor.shape[0]) if rows is None else rows
    step = max(1, PART // max(1, 8 * math.prod(tensor.shape[1:])))
    for first in range(0, len(rows), step):
        yield tensor.read(rows[first : first + step]).array
