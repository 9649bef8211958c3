"""What every benchmark prints first: processor, versions, sizes."""

from spanish_tok.machine import describe

__all__ = ["describe"]
