"""Files that were changed at random: a right load or a SpanishTokError, never anything else, and soon.

FUZZ is how many changes are tried in all (`make test-all`: 10,000), FUZZ_SEED another draw, FUZZ_FROM how many of
each format are passed over, so that a long run can be done in parts.
"""

import faulthandler
import os
import random
import shutil
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spanish_tok import SpanishTokError
from tests.faults.changes import MANIFESTS, rewrite_hashes
from tests.fuzz.formats import FORMATS, Format
from tests.fuzz.mutations import Change, change_bytes

TRIES = int(os.environ.get("FUZZ", "300"))
SEED = int(os.environ.get("FUZZ_SEED", "0"))
FIRST = int(os.environ.get("FUZZ_FROM", "0"))
SECONDS, BYTES = 10.0, 2 << 30
HUNG = 120.0  # seconds after which the process is ended, with a trace


def changed_file(folder: Path, form: Format, draw: random.Random) -> tuple[Path, Change]:
    """Change one file of a folder; half of the changes keep its form, and then the hashes are right again."""
    files = sorted(path for path in folder.glob(form.pattern) if path.is_file() and path.name != ".lock")
    path = draw.choice(files)
    change = draw.choice([change_bytes, form.changes.get(path.suffix, change_bytes)])
    change(path, draw)
    if path.name not in MANIFESTS and (change is not change_bytes or draw.random() < 0.5):
        for manifest in {found.parent for name in MANIFESTS for found in folder.rglob(name)}:
            rewrite_hashes(manifest)
    return path, change


def outcome_of(load: Callable[[Path], Any], folder: Path) -> str:
    """Load a changed folder; another exception than SpanishTokError ends the test with its trace.

    The time is that of the process where the machine is busy with others.
    """
    begun, cpu = time.perf_counter(), time.process_time()
    before = _begin_peak()
    faulthandler.dump_traceback_later(HUNG, exit=True, file=2)
    try:
        load(folder)
        outcome = "loaded"
    except SpanishTokError:
        outcome = "refused"
    finally:
        faulthandler.cancel_dump_traceback_later()
    took = min(time.perf_counter() - begun, time.process_time() - cpu)
    assert took < SECONDS, f"{took:.1f} seconds"
    assert _memory("VmHWM") - before < BYTES, f"{_memory('VmHWM') - before:,} bytes"
    return outcome


def _begin_peak() -> int:
    """Let the peak of this process's memory begin anew; return what is in use."""
    if not Path("/proc/self/clear_refs").exists():
        return 0
    Path("/proc/self/clear_refs").write_text("5")
    return _memory("VmRSS")


def _memory(entry: str) -> int:
    """Return an entry of Linux's /proc/self/status in bytes; 0 on another system."""
    path = Path("/proc/self/status")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith(entry)), 0)


@pytest.mark.parametrize("name", FORMATS)
def test_changed_files(name: str, tmp_path: Path) -> None:
    form, good, folder = FORMATS[name], tmp_path / "good", tmp_path / "changed"  # a job knows its place
    folder.mkdir()
    form.fill(folder)
    shutil.copytree(folder, good)
    form.load(folder)
    counts: Counter[str] = Counter()
    for number in range(FIRST, max(FIRST + 1, TRIES // len(FORMATS))):
        draw = random.Random(f"{SEED} {name} {number}")
        shutil.rmtree(folder)
        shutil.copytree(good, folder)
        path, change = changed_file(folder, form, draw)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a library, about a file that is odd
                counts[f"{change.__name__}: {outcome_of(form.load, folder)}"] += 1
        except BaseException as error:
            error.add_note(f"{name}, change {number} ({change.__name__} of {path.name}), seed {SEED}")
            raise
    print(f"{name}: {dict(sorted(counts.items()))}")
