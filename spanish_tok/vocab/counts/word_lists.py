"""Lists of words and how often they occur, as runs and counts.

A published list of frequencies can train a vocabulary where its text is not to be had. Lists hold no punctuation and
few digits: add them to counts of text.
"""

import csv
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from spanish_tok.errors import SpanishTokError
from spanish_tok.kernels.text.count import RUN_LIMIT
from spanish_tok.readers.csv_jsonl import BadRow, csv_rows, is_unicode
from spanish_tok.readers.opening.encoding import repair_utf8
from spanish_tok.readers.opening.lines import Lines
from spanish_tok.readers.opening.spool import name_of
from spanish_tok.readers.options import (
    FileReport,
    Location,
    ReadOptions,
    check_found,
    invalid_row,
    malformed_row,
)
from spanish_tok.readers.parquet import open_parquet
from spanish_tok.readers.records import format_of
from spanish_tok.readers.streams import open_text
from spanish_tok.readers.validation import invalid_entries, repaired
from spanish_tok.text.alphabet import SPACE_MARK
from spanish_tok.text.packed_table import normalize_column
from spanish_tok.text.table import NormalizationTable, spanish_table

WORDS = "words"  # the format of lists without a header: `palabra 123`, a space or a tab between
NUMBERS = ("count", "frequency")  # the column beside `word`
WRONG = {"count": "not a whole number from 0 on", "frequency": "not a share"}
TOTAL = 20_000_000  # what frequencies are scaled to: about the runs of 100 MB of text
MOST = 1 << 53  # runs in all: training computes with them as float64
END = "\x1f"  # ends a run inside a word; no alphabet holds it

Pair: TypeAlias = "tuple[str, str] | BadRow | None"  # word and number as written; None: a blank line


@dataclass(frozen=True)
class WordList:
    """Words as they were given, and a number for each: how often, or the share of all.

    words: large_string. numbers: float64[words]. dropped: rows that were rejected, by reason. repaired: words that were
    not UTF-8.
    """

    words: pa.LargeStringArray
    numbers: NDArray[np.float64]
    shares: bool
    dropped: Mapping[str, int] = field(default_factory=dict)
    repaired: int = 0


def number_column(names: list[str]) -> str | None:
    """Return the column of numbers of a list of words; None if it is no such list.

    >>> number_column(["word", "frequency"]), number_column(["id", "text"])
    ('frequency', None)
    """
    return next((name for name in NUMBERS if name in names), None) if "word" in names else None


def column_names(path: Location, options: ReadOptions) -> list[str]:
    """Return the names of the columns of a file on disk; none where it has no header.

    What cannot be read has none either: reading it says what is wrong.
    """
    if not Path(path).is_file():
        return []
    try:
        kind = _kind(path, options)
        if kind == "parquet":
            return list(pq.read_schema(path).names)
        if kind not in ("csv", "tsv"):
            return []
        with open_text(path, options.encoding) as stream:
            return csv_rows(stream, path, options, plain_tabs=kind == "tsv")[0]
    except (SpanishTokError, pa.ArrowException, OSError, csv.Error):
        return []


def _kind(path: Location, options: ReadOptions) -> str:
    """Return the format of a file: the one that is told, else the one of its name."""
    return options.format if options.format and options.format != WORDS else format_of(path)


def read_word_list(path: Location, options: ReadOptions) -> WordList:
    """Read a file of words and numbers.

    Parquet, CSV or TSV with the columns word and count or frequency, or lines of a word and its count.

    Raises SpanishTokError, which names file and row, for a number that is missing, negative or not whole, and for a
    file without words.
    """
    word_list = _read(path, options)
    check_found(len(word_list.words) + word_list.dropped.get("malformed", 0), 0, name_of(path))
    return word_list


def _read(path: Location, options: ReadOptions) -> WordList:
    names = column_names(path, options)
    column = number_column(names)
    if column and _kind(path, options) == "parquet":
        with open_parquet(path, FileReport(os.fspath(path))) as file:
            return list_of_table(file.read(["word", column]), path, options)
    with open_text(path, options.encoding) as stream:
        if column is None:
            lines = Lines(stream, name_of(path), options.max_row_bytes)
            rows: Iterator[Pair] = map(_pair_of_line, lines)
        else:
            plain_tabs = _kind(path, options) == "tsv"
            header, cells = csv_rows(stream, path, options, plain_tabs=plain_tabs)
            word, value = header.index("word"), header.index(column)
            rows = (row if isinstance(row, BadRow) else (row[word], row[value]) for row in cells)
        return _collected(rows, column or "count", path, options)


def _pair_of_line(line: bytes) -> Pair:
    """Return the word and the count of a line, which part at its last space or tab.

    None stands for a blank line.
    """
    text = line.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    pair = text.rsplit(None, 1)
    if len(pair) == 2:
        return pair[0], pair[1]
    return BadRow("it is not a word and its count") if pair else None


def _collected(rows: Iterator[Pair], column: str, path: Location, options: ReadOptions) -> WordList:
    """Return pairs of strings as a list of words; bad rows as the options say."""
    words, values, rejected, mended = list[str](), list[float](), 0, 0
    for row, pair in enumerate(rows, 1):
        if pair is None:
            continue
        value = pair if isinstance(pair, BadRow) else _number(pair[1], column)
        if isinstance(value, BadRow):
            if options.malformed == "error":
                raise malformed_row(path, row, value.fault)
            rejected += 1
            continue
        word = pair[0]
        if not is_unicode(word):
            if options.invalid_utf8 == "error":
                raise invalid_row(path, row)
            if options.invalid_utf8 == "reject":
                rejected += 1
                continue
            word, mended = repair_utf8(word.encode("utf-8", "surrogateescape")), mended + 1
        words.append(word)
        values.append(value)
    column_of_words = pa.array(words, pa.large_string())
    dropped = {"malformed": rejected}
    return WordList(column_of_words, np.array(values), column == "frequency", dropped, mended)


def _number(text: str, column: str) -> float | BadRow:
    try:
        value = float(text)
    except ValueError:
        return BadRow(f"its {column} {text!r} is not a number")
    if not 0 <= value < inf or (column == "count" and value != int(value)):
        return BadRow(f"its {column} {text!r} is {WRONG[column]}")
    return value


def list_of_table(table: pa.Table, name: Location, options: ReadOptions) -> WordList:
    """Return a table of the columns word and count, or word and frequency, as a list.

    Raises SpanishTokError that names the row of a word or number that is missing, negative, or not whole.
    """
    column = number_column(table.column_names)
    if column is None:
        raise SpanishTokError(
            f"{name} has the columns {', '.join(table.column_names)}",
            "A list of words has word and count, or word and frequency.",
        )
    try:
        words = table["word"].cast(pa.large_string()).cast(pa.binary()).combine_chunks()
        values = pc.cast(table[column], pa.float64(), safe=False).to_numpy()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SpanishTokError(f"{name} is no list of words ({error})", "Give words and numbers.") from None
    good = words.is_valid().to_numpy(zero_copy_only=False) & (values >= 0) & (values < inf)
    if column == "count":
        good &= np.floor(values) == values
    if not good.all() and options.malformed == "error":
        fault = f"its word is missing, or its {column} is {WRONG[column]}"
        raise malformed_row(name, int(np.argmin(good)) + 1, fault)
    invalid = invalid_entries(words) & good
    count = int(invalid.sum())
    if count and options.invalid_utf8 == "error":
        raise invalid_row(name, int(invalid.argmax()) + 1)
    if count and options.invalid_utf8 == "repair":
        words = repaired(words, invalid)
    elif count:
        good &= ~invalid
    dropped, mended = {"malformed": int((~good).sum())}, count * (options.invalid_utf8 == "repair")
    words = words.filter(pa.array(good)).view(pa.string()).cast(pa.large_string())
    return WordList(words, values[good], column == "frequency", dropped, mended)


def word_list_of(words: Any, options: ReadOptions | None = None) -> WordList:
    """Return a file, a dictionary, or a table of Arrow, pandas or polars as a list."""
    options = options or ReadOptions()
    if isinstance(words, str | os.PathLike):
        return read_word_list(words, options)
    if isinstance(words, Mapping):
        column = "count" if all(isinstance(value, int) for value in words.values()) else "frequency"
        words = pa.table({"word": list(words), column: list(words.values())})
    if not hasattr(words, "__arrow_c_stream__"):
        raise SpanishTokError(
            f"A list of words is needed, not {type(words).__name__}", "Give a file, a dictionary, or a table."
        )
    return list_of_table(pa.table(words), "The table of words", options)


def runs_of_words(
    word_list: WordList, total: int = TOTAL, table: NormalizationTable | None = None
) -> tuple[pa.Table, int, dict[str, int]]:
    """Return a table (run, count), how often a long run was cut, and what was dropped.

    Each word is normalized and cut into runs, the first with `▁`. Shares are scaled to `total` and rounded, word by
    word. A word is dropped where nothing is left of it, where it is several words, or where its count rounds to 0;
    the reasons say how many. A run may stand in several rows.
    """
    values, size = word_list.numbers, float(word_list.numbers.sum())
    if word_list.shares and size:
        values = np.rint(values / size * total)
    words = normalize_column(word_list.words, table).combine_chunks()
    empty = pc.equal(words, "").to_numpy(zero_copy_only=False)
    several_words = pc.match_substring(words, " ").to_numpy(zero_copy_only=False)
    zero = (values == 0) & ~empty & ~several_words
    kept = ~(empty | several_words | zero)
    words, counts = words.filter(pa.array(kept)), np.minimum(values[kept], MOST).astype(np.int64)
    splits = table or spanish_table()
    cut_runs, runs = _runs(splits, f"{{1,{RUN_LIMIT}}}"), _runs(splits, "+")
    cut = pc.sum(
        pc.subtract(pc.count_substring_regex(words, cut_runs), pc.count_substring_regex(words, runs))
    )
    lists = pc.split_pattern(
        _joined(SPACE_MARK, pc.replace_substring_regex(words, cut_runs, rf"\1{END}")), END
    )
    rows = pa.table(
        [pc.list_flatten(lists), pa.array(counts[pc.list_parent_indices(lists).to_numpy()])], ["run", "count"]
    )
    dropped = added(
        word_list.dropped,
        {
            "empty": int(empty.sum()),
            "several words": int(several_words.sum()),
            "rounded to 0": int(zero.sum()),
        },
    )
    return rows.filter(pc.not_equal(rows["run"], "")), int(cut.as_py() or 0), dropped


def _joined(before: str, words: pa.LargeStringArray) -> pa.LargeStringArray:
    ends = [pa.scalar(text, pa.large_string()) for text in (before, "")]
    return pc.binary_join_element_wise(ends[0], words, ends[1])


def _runs(table: NormalizationTable, times: str) -> str:
    """Return the regular expression of runs: letters, digits, or other characters."""
    letters, digits = re.escape(table.letters), re.escape(table.digits)
    return f"([{letters}]{times}|[{digits}]{times}|[^{letters}{digits}]{times})"


def added(a: Mapping[str, int], b: Mapping[str, int]) -> dict[str, int]:
    """Return sums by name, those of 0 left out."""
    return {name: total for name in {**a, **b} if (total := a.get(name, 0) + b.get(name, 0))}
