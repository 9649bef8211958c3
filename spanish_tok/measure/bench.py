"""The verb `bench`: is this vocabulary right, is it good, is it fast.

And what does a model write.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from spanish_tok.files import shipped
from spanish_tok.files.outputs import as_list
from spanish_tok.measure import compare as comparing
from spanish_tok.measure.figures.quality import measure_quality, slices, word_counts
from spanish_tok.measure.figures.round_trip import check_round_trip
from spanish_tok.measure.figures.speed import SAMPLE_BYTES, measure_speed
from spanish_tok.measure.figures.texts import check_words, sampled, size_of, texts_of
from spanish_tok.measure.html import ReportFiles
from spanish_tok.measure.peers import chosen_peers, describe
from spanish_tok.measure.presentation import Bench
from spanish_tok.measure.tables import plain_name
from spanish_tok.progress import Bar, ProgressOption, progress_of
from spanish_tok.readers.inputs import InputOption, inputs_of
from spanish_tok.readers.options import Location, ReadOptions
from spanish_tok.text.charsmap import spanish_charsmap
from spanish_tok.text.packed_table import normalize_column
from spanish_tok.tokenization.adapters import TokenizerAdapter
from spanish_tok.tokenization.libraries import SHIPPED
from spanish_tok.tokenization.tokenizer import Tokenizer
from spanish_tok.vocab.audit import unreachable_pieces

if TYPE_CHECKING:
    from spanish_tok.measure.figures.model import ModelFigures
    from spanish_tok.t5.checkpoint import Checkpoint


def bench(
    vocabulary: Location | None = None,
    input: InputOption = None,  # noqa: A002
    output: Location | None = None,
    *,
    texts: Any = None,
    reading: ReadOptions | None = None,
    model: Location | None = None,
    against: Sequence[str] = (),
    compare: Sequence[Location] = (),
    megabytes: float = 100,
    html: Location | None = None,
    json: Location | None = None,
    progress: ProgressOption = None,
    force: bool = False,
) -> Bench:
    """Measure a vocabulary on text: round trips, quality and speed.

    And a model, if one is given.

    vocabulary: a folder; by default that of the model, else the shipped one. input, texts: what to read, as for
    `count`, at most `megabytes` of it; the 200 sentences that ship by default. against: peers for the figures of
    speed, by default all that are installed. compare: other vocabularies to put beside it. output: a file for the
    report (.html) or the figures (.json); html, json: the same, by any name. `force` replaces one.

    Raises SpanishTokError for a damaged folder, a peer that is not installed, and a file without text.
    """
    files = ReportFiles(output, html, json, [*as_list(input)], force=force)
    start = time.perf_counter()
    folder = Path(vocabulary) if vocabulary else _vocabulary_of(model)
    name = plain_name(str(folder)) if vocabulary or model else SHIPPED
    tokenizer = Tokenizer.load(folder)
    checkpoint = _checkpoint(Path(model)) if model else None
    peers = chosen_peers(against, folder)
    inputs = None if input is None and texts is None else inputs_of(input, reading, texts=texts)
    shown = progress_of(progress)
    with shown.phase("measuring", unit="share") as bar:
        bar.note("reading")
        text = texts_of(inputs, int(megabytes * 1_000_000), bar, shown=shown)
        bar.note("round trips")
        round_trip = check_round_trip(folder, text.column)
        bar.note("quality")
        normalized = normalized_by(tokenizer, text.column)
        check_words(normalized, text.source.name)
        adapter, words = TokenizerAdapter.of(tokenizer, name), word_counts(normalized)
        quality = measure_quality(adapter, text.column, normalized, words)
        sample = sampled(text.column, SAMPLE_BYTES)
        result = Bench(
            vocabulary=name,
            size=len(tokenizer.vocabulary),
            fingerprint=tokenizer.vocabulary.fingerprint,
            source=text.source,
            round_trip=round_trip,
            quality=quality,
            speed=measure_speed(folder, sample, peers, bar),
            speed_bytes=size_of(sample),
            speed_records=len(sample),
            model=_model(checkpoint, plain_name(str(model)), text.column, bar) if checkpoint else None,
            machine=describe("spanish-tok", "numpy", "numba", "pyarrow"),
            seconds=time.perf_counter() - start,
            unreachable=tuple(unreachable_pieces(tokenizer.vocabulary)),
            folder=str(folder) if vocabulary or model else None,
        )
    if compare:
        beside = comparing.compare(
            [folder if vocabulary or model else None, *compare], texts=text.column, progress=progress
        )
        result = replace(result, comparison=beside)
    files.write(result)
    return result


def _vocabulary_of(model: Location | None) -> Path:
    """Return the folder of a model's vocabulary; the shipped one without a model."""
    from spanish_tok.t5.checkpoint import checked_manifest, vocabulary_folder

    return (
        vocabulary_folder(Path(model), checked_manifest(Path(model))) if model else shipped("vocab/es-5000")
    )


def _checkpoint(folder: Path) -> "Checkpoint":
    from spanish_tok.t5.checkpoint import Checkpoint

    return Checkpoint.load(folder)


def _model(checkpoint: "Checkpoint", name: str, texts: pa.ChunkedArray, bar: Bar) -> "ModelFigures":
    from spanish_tok.measure.figures.model import measure_model

    return measure_model(checkpoint, name, texts, bar)


def normalized_by(tokenizer: Tokenizer, texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column as the vocabulary's own table maps it."""
    if tokenizer.vocabulary.charsmap == spanish_charsmap():
        return normalize_column(texts)
    parts = [[tokenizer.normalize(text) for text in part.to_pylist()] for part in slices(texts)]
    return pa.chunked_array(parts, pa.large_string())
