"""Training: sizes, determinism, independence of the other sizes, errors that say what to do."""

import math
import random
import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import sentencepiece

import spanish_tok as st
from spanish_tok import Counts, SpanishTokError, Tokenizer, TrainOptions, Vocabulary, merge, verify
from spanish_tok.files import shipped
from spanish_tok.progress import Bar
from spanish_tok.text.alphabet import SPANISH
from spanish_tok.vocab.audit import unreachable_pieces
from spanish_tok.vocab.counts.runs import count_runs
from spanish_tok.vocab.counts.table import SCHEMA


@pytest.fixture(scope="module")
def counts() -> Counts:
    """The most frequent runs of the shipped counts: a small, real training set."""
    table = Counts.load(shipped("corpus/es-counts.parquet")).table.slice(0, 20_000)
    return merge([Counts(table)])


@pytest.fixture(scope="module")
def shipped_counts() -> Counts:
    return Counts.load(shipped("corpus/es-counts.parquet"))


def test_the_shipped_vocabulary_is_what_training_gives(
    shipped_counts: Counts, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    vocabulary = st.train(shipped_counts, size=5000, engine=st.Local(1))
    assert vocabulary.fingerprint == tokenizer.vocabulary.fingerprint
    vocabulary.save(tmp_path)
    for file in sorted(shipped("vocab/es-5000").iterdir()):
        assert (tmp_path / file.name).read_bytes() == file.read_bytes(), file.name


@pytest.mark.parametrize("threads", [2, 5, 16])
def test_threads_do_not_matter(counts: Counts, threads: int) -> None:
    one = st.train(counts, size=1000, engine=st.Local(1))
    assert st.train(counts, size=1000, engine=st.Local(threads)).fingerprint == one.fingerprint


def test_another_process_gives_the_same_files(tmp_path: Path) -> None:
    code = (
        "import sys; import spanish_tok as st\n"
        "texts = ['el perro come, la perra duerme', 'los perros ladran'] * 30\n"
        "st.train(texts=texts, size=195).save(sys.argv[1])"
    )
    for name in ("a", "b"):
        subprocess.run([sys.executable, "-c", code, str(tmp_path / name)], check=True)
    files = {file.name: file.read_bytes() for file in (tmp_path / "a").iterdir()}
    assert len(files) == 6
    assert files == {file.name: file.read_bytes() for file in (tmp_path / "b").iterdir()}


def test_each_of_several_sizes_is_the_one_trained_alone(counts: Counts) -> None:
    sizes = [300, 1000, 2000, 5000]
    together = st.train(counts, size=sizes)
    assert list(together) == sizes
    for size, vocabulary in together.items():
        assert len(vocabulary) == size
        assert vocabulary.fingerprint == st.train(counts, size=size).fingerprint


def test_all_characters_are_pieces_and_no_piece_crosses_a_run(tokenizer: Tokenizer) -> None:
    pieces = tokenizer.vocabulary.pieces[3:-100]
    assert set(SPANISH.replace(" ", "▁")) <= set(pieces)
    kinds = {char: "letter" if char.isalpha() else "digit" if char.isdigit() else "other" for char in SPANISH}
    for piece in pieces:
        assert "▁" not in piece[1:]
        assert len({kinds[char] for char in piece.removeprefix("▁")}) <= 1, piece
    assert len(set(pieces)) == 4897
    assert all((score * 1024).is_integer() for score in tokenizer.vocabulary.scores)


def slowly_shadowed(pieces: dict[str, int]) -> set[str]:
    """The definition: some other way to cut a piece's own characters scores higher than the piece."""

    def best(text: str, whole: str) -> float:
        if not text:
            return 0
        ways = [
            pieces[text[:end]] + best(text[end:], whole)
            for end in range(1, len(text) + 1)
            if text[:end] in pieces and text[:end] != whole
        ]
        return max(ways, default=-math.inf)

    return {piece for piece, score in pieces.items() if best(piece, piece) > score}


def isolated(piece: str) -> str:
    """A text in which the piece stands alone between characters of another kind, which no piece joins."""
    word = piece.removeprefix("▁")
    other = "1" if not word[:1].isdigit() else "a"
    return (" " if piece.startswith("▁") else other) + word + other


def assert_all_are_reached(vocabulary: Vocabulary) -> None:
    """By the exact definition, and by sentencepiece, which finds each piece in a text."""
    ordinary = slice(3, len(vocabulary) - vocabulary.sentinels)
    pieces = vocabulary.pieces[ordinary]
    scores = {
        p: int(s * 1024) for p, s in zip(pieces, vocabulary.scores[ordinary], strict=True) if len(p) <= 9
    }
    assert unreachable_pieces(vocabulary) == []
    if len(vocabulary) <= 5000:
        assert slowly_shadowed(scores) == set()
    engine = sentencepiece.SentencePieceProcessor(model_proto=vocabulary.serialized)
    rows = engine.encode([isolated(piece) for piece in pieces], out_type=str)
    lost = [piece for piece, row in zip(pieces, rows, strict=True) if piece not in row]
    assert lost in ([], ["▁"])  # which longer pieces join in so short a text


def test_no_piece_is_shadowed_at_any_size(counts: Counts) -> None:
    for vocabulary in st.train(counts, size=[300, 1000, 2000, 5000, 8000]).values():
        assert_all_are_reached(vocabulary)


def test_the_released_vocabulary_reaches_all_pieces(tokenizer: Tokenizer) -> None:
    assert_all_are_reached(tokenizer.vocabulary)


def test_a_piece_that_no_text_can_reach_is_told(shadowed: Path) -> None:
    other = Vocabulary.load(shadowed)
    scores = dict(zip(other.pieces[3:-100], other.scores[3:-100], strict=True))
    assert unreachable_pieces(other) == ["▁os"]
    assert slowly_shadowed({p: int(s * 1024) for p, s in scores.items() if len(p) <= 9}) == {"▁os"}
    assert verify(shadowed).ok
    assert "note  pieces that a text can reach" in "\n".join(map(str, verify(shadowed).checks))


def test_counts_of_a_few_words_reach_all_pieces_too() -> None:
    counts = count_runs(["el perro come y la perra duerme", "perros perrito os vosotros"] * 5)
    with pytest.raises(SpanishTokError, match="these counts allow") as caught:
        st.train(counts, size=5000)
    largest = int(str(caught.value).split("allow ")[1].split()[0])
    for vocabulary in st.train(counts, size=[*range(190, largest + 1, 7), largest]).values():
        assert_all_are_reached(vocabulary)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["shipped", "flattened", "words"])
def test_no_piece_is_shadowed_from_1000_to_32000_ids(shipped_counts: Counts, kind: str) -> None:
    table = shipped_counts.table
    if kind == "flattened":  # another distribution of the same runs
        roots = pc.cast(pc.ceil(pc.sqrt(table["count"])), pa.int64())
        table = table.set_column(1, "count", roots)
    elif kind == "words":  # letters alone
        table = table.filter(pc.match_substring_regex(table["run"], "^▁[a-záéíóúüñ]+$"))
    sizes = [1000, 2000, 4000, 5000, 8000, 16_000, 32_000]
    for vocabulary in st.train(merge([Counts(table)]), size=sizes).values():
        assert_all_are_reached(vocabulary)


def test_ids_go_by_score(tokenizer: Tokenizer) -> None:
    scores = tokenizer.vocabulary.scores[3:-100]
    assert list(scores) == sorted(scores, reverse=True)


def test_fewer_sentinels_make_room_for_pieces(counts: Counts) -> None:
    vocabulary = st.train(counts, size=500, sentinels=10)
    assert len(vocabulary) == 500
    assert vocabulary.pieces[-1] == "<extra_id_0>"
    assert vocabulary.pieces[490] == "<extra_id_9>"
    assert not vocabulary.pieces[489].startswith("<extra")


def test_too_large_a_size_names_the_largest_which_then_works() -> None:
    counts = count_runs(["el perro come y la perra duerme"] * 5)
    with pytest.raises(SpanishTokError, match=r"5,000 is too large: these counts allow (\d+) ids") as caught:
        st.train(counts, size=5000)
    largest = int(str(caught.value).split("allow ")[1].split()[0])
    assert len(st.train(counts, size=largest)) == largest
    assert len(st.train(counts, size=largest - 1)) == largest - 1
    with pytest.raises(SpanishTokError, match="too large"):
        st.train(counts, size=largest + 1)


def test_too_small_a_size_names_the_smallest_which_then_works(counts: Counts) -> None:
    with pytest.raises(SpanishTokError, match=r"150 is too small.*need 188.*Take 188 or more"):
        st.train(counts, size=150)
    assert len(st.train(counts, size=188)) == 188


def test_empty_counts_are_refused() -> None:
    with pytest.raises(SpanishTokError, match="counts are empty"):
        st.train(count_runs([""]))


def test_counts_with_a_strange_character_are_refused() -> None:
    counts = Counts(pa.table([["▁año", "▁ж"], [5, 3]], schema=SCHEMA))
    with pytest.raises(SpanishTokError, match="'ж', which the alphabet lacks"):
        st.train(counts, size=300)
    with pytest.raises(SpanishTokError, match="a run with ▁ inside"):
        st.train(Counts(pa.table([["▁a▁b"], [5]], schema=SCHEMA)), size=188)


def test_long_and_odd_runs_train() -> None:
    draw = random.Random(5)
    texts = ["".join(draw.choices("ñáq", k=draw.randint(50, 900))) for _ in range(300)]
    vocabulary = st.train(count_runs(texts), size=300)
    assert len(vocabulary) == 300


def test_options_change_the_result_and_are_recorded(counts: Counts) -> None:
    options = TrainOptions(seeds=20_000, shrink=0.9)
    vocabulary = st.train(counts, size=1000, options=options)
    assert vocabulary.fingerprint != st.train(counts, size=1000).fingerprint
    assert vocabulary.notes["training"]["shrink"] == 0.9
    assert (vocabulary.notes["counts"], vocabulary.notes["trainer"]) == (counts.fingerprint, 2)


def test_progress_tells_rounds_and_loss(counts: Counts) -> None:
    class Recorder(Bar):
        def __init__(self) -> None:
            self.done = 0.0
            self.notes: list[str] = []

        def advance(self, amount: float = 1) -> None:
            self.done += amount

        def note(self, text: str) -> None:
            self.notes.append(text)

    recorder = Recorder()
    st.train(counts, size=1000, progress=recorder)
    assert 0.5 < recorder.done <= 1.5
    first, *rounds = recorder.notes
    assert first == "looking for candidates"
    assert len(rounds) > 5
    for number, note in enumerate(rounds, 1):
        assert re.fullmatch(rf"round {number} of \d+, [\d,]+ pieces, \d\.\d{{4}} nats a character", note)
