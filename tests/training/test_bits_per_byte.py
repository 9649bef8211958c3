"""Bits per byte: fixed masks of whole words, the same for every vocabulary, and the arithmetic."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from spanish_tok import SpanishTokError, Tokenizer, Vocabulary
from spanish_tok.text.alphabet import SPANISH
from spanish_tok.text.table import spanish_table
from spanish_tok.training.bits_per_byte import LONGEST, MaskedText, bits_per_byte, encode_masked, mask_words
from spanish_tok.training.span_corruption import Batch, SpanCorruption

TEXT = "el viento soplaba con fuerza sobre los tejados del pueblo, y nadie se atrevía a salir de casa."
GOLDEN = "el viento soplaba con fuerza sobre <extra_id_0> del pueblo, y nadie se atrevía a salir <extra_id_1> casa."
TEXTS = [TEXT, "¿qué hora es?", "mañana"]
words = st.lists(st.text(alphabet="abcñé.1", min_size=1, max_size=9), min_size=1, max_size=300)


@pytest.fixture(scope="module")
def letters() -> Tokenizer:
    """A vocabulary whose pieces are single characters."""
    scores = dict.fromkeys(["▁", *(char for char in SPANISH if char != " ")], -4.0)
    return Tokenizer(Vocabulary.build(scores, sentinels=100, table=spanish_table()))


def test_the_masks_of_a_text_never_change() -> None:
    assert mask_words(TEXT).shown() == GOLDEN
    assert mask_words("mañana").shown() == "<extra_id_0>"


@given(words)
def test_masks_are_whole_words_neither_empty_nor_adjacent(chosen: list[str]) -> None:
    masked = mask_words(" ".join(chosen))
    assert masked.text == " ".join(chosen[:LONGEST])
    last = -2
    for begin, end in masked.spans:
        assert last + 1 < begin < end
        assert begin == 0 or masked.text[begin - 1] == " "
        assert end == len(masked.text) or masked.text[end] == " "
        last = end
    count = sum(masked.text[begin:end].count(" ") + 1 for begin, end in masked.spans)
    number = min(len(chosen), LONGEST)
    assert count == min(max(1, round(0.15 * number)), max(1, number - 1))


def test_ids_of_a_masked_text_are_those_of_the_text(tokenizer: Tokenizer) -> None:
    corruption = SpanCorruption.of(tokenizer.vocabulary)
    for text in TEXTS:
        inputs, targets = encode_masked(tokenizer, mask_words(text))
        assert corruption.rebuild(inputs, targets) == tokenizer.encode(text)


def test_the_same_bytes_are_masked_whatever_the_vocabulary(tokenizer: Tokenizer, letters: Tokenizer) -> None:
    def nothing(inputs: NDArray[np.int64], targets: NDArray[np.int64]) -> float:  # noqa: ARG001
        return 0.0

    ours, theirs = (bits_per_byte(nothing, one, TEXTS) for one in (tokenizer, letters))
    assert ours.masked_bytes == theirs.masked_bytes
    assert ours.target_ids < theirs.target_ids


def test_bits_per_byte_are_nats_of_all_targets_over_masked_bytes(tokenizer: Tokenizer) -> None:
    """A model that knows nothing takes ln V for each target, sentinels and `</s>` included, padding not."""

    def uniform(inputs: NDArray[np.int64], targets: NDArray[np.int64]) -> float:
        assert len(inputs) == len(targets)
        return float((targets != 0).sum()) * math.log(5000)

    text = MaskedText("año nuevo", ((0, 3),))
    assert text.masked_bytes == 4
    measured = bits_per_byte(uniform, tokenizer, TEXTS)
    targets = [encode_masked(tokenizer, mask_words(text))[1] for text in TEXTS]
    expected = sum(map(len, targets)) * math.log2(5000) / sum(mask_words(text).masked_bytes for text in TEXTS)
    assert measured.value == pytest.approx(expected)
    assert measured.target_ids == sum(map(len, targets))


def test_texts_are_normalized_and_empty_ones_skipped(tokenizer: Tokenizer) -> None:
    def count(inputs: NDArray[np.int64], targets: NDArray[np.int64]) -> float:  # noqa: ARG001
        return float(len(targets))

    assert bits_per_byte(count, tokenizer, ["¡HOLA!", "", "\u0301"]).nats == 1
    with pytest.raises(SpanishTokError, match="no text to measure"):
        bits_per_byte(count, tokenizer, [""])


def test_torch_scores_do_not_depend_on_the_batch(tokenizer: Tokenizer) -> None:
    torch = pytest.importorskip("torch")
    from spanish_tok.t5.config import T5Config
    from spanish_tok.t5.model import T5
    from spanish_tok.training.losses import loss_of, scorer_of

    torch.manual_seed(0)
    model = T5(T5Config.spanish_tiny(num_layers=1, num_decoder_layers=1, d_model=32, d_ff=32))
    score = scorer_of(model)
    measured = bits_per_byte(score, tokenizer, TEXTS)
    alone = sum(bits_per_byte(score, tokenizer, [text]).nats for text in TEXTS)
    assert measured.nats == pytest.approx(alone, rel=1e-4)
    inputs, targets = (np.array([ids]) for ids in encode_masked(tokenizer, mask_words(TEXT)))
    batch = Batch(inputs, targets)
    logits = model(torch.from_numpy(inputs), torch.from_numpy(targets))
    chances = torch.log_softmax(logits, -1)[0, torch.arange(targets.shape[1]), torch.from_numpy(targets[0])]
    assert loss_of(model, batch, "sum").item() == pytest.approx(-chances.sum().item(), rel=1e-5)
