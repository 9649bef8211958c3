"""The report: one self-contained HTML page with tables, plots and a box that cuts typed text into pieces.

Nothing comes from the network (a Content-Security-Policy forbids it), all text of users is escaped, and the
box works in the page itself, by the vocabulary's own normalization and scores.
"""

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from spanish_tok._version import __version__
from spanish_tok.files import atomic_path
from spanish_tok.measure.svg import Plot
from spanish_tok.measure.tables import ReportTable
from spanish_tok.tokenization.compiler import compile_vocabulary
from spanish_tok.vocab.vocabulary import RESOLUTION, Vocabulary

SLOT = re.compile(r"<!--slot:(\w+)-->|\{\{(\w+)\}\}")
SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def write_report(
    path: Path, title: str, tables: Sequence[ReportTable], plots: Sequence[Plot], vocabulary: Vocabulary
) -> None:
    """Write the page: tables and plots as given, and the live box of `vocabulary`, whole or not at all."""
    page = report_page(title, tables, plots, vocabulary)
    with atomic_path(path) as partial:
        partial.write_text(page, encoding="utf-8")


def report_page(
    title: str, tables: Sequence[ReportTable], plots: Sequence[Plot], vocabulary: Vocabulary
) -> str:
    """The page as text. A value never fills a slot of another: all are filled in one pass."""
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
    """The hash by which the policy of the page allows its own script and no other."""
    (script,) = SCRIPT.findall(template)
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def json_for_html(value: Any) -> str:
    """JSON that can stand inside a script element: no character of it can end the element or open a comment.

    >>> json_for_html("</script><!--")
    '"\\\\u003c/script\\\\u003e\\\\u003c!--"'
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return re.sub("[<>&\u2028\u2029]", lambda char: f"\\u{ord(char[0]):04x}", text)


def live_data(vocabulary: Vocabulary) -> dict[str, Any]:
    """What the box needs: pieces, whole scores (null: a special), and the normalization as SentencePiece compiles it.

    A vocabulary whose ids the page could not promise to be sentencepiece's comes without pieces.
    """
    if compile_vocabulary(vocabulary) is None:
        return {"size": len(vocabulary), "pieces": [], "scores": [], "charsmap": ""}
    special = vocabulary.special_ids
    scores = [
        None if number in special else round(score * RESOLUTION)
        for number, score in enumerate(vocabulary.scores)
    ]
    charsmap = base64.b64encode(vocabulary.charsmap).decode()
    return {"size": len(vocabulary), "pieces": vocabulary.pieces, "scores": scores, "charsmap": charsmap}


def table_html(table: ReportTable) -> str:
    """A table with caption and header cells, in a box that scrolls sideways by touch and by keyboard."""
    heads = "".join(
        f'<th scope="col"{_side(table, place)}>{escape(name) or "figure"}</th>'
        for place, name in enumerate(table.columns)
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
    rest = "".join(f"<td{_side(table, place)}>{escape(cell)}</td>" for place, cell in enumerate(cells, 1))
    return f'<tr><th scope="row">{escape(name)}</th>{rest}</tr>'


def _side(table: ReportTable, column: int) -> str:
    return ' class="number"' if table.is_number(column) else ""
