"""The scores of marks, computed without PyTorch."""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from spanish_tok.t5.checkpoint import Tensors
from spanish_tok.t5.config import T5Config
from spanish_tok.t5.cpu_encoder import CpuEncoder
from spanish_tok.tasks.accents.pieces import SLOTS, Window
from spanish_tok.tasks.accents.scores import KINDS


class CpuScorer:
    """An encoder in int8 with the head of scores."""

    def __init__(self, config: T5Config, tensors: Tensors) -> None:
        self._encoder = CpuEncoder(config, tensors, "int8")
        self._head = np.ascontiguousarray(tensors["head.weight"].T)  # (d_model, KINDS x SLOTS)

    def __call__(self, windows: Sequence[Window]) -> list[NDArray[np.float32]]:
        """Return the scores (KINDS, pieces x SLOTS) of each window."""
        ids = np.array([token_id for window in windows for token_id in window.ids], np.int64)
        texts = np.array([0, *accumulate(len(window.ids) for window in windows)], np.int64)
        scores = (self._encoder.encode(ids, texts) @ self._head).reshape(-1, KINDS, SLOTS)
        parts = np.split(scores, texts[1:-1])
        return [part.transpose(1, 0, 2).reshape(KINDS, -1) for part in parts]
