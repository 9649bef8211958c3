"""Valid input that was refused, or cost hours (rows B): it works, and stays linear."""

import pickle
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spanish_tok as st
from spanish_tok import Task, Tokenizer
from spanish_tok.corpus.repairs import remove_subtitle_tags, remove_tags
from spanish_tok.measure.verify import sample_sentences
from spanish_tok.tasks.examples import example_of
from spanish_tok.tasks.windows import inputs_of
from spanish_tok.tokenization.adapters import TokenizerAdapter


@pytest.mark.parametrize("tokens", [24, 64, 100, 512])
def test_B4_windows_share_at_most_half_of_their_words(tokens: int, tokenizer: Tokenizer) -> None:
    task = Task.load("question-answering")
    values = {"question": "¿qué?", "context": " ".join(f"casa{number % 7}" for number in range(3000))}
    changed = Task.from_dict({**task.to_dict(), "input_tokens": tokens, "long_inputs": "windows"})
    codec = TokenizerAdapter.of(tokenizer)
    found = inputs_of(values, changed, codec, 1)
    room = tokens - 1 - len(codec.encode(changed.render({**values, "context": ""})))
    words_a_window = max(1, room // 2)  # a word has two pieces or more
    assert len(found.sequences) <= 2 * 3000 / max(1, words_a_window / 2) + 2
    assert found.capped == (tokens < 512)
    text = codec.decode([token_id for ids in found.sequences for token_id in ids])
    assert all(f"casa{number}" in text for number in range(7))


def test_B4_it_is_said_once(tokenizer: Tokenizer) -> None:
    from spanish_tok.readers.rows import Row

    task = Task.from_dict({**Task.load("question-answering").to_dict(), "input_tokens": 40})
    row = Row(1, {"question": "¿qué?", "context": "la casa " * 400, "answer": "casa"})
    noted: Counter[str] = Counter()
    codec = TokenizerAdapter.of(tokenizer)
    for _ in range(3):
        example_of(row, task, codec, 1, noted, with_target=False)
    assert [count for text, count in noted.items() if "overlap of 48 words" in text] == [3]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1\n00:00:01,000 --> 00:00:02,500\n¿Quién es?", "¿Quién es?"),
        ("a 12  00:00:01.000-->00:00:02.500 b", "a  b"),
        ("x123 00:00:01,000 --> 00:00:02,500", "x"),
        ("00:00:01,000 --> 00:00:02,5001 00:00:03,000 --> 00:00:04,000 fin", "fin"),
        ("2024 tiene 366 días", "2024 tiene 366 días"),
    ],
)
def test_B8_subtitles_are_still_found(text: str, expected: str) -> None:
    assert remove_subtitle_tags(text, 1) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a <!-- b <i>c</i> --> d", "a d"),
        ("a <!-- b <i>c</i> d", "a <!-- b c d"),
        ("<!-- a <!-- b --> c --> d", "c --> d"),
        ("<!-- a --><!-- b --><p>c</p><!--", "c <!--"),
        ("a <!--> b --> c", "a c"),
        ("<!DOCTYPE html><p>a", "a"),
        ("a<br/>b<b>c</b>", "a bc"),
    ],
)
def test_B8_comments_are_still_found(text: str, expected: str) -> None:
    assert remove_tags(text, 1) == expected


@pytest.mark.parametrize("kind", ["Tokenizer", "Task", "SpanCorruption", "NormalizationTable"])
def test_B10_a_hash_does_not_change_with_use(kind: str) -> None:
    fingerprint = pytest.importorskip("datasets").fingerprint

    def used() -> tuple[Any, Any]:
        if kind == "Tokenizer":
            tokenizer = Tokenizer.load()
            return tokenizer, lambda: [
                tokenizer.encode("hola"),
                tokenizer.encode_column(["hola"]),
                tokenizer.decode([598]),
                tokenizer.offsets("hola"),
                tokenizer.encode_sampled("hola", 0.1, 1),
                tokenizer.vocabulary.fingerprint,
                tokenizer.stream().push(598),
            ]
        if kind == "Task":
            task = Task.load("question-answering")
            return task, lambda: (task.input_fields, task.target_fields)
        if kind == "SpanCorruption":
            corruption = st.SpanCorruption(4999)
            return corruption, lambda: corruption.corrupt([5, 6, 7], 0, 0)
        table = st.NormalizationTable(" ab", {"a": "a"}, {}, "")
        return table, lambda: table.normalize("añb")

    thing, use = used()
    before = fingerprint.Hasher.hash(thing), pickle.dumps(thing)
    use()
    assert (fingerprint.Hasher.hash(thing), pickle.dumps(thing)) == before
    assert fingerprint.Hasher.hash(used()[0]) == before[0]


def test_B10_datasets_finds_its_cache() -> None:
    datasets = pytest.importorskip("datasets")
    tokenizer = Tokenizer.load()
    data = datasets.Dataset.from_dict({"text": ["Año nuevo", "vida nueva"]})
    made = [data.map(lambda row: {"ids": tokenizer.encode(row["text"])})._fingerprint for _ in range(2)]
    assert made[0] == made[1]


def test_B13_shards_that_end_in_eos_train_the_same(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    texts = [*sample_sentences(), "", " "]
    options: dict[str, Any] = {"steps": 3, "warmup": 1, "batch_size": 2, "input_length": 64, "held_out": 0.1}
    losses, weights = [], []
    for eos in (False, True):
        shards, run = tmp_path / f"tokens-{eos}", tmp_path / f"run-{eos}"
        st.shard(texts=texts, output=shards, append_eos=eos)
        result = st.pretrain(shards, run, **options)
        losses.append((result.first_loss, result.tokens))
        weights.append((result.checkpoint or run).joinpath("model.safetensors").read_bytes())
    assert losses[0] == losses[1]
    assert weights[0] == weights[1]
    assert torch
    ids, offsets = map(np.array, st.load_shards(tmp_path / "tokens-True"))
    ids[offsets[5] - 1] = 7
    with pytest.raises(st.SpanishTokError, match="records end in </s>"):
        st.pretrain(st.TokenArrays(ids, offsets), **options)


def test_B14_bench_takes_a_model(tmp_path: Path) -> None:
    from spanish_tok.measure.bench import _vocabulary_of

    model = st.files.shipped("models/es-tiny")
    assert _vocabulary_of(model) == model
    assert _vocabulary_of(None) == st.files.shipped("vocab/es-5000")
    with pytest.raises(st.SpanishTokError, match="holds no vocabulary"):
        _vocabulary_of(tmp_path)


WITHOUT_TORCH = """
import importlib.abc, sys
class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "ray", "transformers", "matplotlib", "torchmetrics", "sklearn"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
from spanish_tok import *
from spanish_tok import __all__
print(len(__all__), encode("hola"))
for name in ("pretrain", "finetune", "T5", "predict"):
    try:
        globals()[name]()
    except SpanishTokError as error:
        print(error)
"""


def test_B17_everything_can_be_imported_without_an_extra() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT_TORCH], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    first, *told = done.stdout.splitlines()
    assert first.endswith("[1884]")
    assert len(told) == 4
    assert all("pip install 'spanish-tok[t5]'" in line for line in told)
