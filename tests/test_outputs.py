"""Rows A1, A2, B12 and item 5: outputs are checked before the work, and nothing of somebody else is touched."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import spanish_tok as st
from spanish_tok.files import shipped
from spanish_tok.files.outputs import check_file, check_folder, text_output, whole_folder

LINES = "el perro come y la perra duerme\n" * 40
MODEL = shipped("models/es-tiny")

# verb -> a call with an input and an output
FILE_VERBS: dict[str, Callable[..., Any]] = {
    "count": lambda read, output, **more: st.count(read, output, **more),
    "normalize": lambda read, output: st.normalize(files=read, output=output),
    "encode": lambda read, output: st.encode(files=read, output=output),
    "tokenize": lambda read, output: st.tokenize(files=read, output=output),
    "generate": lambda read, output, **more: st.generate(files=read, output=output, max_new_tokens=1, **more),
    "bench": lambda read, output, **more: st.bench(None, read, output, **more),
    "compare": lambda read, output, **more: st.compare([None], read, output, **more),
    "predict": lambda read, output, **more: st.predict(files=read, output=output, model=MODEL, **more),
    "evaluate": lambda read, output, **more: st.evaluate(read, output, model=MODEL, **more),
}
FOLDER_VERBS: dict[str, Callable[..., Any]] = {
    "train": lambda read, output, **more: st.train(read, output, size=195, **more),
    "sample": lambda read, output, **more: st.sample(read, output, size=1, **more),
    "clean": lambda read, output, **more: st.clean(read, output, **more),
    "shard": lambda read, output, **more: st.shard(read, output, **more),
    "export": lambda _, output, **more: st.export(MODEL, output, to="int8", **more),
    "pretrain": lambda _, output: st.pretrain(texts=LINES.split("\n"), output=output, steps=1, warmup=0),
    "finetune": lambda _, output: st.finetune(texts=[{}], output=output, task="summarization"),
}


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "entrada.txt"
    path.write_text(LINES)
    return path


@pytest.mark.parametrize("spelling", ["same", "relative", "symbolic link", "hard link"])
@pytest.mark.parametrize("verb", list(FILE_VERBS))
def test_A1_an_input_is_never_the_output(
    verb: str, spelling: str, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = text.with_name("salida.txt")
    if spelling == "same":
        output = text
    elif spelling == "relative":
        monkeypatch.chdir(text.parent)
        output = Path("./../") / text.parent.name / text.name
    elif spelling == "symbolic link":
        output.symlink_to(text)
    else:
        os.link(text, output)
    with pytest.raises(st.SpanishTokError, match="is read as an input"):
        FILE_VERBS[verb](str(text), str(output))
    assert text.read_text() == LINES
    assert not list(text.parent.glob(".*"))


def test_A1_not_even_with_force_and_in_a_folder(text: Path) -> None:
    counts = text.parent / "counts.parquet"
    st.count(text, counts)
    before = counts.read_bytes()
    for given in ([counts], [text.parent]):
        with pytest.raises(st.SpanishTokError, match="is read as an input"):
            st.count(given, counts, force=True)
    assert counts.read_bytes() == before


@pytest.mark.parametrize("verb", list(FOLDER_VERBS))
def test_A2_a_folder_that_holds_anything_else_is_never_filled(
    verb: str, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(text.parent)
    for folder in (text.parent, Path(".")):
        with pytest.raises(st.SpanishTokError, match=r"holds other files|not an empty folder"):
            FOLDER_VERBS[verb](str(text), folder)
        if verb not in ("pretrain", "finetune"):
            with pytest.raises(st.SpanishTokError, match="holds other files"):
                FOLDER_VERBS[verb](str(text), folder, force=True)
    with pytest.raises(st.SpanishTokError, match="is a file"):
        FOLDER_VERBS[verb](str(text), text)
    assert [path.name for path in text.parent.iterdir()] == ["entrada.txt"]


def test_A2_another_vocabulary_is_replaced_on_demand_alone(
    text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = text.parent / "v"
    first = st.train(text, folder, size=195)
    stamps = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    with monkeypatch.context() as patch:  # the same again: left as it is, and not trained again
        patch.setattr("spanish_tok.vocab.trainer.train_vocabularies", None)
        assert st.train(text, folder, size=195).fingerprint == first.fingerprint
        assert st.train(text, folder, size=[195])[195].fingerprint == first.fingerprint
        with pytest.raises(st.SpanishTokError, match="another vocabulary"):
            st.train(texts=["otra cosa"], output=folder, size=195)
        with pytest.raises(st.SpanishTokError, match="another vocabulary"):
            st.train(text, folder, size=195, shrink=0.5)
    assert stamps == {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    for other in (
        {"size": 194},
        {"size": 195, "texts": [LINES, "los perros y las gatas comen en las casas"]},
    ):
        read = None if "texts" in other else text
        with pytest.raises(st.SpanishTokError, match="another vocabulary"):
            st.train(read, folder, **other)
    assert st.Vocabulary.load(folder).fingerprint == first.fingerprint
    (folder / "notas.txt").write_text("mías")
    with pytest.raises(st.SpanishTokError, match=r"notas\.txt"):
        st.train(text, folder, size=194, force=True)
    (folder / "notas.txt").unlink()
    assert len(st.train(text, folder, size=194, force=True)) == 194
    assert len(st.Vocabulary.load(folder)) == 194
    vocabulary = st.Vocabulary.load()
    with pytest.raises(st.SpanishTokError, match="another vocabulary"):
        vocabulary.save(folder)
    vocabulary.save(folder, force=True)
    assert len(st.Vocabulary.load(folder)) == 5000


def test_item_5_counts_are_replaced_on_demand_alone(text: Path) -> None:
    path = text.parent / "c.parquet"
    st.count(text, path)
    stamp = path.stat().st_mtime_ns
    st.count(text, path)
    assert path.stat().st_mtime_ns == stamp
    with pytest.raises(st.SpanishTokError, match="other counts"):
        st.count(texts=["otra cosa"], output=path)
    assert st.count(texts=["otra cosa"], output=path, force=True) == st.Counts.load(path)
    pq.write_table(pa.table({"text": ["mío"]}), path)
    for force in (False, True):
        with pytest.raises(st.SpanishTokError, match="is not a table of counts"):
            st.count(text, path, force=force)
    with pytest.raises(st.SpanishTokError, match="is a folder"):
        st.count(text, text.parent)


@pytest.mark.parametrize("verb", ["sample", "clean", "shard"])
def test_item_5_a_job_is_done_once_or_replaces_another(verb: str, text: Path) -> None:
    folder, call = text.parent / "salida", FOLDER_VERBS[verb]
    call(text, folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    call(text, folder)
    other = text.with_name("otra.txt")
    other.write_text("La gata come.\n" * 9)
    with pytest.raises(st.SpanishTokError, match=r"another.*--force"):
        call(other, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    call(other, folder, force=True)
    call(other, folder)
    call(text, folder, force=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    (folder / "notas.txt").write_text("mías")
    with pytest.raises(st.SpanishTokError, match=r"notas\.txt"):
        call(other, folder, force=True)
    assert (folder / "manifest.json").exists()
    with pytest.raises(st.SpanishTokError, match="holds other files"):
        call(next(folder.glob("*.parquet")), folder, force=True)


def test_B12_the_place_is_checked_before_the_work(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    below = text / "c.parquet"  # below a file
    with pytest.raises(st.SpanishTokError, match="cannot be written in"):
        check_file(below)

    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied", str(text.parent))

    monkeypatch.setattr("spanish_tok.files.outputs.tempfile.TemporaryFile", refuse)
    for check in (check_file, check_folder):
        with pytest.raises(st.SpanishTokError, match=r"cannot be written in \(Permission denied\)"):
            check(text.parent / "nuevo" / "x")
    monkeypatch.undo()
    usage = shutil.disk_usage(text)._replace(free=10)
    monkeypatch.setattr("spanish_tok.files.outputs.shutil.disk_usage", lambda _: usage)
    with pytest.raises(st.SpanishTokError, match="disk is full"):
        st.train(text, text.parent / "v", size=195)
    assert not (text.parent / "nuevo").exists()


HOLDER = """
import sys
from pathlib import Path
from spanish_tok.jobs import claim
with claim(Path(sys.argv[1])):
    print("mine", flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no such locks")
@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("verb", ["sample", "clean", "shard"])
def test_C27_two_runs_into_one_folder_are_called_so(
    verb: str, force: bool, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other run has begun: its mark, a finished shard and a half-written file lie there."""
    folder = text.parent / "salida"
    with monkeypatch.context() as patch:
        patch.setattr("spanish_tok.jobs.OutputFolder.finish", _stopped)
        with pytest.raises(ZeroDivisionError):
            FOLDER_VERBS[verb](text, folder)
    (folder / ".part-00000.parquet.77.partial").write_bytes(b"half")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    call = [sys.executable, "-c", HOLDER, str(folder)]
    with subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "mine\n"
        with pytest.raises(st.SpanishTokError, match="Another process is at work in") as refused:
            FOLDER_VERBS[verb](text, folder, force=force)
        other.communicate()
    assert ".partial" not in str(refused.value)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == before
    FOLDER_VERBS[verb](text, folder)
    assert (folder / "manifest.json").exists()


def _stopped(*_: Any) -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize(("verb", "kind"), [("train", "is a file"), ("count", "is a folder")])
def test_C28_an_output_of_the_other_kind_is_called_so(verb: str, kind: str, text: Path) -> None:
    with pytest.raises(st.SpanishTokError, match=kind):
        {**FILE_VERBS, **FOLDER_VERBS}[verb](text, text.parent if verb == "count" else text)


def test_item_5_a_device_is_no_output() -> None:
    with pytest.raises(st.SpanishTokError, match="not an ordinary file"):
        check_file("/dev/null")


def test_item_5_text_is_written_once(text: Path) -> None:
    output = text.with_name("x.txt")
    st.normalize(["Uno"], output)
    with pytest.raises(st.SpanishTokError, match=r"exists already.*--force"):
        st.normalize(["Dos"], output)
    assert output.read_text() == "uno\n"
    with text_output(output, force=True) as out:
        assert out is not None
        out.write("dos\n")
    assert output.read_text() == "dos\n"


def test_item_5_a_folder_is_whole_or_not_there(tmp_path: Path) -> None:
    for folder in (tmp_path / "a" / "b", tmp_path / "empty"):
        if folder.name == "empty":
            folder.mkdir()
        with pytest.raises(ValueError, match="broken"), whole_folder(folder) as partial:  # noqa: PT012
            (partial / "x").write_text("1")
            raise ValueError("broken")
        assert not folder.exists() or not list(folder.iterdir())
        with whole_folder(folder) as partial:
            (partial / "x").write_text("1")
        assert [path.name for path in folder.iterdir()] == ["x"]
        assert not list(folder.parent.glob(".*"))
