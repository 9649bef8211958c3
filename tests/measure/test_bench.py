"""bench and compare: figures against slow twins, every engine, and a person's files, good and bad."""

import json
import math
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import spanish_tok as st
from spanish_tok import GenerateOptions, Generator, SpanishTokError, Tokenizer, normalize, normalize_column
from spanish_tok.measure.bench import bench
from spanish_tok.measure.compare import compare
from spanish_tok.measure.figures.quality import measure_quality, ratio_interval, renyi_efficiency, word_counts
from spanish_tok.measure.figures.round_trip import Parity, RoundTrip, check_round_trip
from spanish_tok.measure.figures.speed import measure_speed
from spanish_tok.measure.figures.texts import sampled, size_of, texts_of
from spanish_tok.measure.peers import chosen_peers
from spanish_tok.measure.tables import ReportTable, percent
from spanish_tok.measure.verdicts import is_good, is_right
from spanish_tok.readers.inputs import inputs_of
from spanish_tok.text.alphabet import OTHERS
from spanish_tok.tokenization.adapters import TokenizerAdapter
from spanish_tok.tokenization.libraries import load_adapter
from tests.cli.test_cli import complaint, run

TEXTS = ["¡Qué FRÍO hace!", "", "El pingüino, el pingüino y la «cigüeña».", "Año 2024: 3,5 %", "Man\u0303ana"]
COLUMN = pa.chunked_array([TEXTS[:2], TEXTS[2:]], pa.large_string())


def test_quality_equals_counting_by_hand(tokenizer: Tokenizer) -> None:
    normalized = normalize_column(COLUMN)
    found = measure_quality(TokenizerAdapter.of(tokenizer, "x"), COLUMN, normalized, word_counts(normalized))
    rows = [tokenizer.encode(text) for text in TEXTS]
    ids = Counter(number for row in rows for number in row)
    plain = [normalize(text) for text in TEXTS]
    trimmed = [word.strip(OTHERS) for text in plain for word in text.split() if word.strip(OTHERS)]
    whole = [word for word in trimmed if len(tokenizer.encode(word)) == 1]
    assert (found.records, found.tokens, found.unknown) == (5, sum(ids.values()), 0)
    assert found.characters == sum(map(len, plain))
    assert found.words == sum(len(text.split()) for text in plain)
    assert found.bytes == sum(len(text.encode()) for text in TEXTS)
    assert found.whole_words == len(whole) / len(trimmed)
    assert found.coverage == len(ids) / 4897
    assert found.lengths == Counter(map(len, rows))
    pieces = tokenizer.vocabulary.pieces
    assert found.piece_lengths == Counter(len(pieces[number]) for row in rows for number in row)
    assert found.quantiles[0] == 0
    assert found.quantiles[-1] == max(map(len, rows))
    assert found.split_words[0] == ("pingüino", 2, " ".join(tokenizer.tokens("pingüino")))
    assert found.longest[0][0] == max(pieces[3:4900], key=len)
    assert found.rarest[0][1] == 0


def test_intervals_hold_the_ratio_and_are_hidden_below_200_texts() -> None:
    random = np.random.default_rng(3)
    words = random.integers(1, 40, 400)
    tokens = words * 2 + random.integers(0, 5, 400)
    interval = ratio_interval(tokens, words)
    assert interval is not None
    low, high = interval
    assert low < tokens.sum() / words.sum() < high
    assert interval == ratio_interval(tokens, words)  # no chance from run to run
    order = random.permutation(40_000)
    many = ratio_interval(np.tile(tokens, 100)[order], np.tile(words, 100)[order])
    assert many is not None
    assert many[1] - many[0] < (high - low) / 5
    assert ratio_interval(tokens[:199], words[:199]) is None


def quality_of(interval: tuple[float, float] | None) -> Any:
    return replace(measured_quality(), interval=interval)


def measured_quality() -> Any:
    normalized = normalize_column(COLUMN)
    adapter = TokenizerAdapter.of(Tokenizer.load(), "x")
    return measure_quality(adapter, COLUMN, normalized, word_counts(normalized))


def test_each_verdict_has_a_rule_and_is_unsure_where_the_texts_cannot_tell() -> None:
    marks = [is_good(quality_of(interval)).mark for interval in [(1.2, 1.9), (1.9, 2.1), (2.05, 2.2), None]]
    assert marks == ["yes", "unsure", "no", "unsure"]
    assert "2 tokens a word" in is_good(quality_of(None)).rule
    clean = RoundTrip(5, 0, [], 0, [Parity("tokenizers", 5, 0)])
    assert is_right(clean).mark == "yes"
    wrong = [
        replace(clean, failures=1),
        replace(clean, unknown=1),
        replace(clean, parities=[Parity("x", 5, 1)]),
    ]
    assert [is_right(one).mark for one in wrong] == ["no"] * 3
    assert "threshold 0" in is_right(clean).rule


def test_renyi_efficiency_is_that_of_the_paper() -> None:
    counts = np.array([50, 30, 15, 5, 0])
    entropy = math.log(sum((n / 100) ** 2.5 for n in (50, 30, 15, 5))) / (1 - 2.5)
    assert renyi_efficiency(counts, 5) == pytest.approx(entropy / math.log(5))


def test_round_trip_counts_what_fails(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = check_round_trip(folder, COLUMN)
    assert (found.tried, found.failures, found.unknown) == (5, 0, 0)
    assert [(p.engine, p.tried, p.differing) for p in found.parities] == [
        ("sentencepiece", 5, 0),
        ("tokenizers", 5, 0),
        ("Tokenizer.encode", 5, 0),
    ]
    encode, right = Tokenizer.encode_column, Tokenizer.load().encode("Man\u0303ana")

    def wrong(self: Tokenizer, column: Any, **options: Any) -> Any:
        rows = encode(self, column, **options).to_pylist()
        return pa.array([[2] if row == right else row for row in rows], pa.list_(pa.uint16()))

    monkeypatch.setattr(Tokenizer, "encode_column", wrong)
    found = check_round_trip(folder, COLUMN)
    assert (found.failures, found.unknown) == (1, 1)
    assert found.examples == ["Man\u0303ana"]
    assert [p.differing for p in found.parities] == [1, 1, 1]


def test_speed_measures_each_engine_in_a_process(folder: Path) -> None:
    found = measure_speed(folder, COLUMN, ["sentencepiece"])
    assert {speed.engine for speed in found} == {"spanish-tok", "sentencepiece"}
    assert all(speed.cold > 0 and speed.warm > 0 and speed.load > 0 for speed in found)
    assert all(speed.differing == 0 and speed.failure == "" for speed in found)


def test_peers_that_are_not_there_are_named() -> None:
    with pytest.raises(SpanishTokError, match="There is no peer 'nadie'"):
        chosen_peers(["nadie"])
    assert chosen_peers(["tokenizers"]) == ["tokenizers"]


def test_texts_are_read_within_a_limit_and_sampled_evenly(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("línea\n" * 300_000, encoding="utf-8")
    texts = texts_of(inputs_of(tmp_path / "a.txt"), most_bytes=1000)
    assert not texts.source.whole or texts.source.records == 300_000
    assert texts_of(inputs_of(tmp_path / "a.txt")).source.whole
    assert len(texts_of().column) == 200
    column = pa.chunked_array([[f"{n:04}" for n in range(1000)]], pa.large_string())
    part = sampled(column, 400)
    assert size_of(part) <= 400
    assert part.to_pylist()[:3] == ["0000", "0010", "0020"]
    assert sampled(column, 4000) is column


def test_the_sentences_that_ship_are_varied() -> None:
    """Two hundred of them, none twice, with what real text holds."""
    sentences = texts_of().column.to_pylist()
    assert len(set(sentences)) == 200
    whole = "\n".join(sentences)
    for wanted in (
        "¿",
        "«",
        "—",
        "n\u0303",
        "€",
        "@",
        "https://",
        ".ª",
        "vos ",
        "😂",
        "Łódź",
        "привет",
        "SELECT",
        "<script>",
        "½",
    ):
        assert wanted in whole


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentencepiece model and a byte-level BPE of tokenizers, trained here."""
    import sentencepiece
    from tokenizers import ByteLevelBPETokenizer

    folder = tmp_path_factory.mktemp("foreign")
    lines = [*texts_of().column.to_pylist(), *TEXTS] * 3
    (folder / "t.txt").write_text("\n".join(lines), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "t.txt"),
        model_prefix=str(folder / "m"),
        vocab_size=400,
        model_type="bpe",
        minloglevel=2,
    )
    bytes_level = ByteLevelBPETokenizer()
    bytes_level.train_from_iterator(lines, vocab_size=600, show_progress=False)
    (folder / "gpt").mkdir()
    bytes_level.save(str(folder / "gpt" / "tokenizer.json"))
    return folder


def test_compare_uses_each_library(foreign: Path, folder: Path) -> None:
    import sentencepiece

    found = compare([folder, foreign / "m.model", foreign / "gpt"])
    ours, bpe, byte_level = found.vocabularies
    assert [one.kind for one in found.vocabularies] == ["spanish-tok", "sentencepiece", "tokenizers (BPE)"]
    assert [one.size for one in found.vocabularies] == [5000, 400, 600]
    raw = texts_of().column.to_pylist()
    engine: Any = sentencepiece.SentencePieceProcessor(model_file=str(foreign / "m.model"))
    assert bpe.raw_tokens == sum(map(len, engine.encode(raw)))
    assert bpe.normalized.tokens == sum(map(len, engine.encode(list(map(normalize, raw)))))
    assert ours.raw_unknown == byte_level.raw_unknown == 0
    assert bpe.raw_unknown == sum(row.count(engine.unk_id()) for row in engine.encode(raw)) > 0
    assert ours.normalized.characters == bpe.normalized.characters == byte_level.normalized.characters
    assert ours.raw_tokens == ours.normalized.tokens
    word, times, cuts = found.words[0]
    assert times == max(count for _, count, _ in found.words)
    assert len(set(cuts)) > 1
    assert all("".join(cut.split()).removeprefix("▁") == word for cut in cuts)
    assert 0 < found.differing <= 1


def test_an_adapter_cuts_a_word_as_inside_a_sentence(foreign: Path) -> None:
    byte_level = load_adapter(foreign / "gpt")
    ids = byte_level.encode(" pingüino")
    assert len(byte_level.cut("pingüino")) == len(ids)


@pytest.mark.parametrize("name", ["nothing", "empty", "cut.model", "bad.json", "other.txt"])
def test_what_is_no_vocabulary_is_one_line(name: str, tmp_path: Path, folder: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "cut.model").write_bytes((folder / "spiece.model").read_bytes()[:1000] + b"\xff" * 9)
    (tmp_path / "bad.json").write_text("{}")
    (tmp_path / "other.txt").write_text("x")
    with pytest.raises(SpanishTokError, match=re.escape(str(tmp_path / name))):
        load_adapter(tmp_path / name)


def test_bench_for_people_and_for_programs(tmp_path: Path, folder: Path, foreign: Path) -> None:
    (tmp_path / "a.txt").write_text("Buenos días, señora.\n¿Vienes mañana?\n", encoding="utf-8")
    (tmp_path / "b.jsonl").write_text('{"text": "[bold]\\u001b[31m <b>Año</b>"}\n', encoding="utf-8")
    shown = run(
        "bench", "--text", tmp_path / "a.txt", tmp_path / "b.jsonl", "--against", "tokenizers",
        "--json", tmp_path / "f.json", "--html", tmp_path / "f.html", "--vocab", folder,
        "--compare", foreign / "m.model",
    ).stdout  # fmt: skip
    assert "\x1b" not in shown
    found = json.loads((tmp_path / "f.json").read_text(encoding="utf-8"))
    assert found["source"]["records"] == found["round_trip"]["tried"] == 3
    assert found["round_trip"]["failures"] == found["round_trip"]["unknown"] == 0
    assert {speed["engine"] for speed in found["speed"]} == {"spanish-tok", "tokenizers"}
    assert [one["size"] for one in found["comparison"]["vocabularies"]] == [5000, 400]
    assert f"{found['quality']['characters_per_token']:.3f}" in shown
    page = (tmp_path / "f.html").read_text(encoding="utf-8")
    assert str(tmp_path) not in page
    assert str(tmp_path) not in shown
    assert all(
        table in page for table in ("Round trips", "Quality", "Speed", "Tokens a record", "On the raw text")
    )


def test_outputs_are_checked_before_the_work_and_written_by_any_name(tmp_path: Path, folder: Path) -> None:
    page, figures = tmp_path / "página", tmp_path / "cifras"
    st.compare(folder, texts=["Hola, niño."], html=page, json=figures)
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert json.loads(figures.read_text(encoding="utf-8"))["vocabularies"]
    verbs: list[Any] = [st.compare, st.bench]
    for verb in verbs:
        for wrong in ({"output": tmp_path / "x.txt"}, {"html": page}, {"json": figures}):
            with pytest.raises(st.SpanishTokError, match=r"neither \.html nor|exists already"):
                verb(tmp_path / "nothing", texts=["Hola."], **wrong)


def test_compare_on_the_command_line(tmp_path: Path, foreign: Path) -> None:
    shown = run("compare", foreign / "m.model", "--html", tmp_path / "c.html", "--json", "-").stdout
    assert [one["kind"] for one in json.loads(shown)["vocabularies"]] == ["spanish-tok", "sentencepiece"]
    assert "Tokens per word against vocabulary size" in (tmp_path / "c.html").read_text(encoding="utf-8")


def test_bad_text_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "blank.txt").write_text("\n\n\n")
    (tmp_path / "picture.txt").write_bytes(bytes(range(256)) * 40)
    (tmp_path / "utf16.txt").write_text("hola mundo\n" * 9, encoding="utf-16-le")
    (tmp_path / "program").write_bytes(b"\x7fELF\0\0\0")
    (tmp_path / "empty").mkdir()
    said = {
        "empty.txt": "empty.txt holds no text",
        "blank.txt": "blank.txt holds no text",
        "picture.txt": "picture.txt is no text",
        "utf16.txt": "--encoding utf-16-le",
        "program": "program is not known by its name",
        "empty": "is a folder without files of text",
        "nothing.txt": "does not exist",
    }
    for name, message in said.items():
        with pytest.raises(SpanishTokError) as caught:
            bench(input=tmp_path / name)
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)
    assert "picture.txt is no text" in complaint("bench", tmp_path / "picture.txt")
    assert "is not a folder" in complaint("bench", "--vocab", tmp_path / "nothing")


def test_shares_are_never_rounded_up_and_numbers_are_known() -> None:
    assert percent(1 - 1e-9) == "99.99 %"
    table = ReportTable("x", ("name", "n", "word"), (("a", "1,000", "b"), ("c", "-", "d")))
    assert [table.is_number(place) for place in range(3)] == [False, True, False]
    assert re.fullmatch(r"\d+\.\d\d %", percent(0.123))


# The model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer) -> Path:
    """A small model of random weights, made without torch."""
    from spanish_tok.t5.checkpoint import Checkpoint
    from spanish_tok.t5.config import T5Config

    config = T5Config(
        vocab_size=5000, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_decoder_layers=1, num_heads=2
    )
    drawn = np.random.default_rng(1)
    tensors = {
        name: drawn.normal(0, 0.3, shape).astype(np.float32) for name, shape in config.shapes().items()
    }
    folder = tmp_path_factory.mktemp("model")
    Checkpoint(config, tensors, tokenizer.vocabulary).save(folder)
    return folder


def test_model_figures(model: Path, tokenizer: Tokenizer) -> None:
    torch = pytest.importorskip("torch", reason="needs torch")
    from spanish_tok.measure.figures.model import measure_model
    from spanish_tok.t5.checkpoint import Checkpoint
    from spanish_tok.t5.model import T5
    from spanish_tok.training.bits_per_byte import bits_per_byte
    from spanish_tok.training.losses import scorer_of

    checkpoint = Checkpoint.load(model)
    found = measure_model(checkpoint, "x", COLUMN)
    assert found.parameters == checkpoint.config.parameters
    assert (found.bytes_float32, found.bytes_bfloat16) == (4 * found.parameters, 2 * found.parameters)
    with torch.no_grad():
        expected = bits_per_byte(scorer_of(T5.load(model)), tokenizer, TEXTS)
    assert found.bits_per_byte == pytest.approx(expected.value, rel=1e-4)
    assert found.masked_bytes == expected.masked_bytes
    assert all(speed > 0 for speed in found.tokens_per_second.values())
    assert len(found.fills) == 10
    generator = Generator.load(model)
    options = GenerateOptions(max_new_tokens=64)
    assert all(filled == generator.fill(masked, options) for masked, filled in found.fills)
    assert all("<extra_id_0>" in masked for masked, _ in found.fills)


def test_a_model_that_is_not_there_is_one_line_at_once(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(SpanishTokError, match="nothing is not a folder"):
        bench(folder, model=tmp_path / "nothing")
