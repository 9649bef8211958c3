"""Any T5 is loaded as transformers loads it: logits, cached steps, ids; what cannot be read is refused by name."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spanish_tok import Generator, SpanishTokError, T5Config, Tokenizer, Vocabulary
from spanish_tok.t5.checkpoint import Checkpoint
from spanish_tok.t5.cpu_backend import CpuBackend
from spanish_tok.t5.foreign.files import TorchTensor, weights_of
from spanish_tok.t5.safetensors import StoredTensor, read_tensors, write_tensors
from tests.t5.foreign.models import KINDS, make, save_tokenizer

torch = pytest.importorskip("torch")

Folders = Callable[[str], Path]
ROWS = [list(range(5, 5 + length)) for length in (40, 20, 3)]
STEPS = 20
SPANISH = ["La niña comió ñoquis, 3,5 % más.", "¿Quién vive?", "", "EL AÑO 2024: «fin»", "un  día", "½ kilo"]


def batch() -> tuple[Any, Any, Any]:
    """Ids with padding, their mask, and what the decoder reads."""
    ids, mask = torch.zeros((3, 40), dtype=torch.long), torch.zeros((3, 40), dtype=torch.long)
    for row, numbers in enumerate(ROWS):
        ids[row, : len(numbers)] = torch.tensor(numbers)
        mask[row, : len(numbers)] = 1
    written = torch.randint(3, 580, (3, STEPS), generator=torch.Generator().manual_seed(1))
    written[:, 0] = 0
    return ids, mask, written


def expected(folder: Path) -> Any:
    import transformers

    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    ids, mask, written = batch()
    with torch.no_grad():
        return model(input_ids=ids, attention_mask=mask, decoder_input_ids=written).logits.numpy()


def check_logits(folder: Path, right: Any) -> Checkpoint:
    """Compare whole targets, and cached steps of both backends, with transformers' logits."""
    from spanish_tok.t5.model import T5
    from spanish_tok.t5.torch_backend import TorchBackend

    checkpoint = Checkpoint.load(folder)
    model = T5.from_checkpoint(checkpoint)
    ids, mask, written = batch()
    bound = 1e-4 * max(1.0, float(np.abs(right).max()))
    with torch.no_grad():
        whole = model(ids, attention_mask=mask, decoder_input_ids=written).numpy()
    assert np.abs(whole - right).max() < bound
    for backend in (TorchBackend(model), CpuBackend(checkpoint)):
        state = backend.start(ROWS, STEPS)
        for step in range(STEPS):
            assert np.abs(state.step(written[:, step].numpy()) - right[:, step]).max() < bound
    return checkpoint


@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_those_of_transformers(kind: str, folder_of: Folders) -> None:
    checkpoint = check_logits(folder_of(kind), expected(folder_of(kind)))
    assert checkpoint.config.tie_word_embeddings is not KINDS[kind][2]
    assert checkpoint.config.scaled is (kind in ("t5", "t5-silu", "t5-scaled-untied", "umt5", "umt5-untied"))
    assert checkpoint.vocabulary.sentinels == (0 if kind.startswith("umt5") else 100)


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_folder_is_the_same_model_for_both(kind: str, folder_of: Folders, tmp_path: Path) -> None:
    checkpoint = Checkpoint.load(folder_of(kind))
    checkpoint.save(tmp_path)
    again = check_logits(tmp_path, expected(tmp_path))
    assert again.config == checkpoint.config
    assert np.allclose(expected(tmp_path), expected(folder_of(kind)), atol=1e-5)
    assert (tmp_path / "spiece.model").read_bytes() == (folder_of(kind) / "spiece.model").read_bytes()


def _as_parts(folder: Path, model: Any) -> None:
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="20KB")
    assert (folder / "model.safetensors.index.json").exists()


def _as_bin(folder: Path, model: Any) -> None:
    (folder / "model.safetensors").unlink()
    torch.save(model.state_dict(), folder / "pytorch_model.bin")  # with all copies of the embedding


def _as_old_bin(folder: Path, model: Any) -> None:
    (folder / "model.safetensors").unlink()
    state = {name: tensor.half() for name, tensor in model.state_dict().items()}
    torch.save(state, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    model.load_state_dict({name: tensor.float() for name, tensor in state.items()})


def _as_bin_parts(folder: Path, model: Any) -> None:
    _as_bin(folder, model)
    state = torch.load(folder / "pytorch_model.bin", weights_only=True)
    (folder / "pytorch_model.bin").unlink()
    places = {name: f"pytorch_model-{n % 2 + 1:05}-of-00002.bin" for n, name in enumerate(state)}
    for file in set(places.values()):
        torch.save({name: state[name] for name in places if places[name] == file}, folder / file)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": places}))


def _historical(folder: Path, _: Any) -> None:
    tensors = read_tensors(folder / "model.safetensors")
    bias = np.ones((32, 3), np.float32)
    tensors["decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"] = bias
    for name in ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "some.other.copy"):
        tensors[name] = tensors["shared.weight"]
    write_tensors(folder / "model.safetensors", tensors)


def _only_the_encoders_copy(folder: Path, _: Any) -> None:
    tensors = read_tensors(folder / "model.safetensors")
    tensors["encoder.embed_tokens.weight"] = tensors.pop("shared.weight")
    write_tensors(folder / "model.safetensors", tensors)


def _wrapped(folder: Path, _: Any) -> None:
    tensors = read_tensors(folder / "model.safetensors")
    write_tensors(folder / "model.safetensors", {f"module.{name}": array for name, array in tensors.items()})


FILES: dict[str, Callable[[Path, Any], None]] = {
    "parts": _as_parts,
    "bin": _as_bin,
    "old bin of halves": _as_old_bin,
    "bin in parts": _as_bin_parts,
    "historical tensors and copies": _historical,
    "the encoder's copy alone": _only_the_encoders_copy,
    "wrapped": _wrapped,
}


@pytest.mark.parametrize("files", FILES)
@pytest.mark.parametrize("kind", ["t5", "t5-1.1"])
def test_files_of_every_form(files: str, kind: str, tmp_path: Path) -> None:
    model = make(kind, tmp_path)
    FILES[files](tmp_path, model)
    ids, mask, written = batch()
    with torch.no_grad():
        right = model(input_ids=ids, attention_mask=mask, decoder_input_ids=written).logits.numpy()
    check_logits(tmp_path, right)


def test_rows_of_a_bin_file_are_read_from_their_places(tmp_path: Path) -> None:
    """Without a map of the file, which would count as memory; a tensor that is no plain one needs torch's reader."""
    numbers = torch.arange(60.0).reshape(12, 5)
    plain = {"a": numbers, "b": numbers[4:], "c": numbers.half(), "d": numbers.bfloat16(), "e": numbers[:0]}
    for state, place in ((plain, StoredTensor), (plain | {"turned": numbers.T}, TorchTensor)):
        torch.save(state, tmp_path / "pytorch_model.bin")
        weights = weights_of(tmp_path)
        assert {type(tensor) for tensor in weights.values()} == {place}
        for name, tensor in state.items():
            assert weights[name].shape == tuple(tensor.shape)
            assert np.array_equal(weights[name].read().numbers(), tensor.float().numpy())
            rows = np.array([3, 4, 0] if len(tensor) else [], np.int64)
            assert np.array_equal(weights[name].read(rows).numbers(), tensor[torch.from_numpy(rows)].float())


@pytest.mark.parametrize("kind", KINDS)
def test_int8_keeps_the_head_and_the_scale(kind: str, folder_of: Folders, tmp_path: Path) -> None:
    checkpoint = Checkpoint.load(folder_of(kind))
    checkpoint.save(tmp_path, precision="int8")
    assert Checkpoint.load(tmp_path).config == checkpoint.config


@pytest.mark.parametrize("form", ["spiece", "json"])
def test_engines_of_every_form_take_lists(form: str, tmp_path: Path) -> None:
    save_tokenizer("t5", tmp_path, form)
    engine = Tokenizer.load(tmp_path)._engine
    ids = engine.encode(SPANISH)
    assert engine.normalize(SPANISH) == [engine.normalize(text) for text in SPANISH]
    assert engine.decode(ids) == [engine.decode(row) if row else "" for row in ids]


class Planted:
    """What a pickle could run."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("run"),)


def test_no_pickle_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make("t5", tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").unlink()
    for write in (torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))):
        write({"shared.weight": Planted()}, tmp_path / "model" / "pytorch_model.bin")
        with pytest.raises(
            SpanishTokError, match=r"pytorch_model\.bin is damaged, or holds more than weights"
        ):
            Checkpoint.load(tmp_path / "model")
        assert not (tmp_path / "run").exists()


def test_a_foreign_generator_writes_what_transformers_writes(folder_of: Folders) -> None:
    import transformers

    for kind in ("t5-1.1", "mt5", "umt5"):
        folder = folder_of(kind)
        model = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        rows = tokenizer(["La casa es grande."], return_tensors="pt")
        theirs = model.generate(**rows, max_new_tokens=12, do_sample=False, num_beams=1)[0].tolist()
        generator = Generator.load(folder)
        found = generator.write_ids([rows["input_ids"][0].tolist()], None)
        size = generator.tokenizer.vocab_size
        if max(theirs) < size:  # transformers may write an id that no text has
            assert list(found[0].ids)[:11] == [number for number in theirs[1:] if number != 1][:11]


@pytest.mark.parametrize("form", ["spiece", "json", "both"])
@pytest.mark.parametrize("kind", ["t5", "mt5", "umt5"])
def test_ids_are_those_of_transformers(kind: str, form: str, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    save_tokenizer(kind, tmp_path, form)
    theirs, ours = AutoTokenizer.from_pretrained(tmp_path), Tokenizer.load(tmp_path)
    assert len(theirs) == ours.vocab_size
    for text in SPANISH:
        ids = theirs(text)["input_ids"]
        if 2 not in ids:  # byte pieces: transformers 5 leaves them out
            assert [*ours.encode(text), ours.vocabulary.eos] == ids
            assert ours.decode(ours.encode(text)) == theirs.decode(ids, skip_special_tokens=True)
    for k in range(ours.vocabulary.sentinels):
        name = theirs.convert_ids_to_tokens(ours.sentinel_id(k))
        assert name.removeprefix("▁") == f"<extra_id_{k}>"
    typed = ours.encode("a </s> <extra_id_0> ▁<extra_id_1>")
    assert set(typed) & set(ours.vocabulary.special_ids) <= {ours.vocabulary.unknown}
    column = ours.encode_column(SPANISH)
    assert column.to_pylist() == ours.encode(SPANISH)
    assert ours.decode_column(column).to_pylist() == ours.decode(ours.encode(SPANISH))
    assert not ours.vocabulary.pieces[ours.encode_continued("na")[0]].startswith("▁")


def test_bytes_wait_until_they_are_a_character(tmp_path: Path) -> None:
    save_tokenizer("mt5", tmp_path, "spiece")
    tokenizer = Tokenizer.load(tmp_path)
    ids = tokenizer.encode("sol 日本 mar")
    stream = tokenizer.stream()
    parts = [stream.push(number) for number in ids]
    assert "".join(parts) == tokenizer.decode(ids) == "sol 日本 mar"
    assert "日" in parts
    assert [stream.push(ids[parts.index("日") - 2]), stream.end()] == ["", "�"]


def test_spiece_model_decides_and_differing_ids_are_told(tmp_path: Path) -> None:
    save_tokenizer("t5", tmp_path, "both")
    values = json.loads((tmp_path / "tokenizer.json").read_text())
    vocab = values["model"]["vocab"]
    vocab[10], vocab[11] = vocab[11], vocab[10]
    (tmp_path / "tokenizer.json").write_text(json.dumps(values))
    with pytest.warns(
        UserWarning, match=r"tokenizer\.json gives 2 ids another piece than spiece\.model.* 10:"
    ):
        vocabulary = Vocabulary.load(tmp_path)
    assert vocabulary.pieces[10] == vocab[11][0]
    vocabulary.save(tmp_path / "saved")
    assert not (tmp_path / "saved" / "tokenizer.json").exists()


V4: dict[str, Any] = {"transformers_version": "4.31.0"}


@pytest.mark.parametrize(
    ("values", "tied", "scaled"),
    [
        ({}, True, True),
        ({"tie_word_embeddings": False}, False, False),
        ({"tie_word_embeddings": True, "scale_decoder_outputs": False}, False, False),
        ({"model_type": "mt5", "tie_word_embeddings": True}, True, False),
        ({"model_type": "mt5", "tie_word_embeddings": False, **V4}, False, False),
        ({"model_type": "mt5", "tie_word_embeddings": True, **V4}, True, True),
        ({"model_type": "umt5", "tie_word_embeddings": False}, False, True),
        ({"model_type": "umt5", "tie_word_embeddings": False, **V4}, False, False),
        ({"model_type": "umt5", **V4}, True, True),
    ],
)
def test_what_a_config_means_by_its_age(values: dict[str, Any], tied: bool, scaled: bool) -> None:
    sizes = {"vocab_size": 100, "d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2}
    config = T5Config.from_dict({**sizes, **values})
    assert (config.tie_word_embeddings, config.scaled) == (tied, scaled)
    assert T5Config.from_dict(config.to_dict()) == config


def test_configs_of_every_age() -> None:
    config = T5Config.from_dict(
        {
            "vocab_size": "100", "d_model": 8.0, "d_kv": "4", "d_ff": 8, "num_layers": 1, "num_heads": 2,
            "eos_token_id": [1, 5], "pad_token_id": None, "dropout_rate": "0.2", "n_positions": 512,
            "output_past": True, "task_specific_params": {"summarization": {"prefix": "summarize: "}},
        }
    )  # fmt: skip
    assert (config.vocab_size, config.d_model, config.eos_token_id, config.pad_token_id) == (100, 8, 1, 0)
    assert config.dropout_rate == 0.2
    assert config.to_dict()["task_specific_params"] == {"summarization": {"prefix": "summarize: "}}


def test_missing_entries_are_those_of_the_kind() -> None:
    import transformers

    sizes = {"vocab_size": 100, "d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2}
    for kind, form in (("t5", "relu"), ("mt5", "gated-gelu"), ("umt5", "gated-gelu")):
        config = T5Config.from_dict({**sizes, "model_type": kind})
        assert config.feed_forward_proj == form
        assert getattr(transformers, f"{kind.upper()}Config")(**sizes).feed_forward_proj == form


def _config(**values: Any) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | values))

    return spoil


def _without_decoder(folder: Path) -> None:
    tensors = read_tensors(folder / "model.safetensors")
    kept = {name: array for name, array in tensors.items() if not name.startswith("decoder")}
    write_tensors(folder / "model.safetensors", kept)


def _two_embeddings(folder: Path) -> None:
    tensors = read_tensors(folder / "model.safetensors")
    tensors["encoder.embed_tokens.weight"] = tensors["shared.weight"] + 1
    write_tensors(folder / "model.safetensors", tensors)


def _missing_part(folder: Path) -> None:
    index = {"weight_map": {"shared.weight": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def _cut_spiece(folder: Path) -> None:
    data = (folder / "spiece.model").read_bytes()
    (folder / "spiece.model").write_bytes(data[: data.index("▁de".encode()) - 4])


def _flax(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "flax_model.msgpack")


def _no_tokenizer(folder: Path) -> None:
    for name in ("spiece.model", "tokenizer.json"):
        (folder / name).unlink()


def _byt5(folder: Path) -> None:
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "ByT5Tokenizer"}))


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "LongT5": (_config(model_type="longt5"), "is a LongT5"),
    "Switch": (_config(model_type="switch_transformers"), "is a Switch Transformer"),
    "T5Gemma": (_config(model_type="t5gemma"), "is a T5Gemma"),
    "ByT5": (_byt5, "is a ByT5"),
    "ByT5 by config": (_config(tokenizer_class="ByT5Tokenizer"), "is a ByT5"),
    "encoder by config": (_config(architectures=["T5EncoderModel"]), "an encoder alone"),
    "encoder by tensors": (_without_decoder, "model.safetensors holds an encoder alone"),
    "two embeddings": (_two_embeddings, r"encoder\.embed_tokens\.weight differs from shared\.weight"),
    "part missing": (_missing_part, r"an index that names model-00001-of-00002\.safetensors"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), r"model\.safetensors does not exist"),
    "Flax": (_flax, "for Flax alone"),
    "cut spiece.model": (_cut_spiece, r"spiece\.model is "),
    "broken tokenizer": (
        lambda f: (f / "tokenizer.json").write_text("{"),
        r"tokenizer\.json is not valid JSON",
    ),
    "no tokenizer": (_no_tokenizer, "holds no vocabulary"),
    "activation": (_config(feed_forward_proj="gated-relu"), "feed_forward_proj is 'gated-relu'"),
    "another activation": (
        _config(dense_act_fn="gelu"),
        "dense_act_fn is 'gelu', and feed_forward_proj 'relu'",
    ),
    "eos": (_config(eos_token_id="fin"), "eos_token_id is 'fin'"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_what_cannot_be_read_is_refused_by_name(fault: str, folder_of: Folders, tmp_path: Path) -> None:
    shutil.copytree(folder_of("t5"), tmp_path / "model")
    spoil, message = REFUSED[fault]
    spoil(tmp_path / "model")
    with pytest.raises(SpanishTokError, match=message):
        Checkpoint.load(tmp_path / "model")
