"""Item 4 and the kills of issue 19, a few of each: `make test-interrupts` and `make test-kills` make many."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.parametrize(("way", "number"), [("interrupt", 12), ("kill", 50)])
def test_item_4_jobs_that_are_broken_off_end_right(way: str, number: int, tmp_path: Path) -> None:
    """In a process of its own, as copies of one with threads may hang."""
    call = [sys.executable, "-m", "tests.broken_off", way, "--number", str(number), "--folder", str(tmp_path)]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
