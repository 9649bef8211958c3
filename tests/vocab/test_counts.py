"""Counting: the definition, hostile input, threads, files, merging."""

import random
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import spanish_tok
from spanish_tok import Counts, SpanishTokError, count, merge, normalize
from spanish_tok.files import shipped
from spanish_tok.kernels.text.count import RUN_LIMIT, SEEN_AT_MOST
from spanish_tok.vocab.counts.runs import count_runs

RUN = re.compile("[a-záéíóúüñªº]+|[0-9]+|[^a-záéíóúüñªº0-9]+")


def slow_counts(texts: list[str]) -> Counter[str]:
    """The definition: words at spaces, runs of three kinds, `▁` on the first, long ones cut."""
    counts: Counter[str] = Counter()
    for text in texts:
        for word in normalize(text).split():
            mark = "▁"
            for run in RUN.findall(word):
                for start in range(0, len(run), RUN_LIMIT):
                    counts[mark + run[start : start + RUN_LIMIT]] += 1
                    mark = ""
    return counts


def as_dict(counts: Counts) -> dict[str, int]:
    return dict(zip(*counts.table.to_pydict().values(), strict=True))


TEXT = st.text(max_size=40) | st.text(alphabet="aAñ\u0303nÑé1.¡ \n\t\u00a0½😀€—\0", max_size=80)


@given(st.lists(TEXT | st.none(), max_size=8))
def test_counts_equal_the_definition(texts: list[str | None]) -> None:
    assert as_dict(count_runs(texts, threads=1)) == slow_counts([text or "" for text in texts])


def test_long_chunks_and_long_runs() -> None:
    draw = random.Random(3)
    texts = ["".join(draw.choices("aeñÑ\u0303n1½.", k=draw.randint(1, 400))) for _ in range(300)]
    texts += [
        "a" * (1 << 16) + "\u0301" * 5 + "b",
        "n" * 65_535 + "n\u0303",
        "ñ" * 70_000,
        "x" * 63 + "1",
        "\u0301" * 70_000,
    ]
    counts = count_runs(texts)
    assert as_dict(counts) == slow_counts(texts)
    assert counts.cut > 2000


def test_a_full_table_of_chunks_is_emptied_and_nothing_is_lost() -> None:
    words = [f"p{number}" for number in range(SEEN_AT_MOST * 3 // 4 + 1000)]
    counts = count_runs([" ".join(words), "p7 p7"], threads=1)
    assert counts.total == 2 * len(words) + 4
    assert as_dict(counts)["7"] == 3


def test_the_real_corpus_is_counted_as_defined(corpus: pa.ChunkedArray) -> None:
    texts = corpus.slice(1000, 20_000)
    assert as_dict(count_runs(texts)) == slow_counts(texts.to_pylist())


def test_the_shipped_counts_are_those_of_the_corpus(shared: Path, tmp_path: Path) -> None:
    various = "various: see corpus/README.md"
    inputs = [shared / "corpus", shared / "corpus-modern", shared / "corpus-words" / "wordfreq-es.parquet"]
    output = tmp_path / "es-counts.parquet"
    counts = count(inputs, output, weights=[0.5, 1, 1], licence=[various, various, "CC-BY-SA-4.0"])
    assert counts.records == 870_576
    assert counts.fingerprint == Counts.load(shipped("corpus/es-counts.parquet")).fingerprint
    assert output.read_bytes() == shipped("corpus/es-counts.parquet").read_bytes()


def test_the_counts_of_the_corpus_do_not_depend_on_threads(corpus: pa.ChunkedArray) -> None:
    counted = [count_runs(corpus, threads=threads) for threads in (1, 3)]
    first = next(
        one for one in Counts.load(shipped("corpus/es-counts.parquet")).sources if one.name == "corpus"
    )
    assert {counts.fingerprint for counts in counted} == {first.fingerprint}


def test_order_batches_and_threads_do_not_matter() -> None:
    texts = [f"el {word} de {word}s" for word in ("perro", "gato", "ñandú", "21½")] * 50
    expected = count_runs(texts, threads=1)
    shuffled = random.Random(4).sample(texts, len(texts))
    parts = [shuffled[:7], pa.array(shuffled[7:90]), pa.chunked_array([shuffled[90:]])]
    for threads in (1, 2, 5):
        assert count_runs(parts, threads=threads).fingerprint == expected.fingerprint
        assert count_runs(parts, threads=threads).table.equals(expected.table)


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
def test_every_kind_of_text_column(kind: pa.DataType) -> None:
    column = pa.array(["sí sí", None, "", "no"]).cast(kind)
    assert as_dict(count_runs(column)) == {"▁sí": 2, "▁no": 1}
    assert as_dict(count_runs(column.slice(1))) == {"▁no": 1}


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (pa.array([1, 2]), "int64, not text"),
        ("hola", "not str. Give a list"),
        (iter(["hola", "mundo"]), "not str. Give a list"),
        (b"hola", "Give a list of str"),
        (5, "not int. Give a list"),
        ([["hola", 5]], "holds something that is not text"),
        (["a\ud800"], "not valid Unicode"),
    ],
)
def test_what_is_no_column_of_text_is_refused(texts: Any, message: str) -> None:
    with pytest.raises(SpanishTokError, match=message):
        count_runs(texts)


def test_merging_adds_and_weighs() -> None:
    a, b = count_runs(["uno uno dos"]), count_runs(["dos tres"])
    assert as_dict(merge([a, b])) == {"▁uno": 2, "▁dos": 2, "▁tres": 1}
    assert as_dict(merge([a, b], weights=[0.1, 2.6])) == {"▁dos": 3, "▁tres": 3, "▁uno": 1}
    assert (
        merge([a, b]).fingerprint
        == merge([b, a]).fingerprint
        == count_runs(["dos tres uno dos uno"]).fingerprint
    )
    for weights in ([1, 0], [1], [1, float("nan")], [1, float("inf")]):
        with pytest.raises(SpanishTokError, match="above zero"):
            merge([a, b], weights=weights)
    with pytest.raises(SpanishTokError, match="more than 2\\^53"):
        merge([a, b], weights=[1, 1e300])


def test_saving_keeps_everything(tmp_path: Path) -> None:
    counts = count_runs(["el perro, 12 veces", "x" * 100])
    counts.save(tmp_path / "counts.parquet")
    loaded = Counts.load(tmp_path / "counts.parquet")
    assert loaded.table.equals(counts.table)
    assert (loaded.records, loaded.cut, loaded.fingerprint) == (2, 1, counts.fingerprint)
    counts.save(tmp_path / "again.parquet")
    assert (tmp_path / "again.parquet").read_bytes() == (tmp_path / "counts.parquet").read_bytes()


def test_altered_counts_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "counts.parquet"
    count_runs(["a b b"]).save(path)
    table = pq.read_table(path)
    pq.write_table(table.set_column(1, "count", pa.array([2, 7])), path)
    with pytest.raises(SpanishTokError, match=r"counts\.parquet are not those that were saved"):
        Counts.load(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(SpanishTokError, match="cannot be read as Parquet"):
        Counts.load(path)


@pytest.mark.parametrize(
    ("runs", "counts", "message"),
    [
        (["a", None], [1, 2], "run or a count that is empty"),
        (["a", ""], [1, 2], "run or a count that is empty"),
        (["a", "b"], [1, None], "run or a count that is empty"),
        (["a", "b"], [1, 0], "a count below 1"),
        (["a", "b"], [1, -1], "a count below 1"),
        (["a", "b"], ["1", "x"], "no counts"),
        (["a", "b"], [1.0, 1.5], "no counts"),
    ],
)
def test_foreign_counts_that_are_none_are_named(
    tmp_path: Path, runs: list[str | None], counts: list[Any], message: str
) -> None:
    pq.write_table(pa.table({"run": runs, "count": counts}), tmp_path / "c.parquet")
    with pytest.raises(SpanishTokError, match=rf"c\.parquet holds .*{message}"):
        Counts.load(tmp_path / "c.parquet")


def test_foreign_counts_add_up_and_are_ordered(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"count": [1, 4, 2], "run": ["b", "a", "b"], "n": [0, 0, 0]}), tmp_path / "c.parquet"
    )
    assert Counts.load(tmp_path / "c.parquet").table.to_pydict() == {"run": ["a", "b"], "count": [4, 3]}


def test_files_of_text_and_of_counts_add_up(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("uno dos\ndos\n", encoding="utf-8")
    pq.write_table(pa.table({"id": [1], "text": ["tres"]}), tmp_path / "b.parquet")
    count_runs(["dos"]).save(tmp_path / "c.parquet")
    counts = spanish_tok.count([tmp_path / name for name in ("a.txt", "b.parquet", "c.parquet")])
    assert as_dict(counts) == {"▁dos": 3, "▁tres": 1, "▁uno": 1}


ENDLESS = """
from itertools import count
from spanish_tok import count_runs

def texts():
    for number in count():
        if number == 100:
            print("counting", flush=True)
        yield [f"uno dos {number}"]

count_runs(texts(), threads=2)
"""


def test_a_file_of_counts_is_known_by_its_content(tmp_path: Path) -> None:
    """Whatever its name: done again it is replaced, and it is read as counts."""
    (tmp_path / "text.txt").write_text("sí sí no\n")
    for _ in range(2):
        made = count(tmp_path / "text.txt", tmp_path / "counts")
    assert count(tmp_path / "counts").table == made.table
    (tmp_path / "other").write_text("sí sí no\n")
    with pytest.raises(SpanishTokError, match="is not a table of counts"):
        count(tmp_path / "text.txt", tmp_path / "other")


def test_ctrl_c_ends_the_counting_of_an_endless_text() -> None:
    with subprocess.Popen([sys.executable, "-c", ENDLESS], stdout=PIPE, stderr=PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"counting\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60)[1].rstrip().endswith(b"KeyboardInterrupt")


HOSTILE = """
import sys
from spanish_tok import count_runs
from tests.memory import peak
count_runs(["calentar"])
before = peak()
text = sys.argv[1]
if text == "one run":
    column = ["a" * 100_000_000]
else:
    import random
    draw = random.Random(1)
    column = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=20_000_000))]
counts = count_runs(column, threads=1)
held = sum(map(len, column))
grown = (peak() - before) * 1024 - 2 * held
print(len(counts), counts.total, counts.cut, int(counts.table.nbytes), grown)
"""


@pytest.mark.parametrize(("text", "runs"), [("one run", 2), ("random letters", 312_500)])
def test_hostile_text_without_spaces_stays_within_the_stated_bound(text: str, runs: int) -> None:
    """Memory is bounded by the table of distinct runs, however long the text: 8 times its bytes and 250 MB."""
    done = subprocess.run([sys.executable, "-c", HOSTILE, text], capture_output=True, text=True, check=True)
    distinct, total, cut, table, grown = map(int, done.stdout.split())
    assert distinct == pytest.approx(runs, rel=0.001)
    assert total >= distinct
    assert cut > 300_000
    assert grown < 8 * table + 250_000_000
