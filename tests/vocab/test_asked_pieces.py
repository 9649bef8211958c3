"""Specials and pieces that a caller asks for: their ids, what becomes one, and what does not."""

from pathlib import Path
from typing import Any

import pytest

from spanish_tok import SpanishTokError, Tokenizer, Vocabulary, train
from spanish_tok.measure.verify import AWKWARD, sample_sentences, verify
from spanish_tok.vocab.audit import best_other_score, unreachable_pieces

TEXTS = [*sample_sentences() * 3, "usa <sep> y [CLS], <sepia> [cls] <sep>"]
SPECIAL = ("<sep>", "[CLS]", "<ж>")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: Any) -> Path:
    path = Path(tmp_path_factory.mktemp("specials"))
    train(texts=TEXTS, size=400, special=SPECIAL).save(path)
    return path


def test_specials_stand_below_the_sentinels(folder: Path, tmp_path: Path) -> None:
    tokenizer = Tokenizer.load(folder)
    assert tokenizer.piece_to_id([*SPECIAL, "<extra_id_0>", "<extra_id_99>"]) == [299, 298, 297, 399, 300]
    assert tokenizer.vocabulary.specials == 3
    assert tokenizer.vocabulary.special_ids == {0, 1, 2, *range(297, 400)}
    assert tokenizer.vocabulary.notes["training"]["special"] == list(SPECIAL)
    tokenizer.vocabulary.save(tmp_path)
    assert all((tmp_path / file.name).read_bytes() == file.read_bytes() for file in folder.iterdir())
    assert tokenizer.decode([*tokenizer.encode("hola"), 299, 298, 399, 1]) == "hola"
    few = train(texts=TEXTS, size=300, sentinels=0, special=["<sep>"])
    assert Tokenizer(few).piece_to_id("<sep>") == 299


def test_text_never_becomes_one(folder: Path) -> None:
    import sentencepiece
    import tokenizers

    tokenizer = Tokenizer.load(folder)
    peer: Any = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spiece.model"))
    other: Any = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert other.encode("a <sep> b [CLS]", add_special_tokens=False).ids[-1] == 298
    assert 299 in other.encode("a <sep> b").ids
    assert all(peer.is_control(number) for number in (297, 298, 299))
    other.encode_special_tokens = True
    texts = [*TEXTS, *AWKWARD, "<sep>", "a<sep>b", "[CLS]", "<ж>", "<extra_id_0><sep></s>", "<sep>" * 50]
    expected = [tokenizer.encode(text) for text in texts]
    assert not tokenizer.vocabulary.special_ids & {number for ids in expected for number in ids}
    assert [tokenizer.decode(ids) for ids in expected] == tokenizer.normalize(texts)
    assert tokenizer._column_encoder._compiled is not None
    assert tokenizer.encode_column(texts).to_pylist() == expected
    assert peer.encode(texts) == expected
    assert [other.encode(text, add_special_tokens=False).ids for text in texts] == expected
    assert verify(folder).ok


def test_transformers_reads_them_as_specials(folder: Path) -> None:
    transformers = pytest.importorskip("transformers")
    auto, tokenizer = transformers.AutoTokenizer.from_pretrained(folder), Tokenizer.load(folder)
    assert len(auto) == 400
    assert auto("hola <sep>")["input_ids"][-2:] == [299, 1]
    assert set(SPECIAL) <= set(auto.all_special_tokens)
    for text in [*TEXTS, "a<sep>b [CLS]"]:
        assert auto(text, split_special_tokens=True)["input_ids"] == tokenizer(text)["input_ids"]


@pytest.mark.parametrize(
    ("special", "message"),
    [
        ([""], "is empty"),
        (["<a b>"], "white space"),
        (["<a▁b>"], "white space"),
        (["</s>"], "is there already"),
        (["<extra_id_7>"], "is there already"),
        (["<extra_id_700>"], "is there already"),
        (["<sep>", "<sep>"], "is there already"),
        (["resumen"], "could be a piece"),
        (["##"], "could be a piece"),
        (["<" + "x" * 100], "more than 100"),
        ([3], "is no text"),
    ],
)
def test_wrong_specials_are_named(special: list[Any], message: str) -> None:
    with pytest.raises(SpanishTokError, match=f"The special .*{message}"):
        train(texts=TEXTS, size=400, special=special)


def test_a_foreign_model_with_controls_at_the_end_never_makes_them(folder: Path, tmp_path: Path) -> None:
    model = tmp_path / "x.model"
    model.write_bytes((folder / "spiece.model").read_bytes())
    assert Vocabulary.from_model(model).special_ids == Vocabulary.load(folder).special_ids


PIECES = ("▁otorrinolaringólogo", "xyzw", " Ordenador", "ción", "///")


@pytest.fixture(scope="module")
def with_pieces(tmp_path_factory: Any) -> Path:
    path = Path(tmp_path_factory.mktemp("pieces"))
    train(texts=TEXTS, size=400, piece=PIECES).save(path)
    return path


def test_pieces_that_are_asked_for_stay_and_are_reached(with_pieces: Path) -> None:
    import sentencepiece
    import tokenizers

    tokenizer = Tokenizer.load(with_pieces)
    assert tokenizer.tokens("El otorrinolaringólogo")[-1] == "▁otorrinolaringólogo"
    assert tokenizer.tokens("¡xyzw!")[-2:] == ["xyzw", "!"]
    assert tokenizer.tokens("un ORDENADOR")[-1] == "▁ordenador"
    assert tokenizer.tokens("a///b").count("///") == 1
    assert len(tokenizer) == 400
    peer: Any = sentencepiece.SentencePieceProcessor(model_file=str(with_pieces / "spiece.model"))
    other: Any = tokenizers.Tokenizer.from_file(str(with_pieces / "tokenizer.json"))
    other.encode_special_tokens = True
    texts = [*TEXTS, *AWKWARD, "otorrinolaringólogos xyzwxyzw xyzxyzw preordenador ordenadores a//////b"]
    expected = [tokenizer.encode(text) for text in texts]
    assert tokenizer._column_encoder._compiled is not None
    assert tokenizer.encode_column(texts).to_pylist() == expected
    assert peer.encode(texts) == expected
    assert [other.encode(text, add_special_tokens=False).ids for text in texts] == expected
    assert verify(with_pieces).ok


def test_a_piece_that_no_text_holds_has_the_lowest_score_that_reaches_it(with_pieces: Path) -> None:
    vocabulary = Vocabulary.load(with_pieces)
    scores = dict(zip(vocabulary.pieces, vocabulary.scores, strict=True))
    assert set(vocabulary.notes["raised"]) <= {"▁otorrinolaringólogo", "xyzw", "▁ordenador", "ción", "///"}
    assert {"▁otorrinolaringólogo", "xyzw", "▁ordenador"} <= set(vocabulary.notes["raised"])
    assert vocabulary.notes["training"]["piece"] == list(PIECES)
    for piece in vocabulary.notes["raised"]:
        assert scores[piece] == best_other_score(piece, scores)
    assert unreachable_pieces(vocabulary) == []


def test_sizes_and_no_pieces_are_as_before() -> None:
    alone = train(texts=TEXTS, size=350, piece=["▁ordenador"])
    both = train(texts=TEXTS, size=[350, 400], piece=["▁ordenador"])
    assert both[350].fingerprint == alone.fingerprint
    assert train(texts=TEXTS, size=350, piece=[]).fingerprint == train(texts=TEXTS, size=350).fingerprint


@pytest.mark.parametrize(
    ("piece", "message"),
    [
        ([""], "is empty"),
        (["\u0301"], "is empty"),
        (["dos palabras"], "is not within one run"),
        (["a1"], "is not within one run"),
        (["x" * 65], "more than 64"),
        (["<sep>"], "is a special"),
        (["sol", "SOL"], "is there twice"),
        ([7], "is no text"),
    ],
)
def test_wrong_pieces_are_named(piece: list[Any], message: str) -> None:
    with pytest.raises(SpanishTokError, match=f"The piece .*{message}"):
        train(texts=TEXTS, size=400, piece=piece, special=["<sep>"])


def test_pieces_need_room_and_cross_nothing_that_stands_alone() -> None:
    with pytest.raises(SpanishTokError, match="85 characters, 2 pieces, the sentinels"):
        train(texts=TEXTS, size=189, piece=["▁ordenador", "xyzw"])
    with pytest.raises(SpanishTokError, match="'12' holds a character that stands alone"):
        train(texts=TEXTS, size=400, piece=["12"], split_digits=True)
