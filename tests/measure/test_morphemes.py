"""Morphemes: borders of pieces against a lexicon, counted by hand."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

import spanish_tok as st
from spanish_tok import SpanishTokError, TokenizerAdapter
from spanish_tok.measure.figures.morphemes import MorphemeFigures, load_lexicon, measure_morphemes
from tests.cli.test_cli import complaint, run

CUTS = {
    "casas": ["\u2581casa", "s"],  # casa+s: right
    "niños": ["\u2581ni", "ños"],  # niñ+o+s: a border at 2, those of the lexicon at 3 and 4
    "sol": ["\u2581sol"],  # no border at all
    "rehacer": ["\u2581", "re", "hac", "er"],  # re+hac+er: both right
    "roto": ["\u2581ro", "<unk>"],  # does not spell the word
}
WORDS = {"casas": 10, "niños": 3, "sol": 5, "rehacer": 2, "roto": 4, "mar": 6}
LEXICON = "Casas\tcasa+s\nniños\tniñ+o+s\nsol\tsol\nrehacer\tre+hac+er\nroto\trot+o\n"


@pytest.fixture
def lexicon(tmp_path: Path) -> Path:
    path = tmp_path / "morfemas.tsv"
    path.write_text(LEXICON, encoding="utf-8")
    return path


def test_precision_recall_and_f1_by_hand(lexicon: Path) -> None:
    adapter = TokenizerAdapter.of(st.Tokenizer.load())
    adapter = type(adapter)(**{**vars(adapter), "cut": CUTS.__getitem__})
    words = pa.table({"word": list(WORDS), "count": list(WORDS.values())})
    figures = measure_morphemes(adapter, words, load_lexicon(lexicon))
    # right: casas 10 x 1, rehacer 2 x 2; between pieces: 10 + 3 + 4; of the lexicon: 10 + 3 x 2 + 4
    assert figures == MorphemeFigures(4, 20, 20 / 30, right=14, cut=17, known=20, skipped=4)
    assert figures.precision == pytest.approx(14 / 17)
    assert figures.recall == pytest.approx(14 / 20)
    assert figures.f1 == pytest.approx(2 * 14 / (17 + 20))


def test_no_border_anywhere_is_perfect_and_nothing_right_is_0() -> None:
    assert MorphemeFigures(1, 1, 1.0, 0, 0, 0).f1 == 1
    assert MorphemeFigures(1, 1, 1.0, 0, 2, 2).f1 == 0


def test_the_lexicon_is_normalized(lexicon: Path) -> None:
    assert load_lexicon(lexicon) == {
        "casas": {4}, "niños": {3, 4}, "sol": set(), "rehacer": {2, 5}, "roto": {3},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("casas\tcasa+s\ncasas\tcas+as\n", "row 2: 'casas' is there twice"),
        ("casas\tcasa\n", "row 1: 'casa' does not spell 'casas'"),
        ("casas\tcasa++s\n", "does not spell"),
        ("dos casas\tdos casas\n", "does not spell"),
        ("", "no"),
    ],
)
def test_a_wrong_lexicon_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "morfemas.tsv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SpanishTokError, match=message):
        load_lexicon(path)


def test_compare_shows_it(lexicon: Path, tmp_path: Path, folder: Path) -> None:
    text = tmp_path / "es.txt"
    text.write_text("Las casas al sol, niños.\n" * 3, encoding="utf-8")
    done = run("compare", folder, "--text", text, "--lexicon", lexicon, "--html", tmp_path / "i.html")
    assert "Morphemes" in done.stdout
    assert "Morphemes" in (tmp_path / "i.html").read_text(encoding="utf-8")
    shown = json.loads(run("compare", folder, "--text", text, "--lexicon", lexicon, "--json", "-").stdout)
    figures = shown["vocabularies"][0]["morphemes"]
    assert (figures["words"], figures["running"]) == (3, 9)
    assert 0 <= figures["f1"] <= 1
    assert "nada.tsv does not exist" in complaint("compare", folder, "--lexicon", tmp_path / "nada.tsv")
