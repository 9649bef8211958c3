"""Tables and verdicts on terminals of every width: nothing is cut, no word or number is torn."""

import io
import re

import pytest

from spanish_tok.measure.tables import ReportTable, Verdict, print_tables, print_verdicts

COLUMNS = (
    "vocabulary",
    "ids",
    "characters per token",
    "words in one piece",
    "pieces that occur",
    "efficiency",
)
ROWS = (
    ("es-5000", "5,000", "3.838", "51.03 %", "99.00 %", "0.5070"),
    ("mil-con-un-nombre-largo", "1,000", "2.736", "31.00 %", "100.00 %", "0.6524"),
)
TABLE = ReportTable(
    "Quality", COLUMNS, ROWS, note="Of the text as it was given, and this note is longer than a line."
)
VERDICT = Verdict(
    "Is another better than the first?", "no", "mil needs 1.300 of the tokens", "Rule: fewer tokens " * 9
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(width: int, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm-256color")
    out = Terminal()
    print_verdicts([VERDICT], out)
    print_tables([TABLE], out)
    return re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())


@pytest.mark.parametrize("width", [30, 40, 60, 80, 200])
def test_a_terminal_of_any_width_shows_every_word_whole(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(width, monkeypatch)
    assert all(len(line.rstrip()) <= width for line in text.splitlines())
    words = text.split()
    for cell in (*COLUMNS[1:], *(cell for row in ROWS for cell in row)):
        assert set(cell.split()) <= set(words), (cell, text)


def test_a_wide_terminal_has_a_column_for_each_and_a_narrow_one_a_list_for_each_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert "es-5000" in next(line for line in shown(200, monkeypatch).splitlines() if "0.5070" in line)
    assert re.search(r"^es-5000\n  ids +5,000 *\n", shown(60, monkeypatch), re.MULTILINE)


def test_a_pipe_gets_whole_lines() -> None:
    out = io.StringIO()
    print_verdicts([VERDICT], out)
    print_tables([TABLE], out)
    assert VERDICT.rule.strip() in out.getvalue()
    assert "\x1b" not in out.getvalue()
    assert re.search(r"^mil-con-un-nombre-largo +1,000 +2.736", out.getvalue(), re.MULTILINE)
