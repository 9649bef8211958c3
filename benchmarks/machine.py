"""What every benchmark prints first: processor, versions, sizes."""

from spanish_tok.measure.peers import describe

__all__ = ["describe"]
