"""The compiled step: eager losses, padding that changes none, and what happens where nothing compiles."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spanish_tok import Tokenizer
from spanish_tok.files import shipped
from spanish_tok.shards.reader import TokenArrays
from spanish_tok.shards.writer import shard
from spanish_tok.training.masks.seeds import seeds_of
from spanish_tok.training.pretrain_options import PretrainOptions
from spanish_tok.training.span_corruption import Batch
from spanish_tok.vocab.vocabulary import PAD

torch = pytest.importorskip("torch")

from spanish_tok.t5.config import T5Config  # noqa: E402
from spanish_tok.t5.model import T5  # noqa: E402
from spanish_tok.training.losses import loss_of  # noqa: E402
from spanish_tok.training.optimizers import autocast  # noqa: E402
from spanish_tok.training.pretraining.compiled_step import (  # noqa: E402
    BatchShape,
    CompiledStep,
    has_compiler,
    worth_compiling,
)
from spanish_tok.training.pretraining.loop import Pretraining  # noqa: E402

needs_a_compiler = pytest.mark.skipif(not has_compiler("cpu"), reason="there is no C++ compiler here")
SIZES = {"num_layers": 1, "num_decoder_layers": 1, "d_model": 32, "d_ff": 32, "num_heads": 2, "d_kv": 8}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def arrays(tokenizer: Tokenizer) -> TokenArrays:
    lines = shipped("corpus/sentences-es.txt").read_text(encoding="utf-8").splitlines()
    return shard(texts=[f"{k} {line}" for k in range(9) for line in lines], tokenizer=tokenizer).load()


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> PretrainOptions:
    folder = tmp_path_factory.mktemp("model")
    T5Config.spanish_tiny(**SIZES).to_json(folder / "config.json")
    return PretrainOptions(
        model=str(folder),
        steps=50,
        warmup=5,
        batch_size=4,
        input_length=48,
        validate_every=1000,
        validation_records=3,
        save_every=30,
        seed=3,
        compile="auto",
    )


def losses_of(training: Pretraining) -> list[float]:
    training.run()
    return [row.loss for row in training.log.rows]


def compiled_of(checkpoint: Path) -> bool:
    return bool(json.loads((checkpoint / "training.json").read_text(encoding="utf-8"))["compiled"])


def test_seeds_are_numpys() -> None:
    for seed, epoch, records in (
        (0, 0, [0]),
        (1, 2, range(300)),
        (1 << 40, 1 << 33, [0, (1 << 32) - 1, 17]),
        ((1 << 63) - 1, 0, [5, 1 << 32, (1 << 64) - 1]),
    ):
        sequences = (np.random.SeedSequence((seed, epoch, record)) for record in records)
        assert seeds_of(seed, epoch, records).tolist() == [
            int(one.generate_state(1, np.uint64)[0]) for one in sequences
        ]
    assert seeds_of(1, 1, []).tolist() == []


def test_padding_changes_neither_loss_nor_gradients() -> None:
    torch.manual_seed(0)
    model = T5(T5Config.spanish_tiny(**SIZES, dropout_rate=0.0)).train()
    random = np.random.default_rng(0)
    inputs, targets = random.integers(3, 4900, (3, 20)), random.integers(3, 4900, (3, 7))
    inputs[1, 12:], targets[2, 3:] = PAD, PAD
    batch = Batch(inputs, targets)
    padded = BatchShape(rows=5, inputs=24, targets=9).padded(batch)
    assert padded is not None
    assert (padded.inputs.shape, padded.targets.shape) == ((5, 24), (5, 9))
    plain = loss_of(model, batch)
    plain.backward()  # type: ignore[no-untyped-call]
    gradients = {name: one.grad.clone() for name, one in model.named_parameters() if one.grad is not None}
    model.zero_grad()
    ids, labels = torch.from_numpy(padded.inputs), torch.from_numpy(padded.labels)
    loss = model.loss_of_all(ids, labels, (ids != PAD).long())
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx(plain.item(), rel=1e-6)
    for name, parameter in model.named_parameters():
        assert torch.allclose(parameter.grad, gradients[name], atol=1e-6), name
    for shape in ((2, 24, 9), (5, 19, 9), (5, 24, 6)):
        assert BatchShape(*shape).padded(batch) is None


@needs_a_compiler
def test_its_losses_are_eager_ones_and_it_resumes(
    arrays: TokenArrays, tokenizer: Tokenizer, recipe: PretrainOptions, tmp_path: Path
) -> None:
    """The first 50 losses: 0.02 nats from eager float32's on average, 0.1 at most; a resumed run has the same ones."""
    compiled = replace(recipe, compile="on")
    eager = losses_of(Pretraining(*arrays, tokenizer, replace(recipe, precision="fp32"), tmp_path / "eager"))
    told: list[str] = []
    fast = losses_of(Pretraining(*arrays, tokenizer, compiled, tmp_path / "fast", tell=told.append))
    assert told == []
    differences = np.abs(np.array(eager) - fast)
    assert differences.mean() < 0.02
    assert 0 < differences.max() < 0.1
    assert compiled_of(tmp_path / "fast" / "checkpoint-0000050")
    assert not compiled_of(tmp_path / "eager" / "checkpoint-0000050")
    begun = Pretraining(*arrays, tokenizer, compiled, tmp_path / "half")
    for figures in begun.steps():
        if figures.step == 30:
            break
    resumed = Pretraining(*arrays, tokenizer, recipe, tmp_path / "half")  # "auto": as it began
    assert resumed.state.step == 30
    assert losses_of(resumed) == fast
    assert compiled_of(tmp_path / "half" / "checkpoint-0000050")


def test_where_nothing_compiles_it_is_said_once_and_losses_are_eager_ones(
    arrays: TokenArrays,
    tokenizer: Tokenizer,
    recipe: PretrainOptions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = replace(recipe, steps=8, warmup=2, dropout=0.1)
    eager = losses_of(Pretraining(*arrays, tokenizer, recipe, tmp_path / "eager"))

    def broken(*_: object, **__: object) -> object:
        def call(*_: object) -> None:
            torch.rand(3)  # what was drawn before the fault is given back
            raise RuntimeError("g++: fatal error: no input files")

        return call

    monkeypatch.setattr(torch, "compile", broken)
    told: list[str] = []
    begun = Pretraining(
        *arrays, tokenizer, replace(recipe, compile="on"), tmp_path / "fast", tell=told.append
    )
    assert losses_of(begun) == eager
    assert len(told) == 1
    assert "without compiling it" in told[0]
    assert "no input files" in told[0]
    assert not compiled_of(tmp_path / "fast" / "checkpoint-0000008")


def test_auto_compiles_long_trainings_where_a_compiler_is(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = BatchShape(rows=8, inputs=256, targets=103)
    long = PretrainOptions(compile="auto")
    short = replace(long, steps=1700)
    assert (long.steps * shape.tokens, short.steps * shape.tokens) == (17_232_000, 4_882_400)
    assert worth_compiling(short, shape, "cpu") is False
    assert worth_compiling(replace(short, compile="on"), shape, "cpu") is True
    assert worth_compiling(replace(long, compile="off"), shape, "cpu") is False
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}" if name == "mine++" else None)
    monkeypatch.delenv("CXX", raising=False)
    assert worth_compiling(long, shape, "cpu") is False
    monkeypatch.setenv("CXX", "mine++")
    assert worth_compiling(long, shape, "cpu") is True


def test_a_batch_that_does_not_fit_is_left_to_the_eager_step() -> None:
    model = T5(T5Config.spanish_tiny(**SIZES))
    step = CompiledStep(model, BatchShape(rows=1, inputs=4, targets=4), autocast("fp32", "cpu"))
    wide = Batch(np.full((1, 5), 7), np.full((1, 3), 9))
    assert step.differentiate(wide) is None
    assert step.fault is None
    assert all(parameter.grad is None for parameter in model.parameters())


def test_recipes_have_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert PretrainOptions.load("default") == PretrainOptions()
    assert PretrainOptions.load("gpu").batch_size == 256
    with pytest.raises(Exception, match="no recipe 'fast'"):
        PretrainOptions.load("fast")
