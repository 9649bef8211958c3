"""The playground in Chromium: Tokenizer's ids on every code point, the fills of `generate`, no network."""

import json
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from spanish_tok import Generator, Tokenizer
from spanish_tok.text.alphabet import CODE_POINTS, SURROGATES
from tests.chromium import Opened
from tests.docs.blocks import TOP

NEAR = 0.001  # logits so near that the order of sums may decide
MOST_NEAR = 2
MOST_BYTES = 10_000_000
PROMPTS: list[str] = json.loads((TOP / "tests/cases/fill-prompts.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def opened(browser: Any, site: Path) -> Opened:
    return Opened(browser, site / "playground.html")


def test_ids_and_offsets_are_those_of_the_tokenizer_on_every_code_point(
    opened: Opened, tokenizer: Tokenizer
) -> None:
    texts = [f"a{chr(code)}b{chr(code)}" for code in range(CODE_POINTS) if code not in SURROGATES]
    for begin in range(0, len(texts), 100_000):
        part = texts[begin : begin + 100_000]
        found = opened.page.evaluate("texts => texts.map(spanishTok.encode)", part)
        right = tokenizer.encode_column(part).to_pylist()
        assert found == right, next(ascii(t) for t, a, b in zip(part, found, right, strict=True) if a != b)


@pytest.mark.slow
def test_fills_are_those_of_the_command(opened: Opened) -> None:
    """Greedy with int8 weights, all 128 ids; where two logits are nearly one, another id may be taken."""
    assert len(PROMPTS) == 50
    expected = Generator.load(precision="int8").generate(PROMPTS)
    near = []
    for prompt, right in zip(PROMPTS, expected, strict=True):
        found = opened.page.evaluate("text => spanishTok.fill(text)", prompt)
        if tuple(found["ids"]) != right.ids:
            assert found["near"] < NEAR, (prompt, found["text"], right.text)
            near.append((prompt, found["text"], right.text))
    assert len(near) <= MOST_NEAR, near


def test_a_gap_is_filled_in_the_page(opened: Opened) -> None:
    page = opened.page
    page.click("#pg-fill")
    page.wait_for_function(
        "document.getElementById('pg-time').textContent.includes('ids in')", timeout=120_000
    )
    assert page.inner_text("#pg-filled") == "los archivos que se encuentran en el directorio indicado ."
    assert opened.complaints == []
    assert all(url.startswith(("file:", "data:", "blob:")) for url in opened.requests)


def test_markup_stays_text_and_a_wrong_gap_is_told(browser: Any, site: Path) -> None:
    page = Opened(browser, site / "playground.html").page
    page.fill("#pg-text", "<img src=x onerror=\"document.title='taken'\">")
    assert page.locator("#playground img").count() == 0
    page.fill("#pg-prompt", "<extra_id_0> y <extra_id_0>")
    page.click("#pg-fill")
    page.wait_for_function("document.getElementById('pg-filled').textContent.includes('twice')")


def test_a_server_gives_the_same_page(browser: Any, site: Path, tokenizer: Tokenizer) -> None:
    class Quiet(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(site))

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/playground.html")
        assert page.evaluate("spanishTok.encode('Hola Mundo')") == tokenizer.encode("Hola Mundo")
        page.close()
        server.shutdown()


def test_what_is_transferred_is_small(site: Path) -> None:
    import gzip

    scripts = (site / "assets/playground").glob("*.js")
    assert sum(len(gzip.compress(path.read_bytes(), 6)) for path in scripts) < MOST_BYTES
