"""The report: one HTML page with tables, plots and a live box.

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
from spanish_tok.measure.svg import Plot
from spanish_tok.measure.tables import ReportTable, print_tables
from spanish_tok.tokenization.compiler import compile_vocabulary
from spanish_tok.vocab.vocabulary import RESOLUTION, Vocabulary

SLOT = re.compile(r"<!--slot:(\w+)-->|\{\{(\w+)\}\}")
SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


class Reported:
    """A result that is shown as tables, written as JSON, or as one HTML page."""

    def title(self) -> str:
        """Return the title of the page."""
        raise NotImplementedError

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
        """Print the tables as a person reads them, on standard output by default."""
        print_tables(self.tables(), out or sys.stdout)

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write all figures as JSON."""
        write_json(path, self.to_dict())

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """Write the report: one page, which asks the network for nothing."""
        write_report(Path(path), self.title(), self.tables(), self.plots(), self.live_vocabulary())

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the report or the figures, as the suffix of the path says: .html or .json."""
        suffix = Path(path).suffix
        if suffix not in (".html", ".json"):
            raise SpanishTokError(f"{path} is neither .html nor .json", "Give one of these suffixes.")
        (self.to_html if suffix == ".html" else self.to_json)(path)


def write_report(
    path: Path, title: str, tables: Sequence[ReportTable], plots: Sequence[Plot], vocabulary: Vocabulary
) -> None:
    """Write the page, whole or not at all.

    Tables and plots as given, and the live box of `vocabulary`.
    """
    page = report_page(title, tables, plots, vocabulary)
    with atomic_path(path) as partial:
        partial.write_text(page, encoding="utf-8")


def report_page(
    title: str, tables: Sequence[ReportTable], plots: Sequence[Plot], vocabulary: Vocabulary
) -> str:
    """Return the page as text.

    All slots are filled in one pass, so that no value fills another's.
    """
    template = Path(__file__).with_name("report.html").read_text(encoding="utf-8")
    slots = {
        "title": escape(title),
        "hash": _script_hash(template),
        "tables": "\n".join(map(table_html, tables)),
        "plots": "\n".join(
            f"<figure><figcaption>{escape(p.caption)}</figcaption>{p.svg()}</figure>" for p in plots
        ),
        "data": json_for_html(live_data(vocabulary)),
        "version": escape(__version__),
    }
    return SLOT.sub(lambda slot: slots[slot[1] or slot[2]], template)


def _script_hash(template: str) -> str:
    """Return the hash by which the page's policy allows its own script alone."""
    (script,) = SCRIPT.findall(template)
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


def table_html(table: ReportTable) -> str:
    """Return a table with caption and header cells, in a box that scrolls sideways."""
    heads = "".join(
        f'<th scope="col"{_side(table, index)}>{escape(name) or "figure"}</th>'
        for index, name in enumerate(table.columns)
    )
    rows = "".join(_row_html(table, row) for row in table.rows)
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    return (
        f'<div class="table" role="region" tabindex="0" aria-label="{escape(table.caption)}">'
        f"<table><caption>{escape(table.caption)}</caption><thead><tr>{heads}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div>{note}"
    )


def _row_html(table: ReportTable, row: tuple[str, ...]) -> str:
    name, *cells = row
    rest = "".join(f"<td{_side(table, index)}>{escape(cell)}</td>" for index, cell in enumerate(cells, 1))
    return f'<tr><th scope="row">{escape(name)}</th>{rest}</tr>'


def _side(table: ReportTable, column: int) -> str:
    return ' class="number"' if table.is_number(column) else ""
