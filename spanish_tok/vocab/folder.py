"""A vocabulary folder: its manifest, and whether its files are undamaged."""

import os
from pathlib import Path
from typing import Any

from spanish_tok.errors import SpanishTokError
from spanish_tok.files import check_files, check_format, read_json
from spanish_tok.files.outputs import check_folder as check_folder_free
from spanish_tok.files.schema import fault_of

MODEL = "spiece.model"
MANIFEST = "manifest.json"
FORMAT = 1
SHAPE = {"format": object, "fingerprint": str, "pairs": {str: str}, "files": {str: str, MODEL: str}}


def check_place(folder: Path, size: int, sentinels: int, *, force: bool = False) -> None:
    """Check, before the work, that a vocabulary can be saved in a folder.

    Raises SpanishTokError if one of another size is there, and for a folder that holds anything else.
    """
    if check_folder_free(folder, force=force, kind="a vocabulary"):
        manifest = check_folder(folder)
        if (manifest.get("size"), manifest.get("sentinels")) != (size, sentinels):
            raise another_vocabulary(folder)


def another_vocabulary(folder: str | os.PathLike[str]) -> SpanishTokError:
    """Return the error of a folder that holds another vocabulary."""
    return SpanishTokError(
        f"{folder} holds another vocabulary", "Give another folder, or --force to replace it."
    )


def check_folder(folder: Path) -> dict[str, Any]:
    """Return the manifest of a vocabulary folder whose files are undamaged.

    Every file must have the SHA-256 that it states.
    """
    if not folder.is_dir():
        raise SpanishTokError(f"{folder} is not a folder", "Give the folder that `spanish-tok train` wrote.")
    if not (folder / MANIFEST).exists():
        if sizes := sorted(path.parent.name for path in folder.glob(f"*/{MANIFEST}")):
            raise SpanishTokError(
                f"{folder} holds several vocabularies: {', '.join(sizes[:9])}",
                f"Give one: {folder / sizes[0]}.",
            )
        raise SpanishTokError(
            f"{folder} has no {MANIFEST}: its writing did not end", "Train the vocabulary again."
        )
    manifest: dict[str, Any] = read_json(folder / MANIFEST)
    if fault := fault_of(manifest, SHAPE):
        raise SpanishTokError(
            f"{folder / MANIFEST} is not a vocabulary's manifest: {fault}", "Train the vocabulary again."
        )
    check_format(folder, manifest["format"], FORMAT)
    check_files(folder, manifest["files"])
    return manifest
