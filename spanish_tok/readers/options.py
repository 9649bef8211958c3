"""How one file is read, what was read of it, and the errors of every reader."""

import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from spanish_tok.errors import SpanishTokError
from spanish_tok.progress import Progress

Location = str | os.PathLike[str]  # a path, an address such as s3://bucket/es.parquet, or "-"

LONGEST_ROW = (1 << 30) - 16  # bytes; kernels and Arrow strings count in 31 bits, and a block holds two rows


@dataclass(frozen=True)
class ReadOptions:
    """How files are read. With the defaults each row is kept, or an error names it.

    format: "tsv", "csv", "jsonl", "parquet", "arrow" or "text"; None tells by the name of each file.
    id, text: the columns of all but text. Without a column `id` the records have no ids. "translation.es" is the
        entry `es` of the column `translation`.
    invalid_utf8: "repair" reads the wrong bytes as Windows-1252, their usual source (a character cut in
        two becomes U+FFFD); "reject" drops the row; "error" stops. All are counted.
    malformed: for a row without a tab, a line that is not JSON, a missing text: "error" stops and names
        the row, "reject" drops and counts it.
    rows: how many rows there must be in all; None if unknown.
    reader: "ray" reads with Ray Data's own readers, in the tasks of the engine Ray (see ray_data.py):
        the same rows, or an error.
    block_bytes: bytes read at once, and of a batch; never changes what is read.
    workers: threads; never change what is read.
    encoding: any codec of Python, such as "utf-16-le" or "cp1252"; None is UTF-8, or what a byte order mark says.
    delimiter: of csv.
    header: the first row of tsv names its columns; naming a column by `id` or `text` means that too.
    max_row_bytes: a longer row is an error, at that size.
    """

    format: str | None = None
    id: str = "id"
    text: str = "text"
    invalid_utf8: Literal["error", "repair", "reject"] = "repair"
    malformed: Literal["error", "reject"] = "error"
    rows: int | None = None
    reader: Literal["own", "ray"] = "own"
    block_bytes: int = 8 << 20
    workers: int = 2
    encoding: str | None = None
    delimiter: str = ","
    header: bool = False
    max_row_bytes: int = 256 << 20

    def __post_init__(self) -> None:
        if not 0 < self.max_row_bytes <= LONGEST_ROW:
            raise SpanishTokError(
                f"max_row_bytes is {self.max_row_bytes:,}", f"Give at least 1, at most {LONGEST_ROW:,}."
            )
        if len(self.delimiter) != 1 or self.delimiter in '"\r\n':
            raise SpanishTokError(
                f"The delimiter is {self.delimiter!r}", "Give one character, such as ';' or a tab."
            )

    @property
    def has_header(self) -> bool:
        """Whether the first row of a tab-separated file names its columns."""
        return self.header or (self.id, self.text) != ("id", "text")

    def described(self) -> dict[str, Any]:
        """Return the options by name, for the keys of jobs.

        Those added since the first version are left out where they have their defaults.

        So the keys of older jobs stay as they are. `max_row_bytes` changes nothing that is read.
        """
        options = asdict(self)
        del options["max_row_bytes"]
        for name in ("encoding", "delimiter", "header"):
            if options[name] == getattr(type(self), name):
                del options[name]
        return options


@dataclass
class FileReport:
    """What was read of one file, up to the batch that was handed out last.

    rows: all rows, the rejected ones included.
    offset: bytes of tsv and text, decompressed: where the next row begins.
    repaired, rejected: rows that were not UTF-8 or were malformed, and were repaired or dropped.
    unterminated: the last row had no newline; it may have been cut off.
    complete: the file was read to its end.
    """

    name: str
    rows: int = 0
    offset: int = 0
    repaired: int = 0
    rejected: int = 0
    unterminated: bool = False
    complete: bool = False


def check_rows(rows: int, expected: int | None, name: str) -> None:
    """Raise SpanishTokError unless as many rows were read as there must be."""
    if expected is not None and rows != expected:
        raise SpanishTokError(
            f"{rows:,} rows were read up to the end of {name}, but there must be {expected:,}",
            "The file is cut off or another version: get it again, or correct `rows` in the recipe.",
        )


def tell_lost(reports: Iterable[FileReport], shown: Progress) -> None:
    """Tell of each file how many of its rows were rejected or repaired, if any were."""
    for report in reports:
        counts = (("rejected", report.rejected), ("repaired", report.repaired))
        lost = [f"{count:,} of {report.rows:,} rows {fate}" for fate, count in counts if count]
        if lost:
            shown.tell(f"{report.name}: {', '.join(lost)}")


def lost_rows(reports: Iterable[FileReport]) -> dict[str, int]:
    """Return how many rows were rejected and repaired in all."""
    return {name: sum(getattr(report, name) for report in reports) for name in ("rejected", "repaired")}


def check_found(records: int, rejected: int, name: str) -> None:
    """Raise SpanishTokError where nothing was read of an input."""
    if records:
        return
    if rejected:
        raise SpanishTokError(
            f"{name} holds no records: all of its {rejected:,} rows were rejected",
            "Leave --malformed reject out to see what is wrong with the first.",
        )
    raise SpanishTokError(f"{name} is empty: it holds no records", "Give a file with at least one record.")


def malformed_row(path: Location, row: int, fault: str) -> SpanishTokError:
    """Return the error for one bad row; rows are counted from 1, as editors do."""
    return SpanishTokError(
        f"{path}, row {row:,}: {fault}",
        "The file may be cut off or have another format. `--malformed reject` drops and counts such rows.",
    )


def invalid_row(path: Location, row: int) -> SpanishTokError:
    """Return the error for a row that is not UTF-8, where the options forbid it."""
    return SpanishTokError(
        f"{path}, row {row:,} is not valid UTF-8",
        "`--invalid-utf8 repair` mends and counts such rows, `reject` drops and counts them.",
    )
