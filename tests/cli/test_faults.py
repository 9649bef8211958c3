"""Item 5 and rows of C: every verb says in one line what is wrong, with status 2; and words that help."""

import os
import stat
import subprocess
import sys
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

import spanish_tok as st
from spanish_tok import kernels
from spanish_tok.cli import VERBS, main
from spanish_tok.files import shipped

MODEL = str(shipped("models/es-tiny"))
LINES = "el perro come y la perra duerme\n" * 40

# verb -> a call that is right but for its fault; IN is a file of text, OUT what is written
CALLS = {
    "sample": "sample IN --size 1 --output OUT",
    "clean": "clean IN --output OUT",
    "count": "count IN --output OUT",
    "train": "train IN --size 195 --output OUT",
    "verify": "verify IN",
    "normalize": "normalize IN",
    "encode": "encode IN",
    "decode": "decode IN",
    "shard": "shard IN --output OUT",
    "pretrain": "pretrain IN --output OUT",
    "finetune": "finetune IN --task summarization --output OUT",
    "predict": f"predict {MODEL} IN --output OUT",
    "evaluate": f"evaluate {MODEL} IN --output OUT",
    "export": "export IN --to int8 --output OUT",
    "bench": "bench --text IN --html OUT",
    "compare": f"compare {shipped('vocab/es-5000')} --text IN --html OUT",
}
WRITING = [verb for verb, call in CALLS.items() if "OUT" in call]
OTHERS = {
    "demo": ["demo", "--output", "OUT"],
    "recipes": ["recipes", "more"],
    "tokenize": ["tokenize", "--vocab", "nothing", "hola"],
    "generate": ["generate", "--model", "nothing", "hola"],
}


def run(arguments: list[str]) -> Result:
    return CliRunner().invoke(main, arguments)


def call_of(verb: str, read: Path, output: Path) -> list[str]:
    return [{"IN": str(read), "OUT": str(output)}.get(word, word) for word in CALLS[verb].split()]


def refused(arguments: list[str]) -> str:
    """Return the one line of a call that is refused."""
    result = run(arguments)
    assert result.exit_code == 2, (result.exit_code, result.output, result.exception)
    assert result.stdout == ""
    assert result.stderr.startswith("spanish-tok: ")
    assert result.stderr.count("\n") == 1, result.stderr
    return result.stderr


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "entrada.txt"
    path.write_text(LINES)
    return path


def test_item_5_every_verb_is_in_the_table() -> None:
    assert set(CALLS) | set(OTHERS) >= set(VERBS) - {
        "build",
        "restore",
        "transplant",
        "trim",
    }  # tested in files of their own


@pytest.mark.parametrize("verb", list(CALLS))
def test_item_5_an_input_that_is_missing(verb: str, tmp_path: Path) -> None:
    missing = tmp_path / "falta.txt"
    line = refused(call_of(verb, missing, tmp_path / "out"))
    assert "falta.txt" in line or verb in ("predict", "evaluate")  # whose model is no task's
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("verb", WRITING)
@pytest.mark.parametrize("place", ["below a file", "is the other kind", "is the input"])
def test_item_5_an_output_that_cannot_be(verb: str, place: str, text: Path) -> None:
    folder = text.parent / "otra"
    folder.mkdir()
    (folder / "mía.txt").write_text("hola")
    output = {"below a file": text / "x", "is the other kind": folder, "is the input": text}[place]
    line = refused(call_of(verb, text, output))
    assert str(output) in line or str(text) in line
    assert text.read_text() == LINES
    assert [path.name for path in folder.iterdir()] == ["mía.txt"]


@pytest.mark.parametrize("verb", [*CALLS, *OTHERS])
def test_item_5_wrong_options(verb: str, tmp_path: Path) -> None:
    call = OTHERS[verb] if verb in OTHERS else call_of(verb, tmp_path / "x", tmp_path / "y")
    assert "No such option" in refused([*call, "--nothing-of-that-name"])
    if verb != "demo":
        assert refused(call)


@pytest.mark.parametrize(
    ("typed", "meant"), [("shrad", "shard"), ("trian", "train"), ("tokenise", "tokenize"), ("xyz", "")]
)
def test_C14_a_verb_that_is_misspelled(typed: str, meant: str) -> None:
    line = refused([typed, "x"])
    assert f"No such command '{typed}'" in line
    assert ("Did you mean" in line) == bool(meant)
    assert meant in line


def test_C14_a_recipe_that_is_misspelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    line = refused(["sample", "mmarco", "--size", "1", "--output", "x"])
    assert "mmarco does not exist. Did you mean the recipe mmarco-es" in line
    assert "Check the path" in refused(["count", "zzz", "--output", "x"])


def test_C15_the_rules_of_cleaning_are_listed(tmp_path: Path) -> None:
    names = [rule.name for rule in fields(st.CleanOptions)]
    for verb in ("sample", "clean"):
        shown = "".join(run([verb, "--help"]).output.split())
        assert ",".join(names) in shown
        for wrong in ("short", "nothing=1"):
            line = refused([*call_of(verb, tmp_path, tmp_path / "x"), "--rule", wrong])
            assert ", ".join(names) in line


def test_C16_the_work_of_another_input_is_called_so(text: Path) -> None:
    other = text.with_name("otra.txt")
    other.write_text(LINES)
    output = text.parent / "salida"
    assert run(call_of("sample", text, output)).exit_code == 0
    assert "the work of another input. Give another folder, or --force" in refused(
        call_of("sample", other, output)
    )


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "ascii"])
def test_C17_an_encoding_that_lacks_a_character_shows_a_question_mark(encoding: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "spanish_tok", "tokenize", "niño 🙂", "--explain"],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr.decode(encoding)
    if encoding != "ascii":  # there click writes UTF-8
        assert b"?" in done.stdout
        assert "ñ" in done.stdout.decode(encoding)


def test_C18_tables_of_60_columns_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    shown = run(["recipes"]).output
    assert "…" not in shown
    assert "mmarco-es-queries" in shown


def test_C19_progress_knows_the_rows_of_parquet(tmp_path: Path, text: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"text": ["el perro come"] * 7}), path)
    totals: list[Any] = []

    class Shown(st.Progress):
        def phase(self, description: str, total: float | None = None, *, unit: str = "") -> Any:
            totals.append(total)
            return super().phase(description, total, unit=unit)

    st.count(path, progress=Shown())
    st.shard(path, tmp_path / "tokens", progress=Shown())
    st.count(text, progress=Shown())
    assert totals == [7, 7, None]


def test_B9_without_a_home_there_is_one_cache_a_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = kernels.compiled_folder.__wrapped__
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file" / "cache"))
    (tmp_path / "file").write_text("")  # no folder can be made below it
    first = Path(found())
    assert first.is_relative_to(tmp_path)
    assert stat.S_IMODE((tmp_path / f"spanish-tok-{os.getuid()}").stat().st_mode) == 0o700
    assert "compiled code is kept in" in capsys.readouterr().err
    assert found() == str(first)
    assert capsys.readouterr().err == ""

    def nameless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", nameless)
    assert found() == str(first)
    (tmp_path / f"spanish-tok-{os.getuid()}").chmod(0o777)  # anybody may have put code there
    assert Path(found()).name.startswith("spanish-tok-compiled-")
