"""The Ray engine: the same bytes as on one machine, on clusters of several nodes and while parts of them die."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import spanish_tok as st
from spanish_tok import CleanOptions, ReadOptions, ShardOptions, SpanishTokError, Tokenizer
from spanish_tok.corpus import passes, pipeline, writer
from spanish_tok.corpus.external_sort import Spill
from spanish_tok.files import sha256_of_file
from spanish_tok.parallel.ray_cluster import HANDOVER_BYTES, RETRIES
from spanish_tok.parallel.ray_engine import Ray
from spanish_tok.readers import splits as parts
from spanish_tok.readers.inputs import Inputs, inputs_of
from tests.conftest import Told

ray = pytest.importorskip("ray", reason="needs Ray: pip install 'spanish-tok[ray]'")
pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own, and of sockets that killed nodes leave open

WORDS = ["el", "la", "niña", "canción", "¿dónde?", "1.234", "pingüino", "corazón,", "«casa»", "año;", "azul"]
SMALL = ShardOptions(shard_bytes=6000)  # many shards, so that a job lasts long enough to be disturbed
ENGINES: dict[str, st.Local | st.Ray] = {"local": st.Local(), "ray": st.Ray()}
TASK = "ray::_call"  # the name of a process that runs one


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Six files in five forms, one of which is given by an address; texts without ids among them."""
    folder = tmp_path_factory.mktemp("input")
    chance = random.Random(8)
    for number in range(6):
        texts = [" ".join(chance.choices(WORDS, k=chance.randrange(30))) for _ in range(1200)]
        _write(folder, number, texts)
    names = sorted(map(str, folder.iterdir()))
    return [f"file://{names[0]}", *names[1:]]


def _write(folder: Path, number: int, texts: list[str]) -> None:
    ids = [f"{number}-{place}" for place in range(len(texts))]
    if number < 3:
        table = pa.table({"id": ids, "text": texts})
        pq.write_table(table, folder / f"{number}.parquet", row_group_size=500, use_dictionary=False)
    elif number == 3:
        (folder / "3.tsv").write_text("".join(f"{i}\t{t}\n" for i, t in zip(ids, texts, strict=True)))
    elif number == 4:
        rows = [json.dumps({"id": i, "text": t}) for i, t in zip(ids, texts, strict=True)]
        (folder / "4.jsonl").write_text("\n".join(rows))
    else:
        (folder / "5.txt").write_text("\n".join(texts))


@pytest.fixture(scope="module")
def shards(files: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the local engine makes of the files."""
    folder = tmp_path_factory.mktemp("local") / "tokens"
    st.shard(files, folder, options=SMALL)
    return bytes_of(folder)


def bytes_of(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file of a folder."""
    return {
        str(path.relative_to(folder)): sha256_of_file(path) for path in folder.rglob("*") if path.is_file()
    }


def workers(name: str) -> list[psutil.Process]:
    """The processes of this test's cluster that run a task."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            found += [process] if name in " ".join(process.cmdline()) else []
        except psutil.NoSuchProcess:
            continue
    return found


def disturb(action: Callable[[], None], when: Callable[[], bool]) -> threading.Thread:
    """Do something in the middle of what comes next."""

    def wait() -> None:
        while not when():
            time.sleep(0.02)
        action()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("number", [1, 2, 4])
def test_every_output_has_the_bytes_of_the_local_engine(
    number: int,
    nodes: Callable[[int], list[Any]],
    files: list[str],
    shards: dict[str, str],
    tmp_path: Path,
) -> None:
    nodes(number)
    blocks = ReadOptions(block_bytes=5000 * number)
    st.shard(files, tmp_path / "tokens", options=SMALL, reading=blocks, engine=st.Ray())
    assert bytes_of(tmp_path / "tokens") == shards
    counts = st.count(files, reading=blocks, engine=st.Ray())
    assert counts.fingerprint == st.count(files).fingerprint
    assert (counts.records, counts.cut) == (7200, 0)
    st.sample(inputs_of(files, blocks), tmp_path / "ray", size=900, clean=False, seed=3, engine=st.Ray())
    st.sample(inputs_of(files), tmp_path / "local", size=900, clean=False, seed=3)
    assert bytes_of(tmp_path / "ray") == bytes_of(tmp_path / "local")


@pytest.mark.usefixtures("cluster")
def test_texts_without_ids_of_one_source_are_one_stream(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.txt").write_text("el mismo texto\n" * 40 + f"otro {number}\n" * 2)
    inputs = inputs_of(sorted(tmp_path.glob("*.txt")), source="foros")
    made = [
        st.sample(inputs, tmp_path / engine, size=50, clean=False, engine=ENGINES[engine]).to_dict()
        for engine in ("local", "ray")
    ]
    assert made[0] == made[1]


@pytest.mark.usefixtures("cluster")
def test_a_worker_is_killed(files: list[str], shards: dict[str, str], tmp_path: Path) -> None:
    killed: list[int] = []

    def kill() -> None:
        for worker in workers(TASK):
            worker.send_signal(signal.SIGKILL)
            killed.append(worker.pid)

    disturb(kill, lambda: len(list(tmp_path.glob("tokens/*.parquet"))) > 20 and bool(workers(TASK)))
    st.shard(files, tmp_path / "tokens", options=SMALL, engine=st.Ray())
    assert killed
    assert bytes_of(tmp_path / "tokens") == shards


@pytest.mark.parametrize(
    "turn", [*range(2), *(pytest.param(turn, marks=pytest.mark.slow) for turn in range(2, 20))]
)
def test_a_node_is_removed_in_the_middle(
    turn: int,
    cluster: Any,
    nodes: Callable[[int], list[Any]],
    files: list[str],
    shards: dict[str, str],
    tmp_path: Path,
) -> None:
    added = nodes(3)
    removed: list[int] = []

    def remove() -> None:
        removed.append(len(list(tmp_path.glob("tokens/*.parquet"))))
        cluster.remove_node(added[turn % 2], allow_graceful=False)

    some = 10 + 5 * turn
    thread = disturb(remove, lambda: len(list(tmp_path.glob("tokens/*.parquet"))) >= some)
    st.shard(files, tmp_path / "tokens", options=SMALL, engine=st.Ray())
    thread.join(20)
    assert bytes_of(tmp_path / "tokens") == shards
    assert removed
    assert removed[0] < len(shards) - 1, "the job was done before the node was removed"
    assert st.count(files, engine=st.Ray()).fingerprint == st.count(files).fingerprint


@pytest.mark.usefixtures("cluster")
def test_a_damaged_block_is_named_and_what_is_done_is_kept(files: list[str], tmp_path: Path) -> None:
    whole = Path(files[2]).read_bytes()
    damaged = tmp_path / "dañado.parquet"
    damaged.write_bytes(whole[:2000] + bytes(3000) + whole[5000:])
    names = [f"file://{damaged}", *files[1:2], *files[3:]]
    for verb in (_count, _sample, _shard):
        with pytest.raises(SpanishTokError, match=r"dañado\.parquet is cut off, damaged"):
            verb(names, tmp_path)
    made = {path: path.stat().st_mtime_ns for path in tmp_path.glob("tokens/*.parquet")}
    parts = list(tmp_path.glob(".counts.parquet.parts/*.parquet"))
    assert parts
    damaged.write_bytes(whole)
    assert _count(names, tmp_path).fingerprint == st.count(names).fingerprint
    assert not (tmp_path / ".counts.parquet.parts").exists()
    _shard(names, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in made} == made
    st.shard(names, tmp_path / "local", options=SMALL)
    assert bytes_of(tmp_path / "tokens") == bytes_of(tmp_path / "local")
    st.sample(inputs_of(names), tmp_path / "sample-local", size=500, clean=False)
    _sample(names, tmp_path)
    assert bytes_of(tmp_path / "sample") == bytes_of(tmp_path / "sample-local")


def _count(names: list[str], folder: Path) -> Any:
    return st.count(names, folder / "counts.parquet", engine=st.Ray(), force=True)


def _sample(names: list[str], folder: Path) -> Any:
    return st.sample(inputs_of(names), folder / "sample", size=500, clean=False, engine=st.Ray()).to_dict()


def _shard(names: list[str], folder: Path) -> Any:
    return st.shard(names, folder / "tokens", options=SMALL, engine=st.Ray()).to_dict()


PROSE = "El texto número {} habla de la niña, del pingüino y de la canción del año pasado; nada más que eso."


def giant(path: Path, **changes: Any) -> Path:
    """A Parquet file of forty row groups of 300 records; `changes` replace single texts, or ids."""
    ids: list[Any] = [f"id{place}" for place in range(12_000)]
    texts: list[Any] = [PROSE.format(place % 9000).encode() for place in range(12_000)]
    ids[7000] = ids[20]  # the same id twice, with other texts
    for place, value in changes.get("texts", {}).items():
        texts[place] = value
    for place, value in changes.get("ids", {}).items():
        ids[place] = value
    table = pa.table({"id": pa.array(ids, pa.string()), "text": pa.array(texts, pa.binary())})
    statistics = changes.get("write_statistics", True)
    pq.write_table(
        table, path, row_group_size=300, use_dictionary=False, compression="none", write_statistics=statistics
    )
    return path


@pytest.fixture
def divided(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is a large file here, and a shard of a sample."""
    monkeypatch.setattr(parts, "PART_BYTES", 100_000)
    for module in (passes, pipeline, writer):
        monkeypatch.setattr(module, "SHARD_ROWS", 100)


@pytest.mark.usefixtures("cluster", "divided")
def test_tasks_share_a_large_file_of_parquet_and_find_what_one_reader_finds(tmp_path: Path) -> None:
    odd = {31: None, 5000: b"a\xf1o", 9001: b"ni\xc3\xb1a \xe2\x80", 11_999: None}
    path = giant(tmp_path / "grande.parquet", texts=odd)
    for ways in ({"malformed": "reject"}, {"malformed": "reject", "invalid_utf8": "reject"}):
        options = ReadOptions(**ways)  # type: ignore[arg-type]
        counts = [st.count([path], reading=options)]
        counts.append(st.count([f"file://{path}"], reading=options, engine=st.Ray()))
        assert counts[0].fingerprint == counts[1].fingerprint
        assert counts[0].records == counts[1].records
    for engine in ENGINES:
        st.sample(
            inputs_of([path], options), tmp_path / engine, size=700, clean=False, engine=ENGINES[engine]
        )
    assert bytes_of(tmp_path / "ray") == bytes_of(tmp_path / "local")
    read = json.loads((tmp_path / "ray/manifest.json").read_text())["read"]
    assert [(file["rows"], file["rejected"]) for file in read] == [(12_000, 4)]


@pytest.mark.usefixtures("cluster", "divided")
@pytest.mark.parametrize(
    "options",
    [ReadOptions(), ReadOptions(invalid_utf8="error", malformed="reject"), ReadOptions(text="prosa")],
)
def test_an_error_in_a_large_file_names_the_row_that_the_local_engine_names(
    options: ReadOptions, tmp_path: Path
) -> None:
    path = giant(tmp_path / "grande.parquet", texts={8000: b"a\xf1o", 8001: None})
    said = []
    for engine in ENGINES:
        with pytest.raises(SpanishTokError) as error:
            st.count([path], reading=options, engine=ENGINES[engine])
        said.append(str(error.value))
        with pytest.raises(SpanishTokError) as error:
            st.sample(
                inputs_of([path], options), tmp_path / engine, size=50, clean=False, engine=ENGINES[engine]
            )
        said.append(str(error.value))
    assert len(set(said)) == 1
    assert "grande.parquet" in said[0]


@pytest.mark.usefixtures("cluster", "divided")
def test_a_damaged_row_group_leaves_the_work_of_the_others(tmp_path: Path) -> None:
    path = giant(tmp_path / "grande.parquet")
    whole, time_of_change = path.read_bytes(), path.stat().st_mtime_ns
    page = pq.read_metadata(path).row_group(39).column(1).data_page_offset
    path.write_bytes(whole[:page] + bytes(64) + whole[page + 64 :])
    os.utime(path, ns=(time_of_change, time_of_change))
    for verb in (_count, _sample):
        with pytest.raises(SpanishTokError, match=r"grande\.parquet is cut off, damaged"):
            verb([str(path)], tmp_path)
    assert len(list(tmp_path.glob(".counts.parquet.parts/*.parquet"))) > 1, "one task read the whole file"
    (state,) = tmp_path.glob("sample/**/candidates-*.json")
    done = [report["complete"] for report in json.loads(state.read_text())["reports"]]
    assert 1 < sum(done) < len(done)
    path.write_bytes(whole)
    os.utime(path, ns=(time_of_change, time_of_change))
    assert _count([str(path)], tmp_path).fingerprint == st.count([path]).fingerprint
    _sample([str(path)], tmp_path)  # with other tasks, for what is left
    st.sample(inputs_of([path]), tmp_path / "local", size=500, clean=False)
    assert bytes_of(tmp_path / "sample") == bytes_of(tmp_path / "local")


@pytest.mark.usefixtures("cluster", "divided")
@pytest.mark.parametrize("changes", [{"ids": {400: None}}, {"write_statistics": False}])
def test_a_file_that_may_lack_ids_is_one_stream(changes: dict[str, Any], tmp_path: Path) -> None:
    path = giant(tmp_path / "grande.parquet", **changes)
    assert len(parts.parts_of(path, ReadOptions(), with_ids=True)) == 1
    assert len(parts.parts_of(path, ReadOptions())) > 5
    for engine in ENGINES:
        st.sample(inputs_of([path]), tmp_path / engine, size=300, clean=False, engine=ENGINES[engine])
    assert bytes_of(tmp_path / "ray") == bytes_of(tmp_path / "local")


@pytest.mark.usefixtures("divided")
@pytest.mark.parametrize("bytes_at_once", [HANDOVER_BYTES, 0])
def test_samples_merge_on_the_cluster(
    bytes_at_once: int,
    nodes: Callable[[int], list[Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nodes(2)
    names = []
    for number in range(20):
        rows = [f"{number}-{place}\t{PROSE.format(place % 7)}\n" for place in range(400)]
        (tmp_path / f"{number}.tsv").write_text("".join(rows))
        names.append(str(tmp_path / f"{number}.tsv"))
    monkeypatch.setattr(Inputs, "guessed_rows", lambda _: None)  # as with addresses
    monkeypatch.setattr("spanish_tok.parallel.ray_cluster.HANDOVER_BYTES", bytes_at_once)
    received: list[int] = []
    append = Spill.append

    def counted(spill: Spill, candidates: pa.RecordBatch) -> None:
        received.append(candidates.num_rows)
        append(spill, candidates)

    st.sample(inputs_of(names), tmp_path / "local", size=300, clean=False)
    monkeypatch.setattr(Spill, "append", counted)
    st.sample(inputs_of(names), tmp_path / "ray", size=300, clean=False, engine=st.Ray())
    assert bytes_of(tmp_path / "ray") == bytes_of(tmp_path / "local")
    assert sum(received) <= 2 * 300 if bytes_at_once else 2 * 300 < sum(received) < 20 * 300


def test_tables_that_are_lost_with_their_node_are_made_again(
    cluster: Any, nodes: Callable[[int], list[Any]]
) -> None:
    added = nodes(3)

    def made(place: int) -> tuple[int, pa.Table]:
        time.sleep(0.05)
        return place, pa.table(
            {"row": [place * 50_000 + row for row in range(50_000)]}
        )  # too large to be inlined

    def joined(*tables: pa.Table) -> pa.Table:
        return pa.concat_tables(tables)

    noted: list[int] = []
    with Ray().connected() as engine:
        thread = disturb(
            lambda: cluster.remove_node(added[0], allow_graceful=False), lambda: len(noted) >= 12
        )
        parts = ((place,) for place in range(30))
        notes, table = zip(*engine.gathered(made, parts, joined, noted=noted.append), strict=True)
        thread.join(20)
    assert sorted(note for some in notes for _, note in some) == list(range(30))
    assert sorted(pa.concat_tables(table)["row"].to_pylist()) == list(range(30 * 50_000))


@pytest.mark.usefixtures("cluster", "divided")
def test_cleaning_that_needs_a_second_pass(tmp_path: Path) -> None:
    copies = {place: PROSE.format("mil").encode() for place in range(12_000) if place % 3}
    path = giant(tmp_path / "grande.parquet", texts=copies)
    told = Told()
    for engine in ENGINES:
        inputs, clean = inputs_of([path]), CleanOptions()
        st.sample(inputs, tmp_path / engine, size=900, clean=clean, engine=ENGINES[engine], progress=told)
    assert len(told.messages) == 2, "one pass was enough"
    assert bytes_of(tmp_path / "ray") == bytes_of(tmp_path / "local")


@pytest.mark.usefixtures("cluster")
def test_a_task_without_memory_ends_in_one_error() -> None:
    def hungry() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
        bytearray(2 << 30)

    def killed() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with Ray().connected() as engine:
        with pytest.raises(SpanishTokError, match="ran out of memory"):
            list(engine.map(hungry, [()]))
        with pytest.raises(SpanishTokError, match=f"died {RETRIES + 1} times"):
            list(engine.map(killed, [()]))


def test_the_command_line_survives_a_node_without_memory(
    files: list[str], shards: dict[str, str], tmp_path: Path
) -> None:
    """Ray's watch over memory kills every task where the limit lies below what the machine uses anyway."""
    command = [sys.executable, "-m", "spanish_tok", "shard", *files, "--shard-bytes", "6000"]
    command += ["--engine", "ray", "--output", str(tmp_path / "tokens")]
    strict = {
        "RAY_memory_usage_threshold": "0.001",
        "RAY_memory_monitor_refresh_ms": "50",
        "RAY_task_oom_retries": "1",
    }
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    starved = subprocess.run(command, env=environment | strict, capture_output=True, text=True, timeout=120)
    assert (starved.returncode, starved.stdout) == (2, "")
    assert starved.stderr.splitlines()[-1].startswith("spanish-tok: A task ran out of memory")
    enough = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert (enough.returncode, enough.stderr) == (0, "")
    assert enough.stdout.count("\n") == 1
    assert bytes_of(tmp_path / "tokens") == shards


@pytest.mark.usefixtures("cluster")
def test_the_real_corpus_gives_equal_bytes(shared: Path, tmp_path: Path) -> None:
    names = sorted(map(str, (shared / "corpus").glob("*.parquet")))
    made = {
        engine: st.shard(names, tmp_path / engine, engine=ENGINES[engine]).to_dict()
        for engine in ("local", "ray")
    }
    assert made["local"] == made["ray"]


@pytest.mark.usefixtures("cluster")
def test_errors_say_what_to_do(tmp_path: Path) -> None:
    rejecting = ReadOptions(rows=3, malformed="reject")
    (tmp_path / "a.txt").write_text("uno\ndos\n")
    with pytest.raises(SpanishTokError, match="cannot check rows"):
        st.count([tmp_path / "a.txt"], reading=rejecting, engine=st.Ray())
    with pytest.raises(SpanishTokError, match="2 rows were read"):
        st.count([tmp_path / "a.txt"], reading=ReadOptions(rows=3), engine=st.Ray())
    with pytest.raises(SpanishTokError, match="does not exist"):
        st.count([tmp_path / "no.parquet"], engine=st.Ray())


def test_nobody_answers_at_an_address() -> None:
    command = [sys.executable, "-m", "spanish_tok", "count", "README.md", "--format", "text"]
    command += ["--output", "never.parquet", "--engine", "ray", "--address", "127.0.0.1:1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert "There is no Ray cluster at 127.0.0.1:1" in done.stderr


@pytest.mark.usefixtures("cluster")
def test_the_functions_run_inside_a_pipeline_of_ray_data(files: list[str], tokenizer: Tokenizer) -> None:
    """The example of docs/how-to/cluster.md."""

    def encoded(batch: pa.Table) -> pa.Table:
        return pa.table({"id": batch["id"], "tokens": tokenizer.encode_column(batch["text"], threads=1)})

    table = pq.read_table(files[1])
    ray.data.DataContext.get_current().enable_progress_bars = False
    rows = ray.data.from_arrow(table).map_batches(encoded, batch_format="pyarrow", batch_size=500)
    expected = tokenizer.encode_column(table["text"]).to_pylist()
    found = {row["id"]: list(row["tokens"]) for row in rows.take_all()}
    assert found == dict(zip(table["id"].to_pylist(), expected, strict=True))
