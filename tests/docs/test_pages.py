"""Every code block of the documentation and of README prints what the page shows, and every link leads somewhere."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.docs.blocks import RUN, TOP, Page, blocks_of, masked

PAGES = [TOP / "README.md", *sorted((TOP / "docs").rglob("*.md"))]
MOST_UNTRIED = 0.15  # of the blocks, which need more than this machine


def page_name(path: Path) -> str:
    return str(path.relative_to(TOP))


SLOW = {
    "how-to/accents.md",
    "how-to/trim.md",
    "how-to/export.md",
    "how-to/finetune.md",
    "how-to/finetune-jax.md",
    "how-to/finetune-tensorflow.md",
    "how-to/pretrain.md",
    "start/text-to-model.md",
    "start/five-minutes.md",
}


def page_cases() -> list[Any]:
    """Every page; those that train a model or export one are slow."""
    slow = [pytest.mark.slow]
    return [pytest.param(path, id=page_name(path), marks=slow if slow_page(path) else []) for path in PAGES]


def slow_page(path: Path) -> bool:
    return str(path).endswith(tuple(SLOW))


@pytest.mark.parametrize("path", page_cases())
def test_the_blocks_of_a_page_print_what_it_shows(path: Path, tmp_path: Path) -> None:
    page = Page(tmp_path)
    for block in blocks_of(path.read_text(encoding="utf-8")):
        assert masked(page.printed(block)) == masked(block.text), page_name(path)


def test_few_blocks_need_more_than_this_machine() -> None:
    blocks = [block for path in PAGES for block in blocks_of(path.read_text(encoding="utf-8"))]
    tried = [block for block in blocks if block.language in RUN]
    assert len(tried) > 60
    assert sum(block.needs not in ("", "keras") for block in tried) <= MOST_UNTRIED * len(tried)


@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_no_command_hides_from_the_test(path: Path) -> None:
    """Blocks have a language; commands stand in console blocks, never in indented or plain ones."""
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"^    (\$ )?(spanish-tok|pip|python) ", text, re.MULTILINE)
    fences = re.findall(r"^```(.*)$", text, re.MULTILINE)
    assert all(fence for fence in fences[::2]), "a block without a language"
    records = path.name.startswith(
        ("benchmarks", "history")
    )  # of runs on data that are not in the repository
    for block in [] if records else blocks_of(text):
        if block.language in ("text", "bash", "sh"):
            assert not re.search(r"^(\$ )?spanish-tok \w+ .*\w", block.text, re.MULTILINE), block.text


def test_readme_is_one_page_and_its_links_lead_somewhere() -> None:
    readme = (TOP / "README.md").read_text(encoding="utf-8")
    assert len(readme.splitlines()) <= 120
    for link in re.findall(r"\]\(([^)#]+)", readme):
        assert (TOP / link).exists(), link


def test_masks_hide_times_sizes_and_speeds_alone() -> None:
    assert masked("12.5 MB/s, 3 s, 7,000 kB, 1.5 seconds") == masked("2 MB/s, 44 s, 1 kB, 9 seconds")
    for one, other in [
        ("3 records", "4 records"),
        ("3 spans", "4 spans"),
        ("0.5 %", "0.6 %"),
        ("id 7", "id 8"),
    ]:
        assert masked(one) != masked(other)
