"""A script made of a page: its files, commands and Python, as a person would paste them, one after the other."""

import re
from pathlib import Path

from tests.docs.blocks import Block, blocks_of, commands_of

HEADING = re.compile(r"^##+ (.*)$", re.MULTILINE)
COMMAND = re.compile(r"^\$ (?:.*\\\n)*.*\n", re.MULTILINE)
TOLD_ONCE = re.compile(r"^spanish-tok: compiling .*\n", re.MULTILINE)


def blocks_until(page: Path, heading: str = "") -> list[Block]:
    """The blocks of a page, up to a heading where one is named; those that need more than a machine are left out."""
    text = page.read_text(encoding="utf-8")
    ends = (
        [found.start() for found in HEADING.finditer(text) if found[1] == heading] if heading else [len(text)]
    )
    assert len(ends) == 1, f"{page} has no heading {heading!r}"
    return [block for block in blocks_of(text) if block.end <= ends[0] and not block.needs]


def script_of(blocks: list[Block]) -> str:
    """The lines of bash that a person would type; what Python shows is compared by doctest."""
    parts = ["set -e"]
    for block in blocks:
        if block.title:
            parts.append(f"cat > {block.title} <<'END-OF-FILE'\n{block.text}END-OF-FILE")
        elif block.language == "console":
            parts += commands_of(block.text)
        elif block.language == "python":
            parts.append(f"python - <<'END-OF-FILE'\n{block.text}END-OF-FILE")
        elif block.language == "pycon":
            parts.append(f"cat >> shown.txt <<'END-OF-FILE'\n{block.text}END-OF-FILE")  # names are shared
    if any(block.language == "pycon" for block in blocks):
        parts.append("python -m doctest shown.txt")
    return "\n".join(parts) + "\n"


def shown_by(blocks: list[Block]) -> str:
    """What the commands of the blocks print, as the page says."""
    said = [block.text for block in blocks if block.language == "console"]
    return "".join(COMMAND.sub("", text) for text in said)
