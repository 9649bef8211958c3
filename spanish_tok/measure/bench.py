"""One command that answers: is this vocabulary right, is it good, is it fast, and what does the model say."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from spanish_tok._version import __version__
from spanish_tok.files import shipped
from spanish_tok.measure.peers import chosen_peers
from spanish_tok.measure.quality import Quality, measure_quality, slices, word_counts
from spanish_tok.measure.round_trip import RoundTrip, check_round_trip
from spanish_tok.measure.speed import SAMPLE_BYTES, Speed, measure_speed
from spanish_tok.measure.system import describe
from spanish_tok.measure.texts import MOST_BYTES, TextSummary, read_texts, sampled, size_of
from spanish_tok.progress import SILENT, Bar
from spanish_tok.readers.options import Location, ReadOptions
from spanish_tok.text.charsmap import spanish_charsmap
from spanish_tok.text.packed_table import normalize_column
from spanish_tok.tokenization.adapters import SHIPPED, of_tokenizer
from spanish_tok.tokenization.tokenizer import Tokenizer

if TYPE_CHECKING:
    from spanish_tok.measure.model import ModelFigures
    from spanish_tok.t5.checkpoint import Checkpoint


@dataclass(frozen=True)
class Bench:
    """All that one run of `bench` found; `as_json` of it is what `--json` writes."""

    vocabulary: str
    size: int
    fingerprint: str
    source: TextSummary
    round_trip: RoundTrip
    quality: Quality
    speed: list[Speed]
    speed_bytes: int
    speed_records: int
    model: "ModelFigures | None"
    machine: str
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Plain values, the computed ratios included."""
        ratios = ("characters_per_token", "bytes_per_token", "tokens_per_word")
        found = asdict(self)
        found["quality"] |= {name: getattr(self.quality, name) for name in ratios}
        return {"spanish_tok": __version__, **found}


def bench(
    vocabulary: Path | None = None,
    files: Sequence[Location] = (),
    options: ReadOptions | None = None,
    model: Path | None = None,
    against: Sequence[str] = (),
    most_bytes: int = MOST_BYTES,
    progress: Bar = SILENT,
) -> Bench:
    """Measure a vocabulary folder (default: the shipped one) on files of text (default: shipped sentences).

    With a `model` folder its figures too, by its own vocabulary; without `vocabulary`, that is the one measured.
    `against` names peers for the figures of speed; without any, all that are installed take part. Raises
    SpanishTokError for a damaged folder, a peer that is not there, and a file without text.
    """
    start = time.perf_counter()
    folder = vocabulary or model or shipped("vocab/es-5000")
    tokenizer = Tokenizer.load(folder)
    checkpoint = _checkpoint(model) if model else None
    peers = chosen_peers(against)
    name = str(folder) if vocabulary or model else SHIPPED
    progress.note("reading")
    texts = read_texts(files, options, most_bytes)
    progress.note("round trips")
    round_trip = check_round_trip(folder, texts.column)
    progress.note("quality")
    normalized = normalized_by(tokenizer, texts.column)
    quality = measure_quality(
        of_tokenizer(tokenizer, name), texts.column, normalized, word_counts(normalized)
    )
    sample = sampled(texts.column, SAMPLE_BYTES)
    return Bench(
        vocabulary=name,
        size=len(tokenizer.vocabulary),
        fingerprint=tokenizer.vocabulary.fingerprint,
        source=texts.source,
        round_trip=round_trip,
        quality=quality,
        speed=measure_speed(folder, sample, peers, progress),
        speed_bytes=size_of(sample),
        speed_records=len(sample),
        model=_model(checkpoint, str(model), texts.column, progress) if checkpoint else None,
        machine=describe("spanish-tok", "numpy", "numba", "pyarrow"),
        seconds=time.perf_counter() - start,
    )


def _checkpoint(folder: Path) -> "Checkpoint":
    from spanish_tok.t5.checkpoint import Checkpoint

    return Checkpoint.load(folder)


def _model(checkpoint: "Checkpoint", name: str, texts: pa.ChunkedArray, progress: Bar) -> "ModelFigures":
    from spanish_tok.measure.model import measure_model

    return measure_model(checkpoint, name, texts, progress)


def normalized_by(tokenizer: Tokenizer, texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column as the vocabulary's own table maps it."""
    if tokenizer.vocabulary.charsmap == spanish_charsmap():
        return normalize_column(texts)
    parts = [[tokenizer.normalize(text) for text in part.to_pylist()] for part in slices(texts)]
    return pa.chunked_array(parts, pa.large_string())
