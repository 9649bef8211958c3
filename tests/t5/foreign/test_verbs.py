"""Every verb works with every kind of model, or says why not: the table of docs/how-to/any-t5.md."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spanish_tok as st

torch = pytest.importorskip("torch")

Folders = Callable[[str], Path]
KINDS = ["t5", "t5-1.1", "t5-silu", "mt5", "umt5"]
WITHOUT_SENTINELS = {"umt5"}
TEXTS = [f"El perro número {n} duerme en la casa de la niña, señor." for n in range(40)]
ROWS = [{"text": text, "label": "sí" if n % 2 else "no"} for n, text in enumerate(TEXTS)]
TINY: dict[str, Any] = {"steps": 2, "warmup": 0, "batch_size": 2, "input_length": 32, "held_out": 0.0}


@pytest.mark.parametrize("kind", KINDS)
def test_shard(kind: str, folder_of: Folders, tmp_path: Path) -> None:
    (tmp_path / "es.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    result = st.shard(tmp_path / "es.txt", tmp_path / "tokens", folder_of(kind))
    ids, offsets = result.load()
    tokenizer = st.Tokenizer.load(folder_of(kind))
    assert result.manifest["id_type"] == str(ids.dtype) == "uint16"
    assert ids[offsets[3] : offsets[4]].tolist() == tokenizer.encode(TEXTS[3])
    back = st.decode_shards(tmp_path / "tokens", tmp_path / "back", folder_of(kind))
    assert back.records == len(TEXTS)


@pytest.mark.parametrize("kind", KINDS)
def test_pretrain(kind: str, folder_of: Folders, tmp_path: Path) -> None:
    def pretrained() -> Any:
        return st.pretrain(
            texts=TEXTS,
            output=tmp_path / "run",
            tokenizer=folder_of(kind),
            start=str(folder_of(kind)),
            **TINY,
        )

    if kind in WITHOUT_SENTINELS:
        with pytest.raises(st.SpanishTokError, match=r"no <extra_id_0>.*has 0 sentinels"):
            pretrained()
        return
    result = pretrained()
    assert result.checkpoint is not None
    again = st.T5.load(result.checkpoint)
    assert replace(again.config, dropout_rate=0.1) == st.T5.load(folder_of(kind)).config
    assert st.Tokenizer.load(result.checkpoint).encode(TEXTS[0]) == st.Tokenizer.load(folder_of(kind)).encode(
        TEXTS[0]
    )


@pytest.mark.parametrize("kind", KINDS)
def test_finetune_predict_evaluate(kind: str, folder_of: Folders, tmp_path: Path) -> None:
    result = st.finetune(
        texts=ROWS, output=tmp_path / "tuned", task="classification", model=folder_of(kind), epochs=1,
        batch_size=8, validation_records=4,
    )  # fmt: skip
    assert result.folder is not None
    answer = st.predict(TEXTS[0], model=result.folder)
    assert answer.text in ("sí", "no")
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    assert 0 <= st.evaluate(tmp_path / "rows.jsonl", model=result.folder).value <= 1
    assert st.T5.load(result.folder).config == st.T5.load(folder_of(kind)).config


@pytest.mark.parametrize("backend", ["cpu", "torch"])
@pytest.mark.parametrize("kind", KINDS)
def test_generate(kind: str, backend: Any, folder_of: Folders) -> None:
    generator = st.Generator.load(folder_of(kind), backend)
    found = generator.generate("la casa de", max_new_tokens=6, num_beams=2)
    assert found.text == " ".join(generator.tokenizer.decode(found.ids).split())
    streamed = "".join(generator.stream("la casa de", max_new_tokens=6))
    assert streamed == generator.generate("la casa de", max_new_tokens=6).text
    if kind in WITHOUT_SENTINELS:
        with pytest.raises(st.SpanishTokError, match="no <extra_id_0>"):
            generator.fill("la <extra_id_0> de")
    else:
        assert generator.fill("la <extra_id_0> de", max_new_tokens=4).startswith("la")


@pytest.mark.parametrize("kind", KINDS)
def test_export(kind: str, folder_of: Folders, tmp_path: Path) -> None:
    for form in ("transformers", "int8"):
        st.export(folder_of(kind), tmp_path / form, to=form)
        written = st.Generator.load(tmp_path / form).generate("la casa de", max_new_tokens=3)
        assert written.ids


@pytest.mark.parametrize("kind", KINDS)
def test_export_onnx(kind: str, folder_of: Folders, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    st.export(folder_of(kind), tmp_path / "onnx", to="onnx")
    sessions = [
        runtime.InferenceSession(str(tmp_path / "onnx" / f"{name}.onnx"), providers=["CPUExecutionProvider"])
        for name in ("encoder", "decoder")
    ]
    ids, mask = np.arange(5, 15)[None], np.ones((1, 10), np.int64)
    memory = sessions[0].run(None, {"input_ids": ids, "attention_mask": mask})[0]
    model = st.T5.load(folder_of(kind))
    c = model.config
    past = np.zeros((c.num_decoder_layers, 2, 1, c.num_heads, 0, c.d_kv), np.float32)
    written = np.array([[0, 9, 12]])
    feed = {"decoder_input_ids": written, "attention_mask": mask, "memory": memory, "past": past}
    with torch.no_grad():
        right = model(torch.tensor(ids), decoder_input_ids=torch.tensor(written)).numpy()
    assert np.abs(sessions[1].run(None, feed)[0] - right).max() < 1e-4 * max(1.0, np.abs(right).max())


@pytest.mark.parametrize("kind", KINDS)
def test_bench(kind: str, folder_of: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "spanish_tok.measure.bench.measure_speed", lambda *_: []
    )  # its processes take seconds
    monkeypatch.setattr("spanish_tok.measure.figures.model.tokens_per_second", lambda *_: 1.0)
    result = st.bench(model=folder_of(kind), texts=TEXTS)
    assert result.model is not None
    assert (result.model.bits_per_byte is None) is (kind in WITHOUT_SENTINELS)
    assert len(result.model.fills) == (0 if kind in WITHOUT_SENTINELS else 10)
    assert "bits per byte" in str(result.to_dict()) or result.model
    result.show()


@pytest.mark.parametrize("kind", KINDS)
def test_verify(kind: str, folder_of: Folders) -> None:
    result = st.verify(folder_of(kind))
    assert result.ok, [str(check) for check in result.checks]
    assert {check.name.split(":")[0] for check in result.checks} >= {
        "sentencepiece",
        "tokenizers",
        "transformers",
    }


def test_wide_ids(tmp_path: Path) -> None:
    """A vocabulary of more than 65,536 ids is uint32 from the column to the batch."""
    from sentencepiece import sentencepiece_model_pb2 as proto

    from tests.t5.foreign.models import spiece

    model = proto.ModelProto.FromString(spiece("umt5"))
    for number in range(70_000):
        model.pieces.add(piece=f"▁pieza{number}", score=-20.0)
    for k in reversed(range(100)):
        model.pieces.add(
            piece=f"▁<extra_id_{k}>", score=0.0, type=proto.ModelProto.SentencePiece.USER_DEFINED
        )
    (tmp_path / "vocab").mkdir()
    (tmp_path / "vocab" / "spiece.model").write_bytes(model.SerializeToString())
    tokenizer = st.Tokenizer.load(tmp_path / "vocab")
    assert tokenizer.vocab_size == len(model.pieces) > 70_000
    texts = [f"la pieza69{n:03} y pieza{n}" for n in range(50)]
    (tmp_path / "es.txt").write_text("\n".join(texts), encoding="utf-8")
    result = st.shard(tmp_path / "es.txt", tmp_path / "tokens", tokenizer)
    ids, offsets = result.load()
    assert (str(ids.dtype), result.manifest["id_type"]) == ("uint32", "uint32")
    assert ids.max() > 65_536
    for row in (0, 49):
        assert ids[offsets[row] : offsets[row + 1]].tolist() == tokenizer.encode(texts[row])
    assert st.shard(texts=texts, tokenizer=tokenizer).load().ids.tolist() == ids.tolist()
    st.decode_shards(tmp_path / "tokens", tmp_path / "back", tokenizer)
    corruption = st.SpanCorruption.of(tokenizer.vocabulary)
    row = ids[: offsets[1]].tolist()
    inputs, targets = corruption.corrupt(row, 0, 0)
    assert corruption.rebuild(inputs, targets) == row
    config = st.T5Config(
        vocab_size=tokenizer.vocab_size,
        d_model=8,
        d_kv=4,
        d_ff=8,
        num_heads=2,
        num_layers=1,
        num_decoder_layers=1,
    )
    st.T5(config).save(tmp_path / "model", tokenizer.vocabulary)
    trained = st.pretrain(tmp_path / "tokens", tokenizer=tokenizer, start=str(tmp_path / "model"), **TINY)
    assert trained.tokens > 0
    tuned = st.finetune(
        texts=[{"text": text, "label": "sí" if n % 2 else "no"} for n, text in enumerate(texts)],
        output=tmp_path / "tuned", task="classification", model=trained.checkpoint, epochs=1, batch_size=8,
        validation_records=4,
    )  # fmt: skip
    assert st.predict(texts[0], model=tuned.folder).text in ("sí", "no")


def test_ids_that_are_none_are_refused_by_place() -> None:
    corruption = st.SpanCorruption(first_sentinel=250_099)
    inputs, targets = corruption.corrupt(np.array([70_000, 11, 12]), 0, 1)
    assert corruption.rebuild(inputs, targets) == [70_000, 11, 12]
    for wrong, place in (([5, -100], 1), ([5, 6, 250_099], 2), ([1 << 31], 0)):
        with pytest.raises(st.SpanishTokError, match=f"Item {place} of the ids is {wrong[place]}"):
            corruption.corrupt(wrong, 0, 0)
    with pytest.raises(st.SpanishTokError, match=r"5\.5 at place 0"):
        corruption.corrupt([5.5, 6.0], 0, 0)  # type: ignore[list-item]


def test_sentinels_may_go_up() -> None:
    corruption = st.SpanCorruption(first_sentinel=900, sentinels=50, sentinel_step=1, rate=0.5, mean_span=1.0)
    row = list(range(10, 40))
    inputs, targets = corruption.corrupt(row, 0, 0)
    assert [number for number in inputs if number >= 900] == list(
        range(900, 900 + sum(n >= 900 for n in inputs))
    )
    assert corruption.rebuild(inputs, targets) == row
