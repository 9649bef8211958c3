"""Beam search over any backend, by the rules of transformers.

`search` is the one door to all searches.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from spanish_tok.generation.bans import changes_scores
from spanish_tok.generation.sampling import (
    Backend,
    GenerateOptions,
    Hypothesis,
    Ids,
    Logits,
    PrefixConstraint,
    PrefixConstraints,
    in_rows,
    log_softmax,
    restricted,
    write,
)


def search(
    backend: Backend,
    batch: Sequence[Ids],
    options: GenerateOptions,
    allowed: PrefixConstraints = None,
    size: int = 0,
) -> list[Hypothesis]:
    """Return the best hypothesis for each row of ids.

    `size` bounds the ids (0: the model's rows).
    """
    return [hypotheses[0] for hypotheses in search_all(backend, batch, options, allowed, size)]


def search_all(
    backend: Backend,
    batch: Sequence[Ids],
    options: GenerateOptions,
    allowed: PrefixConstraints = None,
    size: int = 0,
) -> list[list[Hypothesis]]:
    """Return for each row of ids `num_return_sequences` hypotheses.

    Draws in their order, or beams best first; fewer where fewer texts are allowed.
    """
    if options.num_beams > 1:
        return beam_search(backend, batch, options, allowed, size)
    copies = options.num_return_sequences
    ids: list[list[int]] = [[] for _ in range(len(batch) * copies)]
    scores = [0.0] * len(ids)
    for written in write(backend, batch, options, allowed, size):
        ids[written.request].append(written.id)
        scores[written.request] += written.log_probability
    end = backend.config.eos_token_id
    hypotheses = [
        Hypothesis(
            ids=tuple(row[:-1] if row[-1:] == [end] else row),
            score=score if options.scores else None,
            complete=row[-1:] == [end],
        )
        for row, score in zip(ids, scores, strict=True)
    ]
    return [hypotheses[first : first + copies] for first in range(0, len(hypotheses), copies)]


@dataclass
class Beams:
    """The beams of one input: running ones, and the best finished ones.

    Running ones are ordered best first; finished ones have their penalized scores.
    """

    texts: list[list[int]]
    scores: NDArray[np.float32]
    allowed: PrefixConstraint | None = None
    finished: list[tuple[float, Hypothesis]] = field(default_factory=list)
    done: bool = False

    def advance(self, totals: Logits, end: int, options: GenerateOptions) -> NDArray[np.int64]:
        """Extend the beams by one id; return the parents of the new beams.

        Takes the log-probabilities (beams, ids) of whole texts.

        Of the 2k best continuations the first k may finish, the best k that did not finish run on; it is done when
        k have finished and the best running one cannot overtake them at its present length (transformers' rule).
        """
        # Two beams, three ids, 0 ends. The 4 best of
        #
        #     beam 0   -1.4  -2.0  -1.7
        #     beam 1   -2.5  -2.2  -3.0
        #
        # are (beam 0, id 0), (0, 2), (0, 1), (1, 1). The first of them ends and is among the first 2: it has finished.
        # (0, 2) and (0, 1) run on, both from beam 0: parents 0 0, scores -1.7 -2.0. Ranks 2 and 3 could not finish.
        k, ids = options.num_beams, totals.shape[1]
        flat = totals.ravel()
        best = np.argpartition(-flat, min(2 * k, len(flat) - 1))[: 2 * k]
        best = best[np.lexsort((best, -flat[best]))]
        best = best[np.isfinite(flat[best])]
        length = len(self.texts[0]) + 1
        last = length >= options.max_new_tokens
        running = []
        for rank, index in enumerate(best):
            parent, token_id = divmod(int(index), ids)
            if token_id != end and not last:
                running.append((index, parent, token_id))
            elif rank < k:
                text = (*self.texts[parent], *(() if token_id == end else (token_id,)))
                hypothesis = Hypothesis(text, float(flat[index]), token_id == end)
                self.finished.append((float(flat[index]) / length**options.length_penalty, hypothesis))
        self.finished = sorted(self.finished, key=lambda item: -item[0])[:k]
        running = running[:k]
        self.done = not running
        if running:
            ways = len(running)
            running += [running[-1]] * (k - ways)  # fewer ways than beams, where few ids are allowed
            self.scores = flat[[index for index, _, _ in running]]
            self.scores[ways:] = -np.inf
            self.texts = [[*self.texts[parent], token_id] for _, parent, token_id in running]
            bound = float(self.scores[0]) / length**options.length_penalty
            self.done = len(self.finished) == k and bound <= self.finished[-1][0]
        return np.array([parent for _, parent, _ in running], dtype=np.int64)


def beam_search(
    backend: Backend,
    batch: Sequence[Ids],
    options: GenerateOptions,
    allowed: PrefixConstraints = None,
    size: int = 0,
) -> list[list[Hypothesis]]:
    """Return the best hypotheses of each row by beam search.

    The same that transformers finds with its defaults.
    """
    k, end, size = options.num_beams, backend.config.eos_token_id, size or backend.config.vocab_size
    state = backend.start(batch, options.max_new_tokens)
    state.reorder(np.repeat(np.arange(len(batch)), k))
    first = np.array([0.0] + [-np.inf] * (k - 1), dtype=np.float32)  # all beams are alike at first
    beams = [Beams([[] for _ in range(k)], first, rule) for rule in in_rows(allowed, len(batch))]
    alive = list(beams)
    last = np.full(len(batch) * k, backend.config.decoder_start_token_id)
    while True:
        scores = log_softmax(state.step(last)[:, :size])
        if allowed is not None or changes_scores(options):
            rules = [(text, item.allowed) for item in alive for text in item.texts]
            scores = restricted(scores, rules, backend.config, options)
            scores = log_softmax(scores) if options.renormalize else scores
        parents = [
            item.advance(scores[index * k : (index + 1) * k] + item.scores[:, None], end, options) + index * k
            for index, item in enumerate(alive)
        ]
        rows = [row for row, item in zip(parents, alive, strict=True) if not item.done]
        alive = [item for item in alive if not item.done]
        if not alive:
            best = options.num_return_sequences
            return [[hypothesis for _, hypothesis in item.finished[:best]] for item in beams]
        state.reorder(np.concatenate(rows))
        last = np.array([text[-1] for item in alive for text in item.texts])
