"""Inputs of limited length: whole where they fit, else cut at a space, or read in overlapping windows."""

from collections.abc import Callable, Mapping

from spanish_tok.tasks.codec import Codec
from spanish_tok.tasks.task import Task

Ids = tuple[int, ...]


def inputs_of(values: Mapping[str, str], task: Task, codec: Codec, end: int) -> list[Ids]:
    """The ids of one record's input, `end` (`</s>`) last; several where it is read in windows.

    Every text is cut at spaces, so that the template's other parts stay whole and other libraries can be given
    the same text. Where not even one word fits (a word of 10,000 letters), the ids are cut instead.
    """
    whole = codec.encode(task.render(values))
    limit = task.input_tokens - 1
    if len(whole) <= limit:
        return [(*whole, end)]
    words = values[task.shortened].split()

    def encoded(start: int, stop: int) -> list[int]:  # of the words [start, stop)
        return codec.encode(task.render({**values, task.shortened: " ".join(words[start:stop])}))

    inputs: list[Ids] = []
    start = stop = 0
    while stop < len(words):
        stop = _furthest(lambda first, last: len(encoded(first, last)) <= limit, start, len(words), limit)
        if stop == start:
            return [(*whole[:limit], end)]
        inputs.append((*encoded(start, stop), end))
        if task.long_inputs != "windows":
            break
        start = max(start + 1, stop - task.overlap)
    return inputs or [(*whole[:limit], end)]


def _furthest(fits: Callable[[int, int], bool], start: int, last: int, words: int) -> int:
    """The greatest stop, at most `last` and `start` + `words`, that fits, by bisection; `start` where none does."""
    low, high = start, min(last, start + words)
    while low < high:
        middle = (low + high + 1) // 2
        if fits(start, middle):
            low = middle
        else:
            high = middle - 1
    return low
