"""From counts to a vocabulary, deterministic and quick: one training passes through all sizes."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import ceil, log

import numpy as np

from spanish_tok.errors import SpanishTokError
from spanish_tok.parallel.threads import available_cores
from spanish_tok.progress import SILENT, Bar
from spanish_tok.text.alphabet import SPACE_MARK
from spanish_tok.text.table import NormalizationTable, spanish_table
from spanish_tok.vocab.counts import Counts
from spanish_tok.vocab.unigram import UnigramModel, rank, run_em, seed_model
from spanish_tok.vocab.vocabulary import SPECIALS, Vocabulary


@dataclass(frozen=True)
class TrainOptions:
    """How to train. Each option with its reason.

    seeds:    how many candidates to begin with, by count times length; more costs memory and changes little
    shrink:   share of the pieces that survives a round; closer to 1 is slower and hardly better
    steps:    of expectation and maximization between two prunings; 2 as in SentencePiece
    headroom: the last pruning leaves size x headroom pieces, of which the most probable are taken
    """

    seeds: int = 1_000_000
    shrink: float = 0.75
    steps: int = 2
    headroom: float = 1.1


def train_vocabulary(
    counts: Counts,
    size: int = 5000,
    sentinels: int = 100,
    *,
    options: TrainOptions | None = None,
    table: NormalizationTable | None = None,
    threads: int | None = None,
    progress: Bar = SILENT,
) -> Vocabulary:
    """Train a vocabulary of `size` ids in all: 3 specials, the pieces, and `sentinels` at the end.

    `table` is the normalization that the counts were made with (the Spanish one by default); every
    character of its alphabet becomes a piece. The same counts give the same bytes on any number of threads.

    >>> from spanish_tok import count_runs
    >>> counts = count_runs(["el perro y la perra", "los perros y las perras", "el gato y la gata"] * 9)
    >>> vocabulary = train_vocabulary(counts, size=193)
    >>> len(vocabulary), "▁perro" in vocabulary.pieces
    (193, True)

    Raises SpanishTokError where the counts are empty, or allow no vocabulary of that size.
    """
    return train_vocabularies(
        counts, [size], sentinels, options=options, table=table, threads=threads, progress=progress
    )[size]


def train_vocabularies(
    counts: Counts,
    sizes: Sequence[int],
    sentinels: int = 100,
    *,
    options: TrainOptions | None = None,
    table: NormalizationTable | None = None,
    threads: int | None = None,
    progress: Bar = SILENT,
) -> dict[int, Vocabulary]:
    """Train vocabularies of several sizes in one run; each equals the one that is trained alone.

    >>> from spanish_tok import count_runs
    >>> counts = count_runs(["el perro y la perra", "los perros y las perras"] * 9)
    >>> [len(vocabulary) for vocabulary in train_vocabularies(counts, [190, 193]).values()]
    [190, 193]
    """
    options, table = options or TrainOptions(), table or spanish_table()
    characters = sorted(table.alphabet.replace(" ", SPACE_MARK))
    reserved = len(SPECIALS) + sentinels
    _check_smallest(sizes, reserved, len(characters))
    if not len(counts):
        raise SpanishTokError("The counts are empty", "Count a text that holds at least one word.")
    progress.note("looking for candidates")
    model = seed_model(counts, characters, options.seeds, threads or available_cores())
    run_em(model, options.steps)
    if max(sizes) > len(model) + reserved:
        raise SpanishTokError(
            f"A size of {max(sizes):,} is too large: these counts allow {len(model) + reserved:,} ids",
            f"Take {len(model) + reserved:,} or less, or count more text.",
        )
    scores = _shrink(model, [size - reserved for size in sizes], options, progress)
    notes = {"counts": counts.fingerprint, "training": asdict(options)}
    return {size: Vocabulary.build(scores[size - reserved], sentinels, table, notes) for size in sizes}


def _check_smallest(sizes: Sequence[int], reserved: int, characters: int) -> None:
    smallest = min(sizes, default=0)
    if smallest < reserved + characters:
        raise SpanishTokError(
            f"A size of {smallest} is too small: {characters} characters, the sentinels and "
            f"{len(SPECIALS)} specials need {reserved + characters}",
            f"Take {reserved + characters} or more.",
        )


def _shrink(
    model: UnigramModel, targets: Sequence[int], options: TrainOptions, progress: Bar
) -> dict[int, dict[str, float]]:
    """Prune round by round; where the next round would go below a target's headroom, finish that target.

    Which sizes are asked for does not change the path, so that each comes out as it would alone.
    """
    left = sorted(set(targets), reverse=True)
    done: dict[int, dict[str, float]] = {}
    rounds = max(1, ceil(log(max(1.0, len(model) / (left[-1] * options.headroom))) / -log(options.shrink)))
    number = 0
    while True:
        order, useful = rank(model)
        following = min(useful, int(len(model) * options.shrink))
        while left and following <= left[0] * options.headroom:
            done[left[0]] = _finish(model.copy(), order, useful, left[0], options)
            left.pop(0)
        if not left:
            return done
        model.keep(np.isin(np.arange(len(model)), order[:following]))
        loss = run_em(model, options.steps)
        number += 1
        progress.advance(1 / rounds)
        progress.note(f"round {number} of {rounds}, {len(model):,} pieces, {loss:.4f} nats a character")


def _finish(
    model: UnigramModel, order: np.ndarray, useful: int, target: int, options: TrainOptions
) -> dict[str, float]:
    """Prune to the headroom, estimate once more, take the characters and the most probable pieces."""
    room = min(int(target * options.headroom), max(useful, target))
    model.keep(np.isin(np.arange(len(model)), order[:room]))
    run_em(model, options.steps, keep_all=True)
    alone = len(model.characters)
    ranked = alone + np.argsort(-model.score[alone:], kind="stable")
    chosen = [*range(alone), *ranked[: target - alone]]
    return {model.piece(number): float(model.score[number]) for number in chosen}
