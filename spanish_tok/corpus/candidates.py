"""One pass over the input that keeps the candidates of a sample: keys in memory, records on disk.

Every so often the pass notes how far it came, so that an interrupted one goes on from there.
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
from spanish_tok.parallel.engines import connected
from spanish_tok.parallel.threads import map_in_order
from spanish_tok.progress import SILENT, Bar
from spanish_tok.readers.inputs import Input, Inputs, absolute
from spanish_tok.readers.options import FileReport, batch_of
from spanish_tok.readers.splits import parts_of

CHECKPOINT_SECONDS = 20.0
NOTHING = batch_of(None, pa.array([], pa.string()))  # stands for the end of a file

# a batch, its keys where they depend on the order of batches, its source, and the place and state of its piece
KeyedBatch = tuple[pa.RecordBatch, Keys | None, KeyedSource, int, FileReport]


# batches of (key, id, text), and the place and state of each piece once those are among the candidates
ScanResult = tuple[list[pa.RecordBatch], list[tuple[int, FileReport]]]


@dataclass
class Piece:
    """Rows `begin` to `end` of input number `file`, which is a whole one but for what a cluster divides."""

    file: int
    begin: int
    end: int | None
    report: FileReport


class CandidatePass:
    """A pass that keeps the `size` records with the smallest keys from `low` on, in the folder `folder`.

    `rows` is a guess of how many records there are, see Threshold.
    """

    def __init__(
        self, inputs: Inputs, seed: int, folder: Path, size: int, low: int, rows: int | None
    ) -> None:
        self.inputs = inputs
        self._pieces = [Piece(file, 0, None, FileReport(item.name)) for file, item in enumerate(inputs.items)]
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
            report, read = reports[piece.file], piece.report
            report.rows += read.rows - piece.begin
            report.rejected += read.rejected
            report.repaired += read.repaired
            report.unterminated |= read.unterminated
        return reports

    def run(self, workers: int, bar: Bar = SILENT) -> None:
        """Go over the input, or over what is left of it; then `keys` holds the candidates' keys in order."""
        self._gather(map_in_order(self._candidates, self._read(bar), workers))

    def run_on_ray(self, address: str | None, bar: Bar = SILENT) -> None:
        """The same on the cluster at `address`, which merges candidates; after a failure its work is kept."""
        try:
            self._gather(self._gathered_on_ray(address, bar))
        except SpanishTokError:
            self._save(done=False)
            raise

    def _gather(self, found: Iterable[ScanResult]) -> None:
        if not self._resume():
            saved = time.monotonic()
            for batches, reports in found:
                for candidates in batches:
                    self._threshold.add(candidates.column("key").to_numpy().copy())
                    self.spill.append(candidates)
                for place, report in reports:
                    self._pieces[place].report = report
                if time.monotonic() - saved > CHECKPOINT_SECONDS and not self._order_matters:
                    self._save(done=False)
                    saved = time.monotonic()
            self.inputs.check(self.reports)
            self._save(done=True)
        self.keys = self._threshold.settle()

    def close(self) -> None:
        """Delete the candidates."""
        self.spill.close()
        self._state.unlink(missing_ok=True)
        self._path.unlink(missing_ok=True)

    @property
    def _order_matters(self) -> bool:
        """Texts without ids were counted, so that a file cannot be gone on with in its middle."""
        return any(source.counts_texts for source in self._sources.values())

    def _read(self, bar: Bar) -> Iterator[KeyedBatch]:
        for place, piece in enumerate(self._pieces):
            item, report = self.inputs.items[piece.file], replace(piece.report)
            source = self._sources[item.source]
            if report.complete:
                continue
            for batch in item.read(report, piece.end):
                keys = source.keys_of(batch) if batch.column("id").null_count else None
                yield batch, keys, source, place, replace(report)
                bar.advance(batch.num_rows)
                bar.note(f"{self.spill.size / 1e6:,.0f} MB of candidates")
            yield NOTHING, None, source, place, replace(report)

    def _candidates(self, read: KeyedBatch) -> ScanResult:
        batch, keys, source, place, report = read
        keys = source.keys_of(batch) if keys is None else keys
        return [candidates_of(batch, keys, self._threshold)], [(place, report)]

    def _gathered_on_ray(self, address: str | None, bar: Bar) -> Iterator[ScanResult]:
        """What the cluster found and merged; a task reads one source, or some rows whose records all have ids."""
        self._divide()
        streams: dict[str | int, list[int]] = {}  # without ids a source must be one stream
        for place, piece in enumerate(self._pieces):
            if not piece.report.complete:
                source = self.inputs.items[piece.file].source
                streams.setdefault(source if piece.end is None else place, []).append(place)
        places = list(streams.values())
        parts = map(self._task, places)  # with the threshold of when it begins
        with connected(address) as cluster:
            room, known = self._threshold.size, self._threshold_now
            found = cluster.gathered(gather, parts, merged, known, room, lambda note: bar.advance(note[0]))
            for notes, table in found:
                batches = [admitted(batch, self._threshold) for batch in table.to_batches()]
                read = [
                    pair
                    for number, (_, reports) in notes
                    for pair in zip(places[number], reports, strict=True)
                ]
                yield batches, read

    def _divide(self) -> None:
        """Let large files of Parquet, of which nothing was read, be several pieces."""
        pieces: list[Piece] = []
        for piece in self._pieces:
            item = self.inputs.items[piece.file]
            if item.hub_set or piece.end is not None or piece.report != FileReport(item.name):
                pieces.append(piece)
                continue
            parts = parts_of(item.name, item.options, with_ids=True)
            pieces += [Piece(piece.file, part.begin, part.end, part.report()) for part in parts]
        self._pieces = pieces

    def _threshold_now(self) -> tuple[int, int, int]:
        return self._threshold.size, self._threshold.low, self._threshold.high

    def _task(self, places: list[int]) -> tuple[Any, ...]:
        pieces = [self._pieces[place] for place in places]
        items = [self.inputs.items[piece.file] for piece in pieces]
        afar = [
            replace(item, name=absolute(item.name), options=replace(item.options, workers=1))
            for item in items
        ]
        return afar, pieces, self._sources[items[0].source], *self._threshold_now()

    def _resume(self) -> bool:
        """Open the spill where an earlier run left it; whether that run had gone over all input."""
        state: dict[str, Any] = {"runs": [], "reports": [], "done": False}
        if self._state.exists():
            state = read_json(self._state)
        self.spill = Spill(self._path, state["runs"])
        for run in self.spill.runs:
            keys = self.spill.keys_of(run)
            self._threshold.add(keys[self._threshold.admits(keys)])
        if state["reports"]:
            pieces = state.get("pieces", [[file, 0, None] for file in range(len(state["reports"]))])
            self._pieces = [
                Piece(file, begin, end, FileReport(**report))
                for (file, begin, end), report in zip(pieces, state["reports"], strict=True)
            ]
        return bool(state["done"])

    def _save(self, *, done: bool) -> None:
        self.spill.sync()
        pieces = [[piece.file, piece.begin, piece.end] for piece in self._pieces]
        reports = [asdict(piece.report) for piece in self._pieces]
        state = {"runs": self.spill.runs, "pieces": pieces, "reports": reports, "done": done}
        write_json(self._state, state)


def gather(
    items: Sequence[Input], pieces: Sequence[Piece], source: KeyedSource, size: int, low: int, high: int
) -> tuple[tuple[int, list[FileReport]], pa.Table]:
    """The records of one source that are among its `size` smallest keys from `low` to `high`: a task of a cluster.

    Gives, as the note, how many rows were read, and the states of the pieces; and the table of (key, id, text).
    Holds at most about four times what it gives, as the records that fell out are let go now and then.
    """
    threshold = Threshold(size, low)
    threshold.high = swept = high
    held: list[pa.RecordBatch] = []
    for item, piece in zip(items, pieces, strict=True):
        for batch in item.read(piece.report, piece.end):
            held.append(candidates_of(batch, source.keys_of(batch), threshold))
            threshold.add(held[-1].column("key").to_numpy().copy())
            if threshold.high < swept // 2:
                held = [admitted(candidates, threshold) for candidates in held]
                swept = threshold.high
    reports = [piece.report for piece in pieces]
    rows = sum(piece.report.rows - piece.begin for piece in pieces)
    return (rows, reports), merged(size, low, high, pa.Table.from_batches(held, SCHEMA))


def merged(size: int, low: int, high: int, *tables: pa.Table) -> pa.Table:
    """The records with the `size` smallest keys from `low` to `high`, and those with a key equal to the last."""
    threshold = Threshold(size, low)
    threshold.high = high
    batches = [batch for table in tables for batch in table.to_batches()]
    for batch in batches:
        keys = batch.column("key").to_numpy()
        threshold.add(keys[threshold.admits(keys)])
    threshold.settle()
    return pa.Table.from_batches([admitted(batch, threshold) for batch in batches], SCHEMA).combine_chunks()
