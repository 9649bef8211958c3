"""Records cleaned and written shard by shard; an interrupted job resumes.

A folder holds part-00000.parquet and so on, report.json and, last of all, manifest.json.
"""

from collections.abc import Iterable, Iterator, Mapping
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
from spanish_tok.corpus.cleaning_report import SHAPE as REPORT
from spanish_tok.corpus.cleaning_report import CleaningReport, report_of
from spanish_tok.errors import SpanishTokError
from spanish_tok.files import atomic_path, sha256_of_file, write_json
from spanish_tok.files.schema import COUNT, Shape
from spanish_tok.jobs import OutputFolder
from spanish_tok.parallel.threads import map_in_order
from spanish_tok.progress import SILENT, Bar
from spanish_tok.readers.validation import SCHEMA as TABLE

SHARD_ROWS = 50_000  # candidates, or records of the input, that are cleaned into one shard; see `chunk_ends`
SHARDS = [{"file": str, "rows": COUNT, "bytes": COUNT, "sha256": str}]
SHAPE = {"rows": COUNT, "rules": {str: COUNT}, "shards": SHARDS}  # of manifest.json
LIBRARIES = ("ftfy", "numpy", "pyarrow", "unidecode")


@dataclass(frozen=True)
class Chunk:
    """Records that make one shard, and the position of the job after it.

    The position is any JSON.
    """

    batch: pa.RecordBatch
    position: Any


@dataclass(frozen=True)
class CleanedChunk:
    """A chunk after cleaning: the records that stay, and hashes to find duplicates."""

    records: pa.RecordBatch
    hashes: NDArray[np.uint64]  # [rows, 2]: near, exact; [0, 2] if duplicates are not looked for
    report: CleaningReport
    position: Any
    file: str


def state_shape(position: Shape) -> Shape:
    """Return the shape of the state of a job whose position has a shape."""
    return {"position": position, "shards": SHARDS, "report": REPORT}


class RecordWriter:
    """A writer of cleaned records into the shards of an output folder.

    `OutputFolder.filling` keeps the folder for it.

    clean: the rules, None to write records as they are. wanted: how many records, None for all.
    Raises SpanishTokError if the saved state is damaged.
    """

    def __init__(self, folder: OutputFolder, clean: CleanOptions | None, wanted: int | None = None) -> None:
        self.folder = folder
        self.clean = clean
        self.wanted = wanted
        self.shards: list[dict[str, Any]] = []
        self.position: Any = None
        self.report = CleaningReport()
        if folder.state is not None:
            self.shards, self.position = folder.state["shards"], folder.state["position"]
            self.report = CleaningReport.from_dict(folder.state["report"])
            self._check_shards()

    def _check_shards(self) -> None:
        """Raise SpanishTokError unless the finished shards lie there.

        With the hashes of their records."""
        for shard in self.shards:
            path = self.folder.path / Path(shard["file"]).name
            if not path.is_file() or path.stat().st_size != shard["bytes"]:
                raise SpanishTokError(f"{path} is missing or cut off", "Delete the folder and start over.")
        seen = self.folder.unfinished / "seen.bin"
        if self.clean and self.rows and (not seen.is_file() or seen.stat().st_size < 16 * self.rows):
            raise SpanishTokError(f"{seen} is missing or cut off", "Delete the folder and start over.")

    @property
    def rows(self) -> int:
        """Records in the shards that are finished."""
        return sum(shard["rows"] for shard in self.shards)

    def write(
        self, chunks: Iterable[Chunk], *, stop: bool = True, threads: int = 2, bar: Bar = SILENT
    ) -> None:
        """Clean chunks and write a shard of each, up to the number of records wanted.

        Without `stop` the chunks after that are cleaned too, for the sake of the report.
        """
        seen = self.folder.unfinished / "seen.bin"  # the hashes of the records in finished shards
        with open(seen, "ab", buffering=0) as file:
            file.truncate(16 * self.rows if self.clean else 0)  # without a shard that was being written
            cleaned = self._cleaned(chunks, np.fromfile(seen, "<u8"), stop, threads)
            for chunk, shard in map_in_order(self._write_shard, cleaned, threads):
                file.write(chunk.hashes.astype("<u8").tobytes())
                self.report.add(chunk.report)
                self.shards += [shard] if shard else []
                self.advance(chunk.position)
                bar.advance(chunk.records.num_rows)
                bar.note(f"{self.report.looked - self.report.kept:,} of {self.report.looked:,} rejected")

    def advance(self, position: Any) -> None:
        """Note that the job has come to a position."""
        self.position = position
        self.folder.save_state({"position": position, "shards": self.shards, "report": self.report.as_dict()})

    def finish(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Write report.json and manifest.json; return the manifest.

        The manifest makes the folder whole.
        """
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
        self, chunks: Iterable[Chunk], seen: NDArray[np.uint64], stop: bool, threads: int
    ) -> Iterator[CleanedChunk]:
        """Yield what stays of each chunk.

        Several threads clean, duplicates are found in order.
        """
        duplicates = Duplicates(self.clean) if self.clean else None
        if duplicates and len(seen):
            pairs = seen.reshape(-1, 2)
            duplicates.look_up(pairs[:, 0].copy(), pairs[:, 1].copy(), np.ones(len(pairs), np.bool_))
        rows, shards = self.rows, len(self.shards)

        def clean(chunk: Chunk) -> tuple[Chunk, Cleaned | None]:
            return chunk, clean_batch(chunk.batch, self.clean) if self.clean else None

        for chunk, cleaned in map_in_order(clean, chunks, threads):
            left = None if self.wanted is None else self.wanted - rows
            if cleaned and duplicates:
                duplicates.mark(cleaned)
            result = _shortened(chunk, cleaned, left, stop, f"part-{shards:05}.parquet")
            rows += result.records.num_rows
            shards += result.records.num_rows > 0
            yield result
            if stop and rows == self.wanted:
                return

    def _write_shard(self, chunk: CleanedChunk) -> tuple[CleanedChunk, dict[str, Any] | None]:
        """Write one shard; return its entry of the manifest, or None if no record stays."""
        if not chunk.records.num_rows:
            return chunk, None
        path = self.folder.path / chunk.file
        with atomic_path(path) as partial:
            table = pa.Table.from_batches([chunk.records])
            pq.write_table(table, partial, compression="zstd", use_dictionary=False, write_statistics=False)
        size, digest = path.stat().st_size, sha256_of_file(path)
        return chunk, {"file": chunk.file, "rows": chunk.records.num_rows, "bytes": size, "sha256": digest}


def _shortened(
    chunk: Chunk, cleaned: Cleaned | None, left: int | None, stop: bool, file: str
) -> CleanedChunk:
    """Return what stays of a chunk, at most `left` records."""
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


def _table_of(folder: Path, shard: Mapping[str, Any]) -> pa.Table:
    """Return the records of a shard, as its entry of the manifest says."""
    path = folder / Path(shard["file"]).name
    try:
        table = pq.read_table(path)
        fits = {*TABLE.names} <= {*table.column_names} and table.num_rows == shard["rows"]
        if fits and sha256_of_file(path) == shard["sha256"]:
            return table
        fault = "it is not as it was written"
    except (pa.ArrowException, OSError) as error:
        fault = str(error)
    raise SpanishTokError(f"{path} is damaged ({fault})", "Write it again.")


@dataclass(frozen=True)
class Records:
    """Records that `sample` or `clean` wrote.

    folder: where they lie; None if they are in memory alone. manifest: what manifest.json holds.
    """

    folder: Path | None
    manifest: Mapping[str, Any]
    in_memory: pa.Table | None = None

    @property
    def rows(self) -> int:
        """How many records there are."""
        return int(self.manifest["rows"])

    @property
    def rules(self) -> dict[str, int]:
        """How many records each rule of cleaning repaired or rejected."""
        return dict(self.manifest["rules"])

    def table(self) -> pa.Table:
        """Return the records as a table of the columns id and text.

        Raises SpanishTokError for a shard that is damaged or holds others than the manifest says.
        """
        if self.in_memory is not None or self.folder is None:
            return self.in_memory
        tables = [_table_of(self.folder, shard) for shard in self.manifest["shards"]]
        return pa.concat_tables(tables) if tables else TABLE.empty_table()

    def to_dict(self) -> dict[str, Any]:
        """Return the manifest, ready for JSON."""
        return dict(self.manifest)
