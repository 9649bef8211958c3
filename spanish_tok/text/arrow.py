"""Arrow columns of text, and the bytes and offsets that kernels take."""

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from spanish_tok.errors import SpanishTokError

MOST_NARROW = 1 << 16  # ids that 16 bits can number
Column: TypeAlias = pa.Array | pa.ChunkedArray | Sequence[str | None]


def text_chunks(column: Column, *, check_bytes: bool = True) -> list[pa.LargeStringArray]:
    """Return a text column as large_string arrays without nulls.

    A null becomes an empty text. Takes string, large_string, string_view, dictionary-encoded text, a chunked array of
    these, or a sequence of str. Raises SpanishTokError for anything else, for a lone surrogate in a str, and for
    bytes that are not UTF-8 (with check_bytes=False the caller calls `check_utf8`, part by part).

    >>> [chunk.to_pylist() for chunk in text_chunks(["¡Hola!", None])]
    [['¡Hola!', '']]
    """
    if not isinstance(column, pa.Array | pa.ChunkedArray):
        column = _array(column)
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    texts = [_large_string(chunk) for chunk in chunks]
    if check_bytes:
        first = 0
        for chunk in texts:
            check_utf8(chunk, first)
            first += len(chunk)
    return texts


def _array(texts: Sequence[str | None]) -> pa.Array:
    advice = "Give a list of str or an Arrow column of strings."
    if isinstance(texts, str | bytes) or not isinstance(texts, Iterable):
        raise SpanishTokError(f"A column of text is needed, not {type(texts).__name__}", advice)
    try:
        return pa.array(texts, pa.large_string())
    except UnicodeEncodeError as error:
        raise SpanishTokError(
            f"A text of the column is not valid Unicode ({error})", "Repair it first."
        ) from None
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise SpanishTokError(f"The column holds something that is not text ({error})", advice) from None


def _large_string(chunk: pa.Array) -> pa.LargeStringArray:
    kind = chunk.type.value_type if pa.types.is_dictionary(chunk.type) else chunk.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        raise SpanishTokError(f"The column holds {chunk.type}, not text", "Give a column of strings.")
    if not (pa.types.is_string(chunk.type) or pa.types.is_large_string(chunk.type)):
        check_arrow(chunk, full=True)  # before their views or indices are followed
    chunk = chunk.cast(pa.large_string())
    check_arrow(chunk)
    data, offsets = bytes_and_offsets(chunk)
    if (offsets[1:] < offsets[:-1]).any() or not 0 <= offsets[0] <= offsets[-1] <= data.size:
        raise SpanishTokError("The offsets of the column are out of order or range", "Write it again.")
    return chunk.fill_null("") if chunk.null_count else chunk


def check_utf8(chunk: pa.LargeStringArray, first: int = 0) -> None:
    """Raise SpanishTokError, which names the row, for bytes that are not UTF-8.

    Arrow does not look at them. At 10 GB/s. first: the number of the chunk's first row in the column.
    """
    from spanish_tok.kernels.text.utf8 import invalid_rows  # who has no text to check needs no compiler

    invalid = invalid_rows(*bytes_and_offsets(chunk))
    if invalid.any():
        raise SpanishTokError(
            f"Row {first + int(invalid.argmax())} of the column is not valid UTF-8",
            "Read the file with ReadOptions(invalid_utf8='repair'), or repair the bytes first.",
        )


def check_arrow(array: pa.Array, *, full: bool = False) -> None:
    """Raise SpanishTokError for an array whose buffers do not fit its type and length.

    full: look at every offset and index, and at the bytes of text, too.
    """
    try:
        array.validate(full=full or not pa.types.is_large_string(array.type))
    except pa.ArrowInvalid as error:
        raise SpanishTokError(f"The column is damaged ({error})", "Write it again.") from None


def bytes_and_offsets(chunk: pa.LargeStringArray) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the buffers of a large_string array, without a copy.

    They are data, uint8[bytes] of UTF-8, and offsets, int64[records + 1]. Record r is data[offsets[r]:offsets[r + 1]].
    The first offset of a sliced array is not 0.
    """
    _, offsets, data = chunk.buffers()
    if len(chunk) == 0 or offsets is None:
        return np.zeros(0, np.uint8), np.zeros(1, np.int64)
    window = np.frombuffer(offsets, np.int64, len(chunk) + 1, chunk.offset * 8)
    return np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(0, np.uint8), window


def text_array(data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> pa.LargeStringArray:
    """Return a large_string array over the buffers `bytes_and_offsets` gives, no copy."""
    return pa.LargeStringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(data))


def ids_kind(size: int) -> pa.DataType:
    """Return the type of lists of ids of a vocabulary.

    16 bits an id, or 32 where it has more than 65,536.

    >>> ids_kind(5000), ids_kind(250_100)
    (ListType(list<item: uint16>), ListType(list<item: uint32>))
    """
    return pa.list_(pa.uint16() if size <= MOST_NARROW else pa.uint32())
