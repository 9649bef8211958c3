"""T5's encoder over packed texts and one step of its decoder, compiled.

Weights are in panels (see matmul.py).

Tuples that come in together: matrices = (panels of all matrices, their scales, starts (2, matrices + 1) of each in
both); embedding = (table (ids, padded d_model), scale of each row or empty); sizes = (layers, d_model, heads, d_kv,
d_ff, gated: 0 ReLU, 1 GELU, 2 SiLU); buffers = (x, y, z, scores): float32 rows, padded to multiples of 64 and 64
more. x and y hold d_model columns, z the widest product, scores one score a key.
"""

# The numbers of the matrices:
#
#     of an encoder's layer   4 * layer + 0 queries, keys, values   1 output of attention   2, 3 feed-forward
#     of a decoder's layer    6 * layer + 0, 1 attention to itself   2, 3 queries and output of attention to the text
#                             4, 5 feed-forward
#     behind a decoder        6 * layers the output layer   6 * layers + 1 + layer keys and values of the text
#
# The panels of one are weights[starts[0, number]:starts[0, number + 1]].
#
# With 4 heads of d_kv 64, a row of z that matrix 4 * layer wrote holds queries in the columns 0-255, keys in 256-511,
# values in 512-767, those of head 2 at 128-191, 384-447 and 640-703.
#
# Step 5 of a decoder whose cache has room for 64: the new key is number 5; bias[head, 58 + j] is added to the score of
# key j, so that the new one, of distance 0, gets column 63.

import numpy as np

from spanish_tok.kernels import kernel
from spanish_tok.kernels.bytes import copy
from spanish_tok.kernels.nn.argmax import best
from spanish_tok.kernels.nn.attention import activate, add, attend, normalize, write_keys, write_values
from spanish_tok.kernels.nn.lanes import LANES, broadcast, load, store
from spanish_tok.kernels.nn.matmul import panels
from spanish_tok.kernels.nn.matmul_int8 import product_of

QUERIES = 64  # of a text that attend at a time
FIRST = np.int64(0)  # a place; as a number of its own type it would have what takes it compiled once more


@kernel
def encode(ids, texts, matrices, norms, embedding, sizes, epsilon, bias, buffers, keys, values):
    """Encode the ids of several texts into y of the buffers.

    Text t is ids[texts[t]:texts[t + 1]].

    norms (2 x layers + 1, padded d_model); bias (1 or layers, heads, ...): that of distance 0 in the middle; keys,
    values: buffers of one head for the longest text.
    """
    layers, d_model, heads, d_kv, _, _ = sizes
    inner = heads * d_kv
    x, y, z, _ = buffers
    rows = ids.size
    x, y, z = x[:rows], y[:rows], z[:rows]
    embed(ids, embedding, d_model, x)
    for layer in range(layers):
        normalize(x, norms[2 * layer], d_model, epsilon, y)
        apply(matrices, 4 * layer, y[:, :d_model], z[:, : 3 * inner])
        for text in range(texts.size - 1):
            own = bias[layer % bias.shape[0]]
            _attend_to_itself(z[texts[text] : texts[text + 1]], sizes, own, buffers, keys, values)
        apply(matrices, 4 * layer + 1, z[:, :inner], y[:, :d_model])
        add(x, y, d_model)
        feed_forward(matrices, 4 * layer + 2, norms[2 * layer + 1], sizes, epsilon, x, y, z)
    normalize(x, norms[2 * layers], d_model, epsilon, y)


@kernel
def _attend_to_itself(qkv, sizes, bias, buffers, keys, values):
    """Let all ids of one text attend to all: qkv (ids, 3 x inner).

    The mixture takes the place of the queries.
    """
    _, _, heads, d_kv, _, _ = sizes
    inner, count = heads * d_kv, qkv.shape[0]
    capacity = panels(count) * LANES
    zero = bias.shape[1] // 2
    mixed = buffers[1]
    none = np.empty(0, np.float32)  # no scales
    for head in range(heads):
        start = head * d_kv
        write_keys(qkv[:, inner + start : inner + start + d_kv], keys, none, FIRST)
        write_values(qkv[:, 2 * inner + start : 2 * inner + start + d_kv], values, none, FIRST, capacity)
        for first in range(0, count, QUERIES):
            q = qkv[first : first + QUERIES, start : start + d_kv]
            out = mixed[: q.shape[0], :d_kv]
            place = zero - first
            attend(q, keys, values, none, none, count, capacity, bias[head], place, buffers[3], out)
            for row in range(q.shape[0]):
                copy(out[row], d_kv, q[row], 0)


@kernel
def remember(texts, matrices, sizes, buffers, places, kept):
    """Write what the decoder attends to, from the encoder's output in y.

    Keys and values of each layer and head.

    sizes are the decoder's; kept = (keys, values, scales of keys, of values), each (layers, heads, ...); text t has
    its keys at keys[layer, head, places[t] * d_kv:], places being multiples of 64, its values likewise, in groups of
    64 columns, and its scales from places[t] on, or nowhere where they are empty.
    """
    layers, d_model, heads, d_kv, _, _ = sizes
    inner, width = heads * d_kv, panels(d_kv) * LANES
    keys, values, key_scales, value_scales = kept
    _, y, z, _ = buffers
    rows = texts[-1]
    for layer in range(layers):
        apply(matrices, 6 * layers + 1 + layer, y[:rows, :d_model], z[:rows, : 2 * inner])
        for text in range(texts.size - 1):
            pairs = z[texts[text] : texts[text + 1]]
            capacity = panels(pairs.shape[0]) * LANES
            for head in range(heads):
                start, place = head * d_kv, places[text]
                scales, scales2 = key_scales[layer, head, place:], value_scales[layer, head, place:]
                write_keys(pairs[:, start : start + d_kv], keys[layer, head, place * d_kv :], scales, FIRST)
                value = pairs[:, inner + start : inner + start + d_kv]
                write_values(value, values[layer, head, place * width :], scales2, FIRST, capacity)


@kernel
def decode(ids, step, matrices, norms, embedding, sizes, epsilon, bias, cache, memory, buffers):
    """Take one step of the decoder but for the output layer, into y.

    From the last id of each row, the `step`-th from 0.

    norms (3 x layers + 1, padded d_model); bias (1 or layers, heads, ...): column capacity - 1 is that of distance 0;
    cache = (keys (layers, rows, heads, capacity x d_kv), values likewise, scales of keys and of values (layers, rows,
    heads, capacity) or empty); memory = (what `remember` writes, places, lengths of the texts, the text of each row).
    """
    layers, d_model, heads, d_kv, _, _ = sizes
    inner = heads * d_kv
    x, y, z, scores = buffers
    rows = ids.size
    x, y, z = x[:rows], y[:rows], z[:rows]
    embed(ids, embedding, d_model, x)
    for layer in range(layers):
        normalize(x, norms[3 * layer], d_model, epsilon, y)
        apply(matrices, 6 * layer, y[:, :d_model], z[:, : 3 * inner])
        _attend_to_past(z, y, layer, step, sizes, bias[layer % bias.shape[0]], cache, scores)
        apply(matrices, 6 * layer + 1, y[:, :inner], z[:, :d_model])
        add(x, z, d_model)
        normalize(x, norms[3 * layer + 1], d_model, epsilon, y)
        apply(matrices, 6 * layer + 2, y[:, :d_model], z[:, :inner])
        _attend_to_memory(z, y, layer, sizes, memory, scores)
        apply(matrices, 6 * layer + 3, y[:, :inner], z[:, :d_model])
        add(x, z, d_model)
        feed_forward(matrices, 6 * layer + 4, norms[3 * layer + 2], sizes, epsilon, x, y, z)
    normalize(x, norms[3 * layers], d_model, epsilon, y)


@kernel
def decode_logits(
    ids, step, matrices, norms, embedding, sizes, epsilon, bias, cache, memory, buffers, logits
):
    """One step: as `decode`, then the logits (rows, ids padded to 64)."""
    decode(ids, step, matrices, norms, embedding, sizes, epsilon, bias, cache, memory, buffers)
    y = buffers[1][: ids.size, : sizes[1]]
    apply(matrices, 6 * sizes[0], y, logits[: ids.size, : logits.shape[1]])


@kernel
def decode_best(
    ids, step, matrices, norms, embedding, sizes, epsilon, bias, cache, memory, buffers, logits, screen, count
):
    """Take one step of one row: as `decode`, then the best of `count` ids.

    screen = (int8 panels, scales, errors).
    """
    decode(ids, step, matrices, norms, embedding, sizes, epsilon, bias, cache, memory, buffers)
    weights, _, starts = matrices
    head = weights[starts[0, 6 * sizes[0]] : starts[0, 6 * sizes[0] + 1]]
    rough, scales, errors = screen
    y = buffers[1][:1, : sizes[1]]
    return best(y, sizes[1], head, rough, scales, errors, count, logits[:1, : logits.shape[1]])


@kernel
def _attend_to_past(qkv, mixed, layer, step, sizes, bias, cache, scores):
    """Append each row's key and value to the cache and attend to all of it.

    qkv is (rows, 3 x inner).
    """
    _, _, heads, d_kv, _, _ = sizes
    keys, values, key_scales, value_scales = cache
    inner = heads * d_kv
    capacity = keys.shape[3] // d_kv
    for row in range(qkv.shape[0]):
        for head in range(heads):
            start = head * d_kv
            own_keys, own_values = keys[layer, row, head], values[layer, row, head]
            scales, scales2 = key_scales[layer, row, head], value_scales[layer, row, head]
            mine = qkv[row : row + 1]
            key = mine[:, inner + start : inner + start + d_kv]
            value = mine[:, 2 * inner + start : 2 * inner + start + d_kv]
            write_keys(key, own_keys, scales, step)
            write_values(value, own_values, scales2, step, capacity)
            q, out = mine[:, start : start + d_kv], mixed[row : row + 1, start : start + d_kv]
            zero = capacity - 1 - step
            attend(
                q, own_keys, own_values, scales, scales2, step + 1, capacity, bias[head], zero, scores, out
            )


@kernel
def _attend_to_memory(queries, mixed, layer, sizes, memory, scores):
    """Let each row attend to its text; queries (rows, inner)."""
    _, _, heads, d_kv, _, _ = sizes
    (keys, values, key_scales, value_scales), places, lengths, texts = memory
    for row in range(queries.shape[0]):
        place, length = places[texts[row]], lengths[texts[row]]
        capacity = panels(length) * LANES
        for head in range(heads):
            start = head * d_kv
            own_keys = keys[layer, head, place * d_kv :]
            own_values = values[layer, head, place * panels(d_kv) * LANES :]
            scales, scales2 = key_scales[layer, head, place:], value_scales[layer, head, place:]
            q, out = queries[row : row + 1, start : start + d_kv], mixed[row : row + 1, start : start + d_kv]
            no_bias = scores[:0]
            attend(q, own_keys, own_values, scales, scales2, length, capacity, no_bias, FIRST, scores, out)


@kernel
def feed_forward(matrices, number, norm, sizes, epsilon, x, y, z):
    """x += the feed-forward sublayer of x; y and z are overwritten."""
    _, d_model, _, _, d_ff, gated = sizes
    normalize(x, norm, d_model, epsilon, y)
    apply(matrices, number, y[:, :d_model], z[:, : d_ff * (2 if gated else 1)])
    activate(z, d_ff, gated)
    apply(matrices, number + 1, z[:, :d_ff], y[:, :d_model])
    add(x, y, d_model)


@kernel
def apply(matrices, number, x, out):
    """out = x W^T with the matrix of that number."""
    weights, scales, starts = matrices
    panels_of = weights[starts[0, number] : starts[0, number + 1]]
    product_of(panels_of, scales[starts[1, number] : starts[1, number + 1]], x, out)


@kernel
def embed(ids, embedding, d_model, x):
    """Write the rows of the embedding, one for each id, into x."""
    table, scales = embedding
    for row in range(ids.size):
        number = ids[row]
        for i in range(0, d_model, LANES):
            part = load(table, (number, i))
            if scales.size > 0:
                part = part * broadcast(scales[number])
            store(x, (row, i), part)
