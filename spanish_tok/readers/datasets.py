"""Data sets by name: each has a recipe, a TOML file that describes it.

A new data set is a new file: in `corpus/` where it ships, or anywhere, given by its path.

    title, licence, warning     text; a warning is shown before the data set is read
    rows                        how many there must be, else reading it is an error
    bytes                       how much is to be read, for estimates of time and disk
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
from spanish_tok.readers.hub import HubSet
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
    """A data set: what its TOML file says, and the locations of its files.

    `locations` is empty for a set that `datasets` reads; `hub_set` is then that set.
    """

    name: str
    title: str
    licence: str
    locations: tuple[str, ...] = ()
    hub_set: HubSet | None = None
    rows: int | None = None
    bytes: int | None = None
    warning: str = ""
    read: dict[str, Any] = field(default_factory=dict)
    clean: dict[str, Any] = field(default_factory=dict)


def load_recipe(name: str | Path) -> Dataset:
    """Return the data set of a recipe: a shipped one by name, another by its path.

    Raises SpanishTokError for an unknown name, and for a file that is not TOML, lacks a key or has an unknown
    one.

    >>> load_recipe("mmarco-es").rows
    8841823
    """
    path = Path(name) if Path(name).suffix == ".toml" else shipped_recipes().get(str(name))
    if path is None:
        names = ", ".join(shipped_recipes())
        raise SpanishTokError(f"There is no recipe {str(name)!r}", f"Give one of: {names}; or a TOML file.")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SpanishTokError(f"{path} does not exist", "Check the path.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpanishTokError(f"{path} is not TOML ({error})", "Correct it.") from None
    return _dataset_of(content, path)


def recipes() -> list[Dataset]:
    """Return the data sets whose recipes ship with the package.

    >>> [dataset.name for dataset in recipes()]
    ['mmarco-es', 'mmarco-es-queries', 'sentences-es']
    """
    return [load_recipe(name) for name in shipped_recipes()]


def shipped_recipes() -> dict[str, Path]:
    """Return the paths of the shipped recipes by name."""
    return {path.stem: path for path in sorted(shipped("corpus").glob("*.toml"), key=lambda path: path.stem)}


def is_recipe(name: str) -> bool:
    """Return whether a word means a recipe rather than a file.

    >>> is_recipe("mmarco-es"), is_recipe("es.tsv"), is_recipe("propia.toml")
    (True, False, True)
    """
    return name.endswith(".toml") or (name in shipped_recipes() and not Path(name).exists())


def _dataset_of(content: dict[str, Any], path: Path) -> Dataset:
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


def _hub_set(source: dict[str, Any]) -> HubSet | None:
    if "split" not in source:
        return None
    return HubSet(source["repository"], source["revision"], source.get("subset"), source["split"])
