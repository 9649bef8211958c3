"""Alignment of normalized text, and of pieces, with the original text."""

import unicodedata
from collections.abc import Iterator, Sequence

from spanish_tok.text.table import NormalizationTable, spanish_table

Span = tuple[int, int]  # characters begin up to end of the original text


def steps(table: NormalizationTable, text: str) -> Iterator[tuple[int, int, str]]:
    """Yield (begin, end, target) for each rule that applies to `text`, left to right."""
    begin = 0
    while begin < len(text):
        pair = table.pairs.get(text[begin : begin + 2])
        end = begin + (2 if pair else 1)
        yield begin, end, pair or table.expansions.get(text[begin], "")
        begin = end


def align(table: NormalizationTable, text: str) -> tuple[str, list[Span]]:
    """Normalize `text`; return the result and the source span of each character.

    If a source character became several, its span belongs to the first of them that was kept (a space beside another
    space is not). The others have a span of length 0 behind it.

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
    """Return the source span of each piece of a text that `align` normalized.

    `pieces` spell the normalized text behind one extra space, which SentencePiece puts before it.

    >>> from spanish_tok.text.table import spanish_table
    >>> spans(["▁ñ", "u"], *align(spanish_table(), "N\\u0303u"))
    [(0, 2), (2, 3)]
    """
    result: list[Span] = []
    index, behind = -1, 0  # in `normalized`, -1 for the extra space; where the last piece ended in the source
    for piece in pieces:
        covered = [source for source in sources[max(index, 0) : index + len(piece)] if source[0] < source[1]]
        begin, behind = (covered[0][0], covered[-1][1]) if covered else (behind, behind)
        result.append((begin, behind))
        index += len(piece)
    assert index == len(normalized) or not pieces, "the pieces are those of another text"
    return result


def changes(text: str, table: NormalizationTable | None = None) -> list[dict[str, object]]:
    """Return what normalization changes in a text: index, characters by name, result.

    table: that of a vocabulary (`Tokenizer.table`), the Spanish one by default.

    A space that is merged with the one beside it, or stripped, is not listed.

    >>> changes("Año ½")
    [{'at': 0, 'from': 'A (U+0041 LATIN CAPITAL LETTER A)', 'to': 'a'}, \
{'at': 4, 'from': '½ (U+00BD VULGAR FRACTION ONE HALF)', 'to': ' 1/2'}]
    """
    table = table or spanish_table()
    result: list[dict[str, object]] = []
    for begin, end, target in steps(table, text):
        if target != text[begin:end]:
            result.append({"at": begin, "from": _named(text[begin:end]), "to": target})
    return result


def _named(source: str) -> str:
    """Return characters with code points and names; unprintable ones by name alone."""
    names = " + ".join(f"U+{ord(char):04X} {unicodedata.name(char, 'without a name')}" for char in source)
    return f"{source} ({names})" if source.isprintable() else names
