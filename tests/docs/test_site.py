"""The built site: strict, complete, nothing of the network; in Chromium no overflow and no faults of access."""

import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import spanish_tok as st
from spanish_tok.cli import VERBS
from tests.chromium import Opened
from tests.docs.blocks import TOP

LOADS = {
    ("script", "src"),
    ("link", "href"),
    ("img", "src"),
    ("iframe", "src"),
    ("source", "src"),
    ("use", "href"),
}
MEASURED = [
    "index.html",
    "how-to/index.html",
    "how-to/finetune.html",
    "how-to/trim.html",
    "reference/measure.html",
    "benchmarks.html",
    "playground.html",
]


class Loads(HTMLParser):
    """What a page loads by itself, and its anchors."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            if value and (tag, name) in LOADS and not (tag == "link" and ("rel", "canonical") in attrs):
                self.loaded.append(value)


def test_every_public_name_and_verb_has_an_anchor(site: Path) -> None:
    anchors: set[str] = set()
    for page in (site / "reference").glob("*.html"):
        anchors |= Loads(page.read_text(encoding="utf-8")).anchors
    assert {f"spanish_tok.{name}" for name in st.__all__ if not name.startswith("__")} <= anchors
    verbs = Loads((site / "reference/command-line.html").read_text(encoding="utf-8")).anchors
    assert set(VERBS) <= verbs


def test_no_page_loads_anything_of_the_network(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 40
    for page in pages:
        for address in Loads(page.read_text(encoding="utf-8")).loaded:
            assert not re.match(r"(https?:)?//", address), f"{page}: {address}"
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(https?:)?//|@import", sheet.read_text(encoding="utf-8")), sheet


def test_the_first_page_cuts_its_text_as_the_tokenizer_does(site: Path, tokenizer: st.Tokenizer) -> None:
    page = (site / "index.html").read_text(encoding="utf-8")
    text = re.search("<!-- pieces: (.*) -->", (TOP / "docs/index.md").read_text(encoding="utf-8"))
    assert text
    shown = re.findall(r'<li class="pg-piece-\d">(.*?)<span>(\d+)</span>', page)
    assert [unescape(piece) for piece, _ in shown] == tokenizer.tokens(text[1])
    assert [int(number) for _, number in shown] == tokenizer.encode(text[1])


@pytest.mark.parametrize("name", MEASURED)
def test_a_page_fits_its_window_and_asks_for_nothing(name: str, site: Path, browser: Any) -> None:
    for width in (390, 1280):
        for scheme in ("light", "dark"):
            options = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
            opened = Opened(browser, site / name, **options)
            opened.must_be_usable()
            assert [url for url in opened.requests if not url.startswith(("file:", "data:", "blob:"))] == []
