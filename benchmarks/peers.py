"""Environments of their own for libraries that are compared: two versions of one, or any that asks for other versions.

    python benchmarks/peers.py [FOLDER]       # makes them, .venv-peers by default; some minutes, 400 MB

`python_of` gives the interpreter that has a library: that of its environment, else the one that runs. Ours has what
`pip install spanish-tok` brings, and no more: pandas and SciPy, where they are, cost half a second and 70 MB, as Arrow
and Numba import them.
"""

import subprocess
import sys
import tomllib
import venv
from pathlib import Path

from record import TOP

FOLDER = TOP / ".venv-peers"
OURS = "spanish-tok"

# name of the environment -> what pip is asked for; NumPy is what encode_worker.py needs
ENVIRONMENTS = {
    OURS: tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"],
    "tokenizers 1.0": ["--pre", "tokenizers>=1.0.0rc3,<2", "numpy"],
    "kitoken": ["kitoken==0.11.*", "numpy"],
    "tokie": ["tokie==0.1.4", "numpy"],
    "splintr": ["splintr-rs==0.22.*", "numpy"],
}


def python_of(name: str, folder: Path = FOLDER) -> str:
    """Return the interpreter for a library."""
    found = folder / name.replace(" ", "-") / "bin" / "python"
    return str(found) if found.exists() else sys.executable


def make(folder: Path) -> dict[str, str]:
    """Make the environments that are not there yet; return name -> why, for those that could not be made."""
    faults = {}
    for name, wanted in ENVIRONMENTS.items():
        place = folder / name.replace(" ", "-")
        if (place / "done").exists():
            continue
        venv.create(place, with_pip=True)
        pip = [
            str(place / "bin" / "python"),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]
        pinned = ["-c", str(TOP / "constraints.txt")] if name == OURS else []
        done = subprocess.run([*pip, *pinned, *wanted], capture_output=True, text=True, check=False)
        if done.returncode:
            faults[name] = (done.stderr.strip().splitlines() or ["pip failed"])[-1]
        else:
            (place / "done").touch()
    return faults


if __name__ == "__main__":
    for name, fault in make(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER).items():
        print(f"{name}: {fault}")
