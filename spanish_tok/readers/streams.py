"""The bytes of a file wherever it lies: on disk, on the Hub (hf://), at a URL, in an object store, on standard input.

An object store is any address that fsspec knows: s3:// (needs s3fs), gs:// (gcsfs), file:// and more.

Compressed files (gzip, zstd, xz, by their suffix) are read decompressed. A remote file that stops
answering is opened again where it stopped; a stream that ends too early is an error, never an end.
"""

import io
import lzma
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from spanish_tok.errors import SpanishTokError
from spanish_tok.readers.remote import RetriedStream, _is_url, _open_stored, _open_url, is_remote

if TYPE_CHECKING:
    pass


COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".xz": "xz"}


def base_name(location: str | os.PathLike[str]) -> str:
    """The name of a file without its folder and without the suffix of a compression.

    >>> base_name("hf://datasets/usuaria/corpus@main/datos/es.tsv.gz")
    'es.tsv'
    """
    path = Path(location)
    return path.stem if path.suffix in COMPRESSIONS else path.name


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
