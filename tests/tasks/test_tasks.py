"""Tasks without a model: templates, rows, examples, windows, division, labels, batches. What is wrong is named."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanish_tok import SpanishTokError, Tokenizer, normalize
from spanish_tok.readers.options import ReadOptions
from spanish_tok.readers.rows import Row, read_rows
from spanish_tok.tasks.batches import IGNORED, batch_of, order_of
from spanish_tok.tasks.choices import Labels, candidate_spans
from spanish_tok.tasks.examples import Example, RowReport, divide, example_of, read_examples
from spanish_tok.tasks.scores import score
from spanish_tok.tasks.task import PRESETS, Task
from spanish_tok.tasks.windows import inputs_of
from spanish_tok.tokenization.adapters import TokenizerAdapter

END = 1


@pytest.fixture(scope="module")
def codec(tokenizer: Tokenizer) -> TokenizerAdapter:
    return TokenizerAdapter.of(tokenizer)


def task(**changes: Any) -> Task:
    values = {"name": "t", "input": "resumir: {text}", "target": "{summary}", "metric": "rougeL"}
    return Task.from_dict({**values, **changes})


@pytest.mark.parametrize("name", PRESETS)
def test_presets_load_and_survive_json(name: str, tmp_path: Path) -> None:
    loaded = Task.load(name)
    assert loaded.name == name
    (tmp_path / "t.json").write_text(json.dumps(loaded.to_dict()))
    assert Task.load(tmp_path / "t.json") == loaded


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"metric": "bleu"}, "no metric 'bleu'"),
        ({"input": "resumir:"}, "no field"),
        ({"input": "{text.__class__}"}, "no plain name"),
        ({"input": "{text[0]}"}, "no plain name"),
        ({"input": "{text!r}"}, "no plain name"),
        ({"input": "{text"}, "is wrong"),
        ({"shorten": "otro"}, "no field otro"),
        ({"long_inputs": "cut"}, "long_inputs is 'cut'"),
        ({"input_tokens": 1}, "input_tokens is 1"),
        ({"input_tokens": "many"}, "input_tokens"),
        ({"colums": {}}, "no entry 'colums'"),
        ({"labels": "a,b"}, "labels"),
    ],
)
def test_a_wrong_task_is_refused(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(SpanishTokError, match=problem):
        task(**changes)


def test_a_wrong_task_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text('name = "t"\ninput = ')
    with pytest.raises(SpanishTokError, match=r"t\.toml: It is not TOML"):
        Task.load(tmp_path / "t.toml")
    with pytest.raises(SpanishTokError, match="no task 'resumen'"):
        Task.load("resumen")
    with pytest.raises(SpanishTokError, match="has no field 'texto'"):
        Task.load("summarization").with_columns({"texto": "body"})


def write(folder: Path, rows: list[dict[str, Any]]) -> list[Path]:
    """The same rows as Parquet, JSON lines and CSV."""
    import csv

    pq.write_table(pa.Table.from_pylist(rows), folder / "a.parquet")
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with open(folder / "a.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return [folder / f"a.{kind}" for kind in ("parquet", "jsonl", "csv")]


def test_every_format_gives_the_same_rows(tmp_path: Path) -> None:
    rows = [{"text": 'Uno, "dos"\ntres', "n": 7}, {"text": "", "n": 8}, {"text": "NA", "n": 9}]
    for path in write(tmp_path, rows):
        found = list(read_rows(path, ["text"], ["n", "absent"]))
        assert [row.values for row in found] == [{"text": r["text"], "n": str(r["n"])} for r in rows], path
        assert [row.number for row in found] == [1, 2, 3]
        with pytest.raises(SpanishTokError, match=r"'resumen'") if path.suffix != ".jsonl" else _nothing():
            list(read_rows(path, ["resumen"]))


def _nothing() -> Any:
    from contextlib import nullcontext

    return nullcontext()


def test_damaged_rows_are_handed_out_with_their_fault(tmp_path: Path) -> None:
    lines = [
        b'{"text": "bien"}',
        b'{"text": 1',
        b"[1]",
        b'{"text": ["x"]}',
        b'{"texto": "x"}',
        b'{"text": "\xff"}',
    ]
    (tmp_path / "a.jsonl").write_bytes(b"\n".join([*lines, b'{"text": "\\ud800"}', b'{"text": "fin"}']))
    rows = list(read_rows(tmp_path / "a.jsonl", ["text"]))
    assert [row.repaired for row in rows] == [False, False, False, False, False, True, True, False]
    assert [rows[5].values["text"], rows[6].values["text"]] == ["ÿ", "\ufffd"]
    strict = ReadOptions(invalid_utf8="error")
    faults = [row.fault for row in read_rows(tmp_path / "a.jsonl", ["text"], options=strict)]
    assert [not fault for fault in faults] == [True, *[False] * 6, True]
    assert "not JSON" in faults[1]
    assert "is a list" in faults[3]
    assert "has no 'text'" in faults[4]
    assert "Unicode" in faults[5]
    (tmp_path / "a.csv").write_text("text,n\nuno,1\ndos\ntres,3\n")
    assert [row.fault for row in read_rows(tmp_path / "a.csv", ["text"])] == [
        "",
        "it has 1 columns where the header has 2",
        "",
    ]
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(SpanishTokError, match=r"a\.parquet is cut off, damaged"):
        list(read_rows(tmp_path / "a.parquet", ["text"]))
    (tmp_path / "a.txt").write_text("uno\n")
    with pytest.raises(SpanishTokError, match="has no named columns"):
        list(read_rows(tmp_path / "a.txt", ["text"]))


def test_a_set_of_the_hub_is_read_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    asked: list[Any] = []

    def load(*place: Any, **options: Any) -> Any:
        asked.append((place, options))
        return datasets.Dataset.from_list([{"text": "hola", "label": 3}])

    monkeypatch.setattr(datasets, "load_dataset", load)
    (row,) = read_rows("usuaria/noticias/es@v1:train[:10%]", ["text", "label"])
    assert row.values == {"text": "hola", "label": "3"}
    options = {"split": "train[:10%]", "revision": "v1", "streaming": True}
    assert asked == [(("usuaria/noticias", "es"), options)]


def test_what_becomes_of_every_row_is_counted(tmp_path: Path, codec: TokenizerAdapter) -> None:
    rows = [
        {"text": "La lluvia cae.", "summary": "llueve"},
        {"text": "\u200b", "summary": "nada"},
        {"text": "Sin resumen.", "summary": " "},
        {"text": "Resumen de signos.", "summary": "\U0010ffff\ue000"},
        {"text": "palabra " * 100, "summary": "palabra " * 100},
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + "[\n")
    report = RowReport()
    short = task(input_tokens=20, target_tokens=10)
    with pytest.raises(SpanishTokError, match=r"a\.jsonl, row 6: it is not JSON.*--malformed reject"):
        list(read_examples(tmp_path / "a.jsonl", short, codec, END, RowReport()))
    found = list(read_examples(tmp_path / "a.jsonl", short, codec, END, report, malformed="reject"))
    assert [example.row for example in found] == [1, 5]
    assert (report.rows, report.used) == (6, 2)
    assert report.dropped == {
        "damaged row": 1,
        "empty input (text)": 1,
        "empty target": 1,
        "target of unknown characters only": 1,
    }
    assert report.noted == {"inputs cut": 1, "targets cut": 1}
    assert all(example.input[-1] == example.labels[-1] == END for example in found)
    assert len(found[1].input) <= 20
    assert len(found[1].labels) == 10
    list(
        read_examples(
            tmp_path / "a.jsonl", task(input_tokens=20, long_inputs="reject"), codec, END, report, "reject"
        )
    )
    assert report.dropped["input too long"] == 1


@settings(max_examples=60)
@given(
    words=st.lists(st.text("abcñ é😀", min_size=1, max_size=12), min_size=1, max_size=60),
    limit=st.integers(12, 40),
    overlap=st.integers(0, 50),
)
def test_windows_cover_every_word_and_fit(words: list[str], limit: int, overlap: int) -> None:
    codec = TokenizerAdapter.of(Tokenizer.load())
    text = " ".join(words)
    asked = task(input="p: {q} c: {text} fin", long_inputs="windows", shorten="text")
    asked = Task.from_dict({**asked.to_dict(), "input_tokens": limit, "overlap": overlap})
    found = inputs_of({"q": "qué", "text": text}, asked, codec, END)
    assert all(len(ids) <= limit and ids[-1] == END for ids in found.sequences)
    if found.whole:
        shown = [codec.decode(ids[:-1]) for ids in found.sequences]
        assert all(one.startswith("p: qué c:") and one.endswith("fin") for one in shown)
        left = " ".join(one.removeprefix("p: qué c:").removesuffix("fin") for one in shown).split()
        assert Counter(normalize(text).split()) <= Counter(left)


def test_a_word_that_fits_nowhere_is_cut_in_ids(codec: TokenizerAdapter) -> None:
    found = inputs_of({"text": "x" * 100_000}, task(input_tokens=16), codec, END)
    assert (len(found.sequences), len(found.sequences[0]), found.whole) == (1, 16, False)


def test_training_reads_the_window_that_holds_the_answer(codec: TokenizerAdapter) -> None:
    asked = Task.load("question-answering")
    context = "nada que ver . " * 60 + "el faro azul está en Cabo Polonio ."
    values = {"question": "¿Dónde está el faro?", "context": context, "answer": "Cabo Polonio"}
    asked = Task.from_dict({**asked.to_dict(), "input_tokens": 64})
    noted: Counter[str] = Counter()
    example = example_of(Row(1, values), asked, codec, END, noted, with_target=True)
    assert len(example.inputs) > 2
    assert "cabo polonio" in codec.decode(example.input)
    assert "¿dónde está el faro?" in codec.decode(example.inputs[0])
    example_of(Row(2, {**values, "answer": "Lima"}), asked, codec, END, noted, with_target=True)
    assert noted == {
        "inputs in windows": 2,
        "in windows too short for an overlap of 48 words, which share half": 2,
        "answers in no window": 1,
        "targets that are no part of context": 1,
    }


def examples(texts: list[str]) -> list[Example]:
    return [
        Example(i, {"text": text, "summary": ""}, "", ((5,) * (i % 7 + 1),), (1,))
        for i, text in enumerate(texts)
    ]


def test_division_keeps_groups_together_and_does_not_depend_on_the_order() -> None:
    texts = [f"texto {i % 150}" for i in range(300)]
    parts = divide(examples(texts), task(), validation=0.2, held_out=0.1, seed=3)
    assert [len(part) for part in parts] == [210, 60, 30]
    shown = [{example.fields["text"] for example in part} for part in parts]
    assert not shown[0] & shown[1]
    assert not shown[0] & shown[2]
    turned = divide(reversed(examples(texts)), task(), validation=0.2, held_out=0.1, seed=3)
    assert [{e.fields["text"] for e in part} for part in turned] == shown
    other = divide(examples(texts), task(), validation=0.2, held_out=0.1, seed=4)
    assert {e.fields["text"] for e in other.held_out} != shown[2]


@settings(max_examples=50)
@given(st.lists(st.integers(1, 99), min_size=1, max_size=200), st.integers(1, 40), st.integers(0, 5))
def test_batches_hold_every_record_once(lengths: list[int], size: int, epoch: int) -> None:
    batches = order_of(lengths, size, seed=1, epoch=epoch)
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    assert all(len(batch) <= size for batch in batches)
    assert batches == order_of(lengths, size, seed=1, epoch=epoch)


def test_batches_of_two_epochs_differ_and_padding_is_ignored() -> None:
    assert order_of(range(100), 10, 0, 0) != order_of(range(100), 10, 0, 1)
    batch = batch_of(
        [Example(1, {}, "", ((7, 8, 1),), (9, 1)), Example(2, {}, "", ((7, 1),), (9, 9, 9, 1))], pad=0
    )
    assert batch.inputs.tolist() == [[7, 8, 1], [7, 1, 0]]
    assert batch.mask.tolist() == [[1, 1, 1], [1, 1, 0]]
    assert batch.labels.tolist() == [[9, 1, IGNORED, IGNORED], [9, 9, 9, 1]]
    assert batch.tokens == 11


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["bueno", "\U0001f600"], r"label '😀' becomes ''"),
        (["bueno", "français"], r"label 'français' becomes 'francais'"),
        (["AÑO", "año"], r"labels 'AÑO' and 'año' are the same"),
        (["a b", "a  b"], r"labels 'a b' and 'a  b' are the same"),
        (["único"], r"There are 1 labels"),
        (["a", "palabra " * 30], r"has 3\d ids, the task allows 16"),
    ],
)
def test_labels_that_cannot_be_told_apart_are_refused_by_name(
    names: list[str], problem: str, codec: TokenizerAdapter
) -> None:
    with pytest.raises(SpanishTokError, match=problem):
        Labels.build(names, codec, END, 16)


def test_the_trie_allows_labels_only(codec: TokenizerAdapter) -> None:
    labels = Labels.build(["decreto", "decreto_ley", "Ley"], codec, END, 16)
    for ids in labels.ids:
        assert all(number in labels.allowed(ids[:place]) for place, number in enumerate(ids))
        assert labels.allowed(ids) == (END,)
    assert set(labels.allowed([])) == {ids[0] for ids in labels.ids}
    assert END in labels.allowed(codec.encode("decreto"))


def test_spans_are_the_whole_words_of_a_text(codec: TokenizerAdapter) -> None:
    text = "  «Ñandú» corrió, ¿sí?\n—Sí (12,5 %)… "
    spans = candidate_spans(text, codec, END, 48)
    words = ["ñandú", "corrió", "sí", "sí", "12,5", "%"]
    texts = {codec.decode(ids[:-1]) for ids in spans.ids}
    assert texts >= {*words, "ñandú» corrió", "corrió, ¿sí", "12,5 %", "sí (12,5 %"}
    assert not texts & {"", "«ñandú", "ñand", "corrió,", "sí?"}
    for ids in spans.ids:
        assert all(number in spans.allowed(ids[:place]) for place, number in enumerate(ids))


def test_spans_are_bounded(codec: TokenizerAdapter) -> None:
    long = " ".join(f"palabra{n}" for n in range(40))
    assert max(codec.decode(ids).count("palabra") for ids in candidate_spans(long, codec, END, 999).ids) == 16
    assert max(map(len, candidate_spans(long, codec, END, 9).ids)) <= 9
    for nothing in ("", " … ", "x" * 500):
        assert candidate_spans(nothing, codec, END, 48).allowed([]) == (END,)


def test_a_task_of_spans_needs_their_field_and_a_metric_of_answers() -> None:
    entries = {"name": "t", "input": "{a}", "target": "{b}", "metric": "f1"}
    assert Task.from_dict({**entries, "spans": "a"}).spans == "a"
    with pytest.raises(SpanishTokError, match="no field b"):
        Task.from_dict({**entries, "spans": "b"})
    with pytest.raises(SpanishTokError, match="does not measure answers"):
        Task.from_dict({**entries, "spans": "a", "metric": "rougeL"})


def test_a_foreign_tokenizer_is_read_from_its_file(
    tmp_path: Path, folder: Path, codec: TokenizerAdapter
) -> None:
    with pytest.raises(SpanishTokError, match=r"has no manifest\.json"):
        Tokenizer.load(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
    foreign = TokenizerAdapter.of(Tokenizer.load(tmp_path))
    for text in ("¡Qué AÑO!", "typed </s> and <extra_id_0>", ""):
        assert foreign.encode(text) == codec.encode(text)
    assert foreign.decode(codec.encode("mañana fría")) == "mañana fría"
    assert foreign.size == codec.size
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(SpanishTokError, match=r"tokenizer\.json is not valid JSON"):
        Tokenizer.load(tmp_path)


SQUAD = [
    {"question": "¿Dónde?", "context": "En Lima.", "answers": {"text": ["Lima", "En Lima"], "answer_start": [3, 0]}},
    {"question": "¿Quién?", "context": "En Lima.", "answers": {"text": [], "answer_start": []}},
    {"question": "¿Dónde?", "context": "En Quito.", "answers": {"text": ["Quito"], "answer_start": [3]}},
]  # fmt: skip


@pytest.mark.parametrize("kind", ["memory", "parquet", "jsonl"])
def test_answers_in_the_form_of_squad_are_read(kind: str, codec: TokenizerAdapter, tmp_path: Path) -> None:
    source: Any = SQUAD
    if kind != "memory":
        source = tmp_path / f"squad.{kind}"
        pq.write_table(pa.Table.from_pylist(SQUAD), source) if kind == "parquet" else source.write_text(
            "".join(json.dumps(row) + "\n" for row in SQUAD)
        )
    report, answering = RowReport(), Task.load("question-answering")
    found = list(read_examples(source, answering, codec, END, report))
    assert [(one.target, one.right) for one in found] == [
        ("Lima", ("Lima", "En Lima")),
        ("Quito", ("Quito",)),
    ]
    assert report.dropped == {"empty target": 1}
    report = RowReport()
    found = list(read_examples(source, replace(answering, no_answer="sin respuesta"), codec, END, report))
    assert [one.target for one in found] == ["Lima", "sin respuesta", "Quito"]
    assert report.noted == {"without an answer ('sin respuesta')": 1}


def test_several_references_in_a_column_of_its_name(codec: TokenizerAdapter) -> None:
    rows = [{"text": "El gato duerme.", "summary": ["un gato", "el gato"]}, {"text": "a", "summary": [3]}]
    report = RowReport()
    with pytest.raises(SpanishTokError, match="row 2: its 'summary' is a list"):
        list(read_examples(rows, task(), codec, END, report))
    (one,) = read_examples(rows[:1], task(), codec, END, report)
    assert one.right == ("un gato", "el gato")
    evaluation = score(task(), [one], ["el gato"], {})
    assert evaluation.value == 1.0


def test_no_answer_may_be_chosen(codec: TokenizerAdapter) -> None:
    spans = candidate_spans("En Lima.", codec, END, 48, "sin respuesta")
    assert {codec.decode(ids) for ids in spans.ids} == {"en", "en lima", "lima", "sin respuesta"}
    with pytest.raises(SpanishTokError, match="no_answer is 'nada', but rougeL"):
        task(no_answer="nada")
