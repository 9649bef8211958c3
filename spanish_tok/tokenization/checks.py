"""What the methods of a Tokenizer accept: texts, ids, and options of a draw."""

import operator
from collections.abc import Iterable
from math import inf
from numbers import Integral, Real
from typing import Any

from spanish_tok.errors import SpanishTokError
from spanish_tok.text.table import valid_text


def listed_texts(texts: Iterable[str]) -> list[str]:
    """Return texts as a list; an error names the place of another value."""
    if isinstance(texts, str | bytes) or not isinstance(texts, Iterable):
        raise SpanishTokError(f"Several texts are needed, not {type(texts).__name__}", "Give a list of str.")
    try:
        listed = texts.to_pylist() if hasattr(texts, "to_pylist") else list(texts)
    except UnicodeDecodeError as error:  # of a column of Arrow
        raise SpanishTokError(f"A text is not valid UTF-8 ({error})", "Repair it first.") from None
    for index, text in enumerate(listed):
        try:
            valid_text(text)
        except SpanishTokError as error:
            raise SpanishTokError(f"Text {index}: {error.problem}", error.advice) from None
    return listed


def checked_text(text: str) -> str:
    """Return `text` with NUL replaced by a character that the engine deletes."""
    return valid_text(text).replace("\0", "\1")


def checked_ids(ids: Iterable[int], vocab_size: int) -> list[int]:
    """Return ids as a list of int.

    Raises SpanishTokError, which names the position, for what is not a whole number from 0 to vocab_size - 1.
    """
    if not isinstance(ids, Iterable):
        raise SpanishTokError(f"Ids must be a list, not {type(ids).__name__}", "Give a flat list of ids.")
    token_ids = []
    for position, value in enumerate(ids):
        try:
            token_ids.append(operator.index(value))
        except TypeError:
            raise SpanishTokError(
                f"Item {position} of the ids is {value!r}, not a whole number", "Give a flat list of ids."
            ) from None
    if token_ids and not 0 <= min(token_ids) <= max(token_ids) < vocab_size:
        position = next(i for i, token_id in enumerate(token_ids) if not 0 <= token_id < vocab_size)
        raise SpanishTokError(
            f"Item {position} of the ids is {token_ids[position]}, but ids go from 0 to {vocab_size - 1}",
            "Were they made with another vocabulary?",
        )
    return token_ids


def check_draw(alpha: Any, seed: Any) -> None:
    """Raise SpanishTokError for options that no segmentation can be drawn with."""
    if not isinstance(alpha, Real) or not 0 <= float(alpha) < inf:
        raise SpanishTokError(f"alpha is {alpha!r}", "Give a number from 0 (uniform) up; 0.1 is usual.")
    if not isinstance(seed, Integral):
        raise SpanishTokError(f"The seed is {seed!r}", "Give a whole number.")
