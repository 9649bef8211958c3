"""One folder of each kind of model, made once."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the extra t5")
pytest.importorskip("transformers", reason="the reference is transformers")

from tests.t5.foreign.models import make


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return the folder of a small model of a kind; do not write into it."""

    @cache
    def made(kind: str) -> Path:
        folder = tmp_path_factory.mktemp("foreign") / kind
        make(kind, folder)
        return folder

    return made
