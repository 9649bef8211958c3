"""Build a normalization table for a closed alphabet, and write it as a data file."""

import re
import unicodedata
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
NOTHING = {"Cc", "Cf", "Cn", "Co", "Cs", "Mc", "Me", "Mn"}  # categories that leave no trace


def build_table(alphabet: str = SPANISH, database: Any = unicodedata) -> NormalizationTable:
    """Make the table for a closed lower-case alphabet from Unicode's data and Unidecode.

    `alphabet` must hold the space; `database` is a module like `unicodedata` (the shipped table was made
    with `unicodedata2`, whose version is pinned, so that it does not depend on Python's).

    >>> table = build_table(" abcdefghijklmnopqrstuvwxyzãõç")
    >>> table.normalize("A CANÇÃO, a can\u0327ção"), table.pairs["A\u0303"]
    ('a canção a canção', 'ã')
    """
    if " " not in alphabet or alphabet != alphabet.lower() or len(set(alphabet)) != len(alphabet):
        raise SpanishTokError(
            "An alphabet must hold the space, lower-case characters only, and each once",
            f"Given: {alphabet!r}.",
        )
    from importlib.metadata import version

    pairs = _pairs_of(alphabet, database)
    scalars = (chr(code) for code in range(CODE_POINTS) if code not in SURROGATES)
    expansions = {char: _expand(char, alphabet, pairs, database) for char in scalars}
    return NormalizationTable(
        alphabet=alphabet,
        expansions={char: target for char, target in expansions.items() if target},
        pairs=pairs,
        origin=f"Unicode {database.unidata_version}, Unidecode {version('unidecode')}",
    )


def _pairs_of(alphabet: str, database: Any) -> dict[str, str]:
    """The decomposed letters of an alphabet in both cases: {"n\u0303": "ñ", "N\u0303": "ñ", ...}."""
    pairs = {}
    for letter in alphabet:
        base, *marks = database.normalize("NFD", letter)
        if (
            len(marks) == 1
            and base.isascii()
            and base in alphabet
            and FIRST_MARK <= ord(marks[0]) <= LAST_MARK
        ):
            pairs[base + marks[0]] = pairs[base.upper() + marks[0]] = letter
    return pairs


def _expand(char: str, alphabet: str, pairs: dict[str, str], database: Any) -> str:
    """What one character becomes."""
    category = database.category(char)
    if char in alphabet:
        return char
    if category[0] == "Z" or char in CONTROL_SPACES or char == SPACE_MARK:
        return " "
    if category in NOTHING or char in JOINERS:
        return ""
    lower = char.lower()
    if letter := pairs.get(database.normalize("NFD", lower)[:2]):
        return letter  # ǘ is ü with an accent more
    compatible = database.normalize("NFKC", lower).lower()
    target = "".join(_transliterate(part, alphabet, database) for part in compatible)
    if "\u2044" in compatible:
        target = " " + target  # the slash of ½: 21½ is not 211/2
    if not target and category[0] == "S":
        return " "
    return re.sub(" +", " ", target)


def _transliterate(char: str, alphabet: str, database: Any) -> str:
    """One character of a compatibility form, in the alphabet."""
    from unidecode import unidecode

    if char in alphabet:
        return char
    if char == "·":
        return "." if "." in alphabet else ""
    if database.category(char) in NOTHING:
        return ""
    return "".join(c for c in unidecode(char, errors="ignore").lower() if c in alphabet)


def write_table(table: NormalizationTable, path: Path) -> None:
    """Write a table as text: a header, the pairs, then one line for each stretch of equal expansions."""
    lines = [f"# {table.origin}", f"alphabet\t{table.alphabet}"]
    lines += [
        f"pair\t{ord(pair[0]):04X} {ord(pair[1]):04X}\t{target}" for pair, target in table.pairs.items()
    ]
    stretch: list[int] = []
    for code in sorted(map(ord, table.expansions)):
        if (
            stretch
            and code == stretch[-1] + 1
            and table.expansions[chr(code)] == table.expansions[chr(stretch[0])]
        ):
            stretch[1:] = [code]
            continue
        lines += _stretch_line(stretch, table)
        stretch = [code]
    lines += _stretch_line(stretch, table)
    with atomic_path(path) as partial:
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def _stretch_line(stretch: list[int], table: NormalizationTable) -> list[str]:
    if not stretch:
        return []
    return [f"{stretch[0]:04X}\t{stretch[-1]:04X}\t{table.expansions[chr(stretch[0])]}"]
