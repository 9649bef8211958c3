"""Tables and verdicts on terminals of every width: nothing is cut, no word or number is torn."""

import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

from spanish_tok.files import shipped
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


def test_a_reader_who_leaves_early_costs_no_file(tmp_path: Path) -> None:
    """`spanish-tok compare ... --html FILE | head -1`, with more to say than a pipe holds."""
    program = (
        "import spanish_tok as st\n"
        "from spanish_tok.measure.compare import Comparison\n"
        "Comparison.show = lambda self, out=None: print('x' * (1 << 20))\n"
        "from spanish_tok.cli import main\nmain()\n"
    )
    arguments = ["compare", str(shipped("vocab/es-5000")), "--html", str(tmp_path / "r.html")]
    written = subprocess.Popen([sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE)
    assert written.stdout
    written.stdout.close()
    assert written.wait(timeout=120) == 0
    assert (tmp_path / "r.html").exists()
