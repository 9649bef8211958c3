"""One array of JSON, element by element: a large file is never held whole."""

import codecs
import io
import json
import re
from collections.abc import Iterator
from typing import Any

from spanish_tok.errors import SpanishTokError
from spanish_tok.readers.opening.buffered import read_fully
from spanish_tok.readers.opening.lines import too_long

BLOCK = 1 << 20  # bytes that are read at once
BETWEEN = re.compile(r"[\s,]*")


class _Window:
    """A part of a text that grows at its end.

    A byte that is not UTF-8 becomes one of U+DC80-DCFF.
    """

    def __init__(self, stream: io.RawIOBase | io.BufferedIOBase) -> None:
        self.text, self.ended = "", False
        self._stream, self._utf8 = stream, codecs.getincrementaldecoder("utf-8-sig")("surrogateescape")

    def move(self, position: int) -> bool:
        """Let the window begin at `position`, and read on; return False at the end."""
        data = read_fully(self._stream, max(BLOCK, len(self.text) - position))
        self.text = self.text[position:] + self._utf8.decode(data, final=not data)
        self.ended = not data
        return bool(data)


def array_elements(stream: io.RawIOBase | io.BufferedIOBase, name: str, most: int) -> Iterator[Any]:
    """Yield the elements of the array that a stream of UTF-8 holds.

    Raises SpanishTokError for what is not JSON, and for an element of more than `most` bytes.

    >>> list(array_elements(io.BytesIO(b'[{"text": "hola"}, 7]'), "a.json", 100))
    [{'text': 'hola'}, 7]
    """
    decode, window, index = json.JSONDecoder().raw_decode, _Window(stream), 0
    while "[" not in window.text and window.move(0):
        pass
    position = window.text.index("[") + 1
    while True:
        gap = BETWEEN.match(window.text, position)
        position = gap.end() if gap else position
        fault = "it ends within the array"
        if window.text[position : position + 1] == "]":
            break
        try:
            value, end = decode(window.text, position)
        except (ValueError, RecursionError) as error:
            fault = str(error) if position < len(window.text) else fault
        else:
            if end - position > most:
                raise too_long(name, f"element {index + 1:,}", most)
            if end < len(window.text) or window.ended:  # else a number may go on
                yield value
                index, position = index + 1, end
                continue
        if len(window.text) - position > most + 1:
            raise too_long(name, f"element {index + 1:,}", most)
        if not window.move(position):
            raise _not_json(name, index, fault)
        position = 0
    while window.move(position + 1):
        position = -1
        if window.text.strip():
            break
    if window.text.strip():
        raise _not_json(name, index, "something follows the array")


def _not_json(name: str, index: int, fault: str) -> SpanishTokError:
    return SpanishTokError(
        f"{name}, after element {index:,} of its array: it is not JSON ({fault})",
        "It may be cut off: get it again.",
    )
