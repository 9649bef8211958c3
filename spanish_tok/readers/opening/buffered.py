"""Streams of bytes that can be looked into, or that a generator fills."""

import io
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer

AT_ONCE = 1 << 16  # bytes


class Peeked(io.RawIOBase):
    """A stream whose first bytes can be looked at before they are read.

    It works where nothing can be read twice: a pipe, the answer of a server.

    >>> stream = Peeked(io.BytesIO(b"hola mundo"))
    >>> stream.peek(4), stream.read(10)
    (b'hola', b'hola mundo')
    """

    def __init__(self, raw: io.RawIOBase | io.BufferedIOBase) -> None:
        self._raw = raw
        self._ahead = b""

    def peek(self, size: int, *, wait: bool = True) -> bytes:
        """Return the next `size` bytes, fewer at the end, and leave them to be read.

        Without `wait` it is what one reading gives: somebody may be typing.
        """
        while len(self._ahead) < size and (more := self._raw.read(max(size - len(self._ahead), AT_ONCE))):
            self._ahead += more
            if not wait:
                break
        return self._ahead[:size]

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._raw.seekable()

    def tell(self) -> int:
        return self._raw.tell() - len(self._ahead)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_CUR:
            offset -= len(self._ahead)
        self._ahead = b""
        return self._raw.seek(offset, whence)

    def readinto(self, buffer: "Buffer") -> int:
        if not self._ahead:
            return self._raw.readinto(buffer) or 0
        target = memoryview(buffer)
        taken, self._ahead = self._ahead[: len(target)], self._ahead[len(target) :]
        target[: len(taken)] = taken
        return len(taken)


def read_fully(stream: io.RawIOBase | io.BufferedIOBase, size: int) -> bytes:
    """Return the next `size` bytes, fewer at the end only.

    >>> read_fully(Chunks(iter([b"ho", b"la"])), 3)
    b'hol'
    """
    parts, left = list[bytes](), size
    while left and (part := stream.read(left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


class Chunks(io.RawIOBase):
    """The bytes that a generator yields, as a stream.

    >>> Chunks(iter([b"ho", b"la"])).readall()
    b'hola'
    """

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "Buffer") -> int:
        target = memoryview(buffer)
        while target and not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        size = min(len(target), len(self._rest))
        target[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size
