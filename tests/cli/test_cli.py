"""The command line as a person meets it: in a process of its own, results on standard output, errors in one line."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spanish_tok import Tokenizer, normalize
from spanish_tok.cli import VERBS
from spanish_tok.measure.verify import sample_sentences

COMMAND = [sys.executable, "-m", "spanish_tok"]


def run(*arguments: object, given: str | bytes = "", status: int = 0) -> subprocess.CompletedProcess[str]:
    content = given.encode() if isinstance(given, str) else given
    done = subprocess.run([*COMMAND, *map(str, arguments)], input=content, capture_output=True)
    result = subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
    )
    assert result.returncode == status, result.stderr
    assert "Traceback" not in result.stderr
    return result


def complaint(*arguments: object, given: str | bytes = "") -> str:
    """The one line that a wrong call prints."""
    done = run(*arguments, given=given, status=2)
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("spanish-tok: ")
    return done.stderr


@pytest.mark.parametrize("verb", list(VERBS))
def test_every_verb_has_help(verb: str) -> None:
    assert run(verb, "--help").stdout.startswith(f"Usage: spanish-tok {verb} ")


def test_help_lists_the_fields_that_set_changes() -> None:
    assert (
        " ".join(run("train", "--help").stdout.split()).count("NAME: seeds, shrink, steps, headroom, ") == 1
    )


def test_help_lists_the_verbs_and_version_says_one() -> None:
    shown = run("--help").stdout
    assert all(f"\n  {verb} " in shown for verb in VERBS)
    assert re.match(r"spanish-tok, version \d+\.\d+", run("--version").stdout)


def test_normalize_encode_decode_are_line_by_line(tokenizer: Tokenizer, tmp_path: Path) -> None:
    sentences = [*sample_sentences(), "", "  ÚLTIMA sin salto"]
    text = "\n".join(sentences)
    normal = [normalize(sentence) for sentence in sentences]
    assert run("normalize", given=text).stdout.split("\n")[:-1] == normal
    encoded = run("encode", "-", given=text).stdout
    assert [list(map(int, line.split())) for line in encoded.split("\n")[:-1]] == list(
        map(tokenizer.encode, sentences)
    )
    assert run("decode", given=encoded).stdout.split("\n")[:-1] == normal
    (tmp_path / "ids.txt").write_text(encoded)
    assert run("decode", tmp_path / "ids.txt").stdout.split("\n")[:-1] == normal
    assert run("encode", "--eos", given="hola").stdout.split()[-1] == "1"


def test_tokenize_for_people_and_for_programs(tokenizer: Tokenizer) -> None:
    shown = run("tokenize", "¡Qué FRÍO!", "--explain").stdout
    assert all(piece in shown for piece in tokenizer.tokens("¡Qué FRÍO!"))
    assert "LATIN CAPITAL LETTER I WITH ACUTE" in shown
    assert "\x1b" not in shown
    (line,) = run("tokenize", "--json", "--explain", given="Año ½").stdout.splitlines()
    told = json.loads(line)
    assert told["ids"] == tokenizer.encode("Año ½")
    assert told["pieces"] == tokenizer.tokens("Año ½")
    assert told["normalized"] == "año 1/2"
    assert [change["to"] for change in told["changes"]] == ["a", " 1/2"]


def test_tokenize_on_a_terminal_colours_pieces_and_tells_changes() -> None:
    """Under `script`, which gives it a terminal."""
    line = f"{sys.executable} -m spanish_tok tokenize 'ÁÁ ½'"
    try:
        done = subprocess.run(
            ["script", "-qec", line, "/dev/null"], capture_output=True, text=True, check=True
        )
    except FileNotFoundError:
        pytest.skip("needs the program `script`")
    assert "\x1b[" in done.stdout
    assert "normalized: áá 1/2" in done.stdout
    assert "2 x  Á (U+00C1 LATIN CAPITAL LETTER A WITH ACUTE)  ->  'á'" in done.stdout


def test_markup_and_escapes_in_text_are_shown_as_text() -> None:
    shown = run("tokenize", "[bold]x[/bold] \x1b[31m").stdout
    assert "\x1b" not in shown
    assert "▁[" in shown
    assert shown.split()[2] == "l"


def test_count_train_verify(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [1, 2], "text": ["El perro come."] * 2}), tmp_path / "a.parquet")
    (tmp_path / "b.txt").write_text("La perra come.\n" * 40, encoding="utf-8")
    counted = run(
        "count", tmp_path / "a.parquet", tmp_path / "b.txt", "--output", tmp_path / "counts.parquet"
    )
    assert "42 records" in counted.stdout
    assert counted.stderr == ""
    from_counts = run("train", tmp_path / "counts.parquet", "--size", 192, "--output", tmp_path / "v1")
    from_text = run(
        "train", tmp_path / "a.parquet", tmp_path / "b.txt", "--size", 192, "--output", tmp_path / "v2"
    )
    assert from_counts.stdout.replace("v1", "v2") == from_text.stdout
    for file in (tmp_path / "v1").iterdir():
        assert file.read_bytes() == (tmp_path / "v2" / file.name).read_bytes()
    shown = run("verify", tmp_path / "v1").stdout
    assert shown.count("ok  ") >= 9
    assert "FAIL" not in shown
    run("train", tmp_path / "counts.parquet", "--size", 190, "--size", 192, "--output", tmp_path / "several")
    assert sorted(folder.name for folder in (tmp_path / "several").iterdir()) == ["190", "192"]


def test_wrong_input_is_one_line_and_status_2(tmp_path: Path) -> None:
    pq.write_table(pa.table({"name": ["x"], "value": [1]}), tmp_path / "other.parquet")
    assert re.search(
        r"other\.parquet.*'name', 'value'",
        complaint("train", tmp_path / "other.parquet", "--output", tmp_path / "v"),
    )
    assert "nothing.txt" in complaint("count", tmp_path / "nothing.txt", "--output", tmp_path / "c.parquet")
    assert "does not exist" in complaint("count", tmp_path / "nothing", "--output", tmp_path / "c.parquet")
    (tmp_path / "few.txt").write_text("hola mundo\n" * 9)
    assert "too large: these counts allow" in complaint(
        "train", tmp_path / "few.txt", "--output", tmp_path / "v"
    )
    (tmp_path / "empty.txt").write_text("")
    assert "it holds no records" in complaint("train", tmp_path / "empty.txt", "--output", tmp_path / "v")
    assert "row 2 is not valid UTF-8" in complaint(
        "encode", "--invalid-utf8", "error", given=b"bien\nmal\xff\n"
    )
    assert "line 2" in complaint("decode", given="5\n6 x\n")
    assert "line 1: Item 1 of the ids is 5000" in complaint("decode", given="5 5000\n")
    assert "is not a folder" in complaint("verify", tmp_path / "nothing")
    assert "is not a folder" in complaint("encode", "--vocab", tmp_path / "nothing", given="hola")
    assert not list(tmp_path.glob("v*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train"], "Missing argument 'FILES...'. (see spanish-tok train --help)"),
        (["train", "x.txt"], "Missing option '--output'"),
        (["train", "x.txt", "--output", "v", "--size", "muchos"], "'muchos' is not a valid integer"),
        (["tokenize", "--jason"], "No such option '--jason'"),
        (["tokenise"], "No such command 'tokenise'"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(arguments: list[str], message: str) -> None:
    assert message in complaint(*arguments)


def test_bytes_that_are_no_text_are_named() -> None:
    assert "lone surrogate U+DCF1" in complaint("tokenize", os.fsdecode(b"a\xf1o"))


@pytest.mark.parametrize(
    ("verb", "line"), [("encode", "hola mundo"), ("tokenize", "hola mundo"), ("decode", "598 52")]
)
def test_a_reader_that_leaves_is_no_error(verb: str, line: str) -> None:
    """Many lines, `spanish-tok VERB | head -1`: status 0 on our side of the pipe."""
    program = f"yes '{line}' | head -20000 | ({sys.executable} -m spanish_tok {verb}; echo $? >&2) | head -1"
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True)
    assert done.stderr == "0\n"
    assert done.stdout.count("\n") == 1


def test_ctrl_c_leaves_no_half_written_file(tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_bytes(b"".join(b"palabra%d otra%d\n" % (n, n * 7) for n in range(600_000)))
    target = tmp_path / "out"
    target.mkdir()
    process = subprocess.Popen(
        [*COMMAND, "train", str(tmp_path / "long.txt"), "--output", str(target / "v")],
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert stderr.strip() == "spanish-tok: Interrupted. No half-written file is left."
    assert not list(target.rglob("*"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 300 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(disk)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a small file system")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_leaves_nothing_that_looks_finished(small_disk: Path) -> None:
    (small_disk / "text.txt").write_text("el perro come y la perra duerme\n" * 10)
    assert "disk is full" in complaint(
        "train", small_disk / "text.txt", "--size", 195, "--output", small_disk / "v"
    )
    assert not [file for file in small_disk.rglob("*") if file.is_file() and file.name != "text.txt"]


def test_a_killed_training_leaves_no_folder_of_that_name(tmp_path: Path) -> None:
    code = (
        "import os, signal; from pathlib import Path; from spanish_tok import Vocabulary\n"
        "from spanish_tok.vocab import vocabulary\n"
        "write = vocabulary.atomic_path\n"
        "def killing(path):\n"
        "    if Path(path).name == 'tokenizer.json': os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return write(path)\n"
        "vocabulary.atomic_path = killing\n"
        "import sys; Vocabulary.load().save(sys.argv[1])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "v")], capture_output=True)
    assert done.returncode == -signal.SIGKILL
    assert list(tmp_path.glob(".v.*.partial/spiece.model"))
    assert "is not a folder" in complaint("verify", tmp_path / "v")


def test_nothing_but_results_on_standard_output_and_no_progress_without_a_terminal(tmp_path: Path) -> None:
    environment = {**os.environ, "TERM": "xterm-256color"}
    (tmp_path / "text.txt").write_text("el perro come y la perra duerme\n" * 10)
    done = subprocess.run(
        [*COMMAND, "train", str(tmp_path / "text.txt"), "--size", "195", "--output", str(tmp_path / "v")],
        capture_output=True, text=True, env=environment, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.startswith("195 ids, fingerprint ")


def test_progress_shows_on_a_terminal(tmp_path: Path) -> None:
    """Under `script`, which gives it a terminal."""
    (tmp_path / "text.txt").write_text("el perro come y la perra duerme\n" * 10)
    line = f"{sys.executable} -m spanish_tok train {tmp_path}/text.txt --size 195 --output {tmp_path}/v"
    try:
        done = subprocess.run(
            ["script", "-qec", line, "/dev/null"], capture_output=True, text=True, check=True
        )
    except FileNotFoundError:
        pytest.skip("needs the program `script`")
    assert "training" in done.stdout
    assert "195 ids" in done.stdout
