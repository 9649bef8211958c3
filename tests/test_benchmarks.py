"""Benchmarks: the tables that are made of kept figures."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

TOP = Path(__file__).parent.parent
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
