"""The missing values that the footer of a Parquet file states, read without Arrow.

Arrow ends the process when it is asked for the statistics of a column of a damaged footer. The footer is a struct in
Thrift's compact protocol: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

import io
import os
from typing import Any

from spanish_tok.readers.opening.buffered import read_fully

MAGIC = b"PAR1"
DEEPEST = 16  # structs in one another; those of Parquet are half as deep
# numbers of fields, from parquet.thrift
ROW_GROUPS, COLUMNS, COLUMN, PATH, STATISTICS, NULLS = 4, 1, 3, 3, 12, 3
TRUE, FALSE, BYTE, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = 1, 2, 3, 7, 8, 9, 10, 11, 12  # types of values


def states_no_nulls(stream: io.RawIOBase | io.BufferedIOBase, column: str) -> bool:
    """Return whether each row group is stated to have no missing values in a column.

    False where it says nothing, or is damaged.
    """
    try:
        groups = _Compact(_footer(stream)).struct()[ROW_GROUPS]
        return all(_nulls(group, column) == 0 for group in groups)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return False


def _footer(stream: io.RawIOBase | io.BufferedIOBase) -> bytes:
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(size - 8, 0))
    end = read_fully(stream, 8)
    length = int.from_bytes(end[:4], "little")
    if end[4:] != MAGIC or length > size - 8:
        raise ValueError("it is no footer")
    stream.seek(size - 8 - length)
    return read_fully(stream, length)


def _nulls(group: dict[int, Any], column: str) -> int | None:
    """Return how many values of a column a row group lacks; None if it does not say."""
    for chunk in group[COLUMNS]:
        described = chunk[COLUMN]
        if b".".join(described[PATH]) == column.encode():
            nulls: int | None = described.get(STATISTICS, {}).get(NULLS)
            return nulls
    return None


class _Compact:
    """A reader of values, each struct as {number of a field: value}.

    >>> _Compact(bytes([0x15, 0x06, 0x18, 0x02, 0x61, 0x62, 0x00])).struct()  # 1: the number 3, 2: "ab"
    {1: 3, 2: b'ab'}
    """

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """Return the struct that begins here.

        Raises ValueError or IndexError for a damaged one.
        """
        if depth > DEEPEST:
            raise ValueError("it is too deep")
        fields, number = dict[int, Any](), 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._number()
            kind = head & 15
            fields[number] = kind == TRUE if kind in (TRUE, FALSE) else self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if kind == STRUCT:
            return self.struct(depth + 1)
        if kind in (LIST, SET):
            head = self._byte()
            count = head >> 4 if head >> 4 < 15 else self._varint()
            return [self._value(head & 15, depth + 1) for _ in range(self._checked(count))]
        if kind == BINARY:
            return self._bytes(self._varint())
        if kind == DOUBLE:
            return self._bytes(8)
        if kind in (TRUE, FALSE, BYTE):
            return self._byte()
        if kind == MAP or kind > STRUCT or depth > DEEPEST:
            raise ValueError("it is not of Parquet")
        return self._number()

    def _byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def _bytes(self, count: int) -> bytes:
        self._at += self._checked(count)
        return self._data[self._at - count : self._at]

    def _checked(self, count: int) -> int:
        """Return a number of bytes or of values, each of which takes a byte at least."""
        if count > len(self._data) - self._at:
            raise ValueError("it is cut off")
        return count

    def _varint(self) -> int:
        value = shift = 0
        while (byte := self._byte()) & 0x80:
            value |= (byte & 0x7F) << shift
            shift += 7
            if shift > 63:
                raise ValueError("a number is too large")
        return value | byte << shift

    def _number(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)
