"""Every alphabet, also with capitals: closed, idempotent, exact, and the same ids in every engine."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from spanish_tok import Counts, SpanishTokError, Tokenizer, Vocabulary, count, merge, train
from spanish_tok.measure.verify import AWKWARD, sample_sentences, verify
from spanish_tok.text.alphabet import CODE_POINTS, SPANISH, SURROGATES
from spanish_tok.text.alphabets import NAMES, alphabet_table
from spanish_tok.text.packed_table import normalize_column
from spanish_tok.text.table import read_table, spanish_table
from spanish_tok.vocab.counts.runs import count_runs

SENTENCES = {
    "pt": ["A João não fez a lição, À tarde comeu pão"],
    "ca": ["La COL·LECCIÓ de l'Àngel és aŀlucinant", "els goril·les"],
    "gl": ["O Iñaki dixo: «Ola», saïamos ás dúas"],
    "fr": ["Le CŒUR de l'œuvre, où Noël naît à Aÿ", "l’Été « déjà »"],
    "it": ["Perché la città è più bella? Così È"],
    "de": ["STRASSE, Straße, STRAẞE: Äpfel für die Größe"],
    "es": ["¡Qué FRÍO hace en Ávila! Ñoquis a 21½ €"],
}
WAYS: dict[str, dict[str, Any]] = {
    **{name: {"alphabet": name} for name in NAMES if name != "es"},
    **{f"{name} cased": {"alphabet": name, "cased": True} for name in NAMES},
    "es split-digits no-join": {"split_digits": True, "no_join": "-_.¿"},
}
QUICK = ["ca", "de cased", "es split-digits no-join"]


@cache
def vocabulary_of(way: str) -> Vocabulary:
    """A small vocabulary of a few sentences; texts of all languages, so that foreign letters come up."""
    texts = [*sample_sentences(), *(text for of_one in SENTENCES.values() for text in of_one)]
    texts += [*SENTENCES[way[:2]] * 5, "en 2011 y 2024-10-12, a/b_c d-e f-g --"] * 3
    return train(texts=texts, size=500, **WAYS[way])


@pytest.fixture(scope="module", params=[*QUICK, *(pytest.param(way, marks=pytest.mark.slow) for way in WAYS)])
def saved(request: Any, tmp_path_factory: Any) -> tuple[str, Path, Tokenizer]:
    folder = tmp_path_factory.mktemp("vocabulary")
    vocabulary_of(request.param).save(folder)
    return request.param, folder, Tokenizer.load(folder)


def check_characters(folder: Path, way: str, form: str, step: int) -> None:
    """All engines normalize and encode text with every step-th character alike; nothing is unknown."""
    import sentencepiece
    import tokenizers

    options = WAYS[way]
    table = alphabet_table(options.get("alphabet", "es"), cased=options.get("cased", False))
    tokenizer = Tokenizer.load(folder)
    peer: Any = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spiece.model"))
    other: Any = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    scalars = [chr(code) for code in range(1, CODE_POINTS, step) if code not in SURROGATES]
    scalars += sorted(set(table.alphabet) | set("ÑñÇçŒœßẞ·ŀĿÀàÿŸ½ªº♥"))
    texts = [
        " ".join(form.format(char) for char in scalars[at : at + 32]) for at in range(0, len(scalars), 32)
    ]
    normal = [table.normalize(text) for text in texts]
    assert set().union(*map(set, normal)) <= set(table.alphabet)
    assert [table.normalize(text) for text in normal] == normal
    assert normalize_column(texts, table).to_pylist() == normal
    assert [other.normalizer.normalize_str(text) for text in texts] == normal
    expected = peer.encode(texts)
    assert not tokenizer.vocabulary.special_ids & {number for ids in expected for number in ids}
    assert peer.decode(expected) == normal
    assert tokenizer._column_encoder._compiled is not None
    assert tokenizer.encode_column(texts).to_pylist() == expected
    assert [row.ids for row in other.encode_batch(texts, add_special_tokens=False)] == expected


def test_every_character_is_the_same_everywhere(saved: tuple[str, Path, Tokenizer]) -> None:
    way, folder, tokenizer = saved
    check_characters(folder, way, "a{}b", 97)
    check_characters(folder, way, "N{}\u0303", 997)
    texts = [*AWKWARD, *sample_sentences(), *(text for of_one in SENTENCES.values() for text in of_one)]
    for text in texts:
        for spelled in (text, text.upper(), text.lower()):
            assert tokenizer.decode(tokenizer.encode(spelled)) == tokenizer.normalize(spelled)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_all_code_points(way: str, tmp_path: Path) -> None:
    vocabulary_of(way).save(tmp_path)
    for form in ("a{}b", "{}", "A{}N"):
        check_characters(tmp_path, way, form, 1)
    assert verify(tmp_path).ok


@pytest.mark.parametrize("way", QUICK)
def test_transformers_reads_it(way: str, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    vocabulary_of(way).save(tmp_path)
    auto, tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path), Tokenizer.load(tmp_path)
    texts = [*AWKWARD, *sample_sentences(), *SENTENCES[way[:2]]]
    assert auto(texts, split_special_tokens=True)["input_ids"] == tokenizer(texts)["input_ids"]


@pytest.mark.parametrize(
    ("name", "cased", "text", "expected"),
    [
        ("ca", False, "La COL·LECCIÓ aŀlucina, Muñoz", "la col·lecció al·lucina, munoz"),
        ("ca", True, "La COL·LECCIÓ de l'Àngel", "La COL·LECCIÓ de l'Àngel"),
        ("de", False, "STRAẞE Straße Œuvre Ñ A\u0308", "straße straße oeuvre n ä"),
        ("de", True, "STRAẞE Œuvre Ä A\u0308 É", "STRAßE Oeuvre Ä Ä E"),
        ("fr", False, "CŒUR Ÿ y\u0308 « été »", "coeur ÿ ÿ « été »"),
        ("fr", True, "CŒUR Ÿ Y\u0308", "COeUR Ÿ Ÿ"),
        ("pt", False, "Lição À Ñ c\u0327", "lição à n ç"),
        ("es", True, "El PINGU\u0308INO… ½ Ж №5", "El PINGÜINO... 1/2 Zh No5"),
    ],
)
def test_normalization_by_alphabets(name: str, cased: bool, text: str, expected: str) -> None:
    assert alphabet_table(name, cased=cased).normalize(text) == expected


def test_the_spanish_alphabet_is_the_shipped_one() -> None:
    from spanish_tok.files import shipped
    from spanish_tok.options import from_toml
    from spanish_tok.text.alphabets import Alphabet

    assert from_toml(Alphabet, shipped("alphabets/es.toml")).characters == SPANISH
    assert alphabet_table("es") is spanish_table()
    assert spanish_table().label == "es"


def test_the_dot_of_catalan_joins_letters_in_runs() -> None:
    counts = count(texts=["col·lecció 3·4 · a"], alphabet="ca").table.to_pydict()["run"]
    assert {"▁col·lecció", "▁·", "·", "▁3", "4", "▁a"} == set(counts)
    words = Counts.from_words({"col·lecció": 2}, table=alphabet_table("ca"))
    assert words.table.to_pydict()["run"] == ["▁col·lecció"]
    assert words.alphabet == "ca"


def test_characters_stand_alone() -> None:
    pieces = vocabulary_of("es split-digits no-join").pieces[3:-100]
    assert not [piece for piece in pieces if len(piece) > 1 and set(piece) & set("0123456789-_.¿")]
    tokens = Tokenizer(vocabulary_of("es split-digits no-join")).tokens("en 2011 ¿a-b? --")
    assert [token for token in tokens if set(token) & set("▁2011-¿")] == (
        ["▁en", "▁", "2", "0", "1", "1", "▁", "¿", *tokens[8:9], "-", *tokens[10:12], "▁", "-", "-"]
    ) or tokens[1:6] == ["▁", "2", "0", "1", "1"]  # fmt: skip
    for wrong in ("É", "▁", " "):
        with pytest.raises(SpanishTokError, match="no_join names"):
            train(texts=["hola"] * 9, size=190, no_join=wrong)


def test_capitals_are_kept_and_recorded() -> None:
    vocabulary = vocabulary_of("es cased")
    assert Tokenizer(vocabulary).normalize("¡Ávila Y ÑU!") == "¡Ávila Y ÑU!"
    assert vocabulary.notes["training"] == {
        "seeds": 1_000_000, "shrink": 0.75, "steps": 2, "headroom": 1.1, "cased": True, "alphabet": "es cased",
    }  # fmt: skip
    assert "alphabet" not in train(texts=["hola mundo"] * 9, size=190).notes["training"]


def test_counts_record_their_alphabet_and_do_not_mix(tmp_path: Path) -> None:
    spanish, catalan = count_runs(["niño"]), count(texts=["nen"], alphabet="ca", cased=True)
    catalan.save(tmp_path / "ca.parquet")
    spanish.save(tmp_path / "es.parquet")
    assert Counts.load(tmp_path / "ca.parquet").alphabet == "ca cased"
    assert Counts.load(tmp_path / "es.parquet").alphabet == "es"
    with pytest.raises(SpanishTokError, match="cannot be mixed: es and ca cased"):
        merge([spanish, catalan])
    with pytest.raises(SpanishTokError, match="cannot be mixed: ca cased and es"):
        train([tmp_path / "ca.parquet"], size=200)
    with pytest.raises(SpanishTokError, match="cannot be mixed: es and ca"):
        train(spanish, size=200, alphabet="ca")
    assert merge([Counts(spanish.table), catalan]).alphabet == "ca cased"


def test_an_alphabet_of_one_s_own(tmp_path: Path) -> None:
    path = tmp_path / "el.toml"
    path.write_text(
        'letters = "αβγδεζηθικλμνξοπρςστυφχψωάέήίόύώ"\n[expansions]\n"ϐ" = "β"\n', encoding="utf-8"
    )
    table = alphabet_table(path)
    assert table.normalize("Ο ΚΌΣΜΟΣ ϐ ñ") == "ο κόσμοσ β n"
    assert table.label.startswith("el-")
    vocabulary = train(texts=["ο κόσμος και το νερό", *sample_sentences()] * 9, size=250, alphabet=str(path))
    vocabulary.save(tmp_path / "v")
    assert verify(tmp_path / "v").ok
    plain = tmp_path / "plain.toml"
    plain.write_text('letters = ""\nothers = ".,-"\n', encoding="utf-8")
    train(texts=sample_sentences(), size=150, alphabet=str(plain)).save(tmp_path / "plain")
    assert Tokenizer.load(tmp_path / "plain").normalize("El NIÑO, «café»") == "el nino, cafe"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('letters = "É"', "'É' is a capital"),
        ('letters = "ññ"', "'ñ' is there twice"),
        ('letters = "a"', "'a' is there twice"),
        ('letters = "+"', "is no letter"),
        ('letters = "\u0301"', "cannot be in an alphabet"),
        ('letters = ""\njoining = "▁"', "cannot be in an alphabet"),
        ('letters = ""\njoining = 3', "joining = 3"),
        ('letters = ""\n[expansions]\n"ß" = "ñ"', "must be spelled in the alphabet"),
        ('letters = ""\n[expansions]\n"a" = "b"', "cannot have an expansion"),
        ('letter = ""', "lacks letters"),
        ("letters = ", "not valid TOML"),
    ],
)
def test_what_is_no_alphabet_is_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "x.toml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(SpanishTokError, match=rf"x\.toml.*{message}"):
        alphabet_table(path)
    with pytest.raises(SpanishTokError, match=r"no alphabet xx.*Give one of es, pt"):
        alphabet_table("xx")


def test_a_table_with_joining_characters_is_written_and_read(tmp_path: Path) -> None:
    from spanish_tok.text.build_table import write_table

    write_table(alphabet_table("ca"), tmp_path / "ca.tsv")
    assert read_table(tmp_path / "ca.tsv") == alphabet_table("ca")
