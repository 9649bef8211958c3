"""Ray Data's own readers: the rows, bytes and errors of the package's, or a refusal that names the file."""

import gzip
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import spanish_tok as st
from spanish_tok import ReadOptions, SpanishTokError
from spanish_tok.cli import main
from spanish_tok.readers import splits as parts
from spanish_tok.readers.inputs import inputs_of
from spanish_tok.readers.options import FileReport
from spanish_tok.readers.records import read_file
from spanish_tok.vocab.counts.table import Counts
from tests.parallel.test_ray_engine import ENGINES, SMALL, bytes_of, giant

pytest.importorskip("ray", reason="needs Ray: pip install 'spanish-tok[ray]'")
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("cluster")]

BY_RAY = ReadOptions(reader="ray", malformed="reject")
OWN = ReadOptions(malformed="reject")
SPANISH = [
    "La niña dijo: «¿Dónde?»",
    "",
    "007",
    "NA",
    "2020-01-01",
    "1e5",
    "el pingüino\tazul",
    "\0 \x7f €😀",
]


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Files of the three formats that differ in whatever they may, one of each given by its address."""
    folder = tmp_path / "input"
    folder.mkdir()
    texts: list[Any] = SPANISH * 40
    missing = [None if place % 7 == 3 else text for place, text in enumerate(texts)]
    tables = {
        "a número 1%.parquet": pa.table({"id": range(320), "text": missing, "year": ["2020"] * 320}),
        "b.parquet": pa.table(
            {"id": pa.array([*"xyz"] * 9).dictionary_encode(), "text": [b"a\xf1o", "año".encode(), None] * 9}
        ),
        "c.parquet": pa.table({"text": pa.array(texts, pa.large_string())}),
        "d.parquet": pa.table({"id": pa.array([], pa.string()), "text": pa.array([], pa.string())}),
    }  # fmt: skip
    for name, table in tables.items():
        pq.write_table(table, folder / name, row_group_size=50)
    lines = "\n".join(texts)
    (folder / "e.txt").write_bytes(b"\xef\xbb\xbf" + lines.encode())
    (folder / "f.txt.gz").write_bytes(gzip.compress(lines.replace("\n", "\r\n").encode() + b"\n\n"))
    (folder / "g.txt").write_bytes(b"")
    rows = [{"id": text or None, "text": text, "n": [1.5, {"x": "}\n{"}]} for text in texts]
    (folder / "h.jsonl").write_text("\n".join(map(json.dumps, rows)))
    rows = [{"text": text, "id": place} if place % 9 else {} for place, text in enumerate(texts)]
    (folder / "i.json.gz").write_bytes(
        gzip.compress("".join(json.dumps(row) + "\r\n" for row in rows).encode())
    )
    paths = sorted(map(str, folder.iterdir()))
    return [f"file://{path}" if "/b.p" in path or ".gz" in path else path for path in paths]


def test_every_output_has_the_bytes_of_the_local_engine(
    nodes: Callable[[int], list[Any]], files: list[str], tmp_path: Path
) -> None:
    nodes(2)
    made = {}
    for engine, options in zip(ENGINES, (OWN, BY_RAY), strict=True):
        counts = st.count(files, reading=options, engine=ENGINES[engine])
        st.shard(files, tmp_path / engine / "t", options=SMALL, reading=options, engine=ENGINES[engine])
        st.sample(
            inputs_of(files, options), tmp_path / engine / "s", size=900, clean=False, engine=ENGINES[engine]
        )
        made[engine] = counts.fingerprint, counts.records, bytes_of(tmp_path / engine)
    assert made["local"] == made["ray"]


def test_tasks_share_a_large_file_of_parquet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART_BYTES", 100_000)
    path = giant(tmp_path / "grande.parquet", texts={31: None, 5000: b"a\xf1o", 11_999: None})
    counts = [st.count([path], reading=OWN), st.count([path], reading=BY_RAY, engine=st.Ray())]
    assert counts[0].fingerprint == counts[1].fingerprint
    st.sample(inputs_of([path], OWN), tmp_path / "local", size=700, clean=False)
    st.sample(inputs_of([path], BY_RAY), tmp_path / "ray", size=700, clean=False, engine=st.Ray())
    assert bytes_of(tmp_path / "local") == bytes_of(tmp_path / "ray")


@pytest.mark.parametrize("together", [1, 8 << 20])
def test_parquet_is_read_by_ray_data_from_any_row_to_any_row_group(
    together: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray.data._internal.datasource_v2.formats.parquet.parquet_file_reader import ParquetFileReader

    from spanish_tok.readers import ray_data as ray_readers

    asked: list[Any] = []
    read = ParquetFileReader.read

    def noted(reader: Any, manifest: Any) -> Any:
        asked.append(manifest)
        return read(reader, manifest)

    monkeypatch.setattr(ray_readers, "TURN_BYTES", together)
    monkeypatch.setattr(ParquetFileReader, "read", noted)
    path = giant(tmp_path / "grande.parquet")
    threads = pa.cpu_count(), pa.io_thread_count()
    for begin, end in [(0, None), (1000, 2100), (900, 1200), (11_999, 12_000)]:
        texts = [
            [text for batch in read_file(path, options, FileReport("", begin), end) for text in batch["text"]]
            for options in (OWN, BY_RAY)
        ]
        assert texts[0] == texts[1]
        assert len(texts[1]) == (end or 12_000) - begin
    assert len(asked) == (4 if together > 1 else 40 + 4 + 1 + 1)
    assert (pa.cpu_count(), pa.io_thread_count()) == threads


TEXTS = [b"", b"\n", b"a", b"\xef\xbb\xbf", b"\n\n a \r\n\r\nb", b"a\x00\tb y otras\n", "año\n€😀".encode()]
NOT_TEXTS = [
    b"a\rb",
    b"a\r",
    b"a\r\r\n",
    b"a\x0b",
    b"\x0c",
    *(end.encode() for end in "\x1c\x85\u2028\u2029"),
    b"a\xf1o",
]
LINES = [
    b"",
    b'{"id":"2020-01-01","text":"1e5"}\r\n{"text":"\\ud83d\\ude00\\u0000\xe2\x80\xa8"}\n{"id":null,"text":"}{"}',
    b'{"id":9223372036854775807,"text":"a"}\n{"x":{"text":1},"id":-0,"text":"b"}\n{}',
]
NOT_LINES = [
    b"\n", b"1", b"[{}]", b'{"text":"a"}{"text":"a"}\n', b'{"text":"a"}\n\n{"text":"a"}', b'{"text":\n"a"}',
    b'{"text":"a"}\n{"id":1,"text":"b"}\n{"id":"1","text":"c"}', b'{"id":true,"text":"a"}', b'{"id":1.0,"text":"a"}',
    b'{"id":9223372036854775808,"text":"a"}', b'{"text":"\\udc00"}', b'{"text":"a\xff"}', b'{"text":1}',
    b'{"text":"a","text":"b"}', b'{"text":"a"}\n{"text":"a"', b'{"text":"a"}x}', b'{"text":"a\tb"}',
]  # fmt: skip


@pytest.mark.parametrize(("name", "contents"), [("a.txt", TEXTS), ("a.jsonl", LINES)])
def test_rows_and_reports_are_those_of_the_own_reader(
    name: str, contents: list[bytes], tmp_path: Path
) -> None:
    for data in contents:
        (tmp_path / name).write_bytes(data)
        read = []
        for options in (OWN, BY_RAY):
            report = FileReport(name)
            rows = [row for batch in read_file(tmp_path / name, options, report) for row in batch.to_pylist()]
            report.offset = 0
            read.append((rows, report))
        assert read[0] == read[1], data


@pytest.mark.parametrize(("name", "contents"), [("a.txt", NOT_TEXTS), ("a.jsonl", NOT_LINES)])
def test_what_would_be_read_otherwise_is_refused(name: str, contents: list[bytes], tmp_path: Path) -> None:
    for data in contents:
        (tmp_path / name).write_bytes(data)
        with pytest.raises(SpanishTokError, match=f"{name} as it is: ") as error:
            list(read_file(tmp_path / name, BY_RAY, FileReport(name)))
        assert "\n" not in str(error.value), data


def test_after_a_refusal_the_own_reader_goes_on(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("uno\ndos\n")
    (tmp_path / "b.txt").write_text("tres\u2028cuatro\n")
    names = sorted(tmp_path.glob("*.txt"))
    with pytest.raises(SpanishTokError, match=r"b\.txt as it is: it ends lines at U\+2028, too"):
        st.shard(names, tmp_path / "ray", reading=BY_RAY, engine=st.Ray())
    with pytest.raises(SpanishTokError, match=r"b\.txt as it is"):
        st.count(names, tmp_path / "counts.parquet", reading=BY_RAY, engine=st.Ray())
    (kept,) = (tmp_path / ".counts.parquet.parts").iterdir()
    kept.write_bytes(b"")  # is taken, as the reader makes no other part of one
    with pytest.raises(SpanishTokError, match="cannot be read as Parquet"):
        st.count(names, tmp_path / "counts.parquet", reading=OWN, engine=st.Ray())
    st.shard(names, tmp_path / "ray", reading=OWN, engine=st.Ray())
    st.shard(names, tmp_path / "local", reading=OWN)
    assert bytes_of(tmp_path / "ray") == bytes_of(tmp_path / "local")


def test_a_damaged_or_foreign_file_names_itself(files: list[str], tmp_path: Path) -> None:
    data = Path(files[0]).read_bytes()
    (tmp_path / "dañado.parquet").write_bytes(data[:300] + bytes(200) + data[500:])
    (tmp_path / "cortado.txt.gz").write_bytes(gzip.compress(b"hola\n" * 99)[:-12])
    pq.write_table(pa.table({"texto": ["a"]}), tmp_path / "otro.parquet")
    for name, said in [
        ("dañado.parquet", "is cut off, damaged or not Parquet, after row"),
        ("cortado.txt.gz", "is cut off or damaged"),
        ("otro.parquet", "has no column 'text'; its columns are 'texto'"),
    ]:
        with pytest.raises(SpanishTokError, match=f"{name} {said}"):
            st.count([files[0], tmp_path / name], reading=BY_RAY, engine=st.Ray())
    with pytest.raises(SpanishTokError, match=r"%\.parquet, row 4: its 'text' is null"):
        st.count(files[:1], reading=ReadOptions(reader="ray"), engine=st.Ray())


def test_what_there_is_no_exact_reader_for_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("1\ta\n")
    (tmp_path / "a.csv").write_text("id,text\n1,NA\n")
    for name in ("a.tsv", "a.csv"):
        with pytest.raises(SpanishTokError, match=f"no reader that reads {name[2:]} as it is: .*{name}"):
            st.shard([tmp_path / name], tmp_path / "tokens", reading=BY_RAY, engine=st.Ray())
        with pytest.raises(SpanishTokError, match="Give --engine ray"):
            st.sample(inputs_of([tmp_path / name], BY_RAY), tmp_path / "sample", size=1, clean=False)
    with pytest.raises(SpanishTokError, match="Give --engine ray"):
        st.count([tmp_path / "a.tsv"], reading=BY_RAY)
    assert not {"tokens", "sample"} & {path.name for path in tmp_path.iterdir()}


def test_a_ray_whose_readers_lie_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from spanish_tok import readers

    monkeypatch.delitem(sys.modules, "spanish_tok.readers.ray_data", raising=False)
    monkeypatch.delattr(readers, "ray_data", raising=False)
    monkeypatch.setitem(sys.modules, "ray.data._internal.datasource.text_datasource", None)
    with pytest.raises(SpanishTokError, match=r"lacks the readers of Ray 2\.60 .*Leave --reader ray out"):
        list(read_file(tmp_path / "a.txt", BY_RAY, FileReport("")))


def test_the_command_line_takes_the_reader(files: list[str], tmp_path: Path) -> None:
    command = ["count", files[0], "--malformed", "reject", "--output", str(tmp_path / "counts.parquet")]
    done = CliRunner().invoke(main, [*command, "--engine", "ray", "--reader", "ray"])
    assert done.exit_code == 0, done.output
    assert (
        Counts.load(tmp_path / "counts.parquet").fingerprint == st.count(files[:1], reading=OWN).fingerprint
    )
