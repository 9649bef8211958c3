"""Inputs of limited length: whole, cut at a space, or overlapping windows."""

from collections.abc import Mapping
from typing import NamedTuple

from spanish_tok.tasks.task import Task
from spanish_tok.tokenization.adapters import TokenizerAdapter

Ids = tuple[int, ...]


class TokenWindows(NamedTuple):
    """The ids of one record's input, and whether all of the text is in them.

    One sequence, or one for each window. capped: windows had no room for the overlap that the task asks for.
    """

    sequences: tuple[Ids, ...]
    whole: bool
    capped: bool = False


def inputs_of(values: Mapping[str, str], task: Task, codec: TokenizerAdapter, end: int) -> TokenWindows:
    """Return the ids of one record's input, `end` (`</s>`) last in each sequence.

    Texts are cut at spaces, so that the template's other parts stay whole and other libraries can be given the same
    text. Where not even one word fits (a word of 10,000 letters), the ids are cut instead. Windows share at most half
    of their words, so that there are never many more of them than the text needs.
    """
    reader = _Reader(values, task, codec)
    if reader.fits(0, len(reader.words)):
        return TokenWindows(((*codec.encode(task.render(values)), end),), True)
    sequences: list[Ids] = []
    start = stop = 0
    capped = False
    while stop < len(reader.words):
        stop = reader.furthest(start)
        if stop == start:
            return TokenWindows(((*codec.encode(task.render(values))[: reader.limit], end),), False)
        sequences.append((*reader.encode(start, stop), end))
        if task.long_inputs != "windows":
            break
        half = (stop - start) // 2
        capped |= half < task.overlap and stop < len(reader.words)
        start = stop - min(task.overlap, half)
    return TokenWindows(tuple(sequences), task.long_inputs == "windows", capped)


class _Reader:
    """A record whose input can be encoded with any stretch of the shortened field."""

    def __init__(self, values: Mapping[str, str], task: Task, codec: TokenizerAdapter) -> None:
        self.values, self.task, self.codec = values, task, codec
        self.words = values[task.shortened].split()
        self.limit = task.input_tokens - 1

    def encode(self, start: int, stop: int) -> list[int]:
        text = " ".join(self.words[start:stop])
        return self.codec.encode(self.task.render({**self.values, self.task.shortened: text}))

    def fits(self, start: int, stop: int) -> bool:
        # hardly any word has no token: a text of many times more words than tokens need not be encoded
        return stop - start <= 4 * self.limit and len(self.encode(start, stop)) <= self.limit

    def furthest(self, start: int) -> int:
        """Return the greatest stop that fits, by bisection; `start` if none does."""
        low, high = start, min(len(self.words), start + self.limit)
        while low < high:
            middle = (low + high + 1) // 2
            if self.fits(start, middle):
                low = middle
            else:
                high = middle - 1
        return low
