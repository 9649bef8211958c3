"""What a user or a file gives is checked before a kernel sees it: tables, pieces, alphabets."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from spanish_tok import NormalizationTable, SpanishTokError, normalize_column, train
from spanish_tok.kernels.text.normalize import normalize_records
from spanish_tok.text.packed_table import pack
from spanish_tok.text.table import spanish_table

TABLE = NormalizationTable(
    "ab ñ", {"a": "a", "b": "b", " ": " ", "n": "b", "ñ": "ñ"}, {"n\u0303": "ñ"}, "a test"
)


@pytest.mark.parametrize(
    "changes",
    [
        {"expansions": {**TABLE.expansions, "c": "a" * 256}},
        {"expansions": {**TABLE.expansions, "c": "z"}},
        {"expansions": {**TABLE.expansions, "c": "😀"}},
        {"expansions": {**TABLE.expansions, "cd": "a"}},
        {"expansions": {"a": "a"}},  # the letter of the pair is deleted, so that the pair has no place
        {"expansions": {**TABLE.expansions, "n": "ñ"}},
        {"pairs": {"ñ\u0303": "ñ"}},
        {"pairs": {"nn": "ñ"}},
        {"pairs": {"n": "ñ"}},
        {"pairs": {"n\u0303": ""}},
    ],
)
def test_a_table_that_kernels_cannot_hold_is_refused(changes: dict[str, Any]) -> None:
    assert normalize_column(["ñ n\u0303 ab", "xyz"], TABLE).to_pylist() == ["ñ ñ ab", ""]
    with pytest.raises(SpanishTokError):
        normalize_column(["n\u0303 ab"], replace(TABLE, **changes))


def test_bytes_that_are_no_text_have_room_for_what_they_become() -> None:
    """Each such byte counts as U+FFFD, which may become more bytes than it stands for."""
    table = pack(replace(TABLE, expansions={**TABLE.expansions, "\ufffd": "ñabñab"}))
    data = b"\xff" * 5000
    column = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), 1, [None, pa.array([0, len(data)], pa.int64()).buffers()[1], pa.py_buffer(data)]
    )
    offsets = column.buffers()[1]

    found, ends = normalize_records(np.frombuffer(data, np.uint8), np.frombuffer(offsets, np.int64), table)
    assert found.tobytes().decode() == "ñabñab" * 5000
    assert ends.tolist() == [0, 8 * 5000]


def test_an_alphabet_of_more_letters_than_a_byte_numbers_is_refused() -> None:
    letters = [chr(code) for code in range(0x4E00, 0x4E00 + 300)]
    table = NormalizationTable(
        "".join([" ", *letters]), {letter: letter for letter in [" ", *letters]}, {}, "a test", name="test"
    )
    with pytest.raises(SpanishTokError, match="301 characters"):
        train(texts=[" ".join(letters)] * 3, size=700, table=table)


def test_the_shipped_table_passes() -> None:
    assert pack(spanish_table()).growth >= 1
