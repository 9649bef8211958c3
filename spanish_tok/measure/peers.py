"""The encoders that speed and ids are compared with, and the machine they run on.

Each has the same vocabulary folder. Every figure of speed needs processor, cores and versions beside it.
"""

import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from spanish_tok._version import __version__
from spanish_tok.errors import SpanishTokError
from spanish_tok.tokenization.adapters import OURS, TokenizerAdapter
from spanish_tok.tokenization.libraries import LIBRARIES

# library -> the file of a vocabulary folder that it reads
FILES = {
    OURS: "manifest.json",
    "sentencepiece": "spiece.model",
    "tokenizers": "tokenizer.json",
    "kitoken": "spiece.model",
    "tokie": "tokenizer.json",
}
THREADLESS = {"kitoken"}


def load_peer(library: str, folder: Path, threads: int) -> TokenizerAdapter:
    """Load a vocabulary folder in one of the libraries, on some threads."""
    return LIBRARIES[library](folder / FILES[library], library, threads)


def installed_peers() -> list[str]:
    """Return the peers that can take part here."""
    return [name for name in FILES if name != OURS and find_spec(name)]


def chosen_peers(names: Sequence[str], folder: Path | None = None) -> list[str]:
    """Return the peers of these names.

    By default all installed ones that can read a folder.

    Raises SpanishTokError for one that is unknown or not installed.
    """
    for name in names:
        if name not in FILES or name == OURS:
            others = ", ".join(peer for peer in FILES if peer != OURS)
            raise SpanishTokError(f"There is no peer {name!r}", f"Give some of: {others}.")
        if not find_spec(name):
            raise SpanishTokError(f"{name} is not installed", f"pip install {name}")
    able = [name for name in installed_peers() if folder is None or (folder / FILES[name]).exists()]
    return list(names) or able


def describe(*packages: str) -> str:
    """Return one line: processor, cores, Python, and versions of packages.

    >>> describe("numpy", "no-such-package").endswith("no-such-package not installed")
    True
    """
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":")[1].strip() for line in lines if "model name" in line]
    parts = [
        f"{names[0]} x {len(names)}" if names else platform.processor() or platform.machine(),
        f"Python {platform.python_version()}",
    ]
    return ", ".join(parts + [f"{package} {version_of(package)}" for package in packages])


def version_of(package: str) -> str:
    """Return the version of an installed package, or "not installed"."""
    if package == "spanish-tok":
        return __version__  # also where it runs from a checkout
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
