"""Characters that stand alone: runs cut so that no piece joins them to anything."""

import re
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from spanish_tok.errors import SpanishTokError
from spanish_tok.text.alphabet import SPACE_MARK
from spanish_tok.text.table import NormalizationTable
from spanish_tok.vocab.counts.table import SCHEMA, Counts, merge


def characters_alone(table: NormalizationTable, split_digits: bool, no_join: str) -> str:
    """Return the characters that stand alone.

    Raises SpanishTokError for one that the alphabet lacks.
    """
    for char in no_join:
        if char not in table.alphabet or char == " ":
            raise SpanishTokError(
                f"no_join names {char!r}, which is not in the alphabet", f"It has {table.alphabet.strip()}"
            )
    return (table.digits if split_digits else "") + no_join


def cut_alone(counts: Counts, alone: str) -> Counts:
    """Return counts whose runs are cut around each character of `alone`, `▁` apart.

    >>> from spanish_tok.vocab.counts.runs import count_runs
    >>> counts = cut_alone(count_runs(["año 2011"]), "0123456789")
    >>> dict(zip(*counts.table.to_pydict().values()))
    {'1': 2, '0': 1, '2': 1, '▁': 1, '▁año': 1}
    """
    if not alone:
        return counts
    pattern = f"[{re.escape(alone)}]"
    matches = pc.match_substring_regex(counts.table["run"], pattern)
    whole, crossing = counts.table.filter(pc.invert(matches)), counts.table.filter(matches)
    rows = [
        (part, times)
        for run, times in zip(*crossing.to_pydict().values(), strict=True)
        for part in re.split(f"({pattern})", run)
        if part
    ]
    parts = pa.table([pa.array([row[k] for row in rows], SCHEMA.types[k]) for k in (0, 1)], schema=SCHEMA)
    assert not any(SPACE_MARK in part[1:] for part, _ in rows)
    summed = merge([Counts(pa.concat_tables([whole, parts]))])
    return replace(counts, table=summed.table)
