"""The preset of KerasHub: there and back without loss, and every reader knows one. No Keras is needed for that."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

h5py = pytest.importorskip("h5py", reason="needs the extra keras")

import spanish_tok as st  # noqa: E402
from spanish_tok import Generator, SpanishTokError, T5Config, Tokenizer, Vocabulary, export  # noqa: E402
from spanish_tok.t5.checkpoint import Checkpoint  # noqa: E402
from spanish_tok.t5.export.keras import ORIGIN, read_keras  # noqa: E402
from spanish_tok.t5.export.keras_weights import WEIGHTS  # noqa: E402
from spanish_tok.tokenization.libraries import load_adapter  # noqa: E402

SIZES: dict[str, Any] = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_heads": 4}
GATED = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}


def saved(folder: Path, encoder: int = 2, decoder: int = 1, **options: Any) -> Path:
    """Write a model of random numbers."""
    config = T5Config(**{**SIZES, "num_layers": encoder, "num_decoder_layers": decoder, **options})
    random = np.random.default_rng(3)
    tensors = {
        name: random.normal(0, 0.2, shape).astype(np.float32) for name, shape in config.shapes().items()
    }
    Checkpoint(config, tensors, Vocabulary.load()).save(folder)
    return folder


@pytest.mark.parametrize("options", [{}, GATED], ids=["tied", "gated"])
@pytest.mark.parametrize(("encoder", "decoder"), [(2, 1), (1, 3), (2, 2)])
def test_there_and_back_keeps_every_byte(
    encoder: int, decoder: int, options: dict[str, Any], tmp_path: Path
) -> None:
    model = saved(tmp_path / "model", encoder, decoder, **options)
    preset = export(model, tmp_path / "preset", to="keras")
    back = export(preset, tmp_path / "back", to="transformers", source="keras")
    names = {path.name for path in model.iterdir()}
    assert {path.name for path in back.iterdir()} == names
    assert all((back / name).read_bytes() == (model / name).read_bytes() for name in names)


def test_a_folder_that_keras_hub_wrote_has_our_vocabulary(tmp_path: Path) -> None:
    preset = export(saved(tmp_path / "model"), tmp_path / "preset", to="keras")
    shutil.rmtree(preset / ORIGIN)  # KerasHub's save_to_preset knows nothing of it
    found, model = read_keras(preset), Checkpoint.load(tmp_path / "model")
    assert found.vocabulary.fingerprint == Vocabulary.load().fingerprint
    assert found.config == replace(model.config, num_layers=2)
    assert all(np.array_equal(found.tensors[name], model.tensors[name]) for name in model.tensors)
    found.save(tmp_path / "again")
    assert Generator.load(tmp_path / "again").tokenizer.encode("la casa") == Tokenizer.load().encode(
        "la casa"
    )
    shutil.rmtree(preset / "assets")
    with pytest.raises(SpanishTokError, match="holds no tokenizer"):
        read_keras(preset)


def test_an_added_layer_that_was_trained_stays(tmp_path: Path) -> None:
    preset = export(saved(tmp_path / "model"), tmp_path / "preset", to="keras")
    with h5py.File(preset / WEIGHTS, "r+") as file:
        file["layers/t5_transformer_layer_3/output_projector/vars/0"][5, 6] = 0.5
    with pytest.warns(UserWarning, match="was trained: the model has 2 decoder layers now, not 1"):
        export(preset, tmp_path / "back", to="transformers", source="keras")
    assert T5Config.from_json(tmp_path / "back/config.json").num_decoder_layers == 2
    assert (
        Checkpoint.load(tmp_path / "back").tensors["decoder.block.1.layer.2.DenseReluDense.wo.weight"][6, 5]
        == 0.5
    )


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"relative_attention_num_buckets": 16}, "32 buckets up to a distance of 128"),
        ({"relative_attention_max_distance": 64}, "32 buckets up to a distance of 128"),
        ({"feed_forward_proj": "gated-silu"}, "no gated-silu"),
        ({"model_type": "umt5"}, "an umT5 one each"),
        ({"scale_decoder_outputs": False}, "scales the outputs of a tied T5"),
        ({"decoder_start_token_id": 5}, "begins to write with <pad>"),
    ],
)
def test_what_keras_hub_computes_otherwise_is_refused(
    options: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(SpanishTokError, match=f"preset of KerasHub: .*{reason}"):
        export(saved(tmp_path / "model", **options), tmp_path / "preset", to="keras")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


READERS: dict[str, Callable[[Path], Any]] = {
    "Checkpoint.load": Checkpoint.load,
    "Generator.load": Generator.load,
    "Vocabulary.load": Vocabulary.load,
    "Tokenizer.load": Tokenizer.load,
    "load_adapter": load_adapter,
    "T5Config.from_json": lambda folder: T5Config.from_json(folder / "config.json"),
    "trim": lambda folder: st.trim(folder, folder.parent / "new", texts=["hola"]),
    "transplant": lambda folder: st.transplant(folder, folder.parent / "new"),
    "export": lambda folder: export(folder, folder.parent / "new", to="transformers"),
}
TRAINERS: dict[str, Callable[[Path], Any]] = {
    "T5.load": lambda folder: st.T5.load(folder),
    "Predictor.load": lambda folder: st.Predictor.load(folder),
    "evaluate": lambda folder: st.evaluate(texts=[{"text": "a", "label": "b"}], model=folder),
    "finetune": lambda folder: st.finetune(texts=[{"text": "a"}], task="summarization", model=folder),
    "pretrain": lambda folder: st.pretrain(texts=["hola " * 99], model=str(folder), steps=1, warmup=0),
    "start": lambda folder: st.pretrain(texts=["hola " * 99], start=str(folder), steps=1, warmup=0),
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("small")
    return export(saved(top / "model"), top / "preset", to="keras")


@pytest.mark.parametrize("reader", [*READERS, *TRAINERS])
def test_every_reader_names_the_way_back(reader: str, small: Path) -> None:
    if reader in TRAINERS:
        pytest.importorskip("torch", reason="needs the extra t5")
    with pytest.raises(SpanishTokError, match=f"export {small} --from keras --to transformers"):
        (READERS | TRAINERS)[reader](small)


def test_what_is_no_preset_is_named(small: Path, tmp_path: Path) -> None:
    model = small.parent / "model"
    with pytest.raises(SpanishTokError, match="is no preset of KerasHub's T5"):
        export(model, tmp_path / "out", to="transformers", source="keras")
    with pytest.raises(SpanishTokError, match=r"has no config\.json"):
        export(tmp_path / "nowhere", tmp_path / "out", to="transformers", source="keras")
    with pytest.raises(SpanishTokError, match="no export from 'flax'"):
        export(model, tmp_path / "out", to="transformers", source="flax")
    cut = shutil.copytree(small, tmp_path / "cut")
    (cut / WEIGHTS).write_bytes((cut / WEIGHTS).read_bytes()[:1000])
    with pytest.raises(SpanishTokError, match="is damaged"):
        read_keras(cut)
    (cut / WEIGHTS).unlink()
    with pytest.raises(SpanishTokError, match="10 GB"):
        read_keras(cut)
    with h5py.File(cut / WEIGHTS, "w") as file:
        file["layers/reversible_embedding/vars/0"] = np.zeros(3)
    with pytest.raises(SpanishTokError, match="is damaged, or no T5's"):
        read_keras(cut)
