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

    def move(self, place: int) -> bool:
        """Let the window begin at `place`, and read on; return False at the end."""
        data = read_fully(self._stream, max(BLOCK, len(self.text) - place))
        self.text = self.text[place:] + self._utf8.decode(data, final=not data)
        self.ended = not data
        return bool(data)


def array_elements(stream: io.RawIOBase | io.BufferedIOBase, name: str, most: int) -> Iterator[Any]:
    """Yield the elements of the array that a stream of UTF-8 holds.

    Raises SpanishTokError for what is not JSON, and for an element of more than `most` bytes.

    >>> list(array_elements(io.BytesIO(b'[{"text": "hola"}, 7]'), "a.json", 100))
    [{'text': 'hola'}, 7]
    """
    decode, window, number = json.JSONDecoder().raw_decode, _Window(stream), 0
    while "[" not in window.text and window.move(0):
        pass
    place = window.text.index("[") + 1
    while True:
        found = BETWEEN.match(window.text, place)
        place = found.end() if found else place
        fault = "it ends within the array"
        if window.text[place : place + 1] == "]":
            break
        try:
            value, end = decode(window.text, place)
        except (ValueError, RecursionError) as error:
            fault = str(error) if place < len(window.text) else fault
        else:
            if end - place > most:
                raise too_long(name, f"element {number + 1:,}", most)
            if end < len(window.text) or window.ended:  # else a number may go on
                yield value
                number, place = number + 1, end
                continue
        if len(window.text) - place > most + 1:
            raise too_long(name, f"element {number + 1:,}", most)
        if not window.move(place):
            raise _not_json(name, number, fault)
        place = 0
    while window.move(place + 1):
        place = -1
        if window.text.strip():
            break
    if window.text.strip():
        raise _not_json(name, number, "something follows the array")


def _not_json(name: str, number: int, fault: str) -> SpanishTokError:
    return SpanishTokError(
        f"{name}, after element {number:,} of its array: it is not JSON ({fault})",
        "It may be cut off: get it again.",
    )
