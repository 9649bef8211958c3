"""What every benchmark prints first: processor, versions, sizes."""

from spanish_tok.measure.system import describe

__all__ = ["describe"]
