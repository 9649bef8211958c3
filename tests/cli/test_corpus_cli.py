"""The verbs recipes, sample and clean, and the recipes themselves."""

import json
import signal
import subprocess
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from spanish_tok import SpanishTokError
from spanish_tok.corpus.estimate import check_disk, estimate
from spanish_tok.readers.datasets import load_recipe, shipped_recipes
from spanish_tok.readers.inputs import inputs_of
from spanish_tok.readers.options import ReadOptions
from spanish_tok.readers.records import sources_of
from tests.cli.test_cli import COMMAND, complaint, run, small_disk  # noqa: F401

LINES = [f"{n}\tEl perro número {n} come y la perra duerme en la casa." for n in range(500)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "es.tsv"
    path.write_text(
        "\n".join([*LINES, "500\t....", "501\t<b>La</b> casa del aÃ±o que viene."]) + "\n", encoding="utf-8"
    )
    return path


def test_recipes_are_listed_and_hold_what_they_say() -> None:
    shown = run("recipes").stdout
    assert all(name in shown for name in shipped_recipes())
    recipe = load_recipe("mmarco-es")
    assert (recipe.rows, recipe.bytes) == (8_841_823, 3_571_559_558)
    assert "@6d039c4638c0ba3e46a9cb7b498b145e7edc6230/data/google/collections/" in recipe.locations[0]
    assert "non-commercial" in recipe.warning
    assert load_recipe("mmarco-es-queries").clean == {"short": 1, "spanish": 0.0}


@pytest.mark.usefixtures("file")
def test_a_recipe_of_ones_own(tmp_path: Path) -> None:
    text = 'title = "x"\nlicence = "y"\n{}[source]\npaths = ["es.tsv"]\n[clean]\nsigns = 0\nshort = 0\nletters = 0\n'
    (tmp_path / "propia.toml").write_text(text.format("rows = 502\n"))
    done = run("clean", tmp_path / "propia.toml", "--output", tmp_path / "out")
    assert "502 records of 502" in done.stdout
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["recipe"]["name"] == "propia"
    (tmp_path / "corta.toml").write_text(text.format("rows = 503\n"))
    assert "502 rows were read" in complaint("clean", tmp_path / "corta.toml", "--output", tmp_path / "out2")
    (tmp_path / "mala.toml").write_text(text.format("filas = 5\n"))
    assert "filas" in complaint("clean", tmp_path / "mala.toml", "--output", tmp_path / "out3")
    (tmp_path / "sin.toml").write_text('title = "x"\nlicence = "y"\n')
    assert "no [source]" in complaint("clean", tmp_path / "sin.toml", "--output", tmp_path / "out4")
    (tmp_path / "rota.toml").write_text("title = ")
    assert "is not TOML" in complaint("clean", tmp_path / "rota.toml", "--output", tmp_path / "out5")
    with pytest.raises(SpanishTokError, match=r"There is no recipe 'nada'\. Give one of: mmarco-es"):
        load_recipe("nada")


def test_sample_then_count_then_sample_again(tmp_path: Path, file: Path) -> None:
    done = run("sample", file, "--size", 100, "--seed", 3, "--output", tmp_path / "out")
    assert "100 records of 1" in done.stdout
    assert done.stderr == ""
    assert run("sample", file, "--size", 100, "--seed", 3, "--output", tmp_path / "out").stdout == done.stdout
    assert "100 records" in run("count", tmp_path / "out", "--output", tmp_path / "counts.parquet").stdout
    run("sample", tmp_path / "out", "--size", 10, "--output", tmp_path / "out2", "--no-clean")
    assert pq.read_table(tmp_path / "out2" / "part-00000.parquet").num_rows == 10


def test_clean_reports_and_explains(tmp_path: Path, file: Path) -> None:
    done = run("clean", file, "--output", tmp_path / "out")
    assert [line.split()[:2] for line in done.stdout.splitlines()[1:-1]] == [
        ["mojibake", "1"],
        ["tags", "1"],
        ["signs", "1"],
    ]
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert report["rules"]["mojibake"]["examples"][0]["repaired"] == "La casa del año que viene."
    shown = run("clean", "--explain", "<b>El aÃ±o</b> que viene será así").stdout.splitlines()
    assert [line.split()[0] for line in shown] == ["mojibake", "tags"]
    assert "rejected" in run("clean", "--explain", "...").stdout
    assert (
        run("clean", "--explain", "El perro come aquí.").stdout
        == "Nothing is changed, and the text is kept.\n"
    )
    assert "rejected" not in run("clean", "--explain", "Casa", "--rule", "short=off").stdout


def test_wrong_calls_are_one_line(tmp_path: Path, file: Path) -> None:
    out = tmp_path / "out"
    assert "503 records are wanted" in complaint("sample", file, "--size", 503, "--no-clean", "--output", out)
    assert "Nothing to read" in complaint("sample", "--size", 5, "--output", out)
    assert "--output FOLDER" in complaint("sample", file, "--size", 5)
    assert "no rule 'corto'" in complaint(
        "sample", file, "--size", 5, "--rule", "corto=1", "--output", tmp_path / "o"
    )
    assert "short = 'x' is not a whole number" in complaint(
        "clean", file, "--rule", "short=x", "--output", tmp_path / "o"
    )
    assert "does not exist" in complaint("clean", tmp_path / "nada.tsv", "--output", tmp_path / "o")
    assert "must be 7" in complaint("clean", file, "--rows", 7, "--output", tmp_path / "o")


def test_a_full_disk_leaves_nothing_that_looks_finished(small_disk: Path, tmp_path: Path) -> None:  # noqa: F811
    import random

    letters = random.Random(0)
    big = tmp_path / "big.tsv"
    texts = ("".join(letters.choices("abcdefghijklmn opqrstuvwxyz", k=300)) for _ in range(3000))
    big.write_text("".join(f"{n}\t{text}\n" for n, text in enumerate(texts)))
    assert "MB of disk, and" in complaint("sample", big, "--size", 3000, "--output", small_disk / "out")
    unchecked = "from spanish_tok.corpus import estimate as estimates; estimates.check_disk = lambda *_: None"
    code = f"{unchecked}\nfrom spanish_tok.cli import main; main()"
    command = [
        COMMAND[0],
        "-c",
        code,
        "sample",
        str(big),
        "--size",
        "3000",
        "--no-clean",
        "--output",
        str(small_disk / "out"),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (
        2, "spanish-tok: The disk is full. Nothing that looks finished was written.\n"
    )  # fmt: skip
    assert not list(small_disk.rglob("manifest.json"))
    assert not list(small_disk.glob("out/*.parquet"))


def test_ctrl_c_then_the_same_call_goes_on(tmp_path: Path) -> None:
    big = tmp_path / "big.tsv"
    big.write_text("".join(f"{n}\tEl perro {n} come en la casa de {n * 7}.\n" for n in range(600_000)))
    command = [*COMMAND, "clean", str(big), "--output", str(tmp_path / "out")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not list((tmp_path / "out").glob("part-*.parquet")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert not (tmp_path / "out" / "manifest.json").exists()
    assert "is unfinished: it has no manifest.json" in complaint(
        "count", tmp_path / "out", "--output", tmp_path / "c.parquet"
    )
    run("clean", big, "--output", tmp_path / "out")
    run("clean", big, "--output", tmp_path / "whole")
    assert (tmp_path / "out" / "report.json").read_bytes() == (
        tmp_path / "whole" / "report.json"
    ).read_bytes()


def test_estimates(tmp_path: Path, file: Path) -> None:
    inputs = inputs_of([file], ReadOptions())
    needs = estimate(inputs, 0.5, spilled=True, cleaned=1.0, cores=2)
    assert needs
    assert needs.text == file.stat().st_size
    assert str(needs).startswith("About 0 MB to read")
    mmarco = estimate(inputs_of(["mmarco-es"], ReadOptions()), 0.25, spilled=True, cleaned=0.25, cores=2)
    assert mmarco
    assert "3.6 GB to read" in str(mmarco)
    check_disk(1.0, tmp_path / "not" / "there")
    with pytest.raises(SpanishTokError, match=r"needs about 1,000,000\.0 GB of disk, and .* are free"):
        check_disk(1e15, tmp_path / "not" / "there")


def test_names_of_sources() -> None:
    assert sources_of(["a/x.tsv", "b/x.tsv.gz", "c/y.tsv"]) == ["a/x", "b/x", "y"]
    assert sources_of(["x.tsv", "x.tsv"]) == ["x", "x"]
