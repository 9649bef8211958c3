"""Token shards: the same bytes however made, resumed after any fault, and read by everybody's readers."""

import re
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import spanish_tok as st
from spanish_tok import ShardOptions, SpanishTokError, Tokenizer, decode_shards, normalize
from spanish_tok.measure.verify import sample_sentences
from spanish_tok.readers.options import ReadOptions
from spanish_tok.shards import job as shard_job
from spanish_tok.shards.job import ShardJob
from spanish_tok.shards.reader import load_shards, read_manifest

SMALL = ShardOptions(shard_bytes=20_000)
COMMAND = [sys.executable, "-m", "spanish_tok"]


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """2,000 records in Parquet, some of them empty, 500 lines of text, and an empty file."""
    sentences = sample_sentences()
    texts = ["" if n % 50 == 0 else f"{sentences[n % len(sentences)]} {n}" for n in range(2000)]
    table = pa.table({"id": pa.array(map(str, range(2000))), "text": texts})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=300)
    (tmp_path / "b.txt").write_text("".join(f"La línea {n}\n" for n in range(500)), encoding="utf-8")
    (tmp_path / "c.txt").write_text("")
    return [tmp_path / name for name in ("a.parquet", "b.txt", "c.txt")]


def texts_of(files: list[Path]) -> list[str]:
    return [*pq.read_table(files[0])["text"].to_pylist(), *files[1].read_text(encoding="utf-8").splitlines()]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def rows_of(folder: Path) -> list[dict[str, Any]]:
    shards = read_manifest(folder)["shards"]
    return [row for shard in shards for row in pq.read_table(folder / shard["file"]).to_pylist()]


def test_every_record_in_order(files: list[Path], tmp_path: Path, tokenizer: Tokenizer) -> None:
    options = ShardOptions(append_eos=True, shard_bytes=20_000)
    manifest = st.shard(files, tmp_path / "out", options=options).to_dict()
    names = [shard["file"] for shard in manifest["shards"]]
    assert names == sorted(names)
    assert len(names) > 5
    assert names[-1] == "tokens-00001-00000.parquet"
    rows = rows_of(tmp_path / "out")
    assert [row["tokens"] for row in rows] == [
        tokenizer.encode(text, append_eos=True) for text in texts_of(files)
    ]
    assert [row["id"] for row in rows] == [*map(str, range(2000)), *[None] * 500]
    assert manifest["records"] == len(rows) == 2500
    assert manifest["ids"] == sum(len(row["tokens"]) for row in rows)
    assert manifest["vocabulary"]["fingerprint"] == tokenizer.vocabulary.fingerprint
    assert sorted(contents(tmp_path / "out")) == ["manifest.json", *names]


def test_the_same_bytes_for_any_workers_and_blocks(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_job, "ROW_GROUP", 111)
    st.shard(files, tmp_path / "1", options=SMALL, engine=st.Local(1))
    for workers, block in ((2, 1000), (4, 70)):
        st.shard(
            files,
            tmp_path / f"{workers}",
            options=SMALL,
            reading=ReadOptions(block_bytes=block),
            engine=st.Local(workers),
        )
        assert contents(tmp_path / f"{workers}") == contents(tmp_path / "1")
    shard = pq.ParquetFile(tmp_path / "1" / "tokens-00000-00000.parquet").metadata
    sizes = [shard.row_group(number).num_rows for number in range(shard.num_row_groups)]
    assert len(sizes) > 2
    assert set(sizes[:-1]) == {111}


@pytest.mark.parametrize("place", [0, 3])
def test_an_interrupted_job_goes_on(
    files: list[Path], tmp_path: Path, place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    st.shard(files, tmp_path / "whole", options=SMALL)
    write, written, again = ShardJob._write_groups, list[str](), list[str]()

    def failing(job: ShardJob, batches: list[pa.RecordBatch], path: Path) -> dict[str, int]:
        if len(written) == place:
            raise KeyboardInterrupt
        written.append(path.name)
        return write(job, batches, path)

    monkeypatch.setattr(ShardJob, "_write_groups", failing)
    with pytest.raises(KeyboardInterrupt):
        st.shard(files, tmp_path / "out", options=SMALL, engine=st.Local(1))
    assert not (tmp_path / "out" / "manifest.json").exists()
    with pytest.raises(SpanishTokError, match="run it again"):
        load_shards(tmp_path / "out")
    left = set(contents(tmp_path / "whole")) - set(written) - {"manifest.json"}

    def noting(job: ShardJob, batches: list[pa.RecordBatch], path: Path) -> dict[str, int]:
        again.append(path.name)
        return write(job, batches, path)

    monkeypatch.setattr(ShardJob, "_write_groups", noting)
    st.shard(files, tmp_path / "out", options=SMALL)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert set(again) == left
    assert len(again) == len(left)


def test_kill_9_and_again(files: list[Path], tmp_path: Path) -> None:
    st.shard(files, tmp_path / "whole", options=SMALL)
    code = (
        "import os, signal, sys; import spanish_tok as st\n"
        "from spanish_tok.shards.job import ShardJob\n"
        "write, count = ShardJob._write_groups, iter(range(99))\n"
        "def killing(job, batches, path):\n"
        "    next(count) == 4 and os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return write(job, batches, path)\n"
        "ShardJob._write_groups = killing\n"
        "st.shard(sys.argv[2:], sys.argv[1], shard_bytes=20_000, engine=st.Local(2))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "out"), *map(str, files)])
    assert done.returncode == -signal.SIGKILL
    shard = next((tmp_path / "out").glob("*.parquet"))
    shard.write_bytes(shard.read_bytes()[:-100])  # damage is made good, too
    st.shard(files, tmp_path / "out", options=SMALL)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_finished_job_is_left_alone(files: list[Path], tmp_path: Path) -> None:
    first = st.shard(files, tmp_path / "out", options=SMALL).to_dict()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    assert st.shard(files, tmp_path / "out", options=SMALL).to_dict() == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == before


def test_a_lost_shard_is_made_again(files: list[Path], tmp_path: Path) -> None:
    st.shard(files, tmp_path / "out", options=SMALL)
    before = contents(tmp_path / "out")
    (tmp_path / "out" / "tokens-00000-00002.parquet").unlink()
    st.shard(files, tmp_path / "out", options=SMALL)
    assert contents(tmp_path / "out") == before


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of another vocabulary."""
    from spanish_tok.vocab.counts.runs import count_runs

    folder = tmp_path_factory.mktemp("other")
    st.train(count_runs(["el perro come y la perra duerme"] * 40), size=195).save(folder / "v")
    return folder / "v"


@pytest.mark.parametrize("finished", [True, False])
def test_nothing_made_otherwise_is_reused(
    files: list[Path], tmp_path: Path, other: Path, finished: bool
) -> None:
    out = tmp_path / "out"
    st.shard(files, out, options=SMALL)
    if not finished:
        (out / "manifest.json").rename(out / "unfinished.json")
    before = contents(out)
    with pytest.raises(SpanishTokError, match="another vocabulary"):
        st.shard(files, out, Tokenizer.load(other), options=SMALL)
    with pytest.raises(SpanishTokError, match="another options"):
        st.shard(files, out, options=ShardOptions(append_eos=True, shard_bytes=20_000))
    with pytest.raises(SpanishTokError, match="another input"):
        st.shard(files[:1], out, options=SMALL)
    with pytest.raises(SpanishTokError, match="another kind"):
        decode_shards(write_and_return(files, tmp_path / "more"), out)
    assert contents(out) == before
    with pytest.raises(SpanishTokError, match="is not an empty folder"):
        st.shard(files, tmp_path, options=SMALL)


def write_and_return(files: list[Path], folder: Path) -> Path:
    st.shard(files, folder, options=SMALL)
    return folder


def test_a_shard_of_another_job_under_the_right_name_is_made_again(
    files: list[Path], tmp_path: Path, other: Path
) -> None:
    st.shard(files, tmp_path / "whole", options=SMALL)
    st.shard(files, tmp_path / "other", Tokenizer.load(other), options=SMALL)
    st.shard(files, tmp_path / "out", options=SMALL)
    name = "tokens-00000-00001.parquet"
    (tmp_path / "out" / name).write_bytes((tmp_path / "other" / name).read_bytes())
    st.shard(files, tmp_path / "out", options=SMALL)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_arrays_are_mapped_and_equal_the_shards(
    files: list[Path], tmp_path: Path, tokenizer: Tokenizer, other: Path
) -> None:
    st.shard(files, tmp_path / "out", options=SMALL)
    for _ in range(2):  # built, then mapped
        ids, offsets = load_shards(tmp_path / "out", tokenizer.vocabulary)
        assert isinstance(ids, np.memmap)
        assert (str(ids.dtype), str(offsets.dtype), len(offsets)) == ("uint16", "int64", 2501)
        assert [ids[a:b].tolist() for a, b in pairwise(offsets)] == [
            row["tokens"] for row in rows_of(tmp_path / "out")
        ]
    with pytest.raises(SpanishTokError, match="was made with the vocabulary"):
        load_shards(tmp_path / "out", Tokenizer.load(other).vocabulary)
    elsewhere = load_shards(tmp_path / "out", cache=tmp_path / "cache")
    assert np.array_equal(elsewhere.ids, ids)
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_arrays_of_a_damaged_shard_are_refused(files: list[Path], tmp_path: Path) -> None:
    st.shard(files, tmp_path / "out", options=SMALL)
    shard = tmp_path / "out" / "tokens-00000-00002.parquet"
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    for read in (load_shards, lambda folder: decode_shards(folder, tmp_path / "text")):
        with pytest.raises(SpanishTokError, match=r"00002\.parquet is missing or not as it was written"):
            read(tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.npy"))


def test_no_records_give_no_shards(files: list[Path], tmp_path: Path) -> None:
    with pytest.raises(SpanishTokError, match=r"c\.txt is empty: it holds no records"):
        st.shard(files[2:], tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.parquet"))


def test_decoding_gives_the_normalized_text_back(files: list[Path], tmp_path: Path, other: Path) -> None:
    st.shard(files, tmp_path / "out", options=ShardOptions(append_eos=True, shard_bytes=20_000))
    manifest = decode_shards(tmp_path / "out", tmp_path / "text").to_dict()
    table = pa.concat_tables(pq.read_table(tmp_path / "text" / row["file"]) for row in manifest["shards"])
    assert table["text"].to_pylist() == list(map(normalize, texts_of(files)))
    assert table["id"].to_pylist() == [row["id"] for row in rows_of(tmp_path / "out")]
    with pytest.raises(SpanishTokError, match="was made with the vocabulary"):
        decode_shards(tmp_path / "out", tmp_path / "text2", Tokenizer.load(other))
    with pytest.raises(SpanishTokError, match="no token shards"):
        decode_shards(tmp_path / "text", tmp_path / "text2")


def test_dropped_rows_are_counted(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [1, 2, 3], "text": ["hola", None, "adiós"]}), tmp_path / "a.parquet")
    manifest = st.shard(
        [tmp_path / "a.parquet"], tmp_path / "out", reading=ReadOptions(malformed="reject")
    ).to_dict()
    assert (manifest["records"], manifest["rejected"], manifest["repaired"]) == (2, 1, 0)
    assert [row["id"] for row in rows_of(tmp_path / "out")] == ["1", "3"]


def test_datasets_pandas_and_polars_open_the_shards(files: list[Path], tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    pandas = pytest.importorskip("pandas")
    st.shard(files, tmp_path / "out", options=SMALL)
    load_shards(tmp_path / "out")  # its arrays lie in the same folder and disturb nobody
    expected = [row["tokens"] for row in rows_of(tmp_path / "out")]
    loaded = datasets.load_dataset(
        "parquet",
        data_files=str(tmp_path / "out" / "*.parquet"),
        split="train",
        cache_dir=str(tmp_path / "cache"),
    )
    assert loaded["tokens"][:] == expected
    assert (
        pandas.read_parquet(tmp_path / "out" / "tokens-00000-00000.parquet")["tokens"][1].tolist()
        == expected[1]
    )
    polars = pytest.importorskip("polars")
    frame = polars.read_parquet(tmp_path / "out" / "*.parquet")
    assert frame["tokens"].to_list() == expected


def test_datasets_map_encodes_batches(files: list[Path], tmp_path: Path, tokenizer: Tokenizer) -> None:
    """The example of docs/how-to/shards.md."""
    datasets = pytest.importorskip("datasets")
    records = datasets.Dataset.from_parquet(str(files[0]), cache_dir=str(tmp_path / "cache"))
    encoded = records.with_format("arrow").map(
        lambda batch: batch.append_column("tokens", tokenizer.encode_column(batch["text"], append_eos=True)),
        batched=True,
    )
    assert encoded.with_format(None)["tokens"][:] == [
        tokenizer.encode(text, append_eos=True) for text in records["text"]
    ]


def test_the_verb_and_back(files: list[Path], tmp_path: Path) -> None:
    command = [*COMMAND, "shard", *map(str, files), "--output", str(tmp_path / "out"), "--eos"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.match(r"2,500 records, [\d,]+ ids, 2 shards: ", done.stdout)
    back = [*COMMAND, "shard", str(tmp_path / "out"), "--decode", "--output", str(tmp_path / "text")]
    assert subprocess.run(back, capture_output=True, text=True, check=True).stdout.startswith(
        "2,500 records, 2"
    )
    other = subprocess.run(command[:-1], capture_output=True, text=True)
    assert other.returncode == 2
    assert "another options" in other.stderr


def test_a_full_disk_keeps_what_is_whole(files: list[Path], tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40k", "x", str(disk)], capture_output=True
    ).returncode:
        pytest.skip("needs the right to mount a small file system")
    try:
        command = [*COMMAND, "shard", str(files[0]), "--shard-bytes", "20000", "--output", str(disk / "out")]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 2
        assert done.stderr == "spanish-tok: The disk is full. Nothing that looks finished was written.\n"
        assert not (disk / "out" / "manifest.json").exists()
        assert not list((disk / "out").glob(".*.partial"))
        for shard in (disk / "out").glob("*.parquet"):  # a file that Arrow still holds keeps the disk busy
            assert pq.read_table(pa.BufferReader(shard.read_bytes())).num_rows
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_ctrl_c_and_again(tmp_path: Path) -> None:
    text = "".join(f"palabra{n} otra{n * 7}\n" for n in range(600_000))
    (tmp_path / "long.txt").write_text(text)
    command = [*COMMAND, "shard", str(tmp_path / "long.txt"), "--shard-bytes", "200000", "--output"]
    process = subprocess.Popen([*command, str(tmp_path / "out")], stderr=subprocess.PIPE, text=True)
    while not list((tmp_path / "out").glob("*.parquet")) and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    advice = f"Repeat the call: it resumes in {tmp_path / 'out'}."
    assert (process.returncode, stderr) == (130, f"spanish-tok: Interrupted. {advice}\n")
    assert not (tmp_path / "out" / "manifest.json").exists()
    for folder in ("out", "whole"):
        subprocess.run([*command, str(tmp_path / folder)], check=True, capture_output=True)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
