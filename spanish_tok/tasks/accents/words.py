"""The Spanish words of a text whose accents may be decided, and their letters.

Everything else stays as it is: URLs, e-mails, @names, words with digits or `_`, words of other alphabets.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

ACUTE = dict(zip("aeiou", "áéíóú", strict=True))
OTHER = {"n": "ñ", "u": "ü"}
PLAIN = str.maketrans("áéíóúüñÁÉÍÓÚÜÑ", "aeiouunAEIOUUN")
COMPOSED = {
    letter + mark: full
    for mark, letters in (("\u0301", ACUTE), ("\u0303", {"n": "ñ"}), ("\u0308", {"u": "ü"}))
    for base, composed in letters.items()
    for letter, full in ((base, composed), (base.upper(), composed.upper()))
}
LETTER = re.compile("|".join(COMPOSED) + "|[a-zA-ZáéíóúüñÁÉÍÓÚÜÑ]")
CHUNK = re.compile(r"\S+")
TOKEN = re.compile(r"[\w\u0300-\u036f]+")
# what looks like an address; its words have no accents
ADDRESS = re.compile(
    r"@|://|\bwww\.|[\w-]\.(?:com|org|net|edu|gob|gov|info|html?|pdf|txt|php|[a-z]{2})(?![\w-])"
)


@dataclass(frozen=True)
class Word:
    """A word of a text: its place, its letters as written, and its base.

    letters: each one composed, with the characters that stand for it. base: lower case, without marks.
    """

    start: int
    end: int
    letters: tuple[str, ...]
    base: str

    @property
    def composed(self) -> str:
        """The word in lower case, with the marks that it has."""
        return "".join(COMPOSED.get(letter, letter) for letter in self.letters).lower()

    @property
    def shouted(self) -> bool:
        """Whether it is in capitals alone, which many leave without accents."""
        return len(self.base) > 1 and self.letters[1][0].isupper()

    def written(self, form: str) -> str:
        """Return the word with the marks of `form`; its capitals stay.

        >>> next(words_of("NIÑO")).written("nino"), next(words_of("Esta")).written("está")
        ('NINO', 'Está')
        """
        return "".join(map(_written, self.letters, form))


def _written(letter: str, wanted: str) -> str:
    if COMPOSED.get(letter, letter).lower() == wanted:
        return letter
    return wanted.upper() if letter[0].isupper() else wanted


def without_marks(text: str) -> str:
    """Return a text without the marks of the seven Spanish letters.

    >>> without_marks("Él comió piña")
    'El comio pina'
    """
    return re.sub("|".join(COMPOSED), lambda pair: pair[0][0], text).translate(PLAIN)


def chunks_of(text: str) -> Iterator[tuple[int, str]]:
    """Yield what stands between white space, with its place."""
    for chunk in CHUNK.finditer(text):
        yield chunk.start(), chunk[0]


def words_of(chunk: str) -> Iterator[Word]:
    """Yield the words of a chunk (or of a text) that may get accents.

    A word has two letters or more, all of them Spanish, and is in lower case, capitalized or in capitals.

    >>> [word.base for word in words_of("«¿Cómo», x2 camelCase naïve él/ella")]
    ['como', 'el', 'ella']
    >>> [word.base for text in ("yo@correo.es", "https://sí.es/qué") for word in words_of(text)]
    []
    """
    if ADDRESS.search(chunk):
        return
    for token in TOKEN.finditer(chunk):
        letters = LETTER.findall(token[0])
        if len(letters) < 2 or sum(map(len, letters)) != len(token[0]):
            continue
        capitals = [letter[0].isupper() for letter in letters]
        if any(capitals[1:]) and not all(capitals):
            continue
        base = without_marks("".join(letters)).lower()
        yield Word(token.start(), token.end(), tuple(letters), base)


def all_words(text: str) -> Iterator[Word]:
    """Yield the words of a text that may get accents, with their places in it."""
    for start, chunk in chunks_of(text):
        for word in words_of(chunk):
            yield Word(word.start + start, word.end + start, word.letters, word.base)


def with_forms(text: str, form_of: Callable[[Word], str]) -> str:
    """Return a text with the form that each of its words is given; all else stays.

    >>> with_forms("¿Qué,  Niño x_á?", lambda word: word.base)
    '¿Que,  Nino x_á?'
    """
    parts, end = [], 0
    for word in all_words(text):
        parts += [text[end : word.start], word.written(form_of(word))]
        end = word.end
    return "".join([*parts, text[end:]])


def allowed(form: str, present: str) -> bool:
    """Whether a form keeps the marks that a word has already.

    >>> allowed("compañía", "compañia"), allowed("compania", "compañia"), allowed("páis", "país")
    (True, False, False)
    """
    return all(have == want or have.isascii() for have, want in zip(present, form, strict=True))


def accented_at(base: str, vowels: Sequence[int], tildes: Sequence[int]) -> str:
    """Return a base with an acute accent at some places and ñ or ü at others."""
    letters = list(base)
    for index in vowels:
        letters[index] = ACUTE[base[index]]
    for index in tildes:
        letters[index] = OTHER[base[index]]
    return "".join(letters)
