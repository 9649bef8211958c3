"""The normalization table; `normalize` maps any text into the closed alphabet.

`normalize` reads a text from left to right, longest rule first: a letter followed by its combining mark (a pair) is
one Spanish letter, every other character has an expansion of zero or more characters of the alphabet. Then runs of
spaces become one space, and both ends are stripped. The table is the file alphabet.tsv, written by `build_table`.
Python, the charsmap and the compiled kernels all read that file, so that they cannot differ.

This module imports neither Arrow nor Numba: normalizing one text is cheap.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path

from spanish_tok.errors import SpanishTokError
from spanish_tok.options import FieldsAlone
from spanish_tok.text.alphabet import CODE_POINTS, SURROGATES

LONG = 1 << 20  # characters of a text, from which on it is not split into a list of words


@dataclass(frozen=True)
class NormalizationTable(FieldsAlone):
    """A normalization: an alphabet, an expansion of each character, and pairs.

    alphabet: the characters that normalized text may hold, among them the space.
    expansions: what a character becomes; one that is not a key is deleted. {"A": "a", "½": " 1/2"}
    pairs: two characters, an ASCII letter and a mark of U+0300-U+033F, that are one letter. {"n\u0303": "ñ"}
    origin: the versions of Unicode and Unidecode that the table was built from.
    joining: characters of the alphabet that are no letters but join them in runs, such as `·` in Catalan.
    name: of the alphabet, by which counts are told apart.
    """

    alphabet: str
    expansions: dict[str, str]
    pairs: dict[str, str]
    origin: str
    joining: str = ""
    name: str = field(default="", compare=False)

    @cached_property
    def label(self) -> str:
        """The name of the alphabet; of one without a name, what it holds in short."""
        described = f"{self.alphabet}\n{self.joining}\n{sorted(self.pairs.items())}"
        return self.name or f"own-{hashlib.sha256(described.encode()).hexdigest()[:8]}"

    @cached_property
    def letters(self) -> str:
        """The characters that make runs of letters."""
        return "".join(char for char in self.alphabet if char.isalpha() or char in self.joining)

    @cached_property
    def digits(self) -> str:
        """The characters that make runs of digits."""
        return "".join(char for char in self.alphabet if char.isdigit())

    def normalize(self, text: str) -> str:
        """Map `text` into the alphabet of this table.

        Raises SpanishTokError for anything but a str, and for a lone surrogate.
        """
        if not valid_text(text).isascii():
            text = self._pair_pattern.sub(lambda pair: self.pairs[pair[0]], text)
        text = text.translate(self._translation)
        if len(text) < LONG:
            return " ".join(text.split())
        while "  " in text:  # of many words, a list takes ten times the memory of the text
            text = text.replace("  ", " ")
        return text.strip(" ")

    def rules(self) -> Iterator[tuple[str, str]]:
        """Yield every rule (source, target) whose target differs, by code point.

        The pairs come first. These are the rules that SentencePiece compiles; NUL is left out, which cannot be a key
        there.
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
    """A mapping for str.translate that deletes each character without an expansion."""

    def __missing__(self, code: int) -> str:
        return ""


def normalize(text: str) -> str:
    """Map any text into the closed Spanish alphabet: lower case, accents kept.

    The result holds characters of `SPANISH` alone (see text/alphabet.py), so that no token is unknown. Normalizing it
    again changes nothing. Composed and decomposed Spanish letters become the same. For a column of text use
    `normalize_column`, which is far faster.

    >>> normalize("  El PINGÜINO comió 21½ «ñoquis»…\\u00a0¡Olé! ")
    'el pingüino comió 21 1/2 «ñoquis»... ¡olé!'
    >>> normalize("hola😀mundo"), normalize("Man\\u0303ana")
    ('hola mundo', 'mañana')

    Raises SpanishTokError for anything but a str, and for a lone surrogate (half a pair, not a character).
    """
    return spanish_table().normalize(text)


def valid_text(text: str) -> str:
    """Return `text` unchanged; raise SpanishTokError if it is not valid text.

    Valid is a str without lone surrogates. Those come from a wrong decoding, which is the place to repair them.
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
    """Return the table that ships with the package, read once."""
    return replace(read_table(Path(__file__).with_name("alphabet.tsv")), name="es")


def read_table(path: Path) -> NormalizationTable:
    """Read a table that `write_table` wrote; its docstring shows the lines."""
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    alphabet, joining, pairs, expansions = "", "", {}, {}
    for line in lines:
        first, last, *target = line.split("\t")
        if first == "alphabet":
            alphabet = last
        elif first == "joining":
            joining = last
        elif first == "pair":
            pairs["".join(chr(int(code, 16)) for code in last.split())] = target[0]
        else:
            for code in range(int(first, 16), int(last, 16) + 1):
                expansions[chr(code)] = target[0]
    return NormalizationTable(alphabet, expansions, pairs, header.removeprefix("# "), joining)
