"""Paths: the names of files, and the files that folders and patterns stand for."""

import os
from collections.abc import Iterable
from difflib import get_close_matches
from glob import glob, has_magic
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from spanish_tok.errors import SpanishTokError
from spanish_tok.files import read_json
from spanish_tok.readers.opening.compression import SUFFIXES
from spanish_tok.readers.opening.remote import is_remote, is_url, matching
from spanish_tok.readers.options import Location

FORMATS = {
    ".tsv": "tsv",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".txt": "text",
}


def file_name(location: str | os.PathLike[str]) -> str:
    """Return the name of a file without its folder; of an address without its query.

    >>> file_name("https://datos.es/corpus/es.txt.gz?download=true"), file_name("datos/es.tsv")
    ('es.txt.gz', 'es.tsv')
    """
    path = os.fspath(location)
    if is_remote(path):
        path = urlsplit(path).path if is_url(path) else path.split("::")[0]
    return PurePosixPath(path).name


def base_name(location: str | os.PathLike[str]) -> str:
    """Return the name of a file without its folder and its suffix of compression.

    >>> base_name("hf://datasets/usuaria/corpus@main/datos/es.tsv.gz")
    'es.tsv'
    """
    path = PurePosixPath(file_name(location))
    return path.stem if path.suffix.lower() in SUFFIXES else path.name


def expand_paths(paths: Iterable[Location]) -> list[Location]:
    """Replace folders by their files, and patterns by what they match, in order.

    A folder that `sample` or `clean` wrote stands for its shards, any other one for its files of a known format.
    Raises SpanishTokError for what is missing, unfinished or holds no text.
    """
    expanded: list[Location] = []
    for path in paths:
        if is_remote(path):
            expanded += matching(str(path))
        elif str(path) == "-" or Path(path).is_file():
            expanded.append(path)
        elif Path(path).is_dir():
            expanded += _files_of_folder(Path(path))
        elif has_magic(str(path)) and (matches := sorted(glob(str(path), recursive=True))):
            expanded += expand_paths(matches)
        elif not Path(path).exists():
            problem = f"Nothing matches {path}" if has_magic(str(path)) else f"{path} does not exist"
            from spanish_tok.readers.datasets import shipped_recipes

            close = get_close_matches(str(path), shipped_recipes(), cutoff=0.5)
            advice = f"Did you mean the recipe {' or '.join(close)}?" if close else "Check the path."
            raise SpanishTokError(problem, advice)
        else:
            expanded.append(path)  # a named pipe
    return expanded


def _files_of_folder(folder: Path) -> list[Location]:
    """Return the shards that the manifest of a folder names, or its files of text."""
    manifest_path = folder / "manifest.json"
    if manifest_path.exists():
        manifest = read_json(manifest_path, {"shards?": [{"file": str}]})
        if "shards" not in manifest:
            raise SpanishTokError(f"{folder} is a folder without shards of text", "Give files of text.")
        return [folder / shard["file"] for shard in manifest["shards"]]
    if (folder / "unfinished").exists() or (folder / "unfinished.json").exists():
        raise SpanishTokError(
            f"{folder} is unfinished: it has no manifest.json",
            "Run the command that writes it again: it resumes.",
        )
    files = [file for file in sorted(folder.iterdir()) if file.is_file() and not file.name.startswith(".")]
    if not (texts := [file for file in files if Path(base_name(file)).suffix.lower() in FORMATS]):
        raise SpanishTokError(f"{folder} is a folder without files of text", f"Give {', '.join(FORMATS)}.")
    return list(texts)
