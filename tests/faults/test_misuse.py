"""Misuse of models, generation, bench and Python (clauses C of the list of faults): one line that says what to do."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner

import spanish_tok as st
from spanish_tok import GenerateOptions, Generator, SpanishTokError, Tokenizer
from spanish_tok.cli import main
from spanish_tok.text.packed_table import normalize_column
from spanish_tok.vocab.counts.runs import count_runs


def run(*arguments: str | Path, text: str | None = None) -> Any:
    return CliRunner().invoke(main, list(map(str, arguments)), input=text)


@pytest.mark.parametrize("verb", ["bench", "compare"])
@pytest.mark.parametrize("text", ["😀😀\n👍\n", "\u200b\n", " \n\t\n"])
def test_C1_text_of_which_nothing_is_left_is_refused(
    verb: str, text: str, tmp_path: Path, folder: Path
) -> None:
    (tmp_path / "x.txt").write_text(text, encoding="utf-8")
    vocabulary = [folder] if verb == "compare" else []
    done = run(verb, *vocabulary, "--text", tmp_path / "x.txt")
    assert done.exit_code == 2
    assert "x.txt" in done.output


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("eos_token_id", "x"), ("d_model", "ancho"), ("num_layers", None), ("num_layers", {}), ("num_heads", [4]),
        ("dropout_rate", "x"), ("layer_norm_epsilon", []), ("vocab_size", 5000.5), ("is_gated_act", "x"),
    ],
)  # fmt: skip
def test_C2_values_of_a_configuration_have_their_types(name: str, value: Any, tmp_path: Path) -> None:
    values = {**st.T5Config.spanish_tiny().to_dict(), name: value}
    (tmp_path / "config.json").write_text(json.dumps(values), encoding="utf-8")
    if name == "is_gated_act":  # a field of others, which is not looked at
        assert st.T5Config.from_json(tmp_path / "config.json").d_model == 320
    else:
        with pytest.raises(SpanishTokError, match=r"config\.json.*" + name):
            st.T5Config.from_json(tmp_path / "config.json")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("length-penalty", "1000"), ("length-penalty", "-1000"), ("length-penalty", "nan"), ("length-penalty", "1e999"),
        ("max-new-tokens", "2000000000"), ("max-new-tokens", "0"), ("max-new-tokens", "99999999999999999999"),
        ("beams", "100000"), ("beams", "0"), ("top-k", "-1"), ("top-p", "0"), ("top-p", "nan"), ("temperature", "-1"),
        ("temperature", "inf"),
    ],
)  # fmt: skip
def test_C3_C4_C5_options_out_of_range_are_refused(option: str, value: str) -> None:
    beams = [] if option == "beams" else ["--beams", "4"]
    done = run("generate", f"--{option}", value, *beams, "hola")
    assert done.exit_code == 2
    assert option.split("-")[-1] in done.output


def test_C3_the_extremes_of_the_range_work() -> None:
    generator = Generator.load()
    for options in (
        GenerateOptions(length_penalty=10, num_beams=2, max_new_tokens=4),
        GenerateOptions(length_penalty=-10, num_beams=2, max_new_tokens=4),
        GenerateOptions(num_beams=30, max_new_tokens=2),
    ):
        assert generator.generate("la capital de <extra_id_0>", options).ids


TWICE = "uno <extra_id_0> dos <extra_id_0>"


@pytest.mark.parametrize("wrong", [TWICE, "uno <extra_id_100>", "<extra_id_999999999>"])
def test_C6_a_wrong_line_is_named_and_the_others_are_answered(wrong: str, tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text(
        f"la casa <extra_id_0>\n{wrong}\nel perro <extra_id_0>\n", encoding="utf-8"
    )
    out = tmp_path / "out.txt"
    failed = st.generate(files=tmp_path / "x.txt", output=out, max_new_tokens=4, scores=True)
    lines = out.read_text(encoding="utf-8").splitlines()
    assert [bool(line) for line in lines] == [True, False, True]
    assert [one.error.split(":")[0] for one in failed] == [f"{tmp_path / 'x.txt'}, line 2"]
    done = run("generate", "--max-new-tokens", "4", text=(tmp_path / "x.txt").read_text(encoding="utf-8"))
    assert done.exit_code == 1
    assert "line 2" in done.stderr
    assert len(done.stdout.splitlines()) == 3
    streamed = run("generate", "--stream", "--max-new-tokens", "4", "la casa", wrong, "el perro")
    assert streamed.exit_code == 1
    assert "Text 2" in streamed.stderr
    with pytest.raises(SpanishTokError):
        st.generate([wrong])


@pytest.mark.parametrize("verb", ["finetune", "predict", "evaluate", "pretrain"])
@pytest.mark.parametrize("device", ["cuda", "cuda:99", "tpu", "meta", "mps", "cpu:1"])
def test_C7_a_device_that_is_not_here_is_refused(verb: str, device: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    (tmp_path / "d.jsonl").write_text('{"text": "hola", "label": "a"}\n', encoding="utf-8")
    data, model = tmp_path / "d.jsonl", st.files.shipped("models/es-tiny")
    arguments: dict[str, list[str | Path]] = {
        "finetune": [data, "--task", "classification", "--output", tmp_path / "o"],
        "predict": [model, data],
        "evaluate": [model, data],
        "pretrain": [tmp_path, "--output", tmp_path / "o"],
    }
    done = run(verb, *arguments[verb], "--device", device)
    assert done.exit_code == 2
    assert "device" in done.output or verb in ("predict", "pretrain", "evaluate")
    with pytest.raises(SpanishTokError, match="no device"):
        st.Predictor.load(model, device=device)


@pytest.mark.parametrize("seed", ["-1", "100000000000000000000", "1.5", "x"])
@pytest.mark.parametrize("verb", ["sample", "finetune", "pretrain", "generate"])
def test_C8_seeds_that_are_none_are_refused(verb: str, seed: str, tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text('{"text": "hola", "label": "a"}\n', encoding="utf-8")
    data, out = tmp_path / "d.jsonl", tmp_path / "o"
    arguments: dict[str, list[str | Path]] = {
        "sample": [data, "--size", "1", "--output", out, "--seed", seed],
        "finetune": [data, "--task", "classification", "--output", out, "--seed", seed],
        "pretrain": [tmp_path, "--output", out, "--set", f"seed={seed}"],
        "generate": ["hola", "--max-new-tokens", "2", "--seed", seed],
    }
    done = run(verb, *arguments[verb])
    if verb == "generate" and seed in ("-1", "100000000000000000000"):  # any whole number draws there
        assert done.exit_code == 0
    else:
        assert done.exit_code == 2
        assert "seed" in done.output
    assert not out.exists()


@pytest.mark.parametrize("name", ["model.safetensors.index.json", "pytorch_model.bin", "tf_model.h5"])
def test_C9_a_folder_without_weights_that_can_be_read_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(st.T5Config.spanish_tiny().to_dict()), encoding="utf-8")
    (tmp_path / name).write_bytes(b"{}")
    done = run("generate", "--model", tmp_path, "hola")
    assert done.exit_code == 2
    assert str(tmp_path) in done.output


INDEX = {
    "weight_map": {"shared.weight": "model-00001-of-00002.safetensors", "lm_head.weight": "b.safetensors"}
}
MODEL_VERBS = {
    "generate": ["generate", "--model", "MODEL", "hola"],
    "export": ["export", "MODEL", "--to", "int8", "--output", "OUT"],
    "trim": ["trim", "MODEL", "--text", "TEXT", "--output", "OUT"],
    "transplant": ["transplant", "MODEL", "--output", "OUT"],
    "bench": ["bench", "--model", "MODEL"],
    "finetune": ["finetune", "TEXT", "--model", "MODEL", "--task", "summarization", "--output", "OUT"],
}


@pytest.mark.parametrize("verb", list(MODEL_VERBS))
@pytest.mark.parametrize("kind", ["model.safetensors", "pytorch_model.bin"])
def test_C9_what_a_part_of_a_model_is(verb: str, kind: str, tmp_path: Path) -> None:
    folder, text = tmp_path / "model", tmp_path / "x.txt"
    folder.mkdir()
    text.write_text("hola\n")
    names = {"MODEL": folder, "OUT": tmp_path / "out", "TEXT": text}
    call = [names.get(word, word) for word in MODEL_VERBS[verb]]
    (folder / f"{kind}.index.json").write_text(json.dumps(INDEX))
    for with_config in (False, True):
        if with_config:
            config = json.dumps(st.T5Config.spanish_tiny().to_dict())
            (folder / "config.json").write_text(config, encoding="utf-8")
        done = run(*call)
        assert (done.exit_code, done.output.count("\n")) == (2, 1)
        assert (
            f"holds no weights, only {kind}.index.json: an index that names b.safetensors and 1 more"
            in done.output
        )
    (folder / "b.safetensors").write_bytes(b"x")
    assert "model-00001-of-00002.safetensors is missing, which" in run(*call).output
    for path in folder.iterdir():
        path.unlink()
    (folder / kind).write_bytes(b"x")
    assert f"holds the weights of a model ({kind}) without its config.json" in run(*call).output
    assert not (tmp_path / "out").exists()


def test_C10_the_folder_of_a_run_names_its_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "run" / "checkpoint-0000100").mkdir(parents=True)
    (tmp_path / "run" / "checkpoint-0000200").mkdir()
    done = run("generate", "--model", tmp_path / "run", "hola")
    assert done.exit_code == 2
    assert "checkpoint-0000200" in done.output


def test_C11_a_folder_of_several_sizes_names_them(tmp_path: Path) -> None:
    for size in ("4000", "8000"):
        (tmp_path / size).mkdir()
        (tmp_path / size / "manifest.json").write_text("{}")
    done = run("verify", tmp_path)
    assert done.exit_code == 2
    assert "4000, 8000" in done.output


def test_C12_lists_of_python_are_decoded_or_refused(tokenizer: Tokenizer) -> None:
    lists = [tokenizer.encode("hola mundo"), [], tokenizer.encode("adiós")]
    assert tokenizer.decode_column(lists).to_pylist() == ["hola mundo", "", "adiós"]
    assert tokenizer.decode_column([]).to_pylist() == []
    wrong: list[Any] = [
        [1, 2],
        [[1.5]],
        [["a"]],
        "hola",
        7,
        None,
        [[5000]],
        [[-1]],
        [[2**70]],
        [[[1]]],
        [[None]],
    ]
    for lists in wrong:
        with pytest.raises(SpanishTokError):
            tokenizer.decode_column(lists)


@pytest.mark.parametrize(
    ("line", "told"),
    [("1884 hola", "'hola' is not an id"), ("1.5", "'1.5'"), ("-5", "is -5"), ("9" * 5000, "9'")],
)
def test_C12_a_line_of_ids_that_are_none_is_told(line: str, told: str) -> None:
    done = run("decode", text=f"1884\n{line}\n")
    assert done.exit_code == 2
    assert "standard input, line 2: " in done.output
    assert told in done.output
    assert len(done.output.splitlines()[-1]) < 200


@pytest.mark.parametrize("size", ["200", 200.0, None, [], ["200"], [200.5], True, (), {200}, -5, [200, -5]])
def test_C13_sizes_that_are_none_are_refused(size: Any) -> None:
    with pytest.raises(SpanishTokError, match="size"):
        st.train(texts=["el perro y la perra"] * 9, size=size)


@pytest.mark.parametrize("counts", [["hola"], "hola", {"hola": 1}, None, 7])
def test_C13_counts_that_are_none_are_refused(counts: Any) -> None:
    with pytest.raises(SpanishTokError):
        st.train(counts, size=[200])


# Arrow data that its producer has not validated


def strings(offsets: list[int], data: bytes = b"holamundo", kind: pa.DataType | None = None) -> pa.Array:
    """A column whose offsets were changed after Arrow had looked at them."""
    kind = kind or pa.large_string()
    window = np.zeros(len(offsets), np.int64 if kind == pa.large_string() else np.int32)
    buffers = [None, pa.py_buffer(window), pa.py_buffer(data)]
    column = pa.Array.from_buffers(kind, len(offsets) - 1, buffers)
    window[:] = offsets
    return column


def lists(offsets: list[int], ids: list[int]) -> pa.Array:
    """Lists of ids whose offsets were changed after Arrow had looked at them."""
    window, kind = np.zeros(len(offsets), np.int32), pa.list_(pa.uint16())
    values = pa.array(ids, pa.uint16())
    column = pa.Array.from_buffers(kind, len(offsets) - 1, [None, pa.py_buffer(window)], children=[values])
    window[:] = offsets
    return column


DAMAGED = [[0, 99], [0, 5, 3, 9], [-5, 4], [5, 4], [0, 1 << 40]]


@pytest.mark.parametrize("offsets", DAMAGED)
@pytest.mark.parametrize("kind", [pa.large_string(), pa.string()])
def test_columns_whose_offsets_run_astray_are_refused(
    offsets: list[int], kind: Any, tokenizer: Tokenizer
) -> None:
    if kind == pa.string() and max(offsets) > 1 << 31:
        pytest.skip("32-bit offsets do not reach so far")
    column = strings(offsets, kind=kind)
    for use in (tokenizer.encode_column, normalize_column, count_runs):
        for given in (column, pa.chunked_array([column]), column.slice(0, 1)):
            if given is column or max(offsets[:2]) > 9 or min(offsets[:2]) < 0 or offsets[1] < offsets[0]:
                with pytest.raises(SpanishTokError, match="column"):
                    use(given)


def test_damaged_dictionaries_views_and_lists_are_refused(tokenizer: Tokenizer) -> None:
    indices = pa.array([0, 7, -2], pa.int32())
    wild = pa.DictionaryArray.from_arrays(indices, pa.array(["a", "b"]), safe=False)
    with pytest.raises(SpanishTokError):
        tokenizer.encode_column(wild)
    for offsets in DAMAGED[:4]:
        with pytest.raises(SpanishTokError):
            tokenizer.decode_column(lists(offsets, [5, 6, 7]))
    assert tokenizer.decode_column(lists([0, 1, 3], [5, 6, 7])).to_pylist() == tokenizer.decode([[5], [6, 7]])


def test_text_that_is_not_utf_8_is_refused_by_row(tokenizer: Tokenizer) -> None:
    """Arrow does not check what its producer wrote; a row that is not UTF-8 is named, in a whole column or a slice."""
    column = strings([0, 4, 9], b"ho\xffa\xf0\x9f\x98\x20\xc3")
    with pytest.raises(SpanishTokError, match="Row 0 of the column is not valid UTF-8"):
        tokenizer.encode_column(column)
    with pytest.raises(SpanishTokError, match="is not valid UTF-8"):
        tokenizer.encode_column(column.slice(1))
