"""A light package: what an import loads, what the names are, and that the wheel holds all it needs."""

import ast
import subprocess
import sys
import venv
from pathlib import Path

import pytest

import spanish_tok
from tests.conftest import TOP

HEAVY = {"torch", "datasets", "numba", "sentencepiece", "transformers", "tokenizers", "pandas", "pyarrow"}


@pytest.mark.parametrize(
    "statement",
    [
        "import spanish_tok",
        "import sys; sys.argv[1:] = ['--help']; from spanish_tok.cli import main; main(standalone_mode=False)",
    ],
)
def test_importing_and_help_load_nothing_heavy(statement: str) -> None:
    code = f"{statement}\nimport sys; print('loaded:', sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded: []"


def test_normalizing_one_string_loads_nothing_heavy() -> None:
    code = (
        f"import sys, spanish_tok; spanish_tok.normalize('Año'); print(sorted({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there() -> None:
    assert all(getattr(spanish_tok, name) is not None for name in spanish_tok.__all__)
    assert set(dir(spanish_tok)) == set(spanish_tok.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nada'"):
        spanish_tok.nada  # noqa: B018


WITHOUT_TORCH = """
import sys
for name in ("torch", "torchmetrics", "sklearn", "matplotlib"):
    sys.modules[name] = None  # as where the extra t5 is not installed
from spanish_tok import *
print(normalize("Año"), Tokenizer.load().encode("año"))
try:
    pretrain("tokens", "run")
except SpanishTokError as error:
    print(error)
"""


def test_all_names_can_be_imported_without_torch() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first == "año [279]"
    assert second == "pretrain needs torch, which is not installed. pip install 'spanish-tok[t5]'"


def test_the_two_lists_of_public_names_are_equal() -> None:
    """Type checkers read the imports, Python the table."""
    source = (TOP / "spanish_tok" / "__init__.py").read_text(encoding="utf-8")
    imports = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
    declared = {
        (str(node.module).removeprefix("spanish_tok."), alias.asname)
        for node in imports
        for alias in node.names
        if alias.asname
    }
    assert declared == {(module, name) for name, module in spanish_tok._HOMES.items()}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the built wheel; its dependencies are those of the one that tests."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(TOP)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    subprocess.run(
        [python, "-m", "pip", "install", "-q", "--no-deps", str(wheel)], check=True, capture_output=True
    )
    (packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
    theirs = next(path for path in sys.path if path.endswith("site-packages"))
    (packages / "theirs.pth").write_text(theirs + "\n")
    return python


def test_the_demo_runs_from_a_wheel_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    where = [str(installed), "-c", "import spanish_tok; print(spanish_tok.__file__)"]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    at = subprocess.run(
        where, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert str(TOP) not in at
    command = [str(installed.parent / "spanish-tok"), "demo", "--output", str(tmp_path / "v")]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    cells = [line.strip().rsplit(maxsplit=1) for line in done.stdout.splitlines()]
    table = {row[0]: row[1] for row in cells if len(row) == 2}
    assert table["size"] == "5,000"
    assert table["<unk>"] == table["round-trip failures"] == "0"
    assert float(table["characters per token"]) > 2.5
    assert "FAIL" not in done.stdout
    assert "<extra_id_" not in done.stdout.splitlines()[-1]  # the shipped model filled the gaps
    assert (tmp_path / "v" / "tokenizer.json").exists()


SHIPPED = """
import spanish_tok as st
print([dataset.name for dataset in st.recipes()])
print(len(st.Tokenizer.load()), st.Generator.load().fill("la capital de <extra_id_0> es madrid .")[:13])
"""


@pytest.mark.parametrize("where", ["checkout", "wheel"])
def test_what_ships_is_found(where: str, installed: Path, tmp_path: Path) -> None:
    python = str(installed) if where == "wheel" else sys.executable
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    environment |= {"PYTHONPATH": str(TOP)} if where == "checkout" else {}
    done = subprocess.run(
        [python, "-c", SHIPPED], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "['mmarco-es', 'mmarco-es-queries', 'sentences-es']",
        "5000 la capital de",
    ]


def test_the_verbs_of_the_core_load_without_torch() -> None:
    """A verb whose extra is not installed is a MissingExtra, which fails on use."""
    verbs = ["bench", "build", "clean", "compare", "count", "demo", "encode", "generate", "normalize"]
    verbs += ["restore", "sample", "shard", "train", "verify"]
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import spanish_tok as st\n"
        f"print([verb for verb in {verbs!r} if type(getattr(st, verb)).__name__ == 'MissingExtra'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")
