"""What a caller asks to be in a vocabulary: specials, and pieces of text."""

import re
from collections.abc import Sequence

from spanish_tok.errors import SpanishTokError
from spanish_tok.text.alphabet import SPACE_MARK
from spanish_tok.text.table import NormalizationTable
from spanish_tok.vocab.formats import SPECIALS

LONGEST_ASKED = 64  # characters of a piece; runs are counted up to that length
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


def checked_pieces(
    asked: Sequence[str], table: NormalizationTable, special: Sequence[str], alone: str
) -> tuple[str, ...]:
    """Return the pieces that are asked for, normalized.

    A piece that begins with `▁` or a space begins a word; any other stands inside one. alone: characters that stand
    alone.

    Raises SpanishTokError for one that is empty, too long, there twice, a special, or not within one run.

    >>> from spanish_tok.text.table import spanish_table
    >>> checked_pieces([" Ordenador", "ción"], spanish_table(), (), "")
    ('▁ordenador', 'ción')
    """
    pieces: list[str] = []
    for text in (asked,) if isinstance(asked, str) else asked:
        spelled = str(text).replace(SPACE_MARK, " ")
        inside = table.normalize(spelled)
        piece = SPACE_MARK * (spelled[:1] == " ") + inside
        problem = (
            "is no text" if not isinstance(text, str)
            else "is empty" if not inside
            else f"has more than {LONGEST_ASKED} characters" if len(piece) > LONGEST_ASKED
            else "is a special" if text in (*special, *SPECIALS)
            else "is not within one run of letters, digits or other characters" if not is_one_run(inside, table)
            else "holds a character that stands alone" if len(piece) > 1 and set(piece) & set(alone)
            else "is there twice" if piece in pieces
            else ""
        )  # fmt: skip
        if problem:
            raise SpanishTokError(f"The piece {text!r} {problem}", "Write, say, ▁ordenador or ción.")
        pieces.append(piece)
    return tuple(pieces)


def is_one_run(text: str, table: NormalizationTable) -> bool:
    """Return whether a text without spaces is a single run of an alphabet."""
    kinds = {
        "letter" if char in table.letters else "digit" if char in table.digits else "other" for char in text
    }
    return len(kinds) == 1 and set(text) <= set(table.alphabet)
