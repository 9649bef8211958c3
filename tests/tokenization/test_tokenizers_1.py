"""The next major version of tokenizers, in an environment of its own: our tokenizer.json gives the same ids.

`make test-tokenizers` makes the environment; TOKENIZERS_PYTHON names its interpreter.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from spanish_tok import Tokenizer, train
from spanish_tok.measure.verify import AWKWARD, sample_sentences
from spanish_tok.text.alphabet import CODE_POINTS, SURROGATES

PROGRAM = """
import json, sys, tokenizers
given = json.load(sys.stdin)
peer = tokenizers.Tokenizer.from_file(given["file"])
as_text = {"encode_special_tokens": True}
with_eos = [one.ids for one in peer.encode_batch(given["texts"], **as_text)]
plain = [one.ids for one in peer.encode_batch(given["texts"], add_special_tokens=False, **as_text)]
print(json.dumps({"version": tokenizers.__version__, "with_eos": with_eos, "plain": plain}))
"""
TEXTS = [*sample_sentences(), *AWKWARD]


def of_version_1(folder: Path, texts: list[str]) -> dict[str, Any]:
    python = os.environ.get("TOKENIZERS_PYTHON")
    if not python:
        pytest.skip("needs TOKENIZERS_PYTHON, an interpreter with tokenizers 1.0: make test-tokenizers")
    given = json.dumps({"file": str(folder / "tokenizer.json"), "texts": texts})
    done = subprocess.run([python, "-c", PROGRAM], input=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["version"].startswith("1.")
    return found


def test_the_shipped_vocabulary_gives_the_same_ids(folder: Path, tokenizer: Tokenizer) -> None:
    found = of_version_1(folder, TEXTS)
    assert found["plain"] == [tokenizer.encode(text) for text in TEXTS]
    assert found["with_eos"] == [tokenizer.encode(text, append_eos=True) for text in TEXTS]


def test_every_character_gives_the_same_ids(folder: Path, tokenizer: Tokenizer) -> None:
    codes = [code for code in range(CODE_POINTS) if code not in SURROGATES]
    texts = [f"a{chr(code)}b" for code in codes]
    found = of_version_1(folder, texts)["plain"]
    expected = tokenizer.encode_column(texts).to_pylist()
    assert [f"U+{code:04X}" for code, a, b in zip(codes, found, expected, strict=True) if a != b] == []


def test_specials_pieces_capitals_and_digits_give_the_same_ids(tmp_path: Path) -> None:
    texts = [*TEXTS, "usa <sep> y [CLS] 2026-11", "El ORDENADOR de Ana"]
    options: dict[str, Any] = {
        "special": ["<sep>"],
        "piece": ["▁ordenador"],
        "cased": True,
        "split_digits": True,
    }
    train(texts=texts, size=400, **options).save(tmp_path)
    assert of_version_1(tmp_path, texts)["plain"] == [Tokenizer.load(tmp_path).encode(text) for text in texts]
