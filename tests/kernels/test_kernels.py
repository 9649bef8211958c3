"""Every kernel equals its slow, obvious twin on random input."""

import os
import random
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise
from math import exp, log
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanish_tok.kernels import NOTE
from spanish_tok.kernels import bytes as memory
from spanish_tok.kernels.text.normalize import decode_character, normalize_records
from spanish_tok.kernels.text.utf8 import ROWS, invalid_rows
from spanish_tok.kernels.unigram.lattice import Lattice, best_path, e_step, keep_edges, viterbi_counts
from spanish_tok.kernels.unigram.suffix_tree import sorted_suffixes
from spanish_tok.text.arrow import bytes_and_offsets, text_chunks
from spanish_tok.text.packed_table import packed_spanish
from spanish_tok.vocab.counts.runs import count_runs
from spanish_tok.vocab.counts.table import Counts
from spanish_tok.vocab.unigram import UnigramModel, rank, run_em, seed_model


def data_of(content: bytes) -> np.ndarray:
    return np.frombuffer(content, np.uint8)


def word_of(text: str) -> int:
    return int.from_bytes(text.encode("latin-1"), "little")


@given(st.binary(max_size=40), st.integers(0, 40))
def test_word_at(content: bytes, index: int) -> None:
    expected = int.from_bytes(content[index : index + 8].ljust(8, b"\0"), "little")
    assert int(memory.word_at(data_of(content), index)) == expected


@given(st.integers(0, 2**64 - 1))
def test_first_zero_byte(word: int) -> None:
    content = word.to_bytes(8, "little")
    expected = content.index(0) if 0 in content else 8
    assert memory.first_zero_byte(np.uint64(word)) == expected


@given(st.integers(0, 2**64 - 1) | st.text("az`{ \xe1A", min_size=8, max_size=8).map(word_of))
def test_bytes_of_a_kind(word: int) -> None:
    content = word.to_bytes(8, "little")
    for kind, found in [
        (b"abcdefghijklmnopqrstuvwxyz", memory.letters_of(np.uint64(word))),
        (b" ", memory.spaces_of(np.uint64(word))),
    ]:
        assert int(found).to_bytes(8, "little") == bytes(0x80 * (byte in kind) for byte in content)


@given(st.text("abz ñ", max_size=40), st.integers(0, 5))
def test_copy_letters(text: str, before: int) -> None:
    content = b"x" * before + text.encode()
    target = np.zeros(len(content) + 3, np.uint8)
    copied = memory.copy_letters(data_of(content), before, len(content), target, 3)
    run = len(re.match("[a-z]*", text)[0])  # type: ignore[index]
    assert (copied, target[3 : 3 + run].tobytes()) == (run, text[:run].encode())


@given(st.lists(st.binary(max_size=20), min_size=2, max_size=2), st.integers(0, 5))
def test_equal_bytes_and_hashes(contents: list[bytes], before: int) -> None:
    left, right = contents
    same = left == right
    padded = data_of(b"x" * before + right + b"y" * 3)
    if len(left) == len(right):
        assert memory.equal_bytes(data_of(left), 0, padded, before, len(left)) == same
    hashes = (
        memory.hash_bytes(data_of(left), 0, len(left)),
        memory.hash_bytes(padded, before, before + len(right)),
    )
    assert (hashes[0] == hashes[1]) == same


def test_invalid_rows_are_those_that_python_does_not_decode() -> None:
    """Rows of ASCII, accents, dashes, every length of character; damaged by one byte, cut off, run together."""
    draw = random.Random(5)
    for trial in range(400):
        letters = ("a b", "a bñ", "añ—€", "añ—\ud7ff\ue000😀\u0800", "\u0080\u07ff\u0fff\ud000")[trial % 5]
        rows = []
        for _ in range(draw.choice((1, 5, ROWS + 3))):
            row = bytearray("".join(draw.choices(letters, k=draw.choice((0, 3, 70, 140)))).encode())
            if row and draw.random() < 0.02:
                row[draw.randrange(len(row))] = draw.choice((0x80, 0xBF, 0xC0, 0xC3, 0xE0, 0xED, 0xF0, 0xFF))
            rows.append(bytes(row[: -draw.randint(1, 3)] if draw.random() < 0.02 else row))
        offsets = np.cumsum([0, *map(len, rows)], dtype=np.int32)
        found = invalid_rows(data_of(b"".join(rows)), offsets)
        assert found.tolist() == [not decodes(row) for row in rows]


@pytest.mark.parametrize("cut", ["ñ".encode()[:1], "—".encode()[:1], "—".encode()[:2]])
@pytest.mark.parametrize("after", [b"", b"a", b"ab", b"a" * 70, "ñ".encode()])
def test_a_character_cut_anywhere_makes_its_row_invalid(cut: bytes, after: bytes) -> None:
    for before in range(135):
        row = b"a" * before + cut + after
        assert invalid_rows(data_of(row), np.array([0, len(row)], np.int32)).tolist() == [True]


def decodes(row: bytes) -> bool:
    try:
        row.decode()
    except UnicodeDecodeError:
        return False
    return True


@given(st.binary(max_size=12) | st.text(max_size=6).map(str.encode))
def test_decode_character(content: bytes) -> None:
    """Valid UTF-8 as Python decodes it; every malformed byte alone is U+FFFD."""
    data, i, decoded = data_of(content), 0, []
    while i < len(content):
        code, length = decode_character(data, i, len(content))
        if code == 0xFFFD and length == 1:
            decoded.append("\ufffd")
        else:
            assert content[i : i + length].decode() == chr(code)
            decoded.append(chr(code))
        i += length
    try:
        assert "".join(decoded) == content.decode()
    except UnicodeDecodeError:
        assert "\ufffd" in decoded


@given(st.binary(max_size=30))
def test_malformed_bytes_never_harm(content: bytes) -> None:
    data, offsets = normalize_records(data_of(content), np.array([0, len(content)]), packed_spanish())
    assert data.tobytes().decode() is not None
    assert list(offsets) == [0, len(data)]


def symbols(length: int) -> st.SearchStrategy[list[str]]:
    return st.lists(st.text("abñ1", min_size=1, max_size=length), min_size=1, max_size=12)


def right_branching(runs: Counter[str]) -> dict[str, int]:
    """By definition: substrings of 2 to 16 characters, twice or more, that two things follow (an end is one each)."""
    places: dict[str, Counter[str]] = {}
    for run, count in runs.items():
        for i in range(len(run)):
            for j in range(i + 2, min(i + 16, len(run)) + 1):
                after = run[j] if j < len(run) else "end"
                places.setdefault(run[i:j], Counter())[after] += count
    return {
        s: sum(after.values())
        for s, after in places.items()
        if (len(after) > 1 or "end" in after) and sum(after.values()) > 1
    }


def counts_of(runs: Counter[str]) -> Counts:
    import pyarrow as pa

    from spanish_tok.vocab.counts.table import SCHEMA, merge

    return merge([Counts(pa.table([list(runs), list(runs.values())], schema=SCHEMA))])


@settings(max_examples=60)
@given(symbols(25))
def test_suffixes_are_sorted_by_their_first_sixteen_symbols(texts: list[str]) -> None:
    encoded = [["", *"1abñ"].index(char) for text in texts for char in text]
    ends = np.cumsum([0, *map(len, texts)])
    suffixes = [text[k:][:16] for text in texts for k in range(len(text))]
    order = sorted_suffixes(np.array(encoded, np.uint8), ends)
    assert order.tolist() == sorted(
        range(len(suffixes)), key=suffixes.__getitem__
    )  # equal ones in their order


@settings(max_examples=60)
@given(symbols(25))
def test_seeds_are_the_right_branching_substrings(texts: list[str]) -> None:
    runs = Counter(texts)
    characters = ["1", "a", "b", "ñ"]
    model = seed_model(counts_of(runs), characters, 10_000, threads=2)
    expected = right_branching(runs)
    pieces = [model.piece(number) for number in range(len(model))]
    assert pieces[:4] == characters
    assert set(pieces[4:]) == set(expected)
    assert len(set(pieces)) == len(pieces)
    worth = {piece: expected[piece] * len(piece) for piece in pieces[4:]}
    singles = Counter(char for run, count in runs.items() for char in run * count)
    total = sum(worth.values()) + sum(max(singles[char], 0.5) for char in characters)
    for piece, score in zip(pieces[4:], model.score[4:], strict=True):
        assert score == pytest.approx(log(worth[piece] / total))


def segmentations(text: str, pieces: dict[str, float]) -> Iterator[list[str]]:
    if not text:
        yield []
    for end in range(1, min(len(text), 16) + 1):
        if text[:end] in pieces:
            yield from ([text[:end], *rest] for rest in segmentations(text[end:], pieces))


@settings(max_examples=40, deadline=None)
@given(symbols(7))
def test_expectation_equals_enumeration(texts: list[str]) -> None:
    runs = Counter(texts)
    model = seed_model(counts_of(runs), ["1", "a", "b", "ñ"], 10_000, threads=1)
    scores = {model.piece(number): float(model.score[number]) for number in range(len(model))}
    expected: dict[str, float] = defaultdict(float)
    likelihood = 0.0
    for run, count in runs.items():
        ways = list(segmentations(run, scores))
        weights = [exp(sum(scores[piece] for piece in way)) for way in ways]
        likelihood += count * log(sum(weights))
        for way, weight in zip(ways, weights, strict=True):
            for piece in way:
                expected[piece] += count * weight / sum(weights)
    got = np.zeros(len(model))
    total = e_step(model.lattice, 0, len(runs), np.exp(model.score), got)
    assert total == pytest.approx(likelihood)
    assert got == pytest.approx([expected[model.piece(number)] for number in range(len(model))])


@settings(max_examples=40, deadline=None)
@given(symbols(7))
def test_the_best_path_is_the_best(texts: list[str]) -> None:
    model = seed_model(counts_of(Counter(texts)), ["1", "a", "b", "ñ"], 10_000, threads=1)
    scores = {model.piece(number): float(model.score[number]) for number in range(len(model))}
    used = np.zeros(len(model), np.int64)
    viterbi_counts(model.lattice, 0, len(model.lattice.counts), model.score, used)
    pieces = {model.piece(number): int(times) for number, times in enumerate(used)}
    characters = sum(len(piece) * times for piece, times in pieces.items())
    assert characters == sum(map(len, texts))
    best = sum(max(sum(scores[p] for p in way) for way in segmentations(text, scores)) for text in texts)
    assert sum(scores[piece] * times for piece, times in pieces.items()) == pytest.approx(best)


def one_run(text: str, pieces: dict[str, float]) -> tuple[Lattice, np.ndarray]:
    numbers = {piece: number for number, piece in enumerate(pieces)}
    starts, edges, lengths = [0], [], []
    for i in range(len(text)):
        for end in range(i + 1, len(text) + 1):
            if text[i:end] in numbers:
                edges.append(numbers[text[i:end]])
                lengths.append(end - i)
        starts.append(len(edges))
    arrays = np.array([0, len(text)]), np.array([3]), np.array(starts), np.array(edges, np.int32)
    return Lattice(*arrays, np.array(lengths, np.uint8)), np.array(list(pieces.values()))


def test_a_run_too_improbable_for_the_linear_domain_is_right_all_the_same() -> None:
    pieces = {"a": -40.0, "b": -41.0, "ab": -79.5, "ba": -83.0}
    text = "ab" * 24  # about e^-1900, far below what a float64 holds
    lattice, score = one_run(text, pieces)
    got = np.zeros(len(pieces))
    likelihood = e_step(lattice, 0, 1, np.exp(score), got)
    # the same in half-size logarithms, by hand: sums over all ways
    forward = [0.0]
    for end in range(1, len(text) + 1):
        ways = [forward[end - len(p)] + s for p, s in pieces.items() if text[:end].endswith(p)]
        most = max(ways)
        forward.append(most + log(sum(exp(way - most) for way in ways)))
    assert likelihood == pytest.approx(3 * forward[-1])
    assert got @ [1, 1, 2, 2] == pytest.approx(3 * len(text))


def test_ties_go_to_the_earliest_start() -> None:
    lattice, score = one_run("aaa", {"a": -1.0, "aa": -2.0, "aaa": -3.0})
    best, edge_to = np.empty(4), np.empty(4, np.int64)
    best_path(lattice, 0, 3, score, -1, best, edge_to)
    assert lattice.lengths[edge_to[3]] == 3
    best_path(lattice, 0, 3, score, 2, best, edge_to)
    assert lattice.lengths[edge_to[3]] == 2


def test_dropped_pieces_leave_the_lattice() -> None:
    lattice, _ = one_run("abab", {"a": 0.0, "b": 0.0, "ab": 0.0})
    kept = keep_edges(lattice, np.array([0, 1, -1], np.int32))
    assert kept == 4
    assert list(lattice.starts) == [0, 1, 2, 3, 4]
    assert list(lattice.pieces[:kept]) == [0, 1, 0, 1]


def random_model(seed: int) -> UnigramModel:
    draw = random.Random(seed)
    texts = ["".join(draw.choices("abcde", [5, 4, 3, 2, 1], k=draw.randint(1, 12))) for _ in range(400)]
    return seed_model(counts_of(Counter(texts)), list("abcde"), 10_000, threads=2)


def test_maximization_never_makes_the_text_less_likely() -> None:
    model = random_model(1)
    losses = [run_em(model, 1, keep_all=True) for _ in range(6)]
    assert all(later <= earlier + 1e-3 for earlier, later in pairwise(losses[1:]))
    assert np.exp(model.score).sum() <= 1.0 + 1e-9


def test_ranking_puts_characters_first_and_useless_pieces_last() -> None:
    model = random_model(2)
    run_em(model, 2)
    order, useful = rank(model)
    assert sorted(order) == list(range(len(model)))
    assert set(order[:5]) == set(range(5))
    used = np.zeros(len(model), np.int64)
    viterbi_counts(model.lattice, 0, len(model.lattice.counts), model.score, used)
    assert all(used[number] == 0 or number >= 5 for number in order[useful:])
    assert 5 < useful <= len(model)


def test_counting_reads_what_lies_in_a_window_of_a_larger_buffer() -> None:
    (chunk,) = text_chunks(["uno dos", "tres tres", "cuatro"])
    window = chunk.slice(1, 1)
    data, offsets = bytes_and_offsets(window)
    assert data[offsets[0] : offsets[1]].tobytes() == b"tres tres"
    assert count_runs(window).table.to_pydict() == {"run": ["▁tres"], "count": [2]}


def test_the_first_use_is_told_also_off_a_terminal_and_once(tmp_path: Path) -> None:
    """Two functions are compiled, which is told in one line; what is compiled already says nothing."""
    program = tmp_path / "program.py"
    program.write_text(
        "from spanish_tok.kernels import kernel\n"
        "@kernel\ndef one(x):\n    return x + 1\n"
        "@kernel\ndef two(x):\n    return x + 2\n"
        "print(one(1), two(1))\n"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}

    def told(**changes: str) -> str:
        done = subprocess.run(
            [sys.executable, str(program)], env={**environment, **changes}, capture_output=True, text=True
        )
        assert done.stdout == "2 3\n"
        return done.stderr

    assert told(NUMBA_CACHE_DIR=str(tmp_path / "other"), SPANISH_TOK_QUIET="1") == ""
    assert told(SPANISH_TOK_QUIET="") == NOTE + "\n"
    assert told(SPANISH_TOK_QUIET="") == ""
