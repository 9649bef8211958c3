"""Kernels that load by raw address never touch a byte outside of their arrays: see guarded.py."""

import signal
import subprocess
import sys

import pytest

from tests.kernels.guarded import CASES


def run(*cases: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.kernels.guarded", *cases], capture_output=True, text=True, check=False
    )


@pytest.mark.skipif(sys.platform != "linux", reason="needs mprotect of Linux's libc")
def test_no_kernel_reads_beyond_its_arrays() -> None:
    done = run(*(name for name in CASES if name != "planted"))
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "done"), done.stdout + done.stderr[-2000:]


@pytest.mark.skipif(sys.platform != "linux", reason="needs mprotect of Linux's libc")
def test_a_planted_load_beyond_an_array_is_felt() -> None:
    assert run("planted").returncode == -signal.SIGSEGV
