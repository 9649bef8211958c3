"""README is true: its Python runs and gives what the comments say, its commands print what stands below them."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from spanish_tok.cli import main
from tests.conftest import TOP

README = (TOP / "README.md").read_text(encoding="utf-8")
BESIDE = {"pretrain", "finetune", "bench"}  # verbs whose input README only names


def code_blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands() -> list[tuple[str, list[str]]]:
    """Return (command, lines that it prints) of every `$ spanish-tok` in README."""
    found: list[tuple[str, list[str]]] = []
    for line in README.splitlines():
        if line.startswith("    $ "):
            found.append((line.removeprefix("    $ ").split("   #")[0].strip(), []))
        elif line.startswith("    ") and found and line.strip():
            found[-1][1].append(line.removeprefix("    "))
        elif not line.startswith("    ") and found and line.strip():
            break
    return found


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that holds what README's examples read."""
    shutil.copytree(TOP / "corpus", tmp_path / "corpus")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("checkout")
def test_the_python_of_readme_runs_and_gives_what_it_says() -> None:
    (block,) = code_blocks("python")
    names: dict[str, object] = {}
    for line in block.splitlines():
        code, _, comment = line.partition("  # ")
        expression = not re.match(r"[\w, ]+ = |import |assert ", code)
        if not expression:
            exec(code, names)
            continue
        if code.strip():
            value = eval(code, names)
            if comment and comment[0] in "['(":
                assert comment.startswith(repr(value)), code


@pytest.mark.usefixtures("checkout")
def test_the_commands_of_readme_print_what_it_says() -> None:
    tried = 0
    for command, lines in commands():
        if "mmarco" in command or any(f"spanish-tok {verb} " in command for verb in BESIDE):
            continue
        given = None
        if command.startswith("echo"):
            echo, command = command.split(" | ")
            given = shlex.split(echo)[1] + "\n"
        done = CliRunner().invoke(main, shlex.split(command)[1:], input=given, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        assert done.output.splitlines() == lines, command
        tried += 1
    assert tried >= 6


def test_readme_is_one_page_and_its_links_lead_somewhere() -> None:
    assert len(README.splitlines()) <= 120
    for link in re.findall(r"\]\(([^)#]+)", README):
        assert (TOP / link).exists(), link
