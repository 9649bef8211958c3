"""A folder belongs to one job, done by one process at a time."""

import subprocess
import sys
from pathlib import Path

import pytest

from spanish_tok.jobs import claim


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
