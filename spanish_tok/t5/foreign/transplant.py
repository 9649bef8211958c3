"""The verb `transplant`.

Another vocabulary for a model, whose rows are carried over.

A piece that both vocabularies have keeps its row. Any other begins as the mean of the rows that the old tokenizer
gives its text, a piece without `▁` being cut as the continuation of a word; or by FOCUS (focus.py). Specials and
sentinels keep theirs by their role. The output layer's rows, where it has its own, are made likewise.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spanish_tok.errors import SpanishTokError
from spanish_tok.files import write_json
from spanish_tok.files.outputs import check_new_folder, whole_folder
from spanish_tok.progress import ProgressOption, progress_of
from spanish_tok.readers.options import Location
from spanish_tok.t5.checkpoint import CONFIG
from spanish_tok.t5.foreign.files import WeightTensor
from spanish_tok.t5.foreign.focus import mixtures, read_vectors
from spanish_tok.t5.foreign.names import HEAD, SHARED
from spanish_tok.t5.foreign.source import ModelSource, parts_of
from spanish_tok.t5.safetensors import Stored, to_bfloat16, write_stored
from spanish_tok.text.alphabet import SPACE_MARK
from spanish_tok.tokenization.tokenizer import Tokenizer
from spanish_tok.vocab.vocabulary import Vocabulary

BLOCK = 8192  # rows that the mean of all is computed from at a time
# of a new piece: the old ids whose rows make it, and their weights
Recipe = tuple[NDArray[np.int64], NDArray[np.float32]]


@dataclass(frozen=True)
class TransplantResult:
    """A model with another vocabulary.

    Its folder, and how many of its ids began in which way.

    kept: a row of the old model, of the same piece or role. mixed: by FOCUS. averaged: the mean of the rows of their
    old pieces. others: the mean of all rows, as the old vocabulary cannot write them; sentinels differ around it.
    """

    folder: Path
    ids: int
    kept: int
    mixed: int
    averaged: int
    others: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return {**asdict(self), "folder": str(self.folder)}

    def __str__(self) -> str:
        mixed = f", {self.mixed:,} mixed" if self.mixed else ""
        return (
            f"{self.ids:,} ids: {self.kept:,} rows kept{mixed}, {self.averaged:,} averaged, {self.others:,} others: "
            f"{self.folder}"
        )


def transplant(
    model: Location,
    output: Location | None = None,
    *,
    vocab: Tokenizer | Location | None = None,
    vectors: Location | None = None,
    progress: ProgressOption = None,
) -> TransplantResult:
    """Give a model another vocabulary, and carry its embeddings over.

    model: a folder of any T5. output: a new folder. vocab: a Tokenizer or the folder of a vocabulary, ours or another
    T5's; the shipped one by default. vectors: a file of vectors of the new pieces in word2vec's text form, for FOCUS;
    pieces without one begin as a mean. Raises SpanishTokError for a damaged folder, and an output that holds anything.
    """
    if output is None:
        raise SpanishTokError("transplant needs an output", "Give a new folder.")
    check_new_folder(output)
    source = ModelSource.of(Path(model))
    tokenizer = vocab if isinstance(vocab, Tokenizer) else Tokenizer.load(vocab)
    new, old = tokenizer.vocabulary, Tokenizer(source.vocabulary)
    with progress_of(progress).phase("carrying over", unit="share") as bar:
        kept = kept_rows(source.vocabulary, new)
        recipes: dict[int, Recipe] = {n: (np.array([one]), np.ones(1, np.float32)) for n, one in kept.items()}
        missing = [n for n in range(len(new)) if n not in kept and n not in new.special_ids]
        mixed: dict[int, Recipe] = {}
        if vectors is not None:
            bar.note("vectors")
            ordinary = [n for n in kept if n not in new.special_ids]
            found = mixtures(read_vectors(vectors, new.pieces), missing, ordinary)
            if missing and not found:
                raise SpanishTokError(
                    f"{vectors} has no vector of a new piece, or of none that both vocabularies have",
                    "Train vectors on text that the new vocabulary cut.",
                )
            mixed = {n: (np.array([kept[int(one)] for one in shared]), w) for n, (shared, w) in found.items()}
        averaged = {
            n: recipe for n in missing if n not in mixed and (recipe := _mean_of(text_of(new, n), old))
        }
        recipes |= mixed | averaged
        bar.note("writing")
        with whole_folder(output) as partial:
            new.write_into(partial)
            _write_configs(source, partial, kept, new)
            _write_weights(source, partial, recipes, new)
    return TransplantResult(
        Path(output), len(new), len(kept), len(mixed), len(averaged), len(new) - len(recipes)
    )


def kept_rows(old: Vocabulary, new: Vocabulary) -> dict[int, int]:
    """Return, for each new id whose piece or role the old vocabulary has, the old id.

    A special of the same name is the same one; text and specials never stand for one another.
    """
    roles = {new.pad: old.pad, new.eos: old.eos, new.unknown: old.unknown}
    roles |= {new.sentinel_id(k): old.sentinel_id(k) for k in range(min(new.sentinels, old.sentinels))}
    ids = {(piece, n in old.special_ids): n for n, piece in enumerate(old.pieces)}
    pieces = {
        n: ids[key] for n, piece in enumerate(new.pieces) if (key := (piece, n in new.special_ids)) in ids
    }
    return pieces | roles


def text_of(vocabulary: Vocabulary, number: int) -> str:
    """Return the piece whose rows an id begins with.

    It is the id's own, or for an ASCII byte its character; "" for any other byte.
    """
    byte = vocabulary.foreign.byte_of.get(number) if vocabulary.foreign else None
    return vocabulary.pieces[number] if byte is None else chr(byte) if 32 < byte < 127 else ""


def _mean_of(piece: str, old: Tokenizer) -> Recipe | None:
    """Return the old pieces of a new piece's text, each with the same weight.

    None if they are all unknown.
    """
    text = piece.removeprefix(SPACE_MARK).replace(SPACE_MARK, " ")
    ids = old.encode(text) if piece.startswith(SPACE_MARK) else old.encode_continued(text)
    known = np.array([number for number in ids if number != old.vocabulary.unknown], np.int64)
    return (known, np.full(len(known), 1 / len(known), np.float32)) if len(known) else None


def _write_configs(source: ModelSource, folder: Path, kept: Mapping[int, int], new: Vocabulary) -> None:
    ids = {old: number for number, old in kept.items()}
    for name, values in source.renumbered(ids).items():
        size = {"vocab_size": len(new)} if name == CONFIG else {}
        known = {entry: value for entry, value in values.items() if entry != "tokenizer_class"}
        write_json(folder / name, known | size)


def _write_weights(source: ModelSource, folder: Path, recipes: Mapping[int, Recipe], new: Vocabulary) -> None:
    tensors: list[tuple[str, str, tuple[int, ...], Iterable[NDArray[Any]]]] = []
    for name, tensor in source.weights.items():
        if name in (SHARED, HEAD):
            rows = _narrowed(_rows(tensor, recipes, new, len(source.vocabulary)), tensor.kind)
            tensors.append((name, tensor.kind, rows.array.shape, [rows.array]))
        else:
            tensors.append((name, tensor.kind, tensor.shape, parts_of(name, tensor, None)))
    write_stored(folder / "model.safetensors", tensors)


def _rows(
    tensor: WeightTensor, recipes: Mapping[int, Recipe], new: Vocabulary, used: int
) -> NDArray[np.float32]:
    """Return the rows of all new ids.

    Only the old rows that make them are in memory at once.
    """
    mean, deviation = _moments(tensor, used)
    rows = np.empty((len(new), tensor.shape[1]), np.float32)
    rows[:] = mean
    noise = np.random.default_rng(0)
    for k in range(new.sentinels):
        rows[new.sentinel_id(k)] += noise.normal(0, 1, len(mean)).astype(np.float32) * deviation
    needed = np.unique(np.concatenate([ids for ids, _ in recipes.values()]))
    values = tensor.read(needed).numbers()
    for number, (ids, weights) in recipes.items():
        rows[number] = weights @ values[np.searchsorted(needed, ids)]
    return rows


def _moments(tensor: WeightTensor, used: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return mean and standard deviation of the columns of the rows that have ids.

    Some rows at a time.
    """
    sums = squares = np.zeros(tensor.shape[1])
    for block in _blocks(tensor, used):
        sums, squares = sums + block.sum(axis=0), squares + (block * block).sum(axis=0)
    mean = sums / used
    return mean.astype(np.float32), np.sqrt(np.maximum(squares / used - mean * mean, 0)).astype(np.float32)


def _blocks(tensor: WeightTensor, used: int) -> Iterator[NDArray[np.float64]]:
    for first in range(0, used, BLOCK):
        yield tensor.read(np.arange(first, min(first + BLOCK, used))).numbers().astype(np.float64)


def _narrowed(rows: NDArray[np.float32], kind: str) -> Stored:
    """Return rows in the type of the file that they come from."""
    if kind == "BF16":
        return Stored(to_bfloat16(rows), kind)
    return Stored(rows.astype({"F16": np.float16, "F64": np.float64}.get(kind, np.float32)), kind)
