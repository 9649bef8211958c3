"""`make test-bounds` runs the suite with checked indices: a read out of range that is planted here must be seen."""

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import TOP

PLANTED = """
import numpy as np
from spanish_tok.kernels import kernel

@kernel
def last(values):
    return values[values.size]

last(np.zeros(3))
"""


def test_a_planted_read_out_of_range_fails(tmp_path: Path) -> None:
    (tmp_path / "planted.py").write_text(PLANTED, encoding="utf-8")
    for checked in (True, False):
        environment = {
            **os.environ,
            "PYTHONPATH": str(TOP),
            "NUMBA_CACHE_DIR": str(tmp_path / f"cache-{checked}"),
        }
        environment["NUMBA_BOUNDSCHECK"] = "1" if checked else "0"
        done = subprocess.run(
            [sys.executable, tmp_path / "planted.py"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ("IndexError" in done.stderr, done.returncode != 0) == (checked, checked), done.stderr
