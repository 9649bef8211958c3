"""One pass over the input that keeps the candidates of a sample: keys in memory, records on disk.

Every so often the pass notes how far it came, so that an interrupted one goes on from there.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from spanish_tok.engines import absolute, connected
from spanish_tok.errors import SpanishTokError
from spanish_tok.files import read_json, write_json
from spanish_tok.inputs import Input, Inputs
from spanish_tok.progress import SILENT, Progress
from spanish_tok.reading import FileReport, batch_of
from spanish_tok.sample import SCHEMA, Keys, Source, Threshold, admitted, candidates_of
from spanish_tok.spill import Spill
from spanish_tok.threads import map_in_order

CHECKPOINT_SECONDS = 20.0
NOTHING = batch_of(None, pa.array([], pa.string()))  # stands for the end of a file

# a batch, its keys where they depend on the order of batches, its source, and the place and state of its file
Read = tuple[pa.RecordBatch, Keys | None, Source, int, FileReport]


# batches of (key, id, text), and the place and state of each file once those are among the candidates
Found = tuple[list[pa.RecordBatch], list[tuple[int, FileReport]]]


class CandidatePass:
    """A pass that keeps the `size` records with the smallest keys from `low` on, in the folder `folder`.

    `rows` is a guess of how many records there are, see Threshold.
    """

    def __init__(
        self, inputs: Inputs, seed: int, folder: Path, size: int, low: int, rows: int | None
    ) -> None:
        self.inputs = inputs
        self.reports = [FileReport(item.name) for item in inputs.items]
        self.spill: Spill
        self.keys: Keys
        self._sources = {item.source: Source(item.source, seed) for item in inputs.items}
        self._threshold = Threshold(size, low, rows)
        self._path = folder / f"candidates-{low:016x}.bin"
        self._state = self._path.with_suffix(".json")

    @property
    def rows(self) -> int:
        """Records of the input, without those that were rejected as malformed."""
        return sum(report.rows - report.rejected for report in self.reports)

    def run(self, workers: int, bar: Progress = SILENT) -> None:
        """Go over the input, or over what is left of it; then `keys` holds the candidates' keys in order."""
        self._gather(map_in_order(self._candidates, self._read(bar), workers))

    def run_on_ray(self, address: str | None, bar: Progress = SILENT) -> None:
        """The same on the cluster at `address`; after a failure what was gathered so far is kept."""
        try:
            self._gather(self._gathered_on_ray(address, bar))
        except SpanishTokError:
            self._save(done=False)
            raise

    def _gather(self, found: Iterable[Found]) -> None:
        if not self._resume():
            saved = time.monotonic()
            for batches, reports in found:
                for candidates in batches:
                    self._threshold.add(candidates.column("key").to_numpy().copy())
                    self.spill.append(candidates)
                for place, report in reports:
                    self.reports[place] = report
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

    def _read(self, bar: Progress) -> Iterator[Read]:
        for place, item in enumerate(self.inputs.items):
            report, source = replace(self.reports[place]), self._sources[item.source]
            if report.complete:
                continue
            for batch in item.read(report):
                keys = source.keys_of(batch) if batch.column("id").null_count else None
                yield batch, keys, source, place, replace(report)
                bar.advance(batch.num_rows)
                bar.note(f"{self.spill.size / 1e6:,.0f} MB of candidates")
            yield NOTHING, None, source, place, replace(report)

    def _candidates(self, read: Read) -> Found:
        batch, keys, source, place, report = read
        keys = source.keys_of(batch) if keys is None else keys
        return [candidates_of(batch, keys, self._threshold)], [(place, report)]

    def _gathered_on_ray(self, address: str | None, bar: Progress) -> Iterator[Found]:
        """What tasks find, each in one source, whose records without ids must be one stream."""
        streams: dict[str, list[int]] = {}
        for place, item in enumerate(self.inputs.items):
            if not self.reports[place].complete:
                streams.setdefault(item.source, []).append(place)
        parts = (self._part(places) for places in streams.values())  # with the threshold of when it begins
        with connected(address) as cluster:
            for number, (found, reports) in cluster.map(gather, parts):
                places = list(streams.values())[number]
                bar.advance(sum(report.rows for report in reports))
                batches = [admitted(batch, self._threshold) for batch in found.to_batches()]
                yield batches, list(zip(places, reports, strict=True))

    def _part(self, places: list[int]) -> tuple[Any, ...]:
        items = [self.inputs.items[place] for place in places]
        afar = [
            replace(item, name=absolute(item.name), options=replace(item.options, workers=1))
            for item in items
        ]
        threshold = self._threshold
        reports = [self.reports[place] for place in places]
        return afar, reports, self._sources[items[0].source], threshold.size, threshold.low, threshold.high

    def _resume(self) -> bool:
        """Open the spill where an earlier run left it; whether that run had gone over all input."""
        state: dict[str, Any] = {"runs": [], "reports": [], "done": False}
        if self._state.exists():
            state = read_json(self._state)
        self.spill = Spill(self._path, state["runs"])
        for run in self.spill.runs:
            keys = self.spill.keys_of(run)
            self._threshold.add(keys[self._threshold.admits(keys)])
        for place, report in enumerate(state["reports"]):
            self.reports[place] = FileReport(**report)
        return bool(state["done"])

    def _save(self, *, done: bool) -> None:
        self.spill.sync()
        reports = [asdict(report) for report in self.reports]
        write_json(self._state, {"runs": self.spill.runs, "reports": reports, "done": done})


def gather(
    items: Sequence[Input], reports: Sequence[FileReport], source: Source, size: int, low: int, high: int
) -> tuple[pa.Table, Sequence[FileReport]]:
    """The records of one source that are among its `size` smallest keys from `low` to `high`: a task of a cluster.

    Holds at most about four times what it gives, as the records that fell out are let go now and then.
    """
    threshold = Threshold(size, low)
    threshold.high = swept = high
    held: list[pa.RecordBatch] = []
    for item, report in zip(items, reports, strict=True):
        for batch in item.read(report):
            held.append(candidates_of(batch, source.keys_of(batch), threshold))
            threshold.add(held[-1].column("key").to_numpy().copy())
            if threshold.high < swept // 2:
                held = [admitted(candidates, threshold) for candidates in held]
                swept = threshold.high
    return pa.Table.from_batches([admitted(candidates, threshold) for candidates in held], SCHEMA), reports
