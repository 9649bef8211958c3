"""The closed alphabet and the one table that maps every Unicode character into it.

`normalize` reads a text from left to right, longest rule first: a letter followed by its combining mark
is one Spanish letter, every other character has an expansion of zero or more characters of the alphabet.
Then runs of spaces become one and the ends are stripped. The table is a data file made by `build_table`;
Python, the SentencePiece charsmap and the compiled kernels all read that file, so that they cannot differ.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from spanish_tok.errors import SpanishTokError
from spanish_tok.text.alphabet import CODE_POINTS, SURROGATES


@dataclass(frozen=True)
class NormalizationTable:
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
def spanish_table() -> NormalizationTable:
    """The table that ships with the package."""
    return read_table(Path(__file__).with_name("alphabet.tsv"))


def read_table(path: Path) -> NormalizationTable:
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
    return NormalizationTable(
        alphabet=alphabet, expansions=expansions, pairs=pairs, origin=header.removeprefix("# ")
    )
