"""Compressed streams, known by their first bytes, read to the very end.

gzip, bzip2 and xz: any number of streams one after the other, each checked whole; zeros may fill up the end.
zstd and LZ4: any number of frames, and frames to be skipped. What follows a stream and is no other one, a cut and a
wrong checksum are errors, never an end.
"""

import bz2
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Any, cast

import pyarrow as pa

from spanish_tok.errors import SpanishTokError
from spanish_tok.readers.opening.buffered import Chunks, Peeked
from spanish_tok.readers.opening.frames import is_skipped, lz4_frames, zstd_frames

SUFFIXES = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstd", ".lz4": "LZ4"}
MAGIC_BYTES = 1 << 12  # of a file, that tell its compression
BLOCK = 1 << 16  # bytes of a compressed stream that are read at once
CHUNK = 1 << 20  # bytes that are decompressed at once
XZ_MEMORY = 1 << 30  # bytes that a stream of xz may ask for
LAYERS = 3  # a server may compress what is compressed already


class _Gzip:
    """zlib's decompressor with the interface of those of bz2 and lzma."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(16 + zlib.MAX_WBITS)

    def decompress(self, data: bytes, most: int) -> bytes:
        return self._stream.decompress(self._stream.unconsumed_tail + data, most)

    @property
    def needs_input(self) -> bool:
        return not self._stream.unconsumed_tail

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data


def compression_of(head: bytes) -> str | None:
    """Return the compression that the first bytes of a file tell; None for none.

    >>> compression_of(bz2.compress(b"hola")), compression_of(b"BZh9 es texto")
    ('bzip2', None)
    """
    if head.startswith(b"BZh") and head[4:10] in (b"1AY&SY", b"\x17\x72\x45\x38\x50\x90"):
        return "bzip2"
    magic = {
        b"\x1f\x8b": "gzip",
        b"\xfd7zXZ\0": "xz",
        b"\x28\xb5\x2f\xfd": "zstd",
        b"\x04\x22\x4d\x18": "LZ4",
    }
    magic |= {b"\x02\x21\x4c\x18": "LZ4"}  # as the first versions of lz4 wrote it
    skipped = 0
    while is_skipped(head):  # a frame without data, of zstd or of LZ4
        head = head[8 + int.from_bytes(head[4:8], "little") :]
        skipped += 1
    if skipped and not head:
        return "zstd"
    return next((name for start, name in magic.items() if head.startswith(start)), None)


def decompressed(raw: io.RawIOBase | io.BufferedIOBase, name: str, suffix: str) -> Peeked:
    """Return the bytes of a stream, decompressed where it is compressed.

    name: for errors. suffix: of the file; one that promises a compression must be kept.
    Raises SpanishTokError, from here or while it is read, for what is damaged or cut off.
    """
    stream = Peeked(raw)
    promised = SUFFIXES.get(suffix.lower())
    if promised and compression_of(stream.peek(MAGIC_BYTES)) is None:
        raise damaged(name, f"its first bytes are not those of {promised}")
    for _ in range(LAYERS):
        compression = compression_of(stream.peek(MAGIC_BYTES))
        if compression is None:
            break
        stream = Peeked(Chunks(_told(DECODERS[compression](stream, name), name)))
    return stream


def damaged(name: str, reason: object) -> SpanishTokError:
    """Return the error for a file that does not hold what its format says."""
    return SpanishTokError(f"{name} is cut off or damaged ({reason})", "Get it again.")


def _told(chunks: Iterator[bytes], name: str) -> Iterator[bytes]:
    """Yield chunks; a fault of the data is an error that names the file."""
    try:
        yield from chunks
    except (EOFError, zlib.error, lzma.LZMAError, ValueError) as error:
        raise damaged(name, error) from None
    except OSError as error:  # of bz2 and Arrow, where it has no number
        if error.errno is not None:
            raise
        raise damaged(name, error) from None


def _streams(new: Callable[[], Any], multiple: int, raw: Peeked, _: str) -> Iterator[bytes]:
    """Yield the bytes of streams one after the other.

    `multiple`: of bytes that zeros after a stream must be.
    """
    data = raw.read(BLOCK)
    while data:
        decoder = new()
        while not decoder.eof:
            data = data or (raw.read(BLOCK) if decoder.needs_input else b"")
            chunk = decoder.decompress(data or b"", CHUNK)
            if not (data or chunk or decoder.eof) and decoder.needs_input:
                raise EOFError("it ends within a stream")
            data = b""
            if chunk:
                yield chunk
        data, zeros = decoder.unused_data, 0
        while True:
            rest = data.lstrip(b"\0")
            zeros += len(data) - len(rest)
            if rest or not (more := raw.read(BLOCK)):
                break
            data = more
        data = rest
        if zeros % multiple:
            raise ValueError("zeros that are no padding follow a stream")


def _by_arrow(
    codec: str, frames: Callable[[Peeked, str], Iterator[bytes]], raw: Peeked, name: str
) -> Iterator[bytes]:
    source = pa.PythonFile(cast(io.RawIOBase, Chunks(frames(raw, name))), "r")
    with pa.CompressedInputStream(source, codec) as stream:
        while chunk := stream.read(CHUNK):
            yield chunk


def _xz() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY)


DECODERS: dict[str, Callable[[Peeked, str], Iterator[bytes]]] = {
    "gzip": lambda raw, name: _streams(_Gzip, 1, raw, name),
    "bzip2": lambda raw, name: _streams(bz2.BZ2Decompressor, 1, raw, name),
    "xz": lambda raw, name: _streams(_xz, 4, raw, name),
    "zstd": lambda raw, name: _by_arrow("zstd", zstd_frames, raw, name),
    "LZ4": lambda raw, name: _by_arrow("lz4", lz4_frames, raw, name),
}
