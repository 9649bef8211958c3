"""T5 against transformers: logits, parameter counts, checkpoints there and back; hostile folders are refused."""

import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra t5")

from spanish_tok import SpanishTokError, T5Config, Tokenizer, Vocabulary  # noqa: E402
from spanish_tok.t5.checkpoint import Checkpoint  # noqa: E402
from spanish_tok.t5.model import T5  # noqa: E402
from spanish_tok.t5.positions import buckets  # noqa: E402
from spanish_tok.t5.presets import PRESETS  # noqa: E402
from spanish_tok.t5.safetensors import read_tensors, write_tensors  # noqa: E402
from spanish_tok.text.table import spanish_table  # noqa: E402

GATED = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
CONFIGS = {
    "spanish-tiny": T5Config.spanish_tiny(),
    "tiny": T5Config.preset("tiny", vocab_size=5000),
    "small": T5Config.preset("small", vocab_size=5000),
    "gated": T5Config.spanish_tiny(**GATED),
}


def batch(ids: int, rows: int = 3, length: int = 150) -> tuple[Any, Any, Any]:
    """Random ids, a mask with padding, labels."""
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randint(3, ids, (rows, length), generator=generator)
    mask = torch.arange(length) < torch.tensor([length, length * 2 // 3, 1])[:rows, None]
    labels = torch.randint(3, ids, (rows, 40), generator=generator)
    return inputs * mask, mask.long(), labels


@pytest.fixture(scope="module")
def small_vocabulary() -> Vocabulary:
    characters = [char for char in sorted(spanish_table().alphabet) if char != " "]
    return Vocabulary.build({"▁": -2.0, **dict.fromkeys(characters, -4.0)}, 20, spanish_table())


@pytest.fixture
def folder(small_vocabulary: Vocabulary, tmp_path: Path) -> Path:
    """A small untrained model."""
    torch.manual_seed(0)
    T5(small_config(small_vocabulary)).save(tmp_path / "model", small_vocabulary)
    return tmp_path / "model"


def small_config(vocabulary: Vocabulary) -> T5Config:
    return T5Config(
        vocab_size=len(vocabulary),
        d_model=32,
        d_kv=16,
        d_ff=48,
        num_heads=2,
        num_layers=2,
        num_decoder_layers=1,
    )


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_equal_those_of_transformers(name: str) -> None:
    import transformers

    config = CONFIGS[name]
    torch.manual_seed(0)
    ours = T5(config).eval()
    with torch.device("meta"):
        theirs = transformers.T5ForConditionalGeneration(transformers.T5Config(**config.to_dict())).eval()
    state = dict(ours.state_dict())
    state.update({f"{stack}.embed_tokens.weight": state["shared.weight"] for stack in ("encoder", "decoder")})
    state.setdefault("lm_head.weight", state["shared.weight"])
    theirs.load_state_dict(state, assign=True)
    inputs, mask, labels = batch(config.vocab_size)
    with torch.no_grad():
        found = ours(inputs, labels=labels, attention_mask=mask)
        expected = theirs(input_ids=inputs, attention_mask=mask, labels=labels)
        loss = ours.loss(inputs, labels, mask)
    assert (found - expected.logits).abs().max() < 1e-4
    assert abs(float(loss) - float(expected.loss)) < 1e-4


@pytest.mark.parametrize("name", CONFIGS)
def test_an_untrained_model_guesses(name: str) -> None:
    torch.manual_seed(2)
    inputs, mask, labels = batch(CONFIGS[name].vocab_size)
    with torch.no_grad():
        loss = float(T5(CONFIGS[name]).eval().loss(inputs, labels, mask))
    assert abs(loss - math.log(5000)) < 0.7


def test_labels_of_minus_100_count_for_nothing() -> None:
    torch.manual_seed(0)
    model = T5(CONFIGS["spanish-tiny"]).eval()
    inputs, mask, labels = batch(5000)
    cut = torch.cat([labels[:, :10], torch.full((3, 30), -100)], 1)
    with torch.no_grad():
        assert torch.allclose(
            model.loss(inputs, cut, mask), model.loss(inputs, labels[:, :10], mask), atol=1e-5
        )
        assert model.loss(inputs, cut, mask, reduction="none").shape == (30,)


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("tiny", 15.57),
        ("mini", 31.22),
        ("small", 60.51),
        ("base", 222.9),
        ("large", 737.7),
        ("xl", 2851.6),
        ("xxl", 11307.3),
    ],
)
def test_the_family_has_the_published_sizes(name: str, millions: float) -> None:
    config = T5Config.preset(name)
    with torch.device("meta"):
        model = T5(config)
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count == config.parameters
    assert abs(count / 1e6 - millions) < 0.06
    assert {key: tuple(value.shape) for key, value in model.state_dict().items()} == config.shapes()


def test_spanish_tiny_has_exactly_its_size(tmp_path: Path) -> None:
    config = T5Config.spanish_tiny()
    assert sum(parameter.numel() for parameter in T5(config).parameters()) == config.parameters == 7_176_896
    for precision, megabytes in (("float32", 29), ("bfloat16", 15)):
        T5(config).save(tmp_path / precision, Vocabulary.load(), precision)  # type: ignore[arg-type]
        assert os.path.getsize(tmp_path / precision / "model.safetensors") < megabytes * 1e6


def test_position_buckets_are_those_of_transformers() -> None:
    from transformers.models.t5.modeling_t5 import T5Attention

    for both in (True, False):
        for count, furthest in ((32, 128), (16, 64), (64, 1000)):
            expected = T5Attention._relative_position_bucket(torch.arange(-2999, 3000), both, count, furthest)
            assert np.array_equal(buckets(3000, 3000, both, count, furthest), expected.numpy())


@pytest.mark.parametrize("options", [{}, GATED])
def test_transformers_reads_our_folder_and_we_read_theirs(
    options: dict[str, Any], small_vocabulary: Vocabulary, tmp_path: Path
) -> None:
    import transformers

    torch.manual_seed(0)
    values = {**small_config(small_vocabulary).to_dict(), **options}
    ours = T5(T5Config.from_dict(values))
    ours.save(tmp_path / "ours", small_vocabulary)
    theirs = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "ours")
    theirs.save_pretrained(tmp_path / "theirs")
    small_vocabulary.save(tmp_path / "vocabulary")
    for file in (tmp_path / "vocabulary").iterdir():  # ours is not saved into a folder that holds other files
        shutil.copy(file, tmp_path / "theirs")
    again = T5.load(tmp_path / "theirs")
    assert again.config == ours.config
    assert all(map(torch.equal, ours.state_dict().values(), again.state_dict().values()))


def test_bfloat16_is_rounded_to_nearest(folder: Path, small_vocabulary: Vocabulary) -> None:
    model = T5.load(folder)
    expected = {name: value.bfloat16().float() for name, value in model.state_dict().items()}
    model.save(folder, small_vocabulary, "bfloat16", force=True)
    assert all(torch.equal(value, expected[name]) for name, value in T5.load(folder).state_dict().items())


def test_the_folder_is_a_vocabulary_too(folder: Path, small_vocabulary: Vocabulary) -> None:
    assert Tokenizer.load(folder).vocabulary.fingerprint == small_vocabulary.fingerprint


def _tensors(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """A fault in the tensors, the manifest being out of the way."""

    def spoil(folder: Path) -> None:
        (folder / "model.json").unlink()
        tensors = read_tensors(folder / "model.safetensors")
        change(tensors)
        write_tensors(folder / "model.safetensors", tensors)

    return spoil


def _cut(folder: Path) -> None:
    (folder / "model.json").unlink()
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[:-100])


def _flip(folder: Path) -> None:
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "model.safetensors").write_bytes(data)


def _other_vocabulary(folder: Path) -> None:
    pieces = [char for char in sorted(spanish_table().alphabet) if char != " "]
    Vocabulary.build({"▁": -3.0, **dict.fromkeys(pieces, -4.0)}, 20, spanish_table()).write_into(folder)


NORM = "encoder.final_layer_norm.weight"
FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "shape": (
        _tensors(lambda t: t.update({NORM: np.ones(31, np.float32)})),
        NORM + r" has the shape \(31,\)",
    ),
    "missing": (_tensors(lambda t: t.pop(NORM)), "lacks " + NORM),
    "unexpected": (_tensors(lambda t: t.update(extra=np.ones(1, np.float32))), "unexpected extra"),
    "nan": (_tensors(lambda t: t.update({NORM: np.full(32, np.nan, np.float32)})), NORM + ".* not finite"),
    "integers": (_tensors(lambda t: t.update({NORM: np.ones(32, np.int32)})), NORM + " is of type I32"),
    "cut off": (_cut, "model.safetensors is damaged or cut off"),
    "flipped": (_flip, "model.safetensors is not as it was written"),
    "vocabulary": (_other_vocabulary, "vocabulary beside .* is not the one"),
    "no vocabulary": (lambda f: (f / "manifest.json").unlink(), "holds no vocabulary"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "model.safetensors is missing"),
    "no config": (lambda f: (f / "config.json").unlink(), "without its config.json"),
    "manifest": (lambda f: (f / "model.json").write_text("[]"), "it is a list, not an object"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_folder_is_refused_by_name(fault: str, folder: Path) -> None:
    spoil, message = FAULTS[fault]
    spoil(folder)
    with pytest.raises(SpanishTokError, match=message):
        Checkpoint.load(folder)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"d_model": 0}, "d_model is 0"),
        ({"num_heads": 1.5}, "num_heads is 1.5"),
        ({"feed_forward_proj": "silu"}, "feed_forward_proj is 'silu'"),
        ({"model_type": "bart"}, "model_type is 'bart'"),
        ({"relative_attention_num_buckets": 30}, "30 buckets"),
        ({"dropout_rate": 1.0}, "dropout_rate"),
        ({"eos_token_id": 9999}, "eos_token_id is 9999"),
        ({"d_ff": None}, "lacks d_ff"),
    ],
)
def test_an_impossible_configuration_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SpanishTokError, match=message):
        T5Config.from_dict({**T5Config.spanish_tiny().to_dict(), **values})


def test_presets_are_complete() -> None:
    assert list(PRESETS) == ["spanish-tiny", "tiny", "mini", "small", "base", "large", "xl", "xxl"]
    with pytest.raises(SpanishTokError, match="no preset 'huge'"):
        T5Config.preset("huge")


def test_dropout_equals_its_twin_and_keeps_the_share() -> None:
    from spanish_tok.kernels.nn.dropout import drop

    def kept(place: int, seed: int, levels: int) -> bool:
        h = (place * 0x9E3779B9 + seed) % 2**32
        h = (h ^ (h >> 16)) * 0x85EBCA6B % 2**32
        h = (h ^ (h >> 13)) * 0xC2B2AE35 % 2**32
        return (h ^ (h >> 16)) >= levels

    x = np.random.default_rng(0).normal(size=100_000).astype(np.float32)
    for seed, rate in ((0, 0.1), (2**32 - 1, 0.5)):
        levels = int(rate * 2**32)
        found = np.empty_like(x)
        drop(x, found, seed, levels)
        mask = np.array([kept(place, seed, levels) for place in range(len(x))])
        assert np.array_equal(found != 0, mask)
        assert np.allclose(found[mask], x[mask] / (1 - rate), rtol=1e-6)
        assert abs(mask.mean() - (1 - rate)) < 0.01


def test_dropout_is_drawn_from_the_random_state_and_has_the_right_gradient() -> None:
    from spanish_tok.t5.layers import Dropout

    dropout = Dropout(T5Config.spanish_tiny(dropout_rate=0.25)).train()
    x = torch.ones(64, 64, requires_grad=True)
    torch.manual_seed(5)
    first = dropout(x)
    first.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, first)
    torch.manual_seed(5)
    assert torch.equal(dropout(x), first)
    assert not torch.equal(dropout(x), first)
    assert dropout.eval()(x) is x
