"""Models as people leave them: other types and sizes, tokens of their own, files that are missing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import spanish_tok as st
from spanish_tok.files import shipped
from spanish_tok.measure.checks.foreign import transformers_tokenizer
from tests.t5.foreign.models import make

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

KINDS = ["mt5", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("t5", "t5-1.1", "umt5"))]
SENTENCES = shipped("corpus/sentences-es.txt").read_text(encoding="utf-8").splitlines()[:30]


def _in_type(dtype: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        model = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=getattr(torch, dtype))
        model.save_pretrained(folder)

    return change


def _resized(folder: Path, tokenizer: Any) -> None:
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder)
    torch.manual_seed(1)
    model.resize_token_embeddings(len(tokenizer))
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)


def _tokens(*tokens: str, special: bool = False) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        tokenizer.add_tokens(list(tokens), special_tokens=special)
        _resized(folder, tokenizer)

    return change


def _as_many_rows_as_ids(folder: Path) -> None:
    _resized(folder, transformers.AutoTokenizer.from_pretrained(folder))


def _without(*names: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        for name in names:
            (folder / name).unlink(missing_ok=True)

    return change


def _many_rows(folder: Path) -> None:
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder)
    model.resize_token_embeddings(1536)
    model.save_pretrained(folder)


def _old_config(folder: Path) -> None:
    """What transformers 3 wrote: no version, no dtype, sizes as they were called, a list of prefixes."""
    values = json.loads((folder / "config.json").read_text())
    for name in (
        "transformers_version",
        "dtype",
        "torch_dtype",
        "decoder_start_token_id",
        "num_decoder_layers",
    ):
        values.pop(name, None)
    values |= {
        "num_decoder_layers": 2,
        "n_positions": 512,
        "task_specific_params": {"t": {"prefix": "resume: "}},
    }
    (folder / "config.json").write_text(json.dumps(values))


CHANGES: dict[str, Callable[[Path], None]] = {
    "bfloat16": _in_type("bfloat16"),
    "float16": _in_type("float16"),
    "many rows": _many_rows,
    "as many rows as ids": _as_many_rows_as_ids,
    "tokens of their own": _tokens("covidiano", "<tarea>"),
    "specials of their own": _tokens("<es>", "<en>", special=True),
    "a piece that is a token": _tokens("casa"),
    "no generation_config.json": _without("generation_config.json"),
    "no special_tokens_map.json": _without("special_tokens_map.json", "added_tokens.json"),
    "no tokenizer_config.json": _without("tokenizer_config.json"),
    "no tokenizer.json": _without("tokenizer.json"),
    "no spiece.model": _without("spiece.model"),
    "an old config": _old_config,
}
TEXTS = [*SENTENCES, "la <tarea> es de un covidiano en su casa", "el <es> y <en>", "Casa, casas: casa."]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", KINDS)
def test_models_as_people_leave_them(kind: str, change: str, tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    make(kind, before)
    CHANGES[change](before)
    old = st.Tokenizer.load(before)
    assert st.verify(before).ok, [str(check) for check in st.verify(before).checks if check.failed]
    result = st.trim(before, after, texts=TEXTS, multiple=8)
    assert result.ids < result.ids_before
    checked = st.verify(after, against=before, texts=TEXTS)
    assert checked.ok, [str(check) for check in checked.checks]
    assert st.verify(after).ok, [str(check) for check in st.verify(after).checks if check.failed]
    new = st.Tokenizer.load(after)
    names = [tokenizer.vocabulary.pieces for tokenizer in (old, new)]
    theirs = [transformers_tokenizer(folder) for folder in (before, after)]
    for tokenizer in theirs:  # AutoTokenizer gives an umT5 without tokenizer_config.json none
        tokenizer.pad_token = tokenizer.pad_token or "<pad>"
    for text in TEXTS:
        ids = [tokenizer(text)["input_ids"] for tokenizer in theirs]
        assert [names[0][n] for n in ids[0]] == [names[1][n] for n in ids[1]], text
    models = [
        transformers.AutoModelForSeq2SeqLM.from_pretrained(f, dtype=torch.float32) for f in (before, after)
    ]
    assert models[1].config.vocab_size == result.rows
    kept = torch.tensor([names[0].index(piece) for piece in names[1]])
    logits = []
    for tokenizer, model in zip(theirs, models, strict=True):
        rows = tokenizer(TEXTS[-3:], return_tensors="pt", padding=True)
        with torch.no_grad():
            logits.append(model.eval()(**rows, decoder_input_ids=rows["input_ids"][:, :5]).logits)
    assert (logits[0][..., kept] - logits[1][..., : len(kept)]).abs().max() < 1e-4
    for folder in (before, after):
        assert st.Generator.load(folder).generate(TEXTS[-3], max_new_tokens=4).ids is not None
    moved = st.transplant(after, tmp_path / "moved", vocab=before)
    assert moved.kept >= result.ids
    st.transplant(before, tmp_path / "ours")
    assert st.Generator.load(tmp_path / "ours").fill("la <extra_id_0> de", max_new_tokens=2).startswith("la")
