"""How far a verb walks until its input opens: the functions of the package on the stack, and its climbs.

    with walks_to(path) as walks:
        shard(path, tmp_path / "out", engine=Local(1))
    assert all(len(walk.stops) <= 8 for walk in walks)

A stop is a function of the package on the call stack at the moment a file is opened; generators count. A climb is a
call from a module of a lower layer into one of a higher layer.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import spanish_tok

PACKAGE = Path(spanish_tok.__file__).parent


class Walk(NamedTuple):
    """The stops of one opening, the verb first, each as (module path from the package, function)."""

    stops: list[tuple[str, str]]

    def climbs(self, floor: Callable[[str], int]) -> int:
        """Count the calls into a higher layer; `floor` gives the layer of a chapter, such as "readers"."""
        floors = [floor(Path(module).with_suffix("").parts[0]) for module, _ in self.stops]
        return sum(after > before for before, after in pairwise(floors))

    def __str__(self) -> str:
        return " > ".join(f"{module}:{function}" for module, function in self.stops)


@contextmanager
def walks_to(path: str | os.PathLike[str]) -> Iterator[list[Walk]]:
    """Collect the walk to every opening of a file while the block runs, in order."""
    wanted, walks, on = os.path.abspath(path), list[Walk](), [True]

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        path = arguments[0] if on[0] and event == "open" else None  # or the number of an open file
        if isinstance(path, str | os.PathLike) and os.path.abspath(path) == wanted:
            walks.append(Walk(_stops(sys._getframe(1))))

    sys.addaudithook(hook)  # cannot be removed, only be told to do nothing
    try:
        yield walks
    finally:
        on[0] = False


def _stops(frame: FrameType | None) -> list[tuple[str, str]]:
    """Return the functions of the package on the stack, the outermost first; modules being imported are none."""
    stops = []
    while frame:
        code, path = frame.f_code, Path(frame.f_code.co_filename)
        if path.is_relative_to(PACKAGE) and code.co_name != "<module>":
            stops.append((str(path.relative_to(PACKAGE)), code.co_name))
        frame = frame.f_back
    return stops[::-1]
