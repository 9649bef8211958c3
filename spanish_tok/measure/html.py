"""The report: one HTML page with verdicts, cards, plots, a live box and tables.

The box cuts typed text into pieces.

Nothing comes from the network (a Content-Security-Policy forbids it), all text of users is escaped, and the
box works in the page itself, by the vocabulary's own normalization and scores.
"""

import base64
import hashlib
import json
import os
import re
import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any, TextIO

from spanish_tok._version import __version__
from spanish_tok.errors import SpanishTokError
from spanish_tok.files import atomic_path, write_json
from spanish_tok.files.outputs import Location, check_new_file
from spanish_tok.measure.svg import Plot
from spanish_tok.measure.tables import Card, ReportTable, Verdict, print_tables, print_verdicts
from spanish_tok.tokenization.compiler import compile_vocabulary
from spanish_tok.vocab.vocabulary import RESOLUTION, Vocabulary

SLOT = re.compile(r"<!--slot:(\w+)-->|\{\{(\w+)\}\}")
SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
TOKENIZER = "<!--slot:tokenizer-->"
MARKS = {"yes": "✓ yes", "no": "✗ no", "unsure": "? cannot be told"}
COLOURS = 4
WIDE = 4  # columns, from which on a phone shows each row as a list


class Reported:
    """A result that is shown as tables, written as JSON, or as one HTML page."""

    def title(self) -> str:
        """Return the title of the page."""
        raise NotImplementedError

    def verdicts(self) -> list[Verdict]:
        """Return what stands on top: is it right, fast, good?"""
        return []

    def cards(self) -> list[Card]:
        """Return the figures that are worth a box of their own."""
        return []

    def tables(self) -> list[ReportTable]:
        """Return all tables, in the order of reading."""
        raise NotImplementedError

    def plots(self) -> list[Plot]:
        """Return all plots."""
        raise NotImplementedError

    def live_vocabulary(self) -> Vocabulary:
        """Return the vocabulary of the page's box, which cuts typed text into pieces."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        raise NotImplementedError

    def show(self, out: TextIO | None = None) -> None:
        """Print verdicts and tables as a person reads them, on standard output by default."""
        print_verdicts(self.verdicts(), out or sys.stdout)
        print_tables(self.tables(), out or sys.stdout)

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write all figures as JSON."""
        write_json(path, self.to_dict())

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """Write the report: one page, which asks the network for nothing."""
        page = report_page(
            self.title(), self.tables(), self.plots(), self.live_vocabulary(), self.verdicts(), self.cards()
        )
        with atomic_path(Path(path)) as partial:
            partial.write_text(page, encoding="utf-8")

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the report or the figures, as the suffix of the path says: .html or .json."""
        (self.to_html if kind_of(path) == ".html" else self.to_json)(path)


class ReportFiles:
    """The files that a verb writes its result to, checked before the work.

    output: a page or figures, as the suffix says; html: a page; json: figures. inputs: what is read. Raises
    SpanishTokError for another suffix, and for a file that cannot be written or, without `force`, is there.
    """

    def __init__(
        self,
        output: Location | None,
        html: Location | None,
        json: Location | None,
        inputs: Sequence[Location],
        *,
        force: bool,
    ) -> None:
        for path in (output, html, json):
            check_new_file(path, inputs, force=force)
        is_page = output is not None and kind_of(output) == ".html"
        self.pages = [path for path in (html, output if is_page else None) if path is not None]
        self.figures = [path for path in (json, None if is_page else output) if path is not None]

    def write(self, result: Reported) -> None:
        """Write a result to each of them."""
        for path in self.pages:
            result.to_html(path)
        for path in self.figures:
            result.to_json(path)


def kind_of(path: Location) -> str:
    """Return the suffix of a report, .html or .json.

    Raises SpanishTokError for any other.
    """
    suffix = Path(path).suffix
    if suffix not in (".html", ".json"):
        raise SpanishTokError(f"{path} is neither .html nor .json", "Give one of these suffixes.")
    return suffix


def report_page(
    title: str,
    tables: Sequence[ReportTable],
    plots: Sequence[Plot],
    vocabulary: Vocabulary,
    verdicts: Sequence[Verdict] = (),
    cards: Sequence[Card] = (),
) -> str:
    """Return the page as text.

    All slots are filled in one pass, so that no value fills another's.
    """
    here = Path(__file__)
    template = here.with_name("report.html").read_text(encoding="utf-8")
    template = template.replace(TOKENIZER, here.with_name("tokenizer.js").read_text(encoding="utf-8"))
    slots = {
        "title": escape(title),
        "hash": _script_hash(template),
        "verdicts": verdicts_html(verdicts),
        "contents": contents_html(tables),
        "cards": cards_html(cards),
        "tables": "\n".join(table_html(table, index) for index, table in enumerate(tables)),
        "plots": "\n".join(
            f"<figure><figcaption>{escape(p.caption)}</figcaption>{p.svg()}</figure>" for p in plots
        ),
        "data": json_for_html(live_data(vocabulary)),
        "version": escape(__version__),
    }
    return SLOT.sub(lambda slot: slots[slot[1] or slot[2]], template)


def verdicts_html(verdicts: Sequence[Verdict]) -> str:
    """Return the list on top: question and mark, answer, rule."""
    items = "".join(
        f'<li class="{verdict.mark}"><strong>{escape(verdict.question)} {MARKS[verdict.mark]}</strong>'
        f'<span class="answer">{escape(verdict.answer)}</span><span class="note">{escape(verdict.rule)}</span></li>'
        for verdict in verdicts
    )
    return f'<ul class="verdicts" aria-label="Verdicts">{items}</ul>' if items else ""


def contents_html(tables: Sequence[ReportTable]) -> str:
    """Return the entries of the contents list."""
    entries = [("plots", "Plots"), ("try", "Try it")]
    entries += [(f"table-{index}", table.caption) for index, table in enumerate(tables)]
    return "".join(f'<li><a href="#{anchor}">{escape(name)}</a></li>' for anchor, name in entries)


def cards_html(cards: Sequence[Card]) -> str:
    """Return the boxes of single figures."""
    boxes = "".join(
        f'<div><dt>{escape(card.name)}</dt><dd class="value">{escape(card.value)}</dd>'
        + (f'<dd class="beside">{escape(card.note)}</dd>' if card.note else "")
        + "</div>"
        for card in cards
    )
    return f'<dl class="cards">{boxes}</dl>' if boxes else ""


def _script_hash(page: str) -> str:
    """Return the hash by which the page's policy allows its own script alone."""
    (script,) = SCRIPT.findall(page)
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def json_for_html(value: Any) -> str:
    """Return JSON that can stand inside a script element.

    No character of it can end the element or open a comment.

    >>> json_for_html("</script><!--")
    '"\\\\u003c/script\\\\u003e\\\\u003c!--"'
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return re.sub("[<>&\u2028\u2029]", lambda char: f"\\u{ord(char[0]):04x}", text)


def live_data(vocabulary: Vocabulary) -> dict[str, Any]:
    """Return what the box needs: pieces, whole scores, and the charsmap.

    A score of null marks a special.

    The pieces are left out if the page could not promise sentencepiece's ids.
    """
    if compile_vocabulary(vocabulary) is None:
        return {"size": len(vocabulary), "pieces": [], "scores": [], "charsmap": ""}
    special = vocabulary.special_ids
    scores = [
        None if token_id in special else round(score * RESOLUTION)
        for token_id, score in enumerate(vocabulary.scores)
    ]
    charsmap = base64.b64encode(vocabulary.charsmap).decode()
    return {"size": len(vocabulary), "pieces": vocabulary.pieces, "scores": scores, "charsmap": charsmap}


def table_html(table: ReportTable, place: int = 0) -> str:
    """Return a table below its heading; on a phone each row of a wide one is a list."""
    heads = "".join(
        f'<th scope="col" role="columnheader"{_side(table, index)}>{escape(name) or "figure"}</th>'
        for index, name in enumerate(table.columns)
    )
    rows = "".join(_row_html(table, row) for row in table.rows)
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    kind = ' class="wide"' if len(table.columns) >= WIDE else ""
    return (
        f'<h3 id="table-{place}">{escape(table.caption)}</h3>'
        f'<table{kind} role="table" aria-labelledby="table-{place}">'
        f'<thead role="rowgroup"><tr role="row">{heads}</tr></thead>'
        f'<tbody role="rowgroup">{rows}</tbody></table>{note}'
    )


def _row_html(table: ReportTable, row: tuple[str, ...]) -> str:
    name, *cells = row
    rest = "".join(
        f'<td role="cell" data-name="{escape(table.columns[index])}"{_side(table, index)}>'
        f"{pieces_html(cell) if index in table.cuts else escape(cell)}</td>"
        for index, cell in enumerate(cells, 1)
    )
    return f'<tr role="row"><th scope="row" role="rowheader">{escape(name)}</th>{rest}</tr>'


def pieces_html(cut: str) -> str:
    """Return a word's pieces, which spaces separate, each in a colour.

    >>> pieces_html("▁ca sa")
    '<span class="piece-0">▁ca</span><span class="piece-1">sa</span>'
    """
    return "".join(
        f'<span class="piece-{index % COLOURS}">{escape(piece)}</span>'
        for index, piece in enumerate(cut.split(" "))
    )


def _side(table: ReportTable, column: int) -> str:
    if column in table.cuts:
        return ' class="cut" lang="es"'
    return ' class="number"' if table.is_number(column) else ""
