"""Pretraining: it learns, resumes exactly after a SIGKILL, and stops with a clear message where it cannot go on."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import spanish_tok as st
from spanish_tok import SpanishTokError, Tokenizer
from spanish_tok.files import shipped
from spanish_tok.options import changed
from spanish_tok.shards.reader import TokenArrays, load_shards
from spanish_tok.t5.checkpoint import Checkpoint
from spanish_tok.training.held_out import split
from spanish_tok.training.pretrain_options import PretrainOptions
from spanish_tok.training.span_corruption import SpanCorruption
from spanish_tok.training.state import newest_checkpoint
from spanish_tok.vocab.counts.runs import count_runs
from spanish_tok.vocab.vocabulary import EOS

torch = pytest.importorskip("torch")

from spanish_tok.t5.model import T5  # noqa: E402
from spanish_tok.training.log import PretrainStep, read_log  # noqa: E402
from spanish_tok.training.optimizers import (  # noqa: E402
    ScaledAdamW,
    ScaledMuon,
    autocast,
    optimizer_for,
    orthogonal,
)
from spanish_tok.training.pretraining.loop import Pretraining  # noqa: E402
from spanish_tok.training.start import config_of, model_of  # noqa: E402

SMALL = changed(
    PretrainOptions,
    None,
    {
        "steps": "12",
        "warmup": "2",
        "batch_size": "2",
        "input_length": "48",
        "held_out": "0.1",
        "dropout": "0.1",  # so that the random state matters
        "save_every": "4",
        "validate_every": "6",
        "validation_records": "5",
        "seed": "3",
    },
)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped sentences, three times over with numbers, as token shards."""
    folder = tmp_path_factory.mktemp("shards")
    lines = shipped("corpus/sentences-es.txt").read_text(encoding="utf-8").splitlines()
    texts = [f"{k} {line}" for k in range(3) for line in lines]
    pq.write_table(
        pa.table({"id": [str(i) for i in range(len(texts))], "text": texts}), folder / "es.parquet"
    )
    st.shard([folder / "es.parquet"], folder / "tokens")
    return folder / "tokens"


@pytest.fixture(scope="module")
def arrays(shards: Path) -> TokenArrays:
    return load_shards(shards)


@pytest.fixture(scope="module")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with the config.json of a model that is quick to train."""
    from spanish_tok.t5.config import T5Config

    folder = tmp_path_factory.mktemp("model")
    T5Config.spanish_tiny(
        num_layers=1, num_decoder_layers=1, d_model=32, d_ff=32, num_heads=2, d_kv=8
    ).to_json(folder / "config.json")
    return str(folder)


def trained(arrays: TokenArrays, tokenizer: Tokenizer, recipe: PretrainOptions, folder: Path) -> Pretraining:
    return Pretraining(*arrays, tokenizer, recipe, folder)


def losses(folder: Path) -> list[tuple[int, float, float, float | None]]:
    return [
        (row.step, row.loss, row.gradient_norm, row.bits_per_byte)
        for row in read_log(folder / "log.csv", PretrainStep)
    ]


@pytest.fixture(scope="module")
def uninterrupted(
    arrays: TokenArrays, tokenizer: Tokenizer, small_model: str, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("run") / "whole"
    trained(arrays, tokenizer, replace(SMALL, model=small_model), folder).run()
    return folder


def test_a_run_writes_log_curve_and_model(uninterrupted: Path) -> None:
    rows = read_log(uninterrupted / "log.csv", PretrainStep)
    assert [row.step for row in rows] == list(range(1, 13))
    assert all(math.isfinite(row.loss) and row.gradient_norm > 0 for row in rows)
    assert [row.step for row in rows if row.bits_per_byte is not None] == [6, 12]
    assert rows[-1].learning_rate < rows[5].learning_rate
    names = sorted(path.name for path in uninterrupted.iterdir())
    assert names == ["checkpoint-0000008", "checkpoint-0000012", "log.csv", "loss.png", "loss.svg"]
    assert T5.load(uninterrupted / "checkpoint-0000012").config.d_model == 32
    assert Tokenizer.load(uninterrupted / "checkpoint-0000012").vocab_size == 5000


def test_killed_and_resumed_its_losses_are_those_of_an_uninterrupted_run(
    shards: Path, small_model: str, uninterrupted: Path, tmp_path: Path
) -> None:
    output = tmp_path / "run"
    entries = {**vars(SMALL), "model": small_model}
    changes = [option for name, value in entries.items() for option in ("--set", f"{name}={value}")]
    command = [sys.executable, "-m", "spanish_tok", "pretrain", str(shards), "--output", str(output)]
    command += ["--threads", "1", *changes]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while not (output / "checkpoint-0000004").exists():
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    newest = newest_checkpoint(output)
    assert newest is not None
    assert not (output / "loss.png").exists()
    left = output / "..checkpoint-0000008.partial.1.partial"  # by a kill within the saving of a vocabulary
    left.mkdir()
    (left / "spiece.model").write_bytes(b"half")
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "12 steps" in finished.stdout
    assert losses(output) == losses(uninterrupted)
    assert list(output.glob(".*")) == []


def test_ctrl_c_saves_a_checkpoint(
    arrays: TokenArrays, tokenizer: Tokenizer, small_model: str, uninterrupted: Path, tmp_path: Path
) -> None:
    recipe = replace(SMALL, model=small_model)
    interrupted = trained(arrays, tokenizer, recipe, tmp_path)

    class Interrupting:
        steps = 0

        def advance(self, amount: float = 1) -> None:
            self.steps += int(amount)
            if self.steps == 5:
                raise KeyboardInterrupt

        def note(self, text: str) -> None:
            assert "tokens/s" in text

    with pytest.raises(
        KeyboardInterrupt, match=r"5 steps are saved in .*0000005\. Repeat the call: it resumes"
    ):
        interrupted.run(Interrupting())  # type: ignore[arg-type]
    assert newest_checkpoint(tmp_path) == tmp_path / "checkpoint-0000005"
    last = trained(arrays, tokenizer, recipe, tmp_path)
    with (
        patch.object(last.log, "draw", side_effect=KeyboardInterrupt),
        pytest.raises(KeyboardInterrupt, match="12 steps are saved"),
    ):
        last.run()
    trained(arrays, tokenizer, recipe, tmp_path).run()
    assert losses(tmp_path) == losses(uninterrupted)
    assert (tmp_path / "loss.png").exists()


def test_a_half_written_checkpoint_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-0000004").mkdir()
    (tmp_path / ".checkpoint-0000008.partial").mkdir()
    assert newest_checkpoint(tmp_path) == tmp_path / "checkpoint-0000004"


def test_another_recipe_or_vocabulary_is_refused(
    arrays: TokenArrays, tokenizer: Tokenizer, small_model: str, uninterrupted: Path
) -> None:
    recipe = replace(SMALL, model=small_model)
    with pytest.raises(SpanishTokError, match="differs in batch_size, learning_rate"):
        trained(arrays, tokenizer, replace(recipe, learning_rate=0.5, batch_size=3), uninterrupted)
    fewer = TokenArrays(arrays.ids, arrays.offsets[:-3])
    with pytest.raises(SpanishTokError, match="differs in records"):
        trained(fewer, tokenizer, recipe, uninterrupted)
    assert trained(arrays, tokenizer, replace(recipe, steps=20), uninterrupted).state.step == 12


def test_a_damaged_checkpoint_is_refused(
    arrays: TokenArrays, tokenizer: Tokenizer, small_model: str, tmp_path: Path
) -> None:
    recipe = replace(SMALL, model=small_model, steps=3)
    training = trained(arrays, tokenizer, recipe, tmp_path)
    training.run()
    final = training.save()
    os.truncate(final / "optimizer.safetensors", 1000)
    with pytest.raises(SpanishTokError, match=r"optimizer\.safetensors"):
        trained(arrays, tokenizer, recipe, tmp_path)


def test_a_full_disk_leaves_the_last_checkpoint(
    arrays: TokenArrays,
    tokenizer: Tokenizer,
    small_model: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from spanish_tok.training import state as training_state

    training = trained(arrays, tokenizer, replace(SMALL, model=small_model), tmp_path)
    steps = training.steps()
    for _ in range(7):
        next(steps)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(training_state, "write_tensors", full)
    with pytest.raises(OSError, match="No space left"):
        next(steps)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint-0000004",
        "checkpoint-0000006",
        "log.csv",
    ]
    monkeypatch.undo()  # step 6 has the best held-out loss, and is kept for that
    assert trained(arrays, tokenizer, replace(SMALL, model=small_model), tmp_path).state.step == 6


def test_it_learns_and_a_flat_loss_stops_it(
    arrays: TokenArrays,
    tokenizer: Tokenizer,
    small_model: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("spanish_tok.training.pretraining.loop.FLAT_AFTER", 60)
    recipe = replace(SMALL, model=small_model, steps=60, save_every=100, validate_every=100, dropout=0.0)
    learning = trained(arrays, tokenizer, recipe, tmp_path / "learning")
    rows = list(learning.steps())
    assert rows[0].loss == pytest.approx(math.log(5000), abs=0.7)
    assert np.mean([row.loss for row in rows[-10:]]) < rows[0].loss - 1
    flat = replace(recipe, learning_rate=1e-9)
    with pytest.raises(SpanishTokError, match=r"did not fall in 60 steps.*learning rate"):
        list(trained(arrays, tokenizer, flat, tmp_path / "flat").steps())


def test_a_nan_stops_it(arrays: TokenArrays, tokenizer: Tokenizer, small_model: str, tmp_path: Path) -> None:
    training = trained(arrays, tokenizer, replace(SMALL, model=small_model), tmp_path)
    with torch.no_grad():
        training.model.shared.weight[tokenizer.sentinel_id(0)] = math.nan
    with pytest.raises(SpanishTokError, match="step 1 the loss is nan"):
        list(training.steps())


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        ("learning_rate", "0", "must be greater than 0 to learn"),
        ("learning_rate", "viel", "is not a number"),
        ("optimizer", "sgd", "is not one of adamw, muon, adafactor"),
        ("warmup", "99999", "must be below steps"),
        ("schritte", "3", "has no 'schritte'"),
        ("held_out", "1", "from 0 to below 1"),
        ("precision", "fp16", "is not one of auto, bf16, fp32"),
        ("spans", "0", "add up to 0"),
        ("prefix", "-1", "must be 0 or more"),
        ("gap_sentences", "nan", "gap_sentences"),
        ("long_spans", "inf", "add up to inf"),
    ],
)
def test_impossible_recipes_are_refused(entry: str, value: str, message: str) -> None:
    with pytest.raises(SpanishTokError, match=message):
        PretrainOptions().with_strings([f"{entry}={value}"])


def test_a_recipe_with_an_unknown_or_missing_entry_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text("steps = 400\naim_attention = false\n", encoding="utf-8")
    loaded = PretrainOptions.load(path)
    assert (loaded.steps, loaded.locality_init, loaded.warmup) == (400, False, 300)
    path.write_text("schritte = 3\n", encoding="utf-8")
    with pytest.raises(SpanishTokError, match="has no 'schritte'"):
        PretrainOptions.load(path)
    path.write_text("steps = \n", encoding="utf-8")
    with pytest.raises(SpanishTokError, match="not valid TOML"):
        PretrainOptions.load(path)
    with pytest.raises(SpanishTokError, match="neither a preset nor a folder"):
        config_of(replace(SMALL, model="huge"), 5000)


def test_schedules_rise_then_fall_to_zero() -> None:
    for schedule in ("inverse-square-root", "cosine"):
        recipe = changed(PretrainOptions, None, {"schedule": schedule, "steps": 1000, "warmup": 100})
        rates = [recipe.learning_rate_at(step) for step in range(1000)]
        assert rates[99] == max(rates) == recipe.learning_rate
        assert all(0 < later < earlier for earlier, later in pairwise(rates[99:]))
        assert rates[-1] < recipe.learning_rate / 100
        assert rates[:99] == sorted(rates[:99])


def test_the_scaled_step_is_in_proportion_to_the_matrix() -> None:
    """The first step of AdamW is its learning rate; here times the root mean square of the parameter."""
    matrices = [torch.nn.Parameter(torch.full((4, 4), size)) for size in (1.0, 0.05, 0.0)]
    optimizer = ScaledAdamW(matrices, lr=0.01)
    for matrix in matrices:
        matrix.grad = torch.full((4, 4), 3.0)
    before = [matrix.detach().clone() for matrix in matrices]
    optimizer.step()
    moved = [float((old - new).max().detach()) for old, new in zip(before, matrices, strict=True)]
    assert moved == pytest.approx([0.01, 0.0005, 0.00001], rel=1e-3)


def test_muon_is_torchs_with_one_group_a_matrix() -> None:
    torch.manual_seed(0)
    first = torch.randn(24, 40) * 0.3
    ours, theirs = (torch.nn.Parameter(first.clone()) for _ in range(2))
    size = first.square().mean().sqrt().item()
    mine = ScaledMuon([{"params": [ours], "orthogonal": True}], lr=0.02, weight_decay=0.1)
    reference = torch.optim.Muon(
        [theirs], lr=0.02 * size / 0.2, weight_decay=0.1 * 0.2 / size, adjust_lr_fn="match_rms_adamw"
    )
    for seed in range(5):
        torch.manual_seed(seed)
        ours.grad = torch.randn(24, 40)
        theirs.grad = ours.grad.clone()
        mine.step()
        reference.step()
    assert torch.allclose(ours, theirs, atol=2e-3 * size)
    assert (ours - first).abs().max() > 0.05 * size


def test_matrices_of_one_shape_are_made_orthogonal_at_once_as_one_by_one() -> None:
    torch.manual_seed(0)
    for shape in ((7, 24, 40), (7, 40, 24), (1, 32, 32)):
        matrices = torch.randn(shape) * torch.rand(shape[0], 1, 1)
        for together, alone in zip(orthogonal(matrices), matrices, strict=True):
            assert torch.allclose(together, orthogonal(alone), atol=0.01)
            values = torch.linalg.svdvals(together)
            assert values.min() > 0.5
            assert values.max() < 1.4


def test_muon_trains_and_resumes_with_its_first_sizes(
    arrays: TokenArrays, tokenizer: Tokenizer, small_model: str, tmp_path: Path
) -> None:
    recipe = replace(SMALL, model=small_model, optimizer="muon", learning_rate=0.015, weight_decay=0.02)
    whole = Pretraining(*arrays, tokenizer, recipe, tmp_path / "whole")
    whole.run()
    groups = whole.optimizer.param_groups
    assert sum(bool(group.get("orthogonal")) for group in groups) > 10
    half = Pretraining(*arrays, tokenizer, replace(recipe, steps=8), tmp_path / "half")
    schedule = recipe.learning_rate_at
    half.learning_rate = lambda: schedule(half.state.step)  # type: ignore[method-assign]
    half.run()
    resumed = Pretraining(*arrays, tokenizer, recipe, tmp_path / "half")
    assert resumed.state.step == 8
    resumed.run()
    assert [row.loss for row in resumed.log.rows] == [row.loss for row in whole.log.rows]


def test_a_mixture_of_denoisers_trains_and_resumes(
    arrays: TokenArrays, tokenizer: Tokenizer, small_model: str, tmp_path: Path
) -> None:
    recipe = replace(SMALL, model=small_model, steps=8, recurring_spans=1.0, prefix=1.0, gap_sentences=0.5)
    trained(arrays, tokenizer, recipe, tmp_path / "whole").run()
    half = trained(arrays, tokenizer, recipe, tmp_path / "half")
    for figures in half.steps():
        if figures.step == 4:
            break
    half.save()
    resumed = trained(arrays, tokenizer, recipe, tmp_path / "half")
    assert resumed.state.step == 4
    resumed.run()
    assert losses(tmp_path / "half") == losses(tmp_path / "whole")
    with pytest.raises(SpanishTokError, match="differs in prefix"):
        trained(arrays, tokenizer, replace(recipe, prefix=2.0), tmp_path / "half")


def test_spans_alone_are_the_batches_of_every_version(
    arrays: TokenArrays, tokenizer: Tokenizer, small_model: str, tmp_path: Path
) -> None:
    recipe = replace(SMALL, model=small_model)
    plain, heavier, mixed = (
        trained(arrays, tokenizer, one, tmp_path / str(number))
        for number, one in enumerate([recipe, replace(recipe, spans=3.0), replace(recipe, prefix=1.0)])
    )
    corruption = SpanCorruption.of(tokenizer.vocabulary, rate=0.25, mean_span=3.0, seed=3)
    assert plain.batches.corruption == heavier.batches.corruption == corruption
    assert mixed.batches.corruption != corruption
    assert mixed.validation
    assert mixed.validation.batches.corruption == corruption  # losses of recipes can be compared


def test_more_steps_of_wsd_resume_before_the_fall(
    arrays: TokenArrays, tokenizer: Tokenizer, small_model: str, tmp_path: Path
) -> None:
    recipe = replace(SMALL, model=small_model, schedule="wsd", cooldown=0.5, keep=1, steps=10)
    rates = [recipe.learning_rate_at(step) / recipe.learning_rate for step in range(10)]
    assert rates == pytest.approx([0.5, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2])
    short = Pretraining(*arrays, tokenizer, recipe, tmp_path / "a")
    short.run()
    names = sorted(path.name for path in (tmp_path / "a").glob("checkpoint-*"))
    assert names == ["checkpoint-0000005", "checkpoint-0000010"]
    longer = replace(recipe, steps=14)
    resumed = Pretraining(*arrays, tokenizer, longer, tmp_path / "a")
    assert resumed.state.step == 5
    resumed.run()
    planned = Pretraining(*arrays, tokenizer, longer, tmp_path / "b")
    planned.run()
    assert [row.loss for row in resumed.log.rows] == [row.loss for row in planned.log.rows]
    assert resumed.newest().name == planned.newest().name == "checkpoint-0000014"
    assert (tmp_path / "a" / "checkpoint-0000007").exists()


class Faulty(Pretraining):
    """A training with planted faults: batches whose loss is no number, steps whose held-out loss is far off."""

    bad_batches: frozenset[int] = frozenset()
    far_steps: tuple[int, ...] = ()

    def __init__(
        self, arrays: TokenArrays, tokenizer: Tokenizer, recipe: PretrainOptions, folder: Path
    ) -> None:
        self.taken: list[int] = []
        self.told: list[str] = []
        super().__init__(*arrays, tokenizer, recipe, folder, tell=self.told.append)

    def next_batch(self) -> Any:
        self.taken.append(self.state.step + self._passed_over)
        return super().next_batch()

    def loss(self, batch: Any) -> Any:
        return super().loss(batch) * (math.nan if self.taken[-1] in self.bad_batches else 1)

    def validate(self, figures: PretrainStep) -> None:
        super().validate(figures)
        assert figures.validation_loss
        figures.validation_loss = (
            9 - figures.step / 10 + (figures.step in self.far_steps and not self.returns)
        )


@pytest.mark.parametrize("fault", ["no number", "far"])
def test_after_a_fault_it_goes_on_from_the_best_state_behind_it(
    arrays: TokenArrays, tokenizer: Tokenizer, small_model: str, tmp_path: Path, fault: str
) -> None:
    class Planted(Faulty):
        bad_batches = frozenset([10]) if fault == "no number" else frozenset()
        far_steps = () if fault == "no number" else (9,)

    recipe = replace(SMALL, model=small_model, validate_every=3, save_every=4, keep=1, steps=14)
    training = Planted(arrays, tokenizer, recipe, tmp_path)
    training.run()
    step, back, why = (
        (11, 9, "At step 11 the loss is nan") if fault == "no number" else (9, 6, "held-out loss is 9.1")
    )
    last = 10 if fault == "no number" else 8
    assert training.taken == [*range(last + 1), *range(last + 1, last + 15 - back)]
    (one,) = training.returns
    assert (one["step"], one["back_to"]) == (step, back)
    assert why in one["why"]
    assert why in training.told[0]
    assert f"back to step {back}" in training.told[0]
    rows = training.log.rows
    assert [row.step for row in rows] == list(range(1, 15))
    halved = [row.learning_rate / recipe.learning_rate_at(row.step - 1) for row in rows]
    assert halved == pytest.approx([1.0] * back + [0.5] * (14 - back))
    notes = json.loads((tmp_path / "checkpoint-0000014" / "training.json").read_text(encoding="utf-8"))
    assert notes["returns"] == training.returns
    again = Pretraining(*arrays, tokenizer, replace(recipe, steps=16), tmp_path)
    assert again.returns == training.returns
    assert again.learning_rate() == again.options.learning_rate_at(14) / 2


def test_a_resumed_run_remembers_where_it_returned(
    arrays: TokenArrays, tokenizer: Tokenizer, small_model: str, tmp_path: Path
) -> None:
    class Planted(Faulty):
        bad_batches = frozenset([7])

    recipe = replace(SMALL, model=small_model, validate_every=3, save_every=2, steps=12)
    whole = Planted(arrays, tokenizer, recipe, tmp_path / "whole")
    whole.run()
    half = Planted(arrays, tokenizer, recipe, tmp_path / "half")
    for _ in half.steps():
        if half.returns:
            break
    resumed = Planted(arrays, tokenizer, recipe, tmp_path / "half")
    assert (resumed.state.step, resumed.returns) == (6, whole.returns)  # the later ones of the fault are gone
    resumed.run()
    assert losses(tmp_path / "half") == losses(tmp_path / "whole")


def test_four_faults_are_too_many(
    arrays: TokenArrays, tokenizer: Tokenizer, small_model: str, tmp_path: Path
) -> None:
    class Planted(Faulty):
        bad_batches = frozenset([7, 9, 11, 12])

    recipe = replace(SMALL, model=small_model, validate_every=3, save_every=4)
    training = Planted(arrays, tokenizer, recipe, tmp_path)
    with pytest.raises(SpanishTokError, match="the loss is nan"):
        training.run()
    assert len(training.returns) == 3
    assert len(training.told) == 3


def test_the_last_weights_are_averaged(
    arrays: TokenArrays, tokenizer: Tokenizer, small_model: str, tmp_path: Path
) -> None:
    recipe = replace(SMALL, model=small_model, average=0.4, steps=12, save_every=10)
    training = Pretraining(*arrays, tokenizer, recipe, tmp_path / "whole")
    sums: dict[str, Any] = {}
    for figures in training.steps():
        if figures.step > 7:
            for name, tensor in training.model.state_dict().items():
                sums[name] = sums.get(name, 0) + tensor.double() / 5
    training.finish()
    averaged = T5.load(tmp_path / "whole" / "averaged").state_dict()
    assert all(torch.allclose(averaged[name].double(), total, atol=1e-6) for name, total in sums.items())
    last = T5.load(tmp_path / "whole" / "checkpoint-0000012").state_dict()
    assert not torch.equal(last["shared.weight"], averaged["shared.weight"])
    half = Pretraining(*arrays, tokenizer, recipe, tmp_path / "half")
    for figures in half.steps():
        if figures.step == 11:
            break
    resumed = Pretraining(*arrays, tokenizer, recipe, tmp_path / "half")
    assert resumed.state.step == 10
    resumed.run()
    assert resumed.newest() == tmp_path / "half" / "averaged"
    again = T5.load(resumed.newest()).state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in averaged.items())
    Pretraining(*arrays, tokenizer, recipe, tmp_path / "half").run()  # a finished one writes it again


def test_more_steps_of_wsd_resume_before_what_is_averaged(
    arrays: TokenArrays, tokenizer: Tokenizer, small_model: str, tmp_path: Path
) -> None:
    recipe = replace(SMALL, model=small_model, schedule="wsd", cooldown=0.2, average=0.5, keep=1, steps=10)
    Pretraining(*arrays, tokenizer, recipe, tmp_path / "a").run()
    longer = replace(recipe, steps=14)
    resumed = Pretraining(*arrays, tokenizer, longer, tmp_path / "a")
    assert resumed.state.step == 5
    resumed.run()
    Pretraining(*arrays, tokenizer, longer, tmp_path / "b").run()
    weights = [T5.load(tmp_path / name / "averaged").state_dict() for name in "ab"]
    assert all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())


def test_biases_of_positions_take_steps_like_embeddings() -> None:
    model = torch.nn.ModuleDict(
        {"relative_attention_bias": torch.nn.Embedding(4, 2), "q": torch.nn.Linear(2, 2)}
    )
    for parameter in model.parameters():
        torch.nn.init.constant_(parameter, 0.05)
        parameter.grad = torch.ones_like(parameter)
    optimizer_for(PretrainOptions(), model).step()
    moved = {name: 0.05 - float(parameter.detach().max()) for name, parameter in model.named_parameters()}
    assert moved["relative_attention_bias.weight"] == pytest.approx(0.02, rel=1e-3)
    assert moved["q.weight"] == pytest.approx(0.02 * 0.05, rel=1e-3)


def test_a_training_can_start_from_a_model(
    uninterrupted: Path, arrays: TokenArrays, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    """It begins where that model ended, and refuses a model of another vocabulary."""
    start = str(newest_checkpoint(uninterrupted))
    training = trained(arrays, tokenizer, replace(SMALL, start=start), tmp_path)
    before = Checkpoint.load(start).notes
    assert Checkpoint.load(training.save()).notes["start"] == before
    assert before["tokens"] > 0
    ended = T5.load(start).state_dict()
    assert all(torch.equal(tensor, ended[name]) for name, tensor in training.model.state_dict().items())
    assert training.state.step == 0
    other = st.train(count_runs(["el perro come y la perra duerme"] * 50), size=192, sentinels=100)
    with pytest.raises(SpanishTokError, match="another vocabulary"):
        model_of(replace(SMALL, start=start), other)


def test_adafactor_trains_too(
    arrays: TokenArrays, tokenizer: Tokenizer, small_model: str, tmp_path: Path
) -> None:
    recipe = replace(SMALL, model=small_model, optimizer="adafactor", steps=6)
    trained(arrays, tokenizer, recipe, tmp_path).run()
    assert trained(arrays, tokenizer, replace(recipe, steps=8), tmp_path).state.step == 6
    assert isinstance(optimizer_for(recipe, torch.nn.Linear(2, 2)), torch.optim.Adafactor)


def test_autocast_is_bfloat16_or_nothing() -> None:
    with autocast("bf16", "cpu")():
        assert torch.get_autocast_dtype("cpu") == torch.bfloat16
        assert torch.is_autocast_enabled("cpu")
    with autocast("fp32", "cpu")():
        assert not torch.is_autocast_enabled("cpu")


def test_held_out_texts_are_chosen_by_their_text(tokenizer: Tokenizer) -> None:
    texts = [f"El barco número {k} zarpó de madrugada." for k in range(2000)]
    rows = tokenizer.encode_column([*texts, texts[5], ""])
    ids, offsets = rows.values.to_numpy(), rows.offsets.to_numpy().astype(np.int64)
    parts = split(ids, offsets, tokenizer, 0.1)
    assert 150 < parts.held_out.size < 250
    assert parts.held_out.size + parts.training.size == 2001  # the empty one is in neither
    assert (5 in parts.held_out) == (2000 in parts.held_out)
    assert split(ids, offsets, tokenizer, 0.0).held_out.size == 0
    assert EOS not in ids


def test_the_command_line_says_what_is_wrong(shards: Path, tmp_path: Path) -> None:
    def run(*arguments: str) -> str:
        command = [
            sys.executable,
            "-m",
            "spanish_tok",
            "pretrain",
            str(shards),
            "--output",
            str(tmp_path / "x"),
        ]
        finished = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
        assert finished.returncode == 2
        return finished.stderr

    assert "must be greater than 0 to learn" in run("--set", "learning_rate=0")
    assert "There is no device 'cuda" in run("--device", "cuda:7")


def test_without_torch_the_verb_says_what_to_install(shards: Path, tmp_path: Path) -> None:
    code = "import sys; sys.modules['torch'] = None; from spanish_tok.cli import main; main()"
    command = [sys.executable, "-c", code, "pretrain", str(shards), "--output", str(tmp_path)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 2
    assert finished.stderr == (
        "spanish-tok: pretrain needs torch, which is not installed. pip install 'spanish-tok[t5]'\n"
    )
    shown = subprocess.run([*command[:4], "--show-recipe"], capture_output=True, text=True, check=True)
    assert "learning_rate = 0.02" in shown.stdout


def test_the_demo_trains_and_fills_masks(
    small_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from io import StringIO

    from spanish_tok.measure import demo

    recipe = replace(SMALL, model=small_model, held_out=0.0, save_every=1000, locality_init=False)
    monkeypatch.setattr(demo, "_recipe", lambda _: recipe)
    monkeypatch.setattr(demo, "FEWEST", 8)
    lines = shipped("corpus/sentences-es.txt").read_text(encoding="utf-8").splitlines()
    for text in (None, "own.txt"):
        (tmp_path / "own.txt").write_text("\n".join(lines[:30]) + "\n", encoding="utf-8")
        out = StringIO()
        demo.demo(
            tmp_path / f"run-{text}", t5=True, text=text and str(tmp_path / text), minutes=1e-4, out=out
        )
        shown = out.getvalue()
        assert f"{60 if text is None else 30} records of" in shown
        assert "loss 9." in shown
        assert "<extra_id_0>" in shown
    demo.demo(tmp_path / "run-None", t5=True, minutes=1e-4, out=StringIO())  # it replaces its own
    (tmp_path / "other" / "t5").mkdir(parents=True)
    (tmp_path / "other" / "t5" / "tesis.txt").write_text("hola")
    with pytest.raises(SpanishTokError, match="other files"):
        demo.demo(tmp_path / "other", t5=True, minutes=1e-4, out=StringIO())
    assert (tmp_path / "other" / "t5" / "tesis.txt").read_text() == "hola"


OLD_ENTRIES = (
    "model start aim_attention dropout seed input_length batch_size masking_rate mean_span held_out optimizer "
    "learning_rate weight_decay clip schedule steps warmup cooldown precision validate_every validation_records "
    "save_every keep"
)


def test_a_run_that_the_last_version_began_resumes(
    arrays: TokenArrays, tokenizer: Tokenizer, small_model: str, tmp_path: Path
) -> None:
    """training.json has the entries of that version, `aim_attention` too, and is read as it wrote them."""
    options = replace(SMALL, model=small_model, steps=4, save_every=2, keep=9)
    whole = trained(arrays, tokenizer, replace(options, steps=6), tmp_path / "whole")
    whole.run()
    trained(arrays, tokenizer, options, tmp_path / "half").run()
    notes_file = tmp_path / "half" / "checkpoint-0000004" / "training.json"
    notes = json.loads(notes_file.read_text(encoding="utf-8"))
    del notes["compiled"], notes["returns"]
    notes["recipe"] = {name: notes["recipe"][name] for name in OLD_ENTRIES.split()}
    notes_file.write_text(json.dumps(notes), encoding="utf-8")
    resumed = trained(arrays, tokenizer, replace(options, steps=6), tmp_path / "half")
    assert resumed.state.step == 4
    resumed.run()
    notes["recipe"]["aim_attention"] = False
    notes_file = tmp_path / "half" / "checkpoint-0000006" / "training.json"
    notes_file.write_text(json.dumps(notes), encoding="utf-8")
    with pytest.raises(SpanishTokError, match="differs in aim_attention"):
        trained(arrays, tokenizer, replace(options, steps=8), tmp_path / "half")
