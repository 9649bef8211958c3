"""Docstrings as this package writes them, made into Markdown: examples become blocks, comments of fields their text."""

import re
from pathlib import Path
from typing import Any

import griffe

EXAMPLE = re.compile(r"(?:^>>> .*\n(?:^(?!\s*$).*\n?)*)+", re.MULTILINE)
FIELD = re.compile(r"^([a-z_]+): (?=\S)", re.MULTILINE)
SPECIAL = re.compile(r"</?\w[^>\n]*>")


class HouseStyle(griffe.Extension):
    """Turns docstrings into Markdown before they are parsed."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite a docstring, and take the comment of a field for its docstring."""
        if obj.docstring:
            obj.docstring.value = markdown_of(obj.docstring.value)
        elif obj.is_attribute and (comment := comment_of(obj)):
            obj.docstring = griffe.Docstring(comment, parent=obj)


def markdown_of(text: str) -> str:
    """Return a docstring in Markdown: examples in blocks, explained names as a list."""
    parts, end = [], 0
    for example in EXAMPLE.finditer(text):
        parts += [prose(text[end : example.start()]), f"```pycon\n{example[0].rstrip()}\n```\n"]
        end = example.end()
    return "".join([*parts, prose(text[end:])])


def prose(text: str) -> str:
    """Return text in which tags such as <pad> are code, and `name: what` begins a paragraph."""
    text = SPECIAL.sub(r"`\g<0>`", text.replace("`<", "<").replace(">`", ">"))
    return FIELD.sub(r"\n`\1`: ", text)


def comment_of(attribute: griffe.Object) -> str:
    """Return the comment behind a field, or ''."""
    if not isinstance(attribute.filepath, Path) or not attribute.lineno:
        return ""
    line = attribute.filepath.read_text(encoding="utf-8").splitlines()[attribute.lineno - 1]
    return line.partition("  # ")[2]
