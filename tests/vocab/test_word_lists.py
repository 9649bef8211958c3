"""Lists of words as counts: every form, what is dropped, weights, and the sources that are recorded."""

import gzip
import json
import warnings
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import spanish_tok as st
from spanish_tok.cli import main
from spanish_tok.text.build_table import build_table
from tests.vocab.test_counts import as_dict, slow_counts

WORDS = st.ReadOptions(format="words")
LIST = {
    "de": 500,
    "Niño": 7,
    "niño": 2,
    "a la": 9,
    "☆\u200b": 3,
    "\u200b": 4,
    "foo": 0,
    "x-y2": 3,
    "ñ" * 130: 2,
}
RUNS = {"▁de": 500, "▁niño": 9, "▁x": 3, "-": 3, "y": 3, "2": 3, "▁" + "ñ" * 64: 2, "ñ" * 64: 2, "ññ": 2}
DROPPED = {"empty": 2, "several words": 1, "rounded to 0": 1}


def written(folder: Path, kind: str) -> Path:
    """Write LIST in one of its forms."""
    path = folder / f"lista{kind}"
    lines = [f"{word} {count}\n" for word, count in LIST.items()]
    if kind == ".parquet":
        columns = {"word": pa.array(LIST).dictionary_encode(), "count": pa.array(LIST.values(), pa.int32())}
        pq.write_table(pa.table(columns), path)
    elif kind == ".csv":
        path.write_text("count,word\n" + "".join(f'{n},"{word}"\n' for word, n in LIST.items()), "utf-8")
    elif kind == ".tsv":
        path.write_text("word\tn\tcount\n" + "".join(f"{w}\t0\t{n}\n" for w, n in LIST.items()), "utf-8")
    elif kind == ".tsv.gz":
        path.write_bytes(gzip.compress("".join(line.replace(" ", "\t") for line in lines[:3]).encode()))
    else:
        path.write_text("".join(lines), encoding="utf-8")
    return path


@pytest.mark.parametrize("kind", [".parquet", ".csv", ".tsv"])
def test_the_columns_tell_a_list_of_words(tmp_path: Path, kind: str) -> None:
    counts = st.count(written(tmp_path, kind))
    assert as_dict(counts) == RUNS
    assert (counts.dropped, counts.cut, counts.records) == (DROPPED, 2, 0)
    assert counts.sources[0].to_dict() == {
        "name": "lista", "fingerprint": counts.fingerprint, "weight": 1.0, "kind": "words",
    }  # fmt: skip


def test_lists_without_a_header_part_at_the_last_space_or_tab(tmp_path: Path) -> None:
    counts = st.count(written(tmp_path, ".txt"), reading=WORDS)
    assert as_dict(counts) == RUNS
    assert counts.dropped == DROPPED
    assert as_dict(st.count(written(tmp_path, ".tsv.gz"), reading=WORDS)) == {"▁de": 500, "▁niño": 9}


def test_parquet_under_another_name_and_compressed_tables_are_lists_too(tmp_path: Path) -> None:
    other = written(tmp_path, ".parquet").rename(tmp_path / "lista.pq")
    assert as_dict(st.count(other, reading=st.ReadOptions(format="parquet"))) == RUNS
    for kind, codec in ((".csv", "gzip"), (".tsv", "zstd"), (".txt", "zstd"), (".csv", "bz2")):
        plain = written(tmp_path, kind)
        packed = tmp_path / f"otra{kind}.{codec}"
        with pa.output_stream(str(packed), compression=codec) as stream:
            stream.write(plain.read_bytes())
        reading = st.ReadOptions(format=WORDS.format if kind == ".txt" else kind[1:])
        assert as_dict(st.count(packed, reading=reading)) == RUNS, packed.name


def test_a_header_is_found_where_lists_of_lines_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text('word\tcount\n"de\t5\nla\t3\n', encoding="utf-8")
    for reading in (WORDS, st.ReadOptions()):
        assert as_dict(st.count(tmp_path / "a.tsv", reading=reading)) == {'▁"': 5, "de": 5, "▁la": 3}


def test_blank_lines_are_no_rows_and_a_file_without_words_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\nde 5\n \t\n\nla 3\n\n", encoding="utf-8")
    assert as_dict(st.count(tmp_path / "a.txt", reading=WORDS)) == {"▁de": 5, "▁la": 3}
    (tmp_path / "a.txt").write_text("\nde 5\n\nla\n", encoding="utf-8")
    with pytest.raises(st.SpanishTokError, match=r"a\.txt, row 4: it is not a word and its count"):
        st.count(tmp_path / "a.txt", reading=WORDS)
    for name, content in (("e.txt", ""), ("e.csv", "word,count\n"), ("e.tsv", "word\tfrequency\n")):
        (tmp_path / name).write_text(content, encoding="utf-8")
        with pytest.raises(st.SpanishTokError, match=r"e\.... is empty: it holds no records"):
            st.count(tmp_path / name, reading=WORDS if name == "e.txt" else None)


def test_words_in_memory_equal_the_definition() -> None:
    table = pa.table({"word": list(LIST), "count": list(LIST.values())})
    for given in (LIST, table, table.to_pandas()):
        assert as_dict(st.Counts.from_words(given)) == RUNS
    texts = [word for word, count in LIST.items() if " " not in word for _ in range(count)]
    assert as_dict(st.Counts.from_words(LIST)) == slow_counts(texts)
    with pytest.raises(st.SpanishTokError, match="A list of words is needed, not int"):
        st.Counts.from_words(5)


def test_frequencies_are_scaled_and_rounded_word_by_word() -> None:
    shares = {"de": 0.5, "la": 0.25, "El": 0.125, "él": 0.125, "raro": 1e-9}
    counts = st.Counts.from_words(shares, total=1000)
    assert as_dict(counts) == {"▁de": 500, "▁la": 250, "▁el": 125, "▁él": 125}
    assert counts.dropped == {"rounded to 0": 1}
    assert as_dict(st.Counts.from_words(shares))["▁de"] == 10_000_000


@pytest.mark.slow
def test_another_alphabet_cuts_its_own_runs() -> None:
    table = build_table(" abcç1-")
    counts = st.Counts.from_words({"Çab-a1": 4}, table=table)
    assert as_dict(counts) == dict(
        zip(*st.count(texts=["Çab-a1"] * 4, table=table).table.to_pydict().values(), strict=True)
    )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "de 5\nla x\n", r"a\.txt, row 2: its count 'x' is not a number"),
        ("a.txt", "de 5\nla\n", r"a\.txt, row 2: it is not a word and its count"),
        ("a.txt", "de 5\nla 1.5\n", r"row 2: its count '1.5' is not a whole number"),
        ("a.txt", "de 5\nla nan\n", "row 2: its count 'nan' is not a whole number"),
        ("a.tsv", "word\tcount\nde\t-5\n", "row 1: its count '-5' is not a whole number from 0 on"),
        ("a.tsv", "word\tcount\nde\n", "row 1: it has 1 columns where the header has 2"),
        ("a.csv", "word,frequency\nde,inf\n", "row 1: its frequency 'inf' is not a share"),
    ],
)
def test_a_bad_row_is_named_or_rejected(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    reading = WORDS if name == "a.txt" else st.ReadOptions()
    with pytest.raises(st.SpanishTokError, match=message):
        st.count(tmp_path / name, reading=reading)
    rejecting = st.ReadOptions(format=reading.format, malformed="reject")
    assert st.count(tmp_path / name, reading=rejecting).dropped == {"malformed": 1}


@pytest.mark.parametrize(
    ("words", "numbers", "message"),
    [
        (["a", None], [1, 2], "row 2: its word is missing, or its count"),
        (["a", "b"], [1, None], "row 2"),
        (["a", "b"], [1, -1], "row 2"),
        (["a", "b"], ["1", "x"], "is no list of words"),
        (["a", "b"], [1e300, 1], r"more than 2\^53"),
    ],
)
def test_a_bad_row_of_parquet_is_named(tmp_path: Path, words: Any, numbers: Any, message: str) -> None:
    pq.write_table(pa.table({"word": words, "count": numbers}), tmp_path / "a.parquet")
    with pytest.raises(st.SpanishTokError, match=message):
        st.count(tmp_path / "a.parquet")


def test_bytes_that_are_not_utf8_are_repaired_or_not(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"a\xf1o 3\n")
    assert as_dict(st.count(tmp_path / "a.txt", reading=WORDS)) == {"▁año": 3}
    with pytest.raises(st.SpanishTokError, match="row 1 is not valid UTF-8"):
        st.count(tmp_path / "a.txt", reading=st.ReadOptions(format="words", invalid_utf8="error"))


def test_a_column_of_text_comes_first(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,word,count\nhola,a,1\n", encoding="utf-8")
    assert as_dict(st.count(tmp_path / "a.csv")) == {"▁hola": 1}


def test_weights_are_one_an_entry_and_are_recorded(tmp_path: Path) -> None:
    folder = tmp_path / "novelas"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.txt").write_text("uno dos\n", encoding="utf-8")
    words = written(tmp_path, ".csv")
    alone = [st.count(folder), st.count(words)]
    for entry in (folder, str(folder / "*.txt")):
        both = st.count([entry, words], weights=[0.5, 3], licence=["CC0", "CC BY-SA 4.0"])
        assert both.fingerprint == st.merge(alone, [0.5, 3]).fingerprint
        assert as_dict(both)["▁uno"] == 2
        assert [(one.name, one.weight, one.licence) for one in both.sources] == [
            ("novelas", 0.5, "CC0"), ("lista", 3, "CC BY-SA 4.0"),
        ]  # fmt: skip
        assert [one.fingerprint for one in both.sources] == [one.fingerprint for one in alone]
    both.save(tmp_path / "counts.parquet")
    again = st.count([tmp_path / "counts.parquet", folder], weights=[2, 1], licence="CC BY 4.0")
    assert [(one.name, one.weight, one.licence) for one in again.sources] == [
        ("novelas", 1.0, "CC0"), ("lista", 6.0, "CC BY-SA 4.0"), ("novelas", 1.0, "CC BY 4.0"),
    ]  # fmt: skip
    assert again.dropped == DROPPED
    with pytest.raises(st.SpanishTokError, match="1 weights are given for 2 inputs"):
        st.count([folder, words], weights=[1])
    with pytest.raises(st.SpanishTokError, match="3 licences are given for 2 inputs"):
        st.count([folder, words], licence=["a", "b", "c"])


def test_a_vocabulary_records_its_sources_and_words_alone_are_warned_of(tmp_path: Path) -> None:
    path = written(tmp_path, ".csv")
    with pytest.warns(UserWarning, match="no punctuation"):
        vocabulary = st.train(path, tmp_path / "v", size=190)
    assert vocabulary.notes["sources"] == [source.to_dict() for source in st.count(path).sources]
    assert (
        json.loads((tmp_path / "v" / "manifest.json").read_text())["sources"] == vocabulary.notes["sources"]
    )
    assert st.Vocabulary.load(tmp_path / "v").notes["sources"] == vocabulary.notes["sources"]
    (tmp_path / "a.txt").write_text("hola, mundo\n", encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        weighted = st.train([path, tmp_path / "a.txt"], size=190, weights=[1, 2], licence="CC0")
    assert [one["weight"] for one in weighted.notes["sources"]] == [1, 2]


def test_what_is_merged_with_words_is_a_source_too() -> None:
    words, text = st.Counts.from_words(LIST), st.count(texts=["hola, mundo"])
    nameless = st.Counts(text.table)
    both = st.merge([nameless, words], weights=[1, 0.5])
    assert [(one.name, one.weight, one.kind) for one in both.sources] == [
        ("counts", 1, "text"),
        ("words", 0.5, "words"),
    ]
    assert not both.words_only
    assert words.words_only
    assert st.merge([nameless, nameless]).sources == ()


def test_on_the_command_line(tmp_path: Path) -> None:
    path, output = written(tmp_path, ".txt"), tmp_path / "c.parquet"
    arguments = [
        "count",
        str(path),
        "--format",
        "words",
        "--weights",
        "0.5",
        "--licence",
        "CC0",
        "--output",
        str(output),
    ]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "Words of lists that became no run: 2 empty, 1 several words, 1 rounded to 0" in result.stderr
    assert (st.Counts.load(output).sources[0].licence, st.Counts.load(output).sources[0].weight) == (
        "CC0",
        0.5,
    )
    result = CliRunner().invoke(
        main, ["train", str(output), "--size", "190", "--output", str(tmp_path / "v")]
    )
    assert "they hold no punctuation" in result.stderr
    result = CliRunner().invoke(main, [*arguments, "--weights", "1,x"])
    assert result.exit_code == 2
    assert "--weights 1,x is not numbers" in result.stderr


def test_the_published_list_gives_the_published_counts(shared: Path) -> None:
    counts = st.count(shared / "corpus-words" / "wordfreq-es.parquet")
    assert (len(counts), counts.total) == (223_745, 20_048_928)
    assert counts.fingerprint == "d68498002d008b949ff617be433358209333380dc7f622cece9c902bea02926f"
    assert counts.dropped == {"empty": 717, "several words": 6, "rounded to 0": 114_569}
