"""Options: one frozen dataclass a verb, changed and checked in one place.

Changes come by keyword, from strings, or from a TOML file.

>>> from dataclasses import dataclass
>>> @dataclass(frozen=True)
... class Options:
...     size: int = 5000
...     shrink: float = 0.75
>>> from_strings(Options(), ["size=8000"])
Options(size=8000, shrink=0.75)
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, fields, replace
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from spanish_tok.errors import SpanishTokError
from spanish_tok.files import read_toml

Options = TypeVar("Options")


def changed(kind: type[Options], options: Options | None, changes: Mapping[str, Any]) -> Options:
    """Return `options`, or the defaults of `kind`, with fields changed by name.

    Every verb calls this on its `options=` and `**changes`. Raises SpanishTokError for a name that is no field,
    a value of the wrong type, and an object of another class.
    """
    if options is not None and not isinstance(options, kind):
        raise SpanishTokError(
            f"options must be {kind.__name__}, not {type(options).__name__}", f"Give {kind.__name__}(...)."
        )
    values = {name: coerced(kind, name, value) for name, value in changes.items()}
    return kind(**values) if options is None else replace(options, **values)  # type: ignore[type-var]


def check_one_given(first: Any, second: Any, *, to: str, advice: str) -> None:
    """Raise SpanishTokError unless one of two arguments is given, the other None."""
    if (first is None) == (second is None):
        raise SpanishTokError(f"Nothing or two things are given to {to}", advice)


def check_seed(seed: int) -> None:
    """Raise SpanishTokError for a seed that not every random generator takes."""
    if not isinstance(seed, int) or not 0 <= seed < 1 << 63:
        raise SpanishTokError(f"The seed is {seed!r}", "Give a whole number from 0 up, below 2^63.")


class FieldsAlone:
    """A dataclass that pickles as its fields alone.

    Never with what it has computed and kept.
    So its bytes are the same before and after use: caches that hash them, as `datasets.map` does, find it again.
    """

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]


def from_strings(options: Options, assignments: Iterable[str], *, flag: str = "--set") -> Options:
    """Return `options` with fields changed by `NAME=VALUE` strings.

    The command line gives them.

    `off` stands for 0 or false, `none` for None. Raises SpanishTokError that names `flag` and the fields there are.
    """
    return changed(type(options), options, assigned(assignments, flag=flag))


def assigned(assignments: Iterable[str], *, flag: str = "--set") -> dict[str, Any]:
    """Return the names and values of `NAME=VALUE` strings.

    Raises SpanishTokError that names `flag` for others.

    >>> assigned(["size=8000", "shrink=0.5"])
    {'size': '8000', 'shrink': '0.5'}
    """
    pairs = [assignment.partition("=") for assignment in assignments]
    for name, equals, value in pairs:
        if not (name and equals):
            raise SpanishTokError(
                f"{flag} {name}{equals}{value} is not NAME=VALUE", f"Write, say, {flag} seed=1."
            )
    return {name: value for name, _, value in pairs}


def from_toml(
    kind: type[Options], path: str | os.PathLike[str], *, old_names: Mapping[str, str] | None = None
) -> Options:
    """Read options from a flat TOML file.

    Entries that it leaves out have their defaults.

    old_names: entries that older files hold -> the fields they became. Raises SpanishTokError that names the file and
    the entry.
    """
    entries = {(old_names or {}).get(name, name): value for name, value in read_toml(path).items()}
    needed = [name for name, field in _fields(kind).items() if _is_required(field)]
    if missing := [name for name in needed if name not in entries]:
        raise SpanishTokError(f"{path} lacks {', '.join(missing)}", "Add them.")
    try:
        return changed(kind, None, entries)
    except SpanishTokError as error:
        raise SpanishTokError(f"{path}: {error.problem}", error.advice) from None


def coerced(kind: type, name: str, value: Any) -> Any:
    """Return `value` as the type of the field `name`.

    Strings are read, an int becomes a float.

    >>> from spanish_tok import CleanOptions
    >>> coerced(CleanOptions, "letters", "0.4"), coerced(CleanOptions, "short", "off")
    (0.4, 0)
    """
    if name not in _fields(kind):
        raise SpanishTokError(
            f"{kind.__name__} has no {name!r}", f"It has {', '.join(sorted(_fields(kind)))}."
        )
    hint = get_type_hints(kind)[name]
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    for allowed in kinds:
        fits, result = _read_as(allowed, value)
        if fits:
            return result
    wanted = " or ".join(_spelled(allowed) for allowed in kinds)
    raise SpanishTokError(f"{name} = {value!r} is not {wanted}", f"Give {wanted}.")


def _read_as(kind: Any, value: Any) -> tuple[bool, Any]:
    """Try to read a value as one type: (whether it is one, the value in that type)."""
    if kind is NoneType:
        return value is None or value == "none", None
    if get_origin(kind) is Literal:
        return value in get_args(kind), value
    if get_origin(kind) is tuple:
        return _read_items(get_args(kind)[0], value)
    if kind is bool:
        words = {"true": True, "false": False, "on": True, "off": False}
        return isinstance(value, bool) or str(value).lower() in words, words.get(str(value).lower(), value)
    if kind in (int, float) and not isinstance(value, bool):
        try:
            read = 0 if value == "off" else kind(value) if isinstance(value, str) else value
            whole = isinstance(read, int) or (kind is int and hasattr(read, "__index__"))
            fits = whole or (kind is float and isinstance(read, float))
            return fits, kind(read) if fits else None
        except (ValueError, OverflowError):  # no number; one that a float cannot hold
            return False, None
    if isinstance(kind, type) and kind not in (int, float):
        return isinstance(value, kind), value
    return not isinstance(
        kind, type
    ), value  # what a TOML file or a command line cannot spell: taken as it is


def _read_items(kind: Any, value: Any) -> tuple[bool, Any]:
    """Try to read a value as a tuple of any length, all of one type.

    It is a list, or a text such as "0.5,1".
    """
    if isinstance(value, str):
        value = [item for item in value.strip("()[]").split(",") if item.strip()]
    if not isinstance(value, list | tuple):
        return False, value
    items = [_read_as(kind, item) for item in value]
    return all(fits for fits, _ in items), tuple(read for _, read in items)


def _fields(kind: type) -> dict[str, "Field[Any]"]:
    return {field.name: field for field in fields(kind)}


def _is_required(field: "Field[Any]") -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _spelled(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(map(str, get_args(kind)))
    if get_origin(kind) is tuple:
        return f"a list, each {_spelled(get_args(kind)[0])}"
    return {
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        str: "a text",
        NoneType: "none",
    }.get(kind, getattr(kind, "__name__", str(kind)))
