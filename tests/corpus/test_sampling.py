"""Sampling: uniform, reproducible, mergeable, exact, and the same after any kill."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

import spanish_tok
from spanish_tok import SpanishTokError
from spanish_tok.corpus import candidates, passes, pipeline, writer
from spanish_tok.corpus import external_sort as spill
from spanish_tok.corpus.cleaning import CleanOptions
from spanish_tok.corpus.external_sort import Spill
from spanish_tok.corpus.sampling import SCHEMA, KeyedSource, Threshold, candidates_of, merge_samples
from spanish_tok.files import sha256_of_file
from spanish_tok.kernels.hash import hash_rows, occurrences
from spanish_tok.parallel.local import Local
from spanish_tok.readers.inputs import inputs_of
from spanish_tok.readers.options import ReadOptions
from spanish_tok.readers.records import read_records
from tests.conftest import Told

Records = list[tuple[str | None, str]]


def batch_of(records: Records) -> pa.RecordBatch:
    ids, texts = zip(*records, strict=True)
    return pa.record_batch([pa.array(ids, pa.string()), pa.array(texts, pa.string())], names=["id", "text"])


def write(path: Path, records: Records) -> Path:
    lines = (text if identity is None else f"{identity}\t{text}" for identity, text in records)
    path.write_bytes("".join(line + "\n" for line in lines).encode())
    return path


def records_in(folder: Path) -> Records:
    return [(row["id"], row["text"]) for batch in read_records([folder]) for row in batch.to_pylist()]


def sha(folder: Path) -> dict[str, str]:
    """Hashes of all files but the manifest, which names the paths of the input."""
    return {file.name: sha256_of_file(file) for file in folder.iterdir() if file.name != "manifest.json"}


def draw(files: list[Path], output: Path, size: int, **options: Any) -> Records:
    inputs = inputs_of(files, ReadOptions(block_bytes=5000))
    spanish_tok.sample(inputs, output, size=size, **{"clean": False, **options})
    return records_in(output)


TEXTS = [f"El perro número {n} come y la perra {n * 7} duerme." for n in range(3000)]
RECORDS: Records = [(str(n), text) for n, text in enumerate(TEXTS)]


def expected(records: Records, size: int, seed: int, source: str) -> Records:
    """The slow, obvious sample."""
    base = xxhash.xxh64_intdigest(source.encode(), seed)
    seen: dict[str, int] = {}
    keyed = []
    for identity, text in records:
        before = seen.get(text, 0)
        if identity is None:
            seen[text] = before + 1
            keyed.append((xxhash.xxh64_intdigest(text.encode(), (base + before) % 2**64), "", text))
        else:
            keyed.append((xxhash.xxh64_intdigest(identity.encode(), base), identity, text))
    return [(identity or None, text) for _, identity, text in sorted(keyed)[:size]]


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (writer, pipeline, passes):
        monkeypatch.setattr(module, "SHARD_ROWS", 100)
    monkeypatch.setattr(spill, "RUN_BYTES", 20_000)


@given(st.lists(st.binary(max_size=100), max_size=20), st.integers(0, 2**64 - 1))
def test_hashes_are_those_of_xxhash(rows: list[bytes], seed: int) -> None:
    offsets = np.cumsum([0, *map(len, rows)])
    data = np.frombuffer(b"".join(rows), np.uint8)
    hashes = hash_rows(data, offsets, np.full(len(rows), seed, np.uint64))
    assert hashes.tolist() == [xxhash.xxh64_intdigest(row, seed) for row in rows]


@given(st.lists(st.integers(0, 5)), st.lists(st.integers(0, 5)))
def test_occurrences_are_counted_across_batches(first: list[int], second: list[int]) -> None:
    table, filled, counted = np.zeros((2, 2), np.uint64), 0, []
    for batch in (first, second):
        before, table, filled = occurrences(np.array(batch, np.uint64), table, filled)
        counted += before.tolist()
    both = first + second
    assert counted == [both[:place].count(value) for place, value in enumerate(both)]
    assert filled == len(set(both))


@pytest.mark.parametrize("size", [1, 99, 100, 250, 3000])
@pytest.mark.parametrize("with_ids", [True, False])
def test_the_sample_is_that_of_the_definition(tmp_path: Path, size: int, with_ids: bool) -> None:
    records: Records = RECORDS if with_ids else [(None, text) for text in TEXTS[:1000] * 2 + TEXTS[1000:2000]]
    file = write(tmp_path / ("es.tsv" if with_ids else "es.txt"), records)
    assert draw([file], tmp_path / "out", size, seed=7) == expected(records, size, 7, "es")
    shards = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert shards == [
        "manifest.json", *(f"part-{n:05}.parquet" for n in range(-(-size // 100))), "report.json"
    ]  # fmt: skip


def test_the_order_of_files_batches_and_workers_do_not_matter(tmp_path: Path) -> None:
    parts = [write(tmp_path / f"{n}.tsv", RECORDS[n::3]) for n in range(3)]
    shas = []
    for number, (files, block_bytes, threads) in enumerate(
        [(parts, 500, 1), (parts[::-1], 100_000, 2), ([parts[1], parts[2], parts[0]], 3000, 5)]
    ):
        inputs = inputs_of(files, ReadOptions(block_bytes=block_bytes, workers=threads))
        spanish_tok.sample(
            inputs,
            tmp_path / f"out{number}",
            size=555,
            clean=CleanOptions(),
            engine=spanish_tok.Local(threads),
        )
        shas.append(sha(tmp_path / f"out{number}"))
    assert shas[0] == shas[1] == shas[2]
    other = draw(parts, tmp_path / "other", 555, seed=1)
    assert set(other) != set(records_in(tmp_path / "out0"))


def test_keys_do_not_depend_on_batches_where_some_ids_are_missing() -> None:
    ids, texts = ["1", None, "2", None, None, "3"], ["sí", "sí", "sí", "no", "sí", "no"]
    batch = pa.record_batch({"id": ids, "text": texts})
    whole = KeyedSource("es", 0).keys_of(batch)
    for cut in range(1, 6):
        source = KeyedSource("es", 0)
        parts = [source.keys_of(batch.slice(0, cut)), source.keys_of(batch.slice(cut))]
        assert np.concatenate(parts).tolist() == whole.tolist()


def test_a_renamed_or_compressed_copy_gives_the_same_only_under_the_same_source(tmp_path: Path) -> None:
    one, two = write(tmp_path / "a.tsv", RECORDS), write(tmp_path / "b.tsv", RECORDS)
    drawn = [
        spanish_tok.sample(
            inputs_of([file], ReadOptions(), source), tmp_path / name, size=50, clean=False
        ).to_dict()
        and records_in(tmp_path / name)
        for file, source, name in ((one, None, "1"), (two, None, "2"), (two, "a", "3"))
    ]
    assert drawn[0] == drawn[2] != drawn[1]


def test_uniform_over_positions() -> None:
    """Chi-square over 100 stretches of the input, for ids and for texts: 99 degrees of freedom."""
    size, rows, stretches = 20_000, 100_000, 100
    with_ids: Records = [(str(n), "x") for n in range(rows)]
    without: Records = [(None, f"texto {n % (rows // 2)}") for n in range(rows)]
    for records in (with_ids, without):
        keys = KeyedSource("es", seed=3).keys_of(batch_of(records))
        chosen = np.argsort(keys)[:size]
        counts = np.bincount(chosen * stretches // rows, minlength=stretches)
        expectation = size / stretches
        spread = ((counts - expectation) ** 2 / (expectation * (1 - size / rows))).sum()
        assert (
            50 < spread < 150
        )  # 5 standard deviations of chi-square are 70; p < 0.001 outside of about 60-148


@given(st.integers(1, 40), st.lists(st.integers(0, 60), min_size=1, max_size=120), st.integers(1, 4))
def test_samples_of_parts_merge_into_the_sample_of_the_whole(size: int, ids: list[int], parts: int) -> None:
    source = KeyedSource("es", seed=5)

    def keyed(chosen: list[int]) -> pa.RecordBatch:
        batch = batch_of([(str(n), f"texto {n}") for n in chosen] or [("0", "")]).slice(0, len(chosen))
        return candidates_of(batch, source.keys_of(batch), Threshold(size))

    whole = merge_samples([keyed(ids)], size)
    samples = [merge_samples([keyed(ids[part::parts])], size) for part in range(parts)]
    assert merge_samples(samples, size).equals(whole)
    tree = samples[0]
    for sample in samples[1:]:
        tree = merge_samples([sample, tree], size)
    assert tree.equals(whole)
    assert whole.num_rows == min(size, len(ids))


@given(st.lists(st.integers(0, 2**64 - 1), max_size=300), st.integers(1, 50), st.integers(1, 400))
def test_a_threshold_keeps_the_smallest_keys(values: list[int], size: int, guess: int) -> None:
    threshold = Threshold(size, rows=guess)
    for begin in range(0, len(values), 7):
        keys = np.array(values[begin : begin + 7], np.uint64)
        threshold.add(keys[threshold.admits(keys)])
    kept = threshold.smallest().tolist()
    smallest = sorted(values)
    admitted = [value for value in smallest if value <= threshold.high]
    assert kept[:size] == admitted[:size]
    assert set(kept[size:]) <= {kept[size - 1] if len(kept) >= size else None}
    if guess <= size:
        assert kept[:size] == smallest[:size]


def test_the_spill_gives_back_what_it_was_given(tmp_path: Path) -> None:
    rows = [(key * 977 % 1000, None if key % 3 else str(key), f"ñ{key}" * (key % 5)) for key in range(700)]
    file = Spill(tmp_path / "spill", [])
    for begin in range(0, 700, 90):
        columns = zip(*rows[begin : begin + 90], strict=True)
        file.append(
            pa.record_batch(
                [pa.array(c, t) for c, t in zip(columns, SCHEMA.types, strict=True)], schema=SCHEMA
            )
        )
        file.flush()
    runs, size = list(file.runs), file.size
    file.append(pa.RecordBatch.from_pylist([{"key": 1, "id": "x", "text": "lost"}], SCHEMA))
    file.flush()
    file.close()
    again = Spill(tmp_path / "spill", runs)
    assert (tmp_path / "spill").stat().st_size == size
    keys = np.sort(np.concatenate([again.keys_of(run) for run in again.runs]))
    read = [tuple(row.values()) for (load,) in again.ranges(keys, 64) for row in load().to_pylist()]
    assert read == sorted(rows, key=lambda row: row[0])
    assert [load().num_rows for (load,) in again.ranges(keys, 64, before=60, first=1)][:2] == [64, 64]
    again.close()
    os.truncate(tmp_path / "spill", size - 1)
    with pytest.raises(SpanishTokError, match="shorter than it was"):
        Spill(tmp_path / "spill", runs)


def faulty() -> Records:
    """Every third record is one that cleaning rejects, and there are duplicates."""
    spoiled = [
        (str(n), "....." if n % 3 == 0 else TEXTS[n] if n % 5 else TEXTS[n - n % 2]) for n in range(3000)
    ]
    return [(identity, text.upper() if identity.endswith("7") else text) for identity, text in spoiled]


def test_cleaning_candidates_gives_what_cleaning_everything_gives(tmp_path: Path) -> None:
    file = write(tmp_path / "es.tsv", faulty())
    told = Told()
    some = draw([file], tmp_path / "some", 1000, clean=CleanOptions(), progress=told)
    everything = draw([file], tmp_path / "all", 1000, clean=CleanOptions(), clean_all=True)
    assert some == everything
    assert told.messages
    assert "the input is read once more" in told.messages[0]  # a third of the candidates was rejected
    first, second = (json.loads((tmp_path / name / "manifest.json").read_text()) for name in ("some", "all"))
    assert [shard["sha256"] for shard in first["shards"]] == [shard["sha256"] for shard in second["shards"]]
    assert first["looked_at"] < second["looked_at"] == 3000
    assert second["rules"]["signs"] == 1000
    by_hand = []
    texts: set[str] = set()
    for identity, text in expected(faulty(), 3000, 0, "es"):
        if text != "....." and text.lower() not in texts:
            texts.add(text.lower())
            by_hand.append((identity, text))
    assert some == by_hand[:1000]


@pytest.mark.parametrize("guess", [1, 2500, 6000, 10**9])
@pytest.mark.parametrize("clean", [False, CleanOptions()])
def test_a_wrong_guess_of_the_rows_costs_a_pass_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guess: int, clean: CleanOptions | bool
) -> None:
    file = write(tmp_path / "es.tsv", faulty())
    draw([file], tmp_path / "right", 550, clean=clean)
    monkeypatch.setattr("spanish_tok.readers.inputs.Inputs.guessed_rows", lambda _: guess)
    draw([file], tmp_path / "wrong", 550, clean=clean)
    assert sha(tmp_path / "right") == sha(tmp_path / "wrong")


def test_more_records_than_there_are(tmp_path: Path) -> None:
    file = write(tmp_path / "es.tsv", RECORDS)
    with pytest.raises(SpanishTokError, match="3,001 records are wanted, and the input holds 3,000"):
        draw([file], tmp_path / "out", 3001)
    assert not (tmp_path / "out" / "manifest.json").exists()
    assert len(draw([file], tmp_path / "out", 3001, at_most=True)) == 3000
    with pytest.raises(SpanishTokError, match="3,000 rows were read"):
        spanish_tok.sample(inputs_of([file], ReadOptions(rows=4000)), tmp_path / "rows", size=10, clean=False)


def test_a_folder_is_not_overwritten(tmp_path: Path) -> None:
    file = write(tmp_path / "es.tsv", RECORDS)
    draw([file], tmp_path / "out", 10)
    before = sha(tmp_path / "out")
    draw([file], tmp_path / "out", 10)
    assert sha(tmp_path / "out") == before
    with pytest.raises(SpanishTokError, match="holds the work of another size"):
        draw([file], tmp_path / "out", 11)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "x.txt").touch()
    with pytest.raises(SpanishTokError, match="is not an empty folder"):
        draw([file], tmp_path / "mine", 10)


@pytest.mark.parametrize("rows", [1, 99, 100, 101, 1000])
def test_cleaning_keeps_the_order_of_the_input(tmp_path: Path, rows: int) -> None:
    files = [
        write(tmp_path / "a.tsv", RECORDS[: rows // 2]),
        write(tmp_path / "b.tsv", RECORDS[rows // 2 : rows]),
    ]
    inputs = inputs_of(files, ReadOptions(block_bytes=1000))
    manifest = spanish_tok.clean(inputs, tmp_path / "out", options=CleanOptions()).to_dict()
    assert records_in(tmp_path / "out") == RECORDS[:rows]
    assert manifest["looked_at"] == manifest["rows"] == rows


KILLED = """
import os, signal, sys
import spanish_tok
from spanish_tok.corpus import candidates, external_sort, passes, pipeline, writer
from spanish_tok.corpus.cleaning import CleanOptions
from spanish_tok.readers.inputs import inputs_of
from spanish_tok.readers.options import ReadOptions
writer.SHARD_ROWS = pipeline.SHARD_ROWS = passes.SHARD_ROWS = 100
external_sort.RUN_BYTES = 20_000
candidates.CHECKPOINT_SECONDS = 0.0
verb, file, output, die_after = *sys.argv[1:4], int(sys.argv[4])
left = die_after
def dying(*_):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return dying
if die_after:
    sys.settrace(lambda *_: dying() if left > 0 and "spanish_tok" in _[0].f_code.co_filename else None)
inputs = inputs_of([file], ReadOptions(block_bytes=5000))
if verb == "sample":
    spanish_tok.sample(inputs, output, size=1000, clean=CleanOptions(), engine=spanish_tok.Local(1))
else:
    spanish_tok.clean(inputs, output, options=CleanOptions(), engine=spanish_tok.Local(1))
"""


def run_to_the_end(
    verb: str, file: Path, output: Path, random_lines: random.Random | None, kills: int
) -> int:
    """Run until it is done, killed at up to `kills` random moments; how often it was killed."""
    killed = 0
    while True:
        die_after = random_lines.randrange(50, 9000) if random_lines and killed < kills else 0
        done = subprocess.run(
            [sys.executable, "-c", KILLED, verb, str(file), str(output), str(die_after)],
            capture_output=True,
            text=True,
        )
        if done.returncode == 0:
            return killed
        assert done.returncode == -signal.SIGKILL, done.stderr
        killed += 1


@pytest.mark.parametrize("verb", ["sample", "clean"])
@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_at_random_moments_and_resumed_gives_the_same_bytes(
    tmp_path: Path, verb: str, kills: int
) -> None:
    """Each process dies at a random line of the package's code, and the last one runs to the end."""
    file = write(tmp_path / "es.tsv", faulty())
    run_to_the_end(verb, file, tmp_path / "whole", None, 0)
    moments = random.Random(kills)
    killed, folders_made = 0, 0
    while killed < kills:
        output = tmp_path / f"out{folders_made}"
        killed += run_to_the_end(verb, file, output, moments, kills - killed)
        hashes = sha(output)
        assert hashes == sha(tmp_path / "whole")
        assert sha256_of_file(output / "manifest.json") == sha256_of_file(
            tmp_path / "whole" / "manifest.json"
        )
        folders_made += 1


def test_a_job_cannot_resume_after_an_input_changes(tmp_path: Path) -> None:
    file = write(tmp_path / "es.tsv", RECORDS)
    with pytest.raises(SpanishTokError, match="wanted"):
        draw([file], tmp_path / "out", 4000)  # leaves it unfinished
    time.sleep(0.01)
    os.utime(file)
    with pytest.raises(SpanishTokError, match="its input has changed since"):
        draw([file], tmp_path / "out", 4000)


def test_candidates_resume_in_the_middle_of_the_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pass that is stopped halfway does not read the first half again."""
    monkeypatch.setattr(candidates, "CHECKPOINT_SECONDS", 0.0)
    file = write(tmp_path / "es.tsv", RECORDS)
    inputs = inputs_of([file], ReadOptions(block_bytes=5000))
    gathering = candidates.CandidatePass(inputs, 0, tmp_path, 500, 0, 3000)
    append, appended = Spill.append, 0

    def failing(self: Spill, batch: pa.RecordBatch) -> None:
        nonlocal appended
        appended += 1
        if appended == 15:
            raise KeyboardInterrupt
        append(self, batch)

    monkeypatch.setattr(Spill, "append", failing)
    with pytest.raises(KeyboardInterrupt):
        gathering.scan(Local(1))
    again = candidates.CandidatePass(inputs, 0, tmp_path, 500, 0, 3000)
    again.scan(Local(1))
    assert again.rows == 3000
    assert appended < 15 + 30  # of about 36 blocks in all, and the end of the file
    whole = candidates.CandidatePass(inputs, 0, tmp_path / "other", 500, 0, 3000)
    (tmp_path / "other").mkdir()
    whole.scan(Local(1))
    assert again.keys.tolist() == whole.keys.tolist()
    again.close()
    whole.close()
    gathering.spill.close()


def test_the_output_feeds_count(tmp_path: Path) -> None:
    file = write(tmp_path / "es.tsv", RECORDS)
    draw([file], tmp_path / "out", 100)
    assert spanish_tok.count([tmp_path / "out"]).records == 100
    (table,) = [pq.read_table(path) for path in (tmp_path / "out").glob("*.parquet")]
    assert table.column_names == ["key", "id", "text"]


def test_E6_of_empty_lines_the_input_is_read_once_more_at_most(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes(b"\n" * 200_000)
    told = Told()
    with pytest.raises(SpanishTokError, match="of 200,000 records cleaning keeps 0"):
        spanish_tok.sample(tmp_path / "x.txt", tmp_path / "out", size=10, progress=told)
    assert sum("read once more" in line for line in told.messages) <= 1
