"""Text from ids that arrive one at a time."""

import codecs
from collections.abc import Collection, Sequence

from spanish_tok.tokenization.checks import checked_ids


class Stream:
    """Text from ids that arrive one at a time.

    `push` returns what each adds, `end` what is left; together they equal `decode`. pieces: what each id adds, a text
    or a byte of a character. inside: the ids stand inside a text, so that the first piece keeps its space.

    >>> from spanish_tok import Tokenizer
    >>> tokenizer = Tokenizer.load()
    >>> stream = tokenizer.stream()
    >>> [stream.push(token_id) for token_id in tokenizer.encode("buenos días")]
    ['buenos', ' días']
    """

    def __init__(
        self, pieces: Sequence[str | int], special_ids: Collection[int], *, inside: bool = False
    ) -> None:
        self._pieces, self._special_ids = pieces, special_ids
        self._begun = inside
        self._bytes = b""  # of a character that is not whole yet

    def push(self, token_id: int) -> str:
        """Return the text that one id adds; bytes of a character wait for its last one."""
        (token_id,) = checked_ids([token_id], len(self._pieces))
        text = self._pieces[token_id]
        if isinstance(text, int):
            self._begun = True
            return self._whole_characters(bytes([text]))
        waiting = self.end()
        if not self._begun and text:
            text = text.removeprefix(" ")
            self._begun = token_id not in self._special_ids
        return waiting + text

    def end(self) -> str:
        """Return what waited for the rest of a character: U+FFFD for each byte."""
        return self._whole_characters(b"", last=True)

    def _whole_characters(self, more: bytes, *, last: bool = False) -> str:
        waiting, text = self._bytes + more, ""
        while waiting:
            try:
                shown, used = codecs.utf_8_decode(waiting, "strict", last)
            except UnicodeDecodeError as error:
                shown, used = waiting[: error.start].decode() + "\ufffd", error.start + 1
            if not used:
                break
            text, waiting = text + shown, waiting[used:]
        self._bytes = waiting
        return text
