"""The formats whose files are changed: how a good folder is made, which files of it change and how, what reads it."""

import csv
import gzip
import json
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq

import spanish_tok as st
from spanish_tok import Counts, Tokenizer, Vocabulary
from spanish_tok.files import shipped, write_json
from spanish_tok.jobs import OutputFolder
from spanish_tok.measure.verify import sample_sentences
from spanish_tok.readers.datasets import load_recipe
from spanish_tok.t5.checkpoint import Checkpoint
from spanish_tok.tasks.task import Task
from spanish_tok.text.alphabets import alphabet_table
from spanish_tok.tokenization.libraries import load_adapter
from spanish_tok.training.loop import STATE
from spanish_tok.training.pretraining.loop import Pretraining
from spanish_tok.vocab.counts.runs import count_runs
from tests.fuzz.mutations import (
    Change,
    change_array,
    change_cells,
    change_compressed,
    change_json,
    change_lines,
    change_pieces,
    change_rows_of_json,
    change_table,
    change_tensors,
    change_toml,
)

TEXTS = sample_sentences()[:40]
RECORDS = [{"id": str(number), "text": text} for number, text in enumerate(TEXTS)]
SMALL: dict[str, Any] = {
    "d_model": 8,
    "d_kv": 4,
    "d_ff": 8,
    "num_layers": 1,
    "num_decoder_layers": 1,
    "num_heads": 2,
}


@dataclass(frozen=True)
class Format:
    """A format. pattern: the files that change, by glob; changes: those that keep the form, by the file's suffix."""

    fill: Callable[[Path], Any]
    pattern: str
    changes: Mapping[str, Change]
    load: Callable[[Path], Any]


def copy_of(name: str) -> Callable[[Path], Any]:
    return lambda folder: shutil.copytree(shipped(name), folder, dirs_exist_ok=True)


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


def write_text(folder: Path) -> Path:
    (folder / "r.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    return folder / "r.txt"


def write_cells(path: Path, separator: str) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=separator, quoting=csv.QUOTE_ALL).writerows(
            [["id", "text"], *([record["id"], record["text"]] for record in RECORDS)]
        )


def use_records(folder: Path) -> None:
    (path,) = folder.iterdir()
    st.count(path)


def use_columns(folder: Path) -> None:
    (path,) = folder.iterdir()
    st.count(path, reading=st.ReadOptions(text="text"))


def write_sample(folder: Path) -> None:
    write_text(folder)
    st.sample(folder / "r.txt", folder / "out", size=20)


def begin_sample(folder: Path) -> None:
    with patch.object(OutputFolder, "finish", side_effect=KeyboardInterrupt), suppress(KeyboardInterrupt):
        write_sample(folder)


def use_sample(folder: Path) -> None:
    assert st.sample(folder / "r.txt", folder / "out", size=20).table().num_rows == 20


def begin_shards(folder: Path) -> None:
    write_text(folder)
    with patch.object(OutputFolder, "finish", side_effect=KeyboardInterrupt), suppress(KeyboardInterrupt):
        st.shard(folder / "r.txt", folder / "out", shard_bytes=1000)


def resume_shards(folder: Path) -> None:
    use_shards(folder / "out" if st.shard(folder / "r.txt", folder / "out", shard_bytes=1000) else folder)


@cache
def ids() -> Any:
    return st.shard(texts=TEXTS * 3).load()


def pretraining(folder: Path, steps: int) -> Pretraining:
    st.T5Config(**SMALL).to_json(folder / "shape" / "config.json")
    options = st.PretrainOptions(
        model=str(folder / "shape"), steps=steps, warmup=1, input_length=64, batch_size=2, save_every=2, held_out=0.1,
        validation_records=2, schedule="wsd", cooldown=0.0, keep=1,
    )  # fmt: skip
    arrays = ids()
    return Pretraining(arrays.ids, arrays.offsets, Tokenizer.load(), options, folder / "run")


def begin_pretraining(folder: Path) -> None:
    for _ in pretraining(folder, 2).steps():
        pass


def resume_pretraining(folder: Path) -> None:
    for _ in pretraining(folder, 3).steps():
        pass


def write_records(path: Path) -> Path:
    rows = [{"text": record["text"], "summary": record["text"][:9]} for record in RECORDS]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def begin_finetuning(folder: Path, epochs: int = 1) -> None:
    """Fine-tune a small model; the bytes of its start are in no file that changes."""
    st.T5(st.T5Config(**SMALL)).save(folder / "model", Tokenizer.load().vocabulary)
    write_records(folder / "r.jsonl")
    finetune(folder, epochs)


def finetune(folder: Path, epochs: int) -> None:
    with patch("spanish_tok.training.log.Log.draw"):
        st.finetune(
            folder / "r.jsonl", folder / "run", task="summarization", model=folder / "model", epochs=epochs,
            batch_size=20, patience=9, validation_records=1,
        )  # fmt: skip


def use_predictor(folder: Path) -> None:
    st.Predictor.load(folder / "run").predict([{"text": "el perro come"}])


def use_restorer(folder: Path) -> None:
    st.Restorer.load(folder).restore("la senora comio una pina")


def use_backend(folder: Path) -> None:
    st.generate(["el perro <extra_id_0> casa"], model=folder, max_new_tokens=3)


TABLE, LINES = {".parquet": change_table}, {".jsonl": change_rows_of_json}
JOB = {".json": change_json, ".parquet": change_table}
VOCABULARY = {".json": change_json, ".model": change_pieces, ".vocab": change_lines}
MODEL = {**VOCABULARY, ".safetensors": change_tensors}
RUN = {**MODEL, ".csv": change_cells}
FORMATS = {
    "vocabulary": Format(copy_of("vocab/es-5000"), "*", VOCABULARY, use_vocabulary),
    "its manifest": Format(copy_of("vocab/es-5000"), "manifest.json", VOCABULARY, use_vocabulary),
    "spiece.model": Format(copy_of("vocab/es-5000"), "spiece.model", VOCABULARY, use_model),
    "tokenizer.json": Format(copy_of("vocab/es-5000"), "tokenizer.json", VOCABULARY, use_tokenizer_json),
    "counts": Format(
        lambda f: count_runs(TEXTS).save(f / "c.parquet", level=1), "*", TABLE,
        lambda f: Counts.load(f / "c.parquet"),
    ),
    "shards": Format(lambda f: st.shard(texts=TEXTS, output=f), "*.parquet", TABLE, use_written_shards),
    "manifest of shards": Format(lambda f: st.shard(texts=TEXTS, output=f), "*.json", VOCABULARY, use_written_shards),
    "arrays of shards": Format(
        lambda f: st.shard(texts=TEXTS, output=f).load(), ".arrays/*", {".npy": change_array, ".json": change_json},
        use_shards,
    ),
    "unfinished shards": Format(
        begin_shards, "out/**/*", JOB, resume_shards
    ),
    "sample": Format(write_sample, "out/*", JOB, use_sample),
    "unfinished sample": Format(begin_sample, "out/**/*", JOB, use_sample),
    "model": Format(copy_of("models/es-tiny"), "*.json", MODEL, Checkpoint.load),
    "weights": Format(copy_of("models/es-tiny"), "*.safetensors", MODEL, Checkpoint.load),
    "small model": Format(
        lambda f: st.T5(st.T5Config(**SMALL)).save(f, Tokenizer.load().vocabulary), "*", MODEL, use_backend
    ),
    "restorer": Format(copy_of("models/es-accents"), "[!R]*", {**MODEL, **TABLE}, use_restorer),
    "pretraining": Format(begin_pretraining, "run/**/*", RUN, resume_pretraining),
    "fine-tuning": Format(begin_finetuning, f"run/{STATE}", RUN, lambda f: finetune(f, 2)),
    "result of fine-tuning": Format(begin_finetuning, "run/*.[jcs]*", RUN, use_predictor),
    "recipe": Format(
        lambda f: shutil.copy(shipped("corpus/mmarco-es.toml"), f), "*", {".toml": change_toml},
        lambda f: load_recipe(str(f / "mmarco-es.toml")),
    ),
    "options": Format(
        lambda f: (f / "o.toml").write_text(st.shipped_recipe(), encoding="utf-8"), "*", {".toml": change_toml},
        lambda f: st.PretrainOptions.load(f / "o.toml"),
    ),
    "alphabet": Format(
        lambda f: shutil.copy(shipped("alphabets/ca.toml"), f), "*", {".toml": change_toml},
        lambda f: alphabet_table(str(f / "ca.toml")),
    ),
    "task": Format(
        lambda f: write_json(f / "t.json", Task.load("classification").to_dict()), "*", {".json": change_json},
        lambda f: Task.load(f / "t.json"),
    ),
    "records in Parquet": Format(
        lambda f: pq.write_table(pa.Table.from_pylist(RECORDS), f / "r.parquet"), "*", TABLE, use_records
    ),
    "records in JSON lines": Format(lambda f: write_records(f / "r.jsonl"), "*", LINES, use_records),
    "records in CSV": Format(lambda f: write_cells(f / "r.csv", ","), "*", {".csv": change_cells}, use_records),
    "records in TSV": Format(lambda f: write_cells(f / "r.tsv", "\t"), "*", {".tsv": change_cells}, use_records),
    "columns of TSV": Format(lambda f: write_cells(f / "r.tsv", "\t"), "*", {".tsv": change_cells}, use_columns),
    "records in text": Format(write_text, "*", {".txt": change_lines}, use_records),
    "records in gzip": Format(
        lambda f: (f / "r.txt.gz").write_bytes(gzip.compress("\n".join(TEXTS).encode())), "*",
        {".gz": change_compressed}, use_records,
    ),
}  # fmt: skip
