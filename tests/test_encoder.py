"""The bulk encoder equals sentencepiece, and an exact twin where sentencepiece is not exact."""

import pyarrow as pa
import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from spanish_tok import SpanishTokError, Vocabulary, normalize
from spanish_tok.alphabet import SURROGATES
from spanish_tok.encoder import IDS, ColumnEncoder

VOCABULARY = Vocabulary.load()
ENCODER = ColumnEncoder(VOCABULARY)
REFERENCE = sentencepiece.SentencePieceProcessor(model_proto=VOCABULARY.serialized)
ORDINARY = {
    piece: number for number, piece in enumerate(VOCABULARY.pieces) if number not in VOCABULARY.special_ids
}
SPANISH = ["¡Qué mañana tan FRÍA!", "El PINGÜINO comió 21½ «ñoquis»…", "¿Y la señora de Núñez?", "3,14 €"]


def reference(texts: list[str]) -> list[list[int]]:
    ids: list[list[int]] = REFERENCE.encode([text.replace("\0", "\1") for text in texts], num_threads=2)
    return ids


def encoded(texts: list[str]) -> list[list[int]]:
    lists: list[list[int]] = ENCODER.encode(texts).to_pylist()
    return lists


def viterbi(text: str) -> list[int]:
    """The twin: the best segmentation by exact integers; of equal ones, the earliest start wins."""
    marked = "".join("▁" + word for word in normalize(text).split())
    best: list[tuple[int, int]] = [(0, 0)]  # (sum of scores, start of the last piece)
    for end in range(1, len(marked) + 1):
        ways = [
            (best[start][0] + round(VOCABULARY.scores[ORDINARY[marked[start:end]]] * 1024), -start)
            for start in range(max(0, end - 16), end)
            if marked[start:end] in ORDINARY
        ]
        score, start = max(ways)
        best.append((score, -start))
    end, path = len(marked), []
    while end:
        path.append(ORDINARY[marked[best[end][1] : end]])
        end = best[end][1]
    return path[::-1]


def test_equals_sentencepiece_on_spanish() -> None:
    assert encoded(SPANISH) == reference(SPANISH)
    assert encoded(SPANISH) == [viterbi(text) for text in SPANISH]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_equals_sentencepiece_on_any_text(texts: list[str]) -> None:
    assert encoded(texts) == reference(texts)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text("aAeénN\u0303\u0301 \u00a0\u3000½\u0140ñs.<>1\0", max_size=80), max_size=20))
def test_equals_both_on_marks_and_odd_spaces(texts: list[str]) -> None:
    assert encoded(texts) == reference(texts) == [viterbi(text) for text in texts]


def test_every_code_point() -> None:
    scalars = [chr(code) for code in range(0x110000) if code not in SURROGATES]
    texts = [f"a{char}b {char} mañana{char}" for char in scalars]
    lists = ENCODER.encode(texts)
    for start in range(0, len(texts), 200_000):
        expected = pa.array(reference(texts[start : start + 200_000]), IDS)
        assert lists.slice(start, 200_000).equals(expected)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.integers(0, len(VOCABULARY) - 1) | st.sampled_from([0, 1, 2, 4999, 3]))))
def test_decodes_as_sentencepiece_does(lists: list[list[int]]) -> None:
    expected = [REFERENCE.decode(ids) for ids in lists]
    assert ENCODER.decode(pa.array(lists, IDS)).to_pylist() == expected
    assert (
        ENCODER.decode(pa.chunked_array([pa.array(lists, pa.large_list(pa.int64()))])).to_pylist() == expected
    )


def test_an_id_that_is_none_is_refused_by_row() -> None:
    for wrong in (-1, len(VOCABULARY), None):
        with pytest.raises(SpanishTokError, match="Row 2 holds the id"):
            ENCODER.decode(pa.array([[3], None, [4, wrong]], pa.list_(pa.int64())))
