"""Pieces of a tokenizer.json as people read them, however they are spelled."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from spanish_tok.text.alphabet import SPACE_MARK


@dataclass(frozen=True)
class PieceSpelling:
    """The spelling of pieces: bytes as GPT-2, a prefix as BERT, or plain.

    >>> PieceSpelling(byte_level=True).readable(["Ġma", "Ã±ana"]), PieceSpelling(inner="##").readable(["ma", "##ñana"])
    (['▁ma', 'ñana'], ['▁ma', 'ñana'])
    """

    byte_level: bool = False
    inner: str = ""

    @classmethod
    def of(cls, pipeline: Any) -> "PieceSpelling":
        """Return the spelling that the content of a tokenizer.json says."""
        steps = [pipeline.get("pre_tokenizer") or {}, pipeline.get("decoder") or {}]
        steps += [
            inner for step in steps for inner in step.get("pretokenizers") or step.get("decoders") or []
        ]
        prefix = pipeline["model"].get("continuing_subword_prefix")
        return cls(any(step.get("type") == "ByteLevel" for step in steps), prefix or "")

    def readable(self, pieces: Sequence[str]) -> list[str]:
        """Return the pieces of a word behind a space, with one `▁` for that space."""
        shown = [_of_bytes(piece) if self.byte_level else piece for piece in pieces]
        shown = [piece.removeprefix(self.inner).replace(" ", SPACE_MARK) for piece in shown]
        while len(shown) > 1 and shown[0].endswith(SPACE_MARK) and shown[1].startswith(SPACE_MARK):
            shown = shown[1:]  # the space that was typed, before one that the library adds
        return [SPACE_MARK + shown[0].lstrip(SPACE_MARK), *shown[1:]] if shown else []


def _of_bytes(piece: str) -> str:
    """Return a byte-level piece as text.

    Bytes that are no whole character are written as <0xC3>."""
    table = _bytes_of_letters()
    if any(letter not in table for letter in piece):  # a piece that was added as text
        return piece
    text = bytes(table[letter] for letter in piece).decode("utf-8", "surrogateescape")
    return "".join(f"<0x{ord(c) - 0xDC00:02X}>" if "\udc80" <= c <= "\udcff" else c for c in text)


@cache
def _bytes_of_letters() -> dict[str, int]:
    """Return the byte of each of GPT-2's letters; printable ones are themselves."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(0x100 + i): byte for i, byte in enumerate(others)}
