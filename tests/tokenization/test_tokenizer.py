"""One string at a time: round trips, errors, offsets, sampling, streaming, threads and processes."""

import json
import math
import multiprocessing
import os
import pickle
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanish_tok import SpanishTokError, Tokenizer, normalize
from spanish_tok.measure.verify import AWKWARD, sample_sentences
from spanish_tok.text.alignment import changes
from spanish_tok.text.alphabet import SPANISH
from spanish_tok.text.table import spanish_table
from spanish_tok.tokenization.verbs import parts_of
from spanish_tok.vocab.formats import EOS
from tests.conftest import TOP

SHIPPED = Tokenizer.load()
PIECES = SHIPPED.vocabulary.pieces
TEXT = st.text(max_size=60) | st.text(
    alphabet=SPANISH + "ÁÑ\u0301\u0303\u0308½北…😀\u00a0\u200b\0\t", max_size=60
)


@given(TEXT)
def test_round_trip(text: str) -> None:
    ids = SHIPPED.encode(text)
    assert SHIPPED.decode(ids) == normalize(text) == SHIPPED.normalize(text)
    assert not SHIPPED.vocabulary.special_ids.intersection(ids)
    assert "".join(SHIPPED.tokens(text)).replace("▁", " ").removeprefix(" ") == normalize(text)
    assert SHIPPED.encode(text, append_eos=True) == [*ids, EOS]


@pytest.mark.parametrize("text", ["<extra_id_0>", "uno</s>", "<pad><unk></s><extra_id_99>", "▁</s>"])
def test_typed_specials_are_text(text: str) -> None:
    ids = SHIPPED.encode(text)
    assert not SHIPPED.vocabulary.special_ids.intersection(ids)
    assert SHIPPED.decode(ids) == normalize(text)


def test_specials_leave_no_trace_in_decoded_text() -> None:
    ids = SHIPPED.encode("hola mundo")
    assert SHIPPED.decode([0, *ids, 4999, 1, 0]) == "hola mundo"
    assert SHIPPED.decode([]) == SHIPPED.decode([0, 1, 4950]) == ""
    assert SHIPPED.decode(np.array(ids, np.uint16)) == "hola mundo"
    assert SHIPPED.decode(iter(ids)) == "hola mundo"


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([5, 5000], "Item 1 of the ids is 5000, but ids go from 0 to 4999"),
        ([-1], "Item 0 of the ids is -1"),
        ([2**70], "Item 0 of the ids is 1180591620717411303424"),
        ([1, "2"], "Item 1 of the ids is '2', not a whole number"),
        ([1.0], "Item 0 of the ids is 1.0, not a whole number"),
        ([None], "not a whole number"),
        ([[1, [2]]], "Give a flat list"),
        (5, "Ids must be a list, not int"),
        (None, "Ids must be a list, not NoneType"),
    ],
)
def test_wrong_ids_are_named(ids: Any, message: str) -> None:
    with pytest.raises(SpanishTokError) as caught:
        SHIPPED.decode(ids)
    assert message in str(caught.value)


@pytest.mark.parametrize("text", [b"hola", 5, [b"hola"]])
def test_what_is_no_text_is_named(text: Any) -> None:
    for method in (normalize, SHIPPED.encode, SHIPPED.tokens, SHIPPED.offsets, SHIPPED.normalize):
        with pytest.raises(SpanishTokError, match="Text must be a str, not"):
            method(text)


def test_lone_surrogates_are_named_and_nul_vanishes() -> None:
    with pytest.raises(SpanishTokError, match=r"U\+D800 at character 4"):
        SHIPPED.encode("hola\ud800")
    assert SHIPPED.encode("lo\0bo") == SHIPPED.encode("lobo")
    assert SHIPPED.offsets("lo\0bo") == [(0, 2), (3, 5)]


def test_text_beyond_float32_is_exact() -> None:
    """Longer than any sum that float32 holds: equal to the words one by one, and to a word's own best path."""
    words = [word for sentence in sample_sentences() for word in sentence.split()]
    text = " ".join(random.Random(6).choices(words, k=60_000))
    expected = [number for word in text.split(" ") for number in SHIPPED.encode(word)]
    assert SHIPPED.encode(text) == expected
    assert SHIPPED.encode(text[:50_000]) == [
        n for word in text[:50_000].split(" ") for n in SHIPPED.encode(word)
    ]


def exact_best(word: str) -> list[int]:
    """Integer Viterbi by definition: strictly better wins, the earliest start first."""
    scores = {piece: (round(score * 1024), number) for number, (piece, score) in
              enumerate(zip(PIECES, SHIPPED.vocabulary.scores, strict=True)) if 3 <= number < 4900}  # fmt: skip
    best: list[tuple[int, int, int]] = [(0, 0, 0)]
    for end in range(1, len(word) + 1):
        found = None
        for start in range(max(0, end - 16), end):
            if piece := scores.get(word[start:end]):
                value = best[start][0] + piece[0]
                if found is None or value > found[0]:
                    found = (value, start, piece[1])
        assert found
        best.append(found)
    ids, end = [], len(word)
    while end:
        ids.append(best[end][2])
        end = best[end][1]
    return ids[::-1]


@pytest.mark.parametrize("characters", [SPANISH.strip(), "abc", "€—|~"])
def test_a_word_beyond_float32_is_exact(characters: str) -> None:
    word = "".join(random.Random(7).choices(characters.replace(" ", ""), k=30_000))
    assert SHIPPED.encode(word) == exact_best("▁" + word)
    assert SHIPPED.encode(word[:3_000]) == exact_best("▁" + word[:3_000])


# Offsets


def owners(text: str) -> list[tuple[int, int]]:
    """The model, by definition: normalize longer and longer beginnings, and see which step adds which character.

    Each character of the normalized text belongs to the step of the source that made it grow that far; the
    first that a step adds has its span, the others none.
    """
    ends, lengths = [0], [0]
    for end in range(1, len(text) + 1):
        if text[end - 1 : end + 1] not in spanish_table().pairs:
            ends.append(end)
            lengths.append(len(normalize(text[:end] + "x")) - 1)
    spans = []
    for place in range(len(normalize(text))):
        step = next(k for k, length in enumerate(lengths) if length > place)
        first = place == lengths[step - 1]
        spans.append((ends[step - 1] if first else ends[step], ends[step]))
    return spans


def check_offsets(text: str) -> None:
    offsets, tokens, model = SHIPPED.offsets(text), SHIPPED.tokens(text), owners(text)
    assert len(offsets) == len(tokens)
    at, end = -1, 0
    for (begin, stop), piece in zip(offsets, tokens, strict=True):
        own = [span for span in model[max(at, 0) : at + len(piece)] if span[0] < span[1]]
        expected = (own[0][0], own[-1][1]) if own else (end, end)
        assert (begin, stop) == expected, piece
        assert end <= begin <= stop <= len(text)
        at, end = at + len(piece), stop
    covered = {place for begin, stop in offsets for place in range(begin, stop)}
    assert {place for begin, stop in model for place in range(begin, stop)} <= covered


@given(TEXT)
def test_offsets_are_monotone_in_bounds_and_cover(text: str) -> None:
    check_offsets(text)


@pytest.mark.parametrize("text", [*AWKWARD, "½½½", "  a   b  ", "北京 是", "﷽ﷺ", "n\u0303\u0303a", "\u0301a"])
def test_offsets_of_awkward_texts(text: str) -> None:
    check_offsets(text)


def test_offsets_point_into_the_original() -> None:
    text = "  El PINGU\u0308INO… come ½ piñón"
    shown = [
        (piece, text[begin:end])
        for piece, (begin, end) in zip(SHIPPED.tokens(text), SHIPPED.offsets(text), strict=True)
    ]
    assert shown[0] == ("▁el", "El")
    assert "".join(part for _, part in shown) == text.strip()
    assert [offset for offset in SHIPPED.offsets("x ½") if offset[0] == offset[1]] == [(3, 3), (3, 3)]


def test_spans_only_have_no_length_in_expansions_and_for_the_first_space() -> None:
    for sentence in sample_sentences():
        tokens, offsets = SHIPPED.tokens(sentence), SHIPPED.offsets(sentence)
        empty = [piece for piece, (begin, end) in zip(tokens, offsets, strict=True) if begin == end]
        grown = sum(len(change["to"]) > 1 for change in changes(sentence))  # type: ignore[arg-type]
        assert len(empty) <= 3 * grown + (tokens[0] == "▁")


# Sampling


def all_ways(word: str) -> Iterator[list[int]]:
    numbers = {PIECES[number]: number for number in range(3, 4900)}

    def ways(rest: str) -> Iterator[list[int]]:
        if not rest:
            yield []
        for end in range(1, len(rest) + 1):
            if rest[:end] in numbers:
                yield from ([numbers[rest[:end]], *others] for others in ways(rest[end:]))

    return ways("▁" + word)


@pytest.mark.parametrize("alpha", [0.0, 0.1, 0.5, 1.0])
def test_sampling_follows_the_enumerated_distribution(alpha: float) -> None:
    scores = SHIPPED.vocabulary.scores
    ways = [tuple(way) for way in all_ways("camino")]
    weights = [math.exp(alpha * sum(scores[number] for number in way)) for way in ways]
    draws = 20_000
    seen = Counter(tuple(SHIPPED.encode_sampled("camino", alpha, seed)) for seed in range(draws))
    assert set(seen) <= set(ways)
    expected = {way: draws * weight / sum(weights) for way, weight in zip(ways, weights, strict=True)}
    likely = {way: count for way, count in expected.items() if count >= 5}
    rest = draws - sum(likely.values())
    chi_square = sum((seen[way] - count) ** 2 / count for way, count in likely.items())
    chi_square += (draws - sum(seen[way] for way in likely) - rest) ** 2 / rest if rest >= 5 else 0
    freedom = len(likely)
    assert len(likely) >= (3 if alpha < 1 else 1)
    assert chi_square < freedom + 5 * math.sqrt(2 * freedom)


def test_sampling_is_by_seed_and_text_alone() -> None:
    text = "¿Cuánto cuesta un billete de ida y vuelta?"
    drawn = [SHIPPED.encode_sampled(text, 0.2, seed) for seed in range(20)]
    assert len({tuple(ids) for ids in drawn}) > 10
    assert all(SHIPPED.decode(ids) == normalize(text) for ids in drawn)
    draw = f"[Tokenizer.load().encode_sampled({text!r}, 0.2, seed) for seed in range(20)]"
    code = f"from spanish_tok import Tokenizer; print({draw})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == drawn
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda seed: SHIPPED.encode_sampled(text, 0.2, seed), range(20))) == drawn
    assert SHIPPED.encode_sampled(text, 50.0, 1) == SHIPPED.encode(text)
    assert SHIPPED.encode_sampled("", 0.1, 1) == []
    alpha, seed = np.array([0.5], np.float32)[0], np.array([3])[0]
    assert SHIPPED.encode_sampled(text, alpha, seed) == SHIPPED.encode_sampled(text, 0.5, 3)


@pytest.mark.parametrize("alpha", [-1.0, math.nan, math.inf, "0.1", None])
def test_a_wrong_alpha_is_named(alpha: Any) -> None:
    with pytest.raises(SpanishTokError, match="alpha is"):
        SHIPPED.encode_sampled("hola", alpha, 1)


@pytest.mark.parametrize("seed", ["1", 1.0, None])
def test_a_wrong_seed_is_named(seed: Any) -> None:
    with pytest.raises(SpanishTokError, match="seed is"):
        SHIPPED.encode_sampled("hola", 0.1, seed)


# Streaming


@given(st.lists(st.integers(0, 4999), max_size=12))
def test_a_stream_gives_what_decode_gives(ids: list[int]) -> None:
    stream = SHIPPED.stream()
    assert "".join(map(stream.push, ids)) == SHIPPED.decode(ids)


def test_a_stream_refuses_what_decode_refuses() -> None:
    with pytest.raises(SpanishTokError, match="ids go from 0"):
        SHIPPED.stream().push(5000)


# Threads and processes


def encode_all(tokenizer: Tokenizer) -> list[list[int]]:
    return [tokenizer.encode(sentence) for sentence in sample_sentences()]


def test_pickling_and_threads() -> None:
    expected = encode_all(SHIPPED)
    assert encode_all(pickle.loads(pickle.dumps(SHIPPED))) == expected
    fresh = Tokenizer.load()
    with ThreadPoolExecutor(8) as pool:
        assert all(ids == expected for ids in pool.map(encode_all, [fresh] * 24))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes(method: str) -> None:
    context = multiprocessing.get_context(method)
    with context.Pool(2) as pool:
        assert pool.map(encode_all, [SHIPPED] * 2) == [encode_all(SHIPPED)] * 2


MAP = """
import sys
from datasets import Dataset
from spanish_tok import Tokenizer
tokenizer = Tokenizer.load()
tokenizer.encode("antes")
if __name__ == "__main__":
    data = Dataset.from_dict({"text": ["Año nuevo", "vida nueva"] * 20})
    mapped = data.map(lambda row: {"ids": tokenizer.encode(row["text"])}, num_proc=2)
    assert mapped["ids"][1] == tokenizer.encode("vida nueva")
    print(len(mapped))
"""


LOADER = """
import warnings
from torch.utils.data import DataLoader
from spanish_tok import Tokenizer
TEXTS = ["Año nuevo", "vida nueva"] * 20
tokenizer = Tokenizer.load()
tokenizer.encode("antes")

class Encoded:
    def __len__(self): return len(TEXTS)
    def __getitem__(self, place): return tokenizer.encode_sampled(TEXTS[place], 0.1, place)

if __name__ == "__main__":
    expected = [Encoded()[place] for place in range(40)]
    warnings.filterwarnings("ignore", "This DataLoader will create 2 worker processes")  # on a machine of one core
    for method in ("fork", "spawn"):
        rows = DataLoader(Encoded(), batch_size=None, num_workers=2, multiprocessing_context=method)
        assert list(rows) == expected
    print(len(expected))
"""


@pytest.mark.parametrize(("library", "program"), [("datasets", MAP), ("torch", LOADER)])
def test_two_processes_of_other_libraries_print_no_warning(
    library: str, program: str, tmp_path: Path
) -> None:
    if not find_spec(library):
        pytest.skip(f"needs {library}")
    (tmp_path / "program.py").write_text(program, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", tmp_path / "program.py"],
        capture_output=True, text=True, timeout=300, env={**os.environ, "PYTHONPATH": str(TOP)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "40"
    assert "arning" not in done.stderr


@given(st.text(st.sampled_from("aZñÑ1½¨´ª·'ß \u00a0\t\n\u0301\u0303\ufeff\u200d.—😀"), max_size=60))
def test_the_parts_of_a_long_text_have_its_ids(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spanish_tok.tokenization.verbs.PART", 5)
        parts = list(parts_of(text))
    assert "".join(parts) == text
    assert [token for part in parts for token in SHIPPED.encode(part)] == SHIPPED.encode(text)
