"""The counts of files: of text, and of counts that are added; on the threads of one machine, or on a cluster."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, astuple, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from spanish_tok.errors import SpanishTokError
from spanish_tok.parallel.engines import EngineName, connected
from spanish_tok.progress import SILENT, Bar
from spanish_tok.readers.inputs import absolute, check_reader
from spanish_tok.readers.options import Location, ReadOptions, check_rows
from spanish_tok.readers.records import expand_folders, read_records
from spanish_tok.readers.remote import is_remote
from spanish_tok.readers.splits import Part, parts_of
from spanish_tok.readers.streams import size_of
from spanish_tok.text.arrow import Column
from spanish_tok.text.table import NormalizationTable
from spanish_tok.vocab.counts import Counts, count_runs, is_counts, merge

PARTS_A_CORE = 4  # tasks, so that cores end at about the same time
MOST_FILES = 64  # in a task, so that little is begun again


def count_files(
    paths: Iterable[Location],
    *,
    options: ReadOptions | None = None,
    threads: int | None = None,
    table: NormalizationTable | None = None,
    engine: EngineName = "local",
    address: str | None = None,
    kept: Location | None = None,
    progress: Bar = SILENT,
) -> Counts:
    """Count the runs of files of text: Parquet, TSV, CSV, JSON lines or plain text, also compressed.

    `options` say which columns and what to do with damaged rows (see `spanish_tok.readers.records`). Files that hold
    counts already (columns run and count) are added to the result. The engine "ray" counts parts of the files
    on the cluster at `address` and adds them up there as a tree; where a folder `kept` is given, which its
    nodes must share, each part lies there until all is counted, and a call that failed is gone on with.

    Raises SpanishTokError, which names file and row, for what cannot be read.
    """
    options = options or ReadOptions()
    counted: list[Location] = []
    texts: list[Location] = []
    for path in paths:
        (counted if is_counts_file(path) else texts).append(path)
    if engine == "ray":  # else whoever reads them does so
        texts = expand_folders(texts)
    check_reader(engine, options, texts)
    counts = [Counts.load(path) for path in counted]
    if texts and engine == "ray":
        folder = None if kept is None else Path(kept).absolute()
        counts.append(_count_on_ray(texts, options, table, address, folder, progress))
    elif texts:
        counts.append(count_runs(_columns(texts, options, progress), threads=threads, table=table))
    return counts[0] if len(counts) == 1 else merge(counts)


def _columns(paths: Iterable[Location], options: ReadOptions, progress: Bar = SILENT) -> Iterator[Column]:
    for batch in read_records(paths, options):
        progress.advance(batch.num_rows)
        yield batch.column("text")


def count_part(
    parts: Sequence[Part], options: ReadOptions, table: NormalizationTable | None, kept: Path | None
) -> Counts:
    """Count parts of files on one thread, or take the counts that lie at `kept` already: a task of the cluster."""
    if kept and kept.exists():
        return Counts.load(kept)
    texts = (batch.column("text") for part in parts for batch in part.read(options))
    counts = count_runs(texts, threads=1, table=table)
    if kept:
        counts.save(kept, level=1)
    return counts


def _count_on_ray(
    paths: Sequence[Location],
    options: ReadOptions,
    table: NormalizationTable | None,
    address: str | None,
    kept: Path | None,
    progress: Bar,
) -> Counts:
    if options.rows is not None and "reject" in (options.malformed, options.invalid_utf8):
        raise SpanishTokError("The engine ray cannot check rows some of which are rejected", "Leave one out.")
    reading = replace(options, rows=None, workers=1)
    with connected(address) as cluster:
        parts = [part for path in paths for part in parts_of(absolute(path), reading)]
        number = min(len(parts), max(PARTS_A_CORE * cluster.cores, -(-len(parts) // MOST_FILES)))
        groups = [parts[first::number] for first in range(number)]
        places = [kept and kept / f"{_key(group, reading)}.parquet" for group in groups]
        tasks = [(group, reading, table, place) for group, place in zip(groups, places, strict=True)]
        counts: Counts = cluster.merged(count_part, tasks, merge, progress)
    progress.advance(counts.records)
    check_rows(counts.records, options.rows, "the input")
    if kept:
        shutil.rmtree(kept, ignore_errors=True)
    return counts


def _key(parts: Sequence[Part], options: ReadOptions) -> str:
    """What tells a task from another: its rows, names, sizes and times of its files, and how they are read."""
    states = [
        (*astuple(part), size_of(part.path), None if is_remote(part.path) else os.path.getmtime(part.path))
        for part in parts
    ]
    how = asdict(replace(options, reader="own"))  # the other reads the same
    return hashlib.sha256(json.dumps([states, how]).encode()).hexdigest()[:32]


def is_counts_file(path: Location) -> bool:
    """Whether a path is a Parquet file with the columns run and count."""
    if not str(path).endswith(".parquet") or not Path(path).is_file():
        return False
    try:
        return is_counts(pq.read_schema(path))
    except pa.ArrowInvalid:
        return False  # whoever reads it as text will say what is wrong
