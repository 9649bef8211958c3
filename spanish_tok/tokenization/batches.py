"""Batches as models take them: cut, padded, and as arrays."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from spanish_tok.errors import SpanishTokError
from spanish_tok.vocab.formats import MOST_INPUT_IDS


def ids_per_text(truncation: Any, padding: Any, max_length: Any) -> tuple[int | None, int | None]:
    """Return the most and the fewest ids of a row that the options of a call ask for.

    None is no bound. Raises SpanishTokError for a wrong option, and for a `max_length` that nothing would use.

    >>> ids_per_text(truncation=True, padding="max_length", max_length=64)
    (64, 64)
    """
    if not isinstance(truncation, bool):
        raise SpanishTokError(f"truncation is {truncation!r}", "Give True or False.")
    if padding not in (False, True, "longest", "max_length"):
        raise SpanishTokError(f"padding is {padding!r}", 'Give False, True or "max_length".')
    whole = isinstance(max_length, int | np.integer) and not isinstance(max_length, bool)
    if max_length is not None and not (whole and max_length >= 1):
        raise SpanishTokError(f"max_length is {max_length!r}", "Give a whole number from 1 up.")
    to_length = padding == "max_length"
    if max_length is not None and not truncation and not to_length:
        raise SpanishTokError(
            f"max_length={max_length} has no effect alone", 'Give truncation=True or padding="max_length".'
        )
    length = MOST_INPUT_IDS if max_length is None else int(max_length)
    return length if truncation else None, length if to_length else None


def batch_of(
    rows: Sequence[list[int]], fewest: int | None, pad: int | None, tensors: str | None
) -> dict[str, Any]:
    """Return rows of ids as input_ids and attention_mask.

    fewest: shorter rows are padded to so many ids, on the right, where there is an id `pad`. tensors: "np" and "pt"
    give int64 [rows, longest] of NumPy or PyTorch, None lists.

    Raises SpanishTokError for rows of different lengths that are to be an array.

    >>> batch_of([[598, 52, 1], [623, 1]], None, 0, None)
    {'input_ids': [[598, 52, 1], [623, 1, 0]], 'attention_mask': [[1, 1, 1], [1, 1, 0]]}
    """
    if tensors not in (None, "np", "pt"):
        raise SpanishTokError(f"return_tensors is {tensors!r}", 'Give "np", "pt" or None.')
    masks = [[1] * len(row) for row in rows]
    if pad is not None:
        width = fewest or max(map(len, rows), default=0)
        masks = [mask + [0] * (width - len(mask)) for mask in masks]
        rows = [row + [pad] * (width - len(row)) for row in rows]
    batch = {"input_ids": list(rows), "attention_mask": masks}
    if tensors is None:
        return batch
    if len(set(map(len, rows))) > 1:
        raise SpanishTokError("The texts have different numbers of ids", "Give padding=True for an array.")
    return {name: _array(values, tensors) for name, values in batch.items()}


def _array(rows: list[list[int]], tensors: str) -> Any:
    array = np.array(rows, np.int64).reshape(len(rows), len(rows[0]) if rows else 0)
    if tensors == "np":
        return array
    import torch

    return torch.from_numpy(array)
