"""Columns of text to columns of ids and back, at memory speed: the bulk side of a Tokenizer."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from spanish_tok.alphabet import SPACE_MARK
from spanish_tok.columns import Column, bytes_and_offsets, packed_spanish, text_chunks
from spanish_tok.counts import available_cores
from spanish_tok.errors import SpanishTokError
from spanish_tok.formats import spanish_charsmap
from spanish_tok.kernels.encode import encode_records
from spanish_tok.kernels.trie import Automaton, grow_trie, link_states
from spanish_tok.threads import map_in_order
from spanish_tok.vocabulary import EOS, RESOLUTION, Vocabulary

IDS = pa.list_(pa.uint16())
MOST_IDS = 1 << 16
SLICE = 1 << 22  # bytes of text that a thread takes at a time
KNOWN_SETS = 1 << 18  # of 64 bytes each: the table of known chunks of one thread
LINE = 64  # bytes


class ColumnEncoder:
    """Encodes and decodes Arrow columns by one vocabulary; equal to sentencepiece on every text.

    Compiled code does it where the vocabulary is `exact` and its normalization can be packed; any other is
    given to sentencepiece itself. Safe in threads. Raises SpanishTokError where ids do not fit 16 bits.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        if len(vocabulary) > MOST_IDS:
            raise SpanishTokError(
                f"The vocabulary has {len(vocabulary):,} ids, but a column holds 16-bit ids",
                f"Use one of {MOST_IDS:,} ids or fewer.",
            )
        self.vocabulary = vocabulary
        self._tables: list[NDArray[np.uint64]] = []  # of known chunks, each for one thread at a time

    def encode(self, column: Column, append_eos: bool = False, threads: int | None = None) -> Any:
        """The ids of each text as list<uint16>: an array for an array or a sequence, chunks for a chunked array.

        A null counts as an empty text. The result does not depend on `threads` (all cores by default).
        """
        chunks = text_chunks(column)
        slices = [part for chunk in chunks for part in _slices(chunk)]
        eos = EOS if append_eos else -1
        lists = list(map_in_order(lambda part: self._encode(part, eos), slices, threads or available_cores()))
        if isinstance(column, pa.ChunkedArray):
            return pa.chunked_array(lists, IDS)
        return lists[0] if len(lists) == 1 else pa.concat_arrays(lists)

    def _encode(self, texts: pa.LargeStringArray, eos: int) -> pa.ListArray:
        known = self._tables.pop() if self._tables else new_table()
        ids, ends = encode_records(*bytes_and_offsets(texts), packed_spanish(), self._automaton, known, eos)
        self._tables.append(known)
        return pa.ListArray.from_arrays(pa.array(ends.astype(np.int32)), pa.array(ids))

    @cached_property
    def _automaton(self) -> Automaton:
        return automaton_of(self.vocabulary)


def _slices(chunk: pa.LargeStringArray) -> list[pa.LargeStringArray]:
    """Arrays of about SLICE bytes, at least one."""
    rows = max(1, int(len(chunk) * SLICE / max(1, chunk.nbytes)))
    return [chunk.slice(start, rows) for start in range(0, max(1, len(chunk)), rows)]


def new_table() -> NDArray[np.uint64]:
    """An empty table of known chunks, each set on a cache line of its own."""
    raw = np.zeros(KNOWN_SETS * 8 + 8, np.uint64)
    first = -raw.ctypes.data % LINE // 8
    return raw[first : first + KNOWN_SETS * 8].reshape(KNOWN_SETS, 8)


def automaton_of(vocabulary: Vocabulary) -> Automaton:
    """The automaton of a vocabulary's ordinary pieces."""
    ordinary = [number for number in range(len(vocabulary)) if number not in vocabulary.special_ids]
    encoded = [vocabulary.pieces[number].replace(SPACE_MARK, " ").encode() for number in ordinary]
    data = np.frombuffer(b"".join(encoded), np.uint8)
    lengths = np.array([len(piece) for piece in encoded], np.int64)
    scores = np.array([round(vocabulary.scores[number] * RESOLUTION) for number in ordinary], np.int64)
    class_of = np.zeros(256, np.uint8)
    used = np.unique(data)
    class_of[used] = np.arange(1, len(used) + 1)
    children, state_of = grow_trie(data, np.concatenate([[0], np.cumsum(lengths)]), class_of, len(used) + 1)
    piece_in = np.full(len(children), -1, np.int64)
    piece_in[state_of] = scores << 32 | lengths << 16 | np.array(ordinary)
    first, pieces = link_states(children, piece_in)
    small = np.uint16 if len(children) <= MOST_IDS else np.uint32
    return Automaton(class_of, children.astype(small), first, pieces)
