"""Plain English, as far as a test can tell: first lines of docstrings are short, and riddles stay out."""

import ast
import re
from pathlib import Path

import pytest

from tests.test_architecture import PACKAGE, modules

LONGEST_FIRST_LINE = 80  # characters
RIDDLES = re.compile(
    r"where there is none|(?-i:that is none)\b|\bgo(es|ne|ing)? on (with|where|from|as|until)\b|\bgoes on\b|\banew\b"
    r"|\bnobody\b|\bfrom afar\b|\bdearest\b|\bwhat (\w+ ){1,3}found\b|\bis not said\b",
    re.IGNORECASE,
)


def docstrings_of(source: str) -> list[tuple[int, str]]:
    """Return (line, docstring) of a module, its classes and functions, also nested and private ones."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, kinds)]
    return [(getattr(node, "lineno", 1), text) for node in nodes if (text := ast.get_docstring(node))]


def long_first_lines(source: str) -> list[str]:
    return [
        f"line {line}: {first}"
        for line, text in docstrings_of(source)
        if len(first := text.split("\n")[0]) > LONGEST_FIRST_LINE
    ]


def riddles(source: str) -> list[str]:
    return [
        f"line {number}: {riddle[0]}"
        for number, line in enumerate(source.splitlines(), 1)
        if (riddle := RIDDLES.search(line))
    ]


@pytest.mark.parametrize("module", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_docstrings_begin_shortly_and_in_plain_words(module: Path) -> None:
    source = module.read_text(encoding="utf-8")
    assert long_first_lines(source) == []
    assert riddles(source) == []


def test_long_first_lines_and_riddles_are_seen() -> None:
    assert long_first_lines(f'def f():\n    """{"x" * 81}"""\n')
    assert riddles("# the first id that is none")
    assert riddles('"""A changed file cannot be gone on with."""')
    assert riddles('raise SpanishTokError("x", "Make the counts anew.")')
    assert not riddles("# resume after an input changes")
