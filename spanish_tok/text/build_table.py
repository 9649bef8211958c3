"""Build a normalization table for a closed alphabet, and write it as a data file.

The rules of one character, the first that applies (`_Rules.expand`): a character of the alphabet stays; a space of
any kind becomes a space; a mark, a control or an unassigned character vanishes; a letter with one of the alphabet's
accents becomes that letter; the rest goes through lower case (unless capitals stay), NFKC and Unidecode; a symbol
without a result becomes a space.
"""

import re
import unicodedata
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from spanish_tok.errors import SpanishTokError
from spanish_tok.files import atomic_path
from spanish_tok.text.alphabet import (
    CODE_POINTS,
    FIRST_MARK,
    JOINERS,
    LAST_MARK,
    SPACE_MARK,
    SPANISH,
    SURROGATES,
)
from spanish_tok.text.table import NormalizationTable

CONTROL_SPACES = "\t\n\v\f\r\x1c\x1d\x1e\x1f\x85"
# Unicode categories of characters that are deleted: controls, formats, unassigned, private, surrogates, marks
DELETED = {"Cc", "Cf", "Cn", "Co", "Cs", "Mc", "Me", "Mn"}


def build_table(
    alphabet: str = SPANISH,
    database: Any = unicodedata,
    *,
    cased: bool = False,
    joining: str = "",
    expansions: Mapping[str, str] | None = None,
) -> NormalizationTable:
    """Build the table of a closed alphabet from Unicode and Unidecode.

    alphabet: the space, no capitals unless `cased`, each character once. database: a module like `unicodedata`; the
    shipped table was built with `unicodedata2`, whose version is pinned, so that it does not depend on Python's.
    joining: characters of the alphabet that join letters. expansions: what characters become, where it is not what
    Unidecode says. Takes a few seconds; `alphabet_table` has tables by name.

    Raises SpanishTokError for an alphabet without the space, with capitals or with a character twice.

    >>> table = build_table(" abcdefghijklmnopqrstuvwxyzãõç")
    >>> table.normalize("A CANÇÃO, a can\u0327ção"), table.pairs["A\u0303"]
    ('a canção a canção', 'ã')
    """
    capitals = not cased and alphabet != alphabet.lower()
    if " " not in alphabet or capitals or len(set(alphabet)) != len(alphabet):
        raise SpanishTokError(
            "An alphabet must hold the space, no capitals, and each character once", f"Correct {alphabet!r}."
        )
    from importlib.metadata import version

    rules = _Rules(alphabet, database, cased, expansions or {})
    scalars = (chr(code) for code in range(CODE_POINTS) if code not in SURROGATES)
    expanded = {char: rules.expand(char) for char in scalars}
    return NormalizationTable(
        alphabet=alphabet,
        expansions={char: target for char, target in expanded.items() if target},
        pairs=rules.pairs,
        origin=f"Unicode {database.unidata_version}, Unidecode {version('unidecode')}",
        joining=joining,
    )


class _Rules:
    """The rules by which one character is spelled in an alphabet."""

    def __init__(self, alphabet: str, database: Any, cased: bool, expansions: Mapping[str, str]) -> None:
        self.alphabet, self.database, self.cased = alphabet, database, cased
        self.expansions = expansions
        self.pairs = self._pairs()

    def _pairs(self) -> dict[str, str]:
        """Return the decomposed letters: {"n\u0303": "ñ", "N\u0303": "ñ", ...}."""
        pairs = {}
        for letter in self.alphabet:
            base, *marks = self.database.normalize("NFD", letter)
            if (
                len(marks) == 1
                and base.isascii()
                and base in self.alphabet
                and FIRST_MARK <= ord(marks[0]) <= LAST_MARK
            ):
                pairs[base + marks[0]] = letter
                if not self.cased:
                    pairs[base.upper() + marks[0]] = letter
        return pairs

    def fold(self, text: str) -> str:
        """Return `text` in lower case, unless capitals stay."""
        return text if self.cased else text.lower()

    def expand(self, char: str) -> str:
        """Return the expansion of one character, "" if the table deletes it."""
        category = self.database.category(char)
        if char in self.alphabet:
            return char
        if category[0] == "Z" or char in CONTROL_SPACES or char == SPACE_MARK:
            return " "
        if category in DELETED or char in JOINERS:
            return ""
        folded = self.fold(char)
        if target := self.expansions.get(char) or self.expansions.get(folded):
            return target
        if letter := self.pairs.get(self.database.normalize("NFD", folded)[:2]):
            return letter  # the first accent counts: ǘ, ü with an acute, is ü
        compatible = self.fold(self.database.normalize("NFKC", folded))
        target = "".join(map(self.transliterate, compatible))
        if "\u2044" in compatible:
            target = " " + target  # U+2044 is the slash of ½: 21½ becomes 21 1/2, not 211/2
        if not target and category[0] == "S":
            return " "
        return re.sub(" +", " ", target)

    def transliterate(self, char: str) -> str:
        """Return one character of a compatibility form, spelled in the alphabet."""
        from unidecode import unidecode

        if char in self.alphabet:
            return char
        if char == "·":
            return "." if "." in self.alphabet else ""
        if self.database.category(char) in DELETED:
            return ""
        return "".join(c for c in self.fold(unidecode(char, errors="ignore")) if c in self.alphabet)


def write_table(table: NormalizationTable, path: Path) -> None:
    """Write a table as a text file, which `read_table` reads.

    The lines, with tabs between the columns: `# origin`; `alphabet` and its characters; `pair`, two code points and
    the letter; then first and last code point of a stretch of equal expansions, and the expansion:

        # Unicode 18.0.0, Unidecode 1.4.0
        alphabet    abc...
        pair    006E 0303   ñ
        0041    0041    a
    """
    lines = [f"# {table.origin}", f"alphabet\t{table.alphabet}"]
    lines += [f"joining\t{table.joining}"] * bool(table.joining)
    lines += [
        f"pair\t{ord(pair[0]):04X} {ord(pair[1]):04X}\t{target}" for pair, target in table.pairs.items()
    ]
    codes = sorted(map(ord, table.expansions))

    def stretch_of(item: tuple[int, int]) -> tuple[str, int]:
        """Return equal keys for code points in a row that have one expansion."""
        index, code = item
        return table.expansions[chr(code)], code - index

    for (target, _), stretch in groupby(enumerate(codes), stretch_of):
        points = [code for _, code in stretch]
        lines.append(f"{points[0]:04X}\t{points[-1]:04X}\t{target}")
    with atomic_path(path) as partial:
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
