"""Files at an address: on the Hub (hf://), at a URL, in an object store."""

import io
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from spanish_tok.errors import SpanishTokError

if TYPE_CHECKING:
    from typing_extensions import Buffer


Result = TypeVar("Result")

ATTEMPTS = 5
FIRST_PAUSE = 1.0  # seconds before the second attempt; doubled each time
TIMEOUT = 30.0  # seconds without an answer from a URL
BUSY = (408, 425, 429)  # answers of a server that may be asked again
KNOWN_BY_CONTENT = (
    "identity",
    "gzip",
    "x-gzip",
    "zstd",
)  # encodings of an answer, which is read as a file is


class RefusedError(Exception):
    """A server's answer that will not change, such as "answered 403 (Forbidden)"."""


def is_remote(location: str | os.PathLike[str]) -> bool:
    """Return whether a location is an address rather than a path on disk.

    >>> is_remote("hf://datasets/usuaria/corpus/es.tsv"), is_remote("es.tsv")
    (True, False)
    """
    return "://" in str(location)


def is_url(location: str | os.PathLike[str]) -> bool:
    """Return whether a location is an address that a web server answers."""
    return str(location).startswith(("http://", "https://"))


def matching(location: str) -> list[str]:
    """Return the addresses that match a pattern, in order.

    A pattern is an address with "*", such as s3://bucket/es/*.parquet. An address without one is returned as it is.
    Raises SpanishTokError if nothing matches.
    """
    if "*" not in location or is_url(location):
        return [location]
    filesystem, pattern = _filesystem(location)
    addresses = [filesystem.unstrip_protocol(path) for path in sorted(filesystem.glob(pattern))]
    if not addresses:
        raise SpanishTokError(f"Nothing matches {location}", "Check the address.")
    return addresses


def open_remote(location: str) -> "RetriedStream":
    """Open the file at an address; time-outs, resets and short answers are retried."""
    return RetriedStream(location, _open_url if is_url(location) else _open_stored)


class RetriedStream(io.RawIOBase):
    """A remote file that is opened again at the byte where reading failed.

    `open_at(location, offset)` returns a file-like object and the size of the whole file, or None.
    """

    def __init__(self, location: str, open_at: Callable[[str, int], tuple[Any, int | None]]) -> None:
        self._location = location
        self._open_at = open_at
        self._file: Any = None
        self._position = 0
        self.size: int | None = None
        self._retry(self._open)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_CUR:
            offset += self._position
        elif whence == os.SEEK_END:
            offset += self.size or 0
        if offset != self._position:
            self._drop()
            self._position = offset
        return offset

    def readinto(self, buffer: "Buffer") -> int:
        target = memoryview(buffer)
        data = self._retry(lambda: self._read(len(target)))
        target[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        self._drop()
        super().close()

    def _open(self) -> None:
        if self._file is None:
            self._file, self.size = self._open_at(self._location, self._position)

    def _read(self, length: int) -> bytes:
        self._open()
        data: bytes = self._file.read(length)
        if not data and self.size is not None and self._position < self.size:
            raise ConnectionError(f"the answer ended at byte {self._position:,} of {self.size:,}")
        return data

    def _drop(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _retry(self, action: Callable[[], Result]) -> Result:
        for attempt in range(ATTEMPTS):
            try:
                return action()
            except (FileNotFoundError, SpanishTokError):
                raise
            except (PermissionError, RefusedError) as error:
                raise SpanishTokError(
                    f"{self._location} {error}", "Check the address, and who may read it."
                ) from None
            except Exception as error:  # every client has its own errors: time-outs, resets, status 5xx
                self._drop()
                if attempt + 1 == ATTEMPTS:
                    raise SpanishTokError(
                        f"{self._location} failed {ATTEMPTS} times at byte {self._position:,}"
                        f" ({type(error).__name__}: {' '.join(str(error).split())})",
                        "Try again later: the same command resumes where it stopped.",
                    ) from error
                time.sleep(FIRST_PAUSE * 2**attempt)
        raise AssertionError("unreachable")


def _filesystem(location: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    try:
        filesystem, path = url_to_fs(location)
    except (ImportError, ValueError) as error:
        raise SpanishTokError(f"{location} cannot be read ({error})", "Check the address.") from None
    return filesystem, path


def _open_stored(location: str, offset: int) -> tuple[Any, int | None]:
    """Open a file on the Hub or in an object store."""
    filesystem, path = _filesystem(location)
    file = filesystem.open(path, "rb", block_size=4 << 20)
    file.seek(offset)
    return file, file.size


def _open_url(url: str, offset: int) -> tuple[Any, int | None]:
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    request = Request(url, headers={"Range": f"bytes={offset}-"} if offset else {})
    try:
        answer = urlopen(request, timeout=TIMEOUT)
    except HTTPError as error:
        if error.code in (404, 410):
            raise FileNotFoundError(url) from None
        if 400 <= error.code < 500 and error.code not in BUSY:
            raise RefusedError(f"answered {error.code} ({error.reason})") from None
        raise
    encoding = (answer.headers["Content-Encoding"] or "identity").lower()
    if encoding not in KNOWN_BY_CONTENT:
        raise SpanishTokError(
            f"{url} answers in the encoding {encoding!r}", "Download it, and give the path."
        )
    if offset and answer.status != 206:
        raise SpanishTokError(f"{url} cannot be read from its middle", "Download it, and give the path.")
    length = answer.headers["Content-Length"]
    return answer, int(length) + offset if length else None
