"""The GGUF file: llama.cpp cuts text into our ids, computes our logits and writes our texts."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

torch = pytest.importorskip("torch", reason="needs the extra t5")
gguf = pytest.importorskip("gguf", reason="needs the extra gguf")
pytest.importorskip("xllamacpp", reason="llama.cpp, the reference")

from spanish_tok import Generator, SpanishTokError, T5Config, Tokenizer, Vocabulary, export  # noqa: E402
from spanish_tok.files import shipped  # noqa: E402
from spanish_tok.generation.prompts import Prompt  # noqa: E402
from spanish_tok.t5.checkpoint import Checkpoint  # noqa: E402
from spanish_tok.t5.model import T5  # noqa: E402
from tests.llama import Llama  # noqa: E402
from tests.prompts import TEXTS, WORDS, prompts  # noqa: E402

SHIPPED = "models/es-tiny"
SMALL: dict[str, Any] = {
    "d_model": 64, "d_kv": 16, "d_ff": 96, "num_heads": 4, "num_layers": 2, "num_decoder_layers": 1
}  # fmt: skip


@pytest.fixture(scope="module")
def model() -> Any:
    torch.set_num_threads(1)
    return T5.from_checkpoint(Checkpoint.load(shipped(SHIPPED))).eval()


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Generator.load(shipped(SHIPPED)).tokenizer


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Llama]:
    folder = export(output=tmp_path_factory.mktemp("gguf") / "model", to="gguf")
    engine = Llama(folder / "model.gguf", 5000)
    yield engine
    engine.close()


def ours(model: Any, inputs: list[int], written: list[int]) -> np.ndarray[Any, Any]:
    """Return the logits (steps, ids) of PyTorch for what llama.cpp wrote."""
    with torch.no_grad():
        logits = model(torch.tensor([inputs]), decoder_input_ids=torch.tensor([[0, *written[:-1]]]))
    return np.asarray(logits[0])


def differing(engine: Llama, model: Any, batch: list[list[int]], steps: int) -> list[float]:
    """Check logits and greedy ids; return how far apart the best two logits are where the ids differ."""
    ties = []
    for inputs in batch:
        written, logits = engine.greedy(inputs, steps)
        expected = ours(model, inputs, written)
        assert np.abs(logits - expected).max() < 1e-3
        different = np.flatnonzero(expected.argmax(-1) != np.array(written))
        if different.size:
            best = np.sort(expected[different[0]])[-2:]
            ties.append(float(best[1] - best[0]))
    return ties


def test_llama_reads_text_as_we_do(llama: Llama, tokenizer: Tokenizer) -> None:
    for text in [*TEXTS, *WORDS]:
        assert llama.tokenize(text) == tokenizer.encode(text, append_eos=True), text


def test_llama_computes_and_writes_what_we_do(llama: Llama, model: Any, tokenizer: Tokenizer) -> None:
    batch = [Prompt.parse(text, tokenizer).ids for text in prompts(20)]
    assert all(gap < 1e-4 for gap in differing(llama, model, batch, 24))  # nothing but ties


def test_llama_fills_gaps_as_generate_does(llama: Llama) -> None:
    generator = Generator.load(shipped(SHIPPED))
    for text in prompts(50):
        prompt = Prompt.parse(text, generator.tokenizer)
        written, _ = llama.greedy(prompt.ids, 16)
        assert prompt.fill([i for i in written if i != 1]) == generator.fill(text, max_new_tokens=16), text


def test_real_records(llama: Llama, model: Any, tokenizer: Tokenizer, corpus: pa.ChunkedArray) -> None:
    texts = [corpus[n * 997].as_py()[:300] for n in range(200)]
    batch = [[*tokenizer.encode(text)[:60], tokenizer.vocabulary.sentinel_id(0), 1] for text in texts]
    assert all(gap < 1e-4 for gap in differing(llama, model, batch, 12))
    assert all(llama.tokenize(text) == tokenizer.encode(text, append_eos=True) for text in texts)


@pytest.mark.parametrize(("precision", "most"), [("f16", 0.02), ("q8_0", 0.6)])
def test_narrow_weights_stay_near(
    precision: str, most: float, model: Any, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    folder = export(output=tmp_path / "model", to="gguf", precision=precision)
    engine = Llama(folder / "model.gguf", 5000)
    inputs = Prompt.parse("la capital de españa es <extra_id_0> .", tokenizer).ids
    written, logits = engine.greedy(inputs, 12)
    assert np.abs(logits - ours(model, inputs, written)).max() < most
    engine.close()


def test_files_become_smaller_and_norms_stay(tmp_path: Path) -> None:
    sizes = []
    for precision in ("f32", "f16", "q8_0"):
        folder = export(output=tmp_path / precision, to="gguf", precision=precision)
        sizes.append((folder / "model.gguf").stat().st_size)
        kinds = {
            tensor.name: tensor.tensor_type.name for tensor in gguf.GGUFReader(folder / "model.gguf").tensors
        }
        assert len(kinds) == 76
        assert {kinds[name] for name in kinds if "norm" in name or "rel_b" in name} == {"F32"}
        assert kinds["enc.blk.0.attn_q.weight"] == precision.upper()
    assert all(larger > 1.7 * smaller for larger, smaller in pairwise(sizes))


def test_gated_and_untied(tmp_path: Path) -> None:
    torch.manual_seed(5)
    model = T5(T5Config(**SMALL, feed_forward_proj="gated-gelu", tie_word_embeddings=False)).eval()
    model.save(tmp_path / "model", Vocabulary.load())
    engine = Llama(export(tmp_path / "model", tmp_path / "out", to="gguf") / "model.gguf", 5000)
    written, logits = engine.greedy([20, 31, 400, 1], 8)
    assert np.abs(logits - ours(model, [20, 31, 400, 1], written)).max() < 2e-3  # llama.cpp's GELU is a table
    engine.close()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"relative_attention_num_buckets": 16}, "32 buckets"),
        ({"relative_attention_max_distance": 64}, "distance of 128"),
        ({"num_decoder_layers": 3}, "more decoder than encoder layers"),
        ({"feed_forward_proj": "gated-silu"}, "no gated SiLU"),
    ],
)
def test_what_llama_computes_otherwise_is_refused(
    options: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    T5(T5Config(**{**SMALL, **options})).save(tmp_path / "model", Vocabulary.load())
    with pytest.raises(SpanishTokError, match=reason):
        export(tmp_path / "model", tmp_path / "out", to="gguf")
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").iterdir())


def test_an_unknown_precision_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpanishTokError, match="q4_0"):
        export(output=tmp_path / "out", to="gguf", precision="q4_0")
