"""Cleaning: what is repaired, what is rejected and why, and above all what must not be touched."""

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spanish_tok import normalize
from spanish_tok.corpus.cleaning import (
    NOTHING,
    REJECTIONS,
    RULES,
    CleanOptions,
    Duplicates,
    clean_batch,
    explain,
    reason_of,
)
from spanish_tok.corpus.cleaning import function_words as packed_function_words
from spanish_tok.corpus.cleaning_report import EXAMPLES, CleaningReport, report_of
from spanish_tok.files import shipped
from spanish_tok.kernels.text import clean as kernels
from tests.conftest import TOP

CASES = TOP / "tests" / "cases"
REPAIRED = json.loads((CASES / "clean-repaired.json").read_text(encoding="utf-8"))
REJECTED = json.loads((CASES / "clean-rejected.json").read_text(encoding="utf-8"))
UNTOUCHED = json.loads((CASES / "clean-untouched.json").read_text(encoding="utf-8"))


def cleaned(texts: list[str], options: CleanOptions | None = None) -> list[tuple[str, str | None]]:
    """(text, reason) of each."""
    ids = [str(n) for n in range(len(texts))]
    result = clean_batch(pa.record_batch({"id": ids, "text": texts}), options)
    Duplicates(options or CleanOptions()).mark(result)
    return list(zip(result.batch.column("text").to_pylist(), map(reason_of, result.reasons), strict=True))


@pytest.mark.parametrize("case", REPAIRED, ids=lambda case: case["text"][:30])
def test_repairs(case: dict[str, str]) -> None:
    assert cleaned([case["text"]], CleanOptions(short=0, spanish=0)) == [(case["repaired"], None)]
    assert case["rule"] in [rule for rule, _ in explain(case["text"])]


@pytest.mark.parametrize("case", REJECTED, ids=lambda case: case["rule"] + " " + case["text"][:20])
def test_rejections(case: dict[str, str]) -> None:
    assert cleaned([case["text"]])[0][1] == case["rule"]
    assert explain(case["text"])[-1] == (case["rule"], None)
    off = CleanOptions(**{case["rule"]: 0})
    assert cleaned([case["text"]], off)[0][1] != case["rule"]


@pytest.mark.parametrize("text", UNTOUCHED)
def test_what_must_not_be_touched(text: str) -> None:
    assert cleaned([text]) == [(text, None)]
    assert explain(text) == []


def test_rules_that_are_off_do_nothing() -> None:
    texts = [case["text"] for case in REPAIRED + REJECTED]
    assert cleaned(texts * 2, NOTHING) == [(text, None) for text in texts * 2]


SPANISH = st.text("aábcdeéñoú üÑ¿¡.,“”—€", min_size=1, max_size=80)


@given(SPANISH, st.sampled_from(["cp1252", "latin-1"]))
@example("á€—", "latin-1")  # which is itself what a Burmese letter looks like when misread
@example("á”¡", "latin-1")
def test_mojibake_equals_the_original(text: str, encoding: str) -> None:
    """UTF-8 read in the wrong encoding and back; bytes that Windows-1252 leaves out as Latin-1 has them."""
    text = f"El año próximo será así: {text}"
    wrong = "".join(
        chr(byte)
        if encoding == "latin-1" or byte in b"\x81\x8d\x8f\x90\x9d"
        else bytes([byte]).decode("cp1252")
        for byte in text.encode()
    )
    assert cleaned([wrong], CleanOptions(short=0, letters=0, spanish=0, signs=0))[0][0] == text


def test_duplicates_and_near_duplicates() -> None:
    first = "El perro come en la cocina de la casa."
    texts = [
        first,
        "La perra duerme en el patio.",
        first,
        "¡EL PERRO come… en la cocina, de la casa!",
        first.upper(),
    ]
    assert [reason for _, reason in cleaned(texts)] == [
        None,
        None,
        "duplicate",
        "near_duplicate",
        "duplicate",
    ]
    near_only = CleanOptions(duplicate=0)
    assert [reason for _, reason in cleaned(texts, near_only)][2:] == ["near_duplicate"] * 3
    exact_only = CleanOptions(near_duplicate=0)
    assert [reason for _, reason in cleaned(texts, exact_only)][2:] == ["duplicate", None, "duplicate"]


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 3), st.booleans()), max_size=60))
def test_repeats_equal_a_dictionary(rows: list[tuple[int, int, bool]]) -> None:
    near, exact, asked = (
        np.array([row[k] for row in rows], kind) for k, kind in enumerate((np.uint64, np.uint64, bool))
    )
    first: dict[int, int] = {}
    expected = []
    for n, e, ask in rows:
        expected.append(0 if not ask or n not in first else 1 if first[n] == e else 2)
        if ask:
            first.setdefault(n, e)
    found, _, _ = kernels.repeats(near, exact, asked, np.zeros((2, 2), np.uint64), 0)
    assert found.tolist() == expected


WORDS = {
    word.encode() for word in shipped("corpus/function-words-es.txt").read_text(encoding="utf-8").split()
}


TEXTS = st.text("de la que él, 12.ñªº€—¿ ", max_size=60)
WORDY = st.lists(st.sampled_from(["de", "estamos", "él", "ferrocarriles", "a1", "-"]), max_size=20).map(
    " ".join
)


@given(st.lists(TEXTS | WORDY, max_size=8))
def test_measures_equal_slow_ones(texts: list[str]) -> None:
    rows = [normalize(text) for text in texts]
    data = np.frombuffer("".join(rows).encode(), np.uint8)
    offsets = np.cumsum([0, *(len(row.encode()) for row in rows)])
    measures, exact, near = kernels.measure(data, offsets, packed_function_words())
    for row, found in zip(rows, measures.tolist(), strict=True):
        letters = [char for char in row if char.isalpha()]
        runs = "".join(char if char.isalpha() else " " for char in row).split()
        words = row.split()
        longest = repeats = 0
        for place, word in enumerate(words):
            repeats = repeats + 1 if place and words[place - 1] == word else 1
            longest = max(longest, repeats)
        assert found[kernels.LETTERS] == len(letters)
        assert found[kernels.CHARACTERS] == len(row.replace(" ", ""))
        assert found[kernels.ALPHANUMERIC] == len(letters) + sum(char.isdigit() for char in row)
        assert found[kernels.WORDS] == sum(any(map(str.isalpha, word)) for word in words)
        assert found[kernels.FUNCTION_WORDS] == sum(run.encode() in WORDS for run in runs)
        assert found[kernels.REPEATS] == longest
    alone = ["".join(filter(lambda char: char.isalnum() and char not in "²³", row)) for row in rows]
    for a in range(len(rows)):
        for b in range(len(rows)):
            assert (exact[a] == exact[b]) == (rows[a] == rows[b])
            assert (near[a] == near[b]) == (alone[a] == alone[b])


def test_every_function_word_can_be_packed() -> None:
    assert all(len(word) <= 8 for word in WORDS)
    assert np.count_nonzero(packed_function_words()) == len(WORDS)


@given(st.text(max_size=60))
@example("Ã\x08¼")  # without its control character it looks misread
def test_explain_says_what_cleaning_does(text: str) -> None:
    ((after, reason),) = cleaned([text])
    steps = explain(text)
    repaired = [result for _, result in steps if result is not None]
    assert (repaired[-1] if repaired else text) == after
    assert (steps[-1][0] if steps and steps[-1][1] is None else None) == reason


def test_the_report_counts_keeps_ten_examples_and_adds_up() -> None:
    texts = (
        ["....."] * 15 + [f"El perro come &ntilde;u {n}." for n in range(12)] + ["El gato duerme en la cama."]
    )
    raw = pa.record_batch({"id": [str(n) for n in range(len(texts))], "text": texts})
    whole = report_of(raw, clean_batch(raw))
    assert (whole.looked, whole.kept, whole.touched["signs"], whole.touched["entities"]) == (28, 13, 15, 12)
    assert [example["id"] for example in whole.examples["signs"]] == [str(n) for n in range(EXAMPLES)]
    assert whole.examples["entities"][0] == {
        "id": "15", "text": "El perro come &ntilde;u 0.", "repaired": "El perro come ñu 0."
    }  # fmt: skip
    added = CleaningReport()
    for begin in range(0, len(texts), 5):
        part = raw.slice(begin, 5)
        added.add(report_of(part, clean_batch(part)))
    assert added == whole == CleaningReport.from_dict(json.loads(json.dumps(whole.as_dict())))
    assert set(whole.as_dict()["rules"]) == set(RULES)
    assert set(REJECTIONS) < set(RULES)
