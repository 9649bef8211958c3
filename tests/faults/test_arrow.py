"""Item 1 for Arrow: bytes that are no UTF-8 in columns of strings are refused, or counted and told."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import spanish_tok as st
from spanish_tok.readers.options import ReadOptions
from spanish_tok.readers.rows import read_rows, rows_of
from spanish_tok.t5.foreign.piece_counts import PieceCounts
from spanish_tok.text.packed_table import normalize_column
from spanish_tok.vocab.counts.runs import count_runs
from tests.conftest import Told

WRONG = [
    b"a\xf1o",  # Latin-1
    b"a\xc3",  # cut within a character: with the next row it is one
    b"\xed\xa0\x80",  # half of a surrogate pair
    b"\xc0\xaf",  # more bytes than needed
    b"\xf5\x80\x80\x80",  # above U+10FFFF
    b"x" * 100 + b"\xff" + b"x" * 100,
]


def strings(values: list[bytes | None], kind: pa.DataType | None = None) -> pa.Array:
    """Return a column of strings that nobody has looked at."""
    kind = kind or pa.string()
    if kind == pa.string():
        return pa.array(values, pa.binary()).view(kind)
    if kind == pa.large_string():
        return pa.array(values, pa.large_binary()).view(kind)
    if kind == pa.string_view():
        return strings(values).cast(kind)
    unique = list(dict.fromkeys(values))
    return pa.DictionaryArray.from_arrays(
        pa.array([unique.index(value) for value in values], pa.int32()), strings(unique)
    )


IN_MEMORY: dict[str, Callable[[Any], Any]] = {
    "encode_column": lambda column: st.Tokenizer.load().encode_column(column),
    "encode_batch": lambda column: st.Tokenizer.load().encode_batch(column),
    "__call__": lambda column: st.Tokenizer.load()(column),
    "count_runs": count_runs,
    "normalize_column": normalize_column,
    "count": lambda column: st.count(texts=column),
    "shard": lambda column: st.shard(texts=column),
    "sample": lambda column: st.sample(texts=column, size=1),
    "clean": lambda column: st.clean(texts=column),
    "bench": lambda column: st.bench(texts=column),
    "train": lambda column: st.train(texts=column, size=300),
}


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view(), "dictionary"], ids=str)
@pytest.mark.parametrize("verb", list(IN_MEMORY))
def test_item_1_a_column_in_memory_is_refused(verb: str, kind: Any) -> None:
    for wrong in WRONG:
        column = strings([b"hola", None, wrong, b"\xb1o"], None if kind == pa.string() else kind)
        for given in (column, pa.chunked_array([column]), column.slice(1)):
            with pytest.raises(st.SpanishTokError, match=r"(?i)utf-?8|not text"):
                IN_MEMORY[verb](given)


def test_item_1_the_row_is_named_also_after_the_word_is_known() -> None:
    tokenizer = st.Tokenizer.load()
    for _ in range(2):
        with pytest.raises(st.SpanishTokError, match="Row 2 of the column is not valid UTF-8"):
            tokenizer.encode_column(strings([b"hola", b"", b"a\xf1o"]))
    assert tokenizer.decode_column(tokenizer.encode_column(strings(["año".encode(), None]))).to_pylist() == [
        "año",
        "",
    ]


@pytest.mark.parametrize("form", ["parquet", "arrow", "memory"])
def test_item_1_rows_of_named_columns_follow_the_options(form: str, tmp_path: Path) -> None:
    wrong = strings([b"uno", b"a\xf1o", b"tres"])
    table = pa.table(
        {
            "text": wrong,
            "answers": pa.ListArray.from_arrays(pa.array([0, 1, 2, 3], pa.int32()), wrong),
            "deep": pa.StructArray.from_arrays(
                [wrong, strings([b"x", b"y", b"z"], pa.large_string())], ["es", "en"]
            ),
            "known": strings([b"a", b"\xf1", b"a"], "dictionary"),
        }
    )
    path: Any = tmp_path / f"x.{form}"
    if form == "parquet":
        pq.write_table(table, path)
    elif form == "arrow":
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table)
    else:
        path = table
    columns = ["text", "deep.es", "known"]
    rows = list(rows_of(path, columns, listed=["answer"], optional=["answer"]))
    assert [row.values["text"] for row in rows] == ["uno", "año", "tres"]
    assert [row.repaired for row in rows] == [False, True, False]
    assert rows[1].values["deep.es"] == "año"
    assert rows[1].values["known"] == "ñ"
    assert rows[1].lists["answer"] == ("año",)
    for way in ("reject", "error"):
        rows = list(rows_of(path, columns, options=ReadOptions(invalid_utf8=way)))
        assert [bool(row.fault) for row in rows] == [False, True, False]


def test_item_1_lists_of_words_follow_the_options(tmp_path: Path) -> None:
    table = pa.table({"word": strings([b"casa", b"a\xf1o"]), "count": [3, 4]})
    pq.write_table(table, tmp_path / "words.parquet")
    (tmp_path / "words.csv").write_bytes(b"word,count\ncasa,3\na\xf1o,4\n")
    told = Told()
    for given in (table, tmp_path / "words.parquet", tmp_path / "words.csv"):
        counts = st.Counts.from_words(given)
        assert (counts.table["run"].to_pylist(), counts.repaired) == (["▁año", "▁casa"], 1)
        rejecting = ReadOptions(invalid_utf8="reject")
        assert st.Counts.from_words(given, reading=rejecting).table["run"].to_pylist() == ["▁casa"]
        with pytest.raises(st.SpanishTokError, match="row 2 is not valid UTF-8"):
            st.Counts.from_words(given, reading=ReadOptions(invalid_utf8="error"))
        if not isinstance(given, pa.Table):
            st.count(given, progress=told)
    assert told.messages == ["words: 1 words repaired"] * 2


def test_item_1_tables_of_counts_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.parquet"
    for name in ("run", "piece"):
        pq.write_table(pa.table({name: strings([b"a\xf1o"]), "count": [3]}), path)
        with pytest.raises(st.SpanishTokError, match="UTF8"):
            PieceCounts.of_table(st.Tokenizer.load(), path)
    with pytest.raises(st.SpanishTokError, match=r"UTF-?8"):
        st.train(st.Counts(pa.table({"run": strings([b"a\xf1o"]), "count": [3]})), size=300)


def test_item_1_rows_of_a_file_say_so_in_finetune(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"text": strings([b"a\xf1o"])}), path)
    (row,) = read_rows(path, ["text"])
    assert (row.values, row.repaired) == ({"text": "año"}, True)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_row_is_counted_over_chunks_and_slices(threads: int) -> None:
    wrong = strings([b"uno", b"a\xf1o"])
    with pytest.raises(st.SpanishTokError, match="Row 3 of the column is not valid UTF-8"):
        st.Tokenizer.load().encode_column(pa.chunked_array([["dos", "tres"], wrong]), threads=threads)
    with pytest.raises(st.SpanishTokError, match="Row 3 of the column is not valid UTF-8"):
        normalize_column(pa.chunked_array([["dos", "tres"], wrong]))
    many = strings([*[b"palabra " * 1000] * 1500, b"a\xf1o"])  # three slices
    with pytest.raises(st.SpanishTokError, match="Row 1500 of the column is not valid UTF-8"):
        st.Tokenizer.load().encode_column(many, threads=threads)
