"""The weights that a training starts from.

Drawn as T5 draws them, with attention to where it will be needed.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from spanish_tok.t5.config import T5Config
from spanish_tok.t5.positions import buckets

REACH = 256  # distances, in tokens, that the biases are averaged over
LOWEST = -8.0  # a bias beyond which a softmax gives nothing


@torch.no_grad()
def draw_weights(model: nn.Module, config: T5Config) -> None:
    """Draw the weights as T5 does.

    fan-in^-0.5 for matrices, (d_model d_kv)^-0.5 for queries, which stands for the missing scaling of scores;
    norms are 1.

    Two deviations keep the first loss near ln V. Tied embeddings get 0.8 where T5 has 1: a narrow, shallow
    model otherwise starts by repeating what it reads (ln V + 1.0 for spanish_tiny, + 2.2 gated). An untied
    head gets d_model^-0.5 where some have 1, which starts at ln V + 100.
    """
    deviations = {
        "shared": 0.8 if config.scaled else config.d_model**-0.5 if config.tie_word_embeddings else 1.0,
        "q": (config.d_model * config.d_kv) ** -0.5,
        "o": config.inner**-0.5,
        "wo": config.d_ff**-0.5,
    }
    for name, parameter in model.named_parameters():
        matrix = name.split(".")[-2]
        if "norm" in matrix:
            parameter.fill_(1.0)
        else:
            parameter.normal_(0.0, deviations.get(matrix, config.d_model**-0.5))


@torch.no_grad()
def locality_init(model: nn.Module, config: T5Config) -> None:
    """Let attention start at nearby tokens, and the decoder at similar ones.

    Similar to its own token.

    Random attention averages over all tokens: the decoder learns to ignore such an encoder, and a short
    training ends before it looks at it again. Here each head of self-attention prefers a distance of its own
    (see `aimed_biases`), and a query of the decoder to the encoder is its key times d_kv^-0.5, of the same
    deviation as T5's, so that a sentinel finds itself in the input. Training is free to undo all of it.
    """
    for name, module in model.named_modules():
        if name.endswith("relative_attention_bias"):
            module.weight.copy_(torch.from_numpy(aimed_biases(config, name.startswith("encoder"))))
        if name.endswith("EncDecAttention"):
            module.q.weight.copy_(module.k.weight * config.d_kv**-0.5)


def aimed_biases(config: T5Config, bidirectional: bool) -> NDArray[np.float32]:
    """Return the bias of each bucket for each head, float32[buckets, heads].

    It is minus the distance to what the head prefers.

    Head by head that is 1, 2, 4, ... tokens away, for every second head of an encoder after the token, else
    before it; the further, the wider: a token more costs 1, 1/2, 1/4, ...

    >>> aimed_biases(T5Config.spanish_tiny(), bidirectional=False)[:4, 0].astype(int).tolist()  # 0, 1, 2, 3 before
    [-1, 0, -1, -2]
    """
    distance = np.arange(1 - REACH, REACH)
    bucket = buckets(
        REACH,
        REACH,
        bidirectional,
        config.relative_attention_num_buckets,
        config.relative_attention_max_distance,
    )
    if not bidirectional:
        distance = np.minimum(distance, 0)
    count = np.bincount(bucket, minlength=config.relative_attention_num_buckets)
    total = np.bincount(bucket, distance, minlength=config.relative_attention_num_buckets)
    mean = total / np.maximum(count, 1)
    heads = np.arange(config.num_heads)
    step = heads // 2 if bidirectional else heads
    side = np.where(bidirectional & (heads % 2 == 1), 1, -1)
    away = np.abs(mean[:, None] - side * 2.0**step)
    biases: NDArray[np.float32] = np.maximum(-away * 0.5**step, LOWEST).astype(np.float32)
    return biases
