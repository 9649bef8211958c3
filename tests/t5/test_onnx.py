"""The ONNX graphs: onnxruntime and tract compute what the model does, in one call and step by step with the cache."""

import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

torch = pytest.importorskip("torch", reason="needs the extra t5")
onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
onnxruntime = pytest.importorskip("onnxruntime", reason="the reference that runs the graphs")

import torch.nn.functional as F  # noqa: E402, N812

import spanish_tok.t5.export.libraries  # noqa: E402
import spanish_tok.t5.export.onnx  # noqa: E402
from spanish_tok import GenerateOptions, Generator, SpanishTokError, T5Config, Tokenizer, Vocabulary  # noqa: E402
from spanish_tok.files import shipped  # noqa: E402
from spanish_tok.generation.prompts import Prompt  # noqa: E402
from spanish_tok.t5.export.libraries import export  # noqa: E402
from spanish_tok.t5.model import T5  # noqa: E402
from spanish_tok.training.bits_per_byte import bits_per_byte  # noqa: E402
from tests.conftest import TOP  # noqa: E402
from tests.prompts import prompts  # noqa: E402

SIZES = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_heads": 4, "num_layers": 1, "num_decoder_layers": 2}
FORMS = [{}, {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}]
PROMPT = "la capital de españa es <extra_id_0> ."


def saved(folder: Path, **options: Any) -> Path:
    torch.manual_seed(3)
    model = T5(T5Config(**{**SIZES, **options}))
    for parameter in model.parameters():
        parameter.data.add_(
            torch.randn_like(parameter) * 0.1
        )  # norms that are not 1, texts that are not one id
    model.save(folder, Vocabulary.load())
    return folder


@pytest.fixture(scope="module", params=FORMS, ids=["tied", "gated"])
def folders(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model, and what the verb writes from it."""
    top = tmp_path_factory.mktemp("onnx")
    model, graphs = saved(top / "model", **request.param), top / "model-onnx"
    command = [
        sys.executable,
        "-m",
        "spanish_tok",
        "export",
        str(model),
        "--to",
        "onnx",
        "--output",
        str(graphs),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("onnx, ")
    return model, graphs


class Sessions:
    """Both graphs in onnxruntime, on one thread; or in any engine that calls them."""

    def __init__(self, folder: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.config = T5Config.from_json(folder / "config.json")
        self.encoder, self.decoder = (
            onnxruntime.InferenceSession(folder / name, options, providers=["CPUExecutionProvider"])
            for name in ("encoder.onnx", "decoder.onnx")
        )

    def encode(self, **inputs: Any) -> Any:
        return self.encoder.run(None, inputs)[0]

    def decode(self, **inputs: Any) -> Any:
        return self.decoder.run(None, inputs)

    def start(self, ids: Any, mask: Any) -> None:
        c = self.config
        self.mask = mask
        self.memory = self.encode(input_ids=ids, attention_mask=mask)
        self.past = np.zeros((c.num_decoder_layers, 2, len(ids), c.num_heads, 0, c.d_kv), np.float32)

    def go_on(self, ids: Any) -> Any:
        known = {"attention_mask": self.mask, "memory": self.memory, "past": self.past}
        logits, self.past = self.decode(decoder_input_ids=ids, **known)
        return logits

    def write(self, ids: list[int], steps: int) -> list[int]:
        """Return what is written greedily, `</s>` left out."""
        self.start(np.array([ids]), np.ones((1, len(ids)), np.int64))
        written = [0]
        while len(written) <= steps and written[-1] != 1:
            written.append(int(self.go_on(np.array([written[-1:]]))[0, -1].argmax()))
        return [number for number in written[1:] if number != 1]


class Tract(Sessions):
    """Both graphs in tract, an engine in Rust that infers all shapes when it loads a graph."""

    def __init__(self, folder: Path) -> None:
        tract = pytest.importorskip("tract", reason="a second engine of ONNX graphs")
        self.config = T5Config.from_json(folder / "config.json")
        self.encoder, self.decoder = (
            tract.onnx().load(folder / name).into_model().into_runnable()
            for name in ("encoder.onnx", "decoder.onnx")
        )

    def encode(self, **inputs: Any) -> Any:
        return self.encoder.run(list(inputs.values()))[0].to_numpy()

    def decode(self, **inputs: Any) -> Any:
        return [tensor.to_numpy() for tensor in self.decoder.run(list(inputs.values()))]


def batch(rows: int, length: int) -> tuple[Any, Any]:
    """Random ids of rows that are one shorter than the other, and their mask."""
    random = np.random.default_rng(length)
    mask = (np.arange(length) < np.maximum(length - np.arange(rows)[:, None], 1)).astype(np.int64)
    return random.integers(3, 4900, (rows, length)) * mask, mask


@pytest.mark.parametrize("engine", [Sessions, Tract])
@pytest.mark.parametrize(("rows", "length", "steps"), [(1, 1, 1), (3, 12, 160), (4, 300, 5)])
def test_logits_are_those_of_the_model(
    folders: tuple[Path, Path], rows: int, length: int, steps: int, engine: type[Sessions]
) -> None:
    """Longer than the furthest distance that has a bucket of its own, 128, as well."""
    ids, mask = batch(rows, length)
    target, _ = batch(rows, steps)
    tensors = {"input_ids": ids, "attention_mask": mask, "decoder_input_ids": target}
    with torch.no_grad():
        expected = T5.load(folders[0])(
            **{name: torch.tensor(array) for name, array in tensors.items()}
        ).numpy()
    sessions = engine(folders[1])
    sessions.start(ids, mask)
    assert np.abs(sessions.go_on(target) - expected).max() < 1e-4
    sessions.start(ids, mask)
    cuts = [*range(min(steps, 20)), steps]  # single steps, then all others at once
    parts = [sessions.go_on(target[:, a:b]) for a, b in pairwise(cuts)]
    assert np.abs(np.concatenate(parts, 1) - expected).max() < 1e-4


def test_greedy_ids_are_those_of_the_generator(folders: tuple[Path, Path]) -> None:
    ids, mask = batch(8, 20)
    sessions = Sessions(folders[1])
    sessions.start(ids, mask)
    written = np.zeros((8, 1), np.int64)
    for _ in range(24):
        best = sessions.go_on(written[:, -1:])[:, -1].argmax(-1)
        written = np.concatenate([written, best[:, None]], 1)
    texts = [row[: row.index(1)] if 1 in row else row for row in written[:, 1:].tolist()]
    rows = [row[row > 0].tolist() for row in ids]
    found = Generator.load(folders[0], "torch").write_ids(rows, GenerateOptions(max_new_tokens=24))
    assert [list(one.ids) for one in found] == texts
    assert len({number for row in texts for number in row}) > 5


def test_the_recipe_of_the_docs(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    section = (TOP / "docs/how-to/export.md").read_text(encoding="utf-8").split("## ONNX")[1]
    code = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert code is not None
    assert PROMPT in code[1]
    monkeypatch.chdir(folders[1].parent)
    exec(code[1], {})
    expected = (
        Generator.load(folders[0], "torch").generate([PROMPT], GenerateOptions(max_new_tokens=20))[0].text
    )
    assert capsys.readouterr().out == expected + "\n"


def test_the_folder_holds_the_vocabulary_and_nothing_half_written(folders: tuple[Path, Path]) -> None:
    assert Tokenizer.load(folders[1]).vocab_size == 5000
    assert (folders[1] / "config.json").exists()
    assert {path.name for path in folders[1].parent.iterdir()} == {"model", "model-onnx"}
    with pytest.raises(SpanishTokError, match="holds other files"):
        export(folders[0], folders[1], to="onnx")
    with pytest.raises(SpanishTokError, match="no precision 'int4'"):
        export(folders[0], folders[1].parent / "other", to="onnx", precision="int4")


def test_a_large_model_has_its_weights_beside_the_graphs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spanish_tok.t5.export.onnx, "LARGEST", 0)
    (tmp_path / "out").mkdir()  # an empty folder may be there
    export(saved(tmp_path / "model"), tmp_path / "out", to="onnx")
    assert (tmp_path / "out/decoder.onnx.data").stat().st_size > 4 * 5000 * 32
    sessions = Sessions(tmp_path / "out")
    sessions.start(*batch(2, 5))
    assert sessions.go_on(np.zeros((2, 1), np.int64)).shape == (2, 1, 5000)


def test_an_interrupted_export_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: Any, folder: Path, __: str) -> None:
        (folder / "encoder.onnx").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(spanish_tok.t5.export.onnx, "write_graphs", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export(saved(tmp_path / "model"), tmp_path / "out", to="onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        spanish_tok.t5.export.libraries, "find_spec", lambda name: None if name == "onnx" else name
    )
    with pytest.raises(SpanishTokError, match=r"onnx must be installed.*spanish-tok\[onnx\]"):
        export(saved(tmp_path / "model"), tmp_path / "out", to="onnx")


def test_no_shape_is_left_to_be_inferred(folders: tuple[Path, Path]) -> None:
    for name in ("encoder.onnx", "decoder.onnx"):
        onnx.checker.check_model(folders[1] / name, full_check=True)
        graph = onnx.load(folders[1] / name).graph
        numbers = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
        shapes = [numbers[node.input[1]] for node in graph.node if node.op_type == "Reshape"]
        assert shapes
        assert all((shape >= 0).all() for shape in shapes)


def test_both_engines_fill_gaps_as_generate_does(tmp_path: Path) -> None:
    folder = export(output=tmp_path / "out", to="onnx")
    generator = Generator.load(shipped("models/es-tiny"))
    for engine in (Sessions(folder), Tract(folder)):
        for text in prompts(50):
            prompt = Prompt.parse(text, generator.tokenizer)
            assert prompt.fill(engine.write(prompt.ids, 16)) == generator.fill(text, max_new_tokens=16), text


def test_int8_is_a_quarter_and_costs_little(shared: Path, corpus: pa.ChunkedArray, tmp_path: Path) -> None:
    """Bits per byte of 200 real records, with weights that were trained in float32."""
    model = shared / "models/es-tiny-v2"
    tokenizer = Tokenizer.load(model)
    texts = [corpus[n * 3001].as_py() for n in range(200)]
    sizes, bits = {}, {}
    for precision in ("float32", "int8"):
        folder = export(model, tmp_path / precision, to="onnx", precision=precision)
        sizes[precision] = (folder / "decoder.onnx").stat().st_size
        sessions = Sessions(folder)

        def nats(inputs: Any, labels: Any, sessions: Sessions = sessions) -> float:
            sessions.start(inputs, (inputs != 0).astype(np.int64))
            start = np.zeros((len(labels), 1), np.int64)
            logits = torch.from_numpy(sessions.go_on(np.concatenate([start, labels[:, :-1]], 1)))
            right = torch.from_numpy(labels).flatten()
            return F.cross_entropy(logits.flatten(0, 1), right, ignore_index=0, reduction="sum").item()

        bits[precision] = bits_per_byte(nats, tokenizer, texts).value
    print({name: round(value, 4) for name, value in bits.items()})
    assert 3.5 < sizes["float32"] / sizes["int8"] < 4.1
    assert bits["int8"] < bits["float32"] * 1.005
