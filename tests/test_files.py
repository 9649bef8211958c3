"""Files appear whole or not at all."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from spanish_tok import SpanishTokError
from spanish_tok.files import atomic_path, read_json, sha256_of_file, shipped, write_json


def test_an_error_leaves_the_old_file(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"año": 1})
    with pytest.raises(ZeroDivisionError), atomic_path(tmp_path / "a.json") as partial:
        partial.write_text(f"half {1 / 0}")
    assert read_json(tmp_path / "a.json") == {"año": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_kill_leaves_nothing_under_the_final_name(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from spanish_tok.files import atomic_path\n"
        "with atomic_path(sys.argv[1]) as partial:\n"
        "    partial.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.txt")])
    assert done.returncode == -signal.SIGKILL
    assert [file.name.endswith(".partial") for file in tmp_path.iterdir()] == [True]


def test_damaged_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": ')
    with pytest.raises(SpanishTokError, match=r"a\.json is not valid JSON"):
        read_json(tmp_path / "a.json")
    with pytest.raises(SpanishTokError, match=r"b\.json does not exist"):
        read_json(tmp_path / "b.json")


def test_hash_and_shipped(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    assert sha256_of_file(tmp_path / "empty").startswith("e3b0c44298fc1c14")
    assert shipped("vocab/es-5000/manifest.json").exists()
    with pytest.raises(SpanishTokError, match="nada does not lie in this installation"):
        shipped("nada")


def test_compiled_code_is_kept_where_the_user_may_write(tmp_path: Path) -> None:
    code = "from spanish_tok.kernels import compiled_folder; print(compiled_folder())"
    for cache, expected in ((tmp_path, str(tmp_path)), ("/proc/nowhere", "spanish-tok-")):
        environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        )
        assert expected in done.stdout
