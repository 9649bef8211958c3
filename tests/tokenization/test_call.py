"""The tokenizer as people know it: calls, batches, the best segmentations, pieces and ids, other libraries."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from spanish_tok import SpanishTokError, Tokenizer
from spanish_tok.measure.verify import AWKWARD, sample_sentences
from tests.tokenization.test_tokenizer import PIECES, SHIPPED, all_ways

SCORES = SHIPPED.vocabulary.scores


@pytest.fixture(scope="module")
def thousand() -> list[str]:
    """Sentences, awkward texts and mixtures of them: 1,000 texts of 0 to about 900 ids."""
    draw = random.Random(23)
    base = [*sample_sentences(), *AWKWARD]
    mixed = [
        " ".join(draw.choices(base, k=draw.choice([1, 1, 2, 2, 3, 5, 40]))) for _ in range(1000 - len(base))
    ]
    return [*base, *(text.upper() if draw.random() < 0.5 else text for text in mixed)]


@pytest.fixture(scope="module")
def auto(folder: Path) -> Any:
    return pytest.importorskip("transformers").AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"padding": True},
        {"padding": "max_length", "truncation": True, "max_length": 20},
        {"padding": "max_length", "max_length": 7},
        {"truncation": True},
        {"truncation": True, "max_length": 1},
        {"padding": True, "truncation": True, "max_length": 64},
        {"padding": "max_length", "truncation": True},
    ],
)
def test_a_call_gives_what_autotokenizer_gives(
    auto: Any, thousand: list[str], options: dict[str, Any]
) -> None:
    assert len(thousand) == 1000
    options = {"truncation": False} | options  # where max_length is given, its default is True
    for append_eos, texts in ((True, thousand), (False, thousand[:100])):
        ours = SHIPPED(texts, append_eos=append_eos, **options)
        theirs = auto(texts, split_special_tokens=True, add_special_tokens=append_eos, **options)
        assert ours == {name: theirs[name] for name in ("input_ids", "attention_mask")}
    for text in thousand[:40]:
        one = auto(text, split_special_tokens=True, **options)
        assert SHIPPED(text, **options) == {name: one[name] for name in ("input_ids", "attention_mask")}


@pytest.mark.parametrize("tensors", ["np", "pt"])
def test_tensors_are_autotokenizer_s(auto: Any, thousand: list[str], tensors: str) -> None:
    if tensors == "pt":
        pytest.importorskip("torch")
    options: dict[str, Any] = {
        "padding": True,
        "truncation": True,
        "max_length": 32,
        "return_tensors": tensors,
    }
    for texts in (thousand[:100], "hola mundo", ["hola", "adiós"]):
        ours, theirs = SHIPPED(texts, **options), auto(texts, split_special_tokens=True, **options)
        for name in ("input_ids", "attention_mask"):
            assert ours[name].dtype == theirs[name].dtype
            assert ours[name].shape == theirs[name].shape
            assert (ours[name] == theirs[name]).all()
    assert SHIPPED([], padding=True, return_tensors="np")["input_ids"].shape == (0, 0)


def test_a_batch_is_encode_of_each(thousand: list[str]) -> None:
    expected = [SHIPPED.encode(text, append_eos=True) for text in thousand]
    assert sum(map(len, thousand)) > 100_000  # so that columns are used
    for texts in (thousand, tuple(thousand), iter(thousand), np.array(thousand, object), pa.array(thousand)):
        assert SHIPPED.encode_batch(texts, append_eos=True) == expected
    assert SHIPPED.encode_batch(thousand[:9], append_eos=True, threads=2) == expected[:9]
    assert SHIPPED.decode_batch(expected) == SHIPPED.normalize(thousand)
    assert SHIPPED.decode_batch(SHIPPED(thousand, padding=True, return_tensors="np")["input_ids"]) == (
        SHIPPED.normalize(thousand)
    )
    assert SHIPPED([]) == {"input_ids": [], "attention_mask": []}
    assert SHIPPED.encode_batch([]) == []
    assert SHIPPED.decode_batch([]) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"padding": "longer"}, "padding is 'longer'"),
        ({"truncation": "only_first"}, "truncation is 'only_first'"),
        ({"max_length": 8}, "max_length=8 has no effect alone"),
        ({"max_length": 8, "padding": True}, "has no effect alone"),
        ({"max_length": 0, "truncation": True}, "max_length is 0"),
        ({"max_length": 8.0, "truncation": True}, "max_length is 8.0"),
        ({"max_length": True, "truncation": True}, "max_length is True"),
        ({"return_tensors": "tf"}, "return_tensors is 'tf'"),
        ({"return_tensors": "np"}, "Give padding=True"),
    ],
)
def test_wrong_options_of_a_call_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SpanishTokError) as caught:
        SHIPPED(["hola", "hola mundo"], **options)
    assert message in str(caught.value)


@pytest.mark.parametrize("wrong", [None, 3, b"hola", float("nan"), ["hola"], "a\ud800"])
def test_what_is_no_text_in_a_batch_is_named_by_its_place(wrong: Any) -> None:
    for method in (SHIPPED, SHIPPED.encode_batch):
        with pytest.raises(SpanishTokError, match="Text 1: "):
            method(["hola", wrong])
    for nothing in (None, 5, b"hola"):
        with pytest.raises(SpanishTokError, match="Several texts are needed"):
            SHIPPED(nothing)  # type: ignore[arg-type]
    with pytest.raises(SpanishTokError, match="Row 1: Item 0 of the ids is 5000"):
        SHIPPED.decode_batch([[3], [5000]])


def test_pieces_and_ids() -> None:
    assert (SHIPPED.pad_id, SHIPPED.eos_id, SHIPPED.unk_id, len(SHIPPED)) == (0, 1, 2, 5000)
    vocabulary = SHIPPED.get_vocab()
    assert [vocabulary[piece] for piece in PIECES] == list(range(5000))
    assert SHIPPED.piece_to_id("▁de") == vocabulary["▁de"]
    assert SHIPPED.piece_to_id(["<extra_id_0>", "ж"]) == [4999, 2]
    assert SHIPPED.id_to_piece(0) == "<pad>"
    assert SHIPPED.id_to_piece(list(range(5000))) == list(PIECES)
    vocabulary.clear()
    assert len(SHIPPED.get_vocab()) == 5000
    for wrong in (5000, -1, "3", 1.5):
        with pytest.raises(SpanishTokError, match="of the ids is"):
            SHIPPED.id_to_piece(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("word", ["camino", "sí", "a", "¡olé!"])
def test_the_best_segmentations_are_those_of_all(word: str) -> None:
    ways = sorted(all_ways(word), key=lambda way: -sum(SCORES[number] for number in way))
    found = SHIPPED.encode_nbest(word, len(ways) + 5)
    assert sorted(ids for ids, _ in found) == sorted(ways)
    assert [score for _, score in found] == [sum(SCORES[number] for number in way) for way in ways]
    assert SHIPPED.encode_nbest(word, 3) == found[:3]


def test_the_best_segmentation_is_encode_s(thousand: list[str]) -> None:
    for text in thousand[:150]:
        ids, score = SHIPPED.encode_nbest(text, 1)[0]
        assert ids == SHIPPED.encode(text)
        assert score == sum(SCORES[number] for number in ids)
        several = SHIPPED.encode_nbest(text[:60], 8)
        assert several[0][0] == SHIPPED.encode(text[:60])
        assert [score for _, score in several] == sorted((score for _, score in several), reverse=True)
        assert {SHIPPED.decode(ids) for ids, _ in several} == {SHIPPED.normalize(text[:60])}
    assert SHIPPED.encode_nbest("", 4) == [([], 0.0)]
    for wrong in (0, -1, 1.5, "2"):
        with pytest.raises(SpanishTokError, match="n is"):
            SHIPPED.encode_nbest("hola", wrong)  # type: ignore[arg-type]


# Other libraries, without detours

TEXTS = ["Hola mundo", "¡Qué FRÍO!", ""]
IDS = [SHIPPED.encode(text) for text in TEXTS]


def test_datasets_map() -> None:
    datasets = pytest.importorskip("datasets")
    data = datasets.Dataset.from_dict({"text": TEXTS})
    mapped = data.map(SHIPPED, input_columns="text", batched=True)
    assert mapped["input_ids"][:] == [[*ids, 1] for ids in IDS]
    assert data.map(SHIPPED, input_columns="text")["attention_mask"][:] == mapped["attention_mask"][:]
    cut = data.map(lambda rows: SHIPPED(rows["text"], truncation=True, max_length=2), batched=True)
    assert [len(ids) for ids in cut["input_ids"]] == [2, 2, 1]
    assert SHIPPED.encode_batch(data["text"]) == IDS
    assert SHIPPED.decode_batch(mapped["input_ids"]) == SHIPPED.normalize(TEXTS)


def test_pandas() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"text": TEXTS}, index=[7, 8, 9])
    frame["a"] = SHIPPED.encode_batch(frame["text"])
    frame["b"] = frame["text"].map(SHIPPED.encode)
    frame["c"] = SHIPPED.encode_column(frame["text"])
    frame["d"] = SHIPPED(frame["text"], append_eos=False)["input_ids"]
    for name in "abcd":
        assert [list(ids) for ids in frame[name]] == IDS
        assert SHIPPED.decode_batch(frame[name]) == SHIPPED.normalize(TEXTS)
    with pytest.raises(SpanishTokError, match="Text 1: Text must be a str"):
        SHIPPED(pandas.Series(["hola", None]))


def test_polars() -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"text": TEXTS})
    column = polars.col("text").map_batches(SHIPPED.encode_column, return_dtype=polars.List(polars.UInt16))
    assert frame.with_columns(ids=column)["ids"].to_list() == IDS
    assert frame.lazy().with_columns(ids=column).collect()["ids"].to_list() == IDS
    assert SHIPPED.encode_batch(frame["text"]) == IDS
    assert frame.with_columns(ids=SHIPPED.encode_column(frame["text"]))["ids"].to_list() == IDS
    assert SHIPPED.decode_batch(frame.with_columns(ids=column)["ids"]) == SHIPPED.normalize(TEXTS)


def test_a_vocabulary_of_more_than_16_bits_has_batches(tmp_path: Path) -> None:
    from sentencepiece import sentencepiece_model_pb2 as proto

    from spanish_tok import Vocabulary

    model = proto.ModelProto.FromString(SHIPPED.vocabulary.serialized)
    for number in range(70_000):
        model.pieces.add(piece=f"z{number:05}z", score=-1000)
    (tmp_path / "large.model").write_bytes(model.SerializeToString())
    large = Tokenizer(Vocabulary.from_model(tmp_path / "large.model"))
    texts = sample_sentences() * 30
    assert large.encode_batch(texts) == [large.encode(text) for text in texts]
