"""Clean records: repair or reject them, and count what each rule did.

Rules run over whole columns. A compiled scan flags the few records that a repair may concern; only those
become Python strings. Everything that rejects is measured on the normalized text, in one compiled pass.
"""

from dataclasses import dataclass, fields
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from spanish_tok.corpus.repairs import STEPS
from spanish_tok.files import shipped
from spanish_tok.kernels.bytes import MULTIPLIER
from spanish_tok.kernels.text import clean as kernels
from spanish_tok.kernels.text.normalize import normalize_records
from spanish_tok.options import changed
from spanish_tok.text.arrow import bytes_and_offsets, text_chunks
from spanish_tok.text.packed_table import packed_spanish

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class CleanOptions:
    """The rules in the order in which they are applied, each with its parameter.

    0 switches a rule off.

    Repairs:
    mojibake: undo UTF-8 that was read as Windows-1252 or Latin-1, up to so many times ("aÃ±o" -> "año")
    entities: resolve HTML entities, up to so many times ("&amp;ntilde;" -> "ñ")
    tags: take out the tags of HTML, each a space where it ends a line or block
    subtitles: take out the tags and times of subtitles ("{\\\\an8}", "00:01:02,345 --> 00:01:04,000")
    control: take out control characters and those that cannot be seen (U+0007, U+200B, U+FEFF)

    Rejections, measured on the normalized text, in which a word is what stands between spaces:
    empty: nothing but white space
    signs: no letter and no digit
    repeated: one word so often in direct succession, or more
    letters: a smaller share than this of the characters is letters (spaces left out)
    short: fewer words with a letter than this
    long: more characters than this
    spanish: a smaller share than this of the words is Spanish function words (asked of 8 words or more)
    duplicate: the normalized text of a record before
    near_duplicate: the letters and digits of a record before
    """

    mojibake: int = 2
    entities: int = 2
    tags: int = 1
    subtitles: int = 1
    control: int = 1
    empty: int = 1
    signs: int = 1
    repeated: int = 10
    letters: float = 0.5
    short: int = 3
    long: int = 10_000
    spanish: float = 0.1
    duplicate: int = 1
    near_duplicate: int = 1


RULES = tuple(rule.name for rule in fields(CleanOptions))
REPAIRS = RULES[:5]
REJECTIONS = RULES[5:]
NOTHING = CleanOptions(*[0] * len(RULES))
KEPT = 0  # a reason; others are places in REJECTIONS, plus 1
FEWEST_WORDS = 8  # to judge a language by


@dataclass(frozen=True)
class Cleaned:
    """A batch after cleaning, row by row.

    batch: with the column text repaired, rejected rows still in it.
    repairs: uint8[rows], bit k set where rule REPAIRS[k] changed the text.
    reasons: uint8[rows], 0 where the row is kept, else 1 + the place in REJECTIONS of the rule that rejected it.
    near, exact: uint64[rows], hashes by which duplicates are found.
    """

    batch: pa.RecordBatch
    repairs: NDArray[np.uint8]
    reasons: NDArray[np.uint8]
    near: NDArray[np.uint64]
    exact: NDArray[np.uint64]


def clean_batch(batch: pa.RecordBatch, options: CleanOptions | None = None) -> Cleaned:
    """Apply all rules but those on duplicates to a batch with a column text.

    `Duplicates` finds duplicates.

    >>> cleaned = clean_batch(pa.record_batch({"text": ["El aÃ±o prÃ³ximo.", "....."]}))
    >>> cleaned.batch.column("text").to_pylist(), [reason_of(code) for code in cleaned.reasons]
    (['El año próximo.', '.....'], [None, 'signs'])
    """
    options = options or CleanOptions()
    batch, repairs = _repaired(batch, options)
    (texts,) = text_chunks(batch.column("text"))
    normalized = normalize_records(*bytes_and_offsets(texts), packed_spanish())
    measures, exact, near = kernels.measure(*normalized, function_words())
    reasons = np.zeros(len(texts), np.uint8)
    for reason, rejected in reversed(list(enumerate(_rejections(texts, measures, options), 1))):
        reasons[rejected] = reason
    return Cleaned(batch, repairs, reasons, near, exact)


def reason_of(code: int) -> str | None:
    """Return the rule that rejected a row; None if it was kept."""
    return REJECTIONS[code - 1] if code else None


def explain(text: str, options: CleanOptions | None = None, **changes: Any) -> list[tuple[str, str | None]]:
    """Return what the rules do to one text.

    That is (rule, text after it) for a repair, and (rule, None) for the rule that rejects it.

    changes: parameters of rules.

    >>> explain("<p>El a&ntilde;o pr\u00f3ximo</p>")
    [('entities', '<p>El año próximo</p>'), ('tags', 'El año próximo')]
    >>> explain("... ...")
    [('signs', None)]
    """
    options = changed(CleanOptions, options, changes)
    cleaned = clean_batch(pa.record_batch({"text": [text]}), options)
    steps: list[tuple[str, str | None]] = []
    for rule, repair in STEPS.items():
        parameter = getattr(options, rule)
        repaired = repair(text, parameter) if parameter else text
        if repaired != text:
            steps.append((rule, repaired))
        text = repaired
    reason = reason_of(int(cleaned.reasons[0]))
    return [*steps, (reason, None)] if reason else steps


class Duplicates:
    """A memory of the records before, which finds duplicates.

    It takes 21 to 43 bytes for each distinct record.
    """

    def __init__(self, options: CleanOptions) -> None:
        self._options = options
        self._table = np.zeros((1 << 16, 2), np.uint64)
        self._filled = 0

    def mark(self, cleaned: Cleaned) -> None:
        """Give rows that are kept so far a reason where the same text was kept before."""
        if not (self._options.duplicate or self._options.near_duplicate):
            return
        near = cleaned.near if self._options.near_duplicate else cleaned.exact
        verdicts = self.look_up(near, cleaned.exact, cleaned.reasons == KEPT)
        if not self._options.duplicate:
            verdicts[verdicts == kernels.SAME] = kernels.SIMILAR
        cleaned.reasons[verdicts == kernels.SAME] = 1 + REJECTIONS.index("duplicate")
        cleaned.reasons[verdicts == kernels.SIMILAR] = 1 + REJECTIONS.index("near_duplicate")

    def look_up(self, near: NDArray[np.uint64], exact: NDArray[np.uint64], asked: Flags) -> NDArray[np.uint8]:
        """Look rows up by their hashes, and note the new ones.

        Returns NEW, SAME or SIMILAR for each row.
        """
        repeated, self._table, self._filled = kernels.repeats(near, exact, asked, self._table, self._filled)
        return np.asarray(repeated)


def _repaired(batch: pa.RecordBatch, options: CleanOptions) -> tuple[pa.RecordBatch, NDArray[np.uint8]]:
    """Return the batch with its flagged texts repaired, and which rules changed them."""
    index = batch.schema.get_field_index("text")
    (texts,) = text_chunks(batch.column(index))
    flagged = kernels.suspicions(*bytes_and_offsets(texts), _plain_bytes()) != 0
    repairs = np.zeros(len(texts), np.uint8)
    rows = np.flatnonzero(flagged)
    replaced = list[bytes]()  # in UTF-8: a string of Python takes up to four bytes a character
    for row, text in zip(rows.tolist(), texts.take(pa.array(rows)), strict=True):
        mended, repairs[row] = _repair(text.as_py(), options)
        if repairs[row]:
            replaced.append(mended.encode())
    if replaced:
        replacements = pa.array(replaced, pa.large_binary()).cast(texts.type)
        texts = pc.replace_with_mask(texts, pa.array(repairs != 0), replacements)
        field = batch.schema.field(index)
        batch = batch.set_column(index, field, texts.cast(field.type))
    return batch, repairs


def _repair(text: str, options: CleanOptions) -> tuple[str, int]:
    bits = 0
    for bit, (rule, repair) in enumerate(STEPS.items()):
        parameter = getattr(options, rule)
        repaired = repair(text, parameter) if parameter else text
        bits |= (repaired != text) << bit
        text = repaired
    return text, bits


def _rejections(texts: pa.Array, measures: NDArray[np.int32], options: CleanOptions) -> list[Flags]:
    """Return the rows that each rule of REJECTIONS would reject.

    The rules on duplicates are left out.
    """
    words, letters, characters, function_words, repetitions, alphanumeric = measures.T
    off = np.zeros(len(texts), np.bool_)
    blank, too_long = off.copy(), off.copy()
    rows = np.flatnonzero(alphanumeric == 0)  # the few that may be blank
    blank[rows] = pc.binary_length(pc.utf8_trim_whitespace(texts.take(pa.array(rows)))).to_numpy() == 0
    rows = np.flatnonzero(pc.binary_length(texts).to_numpy() > (options.long or np.inf))  # characters, too?
    too_long[rows] = pc.utf8_length(texts.take(pa.array(rows))).to_numpy() > options.long
    return [
        blank if options.empty else off,
        ~blank & (alphanumeric == 0) if options.signs else off,
        repetitions >= options.repeated if options.repeated else off,
        ~blank & (letters < options.letters * characters),
        ~blank & (words < options.short),
        too_long,
        (words >= FEWEST_WORDS) & (function_words < options.spanish * words),
    ]


@cache
def function_words() -> NDArray[np.uint64]:
    """Return the shipped Spanish function words as a table for the kernel."""
    table = np.zeros(1024, np.uint64)
    for word in shipped("corpus/function-words-es.txt").read_text(encoding="utf-8").split():
        packed = int.from_bytes(word.encode(), "little")
        slot = ((packed * int(MULTIPLIER) & 2**64 - 1) >> 32) % len(table)
        while table[slot] not in (0, packed):
            slot = (slot + 1) % len(table)
        table[slot] = packed
    return table


@cache
def _plain_bytes() -> Flags:
    """Return the bytes that cannot begin anything to repair.

    Those are all of ASCII but &, <, {, > and controls, ...
    """
    plain = np.ones(256, np.bool_)
    plain[:0x20] = plain[0x7F] = False
    plain[[0x09, 0x0A, 0x0D]] = True
    plain[list(b"&<>{\xc2\xc3\xe2\xef")] = False
    return plain
