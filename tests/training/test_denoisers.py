"""Denoisers: each asks for what it should, by slow twins; each row depends on its numbers alone."""

from itertools import groupby, pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spanish_tok import SpanishTokError, Tokenizer
from spanish_tok.kernels.denoisers import LONGEST, mask_recurring, mask_sentences, mask_tails
from spanish_tok.training.masks.denoisers import KINDS, Denoisers
from spanish_tok.training.packing import PackedBatches
from spanish_tok.training.span_corruption import SpanCorruption
from spanish_tok.vocab.vocabulary import EOS, PAD
from tests.training.test_span_corruption import spans_of

FIRST = 4999  # the sentinel <extra_id_0> of the vocabulary
END, JOIN = 3, range(20, 26)  # of a small alphabet of ids: a full stop, and ids that go on in a word
rows = st.lists(st.sampled_from([EOS, END, *range(4, 12), *JOIN]), max_size=60)
ROW = tuple[list[int], list[int]]


def only(kind: str, tokenizer: Tokenizer, **options: float) -> Denoisers:
    return Denoisers.of(tokenizer.vocabulary, **{**dict.fromkeys(KINDS, 0.0), kind: 1.0, **options})


def records_of(row: list[int]) -> list[tuple[int, int]]:
    """(begin, end) of the records between `</s>`."""
    ends = [i for i, number in enumerate([*row, EOS]) if number == EOS]
    return list(zip([0, *(end + 1 for end in ends)], ends, strict=False))


def places_of(inputs: list[int], targets: list[int]) -> list[bool]:
    """For each token of a record, whether it is masked; no two spans touch."""
    spans, places, last = spans_of(targets), [], -2
    for place, number in enumerate(inputs[:-1]):
        if number > FIRST - 100:
            assert place != last + 1
            places += [True] * len(spans[FIRST - number])
            last = place
        else:
            places.append(False)
    return places


def free(owners: list[int], begin: int, end: int) -> bool:
    return not any(owners[max(begin - 1, 0) : end + 1])


@given(rows, st.floats(0.05, 0.9))
def test_tails_are_the_rest_of_each_record(row: list[int], rate: float) -> None:
    owners = np.zeros(len(row), np.int64)
    spans = mask_tails(np.array(row, np.uint16), EOS, rate, 3, owners)
    expected, span = [0] * len(row), 0
    for begin, end in records_of(row):
        length = end - begin
        if length > 1 and span < 3:
            span += 1
            tail = min(max(round(length * rate), 1), length - 1)
            expected[end - tail : end] = [span] * tail
    assert owners.tolist() == expected
    assert spans == span


def recurring(row: list[int], budget: int, spans: int) -> list[int]:
    """The slow twin: of each place the longest run of whole words that occurs before it, in the same record."""
    owners, span, masked = [0] * len(row), 0, 0
    for begin, end in records_of(row):
        here = begin
        while here < end and span < spans:
            best = 0
            for length in range(1, min(LONGEST, end - here) + 1):
                words = row[here : here + length]
                whole = row[here] not in JOIN and (here + length == end or row[here + length] not in JOIN)
                before = (
                    there
                    for there in range(begin, here - length + 1)
                    if row[there : there + length] == words
                    and row[there + length] not in JOIN
                    and not owners[there]
                )
                if whole and any(True for _ in before):
                    best = length
            rare = any(number > END for number in row[here : here + best])
            if best and rare and masked + best <= budget and free(owners, here, here + best):
                span, masked = span + 1, masked + best
                owners[here : here + best] = [span] * best
                here += best
            here += 1
    return owners


@example([4, 4, EOS, 4], 2, 2)  # a span up to the end of its record
@given(rows, st.integers(0, 20), st.integers(0, 5))
def test_recurring_spans_are_words_that_occurred_before(row: list[int], budget: int, spans: int) -> None:
    owners, ids = np.zeros(len(row), np.int64), np.arange(30)
    found = mask_recurring(
        np.array(row, np.uint16), EOS, LONGEST, budget, spans, owners, np.isin(ids, JOIN), ids <= END
    )
    assert owners.tolist() == recurring(row, budget, spans)
    assert found == (int((owners > 0).sum()), int(owners.max(initial=0)))


def sentences_of(row: list[int], begin: int, end: int) -> list[tuple[int, int]]:
    places = [begin, *(i + 1 for i in range(begin, end) if row[i] == END), end]
    return [(a, b) for a, b in pairwise(places) if b > a]


def gaps(row: list[int], budget: int, spans: int) -> list[int]:
    """The slow twin: the sentence of the highest ROUGE-1 F with the rest of its record, again and again."""
    owners, masked = [0] * len(row), 0
    for span in range(1, spans + 1):
        found: list[tuple[float, int, int]] = []
        for begin, end in records_of(row):
            parts = sentences_of(row, begin, end)
            if sum(owners[a] == 0 for a, _ in parts) < 2:
                continue
            for a, b in parts:
                rest = row[begin:a] + row[b:end]
                common = sum(min(row[a:b].count(n), rest.count(n)) for n in set(row[a:b]))
                if masked + b - a <= budget and free(owners, a, b):
                    found.append((-2.0 * common / (end - begin), a, b))
        if not found:
            break
        _, a, b = min(found)
        owners[a:b] = [span] * (b - a)
        masked += b - a
    return owners


@given(rows, st.integers(0, 30), st.integers(0, 4))
def test_gap_sentences_say_most_of_the_rest(row: list[int], budget: int, spans: int) -> None:
    owners, ends = np.zeros(len(row), np.int64), np.arange(30) == END
    counts = np.zeros(30, np.int64)
    found = mask_sentences(np.array(row, np.uint16), EOS, ends, budget, spans, owners, counts)
    assert owners.tolist() == gaps(row, budget, spans)
    assert found == (int((owners > 0).sum()), int(owners.max(initial=0)))
    assert not counts.any()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_can_be_rebuilt_and_asks_for_its_share(kind: str, tokenizer: Tokenizer) -> None:
    text = "La casa de Ana Robledo es grande. Ana Robledo vive en la casa desde ayer. Nadie sabe por qué vive allí. "
    denoisers = only(kind, tokenizer, rate=0.25, seed=7)
    ids = [*tokenizer.encode(text), EOS, *tokenizer.encode(text * 3)]
    shares = []
    for record in range(20):
        inputs, targets = denoisers.corrupt(ids, 2, record)
        assert denoisers.rebuild(inputs, targets) == ids
        places = places_of(inputs, targets)
        assert not any(hidden and number == EOS for hidden, number in zip(places, ids, strict=True))
        shares.append(sum(places) / len(ids))
        if kind != "prefix":
            assert len(inputs) <= denoisers.lengths(len(ids))[0] + 3
    assert 0.23 < np.mean(shares) <= 0.26
    again = [only(kind, tokenizer, rate=0.25, seed=7).corrupt(ids, 2, record) for record in (3, 4)]
    assert again == [denoisers.corrupt(ids, 2, record) for record in (3, 4)]


def test_recurring_spans_ask_for_names(tokenizer: Tokenizer) -> None:
    text = (
        "ayer vino ana robledo con su madre , y nadie supo por qué . después ana robledo se fue sola al mar ."
    )
    denoisers = only("recurring_spans", tokenizer, rate=0.3)
    _, targets = denoisers.corrupt(tokenizer.encode(text), 0, 1)
    assert "ana robledo" in tokenizer.decode([number for number in targets if number < 4900])


def test_long_spans_are_longer(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("el perro come y la perra duerme " * 20)

    def spans(kind: str) -> float:
        found = places_of(*only(kind, tokenizer, rate=0.3).corrupt(ids, 0, 5))
        return float(np.mean([len(list(run)) for hidden, run in groupby(found) if hidden]))

    assert spans("long_spans") > 2.5 * spans("spans")


def test_a_mixture_depends_on_seed_epoch_and_record_and_keeps_its_weights(tokenizer: Tokenizer) -> None:
    ids = np.array(tokenizer.encode("el perro come y la perra duerme ") * 400, np.uint16)
    offsets = np.arange(0, ids.size + 1, 100)
    half = Denoisers.of(tokenizer.vocabulary, spans=1, prefix=3, rate=0.25, seed=5)
    tails = only("prefix", tokenizer, rate=0.25, seed=5)

    def tail_rows(batch: object, other: object) -> float:
        rows = zip(batch.targets, other.targets, strict=True)  # type: ignore[attr-defined]
        return float(np.mean([(a[a != PAD].tolist() == b[b != PAD].tolist()) for a, b in rows]))

    rows = range(offsets.size - 1)
    whole, same = (half.corrupt_rows(ids, offsets, 1, rows) for _ in range(2))
    assert np.array_equal(whole.inputs, same.inputs)
    assert 0.55 < tail_rows(whole, tails.corrupt_rows(ids, offsets, 1, rows)) < 0.95
    alone = half.corrupt_rows(ids[300:400], np.array([0, 100]), 1, [3])
    assert alone.inputs[0].tolist() == whole.inputs[3][: alone.inputs.shape[1]].tolist()
    assert half.corrupt_rows(ids, offsets, 2, rows).targets.tolist() != whole.targets.tolist()


def test_spans_alone_mask_a_share_and_packed_batches_take_a_mixture(tokenizer: Tokenizer) -> None:
    ids = np.array(tokenizer.encode("el perro come . la perra duerme . ") * 400, np.uint16)
    offsets = np.arange(0, ids.size + 1, 50)
    mixture = Denoisers.of(
        tokenizer.vocabulary, prefix=1, long_spans=1, recurring_spans=1, gap_sentences=1, rate=0.25
    )
    plain = SpanCorruption.of(tokenizer.vocabulary, rate=0.25)
    batches = [
        PackedBatches(ids, offsets, np.arange(offsets.size - 1), corruption, 64, 8).batch(1)
        for corruption in (mixture, plain)
    ]
    assert batches[0].inputs.shape[0] == 8
    assert batches[0].inputs.shape[1] <= batches[1].inputs.shape[1] + 12


@pytest.mark.parametrize("weights", [{"spans": 0.0}, {"prefix": -1.0}, {"prefix": float("nan")}])
def test_impossible_weights_are_refused(weights: dict[str, float], tokenizer: Tokenizer) -> None:
    with pytest.raises(SpanishTokError, match="The weights of"):
        Denoisers.of(tokenizer.vocabulary, **weights)


def test_ids_of_another_vocabulary_are_refused(tokenizer: Tokenizer) -> None:
    for wrong in (6000, -1):
        with pytest.raises(SpanishTokError, match="The ids go from"):
            only("prefix", tokenizer).corrupt_rows(np.array([5, wrong]), np.array([0, 2]), 0, [0])
