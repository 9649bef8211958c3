"""The house keeps its plan: layers, module counts, names, first lines, and how far a path walks through a verb."""

import ast
import re
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import pytest

import spanish_tok
import spanish_tok as st
from tests.conftest import TOP
from tests.walks import walks_to

PACKAGE = Path(spanish_tok.__file__).parent

# A module may import what stands on a line above its own, and its own chapter; imports inside functions count.
LAYERS = """
interrupts
kernels
errors progress _version
files
options jobs
parallel
text readers
vocab
corpus tokenization
shards t5
generation
tasks
training
measure
plans
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


def imported_modules(module: Path) -> Iterator[str]:
    """Yield the dotted names of the modules of the package that a module imports, also inside functions."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("spanish_tok."):
            for alias in node.names:
                inner = PACKAGE.joinpath(*str(node.module).split(".")[1:], alias.name).with_suffix(".py")
                yield f"{node.module}.{alias.name}" if inner.exists() else str(node.module)


def circle_in(imports: dict[str, set[str]]) -> list[str]:
    """Return the modules of a circle of imports, none if there is no circle."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_modules_import_each_other_in_a_circle() -> None:
    names = {
        path: ".".join(("spanish_tok", *path.relative_to(PACKAGE).with_suffix("").parts))
        for path in modules()
    }
    assert circle_in({name: set(imported_modules(path)) for path, name in names.items()}) == []
    assert circle_in({"a": {"b"}, "b": {"c"}, "c": {"a"}})


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


MOST_STOPS, MOST_CLIMBS = 8, 2  # of a path from a verb to the opening of its input


@pytest.mark.parametrize("name", ["es.txt", "es.tsv", "es.csv", "es.jsonl", "es.txt.gz"])
@pytest.mark.parametrize("verb", ["shard", "sample"])
def test_a_path_walks_shortly_through_a_verb(verb: str, name: str, tmp_path: Path) -> None:
    import gzip

    rows = [f"{n}\tel perro número {n} duerme en casa" for n in range(40)]
    texts = {
        "es.txt": "\n".join(rows), "es.tsv": "\n".join(rows),
        "es.csv": "text\n" + "\n".join(rows),
        "es.jsonl": "".join(f'{{"text": "el perro {n} duerme en casa"}}\n' for n in range(40)),
    }  # fmt: skip
    path = tmp_path / name
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(texts["es.txt"].encode()))
    else:
        path.write_text(texts[name], encoding="utf-8")
    with walks_to(path) as walks:
        if verb == "shard":
            st.shard(path, tmp_path / "out", engine=st.Local(1))
        else:
            st.sample(path, tmp_path / "out", size=2, engine=st.Local(1))
    assert walks
    for walk in walks:
        assert len(walk.stops) <= MOST_STOPS, str(walk)
        assert walk.climbs(lambda chapter: FLOOR[chapter_of((chapter,))]) <= MOST_CLIMBS, str(walk)


def map_rows() -> list[tuple[str, str, str]]:
    """Return (file, function, verb) of each row of ARCHITECTURE.md's table of where to change what."""
    page = (TOP / "ARCHITECTURE.md").read_text(encoding="utf-8")
    table = page[page.index("## Where do I change") :]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if "|" in line]
    return [(row[1], row[2], row[3]) for row in cells[2:]]


class AllSeen(BaseException):
    """Every function that a test waits for was called."""


def missing_calls(action: Callable[[], Any], wanted: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return which of the wanted (file, function) an action does not call; it ends when all were called."""
    missing = set(wanted)

    def note(frame: Any, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(str(PACKAGE)):
            missing.discard((str(Path(code.co_filename).relative_to(PACKAGE)), code.co_qualname))
            if not missing and threading.current_thread() is threading.main_thread():
                raise AllSeen

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        action()
    except AllSeen:
        pass
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return missing


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model folder of few weights that reads the shipped vocabulary."""
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("tiny")
    config = st.T5Config(d_model=16, d_kv=8, d_ff=16, num_heads=2, num_layers=1, num_decoder_layers=1)
    st.T5(config).save(folder, st.Vocabulary.load())
    return str(folder)


@pytest.mark.parametrize("verb", sorted({verb for _, _, verb in map_rows()}))
def test_the_map_says_where_things_are(verb: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    texts = [f"El perro número {n} duerme en la casa de la niña." for n in range(60)]
    (tmp_path / "es.tsv").write_text("".join(f"{n}\t{text}\n" for n, text in enumerate(texts)), "utf-8")
    (tmp_path / "groups.csv").write_text("text,variedad\nhola vos,ar\nhola tú,es\n", "utf-8")
    (tmp_path / "words.csv").write_text("word,count\nperro,3\n", "utf-8")

    def generate(_: Path) -> None:
        st.generate("la capital de <extra_id_0> .", temperature=0.8, max_new_tokens=4)
        st.generate("la capital de <extra_id_0> .", num_beams=2, max_new_tokens=4)

    def finetune(_: Path) -> None:
        rows = [{"text": text, "label": "sí" if n % 2 else "no"} for n, text in enumerate(texts)]
        model = request.getfixturevalue("tiny")
        st.finetune(texts=rows, task="classification", model=model, epochs=1, validation_records=4)

    def pretrain(_: Path) -> None:
        options: dict[str, Any] = {
            "steps": 2,
            "warmup": 0,
            "batch_size": 2,
            "input_length": 32,
            "held_out": 0.0,
        }
        st.pretrain(texts=texts, model=request.getfixturevalue("tiny"), **options)

    def foreign() -> Path:
        from tests.t5.foreign.models import spiece

        folder = tmp_path / "foreign"
        if not folder.exists():
            (tmp_path / "spiece.model").write_bytes(spiece("t5", 400))
            vocabulary = st.Vocabulary.load(tmp_path)
            config = st.T5Config.from_json(Path(request.getfixturevalue("tiny")) / "config.json")
            st.T5(replace(config, vocab_size=len(vocabulary))).save(folder, vocabulary)
        return folder

    actions: dict[str, Callable[[Path], Any]] = {
        "sample": lambda out: st.sample(tmp_path / "es.tsv", out, size=5),
        "clean": lambda _: st.clean(texts=["<b>El aÃ±o</b> prÃ³ximo será mejor.", "?!"]),
        "count": lambda _: st.count(tmp_path / "words.csv"),
        "train": lambda out: st.train(texts=texts, output=out, size=200),
        "shard": lambda out: st.shard(tmp_path / "es.tsv", out),
        "generate": generate,
        "restore": lambda _: st.restore("esta pina"),
        "export": lambda out: st.export(output=out, to="int8"),
        "pretrain": pretrain,
        "finetune": finetune,
        "compare": lambda out: st.compare(
            TOP / "vocab" / "es-5000", tmp_path / "groups.csv", group="variedad"
        ).to_html(out.with_suffix(".html")),
        "verify": lambda _: st.verify(),
        "trim": lambda out: st.trim(foreign(), out, texts=texts[:5]),
        "transplant": lambda out: st.transplant(request.getfixturevalue("tiny"), out, vocab=foreign()),
    }
    wanted = {(file, function) for file, function, row_verb in map_rows() if row_verb == verb}
    assert [file for file, _ in wanted if not (PACKAGE / file).exists()] == []
    actions[verb](tmp_path / "first")  # compiles the kernels, which takes minutes where each call is noted
    assert missing_calls(lambda: actions[verb](tmp_path / "second"), wanted) == set()


def test_architecture_is_short_and_its_map_is_long_enough() -> None:
    page = (TOP / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert len(page.splitlines()) <= 200
    assert len(map_rows()) >= 20
    assert not re.search(r"(?<![\w./:])/\w+/|/tmp/", page)  # no place on a machine
