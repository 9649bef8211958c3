"""Which characters of the original text each piece stands for, through the normalization."""

from collections.abc import Sequence

from spanish_tok.alphabet import Table

Span = tuple[int, int]


def align(table: Table, text: str) -> tuple[str, list[Span]]:
    """The normalized text, and for each of its characters the span of `text` that it came from.

    A source character belongs to the first character that it became and that was not swallowed; the others
    have a span of no length behind it.

    >>> from spanish_tok.alphabet import spanish_table
    >>> align(spanish_table(), "N\\u0303u ½")
    ('ñu 1/2', [(0, 2), (2, 3), (3, 4), (4, 5), (5, 5), (5, 5)])
    """
    characters: list[str] = []
    sources: list[Span] = []
    i = 0
    while i < len(text):
        width = 2 if text[i : i + 2] in table.pairs else 1
        target = table.pairs[text[i : i + 2]] if width == 2 else table.expansions.get(text[i], "")
        begin = i
        for character in target:
            if character == " " and (not characters or characters[-1] == " "):
                continue
            characters.append(character)
            sources.append((begin, i + width))
            begin = i + width
        i += width
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
