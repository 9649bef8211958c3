"""The bytes of a file on disk, on the Hub, at a URL or on standard input.

An object store is any address that fsspec reads: s3:// (needs s3fs), gs:// (gcsfs), file:// and more.

Compressed files (gzip, zstd, xz, by their suffix) are read decompressed. A remote file that stops
answering is opened again where it stopped; a stream that ends too early is an error, never an end.
"""

import io
import lzma
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from spanish_tok.errors import SpanishTokError
from spanish_tok.readers.remote import is_remote, open_remote

COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".xz": "xz"}


@dataclass(frozen=True)
class StandardInput(os.PathLike[str]):
    """Standard input as a location that can be read again: its bytes, held in memory."""

    data: bytes = field(repr=False)

    @classmethod
    def read(cls) -> "StandardInput":
        """Read standard input to its end."""
        return cls(sys.stdin.buffer.read())

    def __fspath__(self) -> str:
        return "-"

    def __str__(self) -> str:
        return "standard input"


def base_name(location: str | os.PathLike[str]) -> str:
    """Return the name of a file without its folder and its suffix of compression.

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
        on_disk = not (isinstance(location, StandardInput) or str(location) == "-" or is_remote(location))
        with (
            open(location, "rb", buffering=0) if on_disk else open_raw(location) as raw,
            _decompressed(raw, compression) as stream,
        ):
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
    """Return the number of bytes of a file as it is stored, or None if unknown."""
    if str(location) == "-":
        return None
    if not is_remote(location):
        return os.path.getsize(location)
    try:
        with open_raw(location) as raw:
            return getattr(raw, "size", None)
    except FileNotFoundError:
        raise SpanishTokError(f"{location} does not exist", "Check the address.") from None


def lines_of(
    files: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
) -> Iterator[tuple[str, int, str]]:
    """Yield (file, line number from 1, text) for each line of files.

    "-" is standard input. Lines end at "\\n" only. Raises SpanishTokError that names file and line if one is not UTF-8.
    """
    for path in [files] if isinstance(files, str | os.PathLike) else files:
        name = "standard input" if str(path) == "-" else str(path)
        with open_stream(path) as stream, io.BufferedReader(stream) as buffered:
            for number, line in enumerate(buffered, 1):
                try:
                    yield name, number, line.removesuffix(b"\n").decode("utf-8")
                except UnicodeDecodeError:
                    raise SpanishTokError(
                        f"{name}, line {number} is not UTF-8", "Convert the file first."
                    ) from None


def _damaged(location: str | os.PathLike[str], error: Exception) -> SpanishTokError:
    return SpanishTokError(f"{location} is cut off or damaged ({error})", "Get it again.")


def open_raw(location: str | os.PathLike[str]) -> io.RawIOBase:
    """Open the stored bytes of a location, not decompressed.

    Readers open their input by `open_stream`, but for Parquet on disk, which Arrow opens.
    """
    if isinstance(location, StandardInput):
        return cast(io.RawIOBase, io.BytesIO(location.data))
    if str(location) == "-":
        return cast(io.RawIOBase, sys.stdin.buffer)
    if is_remote(location):
        return open_remote(str(location))
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
            raise EOFError("it has become shorter since it was read")
        offset -= skipped
