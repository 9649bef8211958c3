"""What a caller asks to be in a vocabulary: specials."""

import re
from collections.abc import Sequence

from spanish_tok.errors import SpanishTokError
from spanish_tok.text.alphabet import SPACE_MARK
from spanish_tok.text.table import NormalizationTable
from spanish_tok.vocab.formats import SPECIALS

LONGEST_SPECIAL = 100  # characters: spelled out, it is still more probable than the special
SENTINEL = re.compile("<extra_id_[0-9]+>")


def checked_specials(special: Sequence[str], table: NormalizationTable) -> tuple[str, ...]:
    """Return the specials that are asked for.

    Raises SpanishTokError for one that is empty, too long, there twice or already, that holds white space, or that
    could be a piece: a single run of letters, digits or other characters.

    >>> from spanish_tok.text.table import spanish_table
    >>> checked_specials(["<sep>", "[CLS]"], spanish_table())
    ('<sep>', '[CLS]')
    """
    texts = (special,) if isinstance(special, str) else tuple(special)
    for index, text in enumerate(texts):
        problem = (
            "is no text" if not isinstance(text, str)
            else "is empty" if not text
            else f"has more than {LONGEST_SPECIAL} characters" if len(text) > LONGEST_SPECIAL
            else "holds white space or a control character" if not text.isprintable() or set(text) & {" ", SPACE_MARK}
            else "is there already" if text in (*texts[:index], *SPECIALS) or SENTINEL.fullmatch(text)
            else "could be a piece of text" if is_one_run(text, table)
            else ""
        )  # fmt: skip
        if problem:
            raise SpanishTokError(f"The special {text!r} {problem}", "Write it in brackets, such as <sep>.")
    return texts


def is_one_run(text: str, table: NormalizationTable) -> bool:
    """Return whether a text without spaces is a single run of an alphabet."""
    kinds = {
        "letter" if char in table.letters else "digit" if char in table.digits else "other" for char in text
    }
    return len(kinds) == 1 and set(text) <= set(table.alphabet)
