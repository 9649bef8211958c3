"""How one file is read, what was read of it, and the errors of every reader."""

import os
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from spanish_tok.errors import SpanishTokError

Location = str | os.PathLike[str]  # a path, an address such as s3://bucket/es.parquet, or "-"

SCHEMA = pa.schema([("id", pa.string()), ("text", pa.string())])


@dataclass(frozen=True)
class ReadOptions:
    """How files are read. With the defaults each row is kept, or an error names it.

    format: "tsv", "csv", "jsonl", "parquet" or "text"; None tells by the name of each file.
    id, text: the columns of csv, jsonl and parquet. Without a column `id` the records have no ids.
    invalid_utf8: "repair" reads the wrong bytes as Windows-1252, their usual source (a character cut in
        two becomes U+FFFD); "reject" drops the row; "error" stops. All are counted.
    malformed: for a row without a tab, a line that is not JSON, a missing text: "error" stops and names
        the row, "reject" drops and counts it.
    rows: how many rows there must be in all; None if unknown.
    reader: "ray" reads with Ray Data's own readers, in the tasks of the engine Ray (see ray_data.py):
        the same rows, or an error.
    block_bytes: bytes read at once; never changes what is read.
    workers: threads; never change what is read.
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


def batch_of(ids: pa.Array | None, texts: pa.Array) -> pa.RecordBatch:
    """Return a batch of (id, text); the ids are null if `ids` is None."""
    ids = pa.nulls(len(texts), pa.string()) if ids is None else ids
    return pa.record_batch([ids, texts], schema=SCHEMA)
