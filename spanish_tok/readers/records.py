"""Readers: any file of text -> Arrow batches of (id, text), and an exact report of what was read.

Formats: `tsv` (id, tab, text; no header, no quotes: see readers/tsv.py), `text` (a record a line), `csv` and
`jsonl` and `parquet` (columns by name), each also compressed with gzip, zstd or xz; a folder that
`sample` or `clean` wrote; and other sets of the Hub (see readers/hub.py).
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from spanish_tok.errors import SpanishTokError
from spanish_tok.files import read_json
from spanish_tok.readers import csv_jsonl, parquet, tsv
from spanish_tok.readers.options import FileReport, Location, ReadOptions, check_rows
from spanish_tok.readers.remote import is_remote, matching
from spanish_tok.readers.streams import base_name

__all__ = [
    "FileReport",
    "ReadOptions",
    "ReadReport",
    "expand_folders",
    "format_of",
    "read_file",
    "read_records",
]

READERS: Mapping[str, Callable[..., Iterator[pa.RecordBatch]]] = {
    "tsv": tsv.read_tsv,
    "text": tsv.read_text,
    "csv": csv_jsonl.read_csv,
    "jsonl": csv_jsonl.read_jsonl,
    "parquet": parquet.read_parquet,
}
FORMATS = {
    ".tsv": "tsv",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".txt": "text",
}


@dataclass
class ReadReport:
    """What was read, one entry a file in the order of reading.

    Given to `read_records` it is filled as the batches are handed out. One that holds the state of an
    earlier, interrupted reading of the same files makes `read_records` go on from there.
    """

    files: list[FileReport] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Rows of all files, the rejected ones included."""
        return sum(file.rows for file in self.files)

    @property
    def rejected(self) -> int:
        """Rows that were dropped because they were malformed or not UTF-8."""
        return sum(file.rejected for file in self.files)


def read_records(
    paths: Iterable[Location], options: ReadOptions | None = None, report: ReadReport | None = None
) -> Iterator[pa.RecordBatch]:
    """Read files one after the other as batches of the columns id and text, both Arrow strings.

    A text is never null, but it may be empty. The ids are as they stand in the file (numbers as decimal
    strings); where a file has none the column is all null. No batch is empty, none crosses files.

    Raises SpanishTokError, which names file and row, for what is missing, damaged, cut off or not what
    the options say, and at the end where `options.rows` was not met.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "es.tsv").write_bytes("7\\t¡Hola!\\n8\\tAdiós\\tcon tabulador".encode())
    >>> report = ReadReport()
    >>> [batch.to_pylist() for batch in read_records([folder / "es.tsv"], report=report)]
    [[{'id': '7', 'text': '¡Hola!'}, {'id': '8', 'text': 'Adiós\\tcon tabulador'}]]
    >>> report.rows, report.files[0].unterminated
    (2, True)
    """
    options = options or ReadOptions()
    report = report if report is not None else ReadReport()
    for place, path in enumerate(expand_folders(paths)):
        if place == len(report.files):
            report.files.append(FileReport(name=os.fspath(path)))
        if not report.files[place].complete:
            yield from read_file(path, options, report.files[place])
    check_rows(report.rows, options.rows, report.files[-1].name if report.files else "the input")


def read_file(
    path: Location, options: ReadOptions, report: FileReport, end: int | None = None
) -> Iterator[pa.RecordBatch]:
    """Read one file from where `report` stands, and bring the report up to date with each batch.

    `end`: the row of a Parquet file to stop before, which must be the end of a row group (see readers/splits.py).
    """
    name = options.format or format_of(path)
    if name not in READERS:
        raise SpanishTokError(f"There is no format {name!r}", f"Give one of: {', '.join(READERS)}.")
    reader = (READERS if options.reader == "own" else _ray_readers())[name]
    for batch in reader(path, options, report) if end is None else reader(path, options, report, end):
        if batch.num_rows:
            yield batch
    report.complete = True


def _ray_readers() -> Mapping[str, Callable[..., Iterator[pa.RecordBatch]]]:
    try:
        from spanish_tok.readers import ray_data as ray_readers
    except ImportError as error:
        raise SpanishTokError(
            f"Ray Data's readers are not where they are in Ray 2.60 ({error})",
            "Leave --reader ray out, or `pip install 'ray[data]==2.60.0'`.",
        ) from None
    return ray_readers.READERS


def format_of(path: Location) -> str:
    """The format of a file by its name.

    >>> format_of("es.jsonl.zst"), format_of("spanish_collection.tsv")
    ('jsonl', 'tsv')
    """
    suffix = Path(base_name(path)).suffix
    if suffix not in FORMATS:
        raise SpanishTokError(
            f"The format of {path} cannot be told by its name",
            "Give --format tsv, csv, jsonl, parquet or text.",
        )
    return FORMATS[suffix]


def expand_folders(paths: Iterable[Location]) -> list[Location]:
    """Replace a folder that `sample` or `clean` wrote by its shards, a pattern in an object store by its files."""
    expanded: list[Location] = []
    for path in paths:
        if is_remote(path):
            expanded += matching(str(path))
            continue
        if not Path(path).exists():
            raise SpanishTokError(f"{path} does not exist", "Check the path.")
        if not Path(path).is_dir():
            expanded.append(path)
            continue
        if not (Path(path) / "manifest.json").exists():
            raise SpanishTokError(
                f"{path} is a folder without a manifest.json",
                "Give files; or, if `sample` was interrupted there, run it again: it goes on.",
            )
        manifest = read_json(Path(path) / "manifest.json")
        if "shards" not in manifest:
            raise SpanishTokError(f"{path} is a folder without shards of text", "Give files of text.")
        expanded += [Path(path) / shard["file"] for shard in manifest["shards"]]
    return expanded
