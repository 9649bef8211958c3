"""The frames of zstd and of LZ4, walked over without decompressing.

Arrow's decompressors take the end of the bytes for the end of the data, and what is no frame for nothing. Both
formats state the size of every block, so that a walk finds each frame's end, what follows it, and what Arrow cannot
read. Sources: RFC 8878; the LZ4 frame format, version 1.6.4.
"""

from collections.abc import Iterator

from spanish_tok.errors import SpanishTokError
from spanish_tok.readers.opening.buffered import Peeked

ZSTD = b"\x28\xb5\x2f\xfd"
LZ4 = b"\x04\x22\x4d\x18"
LZ4_LEGACY = b"\x02\x21\x4c\x18"
LARGEST_WINDOW = (1 << 27) + 1  # bytes; zstd's own limit, and Arrow's
LZ4_BLOCKS = {4: 1 << 16, 5: 1 << 18, 6: 1 << 20, 7: 1 << 22}  # code -> the most bytes of a block


def zstd_frames(raw: Peeked, name: str) -> Iterator[bytes]:
    """Yield the bytes of all frames but those to be skipped.

    Raises EOFError for a cut, ValueError for what is no frame, SpanishTokError for a frame that Arrow cannot read.
    """
    while magic := raw.peek(4):
        if _skipped(raw, magic):
            continue
        if magic != ZSTD:
            raise ValueError("what follows a frame is not one")
        descriptor = raw.peek(5)[4:]
        if not descriptor:
            raise EOFError("it ends within a frame")
        yield _take(raw, 5) + _checked_header(raw, descriptor[0], name)
        last = False
        while not last:
            header = _take(raw, 3)
            block_header = int.from_bytes(header, "little")
            last, kind, size = bool(block_header & 1), block_header >> 1 & 3, block_header >> 3
            if kind == 3 or (kind != 1 and size > 1 << 17):
                raise ValueError("a block of a frame is of no kind, or too large")
            yield header + _take(raw, 1 if kind == 1 else size)
        if descriptor[0] & 4:
            yield _take(raw, 4)  # checksum


def _checked_header(raw: Peeked, descriptor: int, name: str) -> bytes:
    """Return the rest of the header of a frame of zstd."""
    single = bool(descriptor & 0x20)
    dictionary = (0, 1, 2, 4)[descriptor & 3]
    content = (int(single), 2, 4, 8)[descriptor >> 6]
    header = _take(raw, (not single) + dictionary + content)
    stated = int.from_bytes(header[len(header) - content :], "little") + (256 if content == 2 else 0)
    window = stated if single else (8 + (header[0] & 7)) << (header[0] >> 3) + 7
    begin = int(not single)
    if any(header[begin : begin + dictionary]):
        raise SpanishTokError(
            f"{name} was compressed by zstd with a dictionary",
            f"Decompress it first: zstd -d -D DICTIONARY {name}",
        )
    if window > LARGEST_WINDOW:
        raise SpanishTokError(
            f"{name} was compressed by zstd with a window of {window:,} bytes (--long, --ultra), and at most"
            f" {1 << 27:,} can be read",
            f"Decompress it first: zstd -d --long=31 {name}",
        )
    return header


def lz4_frames(raw: Peeked, name: str) -> Iterator[bytes]:
    """Yield the bytes of all frames but those to be skipped. Raises as `zstd_frames`."""
    while magic := raw.peek(4):
        if _skipped(raw, magic):
            continue
        if magic == LZ4_LEGACY:
            raise SpanishTokError(
                f"{name} has the legacy format of lz4", f"Decompress it first: lz4 -d {name}"
            )
        if magic != LZ4:
            raise ValueError("what follows a frame is not one")
        header = _take(raw, 6)
        flags, block_size = header[4], LZ4_BLOCKS.get(header[5] >> 4 & 7)
        if flags >> 6 != 1 or block_size is None:
            raise ValueError("the header of a frame is wrong")
        if flags & 1:
            raise SpanishTokError(f"{name} was compressed by lz4 with a dictionary", "Decompress it first.")
        yield header + _take(raw, 8 * bool(flags & 8) + 1)
        while size := int.from_bytes(word := _take(raw, 4), "little"):
            if (size := size & 0x7FFFFFFF) > block_size:
                raise ValueError("a block of a frame is too large")
            yield word + _take(raw, size + 4 * bool(flags & 16))
        yield word + _take(raw, 4 * bool(flags & 4))


def is_skipped(head: bytes) -> bool:
    """Return whether bytes begin a frame that holds no data."""
    return head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50


def _skipped(raw: Peeked, magic: bytes) -> bool:
    """Pass over a frame that holds no data; return whether it was one."""
    if not is_skipped(magic):
        return False
    left = int.from_bytes(_take(raw, 8)[4:], "little")
    while left:
        left -= len(_take(raw, min(left, 1 << 16)))
    return True


def _take(raw: Peeked, size: int) -> bytes:
    """Read exactly `size` bytes."""
    data = raw.peek(size)
    if len(data) < size:
        raise EOFError("it ends within a frame")
    raw.read(size)
    return data
