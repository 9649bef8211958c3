"""The table of verbs and faults: 2 and one line for wrong input or options, 1 where records failed, 130 if interrupted.

`python -m tests.cli.test_table` prints it.
"""

import gzip
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import spanish_tok as st
from spanish_tok.cli import VERBS, main
from spanish_tok.files import shipped
from spanish_tok.tasks.bundle import TaskBundle

# verb -> a call that is right; IN is read (- is standard input), OUT is written, MODEL and TASK are folders of models
CALLS = {
    "demo": "demo --t5 --text IN --output OUT",
    "build": "build files-tiny IN --output OUT",
    "recipes": "recipes",
    "sample": "sample IN --size 1 --at-most --no-clean --output OUT",
    "clean": "clean IN --output OUT",
    "count": "count IN --output OUT",
    "train": "train IN --size 195 --output OUT",
    "verify": "verify IN",
    "restore": "restore IN --output OUT",
    "normalize": "normalize IN",
    "tokenize": "tokenize -",
    "encode": "encode IN",
    "decode": "decode IN",
    "shard": "shard IN --output OUT",
    "pretrain": "pretrain IN --output OUT",
    "finetune": "finetune IN --task summarization --output OUT",
    "predict": "predict TASK IN --output OUT",
    "evaluate": "evaluate TASK IN --output OUT",
    "generate": "generate --max-new-tokens 1 -",
    "export": "export IN --to int8 --output OUT",
    "trim": "trim MODEL --text IN --output OUT",
    "transplant": "transplant MODEL --vectors IN --output OUT",
    "bench": "bench --text IN --json OUT --against spanish-tok",
    "compare": "compare VOCAB --text IN --json OUT",
}
RECORDS = (
    "demo",
    "sample",
    "clean",
    "count",
    "train",
    "shard",
    "trim",
    "bench",
    "compare",
)  # files of records
LINES = ("restore", "normalize", "tokenize", "encode", "decode", "generate")  # a text a line
ROWS = ("finetune", "predict", "evaluate")  # of named columns
RESUMING = ("sample", "clean", "shard")
FOLDERS = ("verify", "pretrain", "export")
TEXT = [*RECORDS, *LINES, *ROWS]
READING = [*TEXT, *FOLDERS, "transplant"]
WRITING = [verb for verb, call in CALLS.items() if "OUT" in call]
QUICK = (
    "sample",
    "clean",
    "count",
    "train",
    "restore",
    "normalize",
    "tokenize",
    "encode",
    "decode",
    "shard",
    "generate",
)

GOOD = "el perro come y la perra duerme en la casa\n" * 40
ROW = json.dumps({"document": "el perro come", "summary": "come"}) + "\n"


def content_of(verb: str) -> bytes:
    return (ROW if verb in ROWS else "598 52\n" if verb == "decode" else GOOD).encode()


# fault -> the verbs it can befall, and what stands in the file then; None for no file
FAULTS: dict[str, tuple[Any, Callable[[str], bytes | None]]] = {
    "missing": (["build", *(verb for verb in READING if "IN" in CALLS[verb])], lambda _: None),
    "binary": (READING, lambda _: b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 99),
    "noise": (READING, lambda _: bytes((7 * place * place + place) % 251 for place in range(9000))),
    "utf-16": (TEXT, lambda verb: content_of(verb).decode().encode("utf-16-le")),
    "empty": ([*RECORDS, "finetune", "evaluate", *FOLDERS, "transplant"], lambda _: b""),
    "blank": (["demo", "train", "trim", "bench", "compare", "finetune", "evaluate"], lambda _: b"\n\n\n"),
    "cut": (TEXT, lambda verb: gzip.compress(content_of(verb) * 99)[:-20]),
    "not UTF-8": (
        [verb for verb in TEXT if verb != "predict"],
        lambda verb: content_of(verb).replace(b"o", b"\xf1", 1).replace(b"5", b"\xf1", 1),
    ),
    "long row": (TEXT, content_of),
    "no codec": (TEXT, content_of),
    "no option": (list(CALLS), content_of),
    "below a file": (WRITING, content_of),
    "over the input": (WRITING, content_of),
    "interrupted": (list(CALLS), content_of),
}
MORE = {
    "long row": ["--max-row-bytes", "5"],
    "no codec": ["--encoding", "klingon"],
    "no option": ["--nothing-of-that-name"],
    "not UTF-8": ["--invalid-utf8", "error"],
}
STATUS = {"interrupted": 130}
CASES = [(verb, fault) for fault, (verbs, _) in FAULTS.items() for verb in verbs]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return models_in(tmp_path_factory.mktemp("models"))


def models_in(folder: Path) -> dict[str, Path]:
    model = shipped("models/es-tiny")
    task = folder / "task"
    shutil.copytree(model, task)
    TaskBundle(st.Task.load("summarization")).save(task)
    return {"MODEL": model, "TASK": task, "VOCAB": shipped("vocab/es-5000")}


def called(verb: str, fault: str, folder: Path, models: dict[str, Path]) -> Result:
    """Run a verb with a fault."""
    ending = ".jsonl" if verb in ROWS else ".txt"
    content, read = (
        FAULTS[fault][1](verb) if fault in FAULTS else content_of(verb),
        folder / f"entrada{ending}",
    )
    output = {"below a file": read / "x", "over the input": read}.get(fault, folder / "salida")
    if content is not None:
        read.write_bytes(content)
    words = {"IN": read, "OUT": output, **models}
    arguments = [str(words.get(word, word)) for word in CALLS[verb].split() if word != "-"]
    given = content if "-" in CALLS[verb].split() else None
    return CliRunner().invoke(main, [*arguments, *MORE.get(fault, [])], input=given)


def test_every_verb_is_in_the_table() -> None:
    assert set(CALLS) == set(VERBS)
    assert set(READING) | {"build", "recipes"} == set(VERBS)


@pytest.mark.parametrize("verb", QUICK)
def test_without_a_fault_it_ends_well(verb: str, tmp_path: Path, models: dict[str, Path]) -> None:
    done = called(verb, "none", tmp_path, models)
    assert done.exit_code == 0, done.stderr


@pytest.mark.parametrize(("verb", "fault"), CASES)
def test_a_fault_is_one_line(
    verb: str, fault: str, tmp_path: Path, models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    if fault == "interrupted":
        monkeypatch.setattr(st, verb, interrupted, raising=False)
    done = called(verb, fault, tmp_path, models)
    assert isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code == STATUS.get(fault, 2), (done.exit_code, done.output)
    assert done.stderr.startswith("spanish-tok: ")
    assert done.stderr.count("\n") == 1, done.stderr
    if verb in RESUMING and (tmp_path / "salida").exists():  # the same call resumes there
        assert not (tmp_path / "salida" / "manifest.json").exists()
        shutil.rmtree(tmp_path / "salida")
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith("entrada")] == []


def interrupted(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


FAILED = {
    "predict": ROW.encode() + b'{"document": null}\n' + b"[\n",
    "generate": b"la casa <extra_id_0>\n<extra_id_0> dos <extra_id_0>\nel perro\n",
}


@pytest.mark.parametrize("verb", list(FAILED))
def test_where_records_failed_the_others_are_answered(
    verb: str, tmp_path: Path, models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FAULTS, "failed", ([verb], FAILED.get))
    done = called(verb, "failed", tmp_path, models)
    assert done.exit_code == 1, done.output
    written = (tmp_path / "salida").read_text() if verb == "predict" else done.stdout
    assert len(written.splitlines()) == 3


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        kept = models_in(Path(temporary))
        print(f"{'':12}" + "".join(f"{fault:>16}" for fault in FAULTS))
        for shown in CALLS:
            cells = []
            for fault, (verbs, _) in FAULTS.items():
                if shown not in verbs or fault == "interrupted":
                    cells.append("")
                    continue
                with tempfile.TemporaryDirectory() as place:
                    ended = called(shown, fault, Path(place), kept)
                    said = ended.stderr.count("\n")
                    cells.append(f"{ended.exit_code}, {said} lines" if said != 1 else str(ended.exit_code))
            print(f"{shown:12}" + "".join(f"{cell:>16}" for cell in cells), flush=True)
