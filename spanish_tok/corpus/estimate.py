"""The needs of a job, told before it starts: bytes to read, disk and time.

Too little room on the disk is an error then.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from spanish_tok.errors import SpanishTokError
from spanish_tok.readers.inputs import Inputs
from spanish_tok.readers.opening.remote import is_remote

UNPACKED = 3.0  # bytes of text for a byte that is compressed, or Parquet
STORED = 0.7  # bytes of Parquet for a byte of text
# Bytes a second of one core of a small server
READING, REMOTE, CLEANING = 500e6, 20e6, 40e6


@dataclass(frozen=True)
class Estimate:
    """Bytes of text to read, bytes of disk at most, seconds; all of them rough."""

    text: float
    disk: float
    seconds: float

    def __str__(self) -> str:
        minutes = self.seconds / 60
        time = f"{minutes:,.0f} min" if minutes >= 2 else f"{self.seconds:,.0f} s"
        return f"About {spelt(self.text)} to read, {spelt(self.disk)} of disk while it runs, {time}."


def estimate(inputs: Inputs, share: float, *, spilled: bool, cleaned: float, cores: int) -> Estimate | None:
    """Return what a job takes; None if sizes are unknown.

    It writes a `share` of its input and cleans a share `cleaned`.

    `spilled` says that candidates lie on disk for a while beside what is written.
    """
    size = inputs.recipe.bytes if inputs.recipe and inputs.recipe.bytes else inputs.bytes
    if size is None or not inputs.items:
        return None
    item = inputs.items[0]
    text = size * (UNPACKED if item.is_packed else 1.0)
    reading = size / REMOTE if is_remote(item.name) else text / READING / min(cores, 2)
    disk = text * min(share, 1.0) * (STORED + 1.3 * spilled)
    return Estimate(text, disk, reading + text * cleaned / CLEANING / cores)


def check_disk(needed: float, output: Path) -> None:
    """Raise SpanishTokError where the disk of `output` has too little room."""
    folder = next(parent for parent in (output, *output.resolve().parents) if parent.exists())
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise SpanishTokError(
            f"{output} needs about {spelt(needed)} of disk, and {spelt(free)} are free",
            "Make room, or give an --output on another disk.",
        )


def spelt(size: float) -> str:
    """Return a number of bytes as people say it."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.0f} MB"
