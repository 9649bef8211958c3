"""The closed alphabet and the one table that maps every Unicode character into it.

`normalize` reads a text from left to right, longest rule first: a letter followed by its combining mark
is one Spanish letter, every other character has an expansion of zero or more characters of the alphabet.
Then runs of spaces become one and the ends are stripped. The table is a data file made by `build_table`;
Python, the SentencePiece charsmap and the compiled kernels all read that file, so that they cannot differ.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from spanish_tok.errors import SpanishTokError
from spanish_tok.files import atomic_path

LETTERS = "abcdefghijklmnopqrstuvwxyzáéíóúüñªº"
DIGITS = "0123456789"
OTHERS = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~¿¡°€«»—"
SPANISH = " " + LETTERS + DIGITS + OTHERS

SPACE_MARK = "▁"  # SentencePiece writes a space as this; typed by a person it is a space too
CODE_POINTS = 0x110000
SURROGATES = range(0xD800, 0xE000)
FIRST_MARK, LAST_MARK = 0x300, 0x33F  # the combining marks that a pair may have
CONTROL_SPACES = "\t\n\v\f\r\x1c\x1d\x1e\x1f\x85"
NOTHING = {"Cc", "Cf", "Cn", "Co", "Cs", "Mc", "Me", "Mn"}  # categories that leave no trace

# Letters that join their neighbour in one grapheme cluster (Grapheme_Cluster_Break=Prepend, and two vowel
# signs that are letters): the tokenizers library looks clusters up whole, so they must vanish beforehand.
JOINERS = (
    "\u0d4e\u0e33\u0eb3\U000111c2\U000111c3\U000113d1\U0001193f\U00011941\U00011a3a"
    "\U00011a84\U00011a85\U00011a86\U00011a87\U00011a88\U00011a89\U00011d46\U00011f02"
)


@dataclass(frozen=True)
class Table:
    """A normalization: an alphabet, the expansion of each character, and pairs that are one letter.

    `expansions` maps a character to what it becomes; a character that is not in it becomes nothing.
    `pairs` maps two characters, an ASCII letter and a mark of U+0300-U+033F, to one of the alphabet.
    `origin` records the versions that the table was made from.
    """

    alphabet: str
    expansions: dict[str, str]
    pairs: dict[str, str]
    origin: str

    def normalize(self, text: str) -> str:
        """Map `text` into the alphabet; see the module's `normalize`."""
        if not checked(text).isascii():
            text = self._pair_pattern.sub(lambda pair: self.pairs[pair[0]], text)
        return " ".join(text.translate(self._translation).split())

    def rules(self) -> Iterator[tuple[str, str]]:
        """Every (source, target) that is not the identity, in order; what SentencePiece compiles.

        NUL is left out: it cannot be a key there.
        """
        yield from self.pairs.items()
        for code in range(1, CODE_POINTS):
            if code not in SURROGATES:
                target = self.expansions.get(chr(code), "")
                if target != chr(code):
                    yield chr(code), target

    @cached_property
    def _pair_pattern(self) -> re.Pattern[str]:
        return re.compile("|".join(map(re.escape, self.pairs)) or r"(?!)")

    @cached_property
    def _translation(self) -> "_Translation":
        return _Translation({ord(char): target for char, target in self.expansions.items()})


class _Translation(dict[int, str]):
    """For str.translate: what has no expansion becomes nothing."""

    def __missing__(self, code: int) -> str:
        return ""


def normalize(text: str) -> str:
    """Map any text into the closed Spanish alphabet: lower case, accents kept, nothing unknown left.

    Idempotent, and the same for composed and decomposed Spanish letters.

    >>> normalize("  El PINGÜINO comió 21½ «ñoquis»…\\u00a0¡Olé! ")
    'el pingüino comió 21 1/2 «ñoquis»... ¡olé!'
    >>> normalize("hola😀mundo"), normalize("Man\\u0303ana")
    ('hola mundo', 'mañana')

    Raises SpanishTokError for anything but a str, and for a lone surrogate, which is no character.
    """
    return spanish_table().normalize(text)


def checked(text: str) -> str:
    """`text` as it is, once it is known to be text.

    Raises SpanishTokError for anything but a str, and for half a surrogate pair: a fault of an earlier
    decoding, to be repaired there.
    """
    if not isinstance(text, str):
        raise SpanishTokError(
            f"Text must be a str, not {type(text).__name__}", "Decode bytes as UTF-8 first."
        )
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise SpanishTokError(
            f"The text holds a lone surrogate U+{ord(text[error.start]):04X} at character {error.start}",
            "Repair it first: text.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace').",
        ) from None
    return text


@cache
def spanish_table() -> Table:
    """The table that ships with the package."""
    return read_table(Path(__file__).with_name("alphabet.tsv"))


def build_table(alphabet: str = SPANISH, database: Any = unicodedata) -> Table:
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
    return Table(
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


def write_table(table: Table, path: Path) -> None:
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


def _stretch_line(stretch: list[int], table: Table) -> list[str]:
    if not stretch:
        return []
    return [f"{stretch[0]:04X}\t{stretch[-1]:04X}\t{table.expansions[chr(stretch[0])]}"]


def read_table(path: Path) -> Table:
    """Read a table that `write_table` wrote."""
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    alphabet, pairs, expansions = "", {}, {}
    for line in lines:
        first, last, *target = line.split("\t")
        if first == "alphabet":
            alphabet = last
        elif first == "pair":
            pairs["".join(chr(int(code, 16)) for code in last.split())] = target[0]
        else:
            for code in range(int(first, 16), int(last, 16) + 1):
                expansions[chr(code)] = target[0]
    return Table(alphabet=alphabet, expansions=expansions, pairs=pairs, origin=header.removeprefix("# "))
