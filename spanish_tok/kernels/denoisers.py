"""Choose tokens to ask for: ends of records, recurring spans, gap sentences.

Each kernel writes `owners`: int64[tokens], 0 for a token that stays, else the number of its span, from 1. `</s>` parts
the records of a row: no span covers it. A span does not touch another one. Tests hold each to a slow twin.
"""

import numpy as np

from spanish_tok.kernels import kernel
from spanish_tok.kernels.span_corruption import corrupt_row, how_many, next_random

LONGEST = 10  # tokens of a recurring span


@kernel
def is_free(owners, row, eos, begin, end):
    """Return whether a span may be at [begin, end).

    It and the tokens beside it are in no span, and it holds no `</s>`.
    """
    free = True
    for i in range(max(begin - 1, 0), min(end + 1, row.size)):
        free &= owners[i] == 0 and (row[i] != eos or not begin <= i < end)
    return free


@kernel
def claim(owners, begin, end, span):
    """Give the tokens [begin, end) to a span."""
    for i in range(begin, end):
        owners[i] = span


@kernel
def mask_tails(row, eos, rate, sentinels, owners):
    """Ask for the rest of each record from its beginning.

    That is its last tokens, a share `rate`. Records of one token stay. Returns how many spans there are.
    """
    span, begin = 0, 0
    for i in range(row.size + 1):
        if i == row.size or row[i] == eos:
            length = i - begin
            if length > 1 and span < sentinels:
                span += 1
                claim(owners, i - min(max(round(length * rate), 1), length - 1), i, span)
            begin = i + 1
    return span


@kernel
def whole_words(row, eos, here, there, longest, joins):
    """Return how many tokens from `here` on are those from `there` on.

    `there` < `here`, and words end behind them in both places. They do not overlap, hold no `</s>`, and are
    `longest` at most.
    """
    length, whole = 0, 0
    while (
        length < longest
        and here + length < row.size
        and there + length < here
        and row[here + length] == row[there + length]
        and row[here + length] != eos
    ):
        length += 1
        open_here = here + length < row.size and joins[row[here + length]]
        if not open_here and not joins[row[there + length]]:
            whole = length
    return whole


@kernel
def mask_recurring(row, eos, longest, budget, spans, owners, joins, frequent):
    """Ask for spans that occurred before in their record.

    These are Splinter's recurring spans (Ram et al. 2021). From left to right, each as long as it can be, up to
    `longest` tokens; whole words that are not all `frequent`. The first occurrence stays. joins: bool[ids], ids
    that continue a word. Up to `budget` tokens in `spans` spans; returns (tokens, spans).
    """
    masked, span, begin, here = 0, 0, 0, 0
    while here < row.size and span < spans:
        if row[here] == eos:
            begin = here = here + 1
            continue
        length = 0
        if not joins[row[here]]:
            for there in range(begin, here):
                if owners[there] == 0 and not joins[row[there]]:
                    length = max(length, whole_words(row, eos, here, there, longest, joins))
        rare = False
        for i in range(here, here + length):
            rare |= not frequent[row[i]]
        if rare and masked + length <= budget and is_free(owners, row, eos, here, here + length):
            masked, span = masked + length, span + 1
            claim(owners, here, here + length, span)
            here += length
            if here < row.size and row[here] == eos:  # where the next record begins is seen above
                continue
        here += 1
    return masked, span


@kernel
def sentence_end(row, eos, ends, begin):
    """Return where the sentence that begins at `begin` ends.

    That is behind a token of `ends`, or before `</s>`.
    """
    i = begin
    while i < row.size and row[i] != eos:
        i += 1
        if ends[row[i - 1]]:
            break
    return i


@kernel
def overlap(row, begin, end, first, last, counts):
    """Return the overlap of a sentence with the rest of its record, from 0 to 1.

    That is ROUGE-1 F of the tokens [begin, end) with the others of [first, last). counts: int64[ids], zeros, and
    zeros again at the end.
    """
    for i in range(first, last):
        if i < begin or i >= end:
            counts[row[i]] += 1
    common = 0
    for i in range(begin, end):
        if counts[row[i]] > 0:
            counts[row[i]] -= 1
            common += 1
    for i in range(first, last):
        counts[row[i]] = 0
    return 2.0 * common / (last - first)


@kernel
def mask_sentences(row, eos, ends, budget, spans, owners, counts):
    """Ask for the sentences that say most of the rest of their record.

    These are PEGASUS's gap sentences (Zhang et al. 2020). A sentence's score is its overlap with the rest; the best
    ones first (the earlier of two alike), as far as `budget` tokens and `spans` spans allow; one sentence of each
    record stays. Returns (tokens, spans).
    """
    masked, span = 0, 0
    while span < spans:
        best, place, stop, first = -1.0, 0, 0, 0
        while first < row.size:
            last = first
            while last < row.size and row[last] != eos:
                last += 1
            begin, open_sentences = first, 0
            while begin < last:
                end = sentence_end(row, eos, ends, begin)
                open_sentences += owners[begin] == 0
                begin = end
            begin = first
            while begin < last and open_sentences > 1:
                end = sentence_end(row, eos, ends, begin)
                if masked + end - begin <= budget and is_free(owners, row, eos, begin, end):
                    score = overlap(row, begin, end, first, last, counts)
                    if score > best:
                        best, place, stop = score, begin, end
                begin = end
            first = last + 1
        if best < 0:
            break
        span += 1
        masked += stop - place
        claim(owners, place, stop, span)
    return masked, span


@kernel
def mask_more(row, eos, masked, budget, mean_span, span, spans, state, owners):
    """Ask for random spans beside those there are, until `budget` tokens.

    Lengths are 1 to 2 x mean - 1 tokens, all equally likely: the mean is `mean_span`, or more where few of `spans`
    are left; the last one takes what is left. Places that are not free are drawn again, 20 times a span. Returns
    how many spans there are.
    """
    attempts = 20 * spans
    while masked < budget and span < spans and attempts > 0:
        attempts -= 1
        left = budget - masked
        mean = max(mean_span, left / (spans - span))
        length = min(1 + np.int64(next_random(state) * (2 * mean - 1)), left)
        if span == spans - 1:
            length = left
        begin = np.int64(next_random(state) * row.size)
        if begin + length <= row.size and is_free(owners, row, eos, begin, begin + length):
            span += 1
            masked += length
            claim(owners, begin, begin + length, span)
    return span


@kernel
def write_masked(row, owners, first_sentinel, step, eos, inputs, targets):
    """Write inputs and targets of a row, sentinels in order of appearance.

    Returns their lengths.
    """
    written, answered, sentinel, last = 0, 0, first_sentinel, 0
    for i in range(row.size):
        if owners[i] == 0:
            inputs[written] = row[i]
            written += 1
        else:
            if owners[i] != last:
                inputs[written] = targets[answered] = sentinel
                written, answered, sentinel = written + 1, answered + 1, sentinel + step
            targets[answered] = row[i]
            answered += 1
        last = owners[i]
    inputs[written] = targets[answered] = eos
    return written + 1, answered + 1


@kernel
def denoise_rows(tokens, offsets, options, long_span, shares, tables, seeds, inputs, targets, sizes):
    """Corrupt rows of tokens, each by a denoiser that its seed chooses.

    The rows tokens[offsets[r]:offsets[r + 1]] go into inputs[r] and targets[r], their lengths into sizes[r];
    options as in corrupt_row. shares: float64[5], sums of the shares of spans, prefixes, long spans of `long_span`
    tokens, recurring spans and gap sentences. tables: bool[3, ids], ids that end a sentence, that continue a word,
    that are frequent.
    """
    rate, mean_span, first_sentinel, sentinels, step, eos = options
    long_options = (rate, long_span, first_sentinel, sentinels, step, eos)
    state = np.empty(1, np.uint64)
    counts = np.zeros(tables.shape[1], np.int64)
    for r in range(seeds.size):
        state[0] = seeds[r]
        row = tokens[offsets[r] : offsets[r + 1]]
        drawn = next_random(state) * shares[4]
        if drawn < shares[0]:
            sizes[r, 0], sizes[r, 1] = corrupt_row(row, options, state, inputs[r], targets[r])
            continue
        if shares[1] <= drawn < shares[2]:
            sizes[r, 0], sizes[r, 1] = corrupt_row(row, long_options, state, inputs[r], targets[r])
            continue
        owners = np.zeros(row.size, np.int64)
        if drawn < shares[1]:
            mask_tails(row, eos, rate, sentinels, owners)
        else:
            budget, spans = how_many(row.size, row.size - (row == eos).sum(), rate, mean_span, sentinels)
            if drawn < shares[3]:
                masked, span = mask_recurring(row, eos, LONGEST, budget, spans, owners, tables[1], tables[2])
            else:
                masked, span = mask_sentences(row, eos, tables[0], budget, spans, owners, counts)
            mask_more(row, eos, masked, budget, mean_span, span, spans, state, owners)
        sizes[r] = write_masked(row, owners, first_sentinel, step, eos, inputs[r], targets[r])
