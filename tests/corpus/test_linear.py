"""Every rule of cleaning takes time in proportion to the text: measured on 28 kinds of hostile ones."""

import gc
import time
from collections.abc import Callable

import pyarrow as pa
import pytest

from spanish_tok.corpus.cleaning import clean_batch
from spanish_tok.corpus.repairs import STEPS

SMALL = 10_000
MOST_RATIO = 3.0  # of the process time a byte, large to small
SLACK = 2e-3  # seconds a run that a small text may take whatever its length

# what a text is made of; the first part stands once, the second is repeated
KINDS: dict[str, tuple[str, str]] = {
    "unclosed tags": ("", "<b "),
    "nested tags": ("", "<div><p>"),
    "unclosed comments": ("", "<!-- a "),
    "comments": ("", "<!-- a --> b "),
    "doctypes": ("", "<!doctype a "),
    "entities in chains": ("", "&amp;amp;amp;"),
    "ampersands": ("", "&"),
    "entities without a semicolon": ("", "&#1234567"),
    "layered mojibake": ("", "ÃƒÂ±"),
    "mojibake in parts": ("ñ ", "aÃ±o â€œ "),
    "broken mojibake": ("", "Ã\x83Â "),
    "control characters": ("", "\x07\u200b\x9d"),
    "long digits": ("<b>x</b> ", "7"),
    "digits and spaces": ("<b>x</b> --> ", "7 "),
    "spaces after digits": ("<b>x</b> 77", " "),
    "times without an arrow": ("{\\an8}", "00:00:01,000 "),
    "tags of subtitles": ("", "{\\an8"),
    "one word repeated": ("", "no "),
    "marks alone": ("a", "\u0301"),
    "no spaces": ("<b>", "ñandú"),
    "spaces alone": ("<b>a", " "),
    "line ends": ("<b>a", "\n"),
    "beginnings of tags": ("", "<"),
    "ends of comments": ("<!-- a", "-->"),
    "braces": ("{\\an8", "{}"),
    "times with commas": ("{\\an8}", ",123"),
    "letters and marks": ("<b>", "n\u0303e\u0301"),
    "emoji": ("<b>", "😀\ufe0f\u200d"),
}


def text_of(kind: str, size: int) -> str:
    first, part = KINDS[kind]
    return first + part * max(1, (size - len(first.encode())) // len(part.encode()))


def seconds(work: Callable[[], object], times: int) -> float:
    """The shortest of some process times."""
    found = []
    for _ in range(times):
        begun = time.process_time()
        work()
        found.append(time.process_time() - begun)
    return min(found)


@pytest.mark.parametrize(
    ("size", "times"),
    [(100_000, 2), pytest.param(1_000_000, 5, marks=pytest.mark.slow)],
    ids=["small", "whole"],
)
@pytest.mark.parametrize("kind", KINDS)
def test_cleaning_is_linear(kind: str, size: int, times: int) -> None:
    """All rules together on one record, then each repair alone; small texts many at a time, as clocks are coarse."""
    small, large = text_of(kind, SMALL), text_of(kind, size)
    many = size // SMALL
    gc.disable()
    try:
        columns = pa.record_batch({"text": [small] * many}), pa.record_batch({"text": [large]})
        rules: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
            "all": (lambda: clean_batch(columns[0]), lambda: clean_batch(columns[1]))
        }
        for name, repair in STEPS.items():
            rules[name] = (
                lambda repair=repair: [repair(small, 2) for _ in range(many)],  # type: ignore[misc]
                lambda repair=repair: repair(large, 2),  # type: ignore[misc]
            )
        for name, (on_small, on_large) in rules.items():
            on_large()
            ratio = seconds(on_large, times) / (seconds(on_small, times) + SLACK)
            assert ratio < MOST_RATIO, f"{name}: {ratio:.1f} times the work a byte"
    finally:
        gc.enable()
