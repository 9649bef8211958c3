"""The Hub path with the real clients, huggingface_hub and datasets, against a server on the loopback."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spanish_tok import ReadOptions, SpanishTokError
from spanish_tok.readers.hub import HubSet, read_hub_set
from spanish_tok.readers.options import FileReport
from spanish_tok.readers.records import read_records
from tests.hub_server import REPOSITORY, REVISION, HubServer, hub_server
from tests.readers.test_records import ROWS

COLLECTION = "data/google/collections/spanish_collection.tsv"
CONTENT = b"\n".join(row for row, _ in ROWS.values()) + b"\n" + b"99\t" + b"relleno " * 700_000 + b"\n"
EXPECTED = [*(record for _, record in ROWS.values()), ("99", "relleno " * 700_000)]
RECIPE = f"""
title = "a part of mMARCO"
licence = "none"
rows = {len(EXPECTED)}

[source]
repository = "{REPOSITORY}"
revision = "{REVISION}"
files = ["{COLLECTION}"]

[read]
format = "tsv"
"""


def parquet() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"id": [1, 2], "text": ["NA", "dos\u2028tres"]}), sink)
    return sink.getvalue()


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with hub_server({COLLECTION: CONTENT, "es/train-00000.parquet": parquet()}) as server:
        yield server


def run(hub: HubServer, home: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    """A command in a process of its own, in which the Hub is the server."""
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.address,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DOWNLOAD_TIMEOUT": "2",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NO_PROXY": "127.0.0.1",
    }
    return subprocess.run(
        [sys.executable, *command], env=environment, capture_output=True, text=True, timeout=300
    )


def sampled(hub: HubServer, folder: Path) -> "subprocess.CompletedProcess[str]":
    (folder / "es.toml").write_text(RECIPE, encoding="utf-8")
    quick = (
        "import spanish_tok.readers.opening.remote as s\n"
        "s.FIRST_PAUSE, s.ATTEMPTS = 0.01, 2\n"  # the client tries 5 times
        "from spanish_tok.cli import main; main()"
    )
    arguments = ["clean", str(folder / "es.toml"), "--output", str(folder / "out")]
    off = [
        f"--rule={rule}=off" for rule in ("empty", "signs", "letters", "short", "long", "repeated", "spanish")
    ]
    off += [f"--rule={rule}=off" for rule in ("control", "mojibake", "duplicate", "near_duplicate")]
    return run(hub, folder / "home", "-c", quick, *arguments, *off)


def records_in(folder: Path) -> list[tuple[str, str]]:
    return [(row["id"], row["text"]) for batch in read_records([folder]) for row in batch.to_pylist()]


def test_a_recipe_is_read_from_the_hub_exactly(hub: HubServer, tmp_path: Path) -> None:
    done = sampled(hub, tmp_path)
    assert done.returncode == 0, done.stderr
    assert records_in(tmp_path / "out") == EXPECTED
    assert sum("Range" in line or "bytes=" in line for line in hub.requests) >= 2  # it was read in pieces
    assert f"{len(EXPECTED)} rows" in done.stdout


def test_one_failing_and_one_slow_answer_are_tried_again(hub: HubServer, tmp_path: Path) -> None:
    hub.faults = ["fail", "slow", "fail"]
    done = sampled(hub, tmp_path)
    assert done.returncode == 0, done.stderr
    assert hub.faults == []
    assert records_in(tmp_path / "out") == EXPECTED


def test_a_hub_that_never_answers_is_one_clear_error(hub: HubServer, tmp_path: Path) -> None:
    hub.always_fail = True
    done = sampled(hub, tmp_path)
    assert done.returncode == 2
    last = done.stderr.strip().splitlines()[-1]  # the client tells of its own attempts before
    assert "spanish_collection.tsv failed 2 times at byte 0" in last
    assert "the same command resumes where it stopped" in last
    assert "Traceback" not in done.stderr
    hub.always_fail = False
    assert sampled(hub, tmp_path).returncode == 0
    assert records_in(tmp_path / "out") == EXPECTED


def test_a_file_that_is_not_there(hub: HubServer, tmp_path: Path) -> None:
    del hub.files[COLLECTION]
    done = sampled(hub, tmp_path)
    assert done.returncode == 2
    assert "spanish_collection.tsv does not exist" in done.stderr


DATASETS = f"""
import datasets, json, sys
datasets.config.STREAMING_READ_MAX_RETRIES = 1
location = "hf://datasets/{REPOSITORY}@{REVISION}/{COLLECTION}"
rows = []
try:
    options = {{"sep": "\\t", "split": "train", "streaming": True, **json.loads(sys.argv[1])}}
    for row in datasets.load_dataset("csv", data_files=location, **options):
        rows.append([str(row["id"]), row["text"]])
except Exception as error:
    print("failed", type(error).__name__, file=sys.stderr)
print(json.dumps(rows))
"""


def test_which_traps_datasets_fails(hub: HubServer, tmp_path: Path) -> None:
    """Why there is a reader of our own. Where this fails, `datasets` has become better: look again."""
    options = {"column_names": ["id", "text"]}
    failed = []
    for trap, (row, record) in ROWS.items():
        if trap in (
            "plain",
            "begins with a quote",
            "quotes",
            "NA",
            "empty",
            "carriage return inside",
            "extra tabs",
        ):
            hub.files[COLLECTION] = b"0\tprimero\n" + row + b"\n9\t\xc3\xbaltimo\n"
            done = run(hub, tmp_path / trap.replace(" ", "-"), "-c", DATASETS, json.dumps(options))
            rows = json.loads(done.stdout)
            if rows != [["0", "primero"], list(record), ["9", "último"]]:
                failed.append(trap)
    assert failed == ["begins with a quote", "NA", "empty", "carriage return inside", "extra tabs"]


HUB_SET = f"""
import json
from spanish_tok.readers.hub import HubSet, read_hub_set
from spanish_tok.readers.options import FileReport, ReadOptions
report = FileReport("set")
batches = read_hub_set(HubSet("{REPOSITORY}", "{REVISION}", None, "train"), ReadOptions(), report)
rows = [list(row.values()) for batch in batches for row in batch.to_pylist()]
print(json.dumps([rows, report.rows, report.complete]))
"""


def test_another_set_is_read_by_datasets(tmp_path: Path) -> None:
    with hub_server({"data/train-00000-of-00001.parquet": parquet()}) as hub:
        done = run(hub, tmp_path, "-c", HUB_SET)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == [[["1", "NA"], ["2", "dos\u2028tres"]], 2, True]


def test_without_datasets_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    hub_set, report = HubSet("usuaria/corpus", None, None, "train"), FileReport("usuaria/corpus:train")
    with pytest.raises(SpanishTokError) as caught:
        list(read_hub_set(hub_set, ReadOptions(), report))
    advice = "pip install 'spanish-tok[hub]'"
    assert str(caught.value) == f"usuaria/corpus:train needs datasets, which is not installed. {advice}"
