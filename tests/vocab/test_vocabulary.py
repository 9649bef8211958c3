"""The folder and its files: each loaded by its own library, damaged ones refused by name."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sentencepiece
import tokenizers
from sentencepiece import sentencepiece_model_pb2 as proto

from spanish_tok import SpanishTokError, Tokenizer, Vocabulary, normalize
from spanish_tok.measure.verify import AWKWARD, sample_sentences, verify
from spanish_tok.text.alphabet import CODE_POINTS, SURROGATES
from spanish_tok.vocab.vocabulary import EOS, UNK

LITERALS = [
    "<extra_id_0>", "uno</s>dos", "<pad><unk></s>", "x <extra_id_99> y", "<extra_id_5>.b", "a <extra_id_1>b",
    " </s> ", "EXTRA <EXTRA_ID_3>", "<extra_id_100>", "▁</s>▁", "<\u200bpad>",
]  # fmt: skip


@pytest.fixture(scope="module")
def texts() -> list[str]:
    upper = [sentence.upper() for sentence in sample_sentences()]
    return [*sample_sentences(), *AWKWARD, *upper, *LITERALS]


@pytest.fixture(scope="module")
def auto(folder: Path) -> Any:
    transformers = pytest.importorskip("transformers")
    return transformers.AutoTokenizer.from_pretrained(folder)


def test_sentencepiece_loads_it(folder: Path, tokenizer: Tokenizer, texts: list[str]) -> None:
    peer = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spiece.model"))
    assert peer.get_piece_size() == 5000
    assert (peer.pad_id(), peer.eos_id(), peer.unk_id(), peer.bos_id()) == (0, 1, 2, -1)
    assert (peer.piece_to_id("<extra_id_0>"), peer.piece_to_id("<extra_id_99>")) == (4999, 4900)
    assert all(peer.is_control(number) for number in [0, 1, *range(4900, 5000)])
    assert peer.encode(texts) == [tokenizer.encode(text) for text in texts]
    assert peer.encode(texts, add_eos=True) == [tokenizer.encode(text, append_eos=True) for text in texts]
    assert peer.encode("a\0b") != tokenizer.encode("a\0b")  # the one documented exception


def test_tokenizers_loads_it(folder: Path, tokenizer: Tokenizer, texts: list[str]) -> None:
    peer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert peer.get_vocab_size(with_added_tokens=True) == 5000
    assert (peer.token_to_id("<extra_id_0>"), peer.token_to_id("<extra_id_99>")) == (4999, 4900)
    plain = [text for text in texts if "<" not in text]
    assert [peer.encode(text).ids for text in plain] == [
        tokenizer.encode(text, append_eos=True) for text in plain
    ]
    pair = peer.encode("uno", "dos").ids
    assert pair == [*tokenizer.encode("uno"), EOS, *tokenizer.encode("dos"), EOS]
    peer.encode_special_tokens = True
    for text in [*texts, "a\0b", "n\0\u0303"]:
        assert peer.encode(text, add_special_tokens=False).ids == tokenizer.encode(text), ascii(text)
        assert peer.decode(tokenizer.encode(text)) == normalize(text)


def test_literals_are_specials_in_tokenizers_by_default(folder: Path) -> None:
    peer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    for number, literal in [
        (0, "<pad>"),
        (1, "</s>"),
        (2, "<unk>"),
        (4999, "<extra_id_0>"),
        (4900, "<extra_id_99>"),
    ]:
        assert number in peer.encode(f"hola {literal} adiós").ids


def test_transformers_loads_it(auto: Any, tokenizer: Tokenizer, texts: list[str]) -> None:
    assert len(auto) == 5000
    assert type(auto).__name__ != "T5Tokenizer"
    assert (auto.pad_token_id, auto.eos_token_id, auto.unk_token_id) == (0, 1, 2)
    assert auto.convert_tokens_to_ids(["<extra_id_0>", "<extra_id_99>"]) == [4999, 4900]
    for text in [*texts, "MAN\u0303ANA", "Ma\0ñana"]:
        ids = auto(text, split_special_tokens=True)["input_ids"]
        assert ids == tokenizer.encode(text, append_eos=True), ascii(text)
        assert auto(text, split_special_tokens=True, add_special_tokens=False)["input_ids"] == ids[:-1]
    assert auto("hola <extra_id_0>")["input_ids"][-2:] == [4999, 1]
    assert auto.decode(tokenizer.encode("¡Qué FRÍO!")) == "¡qué frío!"


def test_transformers_t5_class_gives_the_same_ids_for_composed_text(
    folder: Path, tokenizer: Tokenizer
) -> None:
    transformers = pytest.importorskip("transformers")
    peer = transformers.T5Tokenizer.from_pretrained(folder)
    assert len(peer) == 5000
    assert peer.convert_tokens_to_ids("<extra_id_0>") == 4999
    for sentence in sample_sentences():
        assert peer(sentence)["input_ids"] == tokenizer.encode(sentence, append_eos=True)


@pytest.mark.parametrize("step", [19, pytest.param(1, marks=pytest.mark.slow)])
def test_every_character_has_the_same_ids_everywhere(
    step: int, folder: Path, tokenizer: Tokenizer, auto: Any
) -> None:
    scalars = [chr(code) for code in range(1, CODE_POINTS, step) if code not in SURROGATES]
    texts = [
        " ".join(f"a{char}b" for char in scalars[start : start + 32]) for start in range(0, len(scalars), 32)
    ]
    peer = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spiece.model"))
    expected = peer.encode(texts)
    assert UNK not in {number for ids in expected for number in ids}
    assert peer.decode(expected) == [normalize(text) for text in texts]
    assert tokenizer.encode_column(texts).to_pylist() == expected
    json_peer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert [encoding.ids for encoding in json_peer.encode_batch(texts, add_special_tokens=False)] == expected
    assert auto(texts, add_special_tokens=False)["input_ids"] == expected


def test_thousands_of_real_records_have_the_same_ids_everywhere(
    folder: Path, tokenizer: Tokenizer, auto: Any, corpus: pa.ChunkedArray
) -> None:
    records = corpus.take(list(range(0, len(corpus), 130))).to_pylist()
    peer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    peer.encode_special_tokens = True
    expected = [tokenizer.encode(record) for record in records]
    assert len(records) > 5000
    assert [encoding.ids for encoding in peer.encode_batch(records, add_special_tokens=False)] == expected
    assert auto(records, split_special_tokens=True)["input_ids"] == [[*ids, EOS] for ids in expected]
    assert [tokenizer.decode(ids) for ids in expected] == [normalize(record) for record in records]


def test_held_out_text_of_other_kinds(shared: Path, tokenizer: Tokenizer, folder: Path) -> None:
    import pyarrow.parquet as pq

    peer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    peer.encode_special_tokens = True
    columns = {"news-classification-es": "text", "qa-es": "question", "summaries-law-es": "summary"}
    for name, column in columns.items():
        records = pq.read_table(shared / "tasks" / f"{name}.parquet")[column].to_pylist()
        for record in [text for text in records if text][:900]:
            for text in (record, record.upper()):
                ids = tokenizer.encode(text)
                assert peer.encode(text, add_special_tokens=False).ids == ids
                assert tokenizer.decode(ids) == normalize(text)
                assert 2 not in ids


def test_verify_finds_nothing_wrong(folder: Path) -> None:
    result = verify(folder)
    checks = result.checks
    assert result.ok
    assert result.to_dict()["checks"][0]["failed"] == 0
    assert len(checks) >= 9
    assert all(check.failed == 0 and check.tried > 0 and not check.example for check in checks)


def test_verify_finds_a_wrong_tokenizer_json(copy: Path) -> None:
    content = json.loads((copy / "tokenizer.json").read_text(encoding="utf-8"))
    content["model"]["vocab"][3], content["model"]["vocab"][4] = (
        content["model"]["vocab"][4],
        content["model"]["vocab"][3],
    )
    rewrite(copy, "tokenizer.json", json.dumps(content).encode())
    assert any(
        check.failed and check.example
        for check in verify(copy).checks
        if check.name.startswith("tokenizers: ids")
    )


def test_loading_gives_back_what_was_saved(folder: Path, tmp_path: Path) -> None:
    vocabulary = Vocabulary.load(folder)
    assert vocabulary.exact
    assert (len(vocabulary), vocabulary.sentinels, vocabulary.sentinel_id(3)) == (5000, 100, 4996)
    vocabulary.save(tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {
        file.name: file.read_bytes() for file in folder.iterdir()
    }
    with pytest.raises(SpanishTokError, match="There is no <extra_id_100>"):
        vocabulary.sentinel_id(100)


def test_spiece_vocab_has_no_invisible_rows(folder: Path) -> None:
    rows = [line.split("\t") for line in (folder / "spiece.vocab").read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 5000
    assert all(piece.isprintable() and piece.strip() and float(score) <= 0 for piece, score in rows)


# Damage


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def rewrite(folder: Path, name: str, content: bytes) -> None:
    """Change a file and make the manifest say so."""
    import hashlib

    (folder / name).write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][name] = hashlib.sha256(content).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    "name",
    ["spiece.model", "spiece.vocab", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"],
)
def test_a_file_cut_off_altered_or_missing_is_named(copy: Path, name: str) -> None:
    content = (copy / name).read_bytes()
    for damaged in (content[:500], content[:-1] + bytes([content[-1] ^ 1]), b""):
        (copy / name).write_bytes(damaged)
        with pytest.raises(SpanishTokError, match=rf"{name} is not as it was written"):
            Tokenizer.load(copy)
    (copy / name).unlink()
    with pytest.raises(SpanishTokError, match=rf"{name} is missing"):
        Tokenizer.load(copy)


def test_a_folder_that_is_none(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(SpanishTokError, match="is not a folder"):
        Vocabulary.load(tmp_path / "nothing")
    (copy / "manifest.json").write_text("{")
    with pytest.raises(SpanishTokError, match=r"manifest\.json is not valid JSON"):
        Vocabulary.load(copy)
    (copy / "manifest.json").write_text("[]")
    with pytest.raises(SpanishTokError, match="not a vocabulary's manifest"):
        Vocabulary.load(copy)
    (copy / "manifest.json").unlink()
    with pytest.raises(SpanishTokError, match=r"no manifest\.json: its writing did not end"):
        Vocabulary.load(copy)


def test_a_manifest_cannot_lead_out_of_the_folder(copy: Path) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["files"]["../../etc/passwd"] = "0" * 64
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(SpanishTokError, match=r"copy/passwd is missing"):
        Vocabulary.load(copy)


# Foreign and hostile models


def changed(folder: Path, change: Callable[[Any], None]) -> bytes:
    model = proto.ModelProto.FromString((folder / "spiece.model").read_bytes())
    change(model)
    return bytes(model.SerializeToString())


def with_charsmap(folder: Path, charsmap: bytes) -> bytes:
    return changed(folder, lambda model: setattr(model.normalizer_spec, "precompiled_charsmap", charsmap))


def hostile_models(folder: Path) -> Iterator[tuple[str, bytes, str]]:
    model = (folder / "spiece.model").read_bytes()
    yield "text", b"esto no es un modelo", "not a SentencePiece model"
    yield "cut off", model[: len(model) // 2], "."
    yield "empty", b"", "holds no pieces"
    yield "NUL piece", changed(folder, lambda m: m.pieces.add(piece="a\0b", score=-1)), "a piece with NUL"
    yield "piece twice", changed(folder, lambda m: m.pieces.add(piece="▁de", score=-1)), "a piece twice"
    yield "empty piece", changed(folder, lambda m: m.pieces.add(piece="", score=-1)), "an empty piece"
    yield (
        "huge piece",
        changed(folder, lambda m: m.pieces.add(piece="a" * 100_000, score=-1)),
        "100,000 characters",
    )
    yield "no number", changed(folder, lambda m: m.pieces.add(piece="zzz", score=float("nan"))), "no number"
    yield "infinite", changed(folder, lambda m: m.pieces.add(piece="zzz", score=float("inf"))), "no number"
    yield "no pieces", changed(folder, lambda m: m.ClearField("pieces")), "holds no pieces"
    yield "no unknown", changed(folder, lambda m: m.pieces.__delitem__(2)), "exactly one unknown"
    yield (
        "byte pairs",
        changed(folder, lambda m: setattr(m.trainer_spec, "model_type", 2)),
        "is no Unigram model",
    )
    normal = proto.ModelProto.FromString(model).normalizer_spec.precompiled_charsmap
    for name, charsmap in {
        "short table": normal[:1000],
        "table of ones": b"\xff" * len(normal),
        "trie out of bounds": normal[:4] + b"\xff\xff\xff\x7f" * 256 + normal[1028:],
        "size too large": (1 << 30).to_bytes(4, "little") + normal[4:],
    }.items():
        yield name, with_charsmap(folder, charsmap), "table"


LOAD = """
import sys
from spanish_tok import SpanishTokError, Tokenizer, Vocabulary
try:
    Tokenizer(Vocabulary.from_model(sys.argv[1])).encode("hola, ñandú")
except SpanishTokError as error:
    print("refused:", error)
"""


def test_hostile_models_are_refused_and_never_crash(folder: Path, tmp_path: Path) -> None:
    """Each in a process of its own, so that a crash would be seen."""
    running = []
    for name, content, message in hostile_models(folder):
        path = tmp_path / f"{name}.model"
        path.write_bytes(content)
        running.append(
            (
                name,
                message,
                subprocess.run([sys.executable, "-c", LOAD, str(path)], capture_output=True, text=True),
            )
        )
    assert len(running) == 16
    for name, message, done in running:
        assert done.returncode == 0, (name, done.stderr)
        assert done.stdout.startswith("refused:"), (name, done.stdout)
        assert message in done.stdout
        assert f"{name}.model" in done.stdout


def test_a_foreign_model_is_read_but_not_saved(tmp_path: Path) -> None:
    lines = iter(["la casa roja y la casa azul", "el perro corre por la calle", "una niña come pan"] * 40)
    prefix = str(tmp_path / "foreign")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=lines, model_prefix=prefix, vocab_size=27, minloglevel=2
    )
    vocabulary = Vocabulary.from_model(prefix + ".model")
    tokenizer = Tokenizer(vocabulary)
    peer = sentencepiece.SentencePieceProcessor(model_file=prefix + ".model")
    assert not vocabulary.exact
    assert vocabulary.sentinels == 0
    assert tokenizer.encode("La casa, ñandú") == peer.encode("La casa, ñandú")
    assert tokenizer.decode(tokenizer.encode("la casa")) == "la casa"
    assert tokenizer.decode(tokenizer.encode_sampled("la casa", 0.1, 1)) == "la casa"
    with pytest.raises(SpanishTokError, match="has no piece for 'd'"):
        tokenizer.encode_sampled("dedo", 0.1, 1)
    with pytest.raises(SpanishTokError, match="can be read but not saved"):
        vocabulary.save(tmp_path / "folder")


def test_a_vocabulary_from_its_own_model_is_the_same(folder: Path) -> None:
    assert Vocabulary.from_model(folder / "spiece.model").fingerprint == Vocabulary.load(folder).fingerprint
    with pytest.raises(SpanishTokError, match="cannot be read"):
        Vocabulary.from_model(folder / "nothing.model")
