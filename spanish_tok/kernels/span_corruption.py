"""Span corruption of many records, and packing records into sequences."""

import numpy as np

from spanish_tok.kernels import kernel

GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@kernel
def next_random(state):
    """Return a float64 in [0, 1) from SplitMix64; advance the state, uint64[1].

    Steele, Lea and Flood 2014.
    """
    state[0] += GOLDEN
    z = state[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return np.float64(z >> np.uint64(11)) * 2.0**-53


@kernel
def how_many(length, free, rate, mean_span, sentinels):
    """Return (tokens to mask, spans) for a sequence of `length` tokens.

    `free` of them may be masked.

    T5's rounding. At least one token is masked, and one stays wherever there are two; no more spans than
    sentinels, nor than fit with a token between two of them.
    """
    if free == 0:
        return 0, 0
    masked = min(max(round(length * rate), 1), max(free - 1, 1))
    spans = max(round(masked / mean_span), 1)
    return masked, min(spans, masked, sentinels, free - masked + 1)


@kernel
def draw_lengths(masked, spans, state, lengths):
    """Cut `masked` tokens into `spans` parts of one token or more: lengths[:spans].

    All ways are equally likely.

    Knuth's algorithm S chooses the spans - 1 cuts among the masked - 1 places.
    """
    cuts, part, last = spans - 1, 0, 0
    for place in range(1, masked):
        if next_random(state) * (masked - place) < cuts:
            lengths[part] = place - last
            cuts, part, last = cuts - 1, part + 1, place
    lengths[part] = masked - last


@kernel
def assign_spans(lengths, spans, room, parts, state, owners):
    """Give each span to a part that has room, by the number of its positions.

    A part is the tokens between two `</s>`.

    room: int64[parts], used up here. A span that fits nowhere is shortened; owners[span] is -1 where even one
    token has no room. Returns how many spans found a place.
    """
    placed = 0
    for span in range(spans):
        owners[span], places = -1, 0
        while places == 0 and lengths[span] > 0:
            for part in range(parts):
                places += max(0, room[part] - lengths[span] + 1)
            if places == 0:
                lengths[span] -= 1
        if places == 0:
            continue
        left = next_random(state) * places
        for part in range(parts):
            here = max(0, room[part] - lengths[span] + 1)
            if here > 0:
                owners[span] = part
                left -= here
                if left < 0:
                    break
        room[owners[span]] -= lengths[span] + 1
        placed += 1
    return placed


@kernel
def corrupt_row(row, options, state, inputs, targets):
    """Mask spans of the tokens `row`, never over an `</s>`.

    Returns the lengths written to inputs and targets.

    Within a part all placements of its spans with a token between two of them are equally likely.
    """
    # The row 11 12 13 14 </s> 21 22 23 has two parts, of 4 and 3 tokens: room 4 3. Say that spans of 2 and 1 tokens are
    # drawn. The first has 3 places in part 0 and 2 in part 1; it falls into part 0, which keeps room for 1 token (a
    # token stays between two spans). The second has 1 place there and 3 in part 1, and falls into part 1. With the
    # sentinels 99, 98, ... a row may then become
    #
    #     inputs   11 12 99 </s> 21 98 23 </s>
    #     targets  99 13 14 98 22 </s>
    rate, mean_span, first_sentinel, sentinels, step, eos = options
    room = np.empty(row.size + 1, np.int64)
    parts, begin, free = 0, 0, 0
    for i in range(row.size + 1):
        if i == row.size or row[i] == eos:
            room[parts] = i - begin
            free += i - begin
            parts, begin = parts + 1, i + 1
    part_lengths = room[:parts].copy()
    masked, spans = how_many(row.size, free, rate, mean_span, sentinels)
    lengths, owners = np.empty(spans + 1, np.int64), np.empty(spans + 1, np.int64)
    if spans > 0:
        draw_lengths(masked, spans, state, lengths)
    assign_spans(lengths, spans, room, parts, state, owners)
    read, written, answered, sentinel = 0, 0, 0, first_sentinel
    for part in range(parts):
        waiting, clean = 0, part_lengths[part]
        for span in range(spans):
            if owners[span] == part:
                waiting += 1
                clean -= lengths[span]
        span = 0
        for place in range(clean + 1):
            if next_random(state) * (clean + 1 - place) < waiting:
                while owners[span] != part:
                    span += 1
                inputs[written] = targets[answered] = sentinel
                written, answered, sentinel, waiting = written + 1, answered + 1, sentinel + step, waiting - 1
                for _ in range(lengths[span]):
                    targets[answered] = row[read]
                    read, answered = read + 1, answered + 1
                span += 1
            if place < clean:
                inputs[written] = row[read]
                read, written = read + 1, written + 1
        if read < row.size:  # the `</s>` between two parts
            inputs[written] = eos
            read, written = read + 1, written + 1
    inputs[written] = targets[answered] = eos
    return written + 1, answered + 1


@kernel
def corrupt_rows(tokens, offsets, options, seeds, inputs, targets, sizes):
    """Corrupt the rows tokens[offsets[r]:offsets[r + 1]], each with its seed.

    Into inputs[r] and targets[r].

    seeds: uint64[rows]; inputs, targets: int64[rows, wide enough]; sizes: int64[rows, 2], the lengths written.
    """
    state = np.empty(1, np.uint64)
    for r in range(seeds.size):
        state[0] = seeds[r]
        row = tokens[offsets[r] : offsets[r + 1]]
        sizes[r, 0], sizes[r, 1] = corrupt_row(row, options, state, inputs[r], targets[r])


@kernel
def pack(ids, offsets, closing, order, begins, position, eos, out):
    """Fill `out` from one long sequence, from `position` on.

    The sequence is the records in `order`, an `</s>` after each.

    ids: the tokens; record k is ids[offsets[k]:offsets[k + 1] - closing]; begins: int64[records + 1], where
    order[i] begins in the long sequence. Returns how many were written: fewer than out.size at its end only.
    """
    i = np.searchsorted(begins, position, side="right") - 1
    written = 0
    while i < order.size and written < out.size:
        first = offsets[order[i]] + position - begins[i]
        last = offsets[order[i] + 1] - closing
        for k in range(first, min(last, first + out.size - written)):
            out[written] = ids[k]
            written += 1
        if written < out.size:
            out[written] = eos
            written += 1
        i += 1
        position = begins[i]
    return written
