"""A trimmed model against its original.

The same ids, the same numbers, the same text.

Pieces are matched by their names alone, not by any note of `trim`. Of the original only the rows of the
pieces that stayed are read: with the dropped ids masked, no other row takes part in what it computes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spanish_tok.errors import SpanishTokError
from spanish_tok.measure.checks.results import Check
from spanish_tok.measure.checks.trimmed_files import config_check, tokenizer_json_check
from spanish_tok.progress import SILENT, Bar
from spanish_tok.t5.checkpoint import Checkpoint
from spanish_tok.t5.foreign.names import HEAD, SHARED
from spanish_tok.t5.foreign.piece_counts import words_of
from spanish_tok.t5.foreign.source import ModelSource
from spanish_tok.tokenization.tokenizer import Tokenizer

if TYPE_CHECKING:
    from spanish_tok.generation.sampling import Backend

AT_ONCE = 4096  # texts that are cut at a time
MODELLED = 1000  # texts, at even distances, that the models read
BATCH, STEPS, LONGEST = 8, 20, 256  # texts at once, ids written, ids read
TOLERANCE = 1e-5  # of logits, times the largest where that is above 1


@dataclass(frozen=True)
class Pair:
    """A trimmed model and its original; `old` is the original's id of each id."""

    trimmed: Tokenizer
    original: Tokenizer
    old: NDArray[np.int64]

    @classmethod
    def of(cls, trimmed: Tokenizer, original: Tokenizer) -> "Pair":
        """Match the pieces by name; -1 for one that the original has not."""
        ids = {piece: token_id for token_id, piece in enumerate(original.vocabulary.pieces)}
        old = np.array([ids.get(piece, -1) for piece in trimmed.vocabulary.pieces], np.int64)
        return cls(trimmed, original, old)

    def cut(self, texts: Any) -> Iterator[tuple[bool, list[int], list[int]]]:
        """Yield of each text whether it needs kept pieces only.

        And its ids by the original and the trimmed one.

        Ids that stayed are given by their new number.
        """
        new = np.full(self.original.vocab_size, -1, np.int64)
        new[self.old] = np.arange(len(self.old))
        for first in range(0, len(texts), AT_ONCE):
            part = texts[first : first + AT_ONCE]
            columns = (
                self.original.encode_column(part).to_pylist(),
                self.trimmed.encode_column(part).to_pylist(),
            )
            for before, after in zip(*columns, strict=True):
                mapped = new[before].tolist() if before else []
                yield -1 not in mapped, mapped, after


def against_checks(
    folder: Path, model: Path, texts: Any, bar: Bar = SILENT
) -> tuple[list[Check], dict[str, float]]:
    """Check a trimmed model against its original on texts.

    Return the checks, and the shares cut as before.

    texts: a large_string column. Raises SpanishTokError for a damaged folder.
    """
    trimmed, source = Checkpoint.load(folder), ModelSource.of(model)
    pair = Pair.of(Tokenizer(trimmed.vocabulary), Tokenizer(source.vocabulary))
    lost = [int(token_id) for token_id in np.flatnonzero(pair.old < 0)]
    pieces = trimmed.vocabulary.pieces
    checks = [Check("pieces: each is one of the original's", len(pieces), len(lost), _name(pieces, lost))]
    if lost or _other_shape(trimmed, source):
        return [*checks, *_other_shape(trimmed, source)], {}
    bar.note("ids")
    rows, whole, as_before = _ids(pair, texts, checks)
    _, words_before = _words(pair, texts)
    shares = {"texts": as_before, "words": words_before}
    vocabularies = trimmed.vocabulary, source.vocabulary
    checks += tokenizer_json_check(*vocabularies, (folder, model), [whole[n] for n in _some(len(whole))])
    new = {int(old): token_id for token_id, old in enumerate(pair.old)}
    checks.append(config_check(ModelSource.of(folder), source, new))
    bar.note("rows")
    checks += _rows(pair, trimmed, source)
    bar.note("logits")
    checks += _logits(pair, trimmed, source, rows)
    return checks, shares


def _name(pieces: Sequence[str], ids: Sequence[int]) -> str:
    return repr(pieces[ids[0]]) if ids else ""


def _other_shape(trimmed: Checkpoint, source: ModelSource) -> list[Check]:
    """Return a failed check where the models differ in more than rows."""
    ours, theirs = (replace(c, vocab_size=1, pad_token_id=0, eos_token_id=0, decoder_start_token_id=0)
                    for c in (trimmed.config, source.config))  # fmt: skip
    return [] if ours == theirs else [Check("the shape is the original's", 1, 1, str(trimmed.config))]


def _ids(pair: Pair, texts: Any, checks: list[Check]) -> tuple[list[list[int]], list[str], float]:
    """Add the check of ids.

    Return the ids of the texts that need kept pieces only, these texts, and the share of all cut as before.
    """
    rows: list[list[int]] = []
    kept: list[str] = []
    tried = wrong = before = total = 0
    example = ""
    for text, (whole, mapped, after) in zip(_texts(texts), pair.cut(texts), strict=True):
        total += 1
        before += mapped == after
        if whole:
            tried += 1
            rows.append(after)
            kept.append(text)
            if mapped != after:
                wrong += 1
                example = example or repr(text[:80])
    if not tried:
        wrong, example = 1, "no text needs kept pieces only"
    checks.append(Check("ids: one to one, on texts of kept pieces", tried, wrong, example))
    return rows, kept, before / total if total else 0.0


def _texts(column: Any) -> Iterator[str]:
    for first in range(0, len(column), AT_ONCE):
        yield from column[first : first + AT_ONCE].to_pylist()


def _words(pair: Pair, texts: Any) -> tuple[int, float]:
    """Return how many words there are, and the share of them that is cut as before."""
    words = words_of([texts])
    counts = words["count"].to_numpy()
    same = [mapped == after for _, mapped, after in pair.cut(words["word"])]
    total = int(counts.sum())
    return total, float(counts[np.array(same, bool)].sum() / total) if total else 0.0


def _rows(pair: Pair, trimmed: Checkpoint, source: ModelSource) -> Iterator[Check]:
    """Check that each row of embedding and output layer is the original's."""
    for name in (SHARED, HEAD):
        if name in source.weights:
            before = source.weights[name].read(pair.old).numbers()
            wrong = np.flatnonzero((trimmed.tensors[name][: len(before)] != before).any(axis=1))
            example = _name(trimmed.vocabulary.pieces, wrong.tolist())
            yield Check(f"rows: {name}", len(before), len(wrong), example)


def _some(count: int) -> list[int]:
    """Return the places of the texts that models read, at even distances."""
    places: list[int] = np.linspace(0, count - 1, min(MODELLED, count)).astype(int).tolist()
    return places


def _logits(pair: Pair, trimmed: Checkpoint, source: ModelSource, rows: list[list[int]]) -> list[Check]:
    """Check logits and greedy ids on some of the texts."""
    eos, size = trimmed.config.eos_token_id, len(pair.old)
    chosen = sorted(([*rows[row][: LONGEST - 1], eos] for row in _some(len(rows))), key=len)
    ours, theirs = _backend(trimmed.config, trimmed.tensors), _restricted(pair, source)
    far = differing = 0
    furthest = 0.0
    for first in range(0, len(chosen), BATCH):
        batch = chosen[first : first + BATCH]
        states = ours.start(batch, STEPS), theirs.start(batch, STEPS)
        last = np.full(len(batch), trimmed.config.decoder_start_token_id)
        apart, other = np.zeros(len(batch), bool), np.zeros(len(batch), bool)
        for _ in range(STEPS):
            after, before = (state.step(last)[:, :size] for state in states)
            distance = np.abs(after - before).max(axis=1) / np.maximum(1.0, np.abs(before).max(axis=1))
            furthest = max(furthest, float(distance.max()))
            apart |= ~(distance <= TOLERANCE)
            other |= after.argmax(axis=1) != before.argmax(axis=1)
            last = before.argmax(axis=1)
        far, differing = far + int(apart.sum()), differing + int(other.sum())
    none = int(not chosen)
    return [
        Check(
            f"logits of kept ids: within {TOLERANCE:g}, {STEPS} steps",
            len(chosen),
            far or none,
            f"{furthest:.1e}",
        ),
        Check("greedy ids, the dropped ones masked", len(chosen), differing or none),
    ]


def _backend(config: Any, tensors: Any) -> "Backend":
    try:
        from spanish_tok.t5.model import T5
        from spanish_tok.t5.torch_backend import TorchBackend
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise SpanishTokError("verify --against needs torch", "pip install 'spanish-tok[t5]'") from None
    return TorchBackend(T5.from_tensors(config, tensors))


def _restricted(pair: Pair, source: ModelSource) -> "Backend":
    """Return the original with the rows that stayed alone, in their new order."""
    tensors = {
        name: tensor.read(pair.old if name in (SHARED, HEAD) else None).numbers()
        for name, tensor in source.weights.items()
    }
    config = replace(
        source.config, vocab_size=len(pair.old), pad_token_id=0, eos_token_id=0, decoder_start_token_id=0
    )
    return _backend(config, tensors)
