"""Which characters of the original text each piece stands for, through the normalization."""

import unicodedata
from collections.abc import Iterator, Sequence

from spanish_tok.text.table import NormalizationTable, spanish_table

Span = tuple[int, int]


def steps(table: NormalizationTable, text: str) -> Iterator[tuple[int, int, str]]:
    """(begin, end, target): each rule of the table that applies to `text`, from left to right."""
    begin = 0
    while begin < len(text):
        pair = table.pairs.get(text[begin : begin + 2])
        end = begin + (2 if pair else 1)
        yield begin, end, pair or table.expansions.get(text[begin], "")
        begin = end


def align(table: NormalizationTable, text: str) -> tuple[str, list[Span]]:
    """The normalized text, and for each of its characters the span of `text` that it came from.

    A source character belongs to the first character that it became and that was not swallowed; the others
    have a span of no length behind it.

    >>> from spanish_tok.text.table import spanish_table
    >>> align(spanish_table(), "N\\u0303u ½")
    ('ñu 1/2', [(0, 2), (2, 3), (3, 4), (4, 5), (5, 5), (5, 5)])
    """
    characters: list[str] = []
    sources: list[Span] = []
    for begin, end, target in steps(table, text):
        for character in target:
            if character != " " or (characters and characters[-1] != " "):
                characters.append(character)
                sources.append((begin, end))
                begin = end
    if characters and characters[-1] == " ":
        characters.pop()
        sources.pop()
    return "".join(characters), sources


def spans(pieces: Sequence[str], normalized: str, sources: Sequence[Span]) -> list[Span]:
    """The span of each piece of a text that `align` normalized; the first piece begins with a space of its own."""
    found: list[Span] = []
    at, behind = -1, 0  # place in `normalized`, -1 for the space put before it; end of the piece before
    for piece in pieces:
        covered = [source for source in sources[max(at, 0) : at + len(piece)] if source[0] < source[1]]
        begin, behind = (covered[0][0], covered[-1][1]) if covered else (behind, behind)
        found.append((begin, behind))
        at += len(piece)
    assert at == len(normalized) or not pieces, "the pieces are those of another text"
    return found


def changes(text: str) -> list[dict[str, object]]:
    """What normalization changes in a text: where, which characters by name, and into what.

    A space that becomes one with its neighbour, or is stripped, is not listed.

    >>> changes("Año ½")
    [{'at': 0, 'from': 'A (U+0041 LATIN CAPITAL LETTER A)', 'to': 'a'}, \
{'at': 4, 'from': '½ (U+00BD VULGAR FRACTION ONE HALF)', 'to': ' 1/2'}]
    """
    table = spanish_table()
    found: list[dict[str, object]] = []
    for begin, end, target in steps(table, text):
        if target != text[begin:end]:
            found.append({"at": begin, "from": _named(text[begin:end]), "to": target})
    return found


def _named(source: str) -> str:
    """Characters with code points and names; what would disturb a terminal is left to its name."""
    names = " + ".join(f"U+{ord(char):04X} {unicodedata.name(char, 'without a name')}" for char in source)
    return f"{source} ({names})" if source.isprintable() else names
