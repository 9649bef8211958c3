"""Benchmarks: the runner on tiny inputs, and the tables and pages that are made of kept figures."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

TOP = Path(__file__).parent.parent
RUNNER = TOP / "benchmarks" / "all.py"
PAGES = TOP / "benchmarks" / "pages.py"
KEPT = TOP / "docs" / "benchmarks.json"
SUMMARY = TOP / "benchmarks" / "vocabularies_summary.py"
NAMES = ("version 1", "version 2", "sentencepiece Unigram", "sentencepiece BPE", "byte pairs of tokenizers")


def printed(*arguments: str) -> str:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=True, env={"PYTHONPATH": str(TOP)}
    ).stdout


def write(folder: Path, name: str, content: Any) -> None:
    (folder / name).write_text(json.dumps(content), encoding="utf-8")


def run_of(name: str, seed: int, bits: float) -> dict[str, Any]:
    return {
        "vocabulary": name, "seed": seed, "bits per byte": {"news": bits}, "steps": 1000, "cpu seconds": 60,
    }  # fmt: skip


def test_the_summary_of_five_vocabularies_takes_what_is_there(tmp_path: Path) -> None:
    assert printed(str(SUMMARY), str(tmp_path)).startswith("Not trained yet: version 1, seed 0; version 2")
    tokens = {name: 100 + place for place, name in enumerate(NAMES)}
    ratios = {name: [0.95, 0.94, 0.96] for name in NAMES}
    figures = {
        "news": {"records": 1234, "bytes": 5, "tokens": tokens, "unknown": 0, "version 2 over": ratios}
    }
    write(tmp_path, "tokens.json", figures)
    for seed, (first, second) in enumerate([(2.5, 2.4), (2.7, 2.5)]):
        write(tmp_path, f"version-1-16MB-seed{seed}.json", run_of("version 1", seed, first))
        write(tmp_path, f"version-2-16MB-seed{seed}.json", run_of("version 2", seed, second))
    write(
        tmp_path, "sentencepiece-BPE-16MB-seed2.json", run_of("sentencepiece BPE", 2, 3.0)
    )  # without its pair
    write(tmp_path, "version-1-2MB-seed2.json", run_of("version 1", 2, 9.0))  # of less text
    lines = printed(str(SUMMARY), str(tmp_path)).splitlines()
    assert "| news | 1,234 | 100 | 101 | 102 | 103 | 104 | 0.950 ± 0.010 | 0.950 ± 0.010 |" in lines
    assert "| version 1 | 0, 1 | 2.600 (+0.150 ± 0.635) | 1,000 | 60 |" in lines  # 12.706 x 0.0707 / sqrt(2)
    assert "| version 2 | 0, 1 | 2.450 | 1,000 | 60 |" in lines
    assert "| sentencepiece BPE | 2 | 3.000 | 1,000 | 60 |" in lines
    assert "version 1, seed 2" in lines[-1]
    assert "version 1, seed 1" not in lines[-1]


def test_examples_of_the_summary_hold() -> None:
    assert printed("-m", "doctest", str(SUMMARY)) == ""


@pytest.fixture
def records(tmp_path: Path) -> Path:
    texts = (TOP / "corpus" / "bench-es.txt").read_text(encoding="utf-8").splitlines()
    path = tmp_path / "records.parquet"
    pq.write_table(pa.table({"id": [str(number) for number in range(len(texts))], "text": texts}), path)
    return path


def run_all(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(RUNNER), *arguments], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(TOP)},
    )  # fmt: skip


def test_the_runner_keeps_figures_and_goes_on(records: Path, tmp_path: Path) -> None:
    kept = tmp_path / "figures.json"
    common = (str(records), "--tiny", "--json", str(kept))
    done = run_all(*common, "--only", "encode", "count")
    assert done.returncode == 0, done.stderr
    found = json.loads(kept.read_text())["benchmarks"]
    assert list(found) == ["encode", "count"]
    encode = found["encode"]
    assert encode["command"] == "python benchmarks/encode.py CORPUS --megabytes 20 --runs 5 --variants plain"
    assert str(tmp_path) not in kept.read_text()  # no path of this machine
    equal = encode["figures"]["ids equal to sentencepiece's, % of records"]
    assert {name: cells["plain"]["median"] for name, cells in equal.items()} == dict.fromkeys(
        ("spanish-tok", "sentencepiece", "tokenizers"), 100
    )
    speed = encode["figures"]["cold, MB/s"]["spanish-tok"]["plain"]
    assert 0 < speed["min"] <= speed["median"] <= speed["max"]
    assert "the same for 1 and 2 threads" in found["count"]["equal"]
    before = kept.read_bytes()
    again = run_all(*common, "--only", "encode", "before", "sample")
    assert again.returncode == 0
    assert "encode: kept, of this code and machine" in again.stdout
    assert "before: left out, as it needs --before" in again.stdout
    assert kept.read_bytes() == before
    found["encode"]["code"] = "another"
    write(tmp_path, "figures.json", {"format": 1, "benchmarks": found})
    assert "encode: done" in run_all(*common, "--only", "encode").stdout


def test_a_benchmark_that_fails_is_named_and_the_others_go_on(records: Path, tmp_path: Path) -> None:
    kept = tmp_path / "figures.json"
    done = run_all(
        str(records), "--tiny", "--json", str(kept), "--model", str(tmp_path), "--only", "precision", "count"
    )
    assert done.returncode == 1
    assert "precision: failed, status 1" in done.stdout
    assert list(json.loads(kept.read_text())["benchmarks"]) == ["count"]


@pytest.mark.slow
def test_every_other_benchmark_of_the_runner_runs(records: Path, tmp_path: Path) -> None:
    kept = tmp_path / "figures.json"
    names = ("decode", "first-use", "shard")
    done = run_all(str(records), "--tiny", "--json", str(kept), "--only", *names)
    assert done.returncode == 0, done.stderr
    assert list(json.loads(kept.read_text())["benchmarks"]) == list(names)


def test_pages_state_what_is_kept(tmp_path: Path) -> None:
    pages = [TOP / "README.md", TOP / "docs" / "index.md", *sorted((TOP / "docs").glob("benchmarks*.md"))]
    for page in pages:
        copy = tmp_path / page.name
        copy.write_bytes(page.read_bytes())
        printed(str(PAGES), str(copy))
        assert copy.read_text() == page.read_text(), f"{page}: run python benchmarks/pages.py"


def test_a_page_follows_the_figures(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    mark = "<!-- =.1f count / MB of text a second / spanish-tok, 1 thread / by the clock -->"
    page.write_text(f"{mark}7<!-- = --> and\n<!-- figures: count -->\n<!-- end of figures -->\n", "utf-8")
    kept = json.loads(KEPT.read_text())
    cells = kept["benchmarks"]["count"]["figures"]["MB of text a second"]["spanish-tok, 1 thread"]
    cells["by the clock"] = {"median": 123.4, "min": 120, "max": 130.06, "runs": 5, "unit": "MB/s"}
    write(tmp_path, "figures.json", kept)
    printed(str(PAGES), str(page), "--json", str(tmp_path / "figures.json"))
    assert page.read_text().startswith(f"{mark}123.4<!-- = --> and\n")
    assert "| spanish-tok, 1 thread | 123 (120 to 130) |" in page.read_text()
    page.write_text("<!-- = count / speed of light -->7<!-- = -->", "utf-8")
    with pytest.raises(subprocess.CalledProcessError) as caught:
        printed(str(PAGES), str(page))
    assert "There is no figure 'count / speed of light'" in caught.value.stderr


@pytest.mark.parametrize("name", ["record", "aims", "pages"])
def test_examples_of_the_helpers_hold(name: str) -> None:
    assert printed("-m", "doctest", str(TOP / "benchmarks" / f"{name}.py")) == ""
