"""Five scripts of the first day: empty caches, an empty folder, five minutes each, and what the page shows.

What needs the core alone runs from the wheel, in a new environment; making that is part of the first script's time.
"""

import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from tests.docs.blocks import TOP, masked
from tests.newcomer.scripts import TOLD_ONCE, blocks_until, script_of, shown_by

MINUTES = 5
MOST_BYTES = 15_000_000  # of the wheel
CORE = {
    "a vocabulary from a TSV": ("start/text-to-model.md", "6. A model"),
    "a filled gap": ("how-to/fill-gaps.md", "Which backend"),
    "accents of a file": ("how-to/accents.md", "How it decides"),
}
EXTRAS = {
    "ids in transformers": ("how-to/transformers.md", "Its Trainer"),
    "64 rows fine-tuned": ("how-to/finetune.md", "Which task"),
}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    pytest.importorskip("build", reason="needs the package build")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(folder), str(TOP)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """The folder of programs of a new environment with the wheel, and the seconds that installing took."""
    begin, folder = time.monotonic(), tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    command = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--no-cache-dir"]
    done = subprocess.run(
        [*command, "-c", str(TOP / "constraints.txt"), str(wheel)], capture_output=True, text=True
    )
    if done.returncode and "No matching distribution" in done.stderr:
        pytest.skip("needs a package registry")
    assert done.returncode == 0, done.stderr
    return folder / "bin", time.monotonic() - begin


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """A folder with the programs `spanish-tok` and `python` of the environment of the tests, which has the extras."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, arguments in (("spanish-tok", "-m spanish_tok "), ("python", "")):
        program = folder / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments}"$@"\n')
        program.chmod(0o755)
    return folder


def follow(page: str, heading: str, programs: Path, folder: Path, seconds: float, checkout: bool) -> None:
    """Type what a page says into a new shell, in a folder of its own, and compare what is printed."""
    blocks = blocks_until(TOP / "docs" / page, heading)
    assert blocks
    for name in ("work", "cache", "home"):
        (folder / name).mkdir()
    others = ("NUMBA_", "XDG_", "PYTHON", "HF_", "SPANISH_TOK_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    environment |= {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "HOME": str(folder / "home")}
    environment |= {"XDG_CACHE_HOME": str(folder / "cache")}
    if checkout:
        environment["PYTHONPATH"] = str(TOP)
    done = subprocess.run(
        ["bash", "-c", script_of(blocks)],
        cwd=folder / "work", env=environment, timeout=seconds, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert masked(TOLD_ONCE.sub("", done.stdout)) == masked(shown_by(blocks))


@pytest.mark.parametrize("name", CORE)
def test_the_core_does_it_from_a_wheel(name: str, installed: tuple[Path, float], tmp_path: Path) -> None:
    programs, seconds = installed
    follow(*CORE[name], programs, tmp_path, MINUTES * 60 - seconds, checkout=False)


@pytest.mark.parametrize("name", EXTRAS)
def test_the_extras_do_it(name: str, beside: Path, tmp_path: Path) -> None:
    follow(*EXTRAS[name], beside, tmp_path, MINUTES * 60, checkout=True)


def test_the_wheel_is_small_and_holds_what_ships(wheel: Path) -> None:
    assert wheel.stat().st_size < MOST_BYTES
    names = zipfile.ZipFile(wheel).namelist()
    for name in ("corpus/es-counts.parquet", "vocab/es-5000/spiece.model", "models/es-accents/restorer.json"):
        assert f"spanish_tok/data/{name}" in names
    assert not [name for name in names if name.startswith(("tests", "docs")) or "__pycache__" in name]
