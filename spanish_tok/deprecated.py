"""What is deprecated, and still works for one version.

Old public names and old orders of arguments.
"""

import warnings

# old public name -> (chapter and module, name there); `spanish_tok.__getattr__` warns and returns it
OLD_NAMES: dict[str, tuple[str, str]] = {}


def warn_deprecated(old: str, new: str, *, stacklevel: int = 3) -> None:
    """Warn that `old` will go with the next version, and name what replaces it."""
    warnings.warn(f"{old} is deprecated: use {new}.", DeprecationWarning, stacklevel=stacklevel)
