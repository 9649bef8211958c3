"""How often a model's own tokenizer uses each of its pieces: what `trim` goes by.

Text is split at spaces, and each distinct word is cut once: a piece never crosses a space, so that gives the same
pieces. (A vocabulary with pieces that do cross them is given whole texts.)
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from spanish_tok.errors import SpanishTokError
from spanish_tok.files import atomic_path
from spanish_tok.parallel.threads import available_cores
from spanish_tok.readers.options import Location
from spanish_tok.text.alphabet import SPACE_MARK
from spanish_tok.tokenization.tokenizer import Tokenizer

SCHEMA = pa.schema([("piece", pa.large_string()), ("count", pa.int64())])
AT_ONCE = 1 << 16  # words that are cut at a time
MOST_WORDS = 1 << 21  # distinct or not, that wait to be added up


@dataclass(frozen=True)
class PieceCounts:
    """How often text uses each piece: `uses` is int64, one number an id."""

    tokenizer: Tokenizer
    uses: NDArray[np.int64]

    @classmethod
    def of_texts(cls, tokenizer: Tokenizer, columns: Iterable[Any]) -> "PieceCounts":
        """Count the pieces of columns of text."""
        uses = np.zeros(tokenizer.vocab_size, np.int64)
        if any(SPACE_MARK in piece.rstrip(SPACE_MARK)[1:] for piece in tokenizer.vocabulary.pieces):
            for column in columns:
                _add(uses, tokenizer.encode_column(column), None)
            return cls(tokenizer, uses)
        words = words_of(columns)
        for first in range(0, words.num_rows, AT_ONCE):
            part = words.slice(first, AT_ONCE)
            lists = tokenizer.encode_column(part["word"], threads=available_cores())
            _add(uses, lists, part["count"].to_numpy())
        return cls(tokenizer, uses)

    @classmethod
    def of_table(cls, tokenizer: Tokenizer, path: Location) -> "PieceCounts":
        """Read a table (piece, count) that `save` wrote.

        Or for a vocabulary of ours (run, count).

        Raises SpanishTokError that names the file for another table, and for pieces that the vocabulary has not.
        """
        try:
            table = pq.read_table(path)
            table.validate(full=True)
        except (OSError, pa.ArrowException) as error:
            reason = (str(error).splitlines() or [""])[0]
            raise SpanishTokError(f"{path} is no Parquet file of counts ({reason})", "Give one.") from None
        columns = table.column_names
        if columns[:2] == ["run", "count"] and not tokenizer.vocabulary.foreign:
            return cls._of_runs(tokenizer, table)
        if columns[:2] != ["piece", "count"] or not pa.types.is_integer(table["count"].type):
            raise SpanishTokError(
                f"{path} has the columns {', '.join(columns)}",
                "Give a table of piece and count, which trim --save-counts writes.",
            )
        ids = {piece: token_id for token_id, piece in enumerate(tokenizer.vocabulary.pieces)}
        uses = np.zeros(tokenizer.vocab_size, np.int64)
        for piece, count in zip(table["piece"].to_pylist(), table["count"].to_pylist(), strict=True):
            if piece not in ids or count is None or count < 0:
                raise SpanishTokError(
                    f"{path} has the piece {piece!r} {count} times, which fits no piece of the model",
                    "Were the counts made with another model?",
                )
            uses[ids[piece]] += count
        return cls(tokenizer, uses)

    @classmethod
    def _of_runs(cls, tokenizer: Tokenizer, table: pa.Table) -> "PieceCounts":
        uses = np.zeros(tokenizer.vocab_size, np.int64)
        for run, count in zip(table["run"].to_pylist(), table["count"].to_pylist(), strict=True):
            begins = run.startswith(SPACE_MARK)
            ids = tokenizer.encode(run[1:]) if begins else tokenizer.encode_continued(run)
            np.add.at(uses, ids, count)
        return cls(tokenizer, uses)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the table (piece, count) of the pieces in use, most frequent first."""
        used = np.flatnonzero(self.uses)
        used = used[np.argsort(-self.uses[used], kind="stable")]
        pieces = self.tokenizer.vocabulary.pieces
        table = pa.table([[pieces[token_id] for token_id in used], self.uses[used]], schema=SCHEMA)
        with atomic_path(path) as partial:
            pq.write_table(table, partial, compression="zstd")


def _add(uses: NDArray[np.int64], lists: Any, weights: NDArray[np.int64] | None) -> None:
    """Add the ids of lists to `uses`, each as often as its list's weight says."""
    chunks = lists.chunks if isinstance(lists, pa.ChunkedArray) else [lists]
    begin = 0
    for chunk in chunks:
        ids = chunk.flatten().to_numpy()
        each = np.ones(len(ids), np.int64)
        if weights is not None:
            lengths = pc.list_value_length(chunk).to_numpy()
            each = np.repeat(weights[begin : begin + len(chunk)], lengths)
        np.add.at(uses, ids, each)
        begin += len(chunk)


def words_of(columns: Iterable[Any]) -> pa.Table:
    """Return the distinct words of columns, and how often each occurs: (word, count)."""
    tables: list[pa.Table] = []
    for column in columns:
        tables += _counted(column)
        if sum(table.num_rows for table in tables) > MOST_WORDS:
            tables = [_sum(tables)]
    empty = pa.table({"word": pa.array([], pa.large_string()), "count": pa.array([], pa.int64())})
    return _sum([empty, *tables])


def _counted(column: Any) -> Iterator[pa.Table]:
    for chunk in getattr(column, "chunks", [column]):
        words = pc.split_pattern(chunk.cast(pa.large_string()), " ").flatten().value_counts()
        yield pa.table({"word": words.field("values"), "count": words.field("counts")})


def _sum(tables: list[pa.Table]) -> pa.Table:
    whole = pa.concat_tables(tables)
    summed = whole.group_by("word", use_threads=False).aggregate([("count", "sum")])
    return pa.table({"word": summed["word"], "count": summed["count_sum"]})
