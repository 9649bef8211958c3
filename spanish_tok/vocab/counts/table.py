"""Runs and their counts: all that training needs.

They are small, mergeable by addition, and shareable.

A text splits at spaces into words, a word into runs of letters, of digits and of other characters; the first
run of a word carries `▁`. No piece of a vocabulary crosses a run, so the table (run, count) says everything
about a corpus that a trainer can use.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from math import inf
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from spanish_tok.errors import SpanishTokError
from spanish_tok.files import atomic_path, parse_json
from spanish_tok.files.outputs import check_file
from spanish_tok.files.schema import COUNT, shape_of
from spanish_tok.interrupts import interruptible
from spanish_tok.readers.options import Location, ReadOptions
from spanish_tok.text.alphabets import SPANISH_NAME
from spanish_tok.text.arrow import bytes_and_offsets, text_chunks
from spanish_tok.text.table import NormalizationTable, spanish_table
from spanish_tok.vocab.counts.sources import Source, sources_from
from spanish_tok.vocab.counts.word_lists import MOST, TOTAL, added, runs_of_words, word_list_of

SCHEMA = pa.schema([("run", pa.large_string()), ("count", pa.int64())])
METADATA_KEY = b"spanish-tok"
NOTES = {  # the shape of what it holds
    "fingerprint?": str, "records?": COUNT, "cut?": COUNT, "sources?": [shape_of(Source)], "dropped?": {str: COUNT},
    "alphabet?": str,
}  # fmt: skip
# Runs of one count lie in the order of their letters, so that most begin as the one before: a quarter less to keep.
PACKED: dict[str, Any] = {
    "compression": "zstd", "use_dictionary": ["count"], "column_encoding": {"run": "DELTA_BYTE_ARRAY"},
}  # fmt: skip


@dataclass(frozen=True)
class Counts:
    """A table (run: large_string, count: int64), most frequent first.

    Equal counts are ordered by the bytes of their runs.

    The others are notes for people. records: how many were read. cut: how many times a run longer than 64 characters
    was cut. sources: where the counts come from, as far as it is known. dropped: words of lists that became no run, by
    reason. alphabet: the label of the table that they were made with, "" where it is not known: counts of two alphabets
    cannot be merged. rejected, repaired: rows of files. Equality of two counts is equality of their `fingerprint`.
    """

    table: pa.Table
    records: int = 0
    cut: int = 0
    sources: tuple[Source, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)
    alphabet: str = ""
    rejected: int = 0
    repaired: int = 0

    @property
    def lost(self) -> dict[str, int]:
        """How many rows were rejected or repaired, where any were."""
        return {name: count for name in ("rejected", "repaired") if (count := getattr(self, name))}

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def total(self) -> int:
        """How many runs were counted, each as often as it occurs."""
        return int(pc.sum(self.table["count"]).as_py() or 0)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the runs and counts alone.

        It is equal wherever and by how many threads they were counted.
        """
        digest = hashlib.sha256()
        for chunk in text_chunks(self.table["run"]):
            data, offsets = bytes_and_offsets(chunk)
            digest.update(np.diff(offsets).astype("<i8").tobytes())
            digest.update(data[offsets[0] : offsets[-1]].tobytes())
        digest.update(self.table["count"].to_numpy().astype("<i8").tobytes())
        return digest.hexdigest()

    @property
    def words_only(self) -> bool:
        """Whether lists of words are all that they come from: no punctuation, few digits."""
        return bool(self.sources) and all(source.kind == "words" for source in self.sources)

    def named(self, name: str, licence: str = "", kind: Literal["text", "words"] = "text") -> "Counts":
        """Return the counts with a source; a known one keeps its name and licence."""
        sources = self.sources or (Source(name, self.fingerprint, kind=kind),)
        return replace(
            self, sources=tuple(replace(source, licence=source.licence or licence) for source in sources)
        )

    @staticmethod
    def from_words(
        words: Any,
        *,
        name: str = "words",
        total: int = TOTAL,
        table: NormalizationTable | None = None,
        reading: ReadOptions | None = None,
    ) -> "Counts":
        """Return the runs of a list of words, such as one of the most frequent words.

        words: a file with the columns word and count, or word and frequency; such a table in memory; or a dictionary
        from words to whole numbers or to shares. `reading` with format="words" reads lines of a word and its count.
        Frequencies are scaled so that all words occur `total` times. `table` normalizes.

        `dropped` says what became no run: nothing left after normalization, several words, a count that rounds to 0.
        Raises SpanishTokError, which names the row, for a number that is missing or negative.

        >>> counts = Counts.from_words({"Niño": 3, "niño's": 1, "a la": 5})
        >>> counts.table.to_pydict(), counts.dropped
        ({'run': ['▁niño', "'", 's'], 'count': [4, 1, 1]}, {'several words': 1})
        """
        given, label = word_list_of(words, reading), (table or spanish_table()).label
        rows, cut, dropped = runs_of_words(given, total, table)
        notes: dict[str, Any] = {"cut": cut, "dropped": dropped, "alphabet": label}
        counts = merge([Counts(rows.cast(SCHEMA), repaired=given.repaired, **notes)])
        return counts.named(name, kind="words")

    def save(self, path: str | os.PathLike[str], *, level: int = 19, force: bool = False) -> None:
        """Write Parquet with the fingerprint in its metadata, atomically.

        `level` is that of zstd. Nothing happens if the same counts are there. Raises SpanishTokError for another file;
        `force` replaces other counts.
        """
        if check_file(path, force=force, kind="a table of counts", is_ours=is_counts_file):
            if Counts.load(path).fingerprint == self.fingerprint:
                return
            raise SpanishTokError(
                f"{path} holds other counts", "Give another name, or --force to replace them."
            )
        notes: dict[str, Any] = {"fingerprint": self.fingerprint, "records": self.records, "cut": self.cut}
        notes |= self.lost
        if self.sources:
            notes["sources"] = [source.to_dict() for source in self.sources]
        if self.dropped:
            notes["dropped"] = dict(self.dropped)
        if self.alphabet != SPANISH_NAME:
            notes["alphabet"] = self.alphabet
        table = self.table.replace_schema_metadata({METADATA_KEY: json.dumps(notes).encode()})
        with atomic_path(path) as partial, open(partial, "wb") as file:
            interruptible(lambda: pq.write_table(table, file, compression_level=level, **PACKED))

    @staticmethod
    def load(path: str | os.PathLike[str]) -> "Counts":
        """Read what `save` wrote.

        Any Parquet file with the columns run and count will do, in any order.

        Raises SpanishTokError for other columns, a count below 1, or a fingerprint that does not fit.
        """
        try:
            table = pq.read_table(path)
            table.validate(full=True)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise SpanishTokError(f"{path} cannot be read as Parquet ({error})", "Count again.") from None
        if not is_counts(table.schema):
            raise SpanishTokError(
                f"{path} has the columns {', '.join(table.column_names)}",
                "A table of counts has run and count.",
            )
        saved = (table.schema.metadata or {}).get(METADATA_KEY)
        notes = parse_json(saved or b"{}", f"The metadata of {path}", NOTES)
        counts = merge([Counts(_whole(table.select(SCHEMA.names), path))])
        if notes.get("fingerprint", counts.fingerprint) != counts.fingerprint:
            raise SpanishTokError(f"The counts in {path} are not those that were saved", "Count again.")
        return Counts(
            counts.table,
            notes.get("records", 0),
            notes.get("cut", 0),
            sources_from(notes.get("sources", ())),
            notes.get("dropped", {}),
            notes.get("alphabet", SPANISH_NAME if saved else ""),
            notes.get("rejected", 0),
            notes.get("repaired", 0),
        )


def is_counts_file(path: Location) -> bool:
    """Return whether a file, of any name, is Parquet with the columns run and count."""
    try:
        return Path(path).is_file() and is_counts(pq.read_schema(path))
    except (pa.ArrowException, OSError, ValueError):
        return False  # reading it as text will say what is wrong


def _whole(table: pa.Table, path: str | os.PathLike[str]) -> pa.Table:
    """Return a table of counts in the right types, without missing values.

    Raises SpanishTokError for another table.
    """
    try:
        table = table.cast(SCHEMA)
    except pa.ArrowException as error:
        raise SpanishTokError(f"{path} holds no counts ({error})", "Counts are whole numbers.") from None
    if any(column.null_count for column in table.columns) or pc.any(pc.equal(table["run"], "")).as_py():
        raise SpanishTokError(f"{path} holds a run or a count that is empty", "Count again.")
    if table.num_rows and pc.min(table["count"]).as_py() < 1:
        raise SpanishTokError(f"{path} holds a count below 1", "Counts are how often a run occurs.")
    return table


def is_counts(schema: pa.Schema) -> bool:
    """Whether a table's columns say that it holds counts."""
    return set(SCHEMA.names) <= set(schema.names)


def merge(parts: Sequence[Counts], weights: Sequence[float] | None = None) -> Counts:
    """Add tables of counts up, each times its weight where weights are given.

    A weighted sum is rounded to a whole number, but never to less than 1: no run is lost.

    Raises SpanishTokError for wrong weights, and for counts of two alphabets.

    >>> from spanish_tok.vocab.counts.runs import count_runs
    >>> a, b = count_runs(["sí sí"]), count_runs(["sí no"])
    >>> merge([a, b], weights=[10, 1]).table.to_pydict()
    {'run': ['▁sí', '▁no'], 'count': [21, 1]}
    """
    if weights is not None and (
        len(weights) != len(parts) or not all(0 < weight < inf for weight in weights)
    ):
        raise SpanishTokError("Weights must be above zero, one for each table", f"Given: {weights}.")
    if any(part.sources for part in parts):
        parts = [part.named("counts") for part in parts]  # so that none is left out
    tables = [part.table for part in parts]
    if weights is not None:
        tables = [_weighted(table, weight) for table, weight in zip(tables, weights, strict=True)]
    table = pa.concat_tables(tables) if tables else SCHEMA.empty_table()
    table = table.group_by("run").aggregate([("count", "sum")]).rename_columns({"count_sum": "count"})
    if (pc.sum(pc.cast(table["count"], pa.float64(), safe=False)).as_py() or 0) >= MOST:
        raise SpanishTokError("The counts add up to more than 2^53", "Give smaller weights.")
    if weights is not None:
        rounded = pc.max_element_wise(pc.cast(pc.round(table["count"]), pa.int64()), 1)
        table = table.set_column(table.column_names.index("count"), "count", rounded)
    return Counts(
        in_order(table),
        sum(part.records for part in parts),
        sum(part.cut for part in parts),
        tuple(
            source.times(weight)
            for part, weight in zip(parts, weights or [1] * len(parts), strict=True)
            for source in part.sources
        ),
        reduce(added, (part.dropped for part in parts), {}),
        one_alphabet([part.alphabet for part in parts]),
        sum(part.rejected for part in parts),
        sum(part.repaired for part in parts),
    )


def one_alphabet(labels: Iterable[str], advice: str = "Count the text again with one.") -> str:
    """Return the one alphabet of several counts, "" where none is known.

    Raises SpanishTokError that names two different ones.
    """
    alphabets = list(dict.fromkeys(label for label in labels if label))
    if len(alphabets) > 1:
        raise SpanishTokError(f"Two alphabets cannot be mixed: {alphabets[0]} and {alphabets[1]}", advice)
    return alphabets[0] if alphabets else ""


def in_order(table: pa.Table) -> pa.Table:
    """Return the rows most frequent first, equal counts by the bytes of their runs."""
    ordered = table.select(SCHEMA.names).sort_by([("count", "descending"), ("run", "ascending")])
    return ordered.combine_chunks()


def _weighted(table: pa.Table, weight: float) -> pa.Table:
    return table.set_column(1, "count", pc.multiply(pc.cast(table["count"], pa.float64()), float(weight)))
