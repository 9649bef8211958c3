"""The verb `train`: from counts to a vocabulary, deterministic and quick.

One training passes through all sizes.
"""

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from math import ceil, inf, log
from pathlib import Path
from typing import Any, overload

import numpy as np

from spanish_tok.errors import SpanishTokError
from spanish_tok.interrupts import interruptible
from spanish_tok.options import changed
from spanish_tok.parallel.local import Local
from spanish_tok.parallel.memory import memory_given_back
from spanish_tok.parallel.ray_engine import Ray
from spanish_tok.parallel.threads import available_cores
from spanish_tok.progress import SILENT, Bar, Progress, ProgressOption, progress_of
from spanish_tok.readers.inputs import InputOption
from spanish_tok.readers.options import Location, ReadOptions
from spanish_tok.text.alphabet import SPACE_MARK
from spanish_tok.text.alphabets import SPANISH_NAME, alphabet_table
from spanish_tok.text.table import NormalizationTable
from spanish_tok.vocab.asked_pieces import checked_pieces, checked_specials
from spanish_tok.vocab.audit import best_other_score, shadowed_pieces
from spanish_tok.vocab.counts.files import count
from spanish_tok.vocab.counts.table import Counts, one_alphabet
from spanish_tok.vocab.counts.word_lists import TOTAL
from spanish_tok.vocab.folder import MANIFEST, another_vocabulary, check_place
from spanish_tok.vocab.standing_alone import characters_alone, cut_alone
from spanish_tok.vocab.unigram import UnigramModel, rank, run_em, seed_model
from spanish_tok.vocab.vocabulary import SPECIALS, Vocabulary, rounded

TRAINER = 2  # its version: 1 left pieces that no text could reach
WORDS_ONLY = (
    "Lists of words are all that this vocabulary is trained from: they hold no punctuation and few digits. "
    "Add counts of text, say with --weights."
)


@dataclass(frozen=True)
class TrainOptions:
    """How to train. Each option with its reason.

    seeds:    how many candidates to begin with, by count times length; more costs memory and changes little
    shrink:   share of the pieces that survives a round; closer to 1 is slower and hardly better
    steps:    of expectation and maximization between two prunings; 2 as in SentencePiece
    headroom: the last pruning leaves size x headroom pieces, of which the most probable are taken
    alphabet: es, pt, ca, gl, fr, it, de or a TOML file: the characters that are kept, all of them pieces
    cased:    capitals are kept: a model reads and writes names as they are
    split_digits: every digit is a piece of its own, and the space before a number: figures are spelled alike
    special:  texts that become specials, directly below the sentinels, never made from what is typed
    piece:    pieces that stay, however rare: names, terms, units; one that begins with `▁` begins a word
    no_join:  characters that stand alone as digits do then, such as "-_/" in codes and paths
    """

    seeds: int = 1_000_000
    shrink: float = 0.75
    steps: int = 2
    headroom: float = 1.1
    alphabet: str = SPANISH_NAME
    cased: bool = False
    split_digits: bool = False
    no_join: str = ""
    special: Sequence[str] = ()
    piece: Sequence[str] = ()

    def recorded(self, table: NormalizationTable) -> dict[str, Any]:
        """Return what a manifest says: four always, the others unless default."""
        default = asdict(TrainOptions())
        always = ("seeds", "shrink", "steps", "headroom")
        changed = {k: v for k, v in asdict(self).items() if k in always or v != default[k]}
        return changed if table.label == SPANISH_NAME else {**changed, "alphabet": table.label}


@overload
def train(
    input: "Counts | InputOption" = None, output: Location | None = None, *, size: int = 5000, **options: Any
) -> Vocabulary: ...
@overload
def train(
    input: "Counts | InputOption" = None, output: Location | None = None, *, size: list[int], **options: Any
) -> dict[int, Vocabulary]: ...
def train(
    input: Any = None,  # noqa: A002
    output: Location | None = None,
    *,
    size: int | list[int] = 5000,
    texts: Any = None,
    weights: Sequence[float] | None = None,
    total: int = TOTAL,
    licence: str | Sequence[str] = "",
    sentinels: int = 100,
    table: NormalizationTable | None = None,
    reading: ReadOptions | None = None,
    options: TrainOptions | None = None,
    engine: Local | Ray | None = None,
    progress: ProgressOption = None,
    force: bool = False,
    **changes: Any,
) -> Vocabulary | dict[int, Vocabulary]:
    """Train a vocabulary of `size` ids.

    Those are 3 specials, the pieces, and `sentinels` at the end.

    input: Counts, or files of counts, of words or of text, folders, a recipe; or `texts=` in memory; weights, total,
    licence: see `count`. size: one size, or a list of sizes, which one training passes through: then the result is
    {size: Vocabulary}, and `output` holds a folder a size if there are several. table: the normalization that the
    counts were made with, by default that of the options' alphabet; every character of it becomes a piece. changes:
    fields of TrainOptions. force: replace another vocabulary in `output`; the same one is left as it is.

    The same counts give the same bytes on any number of threads, and each size equals the one that is trained alone.
    (Unigram language model: Kudo 2018, https://arxiv.org/abs/1804.10959.)

    Raises SpanishTokError if the counts are empty, allow no vocabulary of that size, or are of another alphabet.

    >>> texts = ["el perro y la perra", "los perros y las perras", "el gato y la gata"] * 9
    >>> vocabulary = train(texts=texts, size=193)
    >>> len(vocabulary), "▁perro" in vocabulary.pieces
    (193, True)
    >>> [len(vocabulary) for vocabulary in train(texts=texts, size=[190, 193]).values()]
    [190, 193]
    """
    options, engine, shown = changed(TrainOptions, options, changes), engine or Local(), progress_of(progress)
    table = table or alphabet_table(options.alphabet, cased=options.cased)
    sizes = [size] if isinstance(size, int) else list(size) if isinstance(size, list | tuple) else size
    asked = sizes if isinstance(sizes, list) and output is not None else []
    folders = {each: Path(output or "") / ("" if len(asked) == 1 else str(each)) for each in asked}
    for each, folder in folders.items():
        check_place(folder, each, sentinels, force=force)
    if isinstance(input, Counts):
        if weights is not None:
            raise SpanishTokError("Weights are for files", "Weigh counts by `merge`.")
        counts = input
    else:
        counts = count(
            input, texts=texts, weights=weights, total=total, licence=licence, reading=reading, table=table,
            engine=engine, progress=progress,
        )  # fmt: skip
    done = _trained_already(folders, counts, sentinels, options, table, force=force)
    if done is not None:
        return done[size] if isinstance(size, int) else done
    if counts.words_only:
        _warn(WORDS_ONLY, shown if progress else None)
    with shown.phase("training", 1, unit="share") as bar:
        vocabularies = train_vocabularies(
            counts, sizes, sentinels, options=options, table=table, threads=engine.threads_here, bar=bar
        )
    for each, folder in folders.items():
        vocabularies[each].save(folder, force=force)
    return vocabularies[size] if isinstance(size, int) else vocabularies


def _trained_already(
    folders: Mapping[int, Path],
    counts: Counts,
    sentinels: int,
    options: TrainOptions,
    table: NormalizationTable,
    *,
    force: bool,
) -> dict[int, Vocabulary] | None:
    """Return the vocabularies that lie in the folders, if all are of this very job.

    Raises SpanishTokError where one is of other counts or options.
    """
    training = json.loads(json.dumps(options.recorded(table)))  # as a manifest holds it
    job = {"counts": counts.fingerprint, "training": training}
    found = dict[int, Vocabulary]()
    for size, folder in folders.items():
        if force or not (folder / MANIFEST).exists():
            continue
        vocabulary = Vocabulary.load(folder)
        same_size = (len(vocabulary), vocabulary.sentinels) == (size, sentinels)
        if not same_size or any(vocabulary.notes.get(name, value) != value for name, value in job.items()):
            raise another_vocabulary(folder)
        if all(vocabulary.notes.get(name) == value for name, value in {**job, "trainer": TRAINER}.items()):
            found[size] = vocabulary
    return found if folders and len(found) == len(folders) else None


def _warn(message: str, shown: Progress | None) -> None:
    """Tell it where progress is shown, else as Python's warnings are."""
    if shown:
        shown.tell(message)
    else:
        warnings.warn(message, stacklevel=3)


def _check_types(counts: Any, sizes: Any) -> None:
    """Raise SpanishTokError for what is not Counts, or no whole numbers."""
    if not isinstance(counts, Counts):
        raise SpanishTokError(
            f"The counts are of the type {type(counts).__name__}", "Give count(...), or texts=."
        )
    if not isinstance(sizes, list | tuple) or not sizes or not all(type(size) is int for size in sizes):
        raise SpanishTokError(f"size is {sizes!r}", "Give a whole number such as 5000, or a list of them.")


@memory_given_back()
def train_vocabularies(
    counts: Counts,
    sizes: Sequence[int],
    sentinels: int = 100,
    *,
    options: TrainOptions | None = None,
    table: NormalizationTable | None = None,
    threads: int | None = None,
    bar: Bar = SILENT,
) -> dict[int, Vocabulary]:
    """Train vocabularies of several sizes from counts in one run; see `train`."""
    _check_types(counts, sizes)
    options = options or TrainOptions()
    table = table or alphabet_table(options.alphabet, cased=options.cased)
    characters = sorted(table.alphabet.replace(" ", SPACE_MARK))
    special = checked_specials(options.special, table)
    alone = characters_alone(table, options.split_digits, options.no_join)
    asked = [
        piece for piece in checked_pieces(options.piece, table, special, alone) if piece not in characters
    ]
    reserved = len(SPECIALS) + len(special) + sentinels
    _check_smallest(sizes, reserved, len(characters), len(asked))
    if not len(counts):
        raise SpanishTokError("The counts are empty", "Count a text that holds at least one word.")
    one_alphabet([counts.alphabet, table.label], "Train with the alphabet of the counts, or count again.")
    bar.note("looking for candidates")
    cut = cut_alone(counts, alone)
    model = interruptible(seed_model, cut, characters, options.seeds, threads or available_cores())
    if asked:
        model.ask_for(asked)
    run_em(model, options.steps)
    most = len(model) + reserved + len(asked) - int(model.asked.sum() - len(characters))
    if max(sizes) > most:
        raise SpanishTokError(
            f"A size of {max(sizes):,} is too large: these counts allow {most:,} ids",
            f"Take {most:,} or less, or count more text.",
        )
    scores = _shrink(model, [size - reserved for size in sizes], options, asked, bar)
    notes: dict[str, Any] = {"counts": counts.fingerprint}
    if counts.sources:
        notes["sources"] = [source.to_dict() for source in counts.sources]
    notes |= {"trainer": TRAINER, "training": options.recorded(table), **counts.lost}
    return {
        size: Vocabulary.build(pieces, sentinels, table, notes | _raised(raised), special)
        for size in sizes
        for pieces, raised in [scores[size - reserved]]
    }


def _raised(pieces: Sequence[str]) -> dict[str, Any]:
    """Return what the manifest says of pieces whose score was raised."""
    return {"raised": list(pieces)} if pieces else {}


def _check_smallest(sizes: Sequence[int], reserved: int, characters: int, asked: int) -> None:
    smallest, needed = min(sizes, default=0), reserved + characters + asked
    if smallest < needed:
        pieces = f" {asked} pieces," if asked else ""
        raise SpanishTokError(
            f"A size of {smallest} is too small: {characters} characters,{pieces} the sentinels and "
            f"{len(SPECIALS)} specials need {needed}",
            f"Take {needed} or more.",
        )


def _shrink(
    model: UnigramModel, targets: Sequence[int], options: TrainOptions, asked: Sequence[str], bar: Bar
) -> dict[int, tuple[dict[str, float], list[str]]]:
    """Prune round by round.

    A target is finished before a round that would go below its headroom.

    The sizes that are asked for do not change the path, so that each comes out as it would alone. Returns, for each
    target, its pieces with their scores, and those whose score was raised.
    """
    left = sorted(set(targets), reverse=True)
    finished: dict[int, tuple[dict[str, float], list[str]]] = {}
    rounds = max(1, ceil(log(max(1.0, len(model) / (left[-1] * options.headroom))) / -log(options.shrink)))
    done_rounds = 0
    while True:
        order, useful = rank(model)
        following = max(min(useful, int(len(model) * options.shrink)), int(model.asked.sum()))
        while left and following <= left[0] * options.headroom:
            its_own = model if len(left) == 1 else model.copy()
            finished[left[0]] = _finish(its_own, order, useful, left[0], options, asked)
            left.pop(0)
        if not left:
            return finished
        model.keep(np.isin(np.arange(len(model)), order[:following]))
        loss = run_em(model, options.steps)
        done_rounds += 1
        bar.advance(1 / rounds)
        bar.note(f"round {done_rounds} of {rounds}, {len(model):,} pieces, {loss:.4f} nats a character")


def _finish(
    model: UnigramModel,
    order: np.ndarray,
    useful: int,
    target: int,
    options: TrainOptions,
    asked: Sequence[str],
) -> tuple[dict[str, float], list[str]]:
    """Prune to the headroom, estimate once more, and choose the pieces.

    Those are all characters, the pieces that are asked for, and the most probable others, none of which is shadowed.
    Returns them with their scores, and those whose score was raised.
    """
    room = max(min(int(target * options.headroom), max(useful, target)), int(model.asked.sum()))
    model.keep(np.isin(np.arange(len(model)), order[:room]))
    run_em(model, options.steps, keep_all=True)
    alone = len(model.characters)
    ranked = [*range(alone), *(alone + np.argsort(-model.score[alone:], kind="stable"))]
    scores = {model.piece(index): rounded(float(model.score[index])) for index in ranked}
    first = dict.fromkeys([*model.characters, *asked], -inf)  # -inf: in no run of the counts
    return _reachable({**first, **scores}, target, asked)


def _reachable(
    ranked: dict[str, float], size: int, asked: Sequence[str]
) -> tuple[dict[str, float], list[str]]:
    """Return the first `size` pieces of which a text can reach each.

    The next in rank take the places of those that are shadowed. A piece that is asked for gets the score of the path
    that shadows it, which is the lowest at which it is chosen: of two paths of one score that of the earlier start
    wins. So does any other where too few are left, as in counts of a few words. Returns the pieces whose score was
    raised, too.
    """
    while True:
        base = dict(islice(ranked.items(), size))
        chosen, raised = _lifted(base, asked)
        shadowed = shadowed_pieces(chosen)
        if not shadowed:
            return chosen, raised
        if len(ranked) - len(shadowed) < size:
            return _lifted(base, list(base))
        for piece in shadowed:
            del ranked[piece]


def _lifted(chosen: Mapping[str, float], pieces: Sequence[str]) -> tuple[dict[str, float], list[str]]:
    """Return scores in which no path of other pieces shadows the given ones.

    And the pieces whose score was raised for that.
    """
    scores, raised = dict(chosen), []
    for piece in sorted(pieces, key=len):  # a path that shadows it is of shorter pieces
        if (other := best_other_score(piece, scores)) > scores[piece]:
            scores[piece] = other
            raised.append(piece)
    return scores, raised
