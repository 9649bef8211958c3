"""Text that is not clean UTF-8: one policy for every reader and every verb.

A byte order mark is believed. Without one the first 64 kB are looked at: a file is refused where it looks like UTF-16,
is a known binary format, or where more than a tenth of the bytes are no UTF-8. Everything else is read as UTF-8, and
the rows with wrong bytes are treated as the options say (see readers/validation.py). Whoever names the encoding is
believed too: `encoding` may be any codec of Python.
"""

import codecs
import io
from collections.abc import Iterator

from spanish_tok.errors import SpanishTokError
from spanish_tok.readers.opening.buffered import Chunks, Peeked

HEAD = 1 << 16  # bytes that are looked at
CHUNK = 1 << 20  # bytes that are decoded at once
ZEROS = 0.4  # share of the even or of the odd bytes, from which on a text is UTF-16
INVALID = 0.1  # share of bytes that are no UTF-8, from which on a file is no text
FEW = 8  # such bytes that any file may have
MARKS = {  # the longer ones first
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
BINARY = {  # what a file begins with -> what it is
    b"PAR1": "Parquet (--format parquet)",
    b"ARROW1": "Arrow (--format arrow)",
    b"\xff\xff\xff\xff": "Arrow (--format arrow)",
    b"PK\x03\x04": "a ZIP archive",
    b"PK\x05\x06": "a ZIP archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"\x1f\x9d": "compressed by compress",
    b"\x89LZO": "compressed by lzop",
    b"LZIP\x01": "compressed by lzip",
    b"\xff\x06\0\0sNaPpY": "compressed by snappy",
    b"%PDF-": "PDF",
    b"\x89PNG\r\n\x1a\n": "an image",
    b"\xff\xd8\xff": "an image",
    b"GIF87a": "an image",
    b"GIF89a": "an image",
    b"\x7fELF": "a program",
    b"\xca\xfe\xba\xbe": "a program",
    b"\xcf\xfa\xed\xfe": "a program",
    b"\0asm": "a program",
    b"SQLite format 3\0": "a database",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "a document of Office",
    b"\x89HDF\r\n\x1a\n": "HDF5",
    b"\x93NUMPY": "an array of NumPy",
    b"Obj\x01": "Avro",
    b"ORC\x01": "ORC",
    b"OggS\0": "sound",
    b"fLaC\0": "sound",
    b"ID3\x03": "sound",
    b"ID3\x04": "sound",
    **{b"\x80" + bytes([protocol]): "a pickle of Python" for protocol in (2, 3, 4, 5)},
}


def as_utf8(stream: Peeked, name: str, encoding: str | None, *, wait: bool = True) -> Peeked:
    """Return a stream of text as UTF-8; a byte order mark of UTF-8 is left in it.

    name: for errors. encoding: None for what the bytes tell. wait: see `Peeked.peek`.
    Raises SpanishTokError for what is no text.
    """
    codec = encoding_of(stream.peek(HEAD, wait=wait), name, encoding)
    return stream if codec is None else Peeked(Chunks(_transcoded(stream, codec, name)))


def encoding_of(head: bytes, name: str, encoding: str | None = None) -> str | None:
    """Return the codec to decode a text by that begins with `head`; None for UTF-8.

    Raises SpanishTokError for what is no text, and for an encoding that Python does not know.

    >>> encoding_of("¡Hola!".encode("utf-16"), "a.txt"), encoding_of("¡Hola!".encode(), "a.txt")
    ('utf-16', None)
    """
    marked = next((codec for mark, codec in MARKS.items() if head.startswith(mark)), None)
    if encoding is not None and marked is None:
        return text_codec(encoding)
    if marked is not None:
        return None if marked == "utf-8" else marked
    _refuse_binary(head, name)
    _refuse_utf16(head, name)
    _refuse_invalid(head, name)
    return None


def text_codec(encoding: str) -> str | None:
    """Return the name of a codec of text; None for UTF-8.

    >>> text_codec("Latin-1"), text_codec("UTF8")
    ('iso8859-1', None)
    """
    try:
        " ".encode(encoding)
        codec = codecs.lookup(encoding).name
        codecs.getincrementaldecoder(encoding)
    except (
        LookupError,
        UnicodeError,
        ValueError,
    ):  # unknown; of bytes, not of text; without a decoder of streams
        raise SpanishTokError(
            f"Python knows no encoding {encoding!r} of text", "Give one such as utf-16-le, cp1252 or latin-1."
        ) from None
    return None if codec in ("utf-8", "utf-8-sig") else codec


def _refuse_binary(head: bytes, name: str) -> None:
    kind = next((kind for start, kind in BINARY.items() if head.startswith(start)), None)
    if head[257:262] == b"ustar":
        kind = "a tar archive"
    if kind:
        advice = "Unpack it first." if "archive" in kind or "compressed" in kind else "Give files of text."
        raise SpanishTokError(f"{name} is no text: it is {kind}", advice)


def _refuse_utf16(head: bytes, name: str) -> None:
    """Raise SpanishTokError for text in UTF-16 or UTF-32 without a byte order mark."""
    zeros = [head[start::4].count(0) / max(len(head[start::4]), 1) for start in range(4)]
    even, odd = (zeros[0] + zeros[2]) / 2, (zeros[1] + zeros[3]) / 2
    if max(even, odd) < ZEROS:
        return
    if min(zeros) > 1 - INVALID:
        raise SpanishTokError(
            f"{name} begins with {len(head):,} bytes that are nearly all zero, longer than a row of text is",
            "Give files of text: rows have at most --max-row-bytes. UTF-16 needs --encoding utf-16-le.",
        )
    likely = "utf-16-le" if odd > even else "utf-16-be"
    if min(zeros[1:]) > ZEROS and zeros[0] < ZEROS:
        likely = "utf-32-le"
    elif min(zeros[:3]) > ZEROS and zeros[3] < ZEROS:
        likely = "utf-32-be"
    raise SpanishTokError(
        f"{name} is not UTF-8: {max(even, odd):.0%} of every second byte are zero, as in UTF-16",
        f"Give --encoding {likely}.",
    )


def _refuse_invalid(head: bytes, name: str) -> None:
    """Raise SpanishTokError where too many bytes are no UTF-8."""
    try:
        head.decode()
        return
    except UnicodeDecodeError:
        valid = len(codecs.getincrementaldecoder("utf-8")("ignore").decode(head).encode())
    invalid = len(head) - valid
    if invalid > max(FEW, INVALID * len(head)):
        raise SpanishTokError(
            f"{name} is no text in UTF-8: {invalid / len(head):.0%} of its first {len(head):,} bytes are not",
            "Give --encoding, such as cp1252, if you know it; a binary file cannot be read.",
        )


def _transcoded(stream: io.RawIOBase, codec: str, name: str) -> Iterator[bytes]:
    """Yield text as UTF-8.

    What cannot be decoded becomes a byte that is neither UTF-8 nor Windows-1252.
    """
    decoder = codecs.getincrementaldecoder(codec)("spanish_tok.undecodable")
    begun = False
    while True:
        data = stream.read(CHUNK) or b""
        try:
            text = decoder.decode(data, final=not data)
        except (UnicodeError, ValueError) as error:
            raise SpanishTokError(f"{name} is not {codec} ({error})", "Give another --encoding.") from None
        if text and not begun:
            text, begun = text.removeprefix("\ufeff"), True
        yield text.encode("utf-8", "spanish_tok.undecodable")
        if not data:
            return


def _undecodable(error: UnicodeError) -> tuple[str | bytes, int]:
    """Return what stands for undecodable bytes, and where decoding continues."""
    if isinstance(error, UnicodeEncodeError):  # a lone surrogate
        return b"\x81" * (error.end - error.start), error.end
    assert isinstance(error, UnicodeDecodeError)
    return "\udc81", error.end


def repair_utf8(data: bytes) -> str:
    r"""Decode bytes that are not all UTF-8.

    The wrong ones are read as Windows-1252, a character cut in two becomes U+FFFD.

    >>> repair_utf8("año".encode() + b" a\xf1o" + b" \xe2\x80"), repair_utf8(b"est\xe1")
    ('año año �', 'está')
    """
    return data.decode("utf-8", "spanish_tok.windows_1252")


def _as_windows_1252(error: UnicodeError) -> tuple[str, int]:
    """Return the replacement of wrong bytes, and where decoding continues."""
    assert isinstance(error, UnicodeDecodeError)
    wrong = error.object[error.start : error.end]
    cut_off = error.end == len(error.object) and (len(wrong) > 1 or wrong[0] in range(0xC2, 0xE0))
    if cut_off or wrong[0] in b"\x81\x8d\x8f\x90\x9d":  # bytes without a character in Windows-1252
        return "\ufffd", error.end
    return wrong[:1].decode("windows-1252"), error.start + 1


codecs.register_error("spanish_tok.undecodable", _undecodable)
codecs.register_error("spanish_tok.windows_1252", _as_windows_1252)
