"""Files that were changed at random: a right load or a SpanishTokError, never anything else, and soon.

FUZZ is how many changes are tried in all (`make test-all`: 10,000), FUZZ_SEED another draw.
"""

import gzip
import os
import random
import resource
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import spanish_tok as st
from spanish_tok import Counts, SpanishTokError, Tokenizer, Vocabulary
from spanish_tok.measure.verify import sample_sentences
from spanish_tok.readers.datasets import load_recipe
from spanish_tok.t5.checkpoint import Checkpoint
from spanish_tok.tasks.task import Task
from spanish_tok.tokenization.libraries import load_adapter
from spanish_tok.vocab.counts.runs import count_runs
from tests.faults.changes import rewrite_hashes
from tests.fuzz.mutations import change_array, change_bytes, change_json, change_table

TRIES = int(os.environ.get("FUZZ", "260"))
SEED = int(os.environ.get("FUZZ_SEED", "0"))
SECONDS, BYTES = 10.0, 2 << 30
TEXTS = sample_sentences()[:40]
RECORDS = [{"id": str(number), "text": text} for number, text in enumerate(TEXTS)]

Change = Callable[[Path, random.Random], None]


def use_vocabulary(folder: Path) -> None:
    tokenizer = Tokenizer.load(folder)
    ids = tokenizer.encode_column(TEXTS)
    assert ids.to_pylist() == tokenizer.encode(TEXTS)
    tokenizer.decode_column(ids)


def use_model(folder: Path) -> None:
    tokenizer = Tokenizer(Vocabulary.from_model(folder / "spiece.model"))
    assert tokenizer.encode_column(TEXTS).to_pylist() == tokenizer.encode(TEXTS)


def use_tokenizer_json(folder: Path) -> None:
    adapter = load_adapter(folder / "tokenizer.json")
    adapter.encode_all(TEXTS)
    adapter.cut("casa")


def use_shards(folder: Path) -> None:
    ids, offsets = st.load_shards(folder)
    assert ids.max(initial=0) < 5000
    assert offsets[-1] == len(ids)


def use_written_shards(folder: Path) -> None:
    shutil.rmtree(folder / ".arrays", ignore_errors=True)
    use_shards(folder)


def use_records(folder: Path) -> None:
    (path,) = folder.iterdir()
    st.count(path)


# name -> (how the folder is filled, the files that are changed, structural changes, what loads the folder)
FORMATS: dict[str, tuple[Callable[[Path], Any], str, list[Change], Callable[[Path], Any]]] = {
    "vocabulary": (lambda f: copy_files("vocab/es-5000", f), "*", [], use_vocabulary),
    "its manifest": (lambda f: copy_files("vocab/es-5000", f), "manifest.json", [change_json], use_vocabulary),
    "spiece.model": (lambda f: copy_files("vocab/es-5000", f), "spiece.model", [], use_model),
    "tokenizer.json": (lambda f: copy_files("vocab/es-5000", f), "tokenizer.json", [change_json], use_tokenizer_json),
    "counts": (lambda f: count_runs(TEXTS).save(f / "c.parquet", level=1), "c.parquet", [change_table],
               lambda f: Counts.load(f / "c.parquet")),
    "shards": (lambda f: st.shard(texts=TEXTS, output=f), "*.parquet", [change_table], use_written_shards),
    "manifest of shards": (lambda f: st.shard(texts=TEXTS, output=f), "manifest.json", [change_json],
                           use_written_shards),
    "arrays of shards": (lambda f: st.shard(texts=TEXTS, output=f).load(), ".arrays/*", [change_array], use_shards),
    "model": (lambda f: copy_files("models/es-tiny", f), "*.json", [change_json], Checkpoint.load),
    "weights": (lambda f: copy_files("models/es-tiny", f), "*.safetensors", [], Checkpoint.load),
    "recipe": (lambda f: shutil.copy(st.files.shipped("corpus/mmarco-es.toml"), f), "*.toml", [],
               lambda f: load_recipe(str(f / "mmarco-es.toml"))),
    "options": (lambda f: (f / "o.toml").write_text(st.shipped_recipe(), encoding="utf-8"), "*.toml", [],
                lambda f: st.PretrainOptions.load(f / "o.toml")),
    "task": (lambda f: st.files.write_json(f / "t.json", Task.load("classification").to_dict()), "*", [change_json],
             lambda f: Task.load(f / "t.json")),
    "records in Parquet": (lambda f: pq.write_table(pa.Table.from_pylist(RECORDS), f / "r.parquet"), "*",
                           [change_table], use_records),
    "records in text": (lambda f: (f / "r.txt").write_text("\n".join(TEXTS), encoding="utf-8"), "*", [], use_records),
    "records in gzip": (lambda f: (f / "r.txt.gz").write_bytes(gzip.compress("\n".join(TEXTS).encode())), "*", [],
                        use_records),
}  # fmt: skip


def copy_files(shipped: str, folder: Path) -> None:
    shutil.copytree(st.files.shipped(shipped), folder, dirs_exist_ok=True)


def outcome_of(load: Callable[[Path], Any], folder: Path) -> str:
    """Load a changed folder; another exception than SpanishTokError ends the test with its trace."""
    begun = time.perf_counter()
    try:
        load(folder)
        outcome = "loaded"
    except SpanishTokError:
        outcome = "refused"
    assert time.perf_counter() - begun < SECONDS * 6  # a machine may be busy
    return outcome


@pytest.mark.parametrize("name", FORMATS)
def test_changed_files(name: str, tmp_path: Path) -> None:
    fill, pattern, structural, load = FORMATS[name]
    good = tmp_path / "good"
    good.mkdir()
    fill(good)
    load(good)
    counts: Counter[str] = Counter()
    for number in range(max(1, TRIES // len(FORMATS))):
        draw = random.Random(f"{SEED} {name} {number}")
        folder = Path(shutil.copytree(good, tmp_path / "changed"))
        path = draw.choice(sorted(path for path in folder.glob(pattern) if path.is_file()))
        change = draw.choice([change_bytes, *structural])
        change(path, draw)
        if path.name not in ("manifest.json", "model.json") and draw.random() < 0.7:
            rewrite_hashes(folder)
        try:
            counts[f"{change.__name__}: {outcome_of(load, folder)}"] += 1
        except BaseException as error:
            error.add_note(f"{name}, change {number} ({change.__name__} of {path.name}), seed {SEED}")
            raise
        shutil.rmtree(folder)
    print(f"{name}: {dict(counts)}")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 < 2 * BYTES
