"""Alphabets by name or from a file: which characters a vocabulary keeps."""

import hashlib
import os
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path

from spanish_tok.errors import SpanishTokError
from spanish_tok.files import shipped
from spanish_tok.options import from_toml
from spanish_tok.text.alphabet import BASIC_LETTERS, DIGITS, JOINERS, OTHERS, SPACE_MARK
from spanish_tok.text.table import NormalizationTable, spanish_table

SPANISH_NAME = "es"
NAMES = (SPANISH_NAME, "pt", "ca", "gl", "fr", "it", "de")
MOST_CHARACTERS = 250  # so that the trainer numbers them by a byte
MOST_EXPANSION = 32  # characters


@dataclass(frozen=True)
class Alphabet:
    """What a TOML file says of an alphabet. a-z and the digits are in every one.

    letters:    beyond a-z, in lower case
    joining:    characters of it that are no letters but join them, such as `·` in Catalan
    others:     punctuation and symbols
    expansions: what characters outside become, where it is not what Unidecode says: {"ß": "ss"}
    """

    letters: str
    joining: str = ""
    others: str = OTHERS
    expansions: Mapping[str, str] = field(default_factory=dict)

    @property
    def characters(self) -> str:
        """All characters, the space first."""
        return " " + BASIC_LETTERS + self.letters + DIGITS + self.others + self.joining

    def with_capitals(self) -> "Alphabet":
        """Return the alphabet with the capitals of its letters, and of its expansions."""
        capitals = [upper for char in self.letters if len(upper := char.upper()) == 1 and upper != char]
        more = {
            char.upper(): target.capitalize()
            for char, target in self.expansions.items()
            if len(char.upper()) == 1 and char.upper() not in self.expansions
        }
        letters = BASIC_LETTERS.upper() + self.letters + "".join(capitals)
        return replace(self, letters=letters, expansions={**self.expansions, **more})

    def check(self, name: str) -> None:
        """Raise SpanishTokError, which names the file, for what cannot be an alphabet."""
        for problem in self._problems():
            raise SpanishTokError(f"{name}: {problem}", "alphabets/ca.toml is an example.")

    def _problems(self) -> list[str]:
        texts = (self.letters, self.joining, self.others)
        if not all(isinstance(text, str) for text in texts) or not isinstance(self.expansions, Mapping):
            return ["letters, joining and others are texts, [expansions] a table"]
        every = self.characters
        inside = set(every)
        odd = [char for char in every[1:] if _is_unfit(char)]
        problems = [f"{char!r} cannot be in an alphabet" for char in odd]
        problems += [f"{char!r} of letters is no letter" for char in self.letters if not char.isalpha()]
        problems += [f"{char!r} is there twice" for char in every if every.count(char) > 1]
        problems += [f"{char!r} is a capital" for char in self.letters if char != char.lower()]
        if len(every) > MOST_CHARACTERS:
            problems.append(f"it has {len(every)} characters, {MOST_CHARACTERS} are the most")
        for char, target in self.expansions.items():
            spelled = isinstance(target, str) and set(target) <= inside - {" "}
            if len(char) != 1 or char in inside or _is_unfit(char):
                problems.append(f"{char!r} cannot have an expansion")
            elif not spelled or not 0 < len(target) <= MOST_EXPANSION:
                problems.append(f"the expansion of {char!r} must be spelled in the alphabet")
        return problems


def _is_unfit(char: str) -> bool:
    """Return whether a character vanishes, joins its neighbour, or is too rare."""
    category = unicodedata.category(char)
    digit = category == "Nd" and char not in DIGITS
    return (
        category[0] in "MCZ" or digit or char in JOINERS + SPACE_MARK + "\uff9e\uff9f" or ord(char) > 0xFFFF
    )


def alphabet_table(
    alphabet: str | os.PathLike[str] = SPANISH_NAME, *, cased: bool = False
) -> NormalizationTable:
    """Return the normalization table of an alphabet.

    alphabet: es, pt, ca, gl, fr, it or de, or a TOML file (see `Alphabet`). cased: capitals stay. All but the Spanish
    one are built by this Python's Unicode, in a few seconds, once.

    Raises SpanishTokError, which names the file, for one that is no alphabet.

    >>> alphabet_table("ca", cased=True).normalize("La COL·LECCIÓ de l'Àngel Muñoz")
    "La COL·LECCIÓ de l'Àngel Munoz"
    """
    if not cased and alphabet == SPANISH_NAME:
        return spanish_table()
    name = os.fspath(alphabet)
    if name in NAMES:
        return _built(shipped(f"alphabets/{name}.toml"), b"", name, cased)
    path = Path(name)
    if not path.is_file():
        raise SpanishTokError(
            f"There is no alphabet {name}", f"Give one of {', '.join(NAMES)}, or a TOML file."
        )
    return _built(path, path.read_bytes(), path.stem, cased)


@cache
def _built(path: Path, content: bytes, name: str, cased: bool) -> NormalizationTable:
    from spanish_tok.text.build_table import build_table

    alphabet = from_toml(Alphabet, path)
    alphabet.check(str(path))
    if content:  # one's own: told apart by what it holds
        described = repr(sorted(asdict(alphabet).items())).encode()
        name = f"{name}-{hashlib.sha256(described).hexdigest()[:8]}"
    if cased:
        alphabet = alphabet.with_capitals()
    table = build_table(
        alphabet.characters, cased=cased, joining=alphabet.joining, expansions=alphabet.expansions
    )
    return replace(table, name=f"{name} cased" if cased else name)
