"""Another vocabulary for a model: rows by name, by role, as means, by FOCUS."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spanish_tok as st
from spanish_tok.t5.checkpoint import Checkpoint
from spanish_tok.t5.foreign.focus import mixtures, read_vectors, sparsemax
from spanish_tok.text.table import spanish_table

torch = pytest.importorskip("torch")

Folders = Callable[[str], Path]


@pytest.mark.parametrize("kind", ["t5", "t5-1.1", "t5-silu", "mt5", "umt5"])
def test_rows_are_carried_over(kind: str, folder_of: Folders, tmp_path: Path) -> None:
    import transformers

    result = st.transplant(folder_of(kind), tmp_path / "out")
    before, after = Checkpoint.load(folder_of(kind)), Checkpoint.load(tmp_path / "out")
    old, new = st.Tokenizer(before.vocabulary), st.Tokenizer(after.vocabulary)
    assert new.vocabulary.fingerprint == st.Vocabulary.load().fingerprint
    assert result.ids == result.kept + result.averaged + result.others == after.config.vocab_size == 5000
    for name in [name for name in ("shared.weight", "lm_head.weight") if name in after.tensors]:
        theirs, ours = before.tensors[name], after.tensors[name]
        for number in (0, 1, 2):
            assert np.array_equal(ours[number], theirs[number])
        both = [piece for piece in new.vocabulary.pieces[3:400] if piece in old.vocabulary.pieces]
        assert len(both) > 50
        for piece in both:
            at = new.vocabulary.pieces.index(piece), old.vocabulary.pieces.index(piece)
            assert np.array_equal(ours[at[0]], theirs[at[1]])
        for piece in ("▁gobierno", "ciones"):  # begins a word; goes on within one
            assert piece in new.vocabulary.pieces
            assert piece not in old.vocabulary.pieces
            ids = old.encode(piece[1:]) if piece[0] == "▁" else old.encode_continued(piece)
            assert not old.vocabulary.pieces[ids[0]].startswith("▁") or piece[0] == "▁"
            row = ours[new.vocabulary.pieces.index(piece)]
            assert np.allclose(row, theirs[ids].mean(axis=0), atol=1e-6)
        sentinels = [ours[new.sentinel_id(k)] for k in range(100)]
        if old.vocabulary.sentinels:
            assert all(np.array_equal(row, theirs[old.sentinel_id(k)]) for k, row in enumerate(sentinels))
        assert len({row.tobytes() for row in sentinels}) == 100
    others = set(before.tensors) - {"shared.weight", "lm_head.weight"}
    assert all(np.array_equal(before.tensors[name], after.tensors[name]) for name in others)
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "out")
    assert model.config.vocab_size == len(transformers.AutoTokenizer.from_pretrained(tmp_path / "out"))
    assert st.Generator.load(tmp_path / "out").fill("la <extra_id_0> de", max_new_tokens=3).startswith("la")


def test_a_foreign_vocabulary_for_ours(folder_of: Folders, tmp_path: Path) -> None:
    config = st.T5Config(d_model=16, d_kv=8, d_ff=16, num_heads=2, num_layers=1, num_decoder_layers=1)
    st.T5(config).save(tmp_path / "model", st.Vocabulary.load())
    st.transplant(tmp_path / "model", tmp_path / "out", vocab=folder_of("mt5"))
    after = Checkpoint.load(tmp_path / "out")
    assert after.config.vocab_size == len(after.vocabulary) == st.Tokenizer.load(folder_of("mt5")).vocab_size
    with pytest.raises(st.SpanishTokError, match="holds other files"):
        st.transplant(tmp_path / "model", tmp_path / "out")


def twin(scores: list[float]) -> list[float]:
    """sparsemax by bisection of its threshold."""
    low, high = min(scores) - 1.0, max(scores)
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(max(s - middle, 0) for s in scores) > 1 else (low, middle)
    return [max(score - low, 0.0) for score in scores]


def test_sparsemax_equals_its_twin() -> None:
    scores = np.random.default_rng(0).normal(0, 0.5, (20, 30)).astype(np.float32)
    for found, row in zip(sparsemax(scores), scores, strict=True):
        assert np.allclose(found, twin(row.tolist()), atol=1e-5)
        assert abs(found.sum() - 1) < 1e-5


def test_focus_mixes_the_rows_of_nearby_pieces(folder_of: Folders, tmp_path: Path) -> None:
    """A slow twin of the formula; a piece without a vector is a mean."""
    new, old = st.Tokenizer.load(), st.Tokenizer.load(folder_of("t5"))
    shared = [piece for piece in new.vocabulary.pieces[3:900] if piece in old.vocabulary.pieces]
    random = np.random.default_rng(1)
    vectors = {piece: random.normal(0, 1, 12).astype(np.float32) for piece in [*shared, "▁gobierno"]}
    vectors["▁gobierno"] = vectors[shared[4]] + vectors[shared[9]]
    rows = [f"{piece} {' '.join(map(repr, vector.tolist()))}" for piece, vector in vectors.items()]
    (tmp_path / "v.txt").write_text(
        "\n".join([f"{len(rows)} 12", *rows, "nadie " + "0 " * 12]), encoding="utf-8"
    )
    result = st.transplant(folder_of("t5"), tmp_path / "out", vectors=tmp_path / "v.txt")
    assert result.mixed == 1
    theirs, ours = Checkpoint.load(folder_of("t5")), Checkpoint.load(tmp_path / "out")
    unit = {piece: vector / np.linalg.norm(vector) for piece, vector in vectors.items()}
    weights = twin([float(unit["▁gobierno"] @ unit[piece]) for piece in shared])
    right = sum(
        weight * theirs.tensors["shared.weight"][old.vocabulary.pieces.index(piece)]
        for weight, piece in zip(weights, shared, strict=True)
    )
    row = ours.tensors["shared.weight"][new.vocabulary.pieces.index("▁gobierno")]
    assert np.allclose(row, right, atol=1e-4)
    ids = old.encode_continued("ciones")
    mean = theirs.tensors["shared.weight"][ids].mean(axis=0)
    assert np.allclose(ours.tensors["shared.weight"][new.vocabulary.pieces.index("ciones")], mean, atol=1e-6)


def test_bytes_begin_as_their_characters_and_specials_go_by_name(folder_of: Folders, tmp_path: Path) -> None:
    st.transplant(folder_of("t5"), tmp_path / "bytes", vocab=folder_of("mt5"))
    before, after = Checkpoint.load(folder_of("t5")), Checkpoint.load(tmp_path / "bytes")
    old, new = st.Tokenizer(before.vocabulary), st.Tokenizer(after.vocabulary)
    theirs, ours = before.tensors["shared.weight"], after.tensors["shared.weight"]
    row = ours[new.vocabulary.pieces.index("<0x61>")]
    assert np.allclose(row, theirs[old.encode_continued("a")].mean(axis=0), atol=1e-6)
    assert np.array_equal(
        ours[new.vocabulary.pieces.index("<0xF0>")], ours[new.vocabulary.pieces.index("<0xF1>")]
    )
    shipped = st.Vocabulary.load()
    scores = dict(zip(shipped.pieces[3:4900], shipped.scores[3:4900], strict=True))
    several, one = (
        st.Vocabulary.build(scores, sentinels=10, table=spanish_table(), specials=specials)
        for specials in (["<es>", "<en>"], ["<en>"])
    )
    sizes: dict[str, Any] = {
        "d_model": 8,
        "d_kv": 4,
        "d_ff": 8,
        "num_heads": 2,
        "num_layers": 1,
        "num_decoder_layers": 1,
    }
    st.T5(st.T5Config(vocab_size=len(several), **sizes)).save(tmp_path / "model", several)
    one.save(tmp_path / "other")
    st.transplant(tmp_path / "model", tmp_path / "out", vocab=tmp_path / "other")
    theirs, ours = (Checkpoint.load(tmp_path / name).tensors["shared.weight"] for name in ("model", "out"))
    assert np.array_equal(ours[one.pieces.index("<en>")], theirs[several.pieces.index("<en>")])


def test_vectors_that_help_no_piece_are_refused(folder_of: Folders, tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("nadie 1 2\n", encoding="utf-8")
    with pytest.raises(st.SpanishTokError, match=r"v\.txt has no vector of a new piece"):
        st.transplant(folder_of("t5"), tmp_path / "out", vectors=tmp_path / "v.txt")
    assert not (tmp_path / "out").exists()


DAMAGED = {
    "a 1 2\nb 1\n": "line 2: it is not a piece and 2 numbers",
    "a 1 x\n": "line 1: it is not a piece and its numbers",
    "a 1 nan\n": "line 1:",
    "a 1 1e39\n": "line 1:",
    "2 3\na 1 2\nb 3 4\n": "line 2: it is not a piece and 3 numbers",
    "a 1 2\nc 0 1\na 3 4\n": "line 3: 'a' has a vector already",
    "3 2\na 1 2\nb 3 4\n": "holds 2 vectors of 3",
    "\n": "holds no vectors",
    "": "holds no vectors",
}


@pytest.mark.parametrize("text", DAMAGED)
def test_damaged_vectors_are_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text(text)
    with pytest.raises(st.SpanishTokError, match=DAMAGED[text]):
        read_vectors(tmp_path / "v.txt", ["a", "b"])


def test_vectors_of_any_size_have_a_direction(tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("a 0 0\nb 1e30 1e30\nc 1e-30 0\nd 3 0\nnadie 1 1\nnadie 2 2\n")
    found = read_vectors(tmp_path / "v.txt", ["a", "b", "c", "d"])
    assert sorted(found) == [1, 2, 3]  # zeros are none
    ((shared, weights),) = mixtures(found, [2], [1, 3]).values()
    assert np.allclose(weights, twin([2**-0.5, 1.0])[-len(weights) :], atol=1e-6)
    assert shared.tolist()[-1] == 3
