"""Recipes: data sets by name, each a TOML file that says where it lies, its form, its rows and its licence.

A new data set is a new file: in `corpus/` where it ships, or anywhere, given by its path.

    title, licence, warning     text; a warning is shown before the data set is read
    rows, bytes                 how much there must be, and how much is to be read
    [source]                    one of: repository, revision, files (single files of the Hub);
                                repository, revision, subset, split (a set of the Hub that `datasets` reads);
                                urls; paths (relative to the recipe)
    [read]                      format, id, text, invalid_utf8, malformed, as in ReadOptions
    [clean]                     the parameters of rules, as in CleanOptions
"""

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from spanish_tok.errors import SpanishTokError
from spanish_tok.files import shipped
from spanish_tok.readers.options import ReadOptions

FORMS = [
    {"repository", "revision", "files"},
    {"repository", "revision", "subset", "split"},
    {"repository", "revision", "split"},
    {"urls"},
    {"paths"},
]
READ = {option.name for option in fields(ReadOptions)} - {"rows", "block_bytes", "workers"}


@dataclass(frozen=True)
class Dataset:
    """A data set: what its TOML file says, with the locations of its files worked out.

    `locations` is empty for a set that `datasets` reads; `hub_set` is then (repository, revision, subset, split).
    """

    name: str
    title: str
    licence: str
    locations: tuple[str, ...] = ()
    hub_set: tuple[str, str, str | None, str] | None = None
    rows: int | None = None
    bytes: int | None = None
    warning: str = ""
    read: dict[str, Any] = field(default_factory=dict)
    clean: dict[str, Any] = field(default_factory=dict)

    @property
    def read_options(self) -> ReadOptions:
        """How its files are read, its number of rows included."""
        return ReadOptions(**self.read, rows=self.rows)


def load_recipe(name: str | Path) -> Dataset:
    """The shipped recipe of a name, or the one in a TOML file.

    Raises SpanishTokError for a name that is none, and for a file that is not TOML, lacks a key or has one
    that no recipe has.

    >>> load_recipe("mmarco-es").rows
    8841823
    """
    path = Path(name) if Path(name).suffix == ".toml" else shipped_recipes().get(str(name))
    if path is None:
        known = ", ".join(shipped_recipes())
        raise SpanishTokError(f"There is no recipe {str(name)!r}", f"Give one of: {known}; or a TOML file.")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SpanishTokError(f"{path} does not exist", "Check the path.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpanishTokError(f"{path} is not TOML ({error})", "Correct it.") from None
    return _checked(content, path)


def shipped_recipes() -> dict[str, Path]:
    """The recipes that come with the package by name."""
    return {path.stem: path for path in sorted(shipped("corpus").glob("*.toml"))}


def is_recipe(name: str) -> bool:
    """Whether a word of the command line means a recipe rather than a file.

    >>> is_recipe("mmarco-es"), is_recipe("es.tsv"), is_recipe("propia.toml")
    (True, False, True)
    """
    return name.endswith(".toml") or (name in shipped_recipes() and not Path(name).exists())


def _checked(content: dict[str, Any], path: Path) -> Dataset:
    source = content.pop("source", None)
    if not isinstance(source, dict) or set(source) not in FORMS:
        forms = "; ".join(", ".join(sorted(form)) for form in FORMS)
        raise SpanishTokError(f"{path} has no [source] that can be read", f"Give one of: {forms}.")
    if unknown := set(content.get("read", {})) - READ:
        raise SpanishTokError(f"{path}: [read] has no {sorted(unknown)[0]!r}", f"It has {sorted(READ)}.")
    try:
        return Dataset(
            path.stem, **content, locations=_locations(source, path.parent), hub_set=_hub_set(source)
        )
    except TypeError as error:  # "... missing ... 'licence'", "... unexpected keyword argument 'row'"
        raise SpanishTokError(f"{path}: {str(error).split(') ', 1)[-1]}", "Correct it.") from None


def _locations(source: dict[str, Any], folder: Path) -> tuple[str, ...]:
    if "files" in source:
        root = f"hf://datasets/{source['repository']}@{source['revision']}"
        return tuple(f"{root}/{file}" for file in source["files"])
    return tuple(source.get("urls", ())) + tuple(str(folder / path) for path in source.get("paths", ()))


def _hub_set(source: dict[str, Any]) -> tuple[str, str, str | None, str] | None:
    if "split" not in source:
        return None
    return source["repository"], source["revision"], source.get("subset"), source["split"]
