"""Folders of records, written shard by shard: what is done is kept in a state, and an interrupted job goes on.

A folder holds part-00000.parquet and so on, report.json and, last of all, manifest.json: without it the
folder is unfinished, and no reader takes it. While a job runs, `unfinished/` holds what it is about and how
far it came.
"""

import shutil
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
from spanish_tok.files import atomic_path, read_json, sha256_of_file, write_json
from spanish_tok.parallel.threads import map_in_order
from spanish_tok.progress import SILENT, Bar

SHARD_ROWS = 50_000  # candidates, or records of the input, that are cleaned into one shard
LIBRARIES = ("ftfy", "numpy", "pyarrow", "unidecode")


@dataclass(frozen=True)
class Chunk:
    """Records that make one shard, and where the job stands once that is written (any JSON)."""

    batch: pa.RecordBatch
    position: Any


@dataclass(frozen=True)
class CleanedChunk:
    """A chunk after cleaning: what is kept of it, with the hashes that duplicates are found by."""

    kept: pa.RecordBatch
    hashes: NDArray[np.uint64]  # [rows, 2]: near, exact; [0, 2] where duplicates are not looked for
    report: CleaningReport
    position: Any
    file: str


class RecordFolder:
    """A folder that is being written, or goes on being written.

    Raises SpanishTokError where it holds another job, or files that are none of ours.
    """

    def __init__(self, path: Path, job: dict[str, Any], inputs_changed: list[float | None]) -> None:
        self.path = path
        self.job = job
        self.unfinished = path / "unfinished"
        self.shards: list[dict[str, Any]] = []
        self.report = CleaningReport()
        self.position: Any = None
        started = {"job": job, "inputs_changed": inputs_changed}
        if not path.exists() or not any(path.iterdir()):
            write_json(self.unfinished / "job.json", started)
        elif not (self.unfinished / "job.json").exists():
            raise SpanishTokError(f"{path} is not empty", "Give another --output.")
        elif read_json(self.unfinished / "job.json") != started:
            raise SpanishTokError(
                f"{path} holds an unfinished job of other input or options",
                "Give another --output, or delete the folder.",
            )
        elif (self.unfinished / "state.json").exists():
            state = read_json(self.unfinished / "state.json")
            self.shards, self.position = state["shards"], state["position"]
            self.report = CleaningReport.from_dict(state["report"])

    @property
    def kept(self) -> int:
        """Records in the shards that are finished."""
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
        """Clean chunks (not at all where `options` is None) and write what is kept as a shard each.

        Keeps `most` records and then stops, or, where not `stop`, goes on for the sake of the report.
        """
        seen = self.unfinished / "seen.bin"
        with open(seen, "ab", buffering=0) as file:
            file.truncate(16 * self.kept if options else 0)
            settled = self._settle(chunks, options, np.fromfile(seen, "<u8"), most, stop, workers)
            for part, shard in map_in_order(self._write_shard, settled, workers):
                file.write(part.hashes.astype("<u8").tobytes())
                self.report.add(part.report)
                self.shards += [shard] if shard else []
                self.advance(part.position)
                bar.advance(part.kept.num_rows)
                bar.note(f"{self.report.looked - self.report.kept:,} of {self.report.looked:,} rejected")

    def advance(self, position: Any) -> None:
        """Take note that the job has come to a position."""
        self.position = position
        state = {"position": position, "shards": self.shards, "report": self.report.as_dict()}
        write_json(self.unfinished / "state.json", state, durable=False)

    def finish(self, facts: dict[str, Any]) -> dict[str, Any]:
        """Write report.json and manifest.json, which makes the folder whole; return the manifest."""
        manifest = {
            **facts,
            "rows": self.kept,
            "looked_at": self.report.looked,
            "rules": self.report.touched,
            "spanish-tok": __version__,
            "libraries": {name: version(name) for name in LIBRARIES},
            "job": self.job,
            "shards": self.shards,
        }
        write_json(self.path / "report.json", self.report.as_dict())
        write_json(self.path / "manifest.json", manifest)
        shutil.rmtree(self.unfinished)
        return manifest

    def _settle(
        self,
        chunks: Iterable[Chunk],
        options: CleanOptions | None,
        seen: NDArray[np.uint64],
        most: int | None,
        stop: bool,
        workers: int,
    ) -> Iterator[CleanedChunk]:
        """What is kept of each chunk: cleaned by several threads, duplicates found in order."""
        duplicates = Duplicates(options) if options else None
        if duplicates and len(seen):
            pairs = seen.reshape(-1, 2)
            duplicates.look_up(pairs[:, 0].copy(), pairs[:, 1].copy(), np.ones(len(pairs), np.bool_))
        kept, shards = self.kept, len(self.shards)

        def cleaned(chunk: Chunk) -> tuple[Chunk, Cleaned | None]:
            return chunk, clean_batch(chunk.batch, options) if options else None

        for chunk, result in map_in_order(cleaned, chunks, workers):
            left = None if most is None else most - kept
            if result and duplicates:
                duplicates.mark(result)
            part = _cut(chunk, result, left, stop, f"part-{shards:05}.parquet")
            kept += part.kept.num_rows
            shards += part.kept.num_rows > 0
            yield part
            if stop and kept == most:
                return

    def _write_shard(self, part: CleanedChunk) -> tuple[CleanedChunk, dict[str, Any] | None]:
        """Write one shard; return what the manifest says of it, or None where nothing was kept."""
        if not part.kept.num_rows:
            return part, None
        with atomic_path(self.path / part.file) as partial:
            table = pa.Table.from_batches([part.kept])
            pq.write_table(table, partial, compression="zstd", use_dictionary=False, write_statistics=False)
        path = self.path / part.file
        size, digest = path.stat().st_size, sha256_of_file(path)
        return part, {"file": part.file, "rows": part.kept.num_rows, "bytes": size, "sha256": digest}


def _cut(chunk: Chunk, cleaned: Cleaned | None, left: int | None, stop: bool, file: str) -> CleanedChunk:
    """What a chunk comes to, where `left` more records are wanted."""
    if cleaned is None:
        kept = chunk.batch.slice(0, left)
        report = CleaningReport(kept.num_rows, kept.num_rows)
        return CleanedChunk(kept, np.empty((0, 2), np.uint64), report, chunk.position, file)
    places = np.flatnonzero(cleaned.reasons == KEPT)
    if left is not None and len(places) >= left:
        places = places[:left]
        if stop:  # what comes after the last record that is wanted was not looked at
            last = int(places[-1]) + 1
            repairs, reasons = cleaned.repairs[:last], cleaned.reasons[:last]
            cleaned = replace(cleaned, repairs=repairs, reasons=reasons)
    hashes = np.column_stack([cleaned.near[places], cleaned.exact[places]])
    report = report_of(chunk.batch, cleaned)
    return CleanedChunk(cleaned.batch.take(pa.array(places)), hashes, report, chunk.position, file)


def finished(path: Path, job: dict[str, Any]) -> dict[str, Any] | None:
    """The manifest of a folder whose job is done, None where it is not; an error where it is another job."""
    if not (path / "manifest.json").exists():
        return None
    manifest: dict[str, Any] = read_json(path / "manifest.json")
    if manifest.get("job") != job:
        raise SpanishTokError(
            f"{path} holds what other input or options made", "Give another --output, or delete the folder."
        )
    shutil.rmtree(path / "unfinished", ignore_errors=True)  # killed while it was being removed
    return manifest
