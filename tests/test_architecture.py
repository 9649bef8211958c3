"""The house keeps its plan: layers, module counts, names, first lines, and how far a path walks through a verb."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import spanish_tok

PACKAGE = Path(spanish_tok.__file__).parent

# A module may import what stands on a line above its own, and its own chapter; imports inside functions count.
LAYERS = """
kernels
errors progress deprecated _version
files options jobs
parallel
text readers
vocab
corpus tokenization
shards t5
generation
tasks
training
measure
__init__
cli
__main__
"""
FLOOR = {chapter: floor for floor, line in enumerate(LAYERS.split("\n")) for chapter in line.split()}
MOST_MODULES = 15  # of a folder, __init__ left out
MOST_ROOMS = 25  # folders and modules at the top of the package


def chapter_of(parts: tuple[str, ...]) -> str:
    """Return the chapter of a dotted path inside the package: the folder or module at its top."""
    return parts[0] if parts and parts[0] in FLOOR else "__init__"


def imports_of(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield (line, chapter) of every import of the package in a module, those inside functions included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "spanish_tok":
            base = (node.module or "").split(".")[1:]
            for alias in node.names:
                yield node.lineno, chapter_of((*base, alias.name))
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "spanish_tok":
                    yield node.lineno, chapter_of(tuple(alias.name.split(".")[1:]))


def wrong_imports(source: str, chapter: str) -> list[str]:
    """Return the imports of a module of `chapter` that run back to a higher or an equal floor."""
    return [
        f"line {line}: {chapter} imports {other}"
        for line, other in imports_of(ast.parse(source))
        if other != chapter and FLOOR[other] >= FLOOR[chapter]
    ]


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("module", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(module: Path) -> None:
    chapter = chapter_of(module.relative_to(PACKAGE).with_suffix("").parts)
    assert wrong_imports(module.read_text(encoding="utf-8"), chapter) == []


@pytest.mark.parametrize(
    ("planted", "chapter"),
    [
        ("from spanish_tok.training.loop import TrainingLoop", "readers"),
        ("def late():\n    from spanish_tok import Tokenizer", "vocab"),
        ("import spanish_tok.cli", "measure"),
        ("from spanish_tok.text.table import normalize", "kernels"),
        ("from spanish_tok.readers.options import ReadOptions", "text"),
    ],
)
def test_a_planted_wrong_import_is_seen(planted: str, chapter: str) -> None:
    assert wrong_imports(planted, chapter)


def test_folders_stay_small() -> None:
    rooms = [path for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]
    assert len(rooms) <= MOST_ROOMS
    sizes = Counter(path.parent for path in modules() if path.name != "__init__.py")
    assert {str(folder): size for folder, size in sizes.items() if size > MOST_MODULES} == {}


def test_no_two_public_classes_have_one_name() -> None:
    names = Counter(
        node.name
        for module in modules()
        for node in ast.parse(module.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert [name for name, count in names.items() if count > 1] == []


def test_no_public_function_has_the_name_of_a_chapter() -> None:
    chapters = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert chapters & set(spanish_tok.__all__) == set()
