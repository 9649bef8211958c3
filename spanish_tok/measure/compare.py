"""The verb `compare`: vocabularies side by side on the same text.

Each is used in its own library.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from spanish_tok.errors import SpanishTokError
from spanish_tok.files.outputs import as_list
from spanish_tok.measure.comparison import MOST_WORDS, Compared, Comparison
from spanish_tok.measure.figures.groups import Groups, groups_of, measure_groups
from spanish_tok.measure.figures.morphemes import Lexicon, load_lexicon, measure_morphemes
from spanish_tok.measure.figures.quality import (
    Counted,
    count_ids,
    measure_quality,
    ratio_interval,
    word_counts,
)
from spanish_tok.measure.figures.texts import Texts, check_words, sampled, size_of, texts_of
from spanish_tok.measure.html import ReportFiles
from spanish_tok.measure.tables import plain_name
from spanish_tok.progress import ProgressOption, progress_of
from spanish_tok.readers.inputs import InputOption, inputs_of
from spanish_tok.readers.options import Location, ReadOptions
from spanish_tok.text.packed_table import normalize_column
from spanish_tok.tokenization.adapters import TokenizerAdapter
from spanish_tok.tokenization.libraries import load_adapter
from spanish_tok.vocab.audit import unreachable_pieces

SHOWN = 40


def compare(
    vocabularies: Location | Sequence[Location | None],
    input: InputOption = None,  # noqa: A002
    output: Location | None = None,
    *,
    texts: Any = None,
    group: str = "",
    lexicon: Location | None = None,
    reading: ReadOptions | None = None,
    megabytes: float = 16,
    html: Location | None = None,
    json: Location | None = None,
    progress: ProgressOption = None,
    force: bool = False,
) -> Comparison:
    """Compare vocabularies on an even sample of text.

    By default of the sentences that ship.

    vocabularies: folders or files, ours, any spiece.model, any tokenizer.json; None is the shipped one, which a single
    one is compared with. input, texts: what to read, as for `count`; at most `megabytes` of it are compared. group: a
    column of the files, such as a variety of Spanish: what each of its groups costs is shown too. lexicon: a file of
    words and their morphemes, `casas<TAB>casa+s`: how often pieces end where morphemes do. output: a file for the
    report (.html) or the figures (.json); html, json: the same, by any name. `force` replaces one.

    Every library gets the text twice: as this package normalizes it, the same characters for all, and as it was
    given, where each normalizes by itself. Raises SpanishTokError for what cannot be loaded or read.
    """
    files = ReportFiles(
        output, html, json, [*as_list(input), *filter(None, as_list(vocabularies))], force=force
    )
    morphemes = load_lexicon(lexicon) if lexicon is not None else None
    locations = as_list(vocabularies)
    if not locations:
        raise SpanishTokError("There is nothing to compare", "Give two vocabularies or more.")
    paths = [
        path if path is None else Path(path)
        for path in (locations if len(locations) > 1 else [None, *locations])
    ]
    adapters = [load_adapter(path) for path in paths]
    inputs = None if input is None and texts is None else inputs_of(input, _by(group, reading), texts=texts)
    display = progress_of(progress)
    with display.phase("comparing", len(adapters)) as bar:
        bar.note("reading")
        text, most = texts_of(inputs, with_ids=bool(group), shown=display), int(megabytes * 1_000_000)
        raw = sampled(text.column, most)
        groups = groups_of(sampled(text.column, most, _values(text)), group) if group else None
        normalized = normalize_column(raw)
        check_words(normalized, text.source.name)
        words = word_counts(normalized)
        compared, first = list[Compared](), None
        for adapter in adapters:
            bar.note(adapter.name)
            counted = count_ids(adapter, normalized)
            first = counted[2] if first is None else first
            compared.append(_compared(adapter, raw, normalized, words, groups, morphemes, counted, first))
            bar.advance()
    differing, shown = cut_differently(adapters, words.slice(0, MOST_WORDS))
    live = next((str(path) for path in paths if path and (path / "manifest.json").exists()), None)
    result = Comparison(text.source, len(raw), size_of(raw), compared, differing, shown, group, live)
    files.write(result)
    return result


def _by(group: str, reading: ReadOptions | None) -> ReadOptions | None:
    """Return how files are read so that the group of each record is its id."""
    return replace(reading or ReadOptions(), id=group) if group else reading


def _values(text: Texts) -> pa.ChunkedArray:
    """Return the group of each record, null where it has none."""
    return text.ids if text.ids is not None else pa.chunked_array([pa.nulls(len(text.column), pa.string())])


def unreachable_in(adapter: TokenizerAdapter) -> list[str] | None:
    """Return the pieces that no text can reach; None where no scores are known."""
    unigram = adapter.find_unigram()
    return unreachable_pieces(unigram) if unigram else None


def _compared(
    adapter: TokenizerAdapter,
    raw: pa.ChunkedArray,
    normalized: pa.ChunkedArray,
    words: pa.Table,
    groups: Groups | None,
    lexicon: Lexicon | None,
    counted: Counted,
    first: NDArray[np.int64],
) -> Compared:
    counts, _, _ = count_ids(adapter, raw)
    tokens = counted[2]
    quality = measure_quality(adapter, normalized, normalized, words, counted)
    return Compared(
        name=plain_name(adapter.name),
        kind=adapter.kind,
        size=adapter.size,
        normalized=quality,
        raw_tokens=int(counts.sum()),
        raw_unknown=int(counts[adapter.unknown]) if adapter.unknown is not None else 0,
        pieces=adapter.ordinary,
        unreachable=unreachable_in(adapter),
        unused=round(adapter.ordinary * (1 - quality.coverage)),
        groups=measure_groups(adapter, normalized, groups) if groups else [],
        ratio=float(tokens.sum() / max(1, first.sum())),
        interval=ratio_interval(tokens, first),
        morphemes=measure_morphemes(adapter, words, lexicon) if lexicon else None,
    )


def cut_differently(
    adapters: Sequence[TokenizerAdapter], words: pa.Table
) -> tuple[float, list[tuple[str, int, list[str]]]]:
    """Return the share of running words that are not cut alike, and such words.

    The words are the most frequent ones.
    """
    differing, shown = 0, []
    counts = words["count"].to_pylist()
    for word, count in zip(words["word"].to_pylist(), counts, strict=True):
        cuts = [" ".join(adapter.cut(word)) for adapter in adapters]
        if len(set(cuts)) > 1:
            differing += count
            shown.append((word, count, cuts))
    return differing / max(1, sum(counts)), shown[:SHOWN]
