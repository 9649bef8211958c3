"""From Spanish records to a small, exact, fast T5 vocabulary, and from text to training tokens."""

__version__ = "0.1.0"
