"""Damaged and hostile folders of each kind: refused by name, by what loads and by what cuts; no code of theirs runs."""

import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spanish_tok as st
from spanish_tok.t5.checkpoint import Checkpoint
from spanish_tok.t5.safetensors import read_tensors, write_tensors

torch = pytest.importorskip("torch")

Folders = Callable[[str], Path]
Spoil = Callable[[Path], object]
KINDS = ["t5", "t5-1.1", "mt5", "umt5"]
WEIGHTS, INDEX, LAYER = (
    "model.safetensors",
    "model.safetensors.index.json",
    "encoder.block.0.layer.0.SelfAttention.q.weight",
)


def _json(name: str, **values: Any) -> Spoil:
    def spoil(folder: Path) -> None:
        found = json.loads((folder / name).read_text()) if (folder / name).exists() else {}
        (folder / name).write_text(json.dumps(found | values))

    return spoil


def _write(name: str, content: bytes) -> Spoil:
    return lambda folder: (folder / name).write_bytes(content)


def _cut(name: str, share: float) -> Spoil:
    def spoil(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: int(len(data) * share)])

    return spoil


def _tensor(name: str, change: Callable[[Any], Any]) -> Spoil:
    def spoil(folder: Path) -> None:
        tensors = read_tensors(folder / WEIGHTS)
        tensors[name] = change(tensors[name])
        write_tensors(folder / WEIGHTS, tensors)

    return spoil


def _indexed(**places: str) -> Spoil:
    """Two files and an index; `places` says where an index puts the shared embedding instead, and other tensors."""

    def spoil(folder: Path) -> None:
        tensors = read_tensors(folder / WEIGHTS)
        (folder / WEIGHTS).unlink()
        files = {name: f"part-{1 + (name == LAYER)}.safetensors" for name in tensors}
        for file in set(files.values()):
            write_tensors(folder / file, {name: tensors[name] for name in tensors if files[name] == file})
        shutil.copy(folder / "part-1.safetensors", folder.parent / "part-1.safetensors")
        named = {"shared.weight" if name == "shared" else name: place for name, place in places.items()}
        (folder / INDEX).write_text(json.dumps({"weight_map": files | named}))

    return spoil


def _index_of(values: Any) -> Spoil:
    def spoil(folder: Path) -> None:
        (folder / WEIGHTS).unlink()
        (folder / INDEX).write_text(json.dumps(values))

    return spoil


def _header(header: Any, length: int | None = None) -> Spoil:
    """A safetensors file of a header alone, which may declare another length than it has."""

    def spoil(folder: Path) -> None:
        text = json.dumps(header).encode()
        size = len(text) if length is None else length
        (folder / WEIGHTS).write_bytes(size.to_bytes(8, "little") + text)

    return spoil


class Planted:
    """What a pickle could run."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("run"),)


def _pickled(name: str, write: Callable[[Any, Path], object]) -> Spoil:
    def spoil(folder: Path) -> None:
        (folder / WEIGHTS).unlink()
        write({"shared.weight": Planted()}, folder / name)
        if name != "pytorch_model.bin":
            index = {"weight_map": {"shared.weight": name}}
            (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))

    return spoil


def _plain_pickle(value: Any, path: Path) -> None:
    path.write_bytes(pickle.dumps(value))


def _endless_view(folder: Path) -> None:
    """A tensor of one number that says it has 10^15: nothing may be read before its shape is looked at."""
    (folder / WEIGHTS).unlink()
    tensors = {"shared.weight": torch.ones(1).expand(10**9, 10**6), "decoder.block.0.x": torch.ones(1)}
    torch.save(tensors, folder / "pytorch_model.bin")


def _more_rows(folder: Path) -> None:
    """The vocabulary fits the config, the file holds fewer rows: a cut must not read on into the next tensor."""
    _tensor("shared.weight", lambda array: array[:-100])(folder)


HUGE = {"shared.weight": {"dtype": "F32", "shape": [1 << 40, 1 << 40], "data_offsets": [0, 1 << 82]}}
FAULTS: dict[str, tuple[Spoil, str]] = {
    "an index that leaves the folder": (
        _indexed(shared="../part-1.safetensors"),
        r"index\.json names '\.\./part-1\.safetensors', which is no file beside it",
    ),
    "an index with a path": (_indexed(shared="/etc/passwd"), "names '/etc/passwd'"),
    "an index with a backslash": (_indexed(shared="..\\part-1.safetensors"), "which is no file beside it"),
    "an index with the folder": (_indexed(shared="."), r"names '\.'"),
    "an index with no name": (_indexed(shared=""), "names ''"),
    "an index with another place": (
        _indexed(shared="part-2.safetensors"),
        r"part-2\.safetensors lacks shared\.weight",
    ),
    "an index with a tensor too many": (
        _indexed(nothing="part-1.safetensors"),
        r"part-1\.safetensors lacks nothing",
    ),
    "an index of nothing": (_index_of({"weight_map": {}}), "is not an index of weights"),
    "an index of numbers": (_index_of({"weight_map": {"shared.weight": 5}}), "is not an index of weights"),
    "an index that is a list": (_index_of([1]), "is not an index of weights"),
    "fewer rows than the config": (_more_rows, r"shared\.weight has the shape \(\d+, 32\), not \(\d+, 32\)"),
    "another shape": (_tensor(LAYER, lambda array: array[:, :-1]), rf"{LAYER} has the shape \(24, 31\)"),
    "another rank": (_tensor(LAYER, lambda array: array.reshape(-1)), rf"{LAYER} has the shape \(768,\)"),
    "another type": (_tensor(LAYER, lambda array: array.astype(np.int64)), rf"{LAYER} is of type I64"),
    "no numbers": (_tensor(LAYER, lambda array: array * np.float32("nan")), rf"{LAYER} holds numbers that are"),
    "a header longer than the file": (_header(HUGE, 1 << 60), "its header is too long"),
    "a huge tensor in the header": (_header(HUGE), r"model\.safetensors is damaged or cut off"),
    "a header that is a list": (_header([1, 2]), "its header is not a JSON object"),
    "an entry that is no tensor": (_header({"shared.weight": [1]}), r"entry shared\.weight is damaged"),
    "weights that are cut off": (_cut(WEIGHTS, 0.9), r"model\.safetensors is damaged or cut off"),
    "no weights but noise": (_write(WEIGHTS, b"\xff" * 99), r"model\.safetensors is damaged or cut off"),
    "a pickle": (_pickled("pytorch_model.bin", torch.save), r"pytorch_model\.bin is damaged, or holds more"),
    "an old pickle": (_pickled("pytorch_model.bin", _plain_pickle), r"pytorch_model\.bin is damaged, or"),
    "a pickle in parts": (
        _pickled("pytorch_model-00001-of-00001.bin", torch.save),
        r"pytorch_model-00001-of-00001\.bin is damaged, or holds more",
    ),
    "a view without end": (_endless_view, r"shared\.weight has the shape \(1000000000, 1000000\)"),
    "config.json is cut off": (_cut("config.json", 0.5), r"config\.json"),
    "config.json is a list": (_write("config.json", b"[]"), r"config\.json"),
    "a size below 1": (_json("config.json", d_model=-4), "d_model is -4"),
    "a size that is no number": (_json("config.json", num_heads="tres"), "num_heads is 'tres'"),
    "a size beyond all": (_json("config.json", vocab_size=1 << 40), "vocab_size is"),
    "another kind": (_json("config.json", model_type="bert"), "model_type is 'bert'"),
    "noise for pieces": (_write("spiece.model", b"\x08\xff" * 40), r"spiece\.model (is|holds)"),
    "no pieces": (_write("spiece.model", b""), r"spiece\.model holds no pieces"),
    "tokenizer.json is a list": (_write("tokenizer.json", b"[]"), r"tokenizer\.json is not a JSON object"),
    "tokenizer.json nests without end": (_write("tokenizer.json", b"[" * 10**6), r"tokenizer\.json cannot be"),
    "an added token far away": (_json("added_tokens.json", casa=1 << 40), "an added token of the id 1099511627776"),
    "an added token before all": (_json("added_tokens.json", casa=-1), "an added token of the id -1"),
    "an added token without id": (_json("added_tokens.json", casa="x"), "has damaged files of a tokenizer"),
    "added tokens that are none": (_json("tokenizer.json", added_tokens=[5]), "has damaged files of a tokenizer"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_folder_is_refused_by_name(
    kind: str, fault: str, folder_of: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    model = tmp_path / "model"
    shutil.copytree(folder_of(kind), model)
    spoil, message = FAULTS[fault]
    spoil(model)
    with pytest.raises(st.SpanishTokError, match=message):
        Checkpoint.load(model)
    for call in (lambda: st.trim(model, tmp_path / "out", texts=["la casa"]),
                 lambda: st.transplant(model, tmp_path / "out")):  # fmt: skip
        with pytest.raises(st.SpanishTokError, match=message):
            call()
        assert not (tmp_path / "out").exists()
    assert not list((tmp_path / "here").iterdir())  # where a pickle that ran would leave a file


# what a tokenizer or a config may say that hurts a cut alone
CUTS: dict[str, tuple[Spoil, str]] = {
    "bad words that are none": (
        _json("generation_config.json", bad_words_ids=[5]),
        r"generation_config\.json names ids that are none",
    ),
    "a forced id that is none": (
        _json("generation_config.json", forced_bos_token_id="es"),
        r"generation_config\.json names ids that are none",
    ),
    "forced places without ids": (
        _json("generation_config.json", forced_decoder_ids=[[1]]),
        r"generation_config\.json names ids that are none",
    ),
    "a generation_config.json that is a list": (
        _write("generation_config.json", b"[]"),
        r"generation_config\.json is not a JSON object",
    ),
}


@pytest.mark.parametrize("fault", CUTS)
def test_a_damaged_config_is_refused_by_what_cuts(fault: str, folder_of: Folders, tmp_path: Path) -> None:
    shutil.copytree(folder_of("mt5"), tmp_path / "model")
    spoil, message = CUTS[fault]
    spoil(tmp_path / "model")
    for call in (lambda: st.trim(tmp_path / "model", tmp_path / "out", texts=["la casa"]),
                 lambda: st.transplant(tmp_path / "model", tmp_path / "out")):  # fmt: skip
        with pytest.raises(st.SpanishTokError, match=message):
            call()
        assert not (tmp_path / "out").exists()


def test_a_start_without_a_piece_is_refused_by_trim(folder_of: Folders, tmp_path: Path) -> None:
    shutil.copytree(folder_of("mt5"), tmp_path / "model")
    rows = json.loads((tmp_path / "model" / "config.json").read_text())["vocab_size"]
    _json("config.json", decoder_start_token_id=rows - 1)(tmp_path / "model")
    with pytest.raises(
        st.SpanishTokError, match=rf"decoder_start_token_id is {rows - 1}, and the vocabulary"
    ):
        st.trim(tmp_path / "model", tmp_path / "out", texts=["la casa"])


def test_sentinels_without_end_are_refused(folder_of: Folders, tmp_path: Path) -> None:
    shutil.copy(folder_of("t5") / "spiece.model", tmp_path)
    _json("tokenizer_config.json", extra_ids=1 << 40)(tmp_path)
    with pytest.raises(st.SpanishTokError, match="extra_ids is 1099511627776"):
        st.Vocabulary.load(tmp_path)


def test_another_tokenizer_than_unigram_is_refused_by_trim(folder_of: Folders, tmp_path: Path) -> None:
    shutil.copytree(folder_of("t5"), tmp_path / "model")
    (tmp_path / "model" / "spiece.model").unlink()
    words = {"<pad>": 0, "</s>": 1, "<unk>": 2, "la": 3, "casa": 4}
    model = {"type": "WordLevel", "vocab": words, "unk_token": "<unk>"}
    _json("tokenizer.json", model=model, added_tokens=[])(tmp_path / "model")
    with pytest.raises(st.SpanishTokError, match=r"tokenizer\.json holds a WordLevel model"):
        st.trim(tmp_path / "model", tmp_path / "out", texts=["la casa"])


def test_files_that_trim_reads_and_writes_are_checked(folder_of: Folders, tmp_path: Path) -> None:
    model, out = folder_of("mt5"), tmp_path / "out"
    (tmp_path / "latin.txt").write_bytes("ñ".encode("latin-1"))
    (tmp_path / "es.txt").write_text("la casa")
    for message, options in (
        ("none.txt cannot be read", {"keep_characters": tmp_path / "none.txt", "texts": ["la"]}),
        ("latin.txt is not UTF-8", {"keep_characters": tmp_path / "latin.txt", "texts": ["la"]}),
        ("none.parquet is no Parquet file", {"counts": tmp_path / "none.parquet"}),
        ("es.txt is read as an input", {"save_counts": tmp_path / "es.txt", "input": tmp_path / "es.txt"}),
        ("latin.txt exists already", {"save_counts": tmp_path / "latin.txt", "texts": ["la"]}),
        ("multiple is 0", {"multiple": 0, "texts": ["la"]}),
        ("none.txt", {"input": tmp_path / "none.txt"}),
    ):
        with pytest.raises(st.SpanishTokError, match=message):
            st.trim(model, out, **options)
        assert not out.exists()


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
import spanish_tok as st
try:
    st.trim(sys.argv[1], sys.argv[2], texts=["la casa"])
except st.SpanishTokError as error:
    print(error)
try:
    st.Generator.load(sys.argv[1])
except st.SpanishTokError as error:
    print(error)
"""


def test_a_bin_file_without_torch_says_what_it_needs(folder_of: Folders, tmp_path: Path) -> None:
    shutil.copytree(folder_of("t5"), tmp_path / "model")
    tensors = read_tensors(tmp_path / "model" / WEIGHTS)
    state = {name: torch.from_numpy(array) for name, array in tensors.items()}
    torch.save(state, tmp_path / "model" / "pytorch_model.bin")
    (tmp_path / "model" / WEIGHTS).unlink()
    command = [sys.executable, "-c", WITHOUT_TORCH, str(tmp_path / "model"), str(tmp_path / "out")]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert told.count("pytorch_model.bin needs torch to be read") == 2
    assert told.count("pip install 'spanish-tok[t5]'") == 2


def test_safetensors_need_no_torch(folder_of: Folders, tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_TORCH, str(folder_of("mt5")), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert (tmp_path / "out" / WEIGHTS).exists()
