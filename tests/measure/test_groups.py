"""Parity and the audit of pieces: figures of groups against counting by hand, intervals, and what is refused."""

import json
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import spanish_tok as st
from spanish_tok.measure.figures.groups import groups_of, ratio_of
from tests.cli.test_cli import complaint, run

RECORDS: list[dict[str, str | None]] = [
    {"text": "¿Vos querés un mate, che?", "país": "ar"},
    {"text": "El ordenador de mi abuela", "país": "es"},
    {"text": "", "país": "es"},
    {"text": "La computadora de mi abuela", "país": "mx"},
    {"text": "¿Tenés fuego?", "país": "ar"},
    {"text": "Órale, ¿qué onda?", "país": None},
]


@pytest.fixture
def records(tmp_path: Path) -> Path:
    path = tmp_path / "países.parquet"
    pq.write_table(pa.Table.from_pylist(RECORDS), path)
    return path


def test_groups_equal_counting_by_hand(records: Path, tokenizer: st.Tokenizer) -> None:
    found = st.compare([None], records, group="país")
    (one, *_) = found.vocabularies
    assert [group.group for group in one.groups] == ["(none)", "ar", "es", "mx"]
    pieces = {
        name: {
            i for r in RECORDS if (r["país"] or "(none)") == name for i in tokenizer.encode(str(r["text"]))
        }
        for name in ("(none)", "ar", "es", "mx")
    }
    for group in one.groups:
        texts = [st.normalize(str(r["text"])) for r in RECORDS if (r["país"] or "(none)") == group.group]
        tokens = sum(len(tokenizer.encode(text)) for text in texts)
        assert (group.records, group.tokens) == (len(texts), tokens)
        assert group.characters == sum(map(len, texts))
        assert group.words == sum(len(text.split()) for text in texts)
        assert group.tokens_per_character.value == pytest.approx(tokens / group.characters)
        assert group.tokens_per_word.value == pytest.approx(tokens / group.words)
        others = set().union(*(ids for name, ids in pieces.items() if name != group.group))
        assert group.alone == len(pieces[group.group] - others)
        assert set(group.examples) <= {tokenizer.vocabulary.pieces[i] for i in pieces[group.group] - others}
    assert one.groups[0].tokens_per_word.low is None


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Of 400 samples of a population whose ratio is known, about 95 % of the intervals hold it."""
    draw = np.random.default_rng(3)
    below = draw.integers(5, 50, 50_000).astype(float)
    above = np.round(below * draw.uniform(0.15, 0.45, len(below)))
    truth, held = above.sum() / below.sum(), 0
    for _ in range(400):
        rows = draw.integers(0, len(below), 80)
        ratio = ratio_of(above[rows], below[rows])
        assert ratio.low is not None
        assert ratio.high is not None
        held += ratio.low <= truth <= ratio.high
    assert 360 <= held <= 395


def test_a_sample_keeps_records_and_groups_together(tmp_path: Path) -> None:
    draw = random.Random(1)
    rows = [{"text": "a" * (n % 2 + 1), "año": n % 2} for n in range(3000)]
    draw.shuffle(rows)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    found = st.compare([None], tmp_path / "a.parquet", group="año", megabytes=0.001)
    for group in found.vocabularies[0].groups:
        assert group.characters == group.records * (int(group.group) + 1)


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_groups_of_other_formats(tmp_path: Path, suffix: str) -> None:
    lines = {
        "csv": "text,variedad\nhola vos,ar\nhola tú,es\n",
        "jsonl": '{"text": "hola vos", "variedad": "ar"}\n{"text": "hola tú", "variedad": "es"}\n',
    }
    (tmp_path / f"a.{suffix}").write_text(lines[suffix], encoding="utf-8")
    found = st.compare([None], tmp_path / f"a.{suffix}", group="variedad")
    assert [(group.group, group.words) for group in found.vocabularies[0].groups] == [("ar", 2), ("es", 2)]


def test_groups_of_a_tsv_with_a_header(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("text\tvariedad\nhola vos\tar\nhola tú\tes\n", encoding="utf-8")
    result = st.compare([None], tmp_path / "a.tsv", group="variedad").to_dict()
    assert {"ar", "es"} <= {row["group"] for row in result["vocabularies"][0]["groups"]}


def test_what_has_no_groups_is_refused(records: Path, tmp_path: Path) -> None:
    with pytest.raises(st.SpanishTokError, match="has no column 'region'"):
        st.compare([None], records, group="region")
    with pytest.raises(st.SpanishTokError, match="has no column 'país'"):
        st.compare([None], texts=["hola"], group="país")
    (tmp_path / "a.tsv").write_text("1\thola\n", encoding="utf-8")
    with pytest.raises(st.SpanishTokError, match=r"a\.tsv has no column .text."):
        st.compare([None], tmp_path / "a.tsv", group="país")
    with pytest.raises(st.SpanishTokError, match="101 different values"):
        groups_of(pa.chunked_array([[str(n) for n in range(101)]]), "n")


def test_groups_and_pieces_are_in_the_json_and_the_page(
    records: Path, shadowed: Path, tmp_path: Path
) -> None:
    first = str(shadowed)
    page = tmp_path / "a.html"
    done = run(
        "compare", first, "--text", str(records), "--group", "país", "--json", "-", "--html", str(page)
    )
    figures = json.loads(done.stdout)
    ours, theirs = figures["vocabularies"]
    assert figures["group"] == "país"
    assert (ours["unreachable"], theirs["unreachable"]) == ([], ["▁os"])
    assert ours["groups"][1]["tokens_per_word"]["low"] < ours["groups"][1]["tokens_per_word"]["value"]
    assert ours["unused"] == 4897 - round(ours["normalized"]["coverage"] * 4897)
    html = page.read_text(encoding="utf-8")
    assert "By país" in html
    assert "that no text can reach" in html
    assert "used in one group alone" in html
    assert "has no column" in complaint("compare", first, "--text", str(records), "--group", "x")
