"""A folder belongs to one job, done by one process at a time, and is resumed whoever began it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import spanish_tok as st
from spanish_tok import CleanOptions, ShardOptions, SpanishTokError
from spanish_tok.corpus import passes, pipeline, writer
from spanish_tok.files import sha256_of_file
from spanish_tok.jobs import OutputFolder, claim
from spanish_tok.readers.inputs import inputs_of


@pytest.mark.skipif(sys.platform == "win32", reason="no such locks")
def test_a_folder_belongs_to_one_process_at_a_time(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from spanish_tok.jobs import claim\n"
        "with claim(Path(sys.argv[1])): print('mine')"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with claim(tmp_path):
        refused = subprocess.run(command, capture_output=True, text=True)
        with claim(tmp_path / "another"):
            pass
    assert "Another process is at work" in refused.stderr
    assert subprocess.run(command, capture_output=True, text=True).stdout == "mine\n"
    with pytest.raises(ZeroDivisionError), claim(tmp_path):
        _ = 1 / 0
    assert [path.name for path in tmp_path.iterdir()] == ["another"]


def test_another_job_and_foreign_files_are_refused(tmp_path: Path) -> None:
    folder = OutputFolder(tmp_path / "out", {"size": 3, "seed": 0}, under="job", inputs={"changed": 1.5})
    with folder.filling():  # ends without a manifest
        folder.save_state([1])
    for job, changed, said in [
        ({"size": 4, "seed": 1}, 1.5, "the work of another size and another seed"),
        ({"size": 3, "seed": 0}, 1.6, "an unfinished job, and its input has changed since"),
    ]:
        other = OutputFolder(tmp_path / "out", job, under="job", inputs={"changed": changed})
        with pytest.raises(SpanishTokError, match=said), other.filling():
            pass
    with folder.filling():
        assert folder.state == [1]
        folder.finish({"job": folder.job, "rows": 3})
    assert folder.finished() == {"job": {"size": 3, "seed": 0}, "rows": 3}
    with pytest.raises(SpanishTokError, match="another size"):
        OutputFolder(tmp_path / "out", {"size": 4}, under="job").finished()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "x.txt").touch()
    for name in ("mine", "mine/x.txt"):
        with pytest.raises(SpanishTokError, match="is not an empty folder"):
            OutputFolder(tmp_path / name, {}).filling().__enter__()
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["x.txt"]


@pytest.mark.parametrize("state", ["", "[]", '{"shards": []}'])
def test_a_damaged_state_is_refused(tmp_path: Path, state: str) -> None:
    (tmp_path / "es.txt").write_text("uno\ndos\n")
    inputs = inputs_of([tmp_path / "es.txt"])
    with pytest.raises(SpanishTokError, match="3 records are wanted"):
        st.sample(inputs, tmp_path / "out", size=3, clean=False)
    (tmp_path / "out" / "unfinished" / "state.json").write_text(state)
    with pytest.raises(SpanishTokError, match=r"state\.json is (damaged|not valid JSON)"):
        st.sample(inputs, tmp_path / "out", size=3, clean=False)


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): sha256_of_file(path) for path in folder.rglob("*")}


@pytest.mark.parametrize("verb", ["sample", "clean"])
def test_a_folder_that_version_0_1_left_unfinished_is_resumed(
    tmp_path: Path, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first shard is there, and the description and state as that version wrote them."""
    for module in (pipeline, passes, writer):
        monkeypatch.setattr(module, "SHARD_ROWS", 10)
    file = tmp_path / "es.txt"
    file.write_text("".join(f"El perro {n} come y la perra {n * 7} duerme.\n" for n in range(60)))
    inputs, rules = inputs_of([file]), CleanOptions()

    def run(output: Path) -> dict[str, Any]:
        if verb == "clean":
            return st.clean(inputs, output, options=rules).to_dict()
        return st.sample(inputs, output, size=25, clean=rules, seed=4).to_dict()

    manifest = run(tmp_path / "whole")
    out, first = tmp_path / "out", manifest["shards"][0]
    (out / "unfinished").mkdir(parents=True)
    shutil.copy(tmp_path / "whole" / first["file"], out)
    described = {
        "source": "es", "name": str(file), "bytes": file.stat().st_size, "format": None, "id": "id",
        "text": "text", "invalid_utf8": "repair", "malformed": "error",
    }  # fmt: skip
    job: dict[str, Any] = {"inputs": [described], "rows": None, "clean": vars(rules)}
    report = {"name": str(file), "rows": 0, "offset": 0, "repaired": 0, "rejected": 0, "unterminated": False}
    if verb == "clean":
        job = {"verb": "clean", **job}
        position: dict[str, Any] = {"reports": [{**report, "complete": False}], "skip": 10}
    else:
        job = {"verb": "sample", "size": 25, "seed": 4, "clean_all": False, **job}
        position = {"pass": 1, "low": 0, "wanted": 30, "before": 0, "range": 1}
    counted = {rule: {"records": 0, "examples": []} for rule in vars(rules)}
    state = {
        "position": position,
        "shards": [first],
        "report": {"looked_at": 10, "kept": 10, "rules": counted},
    }
    started = {"job": job, "inputs_changed": [file.stat().st_mtime]}
    (out / "unfinished" / "job.json").write_text(json.dumps(started, indent=2))
    (out / "unfinished" / "state.json").write_text(json.dumps(state, indent=2))
    (out / "unfinished" / "seen.bin").write_bytes(bytes(range(160)) + b"torn")
    written = (out / first["file"]).stat().st_mtime_ns
    assert run(out) == manifest
    assert contents(out) == contents(tmp_path / "whole")
    assert (out / first["file"]).stat().st_mtime_ns == written


def test_shards_that_version_0_1_left_unfinished_are_resumed(tmp_path: Path) -> None:
    file, options = tmp_path / "es.txt", ShardOptions(shard_bytes=2000)
    file.write_text("".join(f"La línea {n}\n" for n in range(500)))
    manifest = st.shard([file], tmp_path / "whole", options=options).to_dict()
    out, kept = tmp_path / "out", manifest["shards"][2]["file"]
    out.mkdir()
    shutil.copy(tmp_path / "whole" / kept, out)
    described = ("format", "kind", "spanish_tok", "vocabulary", "options", "inputs")
    (out / "unfinished.json").write_text(json.dumps({name: manifest[name] for name in described}, indent=2))
    (out / ".tokens-00000-00000.parquet.77.partial").write_bytes(b"half")
    written = (out / kept).stat().st_mtime_ns
    assert st.shard([file], out, options=options).to_dict() == manifest
    assert contents(out) == contents(tmp_path / "whole")
    assert (out / kept).stat().st_mtime_ns == written
