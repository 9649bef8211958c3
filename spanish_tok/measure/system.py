"""What every figure of speed needs beside it.

The processor, its cores, and the versions that took part.
"""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from spanish_tok._version import __version__


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
