"""Any T5 for other libraries: what is written computes the same there; what is not is refused with the reason."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import spanish_tok as st
from tests.t5.foreign.models import KINDS

torch = pytest.importorskip("torch")

Folders = Callable[[str], Path]
ROWS = [[int(n) for n in np.random.default_rng(k).integers(3, 490, 4 + k)] + [1] for k in range(12)]


@pytest.mark.parametrize("kind", KINDS)
def test_ctranslate2_writes_the_same_ids(kind: str, folder_of: Folders, tmp_path: Path) -> None:
    ctranslate2 = pytest.importorskip("ctranslate2", reason="needs the extra export")
    st.export(folder_of(kind), tmp_path / "ct2", to="ctranslate2")
    generator = st.Generator.load(folder_of(kind))
    pieces = generator.tokenizer.vocabulary.pieces
    translator = ctranslate2.Translator(str(tmp_path / "ct2"), intra_threads=1)
    tokens = [[pieces[number] for number in row] for row in ROWS]
    theirs = translator.translate_batch(tokens, beam_size=1, max_decoding_length=16, min_decoding_length=0)
    ours = generator.write_ids(ROWS, st.GenerateOptions(max_new_tokens=16))
    for row, one, two in zip(ROWS, ours, theirs, strict=True):
        assert [pieces[number] for number in one.ids] == two.hypotheses[0], row


GGUF = {
    "t5-silu": "no gated SiLU",
    "mt5": "byte pieces",
    "mt5-tied": "byte pieces",
    "umt5": "byte pieces",
    "umt5-untied": "byte pieces",
}


@pytest.mark.parametrize("kind", KINDS)
def test_gguf_is_written_or_refused_by_name(kind: str, folder_of: Folders, tmp_path: Path) -> None:
    pytest.importorskip("gguf", reason="needs the extra gguf")
    if kind in GGUF:
        with pytest.raises(st.SpanishTokError, match=f"cannot become GGUF: .*{GGUF[kind]}"):
            st.export(folder_of(kind), tmp_path / "gguf", to="gguf")
        assert not list(tmp_path.rglob("*.gguf"))
        return
    from tests.llama import Llama

    pytest.importorskip("xllamacpp", reason="llama.cpp, the reference")
    st.export(folder_of(kind), tmp_path / "gguf", to="gguf")
    model = st.T5.load(folder_of(kind))
    llama = Llama(tmp_path / "gguf" / "model.gguf", model.config.vocab_size)
    for row in ROWS[:4]:
        written, found = llama.greedy(row, 6)
        with torch.no_grad():
            right = model(torch.tensor([row]), decoder_input_ids=torch.tensor([[0, *written[:-1]]])).numpy()[
                0
            ]
        assert np.abs(found - right).max() < 1e-3 * max(1.0, np.abs(right).max())
    llama.close()
