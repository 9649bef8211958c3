"""The bulk encoder equals sentencepiece, and an exact twin where sentencepiece is not exact."""

import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import sentencepiece
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from spanish_tok import SpanishTokError, Tokenizer, Vocabulary, normalize, normalize_column
from spanish_tok.kernels.text.encode import encode_records
from spanish_tok.kernels.text.encode_long import encode_long
from spanish_tok.text.alphabet import SURROGATES
from spanish_tok.text.arrow import bytes_and_offsets
from spanish_tok.tokenization import column_encoder as encoder
from spanish_tok.tokenization.column_encoder import IDS, ColumnEncoder
from spanish_tok.tokenization.compiler import compile_vocabulary
from spanish_tok.vocab.formats import UNK

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


@pytest.mark.slow
@pytest.mark.parametrize("name", ["corpus", "corpus-modern"])
def test_every_record_of_both_corpora(name: str, shared: Path, folder: Path) -> None:
    """The same ids in the kernel, sentencepiece and tokenizers, no `<unk>`, and the text comes back."""
    peer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    peer.encode_special_tokens = True
    files = sorted((shared / name).glob("*.parquet"))
    rows = 0
    for part in (
        part for file in files for part in pq.ParquetFile(file).iter_batches(50_000, columns=["text"])
    ):
        texts = part["text"].to_pylist()
        expected = pa.array(reference(texts), IDS)
        ours = ENCODER.encode(part["text"])
        assert ours.equals(expected)
        assert not pc.any(pc.equal(expected.flatten(), UNK)).as_py()
        assert ENCODER.decode(ours).to_pylist() == normalize_column(part["text"]).to_pylist()
        theirs = peer.encode_batch_fast(texts, add_special_tokens=False)
        assert pa.array([one.ids for one in theirs], IDS).equals(expected)
        rows += len(texts)
    assert rows > 200_000


def test_some_records_of_the_corpus(corpus: pa.ChunkedArray) -> None:
    texts = corpus.slice(0, 5000).to_pylist()
    assert encoded(texts) == reference(texts)
    assert encoded([text.upper() for text in texts]) == reference([text.upper() for text in texts])


COLUMNS = [
    pa.array(SPANISH, pa.string()),
    pa.array(SPANISH, pa.large_string()),
    pa.array(SPANISH, pa.string_view()),
    pa.array(SPANISH).dictionary_encode(),
    pa.array(["fuera", *SPANISH, "fuera también"]).slice(1, len(SPANISH)),
    pa.array(["fuera", *SPANISH], pa.string_view()).slice(1),
    SPANISH,
]


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: str(getattr(column, "type", "list")))
def test_every_form_of_a_column(column: pa.Array | list[str]) -> None:
    lists = ENCODER.encode(column)
    assert lists.type == IDS
    assert lists.to_pylist() == reference(SPANISH)


def test_chunks_nulls_empty_texts_and_only_spaces() -> None:
    odd = ["", None, " ", "   ", "\u3000\u00a0", "a", None, "\0", "\u200b \u200b"]
    expected = reference([text or "" for text in odd])
    assert ENCODER.encode(pa.array(odd)).to_pylist() == expected
    assert [bool(ids) for ids in expected] == [text == "a" for text in odd]
    chunked = pa.chunked_array([pa.array(odd), pa.array([], pa.string()), pa.array(odd).slice(3)])
    assert ENCODER.encode(chunked).to_pylist() == expected + expected[3:]
    nothing: list[Any] = [pa.array([], pa.string()), pa.chunked_array([], pa.string()), []]
    for empty in nothing:
        assert ENCODER.encode(empty).to_pylist() == []
    with pytest.raises(SpanishTokError, match="holds int64, not text"):
        ENCODER.encode(pa.array([1, 2]))


def test_an_end_of_sequence_for_every_record() -> None:
    texts = ["", *SPANISH, "   "]
    expected = [[*ids, 1] for ids in reference(texts)]
    assert ENCODER.encode(pa.array(texts), append_eos=True).to_pylist() == expected
    many = pa.array([""] * 5000)  # nothing but ends
    assert ENCODER.encode(many, append_eos=True).to_pylist() == [[1]] * 5000


def test_threads_and_slices_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"{text} {n} palabra{n * 7919}" for n in range(3000) for text in SPANISH]
    whole = ENCODER.encode(pa.array(texts), threads=1)
    monkeypatch.setattr(encoder, "SLICE", 10_000)
    for threads in (1, 2, 4):
        assert ENCODER.encode(pa.array(texts), threads=threads).equals(whole)


@pytest.mark.parametrize("sets", [1, 2])
def test_chunks_that_collide_in_the_table(sets: int) -> None:
    """A table so small that every chunk collides with every other, and is replaced all the time."""
    words = [f"{word}{n % 37}" for n in range(3000) for word in ("sol", "¡Árbol", "ñu,", "MAÑANA", "a")]
    texts = [" ".join(words[start : start + 30]) for start in range(0, len(words), 30)]
    compiled = compile_vocabulary(VOCABULARY)
    assert compiled
    known = encoder.new_table(sets)
    data, offsets = bytes_and_offsets(pa.array(texts, pa.large_string()))
    for _ in range(2):  # cold, and with what the first pass left
        ids, ends, missed = encode_records(data, offsets, *compiled, known, -1)
        lists = [ids[start:end].tolist() for start, end in pairwise(ends)]
        assert lists == reference(texts)
        assert missed > len(words) // 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_learns_words_on_its_own() -> None:
    """Otherwise two processes would write one table, and read what the other has half written."""
    known = encoder.new_table()
    child = os.fork()
    if child == 0:
        known[:] = 1
        os._exit(0)
    os.waitpid(child, 0)
    assert not known.any()


def test_chunks_around_the_length_of_a_key() -> None:
    texts = [
        f"{'x' * before} {letter * length}{end} y"
        for letter in ("a", "ñ", "W", "—")
        for length in range(34)
        for end in ("", "!")
        for before in (0, 60, 64)
    ]
    assert encoded(texts) == reference(texts)
    assert encoded([text + " " * 200 for text in texts]) == reference(texts)


@pytest.mark.slow
def test_a_word_of_10_megabytes() -> None:
    """Far beyond the exact range of float32: sentencepiece itself is not exact there, the twin is."""
    word = "".join(np.random.default_rng(4).choice(list("aeiñtrd.5"), 9_000_000))
    assert len(word.encode()) > 9_900_000
    assert encoded([word])[0] == viterbi(word)


@pytest.mark.parametrize("space", [" ", ""])
def test_beyond_exact_float32_the_tokenizer_agrees_with_integers(space: str) -> None:
    rng = np.random.default_rng(5)
    parts = ["".join(rng.choice(list("aeosnrtlmpñ,1"), rng.integers(1, 12))) for _ in range(12_000)]
    text = space.join(parts)
    expected = viterbi(text)
    assert sum(-VOCABULARY.scores[number] for number in expected) > 2**14
    assert Tokenizer(VOCABULARY).encode(text) == expected == encoded([text])[0]


@pytest.mark.parametrize("part", [1, 700])
def test_a_long_word_part_by_part_is_the_word(part: int) -> None:
    """At least 16 of the longest piece are done at once."""
    rng = np.random.default_rng(6)
    signs = [
        "a",
        "ña",
        "n\u0303",
        "Q",
        "\u0301",
        "\u00a0",
        "½",
        "ﷺ",
        "😀",
        "\x80",
        "1",
        "...",
        "\u3000",
        "de",
    ]
    words = ["".join(rng.choice(signs, rng.integers(0, 6000))) for _ in range(20)]
    words += ["a" * 9000, "\u00a0" * 9000, "ﷺ" * 3000, "e\u0301" * 3000, "\u00a0" * 3000 + "a"]
    data = np.concatenate([np.frombuffer(word.encode(), np.uint8) for word in words])
    compiled = ENCODER._compiled
    assert compiled is not None
    begin = 0
    for word in words:
        out, end = encode_long(
            data, begin, begin + len(word.encode()), *compiled[:2], part, np.zeros(3, np.uint16), 2
        )
        assert out[2:end].tolist() == viterbi(word)
        begin += len(word.encode())


def test_a_part_of_bytes_that_are_no_text_ends() -> None:
    compiled = ENCODER._compiled
    assert compiled is not None
    for byte in (0x80, 0xC3, 0xF0, 0xCC):
        data = np.full(300_000, byte, np.uint8)
        assert encode_long(data, 0, data.size, *compiled[:2], 700, np.zeros(3, np.uint16), 2)[1] == 2


@pytest.mark.slow
def test_a_record_of_a_gigabyte() -> None:
    sentence = " ".join(SPANISH) + " "
    times = (1 << 30) // len(sentence.encode())
    record = pa.array([sentence * times], pa.large_string())
    lists = ENCODER.encode(record)
    once = np.array(reference([sentence])[0], np.uint16)
    ids = lists.flatten().to_numpy()
    assert len(ids) == times * len(once)
    assert (ids.reshape(times, -1) == once).all()
