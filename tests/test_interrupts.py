"""Row B1: a signal at any moment of compiled code, from a program and from the command line."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spanish_tok.interrupts import Interrupted, call_whole, import_whole, interruptible, stop_with
from spanish_tok.parallel.threads import map_in_order, thread_pool

KERNEL = """
import numpy as np

def count_up(numbers):
    total = 0.0
    for number in range(numbers):
        total += np.sin(number)
    return np.full(3, total), np.zeros(2), (np.ones(1), numbers)
"""

# A kernel of a second that returns arrays; the signal comes after `delay` seconds.
PROGRAM = """
import os, signal, sys, threading, time
from spanish_tok.kernels import kernel
from module import count_up
count_up, delay, came = kernel(count_up), float(sys.argv[1]), []
signal.signal(signal.SIGALRM, lambda *_: came.append(1))  # it raises nothing
signal.signal(signal.SIGINT, signal.default_int_handler)
if sys.argv[2] == "loaded":
    count_up(1)
begun = time.time()
threading.Timer(delay / 2, os.kill, (os.getpid(), signal.SIGALRM)).start()
threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    for _ in range(400):
        count_up(4_000_000)
    print("not interrupted")
except KeyboardInterrupt:
    print("interrupted after", round(time.time() - begun, 1))
first, second, (third, number) = count_up(3)
assert first.shape == (3,) and second.tolist() == [0, 0] and third.tolist() == [1] and number == 3
assert came == [1] and signal.getsignal(signal.SIGINT) is signal.default_int_handler
print("and goes on")
"""


@pytest.mark.parametrize("state", ["loaded", "cached", "new"])
def test_b1_an_interrupt_in_a_kernel_is_an_ordinary_exception(state: str, tmp_path: Path) -> None:
    """While it runs, is loaded from disk, and is compiled; the process goes on with right results."""
    (tmp_path / "module.py").write_text(KERNEL)
    (tmp_path / "program.py").write_text(PROGRAM)
    path = os.pathsep.join(map(str, (Path(__file__).parent.parent, tmp_path)))
    for delay in (0.003, 0.02, 0.1, 0.3) if state != "loaded" else (0.05, 0.11, 0.17, 0.31):
        cache = tmp_path / ("cache" if state != "new" else f"cache{delay}")
        done = subprocess.run(
            [sys.executable, tmp_path / "program.py", str(delay), state],
            env={**os.environ, "PYTHONPATH": path, "NUMBA_CACHE_DIR": str(cache)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, (delay, done.returncode, done.stderr)
        assert done.stdout.startswith("interrupted"), done.stdout
        assert done.stdout.endswith("and goes on\n")


@pytest.fixture
def raising() -> Iterator[None]:
    """Let SIGUSR1 raise KeyboardInterrupt, as Ctrl-C does."""

    def handler(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, handler)
    yield
    signal.signal(signal.SIGUSR1, before)


def spin(seconds: float) -> str:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.001)
    return "whole"


@pytest.mark.usefixtures("raising")
def test_b1_a_call_is_whole_and_the_handler_runs_after_it() -> None:
    told: list[str] = []

    def work() -> None:
        signal.raise_signal(signal.SIGUSR1)
        told.append(spin(0.01))

    with pytest.raises(KeyboardInterrupt):
        call_whole(work)
    assert told == ["whole"]
    with pytest.raises(KeyboardInterrupt):  # the handler is back
        signal.raise_signal(signal.SIGUSR1)


def test_b1_a_handler_that_raises_nothing_lets_the_work_begin_again() -> None:
    came: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda *_: came.append(1))
    try:

        def work() -> str:
            if not came:
                signal.raise_signal(signal.SIGUSR1)
            return interruptible(spin, 0.2)

        assert call_whole(work) == "whole"
        assert came == [1]
    finally:
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.usefixtures("raising")
def test_b1_what_takes_seconds_is_left_at_once() -> None:
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1)).start()
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interruptible(spin, 2)
    assert time.monotonic() - begun < 1.9


SLOWLY = """
import time
time.sleep(0.5)
whole = True
"""


@pytest.mark.usefixtures("raising")
def test_b1_an_import_is_left_at_once_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "imported_slowly.py").write_text(SLOWLY)
    monkeypatch.syspath_prepend(tmp_path)
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1)).start()
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        import_whole("imported_slowly")
    assert time.monotonic() - begun < 0.45
    assert import_whole("imported_slowly").whole  # the same import, which nobody began again
    with pytest.raises(ModuleNotFoundError, match="imported_never"):
        import_whole("imported_never")


# What breaks an import off: KeyboardInterrupt at one of the imports of the main thread.
BROKEN_OFF = """
import sys, threading
import spanish_tok as st
seen, after = 0, int(sys.argv[1])
def hook(event, arguments):
    global seen
    if event == "import" and threading.current_thread() is threading.main_thread():
        seen += 1
        if seen == after:
            raise KeyboardInterrupt
def work():
    return st.Tokenizer.load().encode_column(["hola mundo"]).to_pylist()
sys.addaudithook(hook)
try:
    work()
except KeyboardInterrupt:
    print("interrupted")
print(work())
"""


@pytest.mark.parametrize("after", [2, 150, 250, 400])
def test_b1_an_import_that_is_broken_off_can_be_done_again(after: int) -> None:
    done = subprocess.run([sys.executable, "-c", BROKEN_OFF, str(after)], capture_output=True, text=True)
    assert done.stdout == "interrupted\n[[1884, 340]]\n", done.stderr


def test_b1_errors_and_results_come_through() -> None:
    assert interruptible(spin, 0) == "whole"
    with pytest.raises(ValueError, match="wrong"):
        interruptible(int, "wrong")
    with thread_pool(1) as pool:
        assert pool.submit(interruptible, spin, 0).result() == "whole"


def test_b1_a_pool_that_ends_stops_what_is_interruptible() -> None:
    stop = threading.Event()
    seen: list[Any] = []

    def work(function: Callable[[float], str]) -> None:
        stop_with(stop)
        try:
            seen.append(interruptible(function, 5.0))
        except Interrupted as error:
            seen.append(error)

    thread = threading.Thread(target=work, args=(lambda _: (stop.wait(5) and spin(0.2)) or "",))
    thread.start()
    stop.set()
    thread.join(3)
    assert isinstance(seen[0], Interrupted)


def test_b1_an_error_in_one_item_ends_the_pool() -> None:
    def half(number: int) -> float:
        return 1 / (number - 2)

    results = map_in_order(half, range(9), workers=2)
    assert next(results) == -0.5
    with pytest.raises(ZeroDivisionError):
        list(results)


def test_b1_an_interrupt_while_the_command_line_is_imported_is_told_in_one_line() -> None:
    program = """
import sys
def hook(event, arguments):
    if event == "import" and arguments[0] == "click":
        raise KeyboardInterrupt
sys.addaudithook(hook)
from spanish_tok.__main__ import run
run()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 130
    assert done.stderr == "spanish-tok: Interrupted. Nothing was begun.\n"
