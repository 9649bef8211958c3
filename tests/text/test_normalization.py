"""The contract of normalization, in four engines: total, closed, idempotent, and the same everywhere."""

import json
import random
import unicodedata

import pytest
import unicodedata2
from hypothesis import given
from hypothesis import strategies as st

from spanish_tok import SpanishTokError, build_table, normalize, normalize_column
from spanish_tok.text.alphabet import CODE_POINTS, DIGITS, LETTERS, OTHERS, SPANISH, SURROGATES
from spanish_tok.text.charsmap import compile_charsmap, spanish_charsmap
from spanish_tok.text.table import NormalizationTable, spanish_table
from tests.conftest import TOP, Normalizer

CASES = TOP / "tests" / "cases"
SCALARS = [chr(code) for code in range(1, CODE_POINTS) if code not in SURROGATES]
LATIN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
MARKS = [chr(code) for code in range(0x300, 0x370)]
TABLES: dict[str, NormalizationTable] = {}  # by their alphabets


def check_all(texts: list[str], normalizers: dict[str, Normalizer]) -> None:
    """Every engine says the same; the result lies in the alphabet; normalizing it again changes nothing."""
    expected = normalizers["python"](texts)
    for name, engine in normalizers.items():
        got = engine(texts)
        wrong = [(ascii(text), a, b) for text, a, b in zip(texts, expected, got, strict=True) if a != b]
        assert not wrong, f"{name} differs from Python for {len(wrong)} texts: {wrong[:5]}"
    distinct = sorted(set(expected))
    assert set().union(*map(set, distinct)) <= set(SPANISH)
    assert normalizers["kernel"](distinct) == distinct
    assert not any(text != text.strip() or "  " in text for text in distinct)


def test_there_are_as_many_scalar_values_as_unicode_says() -> None:
    assert len(SCALARS) == 1_112_063


@pytest.mark.parametrize("form", ["{}", "a{}b", "A{}N"])
def test_every_character(form: str, normalizers: dict[str, Normalizer]) -> None:
    check_all([form.format(char) for char in SCALARS], normalizers)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["{}N", "N{}", "É{}1", "Я{}Я", "n{}\u0303", "👍{}ñ"])
def test_every_character_beside_others(form: str, normalizers: dict[str, Normalizer]) -> None:
    check_all([form.format(char) for char in SCALARS], normalizers)


def letters_and_marks(second: list[str]) -> list[str]:
    texts = {
        unicodedata.normalize(form, text) if form else text
        for letter in LATIN
        for mark in MARKS
        for text in [letter + mark, *(letter + mark + other for other in second)]
        for form in (None, "NFC", "NFD", "NFKC")
    }
    return sorted(texts)


def test_every_letter_with_every_mark(normalizers: dict[str, Normalizer]) -> None:
    check_all(letters_and_marks(["\u0301", "\u0303", "\u0308", "\u0323", "\u0345", "\u0300"]), normalizers)


@pytest.mark.slow
def test_every_letter_with_every_two_marks(normalizers: dict[str, Normalizer]) -> None:
    check_all(letters_and_marks(MARKS), normalizers)


def test_random_texts(normalizers: dict[str, Normalizer]) -> None:
    draw = random.Random(20_241)
    kinds: list[list[str] | str] = [
        LATIN, LATIN, " \t\n\u00a0\u2028\u3000\u200b", SPANISH, "áéíóúüñÁÉÍÓÚÜÑ", MARKS, "\u0301\u0303\u0308",
        "\u200d\ufe0f\u20e3👍😀🏻🏿👩🇪🇸", "ก\u0e33ກ\u0eb3क्ष\u0d4eक한각\u1100\u1161\u11a8", SCALARS, "½¼ﬁﷺ№㎏…ǖ",
    ]  # fmt: skip
    texts = []
    for _ in range(200_000):
        chosen = draw.choices(kinds, k=draw.randint(1, 12))
        texts.append("".join(draw.choice(kind) for kind in chosen))
    check_all(texts, normalizers)


@given(st.text(max_size=60))
def test_any_text_in_python_and_kernel(text: str) -> None:
    normal = normalize(text)
    assert normalize(normal) == normal
    assert set(normal) <= set(SPANISH)
    assert normalize_column([text]).to_pylist() == [normal]


@given(st.text("abyz  \u0301\u0303ñÑ.½\t", max_size=60), st.sampled_from([" abcñ.", " -01.", SPANISH]))
def test_texts_that_are_nearly_normal_and_other_alphabets(text: str, alphabet: str) -> None:
    table = TABLES.setdefault(alphabet, build_table(alphabet))
    assert normalize_column([text], table).to_pylist() == [table.normalize(text)]


@pytest.mark.parametrize("name", ["spanish", "typography", "other-scripts", "emoji", "unchanged"])
def test_golden_cases(name: str, normalizers: dict[str, Normalizer]) -> None:
    cases = json.loads((CASES / f"normalize-{name}.json").read_text(encoding="utf-8"))
    assert cases
    for case in cases:
        for engine, run in normalizers.items():
            assert run([case["original"]]) == [case["normalized"]], (engine, case["label"])


def test_composed_and_decomposed_forms_differ_only_where_listed() -> None:
    """Promised to be equal for the seven Spanish letters; the others are listed, so that a change is seen."""
    listed = set(json.loads((CASES / "composed-differs.json").read_text(encoding="utf-8")))
    differ = {char for char in SCALARS if normalize(char) != normalize(unicodedata2.normalize("NFD", char))}
    assert differ == listed
    assert not differ & set("áéíóúüñÁÉÍÓÚÜÑǖǘǚǜ")


def test_the_shipped_table_is_the_one_that_is_built() -> None:
    assert build_table(database=unicodedata2) == spanish_table()
    assert compile_charsmap(spanish_table()) == spanish_charsmap()


def test_the_alphabet_is_the_design_s() -> None:
    printable = {chr(code) for code in range(0x20, 0x7F)} - set("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    assert set(SPANISH) == printable | set("áéíóúüñ¿¡ºª°€«»—")
    assert len(SPANISH) == len(set(SPANISH)) == 85
    assert SPANISH == " " + LETTERS + DIGITS + OTHERS


def test_another_alphabet_is_closed_and_idempotent() -> None:
    alphabet = " abcdefghijklmnopqrstuvwxyzàâãáçéêíóôõú.,"
    table = build_table(alphabet)
    assert table.normalize("Coração, A\u0303o ½😀 ñ") == "coração, ão n"
    for char in SCALARS[::37]:
        normal = table.normalize(f"a{char}b")
        assert set(normal) <= set(alphabet)
        assert table.normalize(normal) == normal
    assert normalize_column(["N\u0303 Ã"], table).to_pylist() == ["n ã"]


@pytest.mark.parametrize("alphabet", ["abc", " Abc", " aab"])
def test_an_alphabet_that_is_none_is_refused(alphabet: str) -> None:
    with pytest.raises(SpanishTokError, match="alphabet"):
        build_table(alphabet)


def test_a_lone_surrogate_is_named() -> None:
    with pytest.raises(SpanishTokError, match=r"lone surrogate U\+DC80 at character 3.*surrogatepass"):
        normalize("año\udc80")
