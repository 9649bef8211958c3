"""One pass over the input that keeps the candidates of a sample: keys in memory, records on disk.

Every so often the pass notes how far it came, so that an interrupted one goes on from there.
"""

import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from spanish_tok.files import read_json, write_json
from spanish_tok.inputs import Inputs
from spanish_tok.progress import SILENT, Progress
from spanish_tok.reading import FileReport, batch_of
from spanish_tok.sample import Keys, Source, Threshold, candidates_of
from spanish_tok.spill import Spill
from spanish_tok.threads import map_in_order

CHECKPOINT_SECONDS = 20.0
NOTHING = batch_of(None, pa.array([], pa.string()))  # stands for the end of a file

# a batch, its keys where they depend on the order of batches, its source, and the place and state of its file
Read = tuple[pa.RecordBatch, Keys | None, Source, int, FileReport]


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
        done = self._resume()
        if not done:
            saved = time.monotonic()
            for candidates, place, report in map_in_order(self._candidates, self._read(bar), workers):
                self._threshold.add(candidates.column("key").to_numpy().copy())
                self.spill.append(candidates)
                self.reports[place] = report
                if time.monotonic() - saved > CHECKPOINT_SECONDS and not self._order_matters:
                    self._save(done=False)
                    saved = time.monotonic()
            self.inputs.check(self.reports)
        self.keys = self._threshold.settle()
        if not done:
            self._save(done=True)

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

    def _candidates(self, read: Read) -> tuple[pa.RecordBatch, int, FileReport]:
        batch, keys, source, place, report = read
        keys = source.keys_of(batch) if keys is None else keys
        return candidates_of(batch, keys, self._threshold), place, report

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
