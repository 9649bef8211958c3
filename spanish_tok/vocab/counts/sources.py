"""Where counts come from: what a vocabulary's manifest says of its data."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal


@dataclass(frozen=True)
class Source:
    """One part of counts.

    name: of the file or folder, without the way to it. fingerprint: of its counts, before they were weighted.
    weight: what they were multiplied by. licence: of its data, "" where it was not told. kind: whether it is text,
    or a list of words, which lacks punctuation.
    """

    name: str
    fingerprint: str
    weight: float = 1.0
    licence: str = ""
    kind: Literal["text", "words"] = "text"

    def times(self, weight: float) -> "Source":
        """Return the source with its weight multiplied."""
        return replace(self, weight=self.weight * weight)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return {name: value for name, value in asdict(self).items() if value != ""}


def sources_from(rows: Iterable[Mapping[str, Any]]) -> tuple[Source, ...]:
    """Return sources from what `to_dict` gave; what a later version adds is left out.

    >>> sources_from([{"name": "es", "fingerprint": "7f48", "weight": 0.5, "pages": 3}])
    (Source(name='es', fingerprint='7f48', weight=0.5, licence='', kind='text'),)
    """
    fields = Source.__dataclass_fields__
    return tuple(Source(**{name: row[name] for name in fields if name in row}) for row in rows)
