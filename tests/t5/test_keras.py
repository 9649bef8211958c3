"""KerasHub gives our answers in TensorFlow and JAX, before and after a fine-tuning: `make test-keras`.

KERAS_PYTHON names the interpreter of an environment that has it, as it cannot share one with everything here; arrays
go there and back as .npz files (keras_side.py).
"""

import copy
import importlib.util
import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

torch = pytest.importorskip("torch", reason="needs the extra t5")
h5py = pytest.importorskip("h5py", reason="needs the extra keras")

import spanish_tok as st  # noqa: E402
from spanish_tok import Generator, T5Config, Tokenizer, export  # noqa: E402
from spanish_tok.files import shipped  # noqa: E402
from spanish_tok.generation.prompts import Prompt  # noqa: E402
from spanish_tok.t5.checkpoint import Checkpoint  # noqa: E402
from spanish_tok.t5.model import T5  # noqa: E402
from spanish_tok.tasks.batches import padded  # noqa: E402
from spanish_tok.tasks.predictor import Predictor  # noqa: E402
from spanish_tok.tasks.scores import Evaluation, score  # noqa: E402
from spanish_tok.tasks.task import Task  # noqa: E402
from tests.conftest import TOP  # noqa: E402
from tests.prompts import TEXTS, WORDS, prompts  # noqa: E402
from tests.t5.test_keras_preset import GATED, saved  # noqa: E402

KERAS_PYTHON = os.environ.get("KERAS_PYTHON", "")
BACKENDS = pytest.mark.parametrize("backend", ["tensorflow", "jax"])
# Adam's. At higher rates rounding alone gives another writer of summaries. The betas are near 0.9 and 0.999, which
# Keras rounds to float32 in TensorFlow, even in float64.
RATES = {"law-rank": 3e-4, "packages": 5e-5}
BETAS = 29 / 32, 1023 / 1024
pytestmark = pytest.mark.skipif(
    not KERAS_PYTHON, reason="KerasHub has an environment of its own: make test-keras"
)


@pytest.fixture(scope="module")
def preset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped model."""
    return export(output=tmp_path_factory.mktemp("keras") / "preset", to="keras")


@pytest.fixture(scope="module")
def model() -> Any:
    torch.set_num_threads(1)
    return T5.load(shipped("models/es-tiny"))


@pytest.fixture
def ask(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Ask KerasHub for something: arrays there, arrays back."""

    def asked(backend: str, job: str, folder: Path, *others: Any, **arrays: Any) -> dict[str, Any]:
        np.savez(tmp_path / "in.npz", **arrays)
        command = [KERAS_PYTHON, TOP / "tests/t5/keras_side.py", job, folder, tmp_path / "in.npz"]
        environment = {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(TOP)}
        done = subprocess.run(
            [*map(str, command), str(tmp_path / "out.npz"), *map(str, others)],
            capture_output=True,
            text=True,
            env={**os.environ, **environment},
        )
        assert done.returncode == 0, done.stderr[-3000:]
        with np.load(tmp_path / "out.npz") as file:
            return dict(file)

    return asked


def keras_inputs(rows: list[list[int]], written: Any) -> dict[str, Any]:
    """Ids as KerasHub takes them, padded; `written`: (rows, steps) of what the decoder reads."""
    ids = padded([tuple(row) for row in rows], 0).astype(np.int32)
    return {
        "encoder_token_ids": ids,
        "encoder_padding_mask": (ids != 0).astype(np.int32),
        "decoder_token_ids": written.astype(np.int32),
        "decoder_padding_mask": np.ones_like(written, np.int32),
    }


def greedy(backend: str, rows: list[list[int]], steps: int, folder: Path, ask: Any) -> list[list[int]]:
    """Return what KerasHub writes, `</s>` left out."""
    start = np.zeros((len(rows), steps + 1), np.int32)
    given = keras_inputs(rows, start)
    given["decoder_padding_mask"][:, 1:] = 0
    found = ask(backend, "greedy", folder, **given)["ids"][:, 1:].tolist()
    return [row[: row.index(1)] if 1 in row else row for row in found]


@pytest.fixture(scope="module")
def real(corpus: pa.ChunkedArray) -> list[list[int]]:
    """200 real inputs of several lengths with a gap at the end."""
    tokenizer = Tokenizer.load(shipped("models/es-tiny"))
    texts = [corpus[n * 997].as_py()[:300] for n in range(200)]
    return [
        [*tokenizer.encode(text)[: 10 + n % 50], tokenizer.vocabulary.sentinel_id(0), 1]
        for n, text in enumerate(texts)
    ]


@BACKENDS
def test_logits_and_greedy_ids_of_real_records(
    backend: str, real: list[list[int]], preset: Path, model: Any, ask: Any
) -> None:
    ours = [
        list(one.ids)
        for one in Generator.load(shipped("models/es-tiny"), "torch").write_ids(
            real, st.GenerateOptions(max_new_tokens=12)
        )
    ]
    written = padded([(0, *ids) for ids in ours], 0)
    given = keras_inputs(real, written)
    tensors = [torch.from_numpy(given[name]).long() for name in list(given)[:3]]
    exact = copy.deepcopy(
        model
    ).double()  # PyTorch's own rounding in float32 comes to half of what is allowed
    with torch.no_grad():
        expected = exact(tensors[0], attention_mask=tensors[1], decoder_input_ids=tensors[2]).numpy()
        in_float32 = model(tensors[0], attention_mask=tensors[1], decoder_input_ids=tensors[2]).numpy()
    found = ask(backend, "logits", preset, **given)["logits"]
    apart, from_float32 = (np.abs(found - logits).max() for logits in (expected, in_float32))
    print(f"{backend}: logits at most {apart:.1e} from PyTorch's in float64, {from_float32:.1e} in float32")
    assert apart < 1e-4
    theirs = greedy(backend, real, 12, preset, ask)
    different = [n for n in range(len(real)) if theirs[n] != ours[n]]
    print(f"{backend}: {len(real) - len(different)} of {len(real)} greedy outputs equal")
    for n in different:  # nothing but ties
        place = next(k for k in range(13) if theirs[n][k : k + 1] != ours[n][k : k + 1])
        best = np.sort(expected[n, place])[-2:]
        assert best[1] - best[0] < 1e-4, (n, place)


@BACKENDS
def test_gaps_are_filled_as_by_generate(backend: str, preset: Path, ask: Any) -> None:
    generator = Generator.load(shipped("models/es-tiny"))
    parsed = [Prompt.parse(text, generator.tokenizer) for text in prompts(50)]
    written = greedy(backend, [prompt.ids for prompt in parsed], 16, preset, ask)
    for text, prompt, ids in zip(prompts(50), parsed, written, strict=True):
        assert prompt.fill(ids) == generator.fill(text, max_new_tokens=16), text


@BACKENDS
def test_gated_and_untied(backend: str, tmp_path: Path, ask: Any) -> None:
    folder = saved(tmp_path / "model", 1, 2, **GATED)
    rows = [[20, 31, 400, 1], [7, 1]]
    given = keras_inputs(rows, np.array([[0, 30, 44], [0, 50, 60]]))
    tensors = [torch.from_numpy(given[name]).long() for name in list(given)[:3]]
    with torch.no_grad():
        expected = T5.load(folder)(tensors[0], attention_mask=tensors[1], decoder_input_ids=tensors[2])
    found = ask(backend, "logits", export(folder, tmp_path / "preset", to="keras"), **given)["logits"]
    assert np.abs(found - expected.numpy()).max() < 1e-4


def test_both_tokenizers_give_our_ids(preset: Path, ask: Any, corpus: pa.ChunkedArray) -> None:
    """All texts but those with NUL, which other libraries end at."""
    texts = [*TEXTS, *WORDS, "", " ", *(corpus[n * 331].as_py()[:400] for n in range(500))]
    texts = [text for text in texts if "\0" not in text]
    found = ask("tensorflow", "tokenize", preset, texts=np.array(texts))
    tokenizer = Tokenizer.load(shipped("models/es-tiny"))  # the model's own vocabulary
    for way in ("inside", "outside"):
        ends = np.cumsum(found[f"{way}_lengths"])[:-1]
        rows = [row.tolist() for row in np.split(found[way], ends)]
        assert rows == [tokenizer.encode(text) for text in texts], way


def example() -> Any:
    """The functions of examples/finetune_keras.py."""
    spec = importlib.util.spec_from_file_location("finetune_keras", TOP / "examples/finetune_keras.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def trained_by_torch(
    start: Checkpoint,
    batches: list[dict[str, Any]],
    folder: Path,
    rate: float,
    epsilon: float,
    precision: str,
    bit: bool,
) -> list[float]:
    """Train with plain Adam, as the example does in Keras; save the model, return the losses.

    Keras adds epsilon before it corrects the bias of the mean square, torch after it. bit: one weight is another
    in its last bit from the start on, which shows what rounding alone comes to.
    """
    network: Any = T5.from_tensors(replace(start.config, dropout_rate=0.0), start.tensors)
    network.to(getattr(torch, precision))
    if bit:
        weight = network.get_parameter("encoder.block.0.layer.0.SelfAttention.q.weight").detach()
        weight[0, 0] = torch.nextafter(weight[0, 0], weight[0, 0] + 1)
    optimizer = torch.optim.Adam(network.parameters(), rate, BETAS)
    losses = []
    for step, batch in enumerate(batches, 1):
        optimizer.param_groups[0]["eps"] = epsilon / (1 - BETAS[1] ** step) ** 0.5
        inputs, mask, labels = (torch.from_numpy(batch[name]).long() for name in ("inputs", "mask", "labels"))
        optimizer.zero_grad()
        loss = network.loss(inputs, labels, mask)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    network.save(folder, start.vocabulary)
    return losses


@pytest.mark.parametrize(
    ("task", "precision"), [("law-rank", "float32"), ("packages", "float32"), ("packages", "float64")]
)
def test_a_fine_tuned_model_gives_the_same_answers(
    task: str, precision: str, shared: Path, preset: Path, tmp_path: Path, ask: Any
) -> None:
    """200 steps of the same batches in PyTorch, TensorFlow and JAX; the first 100 losses are compared.

    At least 95 % of the answers are equal; a change of one weight in its last bit shows what rounding alone comes to.
    LOSSES names a folder for the losses, as .npz.
    """
    finetune_keras = example()
    source = {"law-rank": "summaries-law-es", "packages": "summaries-packages-es"}[task]
    model = export(output=tmp_path / "start", to="transformers")
    loaded = Task.load(TOP / f"benchmarks/tasks/{task}.toml")
    data = finetune_keras.read_data(str(shared / f"tasks/{source}.parquet"), loaded, model, held_out=0.2)
    feed = finetune_keras.batches(data.parts.training, 8)
    batches = [next(feed) for _ in range(200)]
    arrays = {f"{name}_{k}": array for k, batch in enumerate(batches) for name, array in batch.items()}
    start, rate = Checkpoint.load(model), RATES[task]
    losses: dict[str, list[float]] = {}
    for name in ("torch", "one bit"):
        losses[name] = trained_by_torch(
            start, batches, tmp_path / name, rate, finetune_keras.EPSILON, precision, bit=name == "one bit"
        )
    arrays |= {"rate": np.array(rate), "betas": np.array(BETAS), "precision": np.array(precision)}
    for backend in ("tensorflow", "jax"):
        new = tmp_path / f"{backend}-preset"
        losses[backend] = ask(backend, "fit", preset, new, **arrays)["losses"].tolist()
        export(new, tmp_path / backend, to="transformers", source="keras")
        assert T5Config.from_json(tmp_path / backend / "config.json").num_decoder_layers == 3
    if folder := os.environ.get("LOSSES"):
        rows: dict[str, Any] = {name: np.array(row) for name, row in losses.items()}
        np.savez(Path(folder) / f"{task}-{precision}.npz", **rows)
    held_out = data.parts.held_out[:200]
    answers, scores = {}, {}
    for name in losses:
        data.bundle.save(tmp_path / name)
        predictor = Predictor.load(tmp_path / name)
        answers[name] = [prediction.text for prediction in predictor.predict_examples(held_out)]
        scores[name] = score(data.bundle.task, held_out, answers[name], data.bundle.labels).value
    print(
        f"{task}, {precision}: {data.bundle.task.metric}", {name: round(scores[name], 4) for name in scores}
    )
    figures = {}
    for name in ("one bit", "tensorflow", "jax"):
        apart = np.abs(np.array(losses[name][:100]) - losses["torch"][:100]).mean()
        equal = np.mean([one == other for one, other in zip(answers[name], answers["torch"], strict=True)])
        figures[name] = apart, equal
        print(f"{task}, {precision}, {name}: losses {apart:.1e} nats apart, {equal:.1%} equal answers")
    for name in ("tensorflow", "jax"):
        assert figures[name][0] < 0.02
        assert figures[name][1] >= 0.95
        assert abs(scores[name] - scores["torch"]) <= 0.01


def record(number: int) -> dict[str, str]:
    """Return a record with the fields of the three tasks that come with the package."""
    kind = ["deporte", "comida"][number % 2]
    text = f"La noticia {number} de {kind} la contaron {number + 2} vecinos."
    question = {"question": "¿Cuántos vecinos?", "context": text, "answer": f"{number + 2} vecinos"}
    return {"text": text, "label": kind, "summary": f"noticia de {kind}", **question}


@BACKENDS
@pytest.mark.parametrize("task", ["classification", "summarization", "question-answering"])
def test_the_example_writes_a_model_that_evaluate_scores(backend: str, task: str, tmp_path: Path) -> None:
    records = tmp_path / "records.jsonl"
    records.write_text("".join(json.dumps(record(n)) + "\n" for n in range(24)))
    model, output = saved(tmp_path / "model"), tmp_path / "output"
    options = {
        "backend": backend,
        "task": task,
        "model": model,
        "output": output,
        "steps": 4,
        "batch-size": 4,
    }
    words = [f"--{name}={value}" for name, value in options.items()]
    command = [KERAS_PYTHON, str(TOP / "examples/finetune_keras.py"), str(records), *words]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(TOP)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "loss of the first" in done.stdout
    before, after = Checkpoint.load(model), Checkpoint.load(output)
    assert after.config.num_decoder_layers == before.config.num_decoder_layers
    assert not np.array_equal(after.tensors["shared.weight"], before.tensors["shared.weight"])
    found = st.evaluate(records, model=output, part="held-out")
    assert isinstance(found, Evaluation)
    assert found.records > 0
    print(f"{backend}, {task}: {found.metric} {found.value:.3f} of {found.records} records")
