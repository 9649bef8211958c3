"""Count the runs of text columns, compiled, on threads."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa

from spanish_tok.interrupts import interruptible
from spanish_tok.kernels.text.count import SEEN_AT_FIRST, count_records, finish_counting
from spanish_tok.kernels.text.runs import merge_runs, new_runs
from spanish_tok.parallel.memory import memory_given_back
from spanish_tok.parallel.threads import Shared, available_cores, thread_pool
from spanish_tok.text.arrow import Column, bytes_and_offsets, text_array, text_chunks
from spanish_tok.text.packed_table import pack, packed_spanish
from spanish_tok.text.table import NormalizationTable, spanish_table
from spanish_tok.vocab.counts.table import SCHEMA, Counts, in_order

SLICE = 1 << 22  # bytes of text that a thread takes at a time


def count_runs(
    texts: Column | Iterable[Column], *, threads: int | None = None, table: NormalizationTable | None = None
) -> Counts:
    """Count the runs of a text column, or of an iterable of columns.

    Such as the batches of a large file.

    One compiled pass normalizes (with `table`, the Spanish one by default), splits and counts. Memory grows
    with distinct runs (about 40 bytes and their text each) plus 32 MB a thread, not with the text.
    The result does not depend on `threads`, batches or their order.

    >>> counts = count_runs(["¡Hola, mundo!", "hola"])
    >>> dict(zip(*counts.table.to_pydict().values()))
    {'!': 1, ',': 1, 'hola': 1, '▁hola': 1, '▁mundo': 1, '▁¡': 1}
    """
    packed = pack(table) if table else packed_spanish()

    def work(slices: Iterable[pa.LargeStringArray]) -> tuple[Any, int]:
        runs, seen, filled, records = new_runs(), np.zeros((SEEN_AT_FIRST, 4), np.uint64), 0, 0
        for piece in slices:
            runs, seen, filled = count_records(*bytes_and_offsets(piece), packed, runs, seen, filled)
            records += len(piece)
        return finish_counting(packed, runs, seen), records

    threads = threads or available_cores()
    with memory_given_back(), thread_pool(threads) as pool, closing(Shared(_slices(texts))) as slices:
        tables, records = zip(*pool.map(work, [slices] * threads), strict=True)
    counts = interruptible(lambda: _as_counts(reduce(merge_runs, tables), sum(records)))
    return replace(counts, alphabet=(table or spanish_table()).label)


def _slices(texts: Column | Iterable[Column]) -> Iterator[pa.LargeStringArray]:
    """Yield the text in arrays of about SLICE bytes.

    So threads share even one large chunk evenly.
    """
    for column in _columns(texts):
        for chunk in text_chunks(column):
            rows = max(1, int(len(chunk) * SLICE / max(1, chunk.nbytes)))
            for start in range(0, len(chunk), rows):
                yield chunk.slice(start, rows)


def _columns(texts: Column | Iterable[Column]) -> Iterable[Column]:
    if isinstance(texts, pa.Array | pa.ChunkedArray):
        return [texts]
    if isinstance(texts, Sequence) and all(text is None or isinstance(text, str) for text in texts):
        return [texts]
    return texts if isinstance(texts, Iterable) else [texts]


def _as_counts(runs: Any, records: int) -> Counts:
    size, used, cut = (int(value) for value in runs.sizes)
    starts, counts = (np.ascontiguousarray(column) for column in runs.rows[: size + 1].T)
    text = text_array(runs.text[:used], starts)
    return Counts(in_order(pa.table([text, counts[:size]], schema=SCHEMA)), records, cut)
