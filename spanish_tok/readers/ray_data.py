r"""Ray Data's own readers, called for one file: the same rows as ours, or an error.

A reader of Ray Data yields Arrow tables. Its pipelines send them through the object store. Here a task calls the
reader for one file instead of a reader of this package. So rows keep their order, files may differ in their columns,
and the rest stays the same: the choice of columns, nulls, rejected rows, errors that name file and row.

* Parquet: exact for every file. Arrow's scanner, which Ray Data uses, decodes a row group as a whole.
* Text: Ray Data ends lines at more than "\n". A file that holds any other line end is refused.
* JSON lines: of Ray Data's two readers the one by Arrow; the other (lines=True) turns texts into numbers. Refused are
  files where a line is not one object, a text is not a string, or an id is neither a string nor, in the whole file,
  a whole number of 64 bits.
* Text and JSON lines are read as a whole, and refused if they are not UTF-8.
* TSV and CSV: none. Ray Data has no reader of our TSV, and its reader of CSV turns texts into numbers and "NA" into
  a null if a whole column looks like it.

These are internals of Ray 2.60; the tests compare each with our readers.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pds
import pyarrow.json as pj
import pyarrow.parquet as pq
from pyarrow import fs
from ray.data._internal.datasource.json_datasource import ArrowJSONDatasource
from ray.data._internal.datasource.text_datasource import TextDatasource
from ray.data._internal.datasource_v2.formats.parquet.parquet_file_reader import ParquetFileReader
from ray.data._internal.datasource_v2.interfaces.file_manifest import FileManifest

from spanish_tok.errors import SpanishTokError
from spanish_tok.readers import parquet as tables
from spanish_tok.readers.columns import table_batches
from spanish_tok.readers.opening.buffered import Peeked
from spanish_tok.readers.opening.compression import MAGIC_BYTES, SUFFIXES, compression_of
from spanish_tok.readers.opening.encoding import HEAD, encoding_of
from spanish_tok.readers.opening.lines import Lines
from spanish_tok.readers.opening.remote import is_remote, open_remote
from spanish_tok.readers.options import FileReport, Location, ReadOptions
from spanish_tok.readers.streams import open_raw, open_text, size_of

TURN_BYTES = 8 << 20  # bytes of row groups, uncompressed, that are read in one turn

# Characters at which `str.splitlines` ends a line and this package does not
OTHER_ENDS = "\v\f\x1c\x1d\x1e\x85\u2028\u2029"


def read_text(path: Location, options: ReadOptions, report: FileReport) -> Iterator[pa.RecordBatch]:
    """Read a text a line.

    Raises SpanishTokError for a file that Ray Data does not read as it is.
    """
    _check_plain(path, options)
    source = _source(_Text, path, encoding="utf-8-sig")
    for table in _tables(source, path):
        report.unterminated = table.num_rows > 0 and not source.ended
        yield from table_batches(table, path, replace(options, id="id", text="text"), report)


def read_jsonl(path: Location, options: ReadOptions, report: FileReport) -> Iterator[pa.RecordBatch]:
    """Read a JSON object a line.

    Raises SpanishTokError for a file that Ray Data does not read as it is.
    """
    _check_plain(path, options)
    source = _source(_JsonLines, path)
    source.columns = options.id, options.text
    for table in _tables(source, path):
        yield from table_batches(table, path, options, report)


def scan_parquet(
    path: Location, file: pq.ParquetFile, groups: list[int], columns: list[str], rows: int
) -> Iterator[pa.RecordBatch]:
    """Yield columns of row groups in order, as the scan of `read_parquet`.

    Holds TURN_BYTES, or one row group if that is larger.
    """
    filesystem, name = _placed(path)
    threads = pa.cpu_count(), pa.io_thread_count()
    reader = _Parquet(batch_size=rows, columns=columns, filesystem=filesystem)
    pa.set_cpu_count(threads[0])  # the reader has set 32 for the whole process,
    pa.set_io_thread_count(threads[1])  # and 128
    reader.remote = is_remote(path)
    for turn in _together(file.metadata, groups):
        chunk = {"row_group_ids": turn}
        manifest = FileManifest.construct_manifest(paths=[name], sizes=[0], chunk_metadatas=[chunk])
        for table in reader.read(manifest):
            yield from table.to_batches()


READERS: Mapping[str, Callable[..., Iterator[pa.RecordBatch]]] = {
    "text": read_text,
    "jsonl": read_jsonl,
    "parquet": partial(tables.read_parquet, scan=scan_parquet),
}


class _Parquet(ParquetFileReader):  # type: ignore[misc]
    """The reader of `ray.data.read_parquet`, reading as little at a time as it can."""

    remote: bool

    def _arrow_scanner_kwargs(self) -> dict[str, Any]:
        options = pds.ParquetFragmentScanOptions(
            use_buffered_stream=True, buffer_size=tables.BUFFER, pre_buffer=self.remote
        )
        ahead = {"fragment_readahead": 1, "batch_readahead": 1}
        return {"fragment_scan_options": options, "use_threads": False} | ahead


class _Text(TextDatasource):  # type: ignore[misc]
    """The reader of `ray.data.read_text`, for files that it reads as they are."""

    ended: bool  # with a newline

    def _read_stream(self, f: pa.NativeFile, path: str) -> Iterator[pa.Table]:
        data = f.readall()
        ends = [f"U+{ord(end):04X}" for end in OTHER_ENDS if end.encode() in data]
        ends += ["a bare U+000D"] if data.count(b"\r") > data.count(b"\r\n") else []
        if ends:
            raise ValueError(f"it ends lines at {' and '.join(ends)}, too")
        self.ended = data.endswith(b"\n")
        yield from super()._read_stream(pa.BufferReader(data), path)


class _JsonLines(ArrowJSONDatasource):  # type: ignore[misc]
    """The reader of `ray.data.read_json`, for files of one object a line."""

    columns: tuple[str, str]

    def _read_stream(self, f: pa.NativeFile, _: str) -> Iterator[pa.Table]:
        data = f.readall()
        if not data:
            return
        lines = data.count(b"\n") + (not data.endswith(b"\n"))
        between = data.count(b"}\n{") + data.count(b"}\r\n{")
        ends = data.startswith(b"{") and data.endswith((b"}", b"}\n", b"}\r\n"))
        table = self._parsed(data) if ends and between == lines - 1 else None
        if table is None or table.num_rows != lines:
            raise ValueError("a line is not one object")
        table.validate(full=True)  # raises for halves of surrogate pairs
        yield table

    def _parsed(self, data: bytes) -> pa.Table:
        """Return the columns of ids, as strings or 64-bit integers, and of texts."""
        try:
            return self._typed(data, pa.string())
        except pa.ArrowInvalid as error:
            if "number" not in str(error):
                raise
            return self._typed(data, pa.int64())

    def _typed(self, data: bytes, identity: pa.DataType) -> pa.Table:
        schema = pa.schema(zip(self.columns, (identity, pa.string()), strict=True))
        ways = pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
        self.arrow_json_args = {"parse_options": ways}
        (table,) = self._read_with_pyarrow_read_json(data)
        return table


class _Address(fs.FSSpecHandler):  # type: ignore[misc]
    """A file system with one file, at an address, opened by our opener."""

    def __init__(self, location: Location) -> None:
        super().__init__(None)
        self._location = location

    def get_type_name(self) -> str:
        return "address"

    def get_file_info(self, paths: list[str]) -> list[fs.FileInfo]:
        return [fs.FileInfo(path, fs.FileType.File, size=size_of(self._location) or 0) for path in paths]

    def open_input_file(self, _: str) -> pa.NativeFile:
        return pa.PythonFile(open_remote(str(self._location)), "r")

    open_input_stream = open_input_file


def _check_plain(path: Location, options: ReadOptions) -> None:
    """Raise SpanishTokError for a file that only our opener reads.

    It has another encoding, or a compression without its suffix.

    And for a row that is too long; Ray Data's readers would hold all of it.
    """
    with open_raw(path) as raw:
        compressed = compression_of(Peeked(raw).peek(MAGIC_BYTES)) is not None
    with open_text(path, options.encoding) as stream:
        odd = encoding_of(stream.peek(HEAD), str(path), options.encoding) or options.encoding
        if odd or compressed != (Path(path).suffix.lower() in SUFFIXES):
            raise _refused(path, f"it is {odd}" if odd else "it is compressed, and its name does not say so")
        if compressed or (size_of(path) or 0) > options.max_row_bytes:
            for _ in Lines(stream, str(path), options.max_row_bytes):
                pass


def _refused(path: Location, reason: object) -> SpanishTokError:
    return SpanishTokError(
        f"Ray Data's reader does not read {path} as it is: {reason}",
        "The same command without --reader ray reads it, or says which row is wrong.",
    )


def _placed(path: Location) -> tuple[fs.FileSystem, str]:
    """Return a file as Ray Data wants it: a file system, and the path there."""
    if is_remote(path):
        return fs.PyFileSystem(_Address(path)), os.path.basename(str(path))
    return fs.LocalFileSystem(), os.path.abspath(path)


def _source(kind: Any, path: Location, **options: Any) -> Any:
    filesystem, name = _placed(path)
    return kind(name, filesystem=filesystem, **options)


def _tables(source: Any, path: Location) -> list[pa.Table]:
    """Return all tables of a source; raise SpanishTokError for whatever goes wrong."""
    try:
        return [table for task in source.get_read_tasks(1) for table in task() if table.num_columns]
    except Exception as error:  # of Arrow, of Ray, of Python
        raise _refused(path, str(error).splitlines()[0]) from error


def _together(footer: pq.FileMetaData, groups: list[int]) -> Iterator[list[int]]:
    """Yield row groups in turns of about TURN_BYTES.

    Few turns, since Ray Data's reader reads the footer again in each.
    """
    turn, size = list[int](), 0
    for group in groups:
        turn.append(group)
        size += footer.row_group(group).total_byte_size
        if size >= TURN_BYTES or group == groups[-1]:
            yield turn
            turn, size = [], 0
