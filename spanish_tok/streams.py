"""The bytes of a file wherever it lies: on disk, on the Hub (hf://), at a URL, in an object store, on standard input.

An object store is any address that fsspec knows: s3:// (needs s3fs), gs:// (gcsfs), file:// and more.

Compressed files (gzip, zstd, xz, by their suffix) are read decompressed. A remote file that stops
answering is opened again where it stopped; a stream that ends too early is an error, never an end.
"""

import io
import lzma
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from spanish_tok.errors import SpanishTokError

if TYPE_CHECKING:
    from typing_extensions import Buffer

Result = TypeVar("Result")

ATTEMPTS = 5
FIRST_PAUSE = 1.0  # seconds before the second attempt; doubled each time
TIMEOUT = 30.0  # seconds without an answer from a URL
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".xz": "xz"}


def base_name(location: str | os.PathLike[str]) -> str:
    """The name of a file without its folder and without the suffix of a compression.

    >>> base_name("hf://datasets/usuaria/corpus@main/datos/es.tsv.gz")
    'es.tsv'
    """
    path = Path(location)
    return path.stem if path.suffix in COMPRESSIONS else path.name


def is_remote(location: str | os.PathLike[str]) -> bool:
    """Whether a location is an address, on the Hub, at a URL or in an object store, rather than a path.

    >>> is_remote("hf://datasets/usuaria/corpus/es.tsv"), is_remote("es.tsv")
    (True, False)
    """
    return "://" in str(location)


def _is_url(location: str | os.PathLike[str]) -> bool:
    return str(location).startswith(("http://", "https://"))


def matching(location: str) -> list[str]:
    """The addresses that a pattern such as s3://bucket/es/*.parquet stands for, in order; other ones as they are."""
    if "*" not in location or _is_url(location):
        return [location]
    filesystem, pattern = _filesystem(location)
    found = [filesystem.unstrip_protocol(path) for path in sorted(filesystem.glob(pattern))]
    if not found:
        raise SpanishTokError(f"Nothing matches {location}", "Check the address.")
    return found


@contextmanager
def open_stream(location: str | os.PathLike[str], offset: int = 0) -> Iterator[io.RawIOBase]:
    """Open a file for reading its decompressed bytes from `offset` on.

    Raises SpanishTokError, from here or from the block, for a file that is not there, is cut off or
    damaged, or stops answering.
    """
    compression = COMPRESSIONS.get(Path(location).suffix)
    try:
        with open_raw(location) as raw, _decompressed(raw, compression) as stream:
            _skip(stream, offset, seekable=compression is None and stream.seekable())
            yield stream
    except FileNotFoundError:
        raise SpanishTokError(f"{location} does not exist", "Check the path.") from None
    except (EOFError, lzma.LZMAError) as error:
        raise _damaged(location, error) from None
    except OSError as error:
        if compression is None or error.errno is not None:
            raise
        raise _damaged(location, error) from None


def size_of(location: str | os.PathLike[str]) -> int | None:
    """The number of bytes of a file as it is stored, or None where nobody tells."""
    if str(location) == "-":
        return None
    if not is_remote(location):
        return os.path.getsize(location)
    try:
        with open_raw(location) as raw:
            return getattr(raw, "size", None)
    except FileNotFoundError:
        raise SpanishTokError(f"{location} does not exist", "Check the address.") from None


def _damaged(location: str | os.PathLike[str], error: Exception) -> SpanishTokError:
    return SpanishTokError(
        f"{location} is cut off or damaged ({error})", "What was read of it is not the whole: get it again."
    )


def open_raw(location: str | os.PathLike[str]) -> io.RawIOBase:
    if str(location) == "-":
        return cast(io.RawIOBase, sys.stdin.buffer)
    if _is_url(location):
        return RetriedStream(str(location), _open_url)
    if is_remote(location):
        return RetriedStream(str(location), _open_stored)
    return open(location, "rb", buffering=0)


@contextmanager
def _decompressed(raw: io.RawIOBase, compression: str | None) -> Iterator[io.RawIOBase]:
    if compression is None:
        yield raw
    elif compression == "xz":
        with lzma.open(cast(Any, raw)) as stream:
            yield cast(io.RawIOBase, stream)
    else:
        import pyarrow as pa

        with pa.CompressedInputStream(pa.PythonFile(raw, "r"), compression) as stream:
            yield stream


def _skip(stream: io.RawIOBase, offset: int, *, seekable: bool) -> None:
    if offset and seekable:
        stream.seek(offset)
        return
    while offset:
        skipped = len(stream.read(min(offset, 1 << 20)))
        if not skipped:
            raise EOFError("it is shorter than when it was read before")
        offset -= skipped


class RetriedStream(io.RawIOBase):
    """A remote file that is opened again, at the byte it stopped at, when reading fails.

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
            except Exception as error:  # every client has its own errors: time-outs, resets, status 5xx
                self._drop()
                if attempt + 1 == ATTEMPTS:
                    raise SpanishTokError(
                        f"{self._location} failed {ATTEMPTS} times at byte {self._position:,}"
                        f" ({type(error).__name__}: {' '.join(str(error).split())})",
                        "Try again later: the same command goes on where it stopped.",
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
        raise
    if offset and answer.status != 206:
        raise SpanishTokError(f"{url} cannot be read from its middle", "Download it, and give the path.")
    length = answer.headers["Content-Length"]
    return answer, int(length) + offset if length else None
