"""Read any file of text as batches of (id, text), with an exact report.

Formats: `tsv` (id, tab, text; no header, no quotes: see tsv.py), `text` (a record a line), `csv`, `jsonl`, `parquet`
and `arrow` (columns by name), each also compressed with gzip, bzip2, xz, zstd or LZ4.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import pyarrow as pa

from spanish_tok.errors import SpanishTokError
from spanish_tok.readers import csv_jsonl, parquet, tsv
from spanish_tok.readers.opening.paths import FORMATS, base_name, expand_paths
from spanish_tok.readers.opening.remote import is_url
from spanish_tok.readers.opening.spool import STDIN, name_of
from spanish_tok.readers.options import FileReport, Location, ReadOptions, check_rows

READERS: Mapping[str, Callable[..., Iterator[pa.RecordBatch]]] = {
    "tsv": tsv.read_tsv,
    "text": tsv.read_text,
    "csv": csv_jsonl.read_csv,
    "jsonl": csv_jsonl.read_jsonl,
    "parquet": parquet.read_parquet,
    "arrow": parquet.read_arrow,
}


@dataclass
class ReadReport:
    """What was read, one entry a file in the order of reading.

    Given to `read_records` it is filled as batches are handed out. One that holds the state of an earlier,
    interrupted reading of the same files makes `read_records` resume there.
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
    """Yield the records of files in order, as batches of (id, text).

    Both columns are Arrow strings. A text is never null, but it may be empty. The ids are as they stand in the file,
    numbers as decimal strings; for a file without ids they are all null. No batch is empty, none crosses files.

    Raises SpanishTokError, which names file and row, for what is missing, damaged, cut off or not what
    the options say, and at the end if `options.rows` was not met.

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
    for index, path in enumerate(expand_paths(paths)):
        if index == len(report.files):
            report.files.append(FileReport(name=os.fspath(path)))
        if not report.files[index].complete:
            yield from read_file(path, options, report.files[index])
    check_rows(report.rows, options.rows, report.files[-1].name if report.files else "the input")


def read_file(
    path: Location, options: ReadOptions, report: FileReport, end: int | None = None
) -> Iterator[pa.RecordBatch]:
    """Read one file from where `report` stands; update the report with each batch.

    `end`: the row of a Parquet file to stop before, which must be the end of a row group (see splits.py).
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
    """Return the readers of Ray Data by format; raise SpanishTokError without them."""
    try:
        from spanish_tok.readers import ray_data
    except ImportError as error:
        raise SpanishTokError(
            f"This version of Ray lacks the readers of Ray 2.60 ({error})",
            "Leave --reader ray out, or `pip install 'ray[data]==2.60.0'`.",
        ) from None
    return ray_data.READERS


def format_of(path: Location) -> str:
    """Return the format of a file by its name.

    >>> format_of("es.jsonl.zst"), format_of("spanish_collection.tsv")
    ('jsonl', 'tsv')
    """
    suffix = Path(base_name(path)).suffix.lower()
    if suffix not in FORMATS:
        raise SpanishTokError(
            f"The format of {name_of(path)} is not known by its name",
            f"Give --format {', '.join(list(READERS)[:-1])} or {list(READERS)[-1]}.",
        )
    return FORMATS[suffix]


def sources_of(paths: Sequence[Location]) -> list[str]:
    """Return the names of sources: file names without suffixes.

    Where two would be equal, they get as many of their folders as tell them apart.

    >>> sources_of(["datos/es.tsv.gz", "2019/foros.parquet", "2020/foros.parquet"])
    ['es', '2019/foros', '2020/foros']
    >>> sources_of(["foros.txt", "foros.jsonl", "datos/es.tsv"])  # not even folders tell them apart
    ['foros', 'foros', 'es']
    """
    stems = [_stem_of(os.fspath(path)) for path in paths]
    depths = [1] * len(stems)
    while True:
        names = ["/".join(stem.parts[-depth:]) for stem, depth in zip(stems, depths, strict=True)]
        repeated = {name for name, count in Counter(names).items() if count > 1}
        longer = [depth + (name in repeated) for name, depth in zip(names, depths, strict=True)]
        alike = [index for index, name in enumerate(names) if name in repeated]
        if all(longer[index] > len(stems[index].parts) for index in alike):
            return names
        depths = longer


def _stem_of(path: str) -> PurePosixPath:
    """Return a path without suffixes and query.

    It is "-" for pipes, whose names a shell invents.
    """
    if path == STDIN or path.startswith("/dev/"):
        return PurePosixPath(STDIN)
    return PurePosixPath(path.split("?")[0] if is_url(path) else path).parent / base_name(path).split(".")[0]
