"""A trimmed model: the same ids, numbers and text for what the pieces that stayed can write; faults are seen."""

import json
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import spanish_tok as st
from spanish_tok.cli import main
from spanish_tok.files import shipped
from spanish_tok.t5.checkpoint import Checkpoint
from spanish_tok.t5.foreign.piece_counts import PieceCounts
from spanish_tok.t5.safetensors import read_tensors, stored_tensors, write_tensors
from tests.t5.foreign.models import make, many_texts, mt5_of_rows

torch = pytest.importorskip("torch")

Folders = Callable[[str], Path]
SENTENCES = shipped("corpus/sentences-es.txt").read_text(encoding="utf-8").splitlines()
FEW = SENTENCES[:40]
TEXTS = many_texts(1000)


@pytest.mark.parametrize("kind", ["t5", "t5-1.1", "t5-silu", "mt5", "umt5"])
def test_a_trimmed_model_is_the_same_for_transformers_and_here(
    kind: str, folder_of: Folders, tmp_path: Path
) -> None:
    import transformers

    before, after = folder_of(kind), tmp_path / "trimmed"
    result = st.trim(before, after, texts=TEXTS, multiple=8)
    assert result.ids < result.ids_before - 50
    assert (result.rows % 8, result.share) == (0, 1.0)
    old, new = (transformers.AutoTokenizer.from_pretrained(folder) for folder in (before, after))
    names = [st.Tokenizer.load(folder).vocabulary.pieces for folder in (before, after)]
    assert len(new) == result.ids == len(names[1])
    for rows in zip(old(TEXTS)["input_ids"], new(TEXTS)["input_ids"], strict=True):
        assert [names[0][n] for n in rows[0]] == [names[1][n] for n in rows[1]]
    models = [transformers.AutoModelForSeq2SeqLM.from_pretrained(folder).eval() for folder in (before, after)]
    assert models[1].config.vocab_size == result.rows
    logits = []
    for tokenizer, model in ((old, models[0]), (new, models[1])):
        rows = tokenizer(TEXTS[:8], return_tensors="pt", padding=True)
        with torch.no_grad():
            logits.append(
                model(
                    input_ids=rows["input_ids"], attention_mask=rows["attention_mask"],
                    decoder_input_ids=rows["input_ids"][:, :6],
                ).logits
            )  # fmt: skip
    kept = torch.tensor([names[0].index(piece) for piece in names[1]])
    assert (logits[0][..., kept] - logits[1][..., : len(kept)]).abs().max() < 1e-5
    checked = st.verify(after, against=before, texts=[*TEXTS[:100], *SENTENCES])
    assert checked.ok, [str(check) for check in checked.checks]
    assert checked.checks[1].tried >= 100
    assert 0 < checked.shares["texts"] <= checked.shares["words"] < 1
    if kind != "umt5":
        assert st.Generator.load(after).fill("la <extra_id_0> de", max_new_tokens=3).startswith("la")


@pytest.fixture(scope="module")
def trimmed(folder_of: Folders, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trimmed") / "mt5"
    st.trim(folder_of("mt5"), folder, texts=FEW)
    return folder


def _swapped_pieces(folder: Path) -> None:
    """Two pieces change places in spiece.model, not their rows."""
    from sentencepiece import sentencepiece_model_pb2 as proto

    model = proto.ModelProto.FromString((folder / "spiece.model").read_bytes())
    pieces = [piece.piece for piece in model.pieces]
    one, two = model.pieces[pieces.index("▁de")], model.pieces[pieces.index("▁la")]
    one.piece, two.piece, one.score, two.score = two.piece, one.piece, two.score, one.score
    (folder / "spiece.model").write_bytes(model.SerializeToString())
    (folder / "tokenizer.json").unlink()


def _lost_piece(folder: Path) -> None:
    from sentencepiece import sentencepiece_model_pb2 as proto

    model = proto.ModelProto.FromString((folder / "spiece.model").read_bytes())
    next(piece for piece in model.pieces if piece.piece == "▁de").score = -90.0
    (folder / "spiece.model").write_bytes(model.SerializeToString())


def _row(name: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        tensors = read_tensors(folder / "model.safetensors")
        tensors[name] = tensors[name].copy()
        tensors[name][-1] += 0.5
        write_tensors(folder / "model.safetensors", tensors)

    return spoil


def _other_json(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        values = json.loads((folder / "tokenizer.json").read_text())
        change(values)
        (folder / "tokenizer.json").write_text(json.dumps(values))

    return spoil


def _two_swapped(values: dict[str, Any]) -> None:
    vocab = values["model"]["vocab"]
    one, two = (next(n for n, entry in enumerate(vocab) if entry[0] == piece) for piece in ("▁de", "▁la"))
    vocab[one], vocab[two] = vocab[two], vocab[one]


def _end_is_another(values: dict[str, Any]) -> None:
    values["post_processor"]["special_tokens"]["</s>"]["ids"] = [5]


def _config(name: str, **ids: Any) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        values = json.loads((folder / name).read_text()) | ids
        (folder / name).write_text(json.dumps(values))

    return spoil


SPOILED: dict[str, tuple[Callable[[Path], None], set[str]]] = {
    "pieces swapped": (_swapped_pieces, {"rows", "logits"}),
    "a piece that is never taken": (_lost_piece, {"ids"}),
    "a row of the embedding": (_row("shared.weight"), {"rows"}),
    "a row of the head": (_row("lm_head.weight"), {"rows", "logits"}),
    "a layer": (_row("encoder.block.0.layer.0.SelfAttention.o.weight"), {"logits"}),
    "pieces of tokenizer.json swapped": (_other_json(_two_swapped), {"tokenizer.json"}),
    "another end in tokenizer.json": (_other_json(_end_is_another), {"tokenizer.json"}),
    "another start": (_config("config.json", decoder_start_token_id=5), {"ids in the configs"}),
    "another end": (_config("generation_config.json", eos_token_id=[1, 7]), {"ids in the configs"}),
    "a word that may not be written": (
        _config("generation_config.json", bad_words_ids=[[7]]),
        {"ids in the configs"},
    ),
}


@pytest.mark.parametrize("fault", SPOILED)
def test_a_fault_is_seen(fault: str, trimmed: Path, folder_of: Folders, tmp_path: Path) -> None:
    shutil.copytree(trimmed, tmp_path / "spoiled")
    spoil, seen = SPOILED[fault]
    spoil(tmp_path / "spoiled")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that tokenizer.json gives other ids
        found = st.verify(tmp_path / "spoiled", against=folder_of("mt5"), texts=FEW)
    assert not found.ok
    names = {check.name.split(":")[0].removesuffix(" of kept ids") for check in found.checks if check.failed}
    assert seen <= names


def test_the_command_ends_with_status_1_for_none_or_a_wrong_one(
    trimmed: Path, folder_of: Folders, tmp_path: Path
) -> None:
    (tmp_path / "es.txt").write_text("\n".join(FEW), encoding="utf-8")
    (tmp_path / "zh.txt").write_text("Xwyk QZJ #~@\n", encoding="utf-8")
    run = CliRunner().invoke
    model = str(folder_of("mt5"))
    good = run(main, ["verify", str(trimmed), "--against", model, "--text", str(tmp_path / "es.txt")])
    assert good.exit_code == 0, good.output
    assert "words cut as before: 100.00%" in good.output
    none = run(main, ["verify", str(trimmed), "--against", model, "--text", str(tmp_path / "zh.txt")])
    assert none.exit_code == 1
    shutil.copytree(trimmed, tmp_path / "spoiled")
    _lost_piece(tmp_path / "spoiled")
    bad = run(
        main, ["verify", str(tmp_path / "spoiled"), "--against", model, "--text", str(tmp_path / "es.txt")]
    )
    assert bad.exit_code == 1
    assert "FAIL" in bad.output


def test_several_files_may_follow_text(folder_of: Folders, tmp_path: Path) -> None:
    files = [tmp_path / "uno.txt", tmp_path / "dos.txt"]
    for file, text in zip(files, ("la casa", "el perro"), strict=True):
        file.write_text(text, encoding="utf-8")
    run, model = CliRunner().invoke, str(folder_of("mt5"))
    whole = st.trim(model, tmp_path / "whole", input=list(map(str, files))).ids
    one, two = map(str, files)
    for number, texts in enumerate((["--text", one, two], ["--text", one, "--text", two], [one, two])):
        out = str(tmp_path / str(number))
        done = run(main, ["trim", model, "--output", out, *texts])
        assert done.exit_code == 0, done.output
        assert done.output.strip().splitlines()[-1].startswith(f"{whole:,} ids of")
        found = run(main, ["verify", out, "--against", model, *texts])
        assert found.exit_code == 0, found.output
    alone = run(main, ["verify", str(tmp_path / "0"), "--text", str(files[0])])
    assert "verify takes text for a trimmed model alone" in alone.output


def test_size_counts_and_characters(folder_of: Folders, tmp_path: Path) -> None:
    model = folder_of("mt5")
    whole = st.trim(model, tmp_path / "all", texts=FEW, save_counts=tmp_path / "counts.parquet")
    again = st.trim(model, tmp_path / "again", counts=tmp_path / "counts.parquet")
    for name in ("spiece.model", "model.safetensors", "config.json", "tokenizer.json"):
        assert (tmp_path / "all" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    assert again.ids == whole.ids
    small = st.trim(model, tmp_path / "small", counts=tmp_path / "counts.parquet", size=whole.ids - 50)
    assert small.ids == whole.ids - 50
    with pytest.raises(st.SpanishTokError, match=r"10 ids are too few.* need (\d+)") as caught:
        st.trim(model, tmp_path / "tiny", counts=tmp_path / "counts.parquet", size=10)
    least = int("".join(char for char in str(caught.value).split("need ")[1].split(":")[0] if char.isdigit()))
    assert st.trim(model, tmp_path / "least", counts=tmp_path / "counts.parquet", size=least).ids == least
    assert not (tmp_path / "tiny").exists()
    (tmp_path / "characters.txt").write_text("kw", encoding="utf-8")
    more = st.trim(model, tmp_path / "more", texts=["la casa"], keep_characters=tmp_path / "characters.txt")
    pieces = st.Tokenizer.load(more.folder).vocabulary.pieces
    old = st.Tokenizer.load(model).vocabulary.pieces
    assert {"k", "w"} & set(old) <= set(pieces)
    assert "f" not in pieces
    assert {f"<0x{byte:02X}>" for byte in range(256)} <= set(pieces)


def test_counts_of_another_kind_are_refused(folder_of: Folders, tmp_path: Path) -> None:
    for columns, message in (
        ({"run": ["▁la"], "count": [3]}, "has the columns run, count"),
        ({"piece": ["▁la", "▁nadie"], "count": [3, 1]}, "has the piece '▁nadie'"),
        ({"piece": ["▁la"], "count": [-3]}, "-3 times"),
    ):
        pq.write_table(pa.table(columns), tmp_path / "counts.parquet")
        with pytest.raises(st.SpanishTokError, match=message):
            st.trim(folder_of("mt5"), tmp_path / "out", counts=tmp_path / "counts.parquet")
    with pytest.raises(st.SpanishTokError, match="needs one of"):
        st.trim(folder_of("mt5"), tmp_path / "out")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("1")
    with pytest.raises(st.SpanishTokError, match="holds other files"):
        st.trim(folder_of("mt5"), tmp_path / "out", texts=FEW)


def test_words_count_as_texts_do(folder_of: Folders) -> None:
    tokenizer = st.Tokenizer.load(folder_of("mt5"))
    texts = [*FEW, "tab\taquí  y  allí", "日本 語", "", " "]
    found = PieceCounts.of_texts(tokenizer, [pa.array(texts[:20]), pa.array(texts[20:])]).uses
    right = np.bincount([n for text in texts for n in tokenizer.encode(text)], minlength=tokenizer.vocab_size)
    assert np.array_equal(found, right)


def test_ids_of_configs_are_renumbered_and_kept(tmp_path: Path) -> None:
    make("mt5", tmp_path / "model")
    old = st.Tokenizer.load(tmp_path / "model").vocabulary.pieces
    rare = len(old) - 130  # no text here uses it
    values = json.loads((tmp_path / "model" / "generation_config.json").read_text())
    values |= {
        "forced_bos_token_id": rare,
        "bad_words_ids": [[rare], [rare - 1]],
        "suppress_tokens": [rare, rare - 1],
    }
    (tmp_path / "model" / "generation_config.json").write_text(json.dumps(values))
    st.trim(tmp_path / "model", tmp_path / "out", texts=["la casa"])
    pieces = st.Tokenizer.load(tmp_path / "out").vocabulary.pieces
    found = json.loads((tmp_path / "out" / "generation_config.json").read_text())
    assert pieces[found["forced_bos_token_id"]] == old[rare]
    assert found["bad_words_ids"] == [[pieces.index(old[rare])]]
    assert found["suppress_tokens"] == [pieces.index(old[rare])]
    assert (found["pad_token_id"], found["eos_token_id"]) == (0, 1)


def test_the_type_of_the_file_is_kept(folder_of: Folders, tmp_path: Path) -> None:
    shutil.copytree(folder_of("mt5"), tmp_path / "model")
    tensors = read_tensors(tmp_path / "model" / "model.safetensors")
    write_tensors(tmp_path / "model" / "model.safetensors", tensors, "bfloat16")
    st.trim(tmp_path / "model", tmp_path / "out", texts=FEW)
    stored = stored_tensors(tmp_path / "out" / "model.safetensors")
    assert {tensor.kind for tensor in stored.values()} == {"BF16"}
    assert st.verify(tmp_path / "out", against=tmp_path / "model", texts=FEW).ok


def test_ours_are_trimmed_too(tmp_path: Path) -> None:
    counts = st.count(texts=SENTENCES)
    counts.save(tmp_path / "runs.parquet")
    st.T5(st.T5Config(d_model=16, d_kv=8, d_ff=16, num_heads=2, num_layers=1, num_decoder_layers=1)).save(
        tmp_path / "model", st.Vocabulary.load()
    )
    result = st.trim(tmp_path / "model", tmp_path / "out", counts=tmp_path / "runs.parquet")
    assert result.ids < 3000
    assert st.verify(tmp_path / "out").ok
    assert st.verify(tmp_path / "out", against=tmp_path / "model", texts=SENTENCES).ok
    assert st.Generator.load(tmp_path / "out").fill("la <extra_id_0> de", max_new_tokens=3).startswith("la")
    assert Checkpoint.load(tmp_path / "out").vocabulary.sentinels == 100


def test_an_mt5_of_5000_rows(tmp_path: Path) -> None:
    sizes = {"d_model": 32, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_decoder_layers": 1, "num_heads": 2}
    mt5_of_rows(tmp_path / "mt5", 4990, 5000, [], **sizes)
    result = st.trim(tmp_path / "mt5", tmp_path / "out", texts=TEXTS, size=700, multiple=8)
    assert (result.ids, result.rows, result.rows_before) == (700, 704, 5000)
    found = st.verify(tmp_path / "out", against=tmp_path / "mt5", texts=many_texts(5000))
    assert found.ok, [str(check) for check in found.checks]
    logits = next(check for check in found.checks if check.name.startswith("logits"))
    assert logits.tried == 1000


TRIM = """
import sys, time
import numba, pyarrow.compute, pyarrow.parquet, sentencepiece
import spanish_tok as st
from spanish_tok.t5.foreign import trim
from spanish_tok.tokenization import column_encoder
from tests.memory import peak
before, begun = peak(), time.process_time()
print(st.trim(sys.argv[1], sys.argv[2], input=sys.argv[3:], size=30_000, multiple=8))
print((peak() - before) // 1000, time.process_time() - begun)
"""


@pytest.mark.slow
def test_an_mt5_of_the_real_shape(shared: Path, tmp_path: Path) -> None:
    """250,112 rows to 30,000 in seconds and bounded memory, and the same logits on 1,000 texts."""
    words = pq.read_table(shared / "corpus-words/wordfreq-es.parquet")["word"].to_pylist()[:150_000]
    sizes = {
        "d_model": 512,
        "d_kv": 64,
        "d_ff": 1024,
        "num_layers": 8,
        "num_decoder_layers": 8,
        "num_heads": 6,
    }
    mt5_of_rows(tmp_path / "mt5", 250_100, 250_112, words, **sizes)
    files = sorted(map(str, (shared / "corpus").glob("*.parquet")))
    command = [sys.executable, "-c", TRIM, str(tmp_path / "mt5"), str(tmp_path / "out"), *files]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told, cost = done.stdout.splitlines()
    megabytes, seconds = map(float, cost.split())
    assert told.startswith("30,000 ids of 250,100, 30,000 rows of 250,112")
    assert megabytes < 600
    assert seconds < 20  # of the processor, so that a busy machine fails nothing
    texts = pq.read_table(files[0], columns=["text"])["text"][:2500].to_pylist()
    found = st.verify(tmp_path / "out", against=tmp_path / "mt5", texts=[text[:400] for text in texts])
    assert found.ok, [str(check) for check in found.checks]
    assert next(check.tried for check in found.checks if check.name.startswith("logits")) == 1000


def test_numbers_that_were_text_are_numbers(folder_of: Folders, tmp_path: Path) -> None:
    """transformers 5 reads no text where a number belongs; what is written here, it reads."""
    import transformers

    shutil.copytree(folder_of("mt5"), tmp_path / "model")
    values = json.loads((tmp_path / "model" / "config.json").read_text())
    text = {name: str(value) for name, value in values.items() if type(value) in (int, float)}
    (tmp_path / "model" / "config.json").write_text(json.dumps(values | text | {"eos_token_id": ["1"]}))
    assert len(text) > 10
    st.trim(tmp_path / "model", tmp_path / "trimmed", texts=FEW)
    st.transplant(tmp_path / "model", tmp_path / "moved")
    st.export(tmp_path / "model", tmp_path / "exported", to="transformers")
    for name in ("trimmed", "moved", "exported"):
        model = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path / name)
        assert len(transformers.AutoTokenizer.from_pretrained(tmp_path / name)) <= model.config.vocab_size
    assert st.verify(tmp_path / "trimmed", against=tmp_path / "model", texts=FEW).ok
    assert st.verify(tmp_path / "model").ok  # by T5Tokenizer, as AutoTokenizer reads config.json


def test_a_tokenizer_json_with_other_ids_is_told_and_goes(folder_of: Folders, tmp_path: Path) -> None:
    import transformers

    shutil.copytree(folder_of("mt5"), tmp_path / "model")
    _other_json(_two_swapped)(tmp_path / "model")
    with pytest.warns(UserWarning, match=r"gives 2 ids another piece than spiece\.model"):
        st.trim(tmp_path / "model", tmp_path / "out", texts=FEW)
    assert not (tmp_path / "out" / "tokenizer.json").exists()
    theirs, ours = (
        transformers.AutoTokenizer.from_pretrained(tmp_path / "out"),
        st.Tokenizer.load(tmp_path / "out"),
    )
    for text in FEW:
        ids = theirs(text)["input_ids"]
        assert 2 in ids or ids == ours.encode(text, append_eos=True)  # transformers 5 leaves bytes out
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert st.verify(tmp_path / "out", against=tmp_path / "model", texts=FEW).ok
