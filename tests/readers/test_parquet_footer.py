"""What a footer says of missing ids, as Arrow reads it where it is whole, and without a crash where it is not."""

import io
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spanish_tok.readers import splits
from spanish_tok.readers.opening.parquet_footer import states_no_nulls
from spanish_tok.readers.options import ReadOptions


def written(ids: list[Any], **how: Any) -> bytes:
    table = pa.table({"text": ["hola"] * len(ids), "id": pa.array(ids), "n": [{"id": 1}] * len(ids)})
    stream = io.BytesIO()
    pq.write_table(table, stream, **how)
    return stream.getvalue()


def stated(data: bytes, column: str = "id") -> bool:
    return states_no_nulls(io.BytesIO(data), column)


@pytest.mark.parametrize("version", ["1.0", "2.6"])
@pytest.mark.parametrize("groups", [7, 1000])
def test_it_says_what_arrow_says(version: str, groups: int) -> None:
    how: dict[str, Any] = {"row_group_size": groups, "version": version}
    for ids in (["a", "b"] * 50, [1, 2] * 50, [1.5] * 9, ["a"]):
        assert stated(written(ids, **how))
        assert not stated(written([*ids, None], **how))
        assert not stated(written([None, *ids], **how))
        assert not stated(written(ids, write_statistics=False, **how))
        assert not stated(written(ids, write_statistics=["text"], **how))
    assert stated(written(["a"], **how), "n.id")
    assert not stated(written(["a"], **how), "nada")


def test_what_is_damaged_is_not_believed_and_ends_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Arrow ends the process for some of these, when it is asked for the statistics."""
    monkeypatch.setattr(splits, "PART_BYTES", 1 << 10)
    data, path = written([str(number) for number in range(2000)], row_group_size=500), tmp_path / "x.parquet"
    length = int.from_bytes(data[-8:-4], "little")
    draw = random.Random(0)
    for _ in range(400):
        changed = bytearray(data)
        for _ in range(draw.choice([1, 2, 8])):
            changed[len(data) - 8 - draw.randrange(length)] = draw.randrange(256)
        path.write_bytes(changed if draw.random() < 0.9 else changed[: draw.randrange(len(data))])
        parts = splits.parts_of(path, ReadOptions(), with_ids=True)
        assert parts[0].begin == 0
    for odd in (
        b"",
        b"PAR1",
        b"PAR1" * 3,
        b"\xff" * 100 + b"\x64\0\0\0PAR1",
        b"\x1c" * 5000 + b"\x88\x13\0\0PAR1",
    ):
        assert not stated(odd)
