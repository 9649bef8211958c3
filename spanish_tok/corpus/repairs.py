"""Repairs of one text: each takes a text and the parameter of its rule.

Each returns the text repaired.
"""

import re
from collections.abc import Callable
from typing import Any

HTML = (
    "a abbr address article aside audio b base big blockquote body br button caption center cite code col dd del "
    "details div dl dt em embed font footer form frame h1 h2 h3 h4 h5 h6 head header hr html i iframe img input "
    "ins label li link main map mark meta nav noscript object ol optgroup option p param pre q s samp script "
    "section select small source span strike strong style sub summary sup svg table tbody td textarea tfoot th "
    "thead time title tr tt u ul var video"
)
INLINE = {"a", "abbr", "b", "big", "cite", "code", "del", "em", "font", "i", "ins", "mark", "q", "s", "small"}
INLINE |= {"span", "strike", "strong", "sub", "sup", "tt", "u"}
# a tag, or where a comment begins; `remove_tags` finds its end, as a search for it from each beginning is quadratic
TAG = re.compile(rf"<!--|<!doctype[^<>]*>|</?({'|'.join(HTML.split())})(?:\s[^<>]*)?/?>", re.I | re.S)
# The characters that the first bytes of UTF-8 become, then none of ASCII; U+0080-U+009F
DECODED_WRONGLY = re.compile("[ÃÂâð][^\0-\x7f]|[\x80-\x9f]")
# a number before a time is looked for from its first digit alone: from each digit it is quadratic
SUBTITLE = re.compile(
    r"\{\\[^{}]*\}|(?:(?:(?<!\d)|(?<=[,.]\d{3}))\d+\s+)?\d\d:\d\d:\d\d[,.]\d{3}\s*-->\s*\d\d:\d\d:\d\d[,.]\d{3}|(?<=\})\\[Nnh]"
)
INVISIBLE = re.compile(
    "[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff]"
)


def undo_mojibake(text: str, layers: int) -> str:
    """Return the text as it was before it was decoded wrongly.

    A text that turns into UTF-8 as a whole is taken so, one layer at a time; ftfy, which undoes all that it sees
    at once, settles what is wrong in parts.

    >>> undo_mojibake("El aÃ±o â€œprÃ³ximoâ€\\x9d", 2)
    'El año “próximo”'
    """
    import ftfy.bad_codecs
    from ftfy.fixes import fix_c1_controls

    for _ in range(layers):
        if not DECODED_WRONGLY.search(text):
            return text
        repaired = (
            _decoded(text, "sloppy-windows-1252") or _decoded(text, "latin-1") or ftfy.fix_encoding(text)
        )
        if repaired == text:
            break
        text = repaired
    return fix_c1_controls(text)


def _decoded(text: str, encoding: str) -> str | None:
    """Return the UTF-8 that the text is in another encoding; None if it is not."""
    try:
        return text.encode(encoding).decode("utf-8")
    except UnicodeError:
        return None


def resolve_entities(text: str, passes: int) -> str:
    """Replace HTML entities by their characters; only those with a semicolon.

    >>> resolve_entities("ESPA&NTILDE;A &amp;lt; 3 &euro; &nada; R&D;", 2)
    'ESPAÑA < 3 € &nada; R&D;'
    """
    from ftfy.fixes import unescape_html

    for _ in range(passes):
        text = unescape_html(text)
    return text


def remove_tags(text: str, _on: int) -> str:
    """Text without the tags and comments of HTML; what only looks like a tag stays.

    >>> remove_tags("<p>Una <b>casa</b></p> si a<b y List<int>", 1)
    'Una casa si a<b y List<int>'
    """
    parts: list[str] = []
    copied = position = 0
    last_end = text.rfind("-->")
    while tag := TAG.search(text, position):
        begin, position = tag.span()
        if tag[0] == "<!--":
            if last_end < position:  # a comment without an end is text
                continue
            position = text.index("-->", position) + len("-->")
        parts += [text[copied:begin], "" if (tag[1] or "br").lower() in INLINE else " "]
        copied = position
    if not parts:
        return text
    text = "".join([*parts, text[copied:]])
    return " ".join(text.split(" ")).strip() if "  " not in text else re.sub(" +", " ", text).strip()


def remove_subtitle_tags(text: str, _on: int) -> str:
    """Text without the tags of ASS and the times of SRT.

    >>> remove_subtitle_tags(r"{\\an8}¿Quién es?{\\i1} Nadie.", 1)
    '¿Quién es? Nadie.'
    """
    return SUBTITLE.sub("", text).strip() if SUBTITLE.search(text) else text


def remove_control_characters(text: str, _on: int) -> str:
    """Return text without invisible characters; tabs and line ends stay.

    >>> remove_control_characters("ca\\u200bsa\\x07", 1)
    'casa'
    """
    return INVISIBLE.sub("", text)


STEPS: dict[str, Callable[[str, Any], str]] = {
    "mojibake": undo_mojibake,
    "entities": resolve_entities,
    "tags": remove_tags,
    "subtitles": remove_subtitle_tags,
    "control": remove_control_characters,
}
