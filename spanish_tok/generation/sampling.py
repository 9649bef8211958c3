"""Which ids to write: greedy search and sampling over any backend.

No torch here.

A backend computes, a search decides. A backend (`Backend`) takes a batch of id lists and gives a `State`; the
state takes the last id of each row and gives the logits of the next, as a NumPy array.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from spanish_tok.errors import SpanishTokError
from spanish_tok.generation.bans import banned, changes_scores, penalized
from spanish_tok.t5.config import T5Config
from spanish_tok.tokenization.subword_regularization import uniform_numbers

Ids = Sequence[int]
Logits = NDArray[np.float32]
# what was written so far -> the ids that may follow; None: all
PrefixConstraint = Callable[[Ids], Collection[int] | None]
PrefixConstraints = (
    PrefixConstraint | Sequence[PrefixConstraint] | None
)  # the same for all rows of a batch, or one for each


# far above what anybody writes: memory grows with the first two, and length ** penalty must be a number
MOST_TOKENS, MOST_BEAMS, MOST_PENALTY = 1 << 16, 1000, 10


class State(Protocol):
    """A batch being decoded; all rows are at the same step."""

    def step(self, ids: NDArray[np.int64]) -> Logits:
        """Take the last id of each row (rows,); return the logits of the next.

        The start id comes first; the logits are (rows, vocab_size).

        The array is the caller's to read until the next step.
        """
        ...

    def reorder(self, rows: NDArray[np.int64]) -> None:
        """Replace row i by what was row rows[i].

        Repeated for beams, left out when finished.
        """
        ...


@runtime_checkable
class GreedyState(State, Protocol):
    """A state that finds the most probable ids without all logits."""

    def best(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """As `step`, but give the most probable id of each row, the first of equal ones."""
        ...


class Backend(Protocol):
    """A model that can be decoded from."""

    config: T5Config

    def start(self, batch: Sequence[Ids], limit: int) -> State:
        """Encode rows of ids, for at most `limit` steps.

        Each row has at least one id; lengths may differ.
        """
        ...


@dataclass(frozen=True)
class GenerateOptions:
    """How to write. The defaults are greedy: at each step the most probable id.

    `temperature` above 0 samples, from the `top_k` most probable ids (0: all) and among these from the fewest
    that hold the share `top_p`. A draw depends on `seed` and the input alone, not on the batch around it.
    `num_beams` above 1 is beam search, whose scores are divided by length^`length_penalty`. `scores` makes greedy
    and sampling compute the log-probability of what they write, which costs a little time. With `renormalize` it
    is that among the ids that are allowed there, and not among all.

    No n-gram of `no_repeat_ngram_size` ids is written twice (0: any may be); `repetition_penalty` above 1 makes ids
    that were written less welcome; at least `min_new_tokens` ids come before the end. An id that `allowed` gives may
    follow all the same. `num_return_sequences` asks for several texts of each input: draws, or the best beams.
    """

    max_new_tokens: int = 128
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    num_beams: int = 1
    length_penalty: float = 1.0
    seed: int = 0
    scores: bool = False
    renormalize: bool = False
    no_repeat_ngram_size: int = 0
    repetition_penalty: float = 1.0
    min_new_tokens: int = 0
    num_return_sequences: int = 1

    def __post_init__(self) -> None:
        checks = [
            ("max_new_tokens", 1 <= self.max_new_tokens <= MOST_TOKENS, f"from 1 to {MOST_TOKENS:,}"),
            ("temperature", 0 <= self.temperature < np.inf, "from 0 (greedy) up"),
            ("top_k", self.top_k >= 0, "from 0 (all) up"),
            ("top_p", 0 < self.top_p <= 1, "above 0, up to 1 (all)"),
            ("num_beams", 1 <= self.num_beams <= MOST_BEAMS, f"from 1 (no beam search) to {MOST_BEAMS:,}"),
            (
                "length_penalty",
                abs(self.length_penalty) <= MOST_PENALTY,
                f"up to {MOST_PENALTY}, below 0 too",
            ),
            ("no_repeat_ngram_size", self.no_repeat_ngram_size >= 0, "from 0 (any may be repeated) up"),
            ("repetition_penalty", 0 < self.repetition_penalty < np.inf, "above 0 (1: none)"),
            ("min_new_tokens", 0 <= self.min_new_tokens <= self.max_new_tokens, "from 0 to max_new_tokens"),
            (
                "num_return_sequences",
                1 <= self.num_return_sequences <= MOST_BEAMS,
                f"from 1 to {MOST_BEAMS:,}",
            ),
        ]
        for name, holds, advice in checks:
            if not holds:
                raise SpanishTokError(f"{name} is {getattr(self, name)}", f"Give a number {advice}.")
        if self.num_beams > 1 and self.temperature > 0:
            raise SpanishTokError("Beams do not sample", "Give a temperature or a number of beams, not both.")
        if self.num_return_sequences > (np.inf if self.temperature else self.num_beams):
            raise SpanishTokError(
                f"num_return_sequences is {self.num_return_sequences}, of {self.num_beams} beams",
                "Give as many beams, or a temperature.",
            )


class GeneratedId(NamedTuple):
    """One id as it is written.

    By which request of the batch, and its log-probability (0 unless asked for).
    """

    request: int
    id: int
    log_probability: float


@dataclass(frozen=True)
class Hypothesis:
    """What was written for one input.

    Ids without `</s>`; the sum of log-probabilities, `</s>` included.

    `score` is None unless `scores` or beams were asked for; of beams it is the sum without the length penalty.
    """

    ids: tuple[int, ...]
    score: float | None = None
    complete: bool = True  # whether it ended with </s> and not at the limit


def write(
    backend: Backend,
    batch: Sequence[Ids],
    options: GenerateOptions,
    allowed: PrefixConstraints = None,
    size: int = 0,
) -> Iterator[GeneratedId]:
    """Yield greedy or sampled ids of a batch, each as soon as it is known.

    `</s>` is included; the rows may have any lengths. With `num_return_sequences` each row is written as often: the
    requests of row r are the numbers r * num_return_sequences and those that follow.
    """
    end, size = backend.config.eos_token_id, size or backend.config.vocab_size
    copies = options.num_return_sequences
    allowed = (
        allowed if allowed is None or callable(allowed) else [rule for rule in allowed for _ in range(copies)]
    )
    batch = [row for row in batch for _ in range(copies)]
    state = backend.start(batch, options.max_new_tokens)
    rules = in_rows(allowed, len(batch))
    uniform = [uniform_numbers(options.seed, _key(row, n % copies)) for n, row in enumerate(batch)]
    texts: list[list[int]] = [[] for _ in batch]
    rows = np.arange(len(batch))  # the request of each row
    open_rows = np.ones(len(batch), dtype=bool)
    last = np.full(len(batch), backend.config.decoder_start_token_id)
    ruled = allowed is not None or changes_scores(options)
    plain = not (options.temperature or options.scores or ruled) and size == backend.config.vocab_size
    quick = state if plain and isinstance(state, GreedyState) else None
    for _ in range(options.max_new_tokens):
        scored = None
        if quick is not None:
            last = quick.best(last)
        else:
            every = logits = state.step(last)[:, :size]
            if ruled:
                open_texts = [(texts[request], rules[request]) for request in rows]
                logits = restricted(logits, open_texts, backend.config, options)
            if options.scores:
                scored = log_softmax(logits if options.renormalize else every)
            if options.temperature:
                draws = [next(uniform[request]) for request in rows]
                last = np.array([draw(row, u, options) for row, u in zip(logits, draws, strict=True)])
            else:
                last = logits.argmax(axis=1)
        for row in np.flatnonzero(open_rows):
            request, token_id = int(rows[row]), int(last[row])
            texts[request].append(token_id)
            yield GeneratedId(request, token_id, 0.0 if scored is None else float(scored[row, token_id]))
        open_rows &= last != end
        kept = np.flatnonzero(open_rows)
        if not len(kept):
            return
        if 2 * len(kept) <= len(rows):
            state.reorder(kept)
            rows, last, open_rows = rows[kept], last[kept], open_rows[kept]


def draw(logits: Logits, uniform: float, options: GenerateOptions) -> int:
    """Return an id drawn from the logits of one row by one number in [0, 1).

    First temperature, then top-k, then top-p.
    """
    order = np.argsort(-logits, kind="stable")
    if options.top_k:
        order = order[: options.top_k]
    scaled = logits[order].astype(np.float64) / options.temperature
    shares = np.exp(scaled - scaled[0])
    sums = np.cumsum(shares)
    if options.top_p < 1:
        kept = int(np.searchsorted(sums, options.top_p * sums[-1])) + 1
        sums = sums[:kept]
    rank = int(np.searchsorted(sums, uniform * sums[-1], side="right"))
    return int(order[min(rank, len(sums) - 1)])


def log_softmax(logits: Logits) -> Logits:
    """Return the logarithms of the probabilities of each row, in float32."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    result: Logits = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result


def in_rows(allowed: PrefixConstraints, rows: int) -> list[PrefixConstraint | None]:
    """Return the rule for each row of a batch."""
    return [allowed] * rows if allowed is None or callable(allowed) else list(allowed)


def restricted(
    scores: Logits,
    rows: Sequence[tuple[Ids, PrefixConstraint | None]],
    config: T5Config,
    options: GenerateOptions,
) -> Logits:
    """Return scores (rows, ids) with -infinity for ids that must not follow.

    Each row's rule and the options decide by the row's text; an id that the rule gives may follow.
    """
    start, end = config.decoder_start_token_id, config.eos_token_id
    scores = penalized(scores, [text for text, _ in rows], start, options)
    result = scores.copy()
    for row, (text, allowed) in enumerate(rows):
        ids = allowed(text) if allowed else None
        if ids is None:
            result[row, banned(text, start, end, options)] = -np.inf
            continue
        chosen = np.fromiter(ids, dtype=np.int64)
        if not len(chosen) or not 0 <= chosen.min() <= chosen.max() < scores.shape[1]:
            raise SpanishTokError(
                f"The ids allowed after {list(text)} are none, or not in the vocabulary",
                f"Allow at least one id from 0 to {scores.shape[1] - 1}.",
            )
        result[row] = -np.inf
        result[row, chosen] = scores[row, chosen]
    return result


def _key(row: Ids, copy: int) -> str:
    """Return what the draws of the `copy`-th text of a row depend on."""
    return " ".join(map(str, row)) + (f" #{copy}" if copy else "")
