"""Columns of text to columns of ids and back, at memory speed.

This is the bulk side of a Tokenizer.
"""

import mmap
from contextlib import suppress
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from spanish_tok.errors import SpanishTokError
from spanish_tok.kernels.text.decode import decode_records
from spanish_tok.kernels.text.encode import encode_records
from spanish_tok.parallel.threads import available_cores, map_in_order
from spanish_tok.text.alphabet import SPACE_MARK
from spanish_tok.text.arrow import (
    Column,
    bytes_and_offsets,
    check_arrow,
    check_utf8,
    ids_kind,
    text_array,
    text_chunks,
)
from spanish_tok.tokenization.compiler import CompiledVocabulary, compile_vocabulary
from spanish_tok.tokenization.engines import engine_of
from spanish_tok.vocab.vocabulary import EOS, Vocabulary

Arrow: TypeAlias = pa.Array | pa.ChunkedArray

IDS = pa.list_(pa.uint16())  # what the kernels write
SLICE = 1 << 22  # bytes of text that a thread takes at a time
KNOWN_SETS = 1 << 19  # of one cache line each, 32 MB: the table of known chunks of one thread
LINE = 64  # bytes


class ColumnEncoder:
    """An encoder and decoder of Arrow columns for one vocabulary.

    It equals sentencepiece on every text.

    Compiled code does it where `compile_vocabulary` can pack the vocabulary; any other one is given to
    sentencepiece itself, which is slower, or to the library of a tokenizer.json. Ids are uint16, or uint32 where
    the vocabulary has more than 65,536. Safe in threads.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.kind = ids_kind(len(vocabulary))
        self._known: list[NDArray[np.uint64]] = []  # tables of chunks, each for one thread at a time

    def encode(self, column: Column, append_eos: bool = False, threads: int | None = None) -> Arrow:
        """Return the ids of each text as list<uint16>, or list<uint32> (see `ids_kind`).

        A chunked array gives a chunked array, else it is an array.

        A null counts as an empty text. The result does not depend on `threads` (all cores by default).
        """
        work = self._encode if self._compiled else self._encode_by_sentencepiece
        slices = [part for chunk in text_chunks(column, check_bytes=False) for part in _slices(chunk)]
        firsts = np.cumsum([0, *map(len, slices)])  # the number of each slice's first row

        def encode_slice(number: int) -> pa.ListArray:
            part = slices[number]
            check_utf8(part, int(firsts[number]))  # here, so that encoding finds the bytes in the cache
            return work(part, append_eos)

        workers = min(threads or available_cores(), len(slices))
        lists = list(map_in_order(encode_slice, range(len(slices)), workers))
        if isinstance(column, pa.ChunkedArray):
            return pa.chunked_array(lists, self.kind)
        return lists[0] if len(lists) == 1 else pa.concat_arrays(lists)

    def _encode(self, texts: pa.LargeStringArray, append_eos: bool) -> pa.ListArray:
        assert self._compiled
        known = self._known.pop() if self._known else new_table()
        eos = EOS if append_eos else -1
        ids, ends, _ = encode_records(*bytes_and_offsets(texts), *self._compiled, known, eos)
        self._known.append(known)
        return _list_array(ids, ends)

    def _encode_by_sentencepiece(self, texts: pa.LargeStringArray, append_eos: bool) -> pa.ListArray:
        strings = [text.replace("\0", "\1") for text in texts.to_pylist()]
        return pa.array(self._engine.encode(strings, add_eos=append_eos, num_threads=1), self.kind)

    def decode(self, lists: Arrow) -> Arrow:
        """Return the text of each list of ids as large_string.

        A null counts as an empty list.

        Raises SpanishTokError, which names the row, for an id that the vocabulary does not have.
        """
        if not isinstance(lists, pa.Array | pa.ChunkedArray):
            lists = _of_python(lists)
        if isinstance(lists, pa.ChunkedArray):
            return pa.chunked_array([self._decode(chunk) for chunk in lists.chunks], pa.large_string())
        return self._decode(lists)

    def _decode(self, lists: pa.Array) -> pa.Array:
        kind = lists.type
        nested = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
        if not nested or not pa.types.is_integer(kind.value_type):
            raise SpanishTokError(f"The column holds {kind}, not ids", "Give a column of lists of integers.")
        check_arrow(lists)
        ids, offsets = lists.flatten(), _offsets(lists)
        self._check(ids, offsets)
        if not self._compiled:
            rows = np.split(ids.to_numpy(), offsets[1:-1])[: len(lists)]
            return pa.array([self._engine.decode(row.tolist()) for row in rows], pa.large_string())
        return text_array(*decode_records(ids.cast(pa.uint16()).to_numpy(), offsets, *self._texts))

    def _check(self, ids: pa.Array, offsets: NDArray[np.int64]) -> None:
        """Raise SpanishTokError for the first out-of-range id."""
        if not ids.null_count:
            values = ids.to_numpy()
            if values.min(initial=0) >= 0 and values.max(initial=0) < len(self.vocabulary):
                return
        good = pc.and_(pc.greater_equal(ids, 0), pc.less(ids, len(self.vocabulary))).fill_null(False)
        position = good.index(False).as_py()
        row = int(np.searchsorted(offsets, position, side="right")) - 1
        raise SpanishTokError(
            f"Row {row} holds the id {ids[position]}, but ids go from 0 to {len(self.vocabulary) - 1}",
            "Were they made with another vocabulary?",
        )

    @cached_property
    def _compiled(self) -> CompiledVocabulary | None:
        return compile_vocabulary(self.vocabulary) if self.kind == IDS else None

    @cached_property
    def _engine(self) -> Any:
        return engine_of(self.vocabulary)

    @cached_property
    def _texts(self) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
        """The text of each id: bytes, starts, and how many to skip at a beginning."""
        special = self.vocabulary.special_ids
        texts = [
            self._engine.decode([token_id]) if token_id in special else piece.replace(SPACE_MARK, " ")
            for token_id, piece in enumerate(self.vocabulary.pieces)
        ]
        encoded = [text.encode() for text in texts]
        starts = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
        skipped = np.array([piece.startswith(SPACE_MARK) for piece in self.vocabulary.pieces], np.int64)
        return np.frombuffer(b"".join(encoded), np.uint8), starts, skipped


def _of_python(lists: Any) -> Arrow:
    """Return lists of ids in Python as a column.

    Their type must be seen: a cast would make 1 of 1.5."""
    try:
        column = pa.array(lists if isinstance(lists, str | bytes) else list(lists))
        empty = pa.types.is_null(column.type) or column.type == pa.list_(pa.null())
        return column.cast(pa.list_(pa.int64())) if empty else column
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise SpanishTokError(f"The lists hold something else ({error})", "Give [[5, 6], [7]].") from None


def _offsets(lists: pa.Array) -> NDArray[np.int64]:
    """Return where each list begins in `lists.flatten()`: int64[lists + 1].

    A null is empty.
    """
    offsets = np.zeros(len(lists) + 1, np.int64)
    if not lists.null_count and not pa.types.is_fixed_size_list(lists.type):
        offsets[:] = lists.offsets.to_numpy()
        offsets -= offsets[0]
        return offsets
    np.cumsum(pc.fill_null(pc.list_value_length(lists), 0).to_numpy(), out=offsets[1:])
    return offsets


def _list_array(ids: NDArray[np.uint16], ends: NDArray[np.int64]) -> pa.ListArray:
    """Return lists over the arrays as they lie.

    `pa.array` would do too, but first imports pandas, which takes a tenth of a second.
    """
    values = pa.Array.from_buffers(pa.uint16(), len(ids), [None, pa.py_buffer(ids)])
    offsets = pa.py_buffer(ends.astype(np.int32))
    return pa.ListArray.from_buffers(IDS, len(ends) - 1, [None, offsets], children=[values])


def _slices(chunk: pa.LargeStringArray) -> list[pa.LargeStringArray]:
    """Arrays of about SLICE bytes, at least one."""
    rows = max(1, int(len(chunk) * SLICE / max(1, chunk.nbytes)))
    return [chunk.slice(start, rows) for start in range(0, max(1, len(chunk)), rows)]


def new_table(sets: int = KNOWN_SETS) -> NDArray[np.uint64]:
    """Return an empty cache of chunks.

    Each set has a cache line of its own, in huge pages if the system has them.

    It belongs to this process alone: one that is forked from it has a copy.
    """
    private: dict[str, Any] = {}
    if hasattr(mmap, "MAP_PRIVATE"):
        private["flags"] = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    memory = mmap.mmap(-1, sets * LINE, **private)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):
            memory.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(memory, np.uint64).reshape(sets, LINE // 8)
