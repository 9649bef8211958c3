"""Readers: every trap of real files comes through with exact rows and texts, or is an error that names the row."""

import csv
import gzip
import hashlib
import io
import json
import lzma
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanish_tok import SpanishTokError
from spanish_tok.files import write_json
from spanish_tok.readers.hub import HubSet
from spanish_tok.readers.inputs import Input, inputs_of, rereadable
from spanish_tok.readers.opening.encoding import repair_utf8
from spanish_tok.readers.opening.paths import expand_paths
from spanish_tok.readers.opening.remote import RetriedStream
from spanish_tok.readers.options import FileReport, ReadOptions
from spanish_tok.readers.records import ReadReport, format_of, read_records
from spanish_tok.readers.rows import read_rows
from spanish_tok.readers.streams import open_stream, size_of

Record = tuple[str | None, str]

# name of the trap -> (a row of bytes, the record that it is)
ROWS: dict[str, tuple[bytes, Record]] = {
    "plain": (b"1\tEl perro come.", ("1", "El perro come.")),
    "begins with a quote": (b'2\t"Hola, dijo', ("2", '"Hola, dijo')),
    "quotes": (b'3\tdijo "hola" y ""adi\xc3\xb3s""', ("3", 'dijo "hola" y ""adiós""')),
    "NA": (b"4\tNA", ("4", "NA")),
    "null": (b"5\tnull", ("5", "null")),
    "empty": (b"6\t", ("6", "")),
    "line separator": ("7\tuno\u2028dos".encode(), ("7", "uno\u2028dos")),
    "next line": ("8\tuno\u0085dos".encode(), ("8", "uno\u0085dos")),
    "carriage return inside": (b"9\tuno\rdos", ("9", "uno\rdos")),
    "windows line end": (b"10\tuno\r", ("10", "uno")),
    "extra tabs": (b"11\tuno\tdos\t\ttres", ("11", "uno\tdos\t\ttres")),
    "only tabs": (b"12\t\t", ("12", "\t")),
    "empty id": (b"\ttexto", ("", "texto")),
    "leading zeros": (b"007\ttexto", ("007", "texto")),
    "backslash": (b"13\tuno\\ndos\\", ("13", "uno\\ndos\\")),
    "vertical tab, form feed": (b"14\tuno\x0bdos\x0ctres\x1c", ("14", "uno\x0bdos\x0ctres\x1c")),
    "NUL": (b"15\tuno\0dos", ("15", "uno\0dos")),
    "comment": (b"#16\t# texto", ("#16", "# texto")),
    "number": (b"17\t1e5", ("17", "1e5")),
    "longer than a block": (b"18\t" + "ñandú ".encode() * 40, ("18", "ñandú " * 40)),
}
SMALL = ReadOptions(block_bytes=64)


def read(
    path: Path | str, options: ReadOptions | None = None, **changes: Any
) -> tuple[list[Record], ReadReport]:
    report = ReadReport()
    options = replace(options or ReadOptions(), **changes)
    batches = list(read_records([path], options, report))
    assert all(batch.num_rows and batch.schema.names == ["id", "text"] for batch in batches)
    return [(row["id"], row["text"]) for batch in batches for row in batch.to_pylist()], report


@pytest.mark.parametrize("block_bytes", [1, 7, 64, 1 << 20])
@pytest.mark.parametrize("workers", [1, 3])
def test_every_trap_in_one_file(tmp_path: Path, block_bytes: int, workers: int) -> None:
    (tmp_path / "a.tsv").write_bytes(b"\n".join(row for row, _ in ROWS.values()) + b"\n")
    records, report = read(tmp_path / "a.tsv", block_bytes=block_bytes, workers=workers, rows=len(ROWS))
    assert records == [record for _, record in ROWS.values()]
    assert report.rows == len(ROWS)
    assert report.files[0] == FileReport(
        str(tmp_path / "a.tsv"), len(ROWS), (tmp_path / "a.tsv").stat().st_size, complete=True
    )


@pytest.mark.parametrize("trap", ROWS)
def test_every_trap_first_last_and_without_a_last_newline(tmp_path: Path, trap: str) -> None:
    row, record = ROWS[trap]
    for content, expected in (
        (row, [record]),
        (b"1\tx\n" + row, [("1", "x"), record]),
        (row + b"\n1\tx", [record, ("1", "x")]),
    ):
        (tmp_path / "a.tsv").write_bytes(content)
        records, report = read(tmp_path / "a.tsv", SMALL)
        assert records == expected
        assert report.files[0].unterminated


def test_the_rows_equal_those_of_python(tmp_path: Path) -> None:
    """The slow, obvious reader: split at newlines, then at the first tab."""

    @given(
        st.lists(st.binary(max_size=30).map(lambda row: row.replace(b"\n", b"\r")), max_size=20),
        st.integers(1, 50),
    )
    def equal(rows: list[bytes], block_bytes: int) -> None:
        (tmp_path / "a.tsv").write_bytes(b"".join(b"id\t" + row + b"\n" for row in rows))
        records, _ = read(
            tmp_path / "a.tsv", block_bytes=block_bytes, encoding="utf-8"
        )  # whatever it looks like
        expected = [repair_utf8(row[:-1] if row.endswith(b"\r") else row) for row in rows]
        assert [text for _, text in records] == expected

    equal()


def test_a_byte_order_mark_is_no_part_of_the_first_record(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_bytes(b"\xef\xbb\xbf1\tuno\n2\tdos\n")
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfuno\n\xef\xbb\xbfdos\n")
    assert read(tmp_path / "a.tsv", block_bytes=1)[0] == [("1", "uno"), ("2", "dos")]
    assert read(tmp_path / "a.txt")[0] == [(None, "uno"), (None, "\ufeffdos")]


def test_plain_text_keeps_empty_lines(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("uno\n\n\t dos\r\n\ntrés".encode())
    records, report = read(tmp_path / "a.txt")
    assert records == [(None, text) for text in ("uno", "", "\t dos", "", "trés")]
    assert report.rows == 5
    (tmp_path / "empty.txt").write_bytes(b"")
    assert read(tmp_path / "empty.txt") == (
        [],
        ReadReport([FileReport(str(tmp_path / "empty.txt"), complete=True)]),
    )


INVALID = {
    "latin-1": (b"est\xe1 en Espa\xf1a", "está en España"),
    "in the middle of UTF-8": ("año ".encode() + b"a\xf1o", "año año"),
    "cut in two at the end": ("año".encode()[:2], "a\ufffd"),
    "overlong": (b"x\xc0\xafy", "xÀ¯y"),
    "surrogate": (b"x\xed\xa0\x80y", None),
    "no byte of Windows-1252": (b"x\x81y", "x\ufffdy"),
}


@pytest.mark.parametrize("case", INVALID)
@pytest.mark.parametrize("suffix", ["tsv", "csv"])
def test_invalid_utf8_is_counted_and_repaired_rejected_or_an_error(
    tmp_path: Path, case: str, suffix: str
) -> None:
    data, repaired = INVALID[case]
    header, between = (b"id,text\n", b",") if suffix == "csv" else (b"", b"\t")
    rows = [b"1" + between + b"bien", b"2" + between + data, b"3" + between + "también".encode()]
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(header + b"\n".join(rows) + b"\n")
    records, report = read(path)
    assert [identity for identity, _ in records] == ["1", "2", "3"]
    assert repaired is None or records[1][1] == repaired
    assert (report.rows, report.files[0].repaired, report.rejected) == (3, 1, 0)
    records, report = read(path, invalid_utf8="reject")
    assert records == [("1", "bien"), ("3", "también")]
    assert (report.rows, report.files[0].repaired, report.rejected) == (3, 0, 1)
    with pytest.raises(SpanishTokError, match=rf"a\.{suffix}, row 2 is not valid UTF-8"):
        read(path, invalid_utf8="error")


def test_an_invalid_id_is_found_too(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_bytes(b"a\xf1o\ttexto\n1\t\xff\n")
    assert read(tmp_path / "a.tsv")[0] == [("año", "texto"), ("1", "ÿ")]


def test_a_row_without_a_tab_names_its_row(tmp_path: Path) -> None:
    """What a file cut off in the middle of an id leaves, and what an HTML error page instead of data looks like."""
    (tmp_path / "a.tsv").write_bytes(b"".join(b"%d\tx\n" % n for n in range(40)) + b"4")
    for block_bytes in (8, 1 << 20):
        with pytest.raises(SpanishTokError, match=r"a\.tsv, row 41: it has no tab"):
            read(tmp_path / "a.tsv", block_bytes=block_bytes)
    records, report = read(tmp_path / "a.tsv", SMALL, malformed="reject")
    assert (len(records), report.rows, report.rejected) == (40, 41, 1)
    (tmp_path / "b.tsv").write_bytes(b"1\tx\n\n2\ty\n")
    with pytest.raises(SpanishTokError, match=r"b\.tsv, row 2: it has no tab"):
        read(tmp_path / "b.tsv")


def test_a_short_file_is_not_taken_for_the_whole(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_bytes(b"1\tx\n2\t")  # cut off in the middle of row 2
    with pytest.raises(SpanishTokError, match=r"2 rows were read up to the end of .*a\.tsv.* must be 3"):
        read(tmp_path / "a.tsv", rows=3)
    records, report = read(tmp_path / "a.tsv")
    assert records == [("1", "x"), ("2", "")]
    assert report.files[0].unterminated  # the only sign, where nobody said how many rows there must be


def test_csv(tmp_path: Path) -> None:
    rows = [
        ["id", "otra", "text"],
        ["1", "", "con, coma"],
        ["2", "x", 'con "comillas"'],
        ["3", "", "en dos\nlíneas"],
        ["4", "", "NA"],
        ["", "", ""],
        ["6", "", "uno\u2028dos\u0085tres"],
        ["7", "", "x" * 200_000],
    ]
    with open(tmp_path / "a.csv", "w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file).writerows(rows)
    records, report = read(tmp_path / "a.csv", rows=7)
    assert records == [(row[0], row[2]) for row in rows[1:]]
    assert report.files[0].complete
    (tmp_path / "b.csv").write_text("id,text\n1,a\n2,b,c\n3,d\n")
    with pytest.raises(SpanishTokError, match=r"b\.csv, row 2: it has 3 columns where the header has 2"):
        read(tmp_path / "b.csv")
    records, report = read(tmp_path / "b.csv", malformed="reject")
    assert (records, report.rejected) == ([("1", "a"), ("3", "d")], 1)
    (tmp_path / "c.csv").write_text('id,text\n1,a\n2,b\n3,"abierta\n4,d\n')
    with pytest.raises(SpanishTokError, match=r"c\.csv, row 3: it is not CSV \(unexpected end"):
        read(tmp_path / "c.csv")
    with pytest.raises(SpanishTokError, match=r"has no column 'frase'; its columns are 'id', 'text'"):
        read(tmp_path / "b.csv", text="frase")


def test_json_lines(tmp_path: Path) -> None:
    rows = [{"id": 1, "text": "uno\ndos"}, {"text": ""}, {"id": "c", "text": "NA\u2028x", "otra": [1]}]
    (tmp_path / "a.jsonl").write_text(
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8"
    )
    assert read(tmp_path / "a.jsonl")[0] == [("1", "uno\ndos"), (None, ""), ("c", "NA\u2028x")]
    (tmp_path / "b.jsonl").write_text('{"text": "bien"}\n{"text": 5}\n{"text": "cort')
    with pytest.raises(SpanishTokError, match=r"b\.jsonl, row 2: its 'text' is a int, not a text"):
        read(tmp_path / "b.jsonl")
    records, report = read(tmp_path / "b.jsonl", malformed="reject")
    assert (records, report.rows, report.rejected) == ([(None, "bien")], 3, 2)
    (tmp_path / "c.jsonl").write_text('{"text": "bien"}\n{"text": "cort')
    with pytest.raises(SpanishTokError, match=r"c\.jsonl, row 2: it is not JSON"):
        read(tmp_path / "c.jsonl")
    (tmp_path / "d.jsonl").write_text('{"text": "lone \\ud83d half"}\n')
    assert read(tmp_path / "d.jsonl")[0] == [(None, "lone \ufffd half")]


@pytest.mark.parametrize(
    "column", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string()), pa.binary()]
)
def test_parquet(tmp_path: Path, column: pa.DataType) -> None:
    texts = (
        pa.array(["NA", "", "año"]).cast(column)
        if column != pa.binary()
        else pa.array([b"NA", b"", "año".encode()])
    )
    pq.write_table(pa.table({"id": pa.array([1, 2, 3]), "text": texts}), tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet", rows=3)[0] == [("1", "NA"), ("2", ""), ("3", "año")]


def test_parquet_nulls_and_damage(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": pa.array(["a", None, "c"] * 20_000)}), tmp_path / "a.parquet")
    with pytest.raises(SpanishTokError, match=r"a\.parquet, row 2: its 'text' is null"):
        read(tmp_path / "a.parquet")
    records, report = read(tmp_path / "a.parquet", malformed="reject")
    assert (len(records), report.rows, report.rejected) == (40_000, 60_000, 20_000)
    content = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "b.parquet").write_bytes(content[:-9])
    with pytest.raises(SpanishTokError, match=r"b\.parquet is cut off, damaged"):
        read(tmp_path / "b.parquet")
    (tmp_path / "c.txt.parquet").write_bytes(b"no es parquet")
    with pytest.raises(SpanishTokError, match="not Parquet"):
        read(tmp_path / "c.txt.parquet")


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return bytes(sink.getvalue())


COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {"gz": gzip.compress, "zst": zstd, "xz": lzma.compress}
CONTENT = b"".join(b"%d\ttexto n\xc3\xbamero %d\n" % (n, n * 7919) for n in range(30_000))


@pytest.mark.parametrize("suffix", COMPRESSIONS)
def test_compressed_whole_in_several_members_and_cut_off(tmp_path: Path, suffix: str) -> None:
    compress = COMPRESSIONS[suffix]
    path = tmp_path / f"a.tsv.{suffix}"
    expected = [tuple(line.split("\t")) for line in CONTENT.decode().splitlines()]
    path.write_bytes(compress(CONTENT))
    assert read(path, block_bytes=50_000)[0] == expected
    path.write_bytes(compress(CONTENT[:1000]) + compress(CONTENT[1000:]))
    assert read(path)[0] == expected
    whole = compress(CONTENT)
    for cut in (len(whole) // 2, len(whole) - 3):
        path.write_bytes(whole[:cut])
        with pytest.raises(SpanishTokError, match=rf"a\.tsv\.{suffix} is cut off or damaged"):
            read(path)
    path.write_bytes(whole[: len(whole) // 2] + b"\x55" * 50 + whole[len(whole) // 2 + 50 :])
    with pytest.raises(SpanishTokError, match=rf"a\.tsv\.{suffix} is cut off or damaged"):
        read(path)
    path.write_bytes(b"not compressed\n")
    with pytest.raises(SpanishTokError, match=rf"a\.tsv\.{suffix} is cut off or damaged"):
        read(path)


@pytest.mark.parametrize("suffix", ["tsv", "tsv.gz", "csv", "jsonl", "parquet"])
@pytest.mark.parametrize("after", [1, 3])
def test_reading_goes_on_where_it_stopped(tmp_path: Path, suffix: str, after: int) -> None:
    rows = [(str(n), f"texto {n} ñ") for n in range(40_000)]
    path = tmp_path / f"a.{suffix}"
    table = pa.table({"id": [identity for identity, _ in rows], "text": [text for _, text in rows]})
    lines = "".join(f"{identity}\t{text}\n" for identity, text in rows).encode()
    if suffix == "parquet":
        pq.write_table(table, path)
    elif suffix == "csv":
        path.write_text("id,text\n" + lines.decode().replace("\t", ","), encoding="utf-8")
    elif suffix == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()), encoding="utf-8")
    else:
        path.write_bytes(lines if suffix == "tsv" else gzip.compress(lines))
    (tmp_path / "b.tsv").write_bytes(b"x\ty\n")
    options, report = ReadOptions(block_bytes=100_000), ReadReport()
    stream = read_records([path, tmp_path / "b.tsv"], options, report)
    first = [next(stream) for _ in range(after)]
    cast(Generator[pa.RecordBatch], stream).close()
    assert not report.files[0].complete
    rest = list(read_records([path, tmp_path / "b.tsv"], options, report))
    ids = [identity for batch in first + rest for identity in batch.column("id").to_pylist()]
    assert ids == [*(identity for identity, _ in rows), "x"]
    assert report.rows == 40_001


def test_folders_are_what_their_manifest_says(tmp_path: Path) -> None:
    folder = tmp_path / "sample"
    folder.mkdir()
    for number in (0, 1, 2):
        pq.write_table(pa.table({"text": [f"texto {number}"]}), folder / f"{number}.parquet")
    assert [text for _, text in read(folder)[0]] == ["texto 0", "texto 1", "texto 2"]
    assert [text for _, text in read(f"{folder}/[12].parquet")[0]] == ["texto 1", "texto 2"]
    (folder / "unfinished").mkdir()
    with pytest.raises(SpanishTokError, match=r"sample is unfinished: it has no manifest\.json"):
        read(folder)
    with pytest.raises(SpanishTokError, match="is a folder without files of text"):
        read(folder / "unfinished")
    write_json(folder / "manifest.json", {"shards": [{"file": "1.parquet"}, {"file": "0.parquet"}]})
    assert [text for _, text in read(folder)[0]] == ["texto 1", "texto 0"]


def test_formats_by_name(tmp_path: Path) -> None:
    assert format_of("a/b.c/es.jsonl.xz") == "jsonl"
    assert format_of("hf://datasets/x/y@z/es.parquet") == "parquet"
    (tmp_path / "datos").write_text("uno\n")
    with pytest.raises(SpanishTokError, match=r"datos is not known by its name. Give --format"):
        read(tmp_path / "datos")
    assert read(tmp_path / "datos", format="text")[0] == [(None, "uno")]
    with pytest.raises(SpanishTokError, match="There is no format 'xml'"):
        read(tmp_path / "datos", format="xml")
    with pytest.raises(SpanishTokError, match="nada does not exist"):
        read(tmp_path / "nada")
    assert size_of(tmp_path / "datos") == 4


class Flaky(io.BytesIO):
    """Gives ten bytes, then fails."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() % 10 == 9:
            self.seek(self.tell() + 0)
            raise TimeoutError("no answer")
        return super().read(min(size or 9, 9 - self.tell() % 10))


def test_a_stream_that_stops_is_opened_again_where_it_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spanish_tok.readers.opening.remote.FIRST_PAUSE", 0.0)
    content, opened = bytes(range(100)), []

    def open_at(_location: str, offset: int) -> tuple[Any, int]:
        opened.append(offset)
        return Flaky(content[offset:]), len(content)

    assert RetriedStream("x", open_at).readall() == content
    assert opened == [*range(0, 100, 9)]

    def never(_location: str, _offset: int) -> tuple[Any, int]:
        raise ConnectionResetError("reset")

    with pytest.raises(SpanishTokError, match=r"x failed 5 times at byte 0 \(ConnectionResetError: reset\)"):
        RetriedStream("x", never)

    def short(_location: str, offset: int) -> tuple[Any, int]:
        return io.BytesIO(content[offset:50]), len(content)

    with pytest.raises(SpanishTokError, match=r"at byte 50 .*the answer ended at byte 50 of 100"):
        RetriedStream("x", short).readall()


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    class Input:
        buffer = io.BytesIO(b"1\tuno\n")

    monkeypatch.setattr("sys.stdin", Input)
    with open_stream("-") as stream:
        assert stream.read() == b"1\tuno\n"


def test_a_pattern_at_an_address_stands_for_its_files(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", "c.tsv"):
        (tmp_path / name).write_text(f"{name}\n")
    found = expand_paths([f"file://{tmp_path}/*.txt"])
    assert found == [f"file://{tmp_path}/a.txt", f"file://{tmp_path}/b.txt"]
    assert [batch["text"].to_pylist() for batch in read_records(found)] == [["a.txt"], ["b.txt"]]
    with pytest.raises(SpanishTokError, match="Nothing matches"):
        expand_paths([f"file://{tmp_path}/*.parquet"])
    with pytest.raises(SpanishTokError, match="cannot be read"):
        list(read_records(["nonsense://bucket/a.txt"]))


@pytest.mark.parametrize("row_group_size", [500, 20_000])
def test_reading_a_large_parquet_file_holds_little_of_it(row_group_size: int, tmp_path: Path) -> None:
    path = tmp_path / "es.parquet"
    texts = pa.table({"text": [f"{number} " * 200 for number in range(20_000)]})
    pq.write_table(texts, path, row_group_size, compression="none", use_dictionary=False)
    del texts
    before = pa.total_allocated_bytes()
    for location in (str(path), f"file://{path}")[: 2 if row_group_size == 500 else 1]:
        held = [pa.total_allocated_bytes() - before for _ in read_records([location])]
        assert max(held) < path.stat().st_size * 0.6  # a batch is 8,192 of the 20,000 rows


def test_texts_in_memory_are_read_as_files_are() -> None:
    import pandas
    import polars

    texts = ["¡Hola!", "", "mañana"]
    columns = [texts, iter(texts), pa.array(texts), pa.chunked_array([texts[:1], texts[1:]])]
    columns += [pandas.Series(texts), polars.Series(texts), pa.table({"text": texts})["text"]]
    for column in columns:
        (item,) = inputs_of(texts=column).items
        report = FileReport(item.name)
        batches = list(item.read(report))
        assert [text for batch in batches for text in batch["text"].to_pylist()] == texts
        assert (report.rows, report.complete) == (3, True)
        assert item.identity() == inputs_of(texts=texts).items[0].identity()
    assert (
        inputs_of(texts=["a", "bc"]).items[0].identity() != inputs_of(texts=["ab", "c"]).items[0].identity()
    )
    with pytest.raises(SpanishTokError, match="row 2: its 'text' is null"):
        list(inputs_of(texts=["uno", None]).items[0].read(FileReport("texts")))
    for wrong in ("hola", [1], 7):
        with pytest.raises(SpanishTokError, match="texts= "):
            inputs_of(texts=wrong)
    with pytest.raises(SpanishTokError, match="texts= is a dict, not a column"):
        inputs_of(texts={"text": texts})
    with pytest.raises(SpanishTokError, match="Nothing to read is given"):
        inputs_of()
    with pytest.raises(SpanishTokError, match="Both files and texts= are given"):
        inputs_of("a.txt", texts=texts)


def test_the_identity_of_texts_is_that_of_each_text_and_not_of_their_chunks() -> None:
    def identity(texts: Any) -> Any:
        return inputs_of(texts=texts).items[0].identity()

    texts = ["¡Hola!", "", "mañana", "sí"]
    whole = identity(texts)
    sliced = pa.chunked_array([pa.array(["x", *texts[:3]]).slice(1), pa.array(texts[3:])])
    assert identity(sliced) == whole
    others = (["¡Hola!m", "", "añana", "sí"], texts[::-1], texts[:3], ["¡Hola!", None, "mañana", "sí"])
    assert all(identity(other) != whole for other in others)
    assert identity([]) == identity(pa.chunked_array([], pa.string()))


def test_texts_in_memory_resume_where_they_stopped() -> None:
    texts = [f"texto {number}" for number in range(20_000)]
    (item,) = inputs_of(texts=iter(texts)).items
    report = FileReport(item.name)
    first = next(item.read(report))
    assert 0 < report.rows == len(first) < 20_000
    rest = [text for batch in item.read(report) for text in batch["text"].to_pylist()]
    assert first["text"].to_pylist() + rest == texts
    assert item.guessed_rows() == 20_000


def test_standard_input_is_copied_and_read_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Stdin:
        buffer = io.BytesIO(b"1\tuno\n2\tdos\n3\n")

    monkeypatch.setattr("sys.stdin", Stdin)
    with rereadable(
        inputs_of("-", ReadOptions(format="tsv", malformed="reject")), tmp_path / "out"
    ) as inputs:
        (item,) = inputs.items
        assert item.copy is not None
        assert list(tmp_path.iterdir()) == [item.copy.copy]
        for _ in range(2):
            report = FileReport(item.name)
            rows = [tuple(row.values()) for batch in item.read(report) for row in batch.to_pylist()]
            assert rows == [("1", "uno"), ("2", "dos")]
            assert (report.rows, report.rejected) == (3, 1)
        assert not item.is_file
        digest = hashlib.sha256(Stdin.buffer.getvalue()).hexdigest()
        assert item.identity() == {"name": "-", "sha256": digest}
        assert item.described()["sha256"] == digest
    assert list(tmp_path.iterdir()) == []


def test_two_splits_of_a_hub_set_are_two_inputs() -> None:
    sets = [HubSet("usuaria/noticias", "v1", None, split) for split in ("train", "test")]
    items = [Input("noticias", "hf://datasets/usuaria/noticias@v1", ReadOptions(), one) for one in sets]
    assert items[0].identity() != items[1].identity()


def test_an_empty_folder_of_a_sample_holds_no_records(tmp_path: Path) -> None:
    write_json(tmp_path / "manifest.json", {"shards": []})
    inputs = inputs_of(tmp_path)
    assert (inputs.items, inputs.guessed_rows(), inputs.bytes) == ((), 0, 0)
    with pytest.raises(SpanishTokError, match="the input is empty: it holds no records"):
        inputs.check([])
    with pytest.raises(SpanishTokError, match="Nothing to read is given"):
        inputs_of([])
    with pytest.raises(SpanishTokError, match=r"Nothing matches .*\*\.tsv"):
        inputs_of(f"{tmp_path}/*.tsv")


def test_both_faces_of_a_reader_give_the_same_texts(tmp_path: Path) -> None:
    """Batches of (id, text) and rows of named columns come from one parser of each format."""
    traps = [record for row, record in ROWS.values() if b"\0" not in row]
    (tmp_path / "a.jsonl").write_text(
        "".join(json.dumps({"id": identity, "text": text}) + "\n" for identity, text in traps)
    )
    with open(tmp_path / "a.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("id", "text"), *traps])
    pq.write_table(
        pa.table({"id": [identity for identity, _ in traps], "text": [text for _, text in traps]}),
        tmp_path / "a.parquet",
    )
    for suffix in ("jsonl", "csv", "parquet"):
        path = tmp_path / f"a.{suffix}"
        rows = [(row.values["id"], row.values["text"]) for row in read_rows(path, ["id", "text"])]
        assert rows == read(path)[0] == traps, suffix
