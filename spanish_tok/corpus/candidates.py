"""One pass over the input that keeps the candidates of a sample.

Keys are kept in memory, records on disk.

Every so often the pass notes how far it has come, so that an interrupted one resumes there.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from spanish_tok.corpus.external_sort import Spill
from spanish_tok.corpus.sampling import SCHEMA, KeyedSource, Keys, Threshold, admitted, candidates_of
from spanish_tok.errors import SpanishTokError
from spanish_tok.files import read_json, write_json
from spanish_tok.files.schema import COUNT, made, shape_of
from spanish_tok.parallel.local import Local
from spanish_tok.parallel.ray_engine import Ray
from spanish_tok.parallel.threads import map_in_order
from spanish_tok.progress import SILENT, Bar
from spanish_tok.readers.inputs import Input, Inputs
from spanish_tok.readers.options import FileReport
from spanish_tok.readers.splits import found_by_tasks, parts_of
from spanish_tok.readers.validation import batch_of

CHECKPOINT_SECONDS = 20.0
STATE = {  # the shape of candidates.json
    "runs": [[COUNT, COUNT, COUNT, COUNT]],
    "pieces?": [[COUNT, COUNT, (COUNT, None)]],
    "reports": [shape_of(FileReport)],
    "done": bool,
}
END_OF_PIECE = batch_of(None, pa.nulls(0, pa.string()))

# a batch, its keys if they depend on the order of batches, its source, the index and the state of its piece
KeyedBatch = tuple[pa.RecordBatch, Keys | None, KeyedSource, int, FileReport]

# batches of (key, id, text), and the index and state of each piece whose records are among the candidates
ScanResult = tuple[list[pa.RecordBatch], list[tuple[int, FileReport]]]


@dataclass
class Piece:
    """Rows `begin` to `end` of one input; a whole input unless a cluster divides it."""

    input_index: int
    begin: int
    end: int | None
    report: FileReport


class CandidatePass:
    """A pass that keeps the records with the smallest keys.

    Those are `size` records with keys from `low` on, kept in the folder `folder`.

    `rows` is a guess of how many records there are, see Threshold.
    """

    def __init__(
        self, inputs: Inputs, seed: int, folder: Path, size: int, low: int, rows: int | None
    ) -> None:
        self.inputs = inputs
        self._pieces = [Piece(i, 0, None, FileReport(item.name)) for i, item in enumerate(inputs.items)]
        self.spill: Spill
        self.keys: Keys
        self._sources = {item.source: KeyedSource(item.source, seed) for item in inputs.items}
        self._threshold = Threshold(size, low, rows)
        self._path = folder / f"candidates-{low:016x}.bin"
        self._state = self._path.with_suffix(".json")

    @property
    def rows(self) -> int:
        """Records of the input, without those that were rejected as malformed."""
        return sum(report.rows - report.rejected for report in self.reports)

    @property
    def reports(self) -> list[FileReport]:
        """What was read of each input."""
        reports = [FileReport(item.name) for item in self.inputs.items]
        for piece in self._pieces:
            report, part = reports[piece.input_index], piece.report
            report.rows += part.rows - piece.begin
            report.rejected += part.rejected
            report.repaired += part.repaired
            report.unterminated |= part.unterminated
        return reports

    def scan(self, engine: Local | Ray, bar: Bar = SILENT) -> None:
        """Scan the input, or what is left of it.

        Afterwards `keys` holds the candidates' keys in order.
        """
        if not self._resume():
            results: Iterable[ScanResult]
            if isinstance(engine, Local):
                results = map_in_order(self._candidates, self._batches(bar), engine.task_threads)
            else:
                results = self._of_cluster(engine, bar)
            saved = time.monotonic()
            try:
                for batches, reports in results:
                    self._add(batches, reports)
                    if time.monotonic() - saved > CHECKPOINT_SECONDS and not self._order_matters:
                        self._save(done=False)
                        saved = time.monotonic()
            except SpanishTokError:
                if engine.divides:  # the work of the tasks that succeeded is kept
                    self._save(done=False)
                raise
            self.inputs.check(self.reports)
            self._save(done=True)
        self._sources.clear()  # they may hold a hash of every text
        self.keys = self._threshold.smallest()

    def close(self) -> None:
        """Delete the candidates."""
        self.spill.close()
        self._state.unlink(missing_ok=True)
        self._path.unlink(missing_ok=True)

    @property
    def _order_matters(self) -> bool:
        """Whether records without ids were counted: no file can resume in its middle."""
        return any(source.counts_texts for source in self._sources.values())

    def _add(self, batches: list[pa.RecordBatch], reports: list[tuple[int, FileReport]]) -> None:
        for candidates in batches:
            self._threshold.add(candidates.column("key").to_numpy().copy())
            self.spill.append(candidates)
        for index, report in reports:
            self._pieces[index].report = report

    def _batches(self, bar: Bar) -> Iterator[KeyedBatch]:
        """Yield the batches of all pieces.

        A record without an id comes with its key, which depends on the order of batches.
        """
        for index, piece in enumerate(self._pieces):
            item, report = self.inputs.items[piece.input_index], replace(piece.report)
            source = self._sources[item.source]
            if report.complete:
                continue
            for batch in item.read(report, piece.end):
                keys = source.keys_of(batch) if batch.column("id").null_count else None
                yield batch, keys, source, index, replace(report)
                bar.advance(batch.num_rows)
                bar.note(f"{self.spill.size / 1e6:,.0f} MB of candidates")
            yield END_OF_PIECE, None, source, index, replace(report)

    def _candidates(self, keyed: KeyedBatch) -> ScanResult:
        batch, keys, source, index, report = keyed
        keys = source.keys_of(batch) if keys is None else keys
        return [candidates_of(batch, keys, self._threshold)], [(index, report)]

    def _of_cluster(self, engine: Ray, bar: Bar) -> Iterator[ScanResult]:
        """Yield what the tasks of a cluster return, merged.

        A task reads one source, or some rows whose records all have ids.
        """
        self._divide()
        streams: dict[str | int, list[int]] = {}  # without ids a source must be one stream
        for index, piece in enumerate(self._pieces):
            if not piece.report.complete:
                source = self.inputs.items[piece.input_index].source
                streams.setdefault(source if piece.end is None else index, []).append(index)
        groups = list(streams.values())
        parts = map(self._task, groups)  # with the threshold of when the task starts
        with engine.connected() as cluster:
            room, bounds = self._threshold.size, self._bounds
            for notes, table in cluster.gathered(
                scan_part, parts, merged, bounds, room, lambda note: bar.advance(note[0])
            ):
                batches = [admitted(batch, self._threshold) for batch in table.to_batches()]
                yield (
                    batches,
                    [
                        pair
                        for group, (_, reports) in notes
                        for pair in zip(groups[group], reports, strict=True)
                    ],
                )

    def _divide(self) -> None:
        """Divide large Parquet files, of which nothing was read, into several pieces."""
        pieces: list[Piece] = []
        for piece in self._pieces:
            item = self.inputs.items[piece.input_index]
            if not item.reads_one_file or piece.end is not None or piece.report != FileReport(item.name):
                pieces.append(piece)
                continue
            parts = parts_of(item.name, item.options, with_ids=True)
            pieces += [Piece(piece.input_index, part.begin, part.end, part.report()) for part in parts]
        self._pieces = pieces

    def _bounds(self) -> tuple[int, int, int]:
        return self._threshold.size, self._threshold.low, self._threshold.high

    def _task(self, indices: list[int]) -> tuple[Any, ...]:
        pieces = [self._pieces[index] for index in indices]
        items = [self.inputs.items[piece.input_index] for piece in pieces]
        items_there = list(map(found_by_tasks, items))
        return items_there, pieces, self._sources[items[0].source], *self._bounds()

    def _resume(self) -> bool:
        """Open the spill as an earlier run left it.

        Returns whether that run had read all input.
        """
        state: dict[str, Any] = {"runs": [], "reports": [], "done": False}
        if self._state.exists():
            state = read_json(self._state, STATE)
        self.spill = Spill(self._path, state["runs"])
        for run in self.spill.runs:
            keys = self.spill.keys_of(run)
            self._threshold.add(keys[self._threshold.admits(keys)])
        if state["reports"]:
            pieces = state.get("pieces", [[index, 0, None] for index in range(len(state["reports"]))])
            if len(pieces) != len(state["reports"]) or max(piece[0] for piece in pieces) >= len(
                self.inputs.items
            ):
                raise SpanishTokError(
                    f"{self._state} is of other inputs", "Delete the folder, and start over."
                )
            self._pieces = [
                Piece(index, begin, end, made(FileReport, report))
                for (index, begin, end), report in zip(pieces, state["reports"], strict=True)
            ]
        return bool(state["done"])

    def _save(self, *, done: bool) -> None:
        self.spill.sync()
        pieces = [[piece.input_index, piece.begin, piece.end] for piece in self._pieces]
        reports = [asdict(piece.report) for piece in self._pieces]
        state = {"runs": self.spill.runs, "pieces": pieces, "reports": reports, "done": done}
        write_json(self._state, state)


def scan_part(
    items: Sequence[Input], pieces: Sequence[Piece], source: KeyedSource, size: int, low: int, high: int
) -> tuple[tuple[int, list[FileReport]], pa.Table]:
    """Return the records of one source with the smallest keys: a task of a cluster.

    At most `size` records, with keys from `low` to `high`.

    Returns a note, how many rows were read and the states of the pieces, and the table of (key, id, text).
    Holds at most about four times what it returns, as records above the threshold are dropped now and then.
    """
    threshold = Threshold(size, low)
    threshold.high = swept = high
    batches: list[pa.RecordBatch] = []
    for item, piece in zip(items, pieces, strict=True):
        for batch in item.read(piece.report, piece.end):
            batches.append(candidates_of(batch, source.keys_of(batch), threshold))
            threshold.add(batches[-1].column("key").to_numpy().copy())
            if threshold.high < swept // 2:
                batches = [admitted(candidates, threshold) for candidates in batches]
                swept = threshold.high
    reports = [piece.report for piece in pieces]
    rows = sum(piece.report.rows - piece.begin for piece in pieces)
    return (rows, reports), merged(size, low, high, pa.Table.from_batches(batches, SCHEMA))


def merged(size: int, low: int, high: int, *tables: pa.Table) -> pa.Table:
    """Return the records with the smallest keys of some tables.

    Those are the `size` smallest keys from `low` to `high`, and the keys equal to the last.
    """
    threshold = Threshold(size, low)
    threshold.high = high
    batches = [batch for table in tables for batch in table.to_batches()]
    for batch in batches:
        keys = batch.column("key").to_numpy()
        threshold.add(keys[threshold.admits(keys)])
    threshold.smallest()
    return pa.Table.from_batches([admitted(batch, threshold) for batch in batches], SCHEMA).combine_chunks()
