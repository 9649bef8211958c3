"""The page in a real browser: the same ids as sentencepiece, text that stays text, no network, readable by everyone."""

import random
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from spanish_tok import Tokenizer, normalize_column
from spanish_tok.measure.figures.texts import texts_of
from spanish_tok.measure.html import report_page
from spanish_tok.measure.svg import bars, columns, line
from spanish_tok.measure.tables import Card, ReportTable, Verdict
from spanish_tok.measure.verify import AWKWARD, sample_sentences
from spanish_tok.text.alphabet import CODE_POINTS, SPANISH, SURROGATES
from spanish_tok.vocab.vocabulary import Vocabulary
from tests.chromium import Opened


def write_report(path: Path, *parts: Any) -> None:
    path.write_text(report_page(*parts), encoding="utf-8")


HOSTILE = "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"
TABLE = ReportTable(
    "Words <b>cut</b>", ("word", "times"), ((HOSTILE, "3"), ("</table>{{title}}<!--slot:data-->", "1"))
)
PLOTS = [
    bars("Speed " + HOSTILE, [("ours", 9.0, "9 MB/s"), (HOSTILE, 3.0, "3")]),
    columns("Lengths", "tokens", [("1", 5), ("2", 9)]),
    line("Tokens", "ids", [(1000, 2.5), (5000, 1.9)]),
]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    verdicts = [Verdict("Right? " + HOSTILE, "yes", HOSTILE, HOSTILE), Verdict("Good?", "unsure", "x", "y")]
    cards = [Card(HOSTILE, "1", HOSTILE), Card("ids", "5,000")]
    write_report(path, "Report " + HOSTILE, [TABLE], PLOTS, tokenizer.vocabulary, verdicts, cards)
    return path


@pytest.fixture(scope="module")
def opened(browser: Any, report: Path) -> Opened:
    return Opened(browser, report)


def expected(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    """sentencepiece's ids; half a surrogate pair, an error in Python, counts as U+FFFD in the page."""
    whole = ["".join("\ufffd" if ord(char) in SURROGATES else char for char in text) for text in texts]
    return [tokenizer.encode(text) for text in whole]


def check_ids(opened: Opened, tokenizer: Tokenizer, texts: list[str]) -> None:
    found = opened.page.evaluate("texts => texts.map(spanishTok.encode)", texts)
    for text, ids, right in zip(texts, found, expected(tokenizer, texts), strict=True):
        assert ids == right, ascii(text)


def test_ids_of_sentences_and_awkward_texts(opened: Opened, tokenizer: Tokenizer) -> None:
    decomposed = ["MAN\u0303ANA", "n\u0303n\u0303\u0303", "\u0301a", "a\u0301\u0301", "U\u0308\u0301"]
    odd = [
        "ho\0la",
        "\0",
        "a\u2581b",
        "😀",
        "𝐇𝐨𝐥𝐚 👨‍👩‍👧 🇪🇸",
        "\ufeffx\u200b\u00ad",
        "½½ ⅓",
        "  a   b  ",
        "\u3000",
        "﷽ﷺ",
    ]
    check_ids(
        opened,
        tokenizer,
        [*texts_of().column.to_pylist(), *sample_sentences(), *AWKWARD, *decomposed, *odd],
    )


def test_lone_surrogates(browser: Any, report: Path, tokenizer: Tokenizer) -> None:
    """They cannot be sent to the page as text, so they are made there."""
    page = Opened(browser, report).page
    cases = {
        "'a\\ud800b'": "a\ud800b",
        "'\\udc00'": "\udc00",
        "'\\ud83d' + 'x'": "\ud83dx",
        "'n\\u0303\\udfff'": "ñ\udfff",
    }
    for code, text in cases.items():
        assert page.evaluate(f"spanishTok.encode({code})") == expected(tokenizer, [text])[0]
    page.evaluate("document.getElementById('text').value = 'a\\ud800b'; draw()")
    assert "lone surrogate" in page.inner_text("#status")


def test_every_code_point(opened: Opened, tokenizer: Tokenizer) -> None:
    """Each between two letters is normalized as by the kernel, and every text that comes out has the right ids."""
    code = (
        "([begin, end]) => Array.from({length: end - begin},"
        " (_, k) => spanishTok.normalize('a' + String.fromCodePoint(begin + k) + 'b')).join('\\n')"
    )
    outcomes = set()
    for begin in range(0, CODE_POINTS, 1 << 16):
        codes = [code for code in range(begin, begin + (1 << 16)) if code not in SURROGATES]
        right = normalize_column([f"a{chr(code)}b" for code in codes]).to_pylist()
        found = opened.page.evaluate(code, [begin, begin + (1 << 16)]).split("\n")
        found = [text for place, text in enumerate(found) if begin + place not in SURROGATES]
        assert not [f"U+{code:04X}" for code, a, b in zip(codes, found, right, strict=True) if a != b]
        outcomes.update(right)
    check_ids(opened, tokenizer, sorted(outcomes))


def test_ids_of_random_texts(opened: Opened, tokenizer: Tokenizer) -> None:
    drawn = random.Random(3)
    characters = SPANISH + "ÁÉÑÜ\u0301\u0303\u0308½…😀\u00a0\u200b\0\t北ё"
    texts = ["".join(drawn.choices(characters, k=drawn.randrange(80))) for _ in range(2000)]
    texts += [
        "".join(chr(drawn.choice((drawn.randrange(0x250), drawn.randrange(0xD800)))) for _ in range(30))
        for _ in range(500)
    ]
    check_ids(opened, tokenizer, texts)


def test_ids_of_real_records(opened: Opened, tokenizer: Tokenizer, corpus: pa.ChunkedArray) -> None:
    check_ids(opened, tokenizer, corpus.take(pa.array(range(0, len(corpus), 200))).to_pylist())


def test_typing_shows_pieces_ids_and_changes(browser: Any, report: Path, tokenizer: Tokenizer) -> None:
    page = Opened(browser, report).page
    page.fill("#text", "¡Qué FRÍA!")
    assert page.eval_on_selector_all(
        "#pieces li", "all => all.map(li => li.firstChild.textContent)"
    ) == tokenizer.tokens("¡Qué FRÍA!")
    assert page.eval_on_selector_all(
        "#pieces .id", "all => all.map(id => Number(id.textContent))"
    ) == tokenizer.encode("¡Qué FRÍA!")
    assert page.inner_text("#after") == "¡qué fría!"
    assert page.eval_on_selector_all("mark", "all => all.map(mark => mark.textContent).join('')") == "QFRÍA"
    assert "U+00CD" in page.inner_text("#changes")
    page.fill("#text", "")
    assert page.locator("#pieces li").count() == 0


def test_hostile_text_is_text(browser: Any, report: Path) -> None:
    opened = Opened(browser, report)
    page = opened.page
    assert page.title() == "Report " + HOSTILE
    assert page.inner_text("h1") == "Report " + HOSTILE
    assert page.inner_text("tbody th >> nth=0") == HOSTILE
    assert "</table>{{title}}<!--slot:data-->" in page.inner_text("#figures ~ table")
    page.fill("#text", HOSTILE + "</script><svg onload=alert(1)>")
    page.wait_for_timeout(100)
    assert page.inner_text("#before") == HOSTILE + "</script><svg onload=alert(1)>"
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 2
    assert "taken" not in page.title().removeprefix("Report " + HOSTILE)
    assert opened.complaints == []


def test_hostile_pieces_are_text(browser: Any, tokenizer: Tokenizer, tmp_path: Path) -> None:
    """A vocabulary may come from anybody: pieces that would end the script element do not."""
    piece = "</script><img/src/onerror=1>"
    scores = {
        p: s for p, s in zip(tokenizer.vocabulary.pieces, tokenizer.vocabulary.scores, strict=True) if s < 0
    }
    from spanish_tok.text.table import spanish_table

    hostile = Vocabulary.build({**scores, piece: -0.5, "<!--<script>": -0.5}, 100, spanish_table())
    write_report(tmp_path / "r.html", "x", [], [], hostile)
    page = Opened(browser, tmp_path / "r.html").page
    text = f"a {piece} <!--<script> b"
    assert page.evaluate("spanishTok.encode", text) == Tokenizer(hostile).encode(text)
    assert page.locator("img").count() == 0


def test_nothing_comes_from_the_network_and_the_policy_holds(opened: Opened, report: Path) -> None:
    assert opened.requests == [report.as_uri()]
    assert report.stat().st_size < 3_000_000
    opened.page.evaluate(
        "const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s)"
    )
    assert opened.page.evaluate("window.ran") is None
    assert (
        opened.page.evaluate("fetch('https://ejemplo.es/').then(() => 'reached', () => 'refused')")
        == "refused"
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_everyone_can_read_it(browser: Any, report: Path, scheme: str, width: int) -> None:
    """axe-core finds nothing (WCAG 2.2 AA and its best practices, contrast included), and no width overflows."""
    options = {"color_scheme": scheme, "viewport": {"width": width, "height": 800}, "bypass_csp": True}
    Opened(browser, report, **options).must_be_usable()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_prints_on_white_paper_and_nothing_is_cut(
    browser: Any, report: Path, scheme: str, tmp_path: Path
) -> None:
    """A4 with 1 cm around: nothing is wider than the page, and what may not be broken is lower than one."""
    width, height = 718, 1046  # pixels of CSS
    page = Opened(browser, report, viewport={"width": width, "height": height}).page
    page.emulate_media(media="print", color_scheme=scheme)
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator("#try, #text, .contents").first.is_visible()
    boxes = page.eval_on_selector_all(
        ".verdicts li, .cards div, figure, svg, table, tr, h1, h2, #figures ~ p",
        "all => all.map(one => [one.tagName, one.getBoundingClientRect().toJSON()])",
    )
    shown = [(name, box) for name, box in boxes if box["width"]]
    assert len(shown) > 10
    for name, box in shown:
        assert -0.5 <= box["left"] <= box["right"] <= width + 0.5, (name, box)
        assert name == "TABLE" or box["height"] < height, (name, box)
    around = dict.fromkeys(("top", "right", "bottom", "left"), "1cm")
    pdf = page.pdf(path=tmp_path / "report.pdf", format="A4", margin=around, print_background=True)
    assert pdf.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) >= 1


WIDE = ReportTable(
    "On the normalized text",
    ("vocabulary", "library", "ids", "tokens", "it : first", "characters per token", "bytes per token",
     "tokens per word", "words in one piece", "pieces that occur", "Rényi efficiency", "<unk>"),
    (("mi-vocabulario-de-nombre-largo", "spanish-tok", "5,000", "14,380,123", "0.935 (95 %: 0.926 to 0.944)", "2.729",
      "2.816", "2.045", "66.84 %", "23.46 %", "0.5217", "0"),) * 3,
)  # fmt: skip


@pytest.mark.parametrize("width", [320, 390, 700, 720, 768, 900, 992, 1000, 1280])
def test_a_wide_table_fits_every_window_and_a_sheet(
    browser: Any, tokenizer: Tokenizer, tmp_path: Path, width: int
) -> None:
    write_report(tmp_path / "r.html", "x", [WIDE], PLOTS, tokenizer.vocabulary)
    page = Opened(browser, tmp_path / "r.html", viewport={"width": width, "height": 800}).page
    for media in ("screen", "print"):
        page.emulate_media(media=media)
        if media == "screen" or width >= 700:
            assert page.evaluate("document.documentElement.scrollWidth") <= width, media


def test_the_keyboard_reaches_everything(browser: Any, report: Path) -> None:
    page = Opened(browser, report).page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the live box"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "text"
    page.keyboard.type("x")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.input_value("#text") == "¡Qué MAÑANA tan fría!"


def test_the_contents_lead_to_every_table(browser: Any, report: Path) -> None:
    page = Opened(browser, report).page
    links = page.locator("nav a").evaluate_all("links => links.map(link => [link.textContent, link.hash])")
    assert [name for name, _ in links] == ["Plots", "Try it", TABLE.caption]
    assert all(page.locator(anchor).count() == 1 for _, anchor in links)


def test_offsets_are_those_of_the_tokenizer(opened: Opened, tokenizer: Tokenizer) -> None:
    texts = [
        *AWKWARD,
        *sample_sentences(),
        "Buenos   días",
        "N\u0303u ½",
        "  ½ hola\u0301 ",
        "\ufeffa\ufeff b",
        "21½",
    ]
    texts = [text for text in texts if not any(ord(char) in SURROGATES for char in text)]
    found = opened.page.evaluate("texts => texts.map(spanishTok.offsets)", texts)
    for text, spans in zip(texts, found, strict=True):
        assert [tuple(span) for span in spans] == tokenizer.offsets(text), ascii(text)


def test_a_vocabulary_that_the_page_cannot_promise_has_no_box(
    browser: Any, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    scores = tuple(score - 1e-5 for score in tokenizer.vocabulary.scores)
    foreign = Vocabulary(tokenizer.vocabulary.pieces, scores, 100, tokenizer.vocabulary.charsmap)
    write_report(tmp_path / "r.html", "x", [TABLE], [], foreign)
    opened = Opened(browser, tmp_path / "r.html")
    assert "No live box" in opened.page.inner_text("#live")
    assert opened.complaints == []


def test_plots_say_what_they_show() -> None:
    page = report_page("x", [], PLOTS, Tokenizer.load().vocabulary)
    assert page.count('role="img"') == 3
    assert "1,000: 2.500, 5,000: 1.900" in page
    assert "Lengths, by tokens: 1: 5, 2: 9" in page
