"""Tasks of counting: parts of the input, on threads here or on a cluster."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import astuple, replace
from pathlib import Path

from spanish_tok.errors import SpanishTokError
from spanish_tok.parallel.local import Local
from spanish_tok.parallel.ray_engine import Ray
from spanish_tok.progress import SILENT, Bar
from spanish_tok.readers.inputs import Input, Inputs, rereadable
from spanish_tok.readers.opening.remote import is_remote
from spanish_tok.readers.options import FileReport, Location, ReadOptions, check_found, check_rows, lost_rows
from spanish_tok.readers.splits import Part, input_of_task, parts_of
from spanish_tok.readers.streams import size_of
from spanish_tok.text.arrow import Column
from spanish_tok.text.table import NormalizationTable
from spanish_tok.vocab.counts.runs import count_runs
from spanish_tok.vocab.counts.table import Counts, merge

MOST_PARTS = 1000  # of files, in one task


def cache_of(output: Location | None, engine: Local | Ray) -> Path | None:
    """Return the folder beside the output where tasks keep the counts of parts."""
    path = Path(output).absolute() if output is not None and engine.divides else None
    return path and path.with_name(f".{path.name}.parts")


def count_inputs(
    inputs: Inputs, cache: Path | None, table: NormalizationTable | None, engine: Local | Ray, bar: Bar
) -> Counts:
    """Count the runs of inputs.

    `cache` is a folder where the counts of finished parts are kept.
    """
    if engine.divides and any(item.is_pipe for item in inputs.items):
        with rereadable(inputs, cache) as copied:
            return count_inputs(copied, cache, table, engine, bar)
    reading = inputs.items[0].options if inputs.items else ReadOptions()
    if inputs.rows is not None and engine.divides and "reject" in (reading.malformed, reading.invalid_utf8):
        raise SpanishTokError("The engine ray cannot check rows some of which are rejected", "Leave one out.")
    items = [input_of_task(item, engine) for item in inputs.items]
    with engine.connected() as workers:
        groups = workers.groups([part for item in items for part in _parts(item, engine)], MOST_PARTS)
        tasks = [
            (group, engine.task_threads, table, cache and cache / f"{_key(group)}.parquet")
            for group in groups
        ]
        counts: Counts = workers.merged(count_part, tasks, merge, bar, lambda counts: counts.records)
    if engine.divides:
        check_rows(counts.records, inputs.rows, inputs.items[-1].name)
    check_found(counts.records, counts.rejected, inputs.called)
    if cache:
        shutil.rmtree(cache, ignore_errors=True)
    return counts


def _parts(item: Input, engine: Local | Ray) -> list[tuple[Input, Part]]:
    """Return an input with each of its parts: divided on a cluster, whole here.

    On a cluster only the whole is checked for its number of rows.
    """
    if engine.divides:
        item = replace(item, options=replace(item.options, rows=None))
    divided = engine.divides and item.reads_one_file
    parts = parts_of(item.name, item.options) if divided else [Part(item.name)]
    return [(item, part) for part in parts]


def count_part(
    parts: Sequence[tuple[Input, Part]],
    threads: int,
    table: NormalizationTable | None,
    cache: Path | None,
    bar: Bar = SILENT,
) -> Counts:
    """Count parts of the input: a task of any engine.

    Counts that lie at `cache` already are loaded.
    """
    if cache and cache.exists():
        return Counts.load(cache)
    reports: list[FileReport] = []
    counts = count_runs(_columns(parts, reports, bar), threads=threads, table=table)
    lost = lost_rows(reports)
    counts = replace(counts, rejected=lost["rejected"], repaired=lost["repaired"])
    if cache:
        counts.save(cache, level=1)
    return counts


def _columns(parts: Sequence[tuple[Input, Part]], reports: list[FileReport], bar: Bar) -> Iterator[Column]:
    for item, part in parts:
        reports.append(FileReport(item.name, rows=part.begin))
        for batch in item.read(reports[-1], part.end):
            bar.advance(batch.num_rows)
            yield batch.column("text")
    check_rows(sum(report.rows for report in reports), parts[-1][0].options.rows, parts[-1][0].name)


def _key(parts: Sequence[tuple[Input, Part]]) -> str:
    """Return what tells a task from another.

    Those are its rows, the state of its files, and how they are read.
    """
    states = [
        (*astuple(part), size_of(part.path), None if is_remote(part.path) else os.path.getmtime(part.path))
        if item.reads_one_file
        else item.identity()
        for item, part in parts
    ]
    how = replace(parts[0][0].options, reader="own").described()  # the other reader reads the same
    return hashlib.sha256(json.dumps([states, how]).encode()).hexdigest()[:32]
