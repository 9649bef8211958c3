"""What once ended with a wrong result and no error (rows A of the list of faults): the right value is kept here."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from sentencepiece import sentencepiece_model_pb2 as proto

import spanish_tok
from spanish_tok import SpanishTokError, Tokenizer, Vocabulary, build_table, train
from spanish_tok.cli import main
from spanish_tok.measure.verify import sample_sentences
from spanish_tok.tokenization.libraries import load_adapter
from spanish_tok.tokenization.piece_spelling import PieceSpelling

SPECIAL_TEXTS = ["😀", "\n", "\t", "\u200b", "\u3000", "🇪🇸", "👩\u200d👧"]


def run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(main, list(map(str, arguments)))


@pytest.mark.parametrize("text", SPECIAL_TEXTS)
def test_A7_a_token_that_normalizes_to_nothing_is_added_as_it_stands(
    text: str, folder: Path, tokenizer: Tokenizer
) -> None:
    """The README says how: with `normalized=False`. As text to be normalized it would be an empty pattern."""
    transformers = pytest.importorskip("transformers")
    peer = transformers.AutoTokenizer.from_pretrained(folder)
    assert peer.add_tokens([transformers.AddedToken(text, normalized=False)]) == 1
    expected = [*tokenizer.encode("hola"), 5000, *tokenizer.encode("mundo"), 1]
    assert peer(f"Hola {text} mundo")["input_ids"] == expected
    plain = [sentence for sentence in sample_sentences() if text not in sentence]
    assert [peer(sentence)["input_ids"] for sentence in plain] == [
        tokenizer.encode(sentence, append_eos=True) for sentence in plain
    ]


def test_A14_the_same_vocabulary_in_two_libraries_cuts_alike(folder: Path) -> None:
    result = spanish_tok.compare([folder, folder / "spiece.model", folder / "tokenizer.json"])
    assert (result.differing, result.words) == (0.0, [])


def trained(kind: str, path: Path) -> Path:
    """A small tokenizer.json of another library's kind, trained on the sentences that ship."""
    from tokenizers import Tokenizer as Peer
    from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

    if kind == "bytes":
        peer = Peer(models.BPE())
        peer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        peer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer: Any = trainers.BpeTrainer(vocab_size=600, initial_alphabet=alphabet)
    elif kind == "wordpiece":
        peer = Peer(models.WordPiece(unk_token="[UNK]"))
        peer.normalizer = normalizers.Lowercase()
        peer.pre_tokenizer = pre_tokenizers.Whitespace()
        trainer = trainers.WordPieceTrainer(vocab_size=600, special_tokens=["[UNK]"])
    else:
        peer = Peer(models.BPE(unk_token="<unk>"))
        peer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=["<unk>"])
    peer.train_from_iterator(sample_sentences(), trainer)
    path.mkdir()
    peer.save(str(path / "tokenizer.json"))
    return path


@pytest.mark.parametrize("kind", ["bytes", "wordpiece", "prepended"])
def test_A14_pieces_of_other_spellings_are_readable(kind: str, tmp_path: Path) -> None:
    adapter = load_adapter(trained(kind, tmp_path / "v"))
    for word in ("casa", "niño", "está", "que"):
        cut = adapter.cut(word)
        assert "".join(cut) == f"▁{word}"


def test_A14_bytes_of_a_part_of_a_character_are_shown_as_numbers() -> None:
    assert PieceSpelling(byte_level=True).readable(["ĠniÃ", "±o"]) == ["▁ni<0xC3>", "<0xB1>o"]


@pytest.fixture(scope="module")
def portuguese(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vocabulary of another alphabet, in which ã and ç are letters and ñ is none."""
    table = build_table(" abcdefghijklmnopqrstuvwxyzáâãàçéêíóôõú.,")
    texts = ["a canção não é a mesma", "o coração e as mãos", "não há pão"] * 9
    target = tmp_path_factory.mktemp("vocab") / "pt"
    train(texts=texts, size=150, table=table).save(target)
    return target


def test_A15_another_table_is_explained_with_its_own_rules(portuguese: Path) -> None:
    text = "A CANÇÃO, ½ ñandú"
    shown = run("tokenize", "--explain", "--vocab", portuguese, text)
    assert shown.exit_code == 0, shown.output
    assert "normalized: a canção, nandú" in shown.output
    assert "'ã'" in shown.output
    lines = run("tokenize", "--json", "--explain", "--vocab", portuguese, text)
    told = json.loads(lines.output)
    assert [change["to"] for change in told["changes"] if "Ã" in str(change["from"])] == ["ã"]
    assert "".join(text[begin:end] for begin, end in told["offsets"]).replace(" ", "") == "ACANÇÃO,ñandú"
    tokenizer = Tokenizer.load(portuguese)
    for sentence in [*sample_sentences(), text, "C\u0327A A\u0303 \u0303 👍🏽 ﬁ ½"]:
        assert tokenizer.table.normalize(sentence) == tokenizer.normalize(sentence)


def test_A15_normalize_takes_a_vocabulary(portuguese: Path) -> None:
    done = CliRunner().invoke(main, ["normalize", "--vocab", str(portuguese)], input="A CANÇÃO\nñu\n")
    assert (done.exit_code, done.output) == (0, "a canção\nnu\n")
    assert spanish_tok.normalize("ÇÃ", vocab=portuguese) == "çã"
    assert spanish_tok.normalize(["ÇÃ"]) == ["ca"]


@pytest.mark.parametrize(
    "option",
    [
        ["--records", "-5"],
        ["--validation-records", "-1"],
        ["--seed", "-1"],
        ["--set", "warmup=-1"],
        ["--set", "weight_decay=-1"],
        ["--epochs", "-1"],
        ["--validation", "-0.1"],
        ["--held-out", "-0.1"],
        ["--learning-rate", "nan"],
    ],
)
def test_A16_numbers_below_nothing_are_refused(option: list[str], tmp_path: Path) -> None:
    pytest.importorskip("torch")
    (tmp_path / "d.jsonl").write_text('{"text": "hola", "label": "a"}\n')
    output = tmp_path / "o"
    done = run("finetune", tmp_path / "d.jsonl", "--task", "classification", "--output", output, *option)
    assert done.exit_code == 2
    assert option[1].split("=")[0].replace("_", "-") in done.output.replace("_", "-")
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("change", [{"validation_records": -1}, {"seed": -1}, {"weight_decay": -0.1}])
def test_A16_a_pretraining_refuses_them_too(change: dict[str, Any]) -> None:
    with pytest.raises(SpanishTokError):
        spanish_tok.PretrainOptions(**change)


@pytest.fixture(scope="module")
def byte_fallback(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Tokenizer:
    """A foreign model that keeps its text and spells unknown characters in bytes."""
    model = proto.ModelProto.FromString((folder / "spiece.model").read_bytes())
    for byte in range(256):
        model.pieces.add(piece=f"<0x{byte:02X}>", score=-20, type=proto.ModelProto.SentencePiece.BYTE)
    model.normalizer_spec.precompiled_charsmap = b""
    model.trainer_spec.byte_fallback = True
    model.trainer_spec.vocab_size = len(model.pieces)
    path = tmp_path_factory.mktemp("bytes") / "spiece.model"
    path.write_bytes(model.SerializeToString())
    return Tokenizer(Vocabulary.from_model(path))


@pytest.mark.parametrize("text", ["hola 😀 mundo", "😀", "日本 ñu ¿?", "e\u0301 👩\u200d👧!"])
def test_A17_bytes_are_held_until_they_are_a_character(text: str, byte_fallback: Tokenizer) -> None:
    ids = byte_fallback.encode(text)
    assert any(piece.startswith("<0x") for piece in byte_fallback.tokens(text))
    stream = byte_fallback.stream()
    pushed = [stream.push(token_id) for token_id in ids]
    assert "".join(pushed) + stream.end() == byte_fallback.decode(ids) == text
    assert all("<0x" not in part and "\ufffd" not in part for part in pushed)


@given(ids=st.lists(st.one_of(st.integers(5000, 5255), st.integers(3, 400)), max_size=12))
def test_A17_a_stream_of_any_bytes_is_what_decode_gives(ids: list[int], byte_fallback: Tokenizer) -> None:
    stream = byte_fallback.stream()
    assert "".join(map(stream.push, ids)) + stream.end() == byte_fallback.decode(ids)


def test_A18_records_that_failed_are_the_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    for counts, status in (({"predicted": 0, "errors": 3}, 1), ({"predicted": 2, "errors": 0}, 0)):
        monkeypatch.setattr(spanish_tok, "predict", lambda *_, counts=counts, **__: counts, raising=False)
        assert run("predict", tmp_path).exit_code == status
