"""What a person sees while typing and waiting: completion by Tab, and how much there is to do."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import spanish_tok as st
from spanish_tok.cli import VERBS


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", list(VERBS)),
        ("tr", [verb for verb in VERBS if verb.startswith("tr")]),
        ("train --alph", ["--alphabet"]),
    ],
)
def test_tab_completes_verbs_and_options(words: str, expected: list[str]) -> None:
    """As a shell asks: the words so far in variables, an answer a line."""
    typed = f"spanish-tok {words}"
    environment = {**os.environ, "_SPANISH_TOK_COMPLETE": "bash_complete", "COMP_WORDS": typed}
    environment["COMP_CWORD"] = str(len(typed.split(" ")) - 1)
    program = "from spanish_tok.cli import main; main(prog_name='spanish-tok')"
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert sorted(line.removeprefix("plain,") for line in done.stdout.split()) == sorted(expected)


def test_progress_knows_how_many_texts_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    totals: dict[str, float | None] = {}

    class Shown(st.Progress):
        def phase(self, description: str, total: float | None = None, *, unit: str = "") -> Any:
            totals[description] = total
            return super().phase(description, total, unit=unit)

    def nothing_written(*_: Any, **__: Any) -> Iterator[Any]:
        return iter(())

    monkeypatch.setattr("spanish_tok.generation.generate._in_batches", nothing_written)
    st.generate(["hola", "día"], "-", model=object.__new__(st.Generator), progress=Shown())
    assert totals == {"writing": 2}
