"""Prompts with typed sentinels: to ids, and back to text with the gaps filled.

Here, and only here, a typed `<extra_id_0>` means the sentinel. The ids are those that span corruption makes of the
whole text: what follows a sentinel begins with `▁` only where a space stands between them.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from spanish_tok.errors import SpanishTokError
from spanish_tok.tokenization.tokenizer import Tokenizer

SENTINEL = re.compile(r"<extra_id_(\d{1,9})>")


@dataclass(frozen=True)
class Prompt:
    """A text cut at its sentinels.

    texts[0], <extra_id_{gaps[0]}>, texts[1], and so on. The texts are normalized.

    A text keeps one space where it meets a sentinel with a space between.

    >>> prompt = Prompt.parse("La capital de España es <extra_id_0>.", Tokenizer.load())
    >>> prompt.texts, prompt.gaps
    (('la capital de españa es ', '.'), (0,))
    """

    texts: tuple[str, ...]
    gaps: tuple[int, ...]
    tokenizer: Tokenizer

    @classmethod
    def parse(cls, text: str, tokenizer: Tokenizer) -> "Prompt":
        """Cut and normalize a text.

        Raises SpanishTokError for an unknown sentinel, or one that occurs twice.
        """
        if not isinstance(text, str):
            raise SpanishTokError(f"A prompt must be a str, not {type(text).__name__}", "Give text.")
        first, *rest = SENTINEL.split(text)
        gaps = tuple(map(int, rest[::2]))
        for k in gaps:
            tokenizer.sentinel_id(k)
            if gaps.count(k) > 1:
                raise SpanishTokError(
                    f"<extra_id_{k}> stands twice in the text", "Number the gaps from 0 up."
                )
        texts = [_normalized(part, tokenizer) for part in (first, *rest[1::2])]
        return cls(
            (texts[0].lstrip(), *texts[1:-1], texts[-1].rstrip()) if gaps else (texts[0].strip(),),
            gaps,
            tokenizer,
        )

    @cached_property
    def ids(self) -> list[int]:
        """What the model reads: the texts' ids, a sentinel for each gap, `</s>`.

        >>> Prompt.parse("ma<extra_id_0>na", Tokenizer.load()).ids == [*Tokenizer.load().encode("ma"), 4999, 84, 1]
        True
        """
        tokenizer = self.tokenizer
        ids = tokenizer.encode(self.texts[0])
        for k, text in zip(self.gaps, self.texts[1:], strict=True):
            ids.append(tokenizer.sentinel_id(k))
            ids += tokenizer.encode_continued(text)
        return [*ids, tokenizer.vocabulary.eos]

    def fill(self, ids: Iterable[int]) -> str:
        """Return the text with what was written for each sentinel in its place.

        Without gaps it is the text of the ids.
        """
        return "".join(self.stream(ids))

    def stream(self, ids: Iterable[int]) -> Iterator[str]:
        """Yield the pieces of `fill` as the ids arrive.

        What is written after a sentinel that the text has not, or that comes too late, is left out.
        """
        joiner = _Joiner()
        if not self.gaps:
            pushed = self.tokenizer.stream()
            yield from (joiner.add(pushed.push(token_id)) for token_id in ids)
            yield joiner.add(pushed.end())
            return
        vocabulary = self.tokenizer.vocabulary
        sentinels = {vocabulary.sentinel_id(k): gap for gap, k in enumerate(self.gaps)}
        special = vocabulary.special_ids
        yield joiner.add(self.texts[0])
        reached, writing = 0, False  # the gap that is next or open
        pushed = self.tokenizer.stream(inside=True)
        for token_id in ids:
            if token_id in special:
                yield joiner.add(pushed.end())
                gap = sentinels.get(token_id, -1)
                if gap >= reached + writing:
                    yield joiner.add(
                        "".join(self.texts[reached + 1 : gap + 1]) if gap > reached or writing else ""
                    )
                    reached, writing = gap, True
                else:
                    writing = False
            elif writing:
                yield joiner.add(pushed.push(token_id))
        yield joiner.add(pushed.end())
        yield joiner.add("".join(self.texts[reached + 1 :]))


class _Joiner:
    """Puts texts together with single spaces and none at the ends."""

    def __init__(self) -> None:
        self._begun = False
        self._space = False

    def add(self, text: str) -> str:
        """Return what `text` adds to the output.

        A last space waits for the next word.
        """
        words = text.split()
        if not words:
            self._space |= bool(text)
            return ""
        lead = " " if self._begun and (self._space or text[0] == " ") else ""
        self._begun, self._space = True, text[-1] == " "
        return lead + " ".join(words)


def _normalized(text: str, tokenizer: Tokenizer) -> str:
    """Return `text` normalized, with one space at each end that has any.

    Its neighbour is a sentinel, not a word.
    """
    shielded = tokenizer.normalize(f"1{text}1")  # digits join nothing: no mark composes with them
    return shielded[1:-1]
