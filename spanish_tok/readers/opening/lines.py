"""Lines of a stream, none longer than a row may be."""

import io
from collections.abc import Iterator

from spanish_tok.errors import SpanishTokError
from spanish_tok.readers.opening.buffered import read_fully

BLOCK = 1 << 18  # bytes that are read at once


class Lines:
    r"""The lines of a stream as bytes, without their ends at "\n".

    universal: lines end at "\r", too, as those of CSV do, and keep their ends.
    number: of the line that was handed out last, from 1.
    unterminated: the line that was handed out last had no end, as the last of a file may.
    skips: pass over stretches of empty lines at once. Whoever parses unsets it within a row.

    >>> list(Lines(io.BytesIO(b"uno\n\ndos"), "a.txt", 100))
    [b'uno', b'', b'dos']
    """

    def __init__(
        self, stream: io.RawIOBase | io.BufferedIOBase, name: str, most: int, *, universal: bool = False
    ) -> None:
        self.number = 0
        self.skips = self.unterminated = False
        self._stream, self._name, self._most, self._universal = stream, name, most, universal

    def __iter__(self) -> Iterator[bytes]:
        carry = b""  # the beginning of a line whose end is not read yet
        while True:
            # a long line is read in steps that double; else what is there is enough, as somebody may be typing
            long = len(carry) > BLOCK
            step = min(len(carry), self._most + 2 - len(carry))
            data = read_fully(self._stream, step) if long else self._stream.read(BLOCK) or b""
            block = carry + data
            if self.skips and not block.strip(b"\r\n"):
                self.number += block.count(b"\n")
                carry = b""
            else:
                lines = block.splitlines(keepends=True) if self._universal else block.split(b"\n")
                complete = self._universal and block.endswith(b"\n")
                carry = lines.pop() if lines and not complete else b""
                yield from self._checked(lines)
            if not data:
                self.unterminated = bool(carry)
                yield from self._checked([carry] if carry else [])
                return
            if len(carry) > self._most:
                raise too_long(self._name, f"line {self.number + 1:,}", self._most)

    def _checked(self, lines: list[bytes]) -> Iterator[bytes]:
        for line in lines:
            self.number += 1
            if len(line) > self._most:
                raise too_long(self._name, f"line {self.number:,}", self._most)
            yield line


def too_long(name: str, place: str, most: int) -> SpanishTokError:
    """Return the error for a row that is longer than a row may be."""
    return SpanishTokError(
        f"{name}, {place} has more than {most:,} bytes",
        "Is it text, a record a line? `--max-row-bytes` allows longer rows, and takes memory for them.",
    )
