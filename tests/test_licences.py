"""Licences: the notice lists what it covers, and wheel and source archive hold notice, licences and those files."""

import re
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from spanish_tok.files import shipped

TOP = Path(__file__).parent.parent
LICENCES = ["LICENSE", "corpus/LICENSE-CC-BY-SA-4.0.txt", "corpus/NOTICE.md"]
OF_VOCABULARY = ("spiece.model", "spiece.vocab", "tokenizer.json")  # files that hold its pieces


def covered() -> list[str]:
    """The files that the notice lists, folders by their files."""
    notice = shipped("corpus/NOTICE.md").read_text(encoding="utf-8").split("## Sources")[0]
    listed = re.findall(r"^\* [^`]*`([^`]+)`", notice, re.MULTILINE)
    return [
        str(file.relative_to(TOP))
        for path in listed
        for file in (sorted((TOP / path).iterdir()) if path.endswith("/") else [TOP / path])
    ]


def test_every_copy_of_the_vocabulary_is_listed() -> None:
    released = {(TOP / "vocab" / "es-5000" / name).read_bytes() for name in OF_VOCABULARY}
    copies = {
        str(file.relative_to(TOP))
        for folder in ("vocab", "models")
        for file in (TOP / folder).rglob("*")
        if file.name in OF_VOCABULARY and file.read_bytes() in released
    }
    assert len(copies) >= 3
    assert copies <= set(covered())
    assert "corpus/es-counts.parquet" in covered()
    assert all((TOP / file).is_file() for file in covered())


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The source archive, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(TOP)]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("*.tar.gz")), next(folder.glob("*.whl"))


def test_the_wheel_holds_licences_and_what_they_cover(archives: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(archives[1]) as wheel:
        files = {name: wheel.read(name) for name in wheel.namelist() if not name.endswith(".py")}
    (root,) = {name.split("/")[0] for name in files if ".dist-info/" in name}
    metadata = Parser().parsestr(files[f"{root}/METADATA"].decode())
    assert metadata["License-Expression"] == "Apache-2.0 AND CC-BY-SA-4.0"
    assert metadata.get_all("License-File") == LICENCES
    for name in LICENCES:
        assert files[f"{root}/licenses/{name}"] == (TOP / name).read_bytes()
    for name in [*covered(), *LICENCES[1:]]:
        assert files[f"spanish_tok/data/{name}"] == (TOP / name).read_bytes()
    assert "names the sources" in str(metadata.get_payload())  # README: what it means for who passes them on


def test_the_source_archive_holds_licences_and_what_they_cover(archives: tuple[Path, Path]) -> None:
    with tarfile.open(archives[0]) as archive:
        names = {member.name.split("/", 1)[1] for member in archive.getmembers() if member.isfile()}
    assert {*LICENCES, *covered()} <= names
