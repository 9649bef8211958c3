"""Writing clean records: chunks are cleaned, cut to what is wanted and written as one Parquet shard each.

A folder holds part-00000.parquet and so on, report.json and, last of all, manifest.json. After each shard the
state of the job is saved: the shards so far, the report, and the position in the input to resume from.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from spanish_tok._version import __version__
from spanish_tok.corpus.cleaning import KEPT, Cleaned, CleanOptions, Duplicates, clean_batch
from spanish_tok.corpus.cleaning_report import CleaningReport, report_of
from spanish_tok.errors import SpanishTokError
from spanish_tok.files import atomic_path, sha256_of_file, write_json
from spanish_tok.jobs import OutputFolder
from spanish_tok.parallel.threads import map_in_order
from spanish_tok.progress import SILENT, Bar

SHARD_ROWS = 50_000  # candidates, or records of the input, that are cleaned into one shard
LIBRARIES = ("ftfy", "numpy", "pyarrow", "unidecode")


@dataclass(frozen=True)
class Chunk:
    """Records that make one shard, and the position of the job once it is written (any JSON)."""

    batch: pa.RecordBatch
    position: Any


@dataclass(frozen=True)
class CleanedChunk:
    """A chunk after cleaning: the records to keep, with the hashes that find duplicates.

    hashes: uint64[rows, 2], (near, exact) of each record; uint64[0, 2] without cleaning.
    """

    records: pa.RecordBatch
    hashes: NDArray[np.uint64]
    report: CleaningReport
    position: Any
    file: str


class RecordWriter:
    """A writer of clean records into a folder that `OutputFolder.filling` keeps for this job.

    Raises SpanishTokError if the saved state is not one that this class wrote.
    """

    def __init__(self, folder: OutputFolder) -> None:
        self.folder = folder
        self.shards: list[dict[str, Any]] = []
        self.report = CleaningReport()
        self.position: Any = None
        if folder.state is not None:
            try:
                self.shards, self.position = folder.state["shards"], folder.state["position"]
                self.report = CleaningReport.from_dict(folder.state["report"])
            except (KeyError, TypeError):
                raise SpanishTokError(
                    f"{folder.unfinished / 'state.json'} is damaged", "Delete the folder and start over."
                ) from None

    @property
    def rows(self) -> int:
        """Records in the shards that are written."""
        return sum(shard["rows"] for shard in self.shards)

    def write(
        self,
        chunks: Iterable[Chunk],
        options: CleanOptions | None,
        *,
        most: int | None = None,
        stop: bool = True,
        workers: int = 2,
        bar: Bar = SILENT,
    ) -> None:
        """Clean chunks (not if `options` is None) and write what passes, one shard each.

        Keeps at most `most` records. Then it stops, or, with stop=False, cleans the rest for the report alone.
        """
        # seen.bin: near and exact hash, uint64 each, of every record kept so far. Records of a shard that was
        # being written when the process died are cut off.
        with open(self.folder.unfinished / "seen.bin", "a+b", buffering=0) as file:
            file.truncate(16 * self.rows if options else 0)
            file.seek(0)
            seen = np.fromfile(file, "<u8")
            cleaned = self._cleaned(chunks, options, seen, most, stop, workers)
            for chunk, shard in map_in_order(self._write_shard, cleaned, workers):
                file.write(chunk.hashes.astype("<u8").tobytes())
                self.report.add(chunk.report)
                self.shards += [shard] if shard else []
                self.save(chunk.position)
                bar.advance(chunk.records.num_rows)
                bar.note(f"{self.report.looked - self.report.kept:,} of {self.report.looked:,} rejected")

    def save(self, position: Any) -> None:
        """Save the state of the job, which resumes at `position`."""
        self.position = position
        self.folder.save_state({"position": position, "shards": self.shards, "report": self.report.as_dict()})

    def finish(self, facts: dict[str, Any]) -> dict[str, Any]:
        """Write report.json and manifest.json, which makes the folder whole; return the manifest."""
        write_json(self.folder.path / "report.json", self.report.as_dict())
        return self.folder.finish(
            {
                **facts,
                "rows": self.rows,
                "looked_at": self.report.looked,
                "rules": self.report.touched,
                "spanish-tok": __version__,
                "libraries": {name: version(name) for name in LIBRARIES},
                "job": self.folder.job,
                "shards": self.shards,
            }
        )

    def _cleaned(
        self,
        chunks: Iterable[Chunk],
        options: CleanOptions | None,
        seen: NDArray[np.uint64],
        most: int | None,
        stop: bool,
        workers: int,
    ) -> Iterator[CleanedChunk]:
        """Yield every chunk after cleaning: cleaned by several threads, duplicates marked in order."""
        duplicates = Duplicates(options) if options else None
        if duplicates and len(seen):
            pairs = seen.reshape(-1, 2)
            duplicates.look_up(pairs[:, 0].copy(), pairs[:, 1].copy(), np.ones(len(pairs), np.bool_))
        rows, shards = self.rows, len(self.shards)
        if stop and rows == most:  # the process died between the last shard and the manifest
            return

        def clean(chunk: Chunk) -> tuple[Chunk, Cleaned | None]:
            return chunk, clean_batch(chunk.batch, options) if options else None

        for chunk, result in map_in_order(clean, chunks, workers):
            left = None if most is None else most - rows
            if result and duplicates:
                duplicates.mark(result)
            cut = _cut(chunk, result, left, stop, f"part-{shards:05}.parquet")
            rows += cut.records.num_rows
            shards += cut.records.num_rows > 0
            yield cut
            if stop and rows == most:
                return

    def _write_shard(self, chunk: CleanedChunk) -> tuple[CleanedChunk, dict[str, Any] | None]:
        """Write one shard; return its row of the manifest, or None if no record was kept."""
        if not chunk.records.num_rows:
            return chunk, None
        path = self.folder.path / chunk.file
        return chunk, write_shard(path, chunk.records)


def write_shard(path: Path, records: pa.RecordBatch) -> dict[str, Any]:
    """Write records as one Parquet file, whole or not at all; return its row of the manifest."""
    with atomic_path(path) as partial:
        table = pa.Table.from_batches([records])
        pq.write_table(table, partial, compression="zstd", use_dictionary=False, write_statistics=False)
    size = path.stat().st_size
    return {"file": path.name, "rows": records.num_rows, "bytes": size, "sha256": sha256_of_file(path)}


def _cut(chunk: Chunk, cleaned: Cleaned | None, left: int | None, stop: bool, file: str) -> CleanedChunk:
    """Return the first `left` records of a chunk that cleaning keeps; all of them if `left` is None."""
    if cleaned is None:
        records = chunk.batch.slice(0, left)
        report = CleaningReport(records.num_rows, records.num_rows)
        return CleanedChunk(records, np.empty((0, 2), np.uint64), report, chunk.position, file)
    rows = np.flatnonzero(cleaned.reasons == KEPT)
    if left is not None and len(rows) >= left:
        rows = rows[:left]
        if stop:  # the report leaves out what comes after the last record that is wanted
            end = int(rows[-1]) + 1
            cleaned = replace(cleaned, repairs=cleaned.repairs[:end], reasons=cleaned.reasons[:end])
    hashes = np.column_stack([cleaned.near[rows], cleaned.exact[rows]])
    report = report_of(chunk.batch, cleaned)
    return CleanedChunk(cleaned.batch.take(pa.array(rows)), hashes, report, chunk.position, file)
