"""The bytes of a file: on disk, on the Hub, at an address, or from a pipe.

An object store is any address that fsspec reads: s3:// (needs s3fs), gs:// (gcsfs), file:// and more.

Compressed files are known by their first bytes and read decompressed, text comes as UTF-8. A remote file that stops
answering is opened again where it stopped; a stream that ends too early is an error, never an end.
"""

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from glob import has_magic
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, cast

from spanish_tok.errors import SpanishTokError
from spanish_tok.readers.opening.buffered import Peeked
from spanish_tok.readers.opening.compression import MAGIC_BYTES, compression_of, damaged, decompressed
from spanish_tok.readers.opening.encoding import HEAD, as_utf8, encoding_of, repair_utf8
from spanish_tok.readers.opening.lines import Lines
from spanish_tok.readers.opening.paths import expand_paths, file_name
from spanish_tok.readers.opening.remote import is_remote, open_remote
from spanish_tok.readers.opening.spool import STDIN, Spooled, is_pipe, name_of, standard_input

if TYPE_CHECKING:
    from spanish_tok.readers.options import FileReport, ReadOptions


@contextmanager
def open_stream(location: str | os.PathLike[str], offset: int = 0) -> Iterator[Peeked]:
    """Open a file for reading its decompressed bytes from `offset` on.

    Raises SpanishTokError, from here or from the block, for a file that is not there, is cut off or
    damaged, or stops answering.
    """
    on_disk = path_on_disk(location)
    with _named(location), open(on_disk, "rb", buffering=0) if on_disk else open_raw(location) as raw:
        stream = decompressed(raw, name_of(location), _suffix(location))
        _skip(stream, offset, name_of(location))
        yield stream


@contextmanager
def open_text(
    location: str | os.PathLike[str], encoding: str | None = None, offset: int = 0, *, wait: bool = True
) -> Iterator[Peeked]:
    """Open a file of text for reading it as UTF-8, decompressed, from `offset` on.

    A byte order mark of UTF-8 is left to the reader. wait: see `Peeked.peek`.
    Raises SpanishTokError as `open_stream` does, and for what is no text.
    """
    on_disk = path_on_disk(location)
    with _named(location), open(on_disk, "rb", buffering=0) if on_disk else open_raw(location) as raw:
        stream = decompressed(raw, name_of(location), _suffix(location))
        text = as_utf8(stream, name_of(location), encoding, wait=wait)
        _skip(text, offset, name_of(location))
        yield text


def check_text(location: str | os.PathLike[str], encoding: str | None = None) -> None:
    """Raise SpanishTokError if a file on disk is no text.

    Only its first bytes are looked at.
    """
    with open_raw(location) as raw:
        stream = decompressed(raw, name_of(location), _suffix(location))
        encoding_of(stream.peek(HEAD), name_of(location), encoding)


def path_on_disk(location: str | os.PathLike[str]) -> Path | None:
    """Return the file to open for a location.

    It is None for an address and for standard input.
    """
    if isinstance(location, Spooled):
        return location.copy
    return None if str(location) == STDIN or is_remote(location) else Path(location)


@contextmanager
def open_raw(location: str | os.PathLike[str]) -> Iterator[io.RawIOBase]:
    """Open the stored bytes of a location, not decompressed.

    Standard input is not closed.

    Raises SpanishTokError for a file that is not there.
    """
    with _named(location):
        if on_disk := path_on_disk(location):
            with open(on_disk, "rb", buffering=0) as file:
                yield file
        elif is_remote(location):
            with open_remote(str(location)) as stream:
                yield stream
        else:
            yield cast(io.RawIOBase, standard_input())


@contextmanager
def _named(location: str | os.PathLike[str]) -> Iterator[None]:
    """Say what is wrong with a location that cannot be opened."""
    try:
        yield
    except FileNotFoundError:
        raise SpanishTokError(f"{location} does not exist", "Check the path.") from None
    except IsADirectoryError:
        raise SpanishTokError(f"{location} is a folder", "Give a file.") from None


def _suffix(location: str | os.PathLike[str]) -> str:
    return PurePosixPath(file_name(location)).suffix


def is_compressed(location: str | os.PathLike[str]) -> bool:
    """Return whether a file is compressed, by its first bytes."""
    with open_raw(location) as raw:
        return compression_of(Peeked(raw).peek(MAGIC_BYTES)) is not None


def size_of(location: str | os.PathLike[str]) -> int | None:
    """Return the number of bytes of a file as it is stored, or None if unknown."""
    if isinstance(location, Spooled):
        return location.copy.stat().st_size
    if is_pipe(location):
        return None
    if not is_remote(location):
        return os.path.getsize(location)
    with open_raw(location) as raw:
        return getattr(raw, "size", None)


def lines_of(
    files: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    options: "ReadOptions | None" = None,
    reports: "list[FileReport] | None" = None,
) -> Iterator[tuple[str, int, str]]:
    """Yield (file, line number from 1, text) for each line of files.

    "-" is standard input. Lines end at "\\n" only; those that are not UTF-8 are treated as the options say, and counted
    in `reports`, one a file. Raises SpanishTokError that names the file where it cannot be read.
    """
    from spanish_tok.readers.options import FileReport, ReadOptions

    options, reports = options or ReadOptions(), [] if reports is None else reports
    files = [files] if isinstance(files, str | os.PathLike) else files
    if any(map(_is_several, files)):
        files = expand_paths(files)
    for path in files:
        if not (is_pipe(path) or is_remote(path)):
            check_text(path, options.encoding)
    for path in files:
        report = FileReport(name_of(path))
        reports.append(report)
        with open_text(path, options.encoding, wait=not is_pipe(path)) as stream:
            lines = Lines(stream, report.name, options.max_row_bytes)
            for line_number, line in enumerate(lines, 1):
                report.unterminated = lines.unterminated
                text = _text_of(line, line_number, options, report)
                if text is not None:
                    yield report.name, line_number, text


def _is_several(path: str | os.PathLike[str]) -> bool:
    """Return whether a path is a folder or a pattern."""
    return os.path.isdir(path) or (has_magic(os.fspath(path)) and not os.path.exists(path))


def _text_of(line: bytes, line_number: int, options: "ReadOptions", report: "FileReport") -> str | None:
    """Return a line as text, None if it is rejected; count it."""
    from spanish_tok.readers.options import invalid_row

    line = line.removeprefix(b"\xef\xbb\xbf") if line_number == 1 else line
    report.rows = line_number
    try:
        return line.decode()
    except UnicodeDecodeError:
        if options.invalid_utf8 == "error":
            raise invalid_row(report.name, line_number) from None
    if options.invalid_utf8 == "reject":
        report.rejected += 1
        return None
    report.repaired += 1
    return repair_utf8(line)


def _skip(stream: Peeked, offset: int, name: str) -> None:
    """Pass over `offset` bytes of a stream that stands at its beginning."""
    if offset and stream.seekable():
        stream.seek(offset)
        return
    while offset:
        skipped = len(stream.read(min(offset, 1 << 20)) or b"")
        if not skipped:
            raise damaged(name, "it has become shorter since it was read")
        offset -= skipped
