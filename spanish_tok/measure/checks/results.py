"""The results of checks: one question each, and how many of how many cases agree."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Check:
    """One question, and how many of how many cases agree.

    `example` is the first that does not. A note tells what is worth knowing, and fails nothing.
    """

    name: str
    tried: int
    failed: int
    example: str = ""
    note: bool = False

    @classmethod
    def of(cls, name: str, cases: Sequence[Any], agree: Callable[[Any], bool]) -> "Check":
        """Try all cases."""
        failed = [case for case in cases if not agree(case)]
        return cls(name, len(cases), len(failed), repr(failed[0]) if failed else "")

    def __str__(self) -> str:
        agree = f"{self.tried - self.failed:,} of {self.tried:,}"
        mark = "ok  " if not self.failed else "note" if self.note else "FAIL"
        return f"{mark}  {self.name:<52} {agree}  {self.example}".rstrip()


@dataclass(frozen=True)
class Verification:
    """The checks of one vocabulary, or of a trimmed model.

    shares: of texts and of words those that a trimmed model cuts as the original does; no check, as they may be few.
    """

    checks: tuple[Check, ...]
    shares: Mapping[str, float] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        """How many checks failed."""
        return sum(check.failed > 0 and not check.note for check in self.checks)

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return not self.failed

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        shares = {"shares": dict(self.shares)} if self.shares else {}
        return {"ok": self.ok, "checks": [asdict(check) for check in self.checks], **shares}
