"""Span corruption and packing: each known fault of other implementations is a test of its own."""

import os
import random
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanish_tok import SpanishTokError, Tokenizer
from spanish_tok.training.packing import PackedBatches, closing_of
from spanish_tok.training.span_corruption import IGNORED, SpanCollator, SpanCorruption
from spanish_tok.vocab.vocabulary import EOS, PAD
from tests.conftest import TOP

FIRST = 4999
T5 = SpanCorruption(FIRST)
# masks of the ids 100 to 129 in epoch 1, record 2: the same in every version, or old trainings could not be resumed
GOLDEN = (
    [100, 101, 4999, *range(106, 130), EOS],
    [4999, 102, 103, 104, 105, EOS],
)
densities = st.builds(
    SpanCorruption,
    first_sentinel=st.just(FIRST),
    rate=st.floats(0.05, 0.9),
    mean_span=st.floats(1, 8),
    seed=st.integers(0, 2**40),
)
records = st.lists(st.integers(3, 4899), max_size=300)


def spans_of(targets: list[int], corruption: SpanCorruption = T5) -> list[list[int]]:
    """The masked spans, in order; the sentinels must be <extra_id_0>, <extra_id_1>, ... and `</s>` the end."""
    assert targets[-1] == EOS
    spans: list[list[int]] = []
    for number in targets[:-1]:
        if number > FIRST - corruption.sentinels:
            assert number == FIRST - len(spans)
            spans.append([])
        else:
            spans[-1].append(number)
    return spans


def masked_places(ids: list[int], inputs: list[int], targets: list[int]) -> list[bool]:
    """For each token of a record without repetitions, whether it is masked."""
    masked = {number for span in spans_of(targets) for number in span}
    assert masked.isdisjoint(inputs)
    return [number in masked for number in ids]


@given(records, densities, st.integers(0, 5), st.integers(0, 10**12))
def test_inputs_and_targets_rebuild_the_record(
    ids: list[int], corruption: SpanCorruption, epoch: int, record: int
) -> None:
    inputs, targets = corruption.corrupt(ids, epoch, record)
    assert corruption.rebuild(inputs, targets) == ids
    assert corruption.rebuild([*inputs, PAD, PAD], [*targets, PAD]) == ids
    assert (len(inputs), len(targets)) == corruption.lengths(len(ids))


@given(records.filter(bool), densities)
def test_spans_are_neither_empty_nor_adjacent(ids: list[int], corruption: SpanCorruption) -> None:
    inputs, targets = corruption.corrupt(ids, 0, 0)
    spans = spans_of(targets)
    assert spans
    assert all(spans)
    sentinels = [number > FIRST - 100 for number in inputs]
    assert not any(left and right for left, right in pairwise(sentinels))
    assert [number for number in inputs if number > FIRST - 100] == [FIRST - k for k in range(len(spans))]


@pytest.mark.parametrize("length", range(1, 30))
def test_every_token_of_a_short_record_is_masked_sometimes_and_something_always(length: int) -> None:
    """google-research/text-to-text-transfer-transformer#905: records of up to 20 tokens masked at their end only."""
    ids = list(range(100, 100 + length))
    counts = np.zeros(length)
    draws = 600
    for epoch in range(draws):
        masked = masked_places(ids, *T5.corrupt(ids, epoch, record=7))
        assert any(masked)
        assert length == 1 or not all(masked)
        counts += masked
    expected = T5.lengths(length)[1] - 1 - max(1, round(max(1, round(0.15 * length)) / 3))
    assert counts.sum() == draws * expected
    # a span of several tokens starts at each place equally often, so tokens at the ends are in fewer spans
    assert counts.min() > 0.15 * draws * expected / length
    assert counts.max() < 2.0 * draws * expected / length


def test_one_masked_token_is_uniform() -> None:
    draws = 14_000
    counts = Counter(T5.corrupt(range(10, 17), epoch, 0)[1][1] for epoch in range(draws))
    assert sorted(counts) == list(range(10, 17))
    chi_squared = sum((count - draws / 7) ** 2 / (draws / 7) for count in counts.values())
    assert chi_squared < 22.5  # 6 degrees of freedom: exceeded once in 1,000 seeds; the seed is fixed


def test_lengths_are_t5s() -> None:
    assert T5.tokens_for(512) == 568
    assert T5.lengths(568) == (512, 114)
    inputs, targets = T5.corrupt([5] * 568, 0, 0)
    assert (len(inputs), len(targets)) == (512, 114)
    for length in range(20, 600):
        tokens = T5.tokens_for(length)
        assert T5.lengths(tokens)[0] <= length < T5.lengths(tokens + 1)[0]


def test_no_more_spans_than_sentinels() -> None:
    """A record of 4,000 tokens would have 200 spans: it has 100, longer ones."""
    inputs, targets = T5.corrupt([5] * 4000, 0, 0)
    spans = spans_of(targets)
    assert len(spans) == 100
    assert sum(map(len, spans)) == 600
    few = SpanCorruption(FIRST, sentinels=2)
    assert len(spans_of(few.corrupt([5] * 500, 0, 0)[1], few)) == 2
    assert len(inputs) == 4000 - 600 + 100 + 1


@given(st.lists(st.integers(1, 40), min_size=1, max_size=40), densities)
def test_no_span_covers_the_end_of_a_packed_record(lengths: list[int], corruption: SpanCorruption) -> None:
    row = np.array([number for n in lengths for number in [*[7] * n, EOS]], np.uint16)
    batch = corruption.corrupt_rows(row, np.array([0, row.size]), 0, [0])
    inputs, targets = batch.inputs[0].tolist(), batch.targets[0].tolist()
    assert EOS not in targets[:-1]
    assert inputs.count(EOS) == len(lengths) + 1
    assert corruption.rebuild(inputs, targets) == row.tolist()
    assert all(spans_of(targets))


def test_packed_rows_have_t5s_lengths_too() -> None:
    rng = random.Random(1)
    row: list[int] = []
    while len(row) < 568:
        row += [*[9] * rng.randint(5, 60), EOS]
    batch = T5.corrupt_rows(np.array(row[:568], np.uint16), np.array([0, 568]), 0, [0])
    assert batch.inputs.shape == (1, 512)
    assert batch.targets.shape == (1, 114)


def test_packed_records_too_short_for_the_spans_stay_whole() -> None:
    row = np.array([9, EOS] * 284, np.uint16)
    batch = T5.corrupt_rows(row, np.array([0, 568]), 0, [0])
    assert T5.rebuild(batch.inputs[0].tolist(), batch.targets[0].tolist()) == row.tolist()
    assert batch.targets[0].max() == FIRST


def test_the_draw_depends_on_seed_epoch_and_record_alone() -> None:
    ids = list(range(100, 200))
    before = T5.corrupt(ids, 3, 11)
    random.seed(0)
    np.random.seed(0)
    state = np.random.get_state()[1].copy()  # type: ignore[index]
    assert T5.corrupt(ids, 3, 11) == before
    assert (np.random.get_state()[1] == state).all()  # type: ignore[index]
    others = [
        T5.corrupt(ids, 4, 11),
        T5.corrupt(ids, 3, 12),
        SpanCorruption(FIRST, seed=1).corrupt(ids, 3, 11),
    ]
    assert all(other != before for other in others)
    tokens = np.array(ids + ids, np.uint16)
    both = T5.corrupt_rows(tokens, np.array([0, 100, 200]), 3, [5, 11])
    assert (both.inputs[1].tolist(), both.targets[1].tolist()) == before


def test_the_draw_is_the_same_in_every_version() -> None:
    inputs, targets = T5.corrupt(range(100, 130), epoch=1, record=2)
    assert (inputs, targets) == GOLDEN


def test_a_record_without_tokens() -> None:
    assert T5.corrupt([], 0, 0) == ([EOS], [EOS])


@pytest.mark.parametrize(
    "options", [{"rate": 0.0}, {"rate": 1.0}, {"mean_span": 0.5}, {"sentinels": 0}, {"rate": float("nan")}]
)
def test_impossible_options_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(SpanishTokError):
        SpanCorruption(FIRST, **options)  # type: ignore[arg-type]


def packed(lengths: list[int], batch_size: int, input_length: int = 32) -> PackedBatches:
    """Batches over records whose tokens all differ, as long as there are enough ids."""
    ids = np.arange(3, 3 + sum(lengths), dtype=np.uint16)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return PackedBatches(ids, offsets, np.arange(len(lengths)), T5, input_length, batch_size)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=40), st.integers(1, 7), st.integers(0, 3))
def test_an_epoch_holds_every_record_once_and_drops_nothing(
    lengths: list[int], batch_size: int, epoch: int
) -> None:
    batches = packed(lengths, batch_size)
    stream: list[int] = []
    first = epoch * batches.batches_per_epoch
    for step in range(first, first + batches.batches_per_epoch):
        batch = batches.batch(step)
        assert len(batch.inputs) <= batch_size
        for inputs, targets in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
            stream += T5.rebuild(inputs, targets)
    seen: list[list[int]] = [[]]
    for number in stream:
        if number == EOS:
            seen.append([])
        else:
            seen[-1].append(number)
    expected = [batches.ids[a:b].tolist() for a, b in pairwise(batches.offsets)]
    assert sorted(seen[:-1]) == sorted(expected)
    assert seen[-1] == []


def test_a_batch_is_computed_from_its_number_alone() -> None:
    lengths = [random.Random(4).randint(1, 50) for _ in range(60)]
    straight, jumping = packed(lengths, 4), packed(lengths, 4)
    all_batches = [straight.batch(step) for step in range(3 * straight.batches_per_epoch)]
    for step in reversed(range(len(all_batches))):
        again = jumping.batch(step)
        np.testing.assert_array_equal(again.inputs, all_batches[step].inputs)
        np.testing.assert_array_equal(again.targets, all_batches[step].targets)


def test_epochs_differ() -> None:
    batches = packed([20] * 50, 4)
    one, two = batches.batch(0), batches.batch(batches.batches_per_epoch)
    assert one.inputs.shape != two.inputs.shape or (one.inputs != two.inputs).any()


def test_no_record_is_an_error() -> None:
    with pytest.raises(SpanishTokError, match="no record"):
        PackedBatches(np.zeros(0, np.uint16), np.zeros(1, np.int64), np.zeros(0, np.int64), T5)


def test_records_that_end_with_eos_give_the_same_batches() -> None:
    plain = packed([5, 1, 9], 2)
    ids = np.insert(plain.ids, plain.offsets[1:], EOS)
    closed = replace(plain, ids=ids, offsets=plain.offsets + np.arange(4), closing=1)
    assert (closing_of(plain.ids, plain.offsets), closing_of(ids, closed.offsets)) == (0, 1)
    assert closed.tokens_per_epoch == plain.tokens_per_epoch
    for step in range(3):
        for ours, theirs in zip(closed.batch(step), plain.batch(step), strict=True):
            assert (ours == theirs).all()
    ids[closed.offsets[1] - 1] = 7
    with pytest.raises(SpanishTokError, match="2 of 3 records end in </s>"):
        closing_of(ids, closed.offsets)


def test_collator_pads_and_draws_by_record_and_epoch(tokenizer: Tokenizer) -> None:
    corruption = SpanCorruption.of(tokenizer.vocabulary, seed=5)
    texts = ["El río baja crecido.", "Mañana lloverá en toda la costa, según dicen los pescadores."]
    rows = list(map(tokenizer.encode, texts))
    items = [{"input_ids": ids, "record": k} for k, ids in enumerate(rows)]
    arrays = SpanCollator(corruption, tensors=False)(items)
    assert arrays["input_ids"].shape == arrays["attention_mask"].shape
    assert arrays["attention_mask"].sum() == (arrays["input_ids"] != PAD).sum()
    for row, ids in enumerate(rows):
        inputs, targets = corruption.corrupt(ids, 0, row)
        assert arrays["input_ids"][row, : len(inputs)].tolist() == inputs
        labels = arrays["labels"][row].tolist()
        assert labels == targets + [IGNORED] * (len(labels) - len(targets))
    reversed_ = SpanCollator(corruption, tensors=False)(items[::-1])
    np.testing.assert_array_equal(reversed_["labels"][::-1], arrays["labels"])
    later = SpanCollator(corruption, epoch=1, tensors=False)(items)
    assert later["labels"].shape != arrays["labels"].shape or (later["labels"] != arrays["labels"]).any()


def test_collator_without_record_numbers_draws_by_the_ids(tokenizer: Tokenizer) -> None:
    collator = SpanCollator(SpanCorruption.of(tokenizer.vocabulary), tensors=False)
    one, two = tokenizer.encode("Llueve sobre los tejados."), tokenizer.encode("La tarde cae despacio.")
    together = collator([{"input_ids": one}, {"input_ids": two}])
    alone = collator([{"input_ids": two}])
    width = alone["input_ids"].shape[1]
    assert together["input_ids"][1, :width].tolist() == alone["input_ids"][0].tolist()


def test_the_collator_works_in_a_data_loader_with_workers(tokenizer: Tokenizer) -> None:
    """The masks do not depend on how many processes make them."""
    data = pytest.importorskip("torch.utils.data")
    rows = [{"input_ids": list(range(3, 9 + k)), "record": k} for k in range(20)]
    collator = SpanCollator(SpanCorruption.of(tokenizer.vocabulary), epoch=2)
    loaders = [
        data.DataLoader(rows, batch_size=6, collate_fn=collator, num_workers=workers) for workers in (0, 1)
    ]
    alone, helped = (list(loader) for loader in loaders)
    assert [len(batch["input_ids"]) for batch in alone] == [6, 6, 6, 2]  # the rest of an epoch is not dropped
    for one, other in zip(alone, helped, strict=True):
        assert all((one[name] == other[name]).all() for name in ("input_ids", "attention_mask", "labels"))


@pytest.mark.slow
def test_the_example_with_transformers_trainer_runs(tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    command = [
        sys.executable,
        "examples/pretrain_with_trainer.py",
        "corpus/sentences-es.txt",
        "--epochs",
        "1",
    ]
    environment = {**os.environ, "PYTHONPATH": str(TOP)}
    subprocess.run(
        [*command, "--output", str(tmp_path)], cwd=TOP, env=environment, check=True, capture_output=True
    )
    assert (tmp_path / "model.safetensors").exists()
    assert (tmp_path / "tokenizer.json").exists()


def test_nothing_here_loads_torch() -> None:
    modules = "training.span_corruption training.packing t5.config training.pretrain_options"
    modules += " training.bits_per_byte training.held_out training.log"
    imports = "\n".join(f"import spanish_tok.{name}" for name in modules.split())
    code = f"{imports}\nimport sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=TOP)


BIG = SpanCorruption(first_sentinel=250_099)


@pytest.mark.parametrize("kind", [list, np.array, lambda ids: np.array(ids, np.uint32), "torch"])
def test_A5_ids_above_65535_stay_what_they_are(kind: Any) -> None:
    if kind == "torch":
        kind = pytest.importorskip("torch").tensor
    ids = [70_000, 11, 12, 249_999, 65_536]
    inputs, targets = BIG.corrupt(kind(ids), 0, 1)
    assert BIG.rebuild(inputs, targets) == ids
    batch = SpanCollator(BIG, tensors=False)([{"input_ids": kind(ids)}, {"input_ids": kind(ids[:2])}])
    for place, expected in enumerate([ids, ids[:2]]):
        assert BIG.rebuild(batch["input_ids"][place], batch["labels"][place]) == expected
    largest = SpanCorruption(first_sentinel=2**31 - 1)
    assert largest.rebuild(*largest.corrupt([2**31 - 101, 5], 0, 0)) == [2**31 - 101, 5]


@pytest.mark.parametrize(
    "ids",
    [
        [5, -100, 7],
        [5, 6.0, 7],
        np.array([5.0, 6.0]),
        [5, FIRST + 1, 7],
        [5, FIRST, 7],
        [5, FIRST - 99, 7],
        [5, PAD, 7],
        [[5, 6]],
        [5, None],
        ["5"],
        "567",
        7,
        None,
        [True, False],
        [5, 2**70],
        np.array([5, 2**63], np.uint64),
    ],
)
def test_A5_what_is_no_id_of_a_text_is_refused_by_its_place(ids: Any) -> None:
    with pytest.raises(SpanishTokError) as caught:
        T5.corrupt(ids, 0, 0)
    if isinstance(ids, list) and ids[0] == 5:
        assert "tem 1 " in str(caught.value) or "place 1" in str(caught.value)
    with pytest.raises(SpanishTokError, match="Record 1 of the batch"):
        SpanCollator(T5)([{"input_ids": [5]}, {"input_ids": ids}])


def test_A5_offsets_seeds_and_empty_batches_are_checked() -> None:
    row = np.arange(10, 20, dtype=np.uint16)
    for offsets in ([0, 11], [5, 3], [-1, 10], [0], [0, 5, 10]):
        with pytest.raises(SpanishTokError):
            T5.corrupt_rows(row, np.array(offsets), 0, [0])
    for epoch, record in ((-1, 0), (0, -1)):
        with pytest.raises(SpanishTokError):
            T5.corrupt(row.tolist(), epoch, record)
    with pytest.raises(SpanishTokError):
        SpanCorruption(FIRST, seed=-1)
    for batch in range(2):
        with pytest.raises(SpanishTokError):
            SpanCollator(T5)([{}] * batch)


def test_A6_rebuild_takes_the_collators_own_labels() -> None:
    records = [[10, 11, 12, 13], [20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32]]
    batch = SpanCollator(T5, tensors=False)([{"input_ids": ids} for ids in records])
    assert (batch["labels"] == IGNORED).any()
    rebuilt = [T5.rebuild(*pair) for pair in zip(batch["input_ids"], batch["labels"], strict=True)]
    assert rebuilt == records


@pytest.mark.parametrize(
    ("inputs", "targets"),
    [
        ([10, FIRST, 12, EOS], [11, EOS]),
        ([10, FIRST, 12, EOS], [FIRST - 1, 11, EOS]),
        ([10, FIRST, 12, EOS], [FIRST, 11, FIRST - 1, 13, EOS]),
        ([10, FIRST, 12, EOS], [FIRST, 11, FIRST, 13, EOS]),
        ([10, FIRST, FIRST, EOS], [FIRST, 11, EOS]),
        ([10, FIRST, 12], [FIRST, 11, EOS]),
        ([10, FIRST, 12, EOS], [FIRST, 11]),
        ([10, FIRST, 12, EOS], []),
        ([10, FIRST, 12, EOS], [FIRST, IGNORED, 11, EOS]),
        ([10, FIRST, 12, EOS], [FIRST, 11.5, EOS]),
        ([10, FIRST, 12, EOS], None),
    ],
)
def test_A6_damaged_inputs_and_targets_are_refused(inputs: Any, targets: Any) -> None:
    with pytest.raises(SpanishTokError):
        T5.rebuild(inputs, targets)
