"""The shape of what a JSON file must hold, and what is wrong with it.

A shape is a Python value:

    int, float, str, bool, dict, list   a value of that type; a whole number is a float too, no bool is a number
    object                              anything
    range(1, 10)                        a whole number in that range
    None                                null
    {"text", "words"}                   one of these values
    (str, None)                         one of several shapes
    [str]                               a list of that shape, of any length
    [int, int, str]                     a list of exactly these
    {"rows": int, "notes?": dict}       an object with these entries; "?" marks those that may be missing
    {str: int}                          an object of any names

Every JSON file that is read has one: see `files.read_json`.
"""

from collections.abc import Iterator
from dataclasses import MISSING, fields
from typing import Any, Literal, TypeAlias, TypeVar, get_args, get_origin, get_type_hints

Shape: TypeAlias = Any
Made = TypeVar("Made")

COUNT = range(1 << 63)
_SPELLED: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    dict: "an object",
    list: "a list",
    None: "null",
}


def fault_of(value: Any, shape: Shape, path: str = "it") -> str:
    """Return what is wrong with a value of JSON; empty if it has the shape.

    path: how the value is called in the answer.

    >>> fault_of({"shards": [{"rows": 3}, {"rows": "x"}]}, {"shards": [{"rows": COUNT}]})
    "shards[1].rows is 'x', not a whole number from 0 up"
    >>> fault_of({"rows": 3}, {"rows": COUNT, "name": str})
    "it has no 'name'"
    """
    if isinstance(shape, tuple):
        fits = any(not fault_of(value, choice, path) for choice in shape)
        return "" if fits else _wrong(value, shape, path)
    if isinstance(shape, dict) and isinstance(value, dict):
        needed = (name for name in shape if name is not str and not name.endswith("?"))
        if missing := [name for name in needed if name not in value]:
            return f"{path} has no {missing[0]!r}"
        parts = _entries(value, shape, path)
    elif isinstance(shape, list) and isinstance(value, list):
        if len(shape) > 1 and len(value) != len(shape):
            return f"{path} has {len(value)} items, not {len(shape)}"
        shapes = shape if len(shape) > 1 else shape * len(value)
        pairs = enumerate(zip(value, shapes, strict=True))
        parts = ((f"{path}[{index}]", item, inner) for index, (item, inner) in pairs)
    else:
        return "" if _is(value, shape) else _wrong(value, shape, path)
    return next((fault for name, item, inner in parts if (fault := fault_of(item, inner, name))), "")


def shape_of(kind: type[Any]) -> dict[str, Shape]:
    """Return the shape of a dataclass of texts, numbers and truth values.

    Whole numbers are not below 0."""
    hints = get_type_hints(kind)
    entries: dict[str, Shape] = {}
    for field in fields(kind):
        hint = hints[field.name]
        hint = COUNT if hint is int else set(get_args(hint)) if get_origin(hint) is Literal else hint
        entries[field.name + "?" * (field.default is not MISSING)] = hint
    return entries


def made(kind: type[Made], value: dict[str, Any]) -> Made:
    """Return a dataclass from an object of JSON that has its shape.

    What other versions added is left out."""
    return kind(**{field.name: value[field.name] for field in fields(kind) if field.name in value})  # type: ignore[arg-type]


def _entries(value: dict[str, Any], shape: dict[Any, Shape], path: str) -> Iterator[tuple[str, Any, Shape]]:
    """Yield (path, value, shape) of each entry that the shape speaks of."""
    for name, item in value.items():
        inner = shape.get(name, shape.get(f"{name}?", shape.get(str, object)))
        yield name if path == "it" else f"{path}.{name}", item, inner


def _is(value: Any, shape: Shape) -> bool:
    if isinstance(shape, range):
        return type(value) is int and value in shape
    if isinstance(shape, set):
        return not isinstance(value, dict | list) and value in shape
    if shape in (int, float):
        return type(value) is int or type(value) is shape
    return value is None if shape is None else isinstance(shape, type) and isinstance(value, shape)


def _wrong(value: Any, shape: Shape, path: str) -> str:
    shown = repr(value) if not isinstance(value, dict | list) else _SPELLED[type(value)]
    return f"{path} is {shown[:60]}, not {_spelled(shape)}"


def _spelled(shape: Shape) -> str:
    if isinstance(shape, tuple):
        return " or ".join(map(_spelled, shape))
    if isinstance(shape, set):
        return "one of " + ", ".join(sorted(map(str, shape)))
    if isinstance(shape, range):
        return f"a whole number from {shape[0]} " + ("up" if shape.stop == COUNT.stop else f"to {shape[-1]}")
    return _SPELLED[type(shape) if isinstance(shape, dict | list) else shape]
