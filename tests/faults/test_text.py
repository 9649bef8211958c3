"""Text that is not clean UTF-8, and columns and rows of every format (rows A4, A10-A13, A20, B5, B15, C, E4, E11)."""

import csv
import io
import json
import random
import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import spanish_tok as st
from spanish_tok import ReadOptions, SpanishTokError
from spanish_tok.readers.options import FileReport
from spanish_tok.readers.records import ReadReport, read_records
from spanish_tok.readers.rows import read_rows, rows_of
from spanish_tok.readers.streams import lines_of
from spanish_tok.shards.reader import read_manifest
from tests.faults.verbs import LINE_VERBS, READ_LINES, VERBS, command, run

TEXT = "El niño comió piñones.\nLa cigüeña vuela sobre el río.\n¿Qué hora es?\n" * 40
LINES = TEXT.splitlines()
TEXTS = ReadOptions(format="text")
ALL = (*VERBS, *LINE_VERBS)


def texts_of(path: object, **options: Any) -> list[str]:
    return [t for b in read_records([str(path)], ReadOptions(**options)) for t in b["text"].to_pylist()]


# One policy for text that is not clean UTF-8


@pytest.mark.parametrize("codec", ["utf-16", "utf-32", "utf-8-sig", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("verb", READ_LINES)
def test_A10_a_byte_order_mark_is_decoded_in_every_verb(tmp_path: Path, verb: str, codec: str) -> None:
    mark = "\ufeff" if codec.endswith(("le", "be")) else ""
    (tmp_path / "x.txt").write_bytes((mark + TEXT).encode(codec))
    (tmp_path / "plain.txt").write_bytes(TEXT.encode())
    (tmp_path / "a").mkdir()
    read = READ_LINES[verb]
    assert read(tmp_path / "x.txt", tmp_path, TEXTS) == read(tmp_path / "plain.txt", tmp_path / "a", TEXTS)


UNMARKED = ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]


@pytest.mark.parametrize("codec", UNMARKED)
@pytest.mark.parametrize("verb", ALL)
def test_A10_without_a_mark_the_encoding_is_named(tmp_path: Path, verb: str, codec: str) -> None:
    (tmp_path / "x.txt").write_bytes(TEXT.encode(codec))
    ended = run(*command(verb, tmp_path / "x.txt", tmp_path))
    assert (ended.status, ended.is_one_line, ended.printed) == (2, True, "")
    assert f"Give --encoding {codec}." in ended.said
    assert [path.name for path in tmp_path.iterdir()] == ["x.txt"]  # before any work


@pytest.mark.parametrize("codec", [*UNMARKED, "cp1252", "latin-1", "cp850", "mac-roman", "utf-7", "gb18030"])
@pytest.mark.parametrize("verb", ["count", "normalize"])
def test_A10_any_codec_of_python_works(tmp_path: Path, verb: str, codec: str) -> None:
    (tmp_path / "x.txt").write_bytes(TEXT.encode(codec))
    reading = ReadOptions(encoding=codec)
    assert texts_of(tmp_path / "x.txt", encoding=codec) == LINES
    expected = st.normalize(LINES) if verb == "normalize" else st.count(texts=LINES).fingerprint
    assert READ_LINES[verb](tmp_path / "x.txt", tmp_path, reading) == expected
    assert run(*command(verb, tmp_path / "x.txt", tmp_path, "--encoding", codec)).status == 0


@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl"])
@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "cp1252"])
def test_A10_every_format_is_decoded_and_resumes(tmp_path: Path, form: str, codec: str) -> None:
    rows = [{"id": str(number), "text": f"año {number}"} for number in range(20_000)]
    content = {
        "csv": "id,text\n" + "".join(f"{row['id']},{row['text']}\n" for row in rows),
        "tsv": "".join(f"{row['id']}\t{row['text']}\n" for row in rows),
        "jsonl": "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows),
    }[form]
    (tmp_path / f"x.{form}").write_bytes(content.encode(codec))
    options = ReadOptions(encoding=None if codec == "utf-16" else codec, block_bytes=100_000)
    report = ReadReport()
    stream = read_records([tmp_path / f"x.{form}"], options, report)
    found = [next(stream)]
    assert not report.files[0].complete
    found += read_records([tmp_path / f"x.{form}"], options, report)
    assert pa.Table.from_batches(found).to_pylist() == rows


@pytest.mark.parametrize("wrong", ["no-such-codec", "base64", "rot13", "undefined", "", "utf-16\0"])
def test_A10_what_is_no_encoding_is_one_line(tmp_path: Path, wrong: str) -> None:
    (tmp_path / "x.txt").write_text(TEXT, encoding="utf-8")
    with pytest.raises(SpanishTokError, match="knows no encoding"):
        st.count(tmp_path / "x.txt", reading=ReadOptions(encoding=wrong))


def test_A10_what_a_codec_cannot_decode_is_counted(tmp_path: Path) -> None:
    data = "uno\nd".encode("utf-16-le") + b"\x00\xd8" + "s\ntres\n".encode("utf-16-le")  # half of a pair
    (tmp_path / "x.txt").write_bytes(data)
    report = ReadReport()
    (batch,) = read_records([tmp_path / "x.txt"], ReadOptions(encoding="utf-16-le"), report)
    assert batch["text"].to_pylist() == ["uno", "d\ufffds", "tres"]
    assert report.files[0].repaired == 1
    with pytest.raises(SpanishTokError, match="row 2 is not valid UTF-8"):
        texts_of(tmp_path / "x.txt", encoding="utf-16-le", invalid_utf8="error")


def test_A10_other_zeros_are_text(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes(b"uno\0dos\n\0\0tres cuatro\n" * 100)
    assert texts_of(tmp_path / "x.txt")[:2] == ["uno\0dos", "\0\0tres cuatro"]


BINARY = {
    "random": random.Random(1).randbytes(200_000),
    "few random bytes": random.Random(2).randbytes(100),
    "PNG": b"\x89PNG\r\n\x1a\n" + bytes(40),
    "Parquet": b"PAR1" + b"a" * 100 + b"PAR1",
    "ZIP": b"PK\x03\x04" + b"a" * 100,
    "tar": b"x.txt" + bytes(252) + b"ustar\0" + b"00" + b"a" * 300,
    "ELF": b"\x7fELF\x02\x01\x01" + b"text" * 30,
    "PDF": b"%PDF-1.7\n" + b"texto\n" * 100,
    "a pickle": b"\x80\x04\x95" + b"texto\n" * 30,
    "every byte": bytes(range(256)) * 40,
}


@pytest.mark.parametrize("kind", BINARY)
@pytest.mark.parametrize("verb", ALL)
def test_A11_a_binary_file_is_no_text_in_any_verb(tmp_path: Path, verb: str, kind: str) -> None:
    (tmp_path / "x.txt").write_bytes(BINARY[kind])
    ended = run(*command(verb, tmp_path / "x.txt", tmp_path))
    assert (ended.status, ended.is_one_line, ended.printed) == (2, True, ""), ended
    assert "x.txt is no text" in ended.said
    assert [path.name for path in tmp_path.iterdir()] == ["x.txt"]


@pytest.mark.parametrize("verb", ALL)
def test_A11_it_is_refused_before_the_files_before_it_are_read(tmp_path: Path, verb: str) -> None:
    (tmp_path / "a.txt").write_text(TEXT, encoding="utf-8")
    (tmp_path / "b.txt").write_bytes(BINARY["random"])
    ended = run(*command(verb, f"{tmp_path}/*.txt", tmp_path))
    assert (ended.status, ended.printed) == (2, "")
    assert "b.txt is no text" in ended.said


SPOILT = b"".join(b"a\xf1o %d\n" % n if n % 5 == 0 else b"dia %d de la semana\n" % n for n in range(100))
SPOILT = (
    SPOILT[: SPOILT.index(b"dia 99")]
    + "".join(f"{a}{b}{c} " for a in "bcdfglmnprst" for b in "aeiou" for c in "lnrsdtczm").encode()
    + b"\n"
)
MEASURED = [pytest.param(verb, marks=pytest.mark.slow) if verb == "bench" else verb for verb in ALL]


@pytest.mark.parametrize("verb", MEASURED)
def test_A13_repaired_and_rejected_rows_are_told_by_every_verb(tmp_path: Path, verb: str) -> None:
    (tmp_path / "x.txt").write_bytes(SPOILT)
    path = tmp_path / "x.txt"
    for choice, said in (("repair", "20 of 100 rows repaired"), ("reject", "20 of 100 rows rejected")):
        (tmp_path / choice).mkdir()
        ended = run(*command(verb, path, tmp_path / choice, "--invalid-utf8", choice))
        assert ended.status == 0, ended
        assert said in ended.said, (choice, ended)
    ended = run(*command(verb, path, tmp_path, "--invalid-utf8", "error"))
    assert (ended.status, ended.is_one_line) == (2, True)
    assert "x.txt, row 1 is not valid UTF-8" in ended.said


def test_A13_manifests_and_counts_hold_what_was_lost(tmp_path: Path) -> None:
    words = [a + b + c for a in "bcdfglmnprst" for b in "aeiou" for c in "lnrsdtcz"] * 2
    half = "".join(f'{{"text": "{word} hola"}}\n{{"nada": 1}}\n' for word in words[:500])
    (tmp_path / "x.jsonl").write_text(half)
    for verb in ("count", "train", "shard", "clean", "sample"):
        ended = run(*command(verb, tmp_path / "x.jsonl", tmp_path, "--malformed", "reject"))
        assert "500 of 1,000 rows rejected" in ended.said, ended
    counts = st.Counts.load(tmp_path / "counts.parquet")
    assert (counts.records, counts.rejected, counts.repaired) == (500, 500, 0)
    assert st.merge([counts, counts]).rejected == 1000
    assert json.loads((tmp_path / "vocabulary" / "manifest.json").read_text())["rejected"] == 500
    manifest = json.loads((tmp_path / "shards" / "manifest.json").read_text())
    assert (manifest["rejected"], manifest["repaired"]) == (500, 0)
    assert json.loads((tmp_path / "sample" / "manifest.json").read_text())["read"][0]["rejected"] == 500
    assert read_manifest(tmp_path / "shards", st.Vocabulary.load(vocabulary_folder()))["records"] == 500


def vocabulary_folder() -> Path:
    from spanish_tok.files import shipped

    return shipped("vocab/es-5000")


def test_A13_all_rejected_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"nada": 1}\n' * 5)
    with pytest.raises(SpanishTokError, match=r"x\.jsonl holds no records: all of its 5 rows were rejected"):
        st.count(tmp_path / "x.jsonl", reading=ReadOptions(malformed="reject"))


# Columns


VOICE = "client_id\tpath\tsentence\tage\n" + "".join(
    f'c{n}\tp{n}.mp3\t"Hola", dijo {n}.\t\r\n' for n in range(30)
)


@pytest.mark.parametrize("verb", READ_LINES)
def test_A4_a_named_column_of_tsv(tmp_path: Path, verb: str) -> None:
    if verb == "normalize":
        pytest.skip("reads lines, not columns")
    (tmp_path / "cv.tsv").write_text(VOICE, encoding="utf-8", newline="")
    (tmp_path / "x.txt").write_text("".join(f'"Hola", dijo {n}.\n' for n in range(30)), encoding="utf-8")
    (tmp_path / "a").mkdir()
    read = READ_LINES[verb]
    named = read(tmp_path / "cv.tsv", tmp_path, ReadOptions(text="sentence"))
    assert named == read(tmp_path / "x.txt", tmp_path / "a", ReadOptions())


def test_A4_tsv_by_columns_is_exact(tmp_path: Path) -> None:
    (tmp_path / "cv.tsv").write_bytes(b"\xef\xbb\xbf" + VOICE.encode())
    options = ReadOptions(id="path", text="sentence", block_bytes=50)
    report = ReadReport()
    stream = read_records([tmp_path / "cv.tsv"], options, report)
    batches = [next(stream)]
    batches += read_records([tmp_path / "cv.tsv"], options, report)
    rows = pa.Table.from_batches(batches).to_pylist()
    assert rows == [{"id": f"p{n}.mp3", "text": f'"Hola", dijo {n}.'} for n in range(30)]
    assert report.rows == 30
    last = texts_of(tmp_path / "cv.tsv", text="age")
    assert last == [""] * 30
    with pytest.raises(
        SpanishTokError, match="has no column 'frase'; its columns are 'client_id', 'path', 'sentence'"
    ):
        texts_of(tmp_path / "cv.tsv", text="frase")
    (tmp_path / "b.tsv").write_text("id\ttext\n1\tuno\n2\tdos\tmas\n3\ttres\n")
    assert texts_of(tmp_path / "b.tsv")[0] == "text"  # headerless stays the default
    with pytest.raises(SpanishTokError, match="row 2: it does not have 2 columns, as the first row has"):
        texts_of(tmp_path / "b.tsv", header=True)
    assert texts_of(tmp_path / "b.tsv", header=True, malformed="reject") == ["uno", "tres"]
    ended = run(
        "count", tmp_path / "b.tsv", "--column", "text", "--malformed", "reject", "--output", tmp_path / "c"
    )
    assert "2 records" in ended.printed


def test_A12_a_number_that_is_none_is_null(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(
        '{"id": NaN, "text": "hola", "label": NaN}\n{"text": NaN, "label": "b"}\n'
    )
    with pytest.raises(SpanishTokError, match="row 2: it has no text under 'text'"):
        texts_of(tmp_path / "x.jsonl")
    (batch,) = read_records([tmp_path / "x.jsonl"], ReadOptions(malformed="reject"))
    assert batch.to_pylist() == [{"id": None, "text": "hola"}]
    faults = [row.fault for row in read_rows(tmp_path / "x.jsonl", ["text", "label"])]
    assert faults == ["it has no 'label'", "it has no 'text'"]
    table = pa.table({"id": [float("nan"), 2.0], "text": ["a", "b"], "label": [float("nan"), 1.0]})
    pq.write_table(table, tmp_path / "x.parquet")
    (batch,) = read_records([tmp_path / "x.parquet"])
    assert batch["id"].to_pylist() == [None, "2"]
    for source in (tmp_path / "x.parquet", table, table.to_pandas(), table.to_pylist()):
        assert [row.fault for row in rows_of(source, ["text", "label"])] == ["it has no 'label'", ""]


TYPES: dict[str, pa.Array] = {
    "int64": pa.array([1, 2]),
    "double": pa.array([1.5, 2.5]),
    "bool": pa.array([True, False]),
    "list<item: string>": pa.array([["a"], ["b"]]),
    "struct<es: string>": pa.array([{"es": "a"}, {"es": "b"}]),
}


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_A20_a_column_that_is_no_text_names_itself_and_its_type(
    tmp_path: Path, kind: str, suffix: str
) -> None:
    table = pa.table({"n": TYPES[kind], "text": ["a", "b"]})
    write(table, tmp_path / f"x.{suffix}")
    with pytest.raises(SpanishTokError) as caught:
        texts_of(tmp_path / f"x.{suffix}", text="n")
    assert f"its column 'n' holds {kind}".replace("item", "element") in str(caught.value).replace(
        "item", "element"
    )
    with pytest.raises(SpanishTokError, match="texts= holds something that is not text"):
        st.count(texts=TYPES[kind])


def write(table: pa.Table, path: Path) -> None:
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    else:
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table, 1)


TEXT_TYPES = {str(kind): kind for kind in (pa.string(), pa.large_string(), pa.binary(), pa.large_binary())}
TEXT_TYPES |= {"dictionary": pa.dictionary(pa.int32(), pa.string()), "view": pa.string_view()}


@pytest.mark.parametrize("kind", TEXT_TYPES)
@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_A20_every_type_of_text_is_read(tmp_path: Path, kind: str, suffix: str) -> None:
    texts = pa.array(["año", "", "NA"])
    write(pa.table({"id": [1, 2, 3], "text": texts.cast(TEXT_TYPES[kind])}), tmp_path / f"x.{suffix}")
    assert texts_of(tmp_path / f"x.{suffix}") == texts.to_pylist()


IDS = [uuid.UUID(int=7), uuid.UUID("123e4567-e89b-12d3-a456-426614174000"), None]


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_C20_ids_of_every_type(tmp_path: Path, suffix: str) -> None:
    uuids = pa.ExtensionArray.from_storage(
        pa.uuid(), pa.array([each and each.bytes for each in IDS], pa.binary(16))
    )
    write(pa.table({"id": uuids, "text": ["a", "b", "c"]}), tmp_path / f"x.{suffix}")
    (table,) = [pa.Table.from_batches(read_records([tmp_path / f"x.{suffix}"]))]
    assert table["id"].to_pylist() == [each and str(each) for each in IDS]
    for values in ([["a"], ["b"]], [{"a": 1}, {"a": 2}]):
        write(pa.table({"id": values, "text": ["a", "b"]}), tmp_path / f"y.{suffix}")
        with pytest.raises(
            SpanishTokError, match=r"its column 'id' holds (list|struct).*, which cannot be an id"
        ):
            texts_of(tmp_path / f"y.{suffix}")
    (tmp_path / "x.jsonl").write_text('{"id": ["a"], "text": "b"}\n')
    with pytest.raises(SpanishTokError, match="row 1: its 'id' is a list, not an id"):
        texts_of(tmp_path / "x.jsonl")


@pytest.mark.parametrize("twice", ["id", "text"])
@pytest.mark.parametrize("suffix", ["parquet", "arrow", "csv", "tsv"])
def test_C21_E11_two_columns_of_one_name(tmp_path: Path, suffix: str, twice: str) -> None:
    names = ["id", "text", twice]
    path = tmp_path / f"x.{suffix}"
    if suffix in ("csv", "tsv"):
        sign = "," if suffix == "csv" else "\t"
        path.write_text(sign.join(names) + "\n" + sign.join("abc") + "\n")
    else:
        write(pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"]), pa.array(["c"])], names), path)
    with pytest.raises(SpanishTokError, match=rf"x\.{suffix} has 2 columns '{twice}'"):
        texts_of(path, header=True)
    with pytest.raises(SpanishTokError, match=f"has 2 columns '{twice}'"):
        list(read_rows(path, ["id", "text"]))


@pytest.mark.parametrize("ids", [["a", None, "c"], [None, None, None]])
def test_E11_invalid_utf8_in_a_column_of_strings_with_ids(tmp_path: Path, ids: list[str | None]) -> None:
    bad = pa.array([b"bien", b"a\xf1o", b"fin"]).view(pa.string())
    wrong_ids = pa.array([None if each is None else each.encode() for each in ids], pa.binary()).view(
        pa.string()
    )
    pq.write_table(pa.table({"id": wrong_ids, "text": bad}), tmp_path / "x.parquet")
    report = ReadReport()
    (batch,) = read_records([tmp_path / "x.parquet"], report=report)
    assert (batch["id"].to_pylist(), batch["text"].to_pylist()) == (ids, ["bien", "año", "fin"])
    assert report.files[0].repaired == 1
    with pytest.raises(SpanishTokError, match="row 2 is not valid UTF-8"):
        texts_of(tmp_path / "x.parquet", invalid_utf8="error")
    pq.write_table(pa.table({"id": bad, "text": ids}), tmp_path / "y.parquet")
    batches = list(read_records([tmp_path / "y.parquet"], ReadOptions(malformed="reject")))
    assert [each for batch in batches for each in batch["id"].to_pylist()] == (
        ["bien", "fin"] if any(ids) else []
    )


def test_E11_damaged_parquet_is_right_or_an_error(tmp_path: Path) -> None:
    table = pa.table({"id": [str(n) for n in range(300)], "text": [f"texto número {n}" for n in range(300)]})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=100)
    whole, rng = (tmp_path / "x.parquet").read_bytes(), random.Random(0)
    for _ in range(300):
        place = rng.choice([rng.randrange(len(whole)), len(whole) - rng.randrange(1, 900)])
        (tmp_path / "y.parquet").write_bytes(whole[:place] + bytes([rng.randrange(256)]) + whole[place + 1 :])
        try:
            texts_of(tmp_path / "y.parquet")
            list(read_rows(tmp_path / "y.parquet", ["text"], ["id"]))
        except SpanishTokError:
            continue


# Rows of CSV and JSON


@pytest.mark.parametrize("between", ["\n", "\n\n\n", "\r\n\r\n"])
def test_B5_blank_lines_are_skipped(tmp_path: Path, between: str) -> None:
    (tmp_path / "x.jsonl").write_text(
        between.join(["", '{"text": "uno"}', "  ", '{"text": "dos"}', ""]), newline=""
    )
    (tmp_path / "x.csv").write_text(between.join(["", "id,text", "1,uno", "2,dos", "", ""]), newline="")
    (tmp_path / "y.csv").write_text(between.join(["text", "uno", '"a\n\nb"', "dos", ""]), newline="")
    assert texts_of(tmp_path / "x.jsonl") == texts_of(tmp_path / "x.csv") == ["uno", "dos"]
    assert texts_of(tmp_path / "y.csv") == ["uno", "a\n\nb", "dos"]
    for name in ("x.jsonl", "x.csv"):
        assert [row.values["text"] for row in read_rows(tmp_path / name, ["text"])] == ["uno", "dos"]


def test_B5_a_bad_line_below_blank_ones_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"text": "uno"}\n\n\n{"text": \n')
    with pytest.raises(SpanishTokError, match=r"x\.jsonl, row 2: it is not JSON \(.*\), line 4"):
        texts_of(tmp_path / "x.jsonl")


def test_C22_a_stray_quote_is_one_bad_row(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text('id,text\n1,uno\n2,"dos" y\n3,tres\n4,"abierta\n5,cinco\n')
    with pytest.raises(SpanishTokError, match=r"x\.csv, row 2: it is not CSV .*`--malformed reject`"):
        texts_of(tmp_path / "x.csv")
    report = ReadReport()
    batches = list(read_records([tmp_path / "x.csv"], ReadOptions(malformed="reject"), report))
    assert [text for batch in batches for text in batch["text"].to_pylist()] == ["uno", "tres"]
    assert (report.rows, report.rejected) == (4, 2)
    assert [bool(row.fault) for row in read_rows(tmp_path / "x.csv", ["text"])] == [False, True, False, True]


def test_C23_deep_json_is_a_bad_row(tmp_path: Path) -> None:
    deep = '{"a":' * 200_000 + "1" + "}" * 200_000
    (tmp_path / "x.jsonl").write_text(
        f'{{"text": "uno"}}\n{deep}\n{{"text": "dos"}}\n' + "[" * 200_000 + "\n"
    )
    with pytest.raises(SpanishTokError, match=r"x\.jsonl, row 2: it is not JSON"):
        texts_of(tmp_path / "x.jsonl")
    assert texts_of(tmp_path / "x.jsonl", malformed="reject") == ["uno", "dos"]
    assert [bool(row.fault) for row in read_rows(tmp_path / "x.jsonl", ["text"])] == [
        False,
        True,
        False,
        True,
    ]
    (tmp_path / "y.json").write_text("[" * 200_000)
    with pytest.raises(SpanishTokError, match=r"y\.json.*it is not JSON"):
        texts_of(tmp_path / "y.json")


ROWS = [{"id": "1", "text": "año"}, {"id": "2", "text": 'uno; dos, "tres"\n{[]}'}, {"id": "3", "text": ""}]


@pytest.mark.parametrize("indent", [None, 2])
def test_B15_an_array_of_json(tmp_path: Path, indent: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for block in (1, 7, 1 << 20):
        monkeypatch.setattr("spanish_tok.readers.opening.json_array.BLOCK", block)
        (tmp_path / "x.json").write_text(
            " \n" + json.dumps(ROWS, indent=indent, ensure_ascii=False), encoding="utf-8"
        )
        (batch,) = read_records([tmp_path / "x.json"])
        assert batch.to_pylist() == ROWS
        assert [dict(row.values) for row in read_rows(tmp_path / "x.json", ["id", "text"])] == ROWS
        (tmp_path / "y.json").write_text(json.dumps([*ROWS, 7, None, {"text": 5}]))
        assert texts_of(tmp_path / "y.json", malformed="reject") == [row["text"] for row in ROWS]
        whole = json.dumps(ROWS)
        for end in range(1, len(whole), 9):
            (tmp_path / "z.json").write_text(whole[:end])
            with pytest.raises(
                SpanishTokError, match=r"z\.json, after element \d of its array: it is not JSON"
            ):
                texts_of(tmp_path / "z.json")
        (tmp_path / "z.json").write_text(whole + " algo")
        with pytest.raises(SpanishTokError, match="something follows the array"):
            texts_of(tmp_path / "z.json")


@pytest.mark.parametrize("sign", [";", "\t", "|"])
def test_B15_a_delimiter(tmp_path: Path, sign: str) -> None:
    with open(tmp_path / "x.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=sign).writerows([["id", "text"], *(row.values() for row in ROWS)])
    (batch,) = read_records([tmp_path / "x.csv"], ReadOptions(delimiter=sign))
    assert batch.to_pylist() == ROWS
    with pytest.raises(SpanishTokError, match=r"has no column 'text'.*Give --delimiter"):
        texts_of(tmp_path / "x.csv")
    shown = {"\t": "\\t"}.get(sign, sign)
    assert (
        run("count", tmp_path / "x.csv", "--delimiter", shown, "--output", tmp_path / "c.parquet").status == 0
    )
    for wrong in ("", ";;", '"', "\n"):
        with pytest.raises(SpanishTokError, match="delimiter"):
            ReadOptions(delimiter=wrong)


NESTED = [{"translation": {"es": f"año {n}", "en": "year"}, "meta": {"id": f"m{n}"}} for n in range(9)]


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "jsonl", "json"])
def test_B15_nested_columns(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    if suffix in ("parquet", "arrow"):
        write(pa.Table.from_pylist(NESTED), path)
    else:
        lines = "".join(json.dumps(row) + "\n" for row in NESTED)
        path.write_text(lines if suffix == "jsonl" else json.dumps(NESTED))
    table = pa.Table.from_batches(read_records([path], ReadOptions(text="translation.es", id="meta.id")))
    assert table.to_pydict() == {"id": [f"m{n}" for n in range(9)], "text": [f"año {n}" for n in range(9)]}
    rows = [row.values for row in read_rows(path, ["translation.es"], ["meta.id"])]
    assert rows == [{"translation.es": f"año {n}", "meta.id": f"m{n}"} for n in range(9)]
    with pytest.raises(SpanishTokError):
        texts_of(path, text="translation.fr")


def test_B15_patterns_and_folders_of_every_format(tmp_path: Path) -> None:
    for name in ("b.parquet", "a.parquet", "c.arrow"):
        write(pa.table({"text": [name]}), tmp_path / name)
    (tmp_path / "d.JSONL").write_text('{"text": "d"}\n')
    expected = ["a.parquet", "b.parquet", "c.arrow", "d"]
    for source in (tmp_path, f"{tmp_path}/*"):
        assert texts_of(source) == expected
        assert [row.values["text"] for row in read_rows(source, ["text"])] == expected
    (tmp_path / "lines").mkdir()
    for name in ("1.txt", "2.txt"):
        (tmp_path / "lines" / name).write_text(f"{name}\n")
    for files in (tmp_path / "lines", f"{tmp_path}/lines/*.txt"):
        assert [line for _, _, line in lines_of(files)] == ["1.txt", "2.txt"]


def test_B15_columns_in_memory_of_other_libraries(tmp_path: Path) -> None:
    import pandas
    import polars

    texts = ["¡Hola!", "adiós"]
    expected = st.count(texts=texts).fingerprint
    generator = (text for text in texts)
    for column in (generator, pandas.Series(texts), polars.Series(texts), tuple(texts), pa.array(texts)):
        assert st.count(texts=column).fingerprint == expected
    (tmp_path / "x.txt").write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    for path in (tmp_path / "x.txt", str(tmp_path / "x.txt"), [tmp_path / "x.txt"]):
        assert st.count(path).fingerprint == expected


def test_C24_a_csv_in_windows_1252_is_repaired_for_tasks_too(tmp_path: Path) -> None:
    content = "text,label\n" + "".join(
        f"el año pasado llovió mucho en la ciudad de {n},sí\n" for n in range(50)
    )
    (tmp_path / "x.csv").write_bytes(content.encode("cp1252"))
    rows = list(read_rows(tmp_path / "x.csv", ["text", "label"]))
    assert [row.values for row in rows] == [
        {"text": f"el año pasado llovió mucho en la ciudad de {n}", "label": "sí"} for n in range(50)
    ]
    assert all(row.repaired for row in rows)
    named = list(read_rows(tmp_path / "x.csv", ["text"], options=ReadOptions(encoding="cp1252")))
    assert not any(row.repaired or row.fault for row in named)
    strict = list(read_rows(tmp_path / "x.csv", ["text"], options=ReadOptions(invalid_utf8="error")))
    assert all("not valid Unicode" in row.fault for row in strict)


@pytest.mark.parametrize("source", ["file", "list"])
def test_C25_count_and_sample_take_a_path_or_a_list(tmp_path: Path, source: str) -> None:
    (tmp_path / "x.txt").write_text(TEXT, encoding="utf-8")
    given: Any = str(tmp_path / "x.txt") if source == "file" else [str(tmp_path / "x.txt")]
    assert st.count(given).records == len(LINES)
    assert st.sample(given, tmp_path / "out", size=5, clean=False).to_dict()["rows"] == 5


# The longest row


@pytest.mark.parametrize("form", ["text", "tsv", "csv", "jsonl", "json array"])
def test_E4_a_row_above_the_size_is_refused_at_that_size(tmp_path: Path, form: str) -> None:
    long = "a" * 5000
    content = {
        "text": f"uno\ndos\n{long}\n",
        "tsv": f"1\tuno\n2\tdos\n3\t{long}\n",
        "csv": f"text\nuno\ndos\n{long}\n",
        "jsonl": f'{{"text": "uno"}}\n{{"text": "dos"}}\n{{"text": "{long}"}}\n',
        "json array": f'[{{"text": "uno"}}, {{"text": "dos"}}, {{"text": "{long}"}}]',
    }[form]
    (tmp_path / "x").write_text(content)
    kind = form if form != "json array" else "jsonl"
    for malformed in ("error", "reject"):
        options = {"format": kind, "malformed": malformed}
        with pytest.raises(SpanishTokError, match=r"x, .*[34].* has more than 4,999 bytes.*--max-row-bytes"):
            texts_of(tmp_path / "x", max_row_bytes=4999, **options)
        assert texts_of(tmp_path / "x", max_row_bytes=5020, **options)[2] == long
    ended = run("count", tmp_path / "x", "--format", kind, "--max-row-bytes", 100, "--output", tmp_path / "c")
    assert (ended.status, ended.is_one_line) == (2, True)
    if form == "text":
        for verb in LINE_VERBS:
            ended = run(*command(verb, tmp_path / "x", tmp_path, "--max-row-bytes", 100))
            assert ended.status == 2
            assert "line 3 has more than 100 bytes" in ended.said


@pytest.mark.parametrize("form", ["parquet", "arrow"])
@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_binary(), pa.dictionary(pa.int32(), pa.string())], ids=str
)
def test_E4_a_row_of_a_column_above_the_size_is_refused(tmp_path: Path, form: str, kind: pa.DataType) -> None:
    column = pa.array(["uno", None, "a" * 5000, "dos"]).cast(kind) if pa.types.is_large_binary(kind) else (
        pa.array(["uno", None, "a" * 5000, "dos"], kind)
    )  # fmt: skip
    path = tmp_path / f"x.{form}"
    write(pa.table({"text": column}), path)
    with pytest.raises(
        SpanishTokError, match=rf"x\.{form}, row 3 has more than 4,999 bytes.*--max-row-bytes"
    ):
        texts_of(path, max_row_bytes=4999, malformed="reject")
    assert texts_of(path, max_row_bytes=5000, malformed="reject")[1] == "a" * 5000


def test_E5_long_texts_are_normalized_and_encoded_as_short_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "  El PINGÜINO   comió 21½ «ñoquis»…\u00a0\u00a0¡Olé!   😀 " * 3
    normalized, ids = st.normalize(text), st.encode(text)
    (tmp_path / "x.txt").write_text(text + "\n", encoding="utf-8")
    monkeypatch.setattr("spanish_tok.text.table.LONG", 7)
    monkeypatch.setattr("spanish_tok.tokenization.verbs.LONG", 7)
    monkeypatch.setattr("spanish_tok.tokenization.verbs.PART", 9)
    assert st.normalize(text) == normalized
    for eos in (False, True):
        st.encode(files=tmp_path / "x.txt", output=tmp_path / "ids", append_eos=eos)
        assert (tmp_path / "ids").read_text() == " ".join(map(str, [*ids, *[1] * eos])) + "\n"
        (tmp_path / "ids").unlink()


def test_E4_a_quoted_field_over_many_lines_is_one_row(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text('text\n"' + "linea\n" * 1000 + '"\n')
    with pytest.raises(SpanishTokError, match="has more than 1,000 bytes"):
        texts_of(tmp_path / "x.csv", max_row_bytes=1000)
    assert len(texts_of(tmp_path / "x.csv")[0]) == 6000


def test_E4_zeros_alone_are_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes(bytes(1_000_000))
    with pytest.raises(SpanishTokError, match=r"nearly all zero.*--max-row-bytes"):
        st.count(tmp_path / "x.txt")


def test_new_options_do_not_change_the_keys_of_jobs() -> None:
    described = ReadOptions().described()
    assert set(described) == {
        "format", "id", "text", "invalid_utf8", "malformed", "rows", "reader", "block_bytes", "workers",
    }  # fmt: skip
    assert ReadOptions(max_row_bytes=7).described() == described
    assert ReadOptions(encoding="cp1252", delimiter=";", header=True).described() == described | {
        "encoding": "cp1252", "delimiter": ";", "header": True,
    }  # fmt: skip


def test_lines_are_counted_in_reports() -> None:
    reports: list[FileReport] = []
    stream = io.BytesIO(b"uno\na\xf1o\n")
    import sys

    class Stdin:
        buffer = stream

    before, sys.stdin = sys.stdin, Stdin
    try:
        assert [line for _, _, line in lines_of("-", None, reports)] == ["uno", "año"]
    finally:
        sys.stdin = before
    assert (reports[0].name, reports[0].rows, reports[0].repaired) == ("standard input", 2, 1)
