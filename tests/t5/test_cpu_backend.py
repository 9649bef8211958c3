"""The model without PyTorch: every kernel equals NumPy, the backend equals PyTorch, and hostile folders are named."""

import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from spanish_tok import Generator, SpanishTokError, Tokenizer
from spanish_tok.files import shipped
from spanish_tok.generation.sampling import Backend, GenerateOptions
from spanish_tok.kernels.nn import attention
from spanish_tok.kernels.nn.lanes import LANES, exponential, load, store
from spanish_tok.kernels.nn.matmul_int8 import DEPTH, LARGEST, product_of
from spanish_tok.t5.checkpoint import WEIGHTS_INT8, Checkpoint
from spanish_tok.t5.config import T5Config
from spanish_tok.t5.cpu_backend import CpuBackend
from spanish_tok.t5.cpu_weights import PRECISIONS, aligned, pack_matrices, padded
from spanish_tok.t5.quantization import SCALE, dequantize, quantize
from spanish_tok.t5.safetensors import Precision, from_bfloat16, read_tensors, to_bfloat16, write_tensors
from spanish_tok.vocab.vocabulary import EOS, Vocabulary
from tests.conftest import TOP

torch = pytest.importorskip("torch", reason="the reference is PyTorch")

Floats = NDArray[np.float32]
SMALL: dict[str, Any] = {
    "d_model": 40,
    "d_kv": 12,
    "num_heads": 3,
    "d_ff": 72,
    "num_layers": 2,
    "num_decoder_layers": 2,
}
CONFIGS = {
    "small": T5Config(**SMALL),
    "gated, untied": T5Config(**SMALL, feed_forward_proj="gated-gelu", tie_word_embeddings=False),
    "wide heads": T5Config(**{**SMALL, "d_kv": 72, "num_heads": 1}, vocab_size=5007),
    "spanish-tiny": T5Config.spanish_tiny(),
}


def rows(rng: np.random.Generator, count: int, width: int) -> Floats:
    """Random rows with room for whole vectors behind them."""
    buffer = aligned((count, padded(width) + LANES), np.float32)
    buffer[:] = rng.standard_normal(buffer.shape)
    return buffer[:, :width]


def random_checkpoint(config: T5Config, vocabulary: Vocabulary) -> Checkpoint:
    from spanish_tok.t5.model import T5

    torch.manual_seed(0)
    return T5(config).checkpoint(vocabulary)


@pytest.fixture(scope="module")
def checkpoint(tokenizer: Tokenizer) -> Checkpoint:
    return random_checkpoint(CONFIGS["small"], tokenizer.vocabulary)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("count", [1, 2, 5, 131])
@pytest.mark.parametrize(("outputs", "inputs"), [(64, 112), (200, 150), (1, 1)])
def test_product_equals_numpy(precision: Precision, count: int, outputs: int, inputs: int) -> None:
    rng = np.random.default_rng(count)
    matrix = rng.standard_normal((outputs, inputs)).astype(np.float32)
    x, out = rows(rng, count, inputs), rows(rng, count, outputs)
    packed = pack_matrices([matrix], precision)
    product_of(packed.weights, packed.scales, x, out)
    if precision == "bfloat16":
        matrix = from_bfloat16(to_bfloat16(matrix))
    np.testing.assert_allclose(out, x @ matrix.T, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("count", [1, 2, 5, 131])
@pytest.mark.parametrize(("outputs", "inputs"), [(64, 112), (200, 1151), (70, 640), (1, 1)])
def test_int8_product_equals_whole_numbers_of_numpy(count: int, outputs: int, inputs: int) -> None:
    rng = np.random.default_rng(count)
    matrix = rng.standard_normal((outputs, inputs)).astype(np.float32)
    matrix[:, -1] = 3 * np.sign(matrix[:, -1])  # numbers of 127 in many rows
    x, out = rows(rng, count, inputs), rows(rng, count, outputs)
    x[-1] = 0 if count == 2 else x[-1] * 1e4
    packed = pack_matrices([matrix], "int8")
    product_of(packed.weights, packed.scales, x, out)

    highest = np.abs(x).max(axis=1, keepdims=True)
    factors = np.divide(LARGEST, highest, out=np.zeros_like(highest), where=highest > 0)
    whole, (numbers, scales) = np.rint(x * factors).astype(np.int64), quantize(matrix)
    expected = np.zeros((count, outputs), np.float32)
    for first in range(0, inputs, DEPTH):
        block = slice(first, first + DEPTH)
        sums = whole[:, block] @ numbers[:, block].astype(np.int64).T
        assert np.abs(sums).max() < 2**31
        expected += sums.astype(np.float32)
    np.testing.assert_array_equal(out, expected * (highest / LARGEST * scales))
    error = np.abs(out - x.astype(np.float64) @ dequantize(numbers, scales).astype(np.float64).T)
    assert (error <= 1e-4 * highest * np.sqrt(inputs)).all()


def test_the_largest_whole_numbers_do_not_overflow() -> None:
    x, out = np.ones((1, DEPTH), np.float32), np.empty((1, LANES), np.float32)
    packed = pack_matrices([np.full((LANES, DEPTH), -1, np.float32)], "int8")
    product_of(packed.weights, packed.scales, x, out)
    np.testing.assert_allclose(out, -DEPTH, rtol=1e-6)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_row_of_a_product_is_the_same_in_any_batch(precision: Precision) -> None:
    rng = np.random.default_rng(0)
    packed = pack_matrices([rng.standard_normal((300, 450)).astype(np.float32)], precision)
    x, together = rows(rng, 9, 450), rows(rng, 9, 300)
    product_of(packed.weights, packed.scales, x, together)
    for row in range(9):
        alone = rows(rng, 1, 300)
        product_of(packed.weights, packed.scales, x[row : row + 1], alone)
        np.testing.assert_array_equal(alone[0], together[row])


def test_exponential_equals_numpy() -> None:
    import numba

    @numba.njit  # type: ignore[untyped-decorator, unused-ignore]
    def every(x: Floats, out: Floats) -> None:
        for i in range(0, x.size, LANES):
            store(out, i, exponential(load(x, i)))

    x = np.linspace(-87, 88, 64_000, dtype=np.float32)
    out = np.empty_like(x)
    every(x, out)
    np.testing.assert_allclose(out, np.exp(x.astype(np.float64)), rtol=4e-7)
    far = np.full(64, -1e30, np.float32)
    every(far, out)
    assert (out[:64] == 0).all()


@pytest.mark.parametrize("gated", [0, 1])
def test_norm_and_activation_equal_numpy(gated: int) -> None:
    rng = np.random.default_rng(1)
    width = 70
    x = rows(rng, 3, padded(2 * width))
    before = x.copy()
    attention.activate(x, width, gated)
    first, second = before[:, :width].astype(np.float64), before[:, width : 2 * width]
    tanh = np.tanh(np.sqrt(2 / np.pi) * (first + 0.044715 * first**3))
    expected = first * (1 + tanh) / 2 * second if gated else np.maximum(first, 0)
    np.testing.assert_allclose(x[:, :width], expected, rtol=1e-5, atol=1e-6)
    buffer, out = rows(rng, 3, padded(width)), rows(rng, 3, width)
    buffer[:, width:] = 0
    x = buffer[:, :width]
    weight = rng.standard_normal(padded(width)).astype(np.float32)
    attention.normalize(x, weight, width, np.float32(1e-6), out)
    expected = x / np.sqrt((x.astype(np.float64) ** 2).mean(1, keepdims=True) + 1e-6) * weight[:width]
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-6)


@given(st.booleans(), st.integers(1, 200), st.integers(1, 130), st.integers(1, 5), st.integers(0, 2**32))
@settings(max_examples=30)
def test_attention_equals_numpy(scaled: bool, count: int, d_kv: int, queries: int, seed: int) -> None:
    """Of float32 keys and values, and of int16 with a scale for each."""
    rng = np.random.default_rng(seed)
    k, v, q = (rng.standard_normal((number, d_kv)).astype(np.float32) for number in (count, count, queries))
    k[0], v[0], v[-1] = k[0] / 1000, v[0] / 1000, 0
    kind = np.int16 if scaled else np.float32
    keys, values = (np.zeros(padded(count) * width, kind) for width in (d_kv, padded(d_kv)))
    scales, scales2 = (np.full(padded(count) if scaled else 0, np.nan, np.float32) for _ in range(2))
    attention.write_keys(k[:1], keys, scales, 0)
    attention.write_keys(k[1:], keys, scales, 1)  # appended
    attention.write_values(v, values, scales2, 0, padded(count))
    bias = rng.standard_normal(queries + padded(count) + LANES).astype(np.float32)
    scores, out = rows(rng, queries, padded(count)), rows(rng, queries, d_kv)
    padded_q = rows(rng, queries, d_kv)
    padded_q[:] = q
    attention.attend(
        padded_q, keys, values, scales, scales2, count, padded(count), bias, queries, scores, out
    )
    expected = q.astype(np.float64) @ k.T
    expected += [bias[queries - r : queries - r + count] for r in range(queries)]
    expected = np.exp(expected - expected.max(1, keepdims=True))
    near = 2e-3 if scaled else 1e-4
    np.testing.assert_allclose(out, expected / expected.sum(1, keepdims=True) @ v, rtol=1e-3, atol=near)


@given(st.integers(1, 40), st.integers(1, 70), st.integers(0, 2**32))
@settings(max_examples=25)
def test_int8_is_near_and_stays(count: int, width: int, seed: int) -> None:
    matrix = np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32)
    matrix[0] = 0
    numbers, scales = quantize(matrix)
    near = dequantize(numbers, scales)
    assert (np.abs(near - matrix) <= scales[:, None] * 0.5001).all()
    np.testing.assert_array_equal(quantize(near)[0], numbers)


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_equal_those_of_pytorch(name: str, tokenizer: Tokenizer) -> None:
    """Texts of unequal lengths, rows dropped and doubled on the way, past the first capacity of a panel."""
    from spanish_tok.t5.model import T5
    from spanish_tok.t5.torch_backend import TorchBackend

    checkpoint = random_checkpoint(CONFIGS[name], tokenizer.vocabulary)
    rng = np.random.default_rng(0)
    batch = [rng.integers(3, 4900, length).tolist() for length in (5, 64, 1, 130)]
    ours, theirs = (
        backend.start(batch, 70)
        for backend in (CpuBackend(checkpoint), TorchBackend(T5.from_checkpoint(checkpoint)))
    )
    ids = np.zeros(4, np.int64)
    for step in range(70):
        mine, reference = ours.step(ids), theirs.step(ids)
        np.testing.assert_allclose(mine, reference, atol=1e-4)
        if step == 66:
            chosen = np.array([3, 0, 0, 2, 1])
            ours.reorder(chosen)
            theirs.reorder(chosen)
        ids = rng.integers(3, 4900, 5 if step >= 66 else 4)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_best_id_is_that_of_all_logits(precision: Precision, checkpoint: Checkpoint) -> None:
    backend = CpuBackend(checkpoint, precision)
    rng = np.random.default_rng(2)
    batch = [rng.integers(3, 4900, 9).tolist()]
    quick, slow = backend.start(batch, 60), backend.start(batch, 60)
    for _ in range(60):
        ids = rng.integers(0, 5000, 1)
        assert quick.best(ids)[0] == slow.step(ids).argmax()


@pytest.mark.parametrize("options", [GenerateOptions(24), GenerateOptions(24, num_beams=3)])
def test_greedy_and_beams_write_what_pytorch_writes(
    options: GenerateOptions, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    checkpoint.save(tmp_path)
    rng = np.random.default_rng(3)
    inputs = [[*rng.integers(3, 4900, length).tolist(), 1] for length in rng.integers(0, 90, 12)]
    mine, theirs = (Generator.load(tmp_path, name).write_ids(inputs, options) for name in ("cpu", "torch"))
    assert [one.ids for one in mine] == [one.ids for one in theirs]


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "most", "near"), [("float32", 3, 1e-5), ("int8", 10, 0.01)])
def test_greedy_ids_of_a_thousand_records_are_those_of_pytorch(
    precision: Precision, most: int, near: float, corpus: pa.ChunkedArray, tokenizer: Tokenizer
) -> None:
    """But for ties, which PyTorch itself breaks as a batch has it."""
    from spanish_tok.t5.torch_backend import TorchBackend

    folder = shipped("models/es-tiny")
    mine, theirs = CpuBackend.load(folder, precision), TorchBackend.load(folder)
    texts = [[*tokenizer.encode(text.as_py()[:300]), EOS] for text in corpus[:1000]]
    written = [
        [one.ids for one in Generator(backend, tokenizer).write_ids(texts, GenerateOptions(32))]
        for backend in (mine, theirs)
    ]
    different = [(text, a, b) for text, a, b in zip(texts, *written, strict=True) if a != b]
    assert len(different) <= most
    for text, one, other in different:
        assert gap(theirs, text, one, other) < near


def gap(backend: Backend, text: list[int], one: Sequence[int], other: Sequence[int]) -> float:
    """How far the logits of two continuations are apart where they part."""
    place = next(k for k, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    state = backend.start([text], place + 1)
    for last in [backend.config.decoder_start_token_id, *one[:place]]:
        logits = state.step(np.array([last]))[0]
    return float(abs(logits[one[place]] - logits[other[place]]))


def test_four_threads_share_a_generator(checkpoint: Checkpoint, tokenizer: Tokenizer) -> None:
    generator = Generator(CpuBackend(checkpoint, "int8"), tokenizer)
    rng = np.random.default_rng(4)
    inputs = [[[*rng.integers(3, 4900, 30).tolist(), 1] for _ in range(3)] for _ in range(4)]
    expected = [generator.write_ids(batch, GenerateOptions(20)) for batch in inputs]
    found: dict[int, list[bool]] = {}

    def work(number: int) -> None:
        same = [
            generator.write_ids(inputs[number], GenerateOptions(20)) == expected[number] for _ in range(5)
        ]
        found[number] = same

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: [True] * 5 for number in range(4)}


def test_a_long_input_and_an_empty_one(checkpoint: Checkpoint) -> None:
    from spanish_tok.t5.model import T5
    from spanish_tok.t5.torch_backend import TorchBackend

    long = np.random.default_rng(5).integers(3, 4900, 4096).tolist()
    states = [
        b.start([long, [1]], 2)
        for b in (CpuBackend(checkpoint), TorchBackend(T5.from_checkpoint(checkpoint)))
    ]
    mine, theirs = (state.step(np.zeros(2, np.int64)) for state in states)
    np.testing.assert_allclose(mine, theirs, atol=1e-4)


def test_an_empty_text_gives_some_text(checkpoint: Checkpoint, tokenizer: Tokenizer) -> None:
    (found,) = Generator(CpuBackend(checkpoint), tokenizer).generate([""], GenerateOptions(5))
    assert len(found.ids) <= 5


def test_an_unknown_precision_or_backend_is_named(checkpoint: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(SpanishTokError, match="int4"):
        CpuBackend(checkpoint, "int4")  # type: ignore[arg-type]
    with pytest.raises(SpanishTokError, match="jax"):
        Generator.load(tmp_path, "jax")  # type: ignore[arg-type]
    with pytest.raises(SpanishTokError, match="float32"):
        Generator.load(tmp_path, "torch", "int8")


def damage(tensors: dict[str, NDArray[np.generic]], kind: str) -> str:
    """Change an int8 checkpoint's tensors; what the refusal must name."""
    name = "decoder.block.0.layer.0.SelfAttention.q.weight"
    if kind == "missing":
        del tensors[name]
    elif kind == "shape":
        tensors[name], tensors[name + SCALE] = tensors[name][:-1], tensors[name + SCALE][:-1]
    elif kind == "scale":
        del tensors[name + SCALE]
    elif kind == "nan":
        tensors[name + SCALE] = np.full_like(tensors[name + SCALE], np.nan)
    else:
        tensors["extra.weight"] = np.zeros((2, 2), np.float32)
        return "extra.weight"
    return name


@pytest.mark.parametrize("kind", ["missing", "shape", "scale", "nan", "unexpected"])
def test_hostile_int8_weights_are_refused_by_name(kind: str, checkpoint: Checkpoint, tmp_path: Path) -> None:
    checkpoint.save(tmp_path, "int8")
    tensors = read_tensors(tmp_path / WEIGHTS_INT8)
    name = damage(tensors, kind)
    write_tensors(tmp_path / WEIGHTS_INT8, tensors)
    manifest = json.loads((tmp_path / "model.json").read_text())
    manifest["files"] = {}
    (tmp_path / "model.json").write_text(json.dumps(manifest))
    with pytest.raises(SpanishTokError, match=name.replace(".", r"\.")):
        Generator.load(tmp_path)


def test_a_cut_or_changed_folder_is_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    checkpoint.save(tmp_path, "int8")
    assert not (tmp_path / "spiece.model").exists()  # the vocabulary that ships is not repeated
    weights = tmp_path / WEIGHTS_INT8
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-9])
    with pytest.raises(SpanishTokError, match=WEIGHTS_INT8):
        Generator.load(tmp_path)
    weights.write_bytes(whole)
    manifest = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps({**manifest, "vocabulary": "0" * 64}))
    with pytest.raises(SpanishTokError, match="vocabulary"):
        Generator.load(tmp_path)


def test_int8_weights_load_as_they_were_saved(checkpoint: Checkpoint, tmp_path: Path) -> None:
    checkpoint.save(tmp_path, "int8")
    loaded = Checkpoint.load(tmp_path)
    assert loaded.int8
    assert CpuBackend(loaded).precision == "int8"
    name = "shared.weight"
    np.testing.assert_array_equal(loaded.tensors[name], dequantize(*quantize(checkpoint.tensors[name])))


NO_TORCH = """
import sys
class Forbidden:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "transformers", "scipy"):
            raise ModuleNotFoundError(f"{name} is not here", name=name)
sys.meta_path.insert(0, Forbidden())
from spanish_tok.cli import main
main(sys.argv[1:])
"""


@pytest.mark.skipif(not (TOP / "models" / "es-tiny").is_dir(), reason="needs the shipped model")
@pytest.mark.parametrize("more", [[], ["--stream"]])
def test_generate_works_without_torch(more: list[str]) -> None:
    text = "la capital de españa es <extra_id_0> ."
    command = [sys.executable, "-c", NO_TORCH, "generate", text, *more]
    done = subprocess.run(command, capture_output=True, text=True, cwd=TOP)
    assert done.returncode == 0, done.stderr
    assert done.stdout == Generator.load(shipped("models/es-tiny")).fill(text) + "\n"
    asked = [*command, "--backend", "torch"]
    if not more:
        refused = subprocess.run(asked, capture_output=True, text=True, cwd=TOP)
        assert refused.returncode == 2
        assert "spanish-tok[t5]" in refused.stderr
