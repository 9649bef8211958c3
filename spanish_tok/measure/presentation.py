"""The figures of `bench`, and how they are shown: tables and plots."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from spanish_tok._version import __version__
from spanish_tok.measure.comparison import Comparison
from spanish_tok.measure.figures.quality import QUANTILES, Quality
from spanish_tok.measure.figures.round_trip import RoundTrip
from spanish_tok.measure.figures.speed import Speed
from spanish_tok.measure.figures.texts import TextSummary
from spanish_tok.measure.html import Reported
from spanish_tok.measure.svg import Plot, bars, columns
from spanish_tok.measure.tables import Card, ReportTable, Row, Verdict, interval_of, percent
from spanish_tok.measure.verdicts import SMALL_TEXT, is_fast, is_good, is_right
from spanish_tok.tokenization.adapters import OURS
from spanish_tok.vocab.vocabulary import Vocabulary

if TYPE_CHECKING:
    from spanish_tok.measure.figures.model import ModelFigures

MOST_BINS = 30  # of a plot of lengths


@dataclass(frozen=True)
class Bench(Reported):
    """All figures of one run of `bench`.

    unreachable: pieces that no text can reach. folder: of the vocabulary, None for the shipped one. comparison: with
    other vocabularies, if asked for.
    """

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
    unreachable: tuple[str, ...] = ()
    folder: str | None = None
    comparison: Comparison | None = None

    def title(self) -> str:
        return f"spanish-tok bench: {self.vocabulary}"

    def verdicts(self) -> list[Verdict]:
        return [is_right(self.round_trip), is_fast(self.speed, self.speed_bytes), is_good(self.quality)]

    def cards(self) -> list[Card]:
        return bench_cards(self)

    def tables(self) -> list[ReportTable]:
        return bench_tables(self) + (self.comparison.tables() if self.comparison else [])

    def plots(self) -> list[Plot]:
        return bench_plots(self) + (self.comparison.plots() if self.comparison else [])

    def live_vocabulary(self) -> Vocabulary:
        return Vocabulary.load(self.folder)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, the computed ratios included."""
        ratios = ("characters_per_token", "bytes_per_token", "tokens_per_word")
        figures = asdict(self)
        del figures["folder"], figures["comparison"]
        figures["quality"] |= {name: getattr(self.quality, name) for name in ratios}
        beside = {"comparison": self.comparison.to_dict()} if self.comparison else {}
        return {"spanish_tok": __version__, **figures, **beside}


def bench_cards(bench: Bench) -> list[Card]:
    """Return the figures that stand in boxes."""
    quality = bench.quality
    ours = next((s for s in bench.speed if s.engine == OURS and s.cores == 1 and not s.failure), None)
    cards = [
        Card("ids", f"{bench.size:,}", f"fingerprint {bench.fingerprint[:8]}"),
        Card("texts", f"{quality.records:,}", bench.source.name),
        Card("tokens a word", f"{quality.tokens_per_word:.3f}", interval_of(quality.interval)),
        Card("characters a token", f"{quality.characters_per_token:.3f}"),
        Card("words in one piece", percent(quality.whole_words)),
    ]
    cards += [Card("first pass, one core", f"{ours.cold:.1f} MB/s", f"later {ours.warm:.1f}")] if ours else []
    if model := bench.model:
        cards.append(Card("parameters", f"{model.parameters:,}"))
        cards.append(Card("bits per byte", f"{model.bits_per_byte:.3f}", "of masked words"))
    return cards


def bench_tables(bench: Bench) -> list[ReportTable]:
    """Return all tables of one run, in the order of reading."""
    return [
        overview(bench),
        round_trips(bench),
        quality_figures(bench.quality, bench.unreachable),
        words_that_split(bench.quality),
        long_and_rare(bench.quality),
        speeds(bench),
        *(model_tables(bench.model) if bench.model else []),
    ]


def overview(bench: Bench) -> ReportTable:
    """Return what was measured, on what, and where."""
    rows = (
        ("vocabulary", bench.vocabulary),
        ("ids", f"{bench.size:,}"),
        ("fingerprint", bench.fingerprint[:16]),
        ("text", str(bench.source)),
        ("machine", bench.machine),
        ("seconds for all of this", f"{bench.seconds:.1f}"),
    )
    return ReportTable("What was measured", ("", "value"), rows)


def round_trips(bench: Bench) -> ReportTable:
    """Return how many records fail a round trip, or have other ids elsewhere."""
    result = bench.round_trip
    rows: list[Row] = [
        ("decode(encode(x)) == normalize(x)", f"{result.tried:,}", f"{result.failures:,}"),
        ("no <unk>", f"{result.tried:,}", f"{result.unknown:,}"),
    ]
    rows += [
        (f"ids of {p.engine} = ids of the column encoder", f"{p.tried:,}", f"{p.differing:,}")
        for p in result.parities
    ]
    note = "An even sample where fewer records than all were tried." if _sampled(bench) else ""
    if result.examples:
        note += " Failed: " + " | ".join(text[:80] for text in result.examples)
    return ReportTable("Round trips", ("check", "records tried", "failures"), tuple(rows), note.strip())


def _sampled(bench: Bench) -> bool:
    return any(parity.tried < bench.round_trip.tried for parity in bench.round_trip.parities)


def quality_figures(quality: Quality, unreachable: Sequence[str] = ()) -> ReportTable:
    """Return how well the pieces fit the text."""
    quantiles = ", ".join(f"{q} %: {n}" for q, n in zip(QUANTILES, quality.quantiles, strict=True))
    rows = (
        ("tokens", f"{quality.tokens:,}"),
        ("characters per token", f"{quality.characters_per_token:.3f}"),
        ("bytes per token", f"{quality.bytes_per_token:.3f}"),
        ("tokens per word", f"{quality.tokens_per_word:.3f}"),
        ("words in one piece", percent(quality.whole_words)),
        ("pieces that occur", percent(quality.coverage)),
        ("pieces that no text can reach", " ".join([f"{len(unreachable):,}", *unreachable[:8]])),
        ("Rényi efficiency (alpha 2.5)", f"{quality.renyi:.4f}"),
        ("tokens a record", quantiles),
    )
    note = "Characters and words of the normalized text, bytes of the text as it was given."
    return ReportTable("Quality", ("figure", "value"), rows, note)


def words_that_split(quality: Quality) -> ReportTable:
    """Return the most frequent words that are not one piece."""
    rows = tuple((word, f"{count:,}", pieces) for word, count, pieces in quality.split_words)
    columns = ("word", "times", "pieces")
    return ReportTable("The most frequent words that are cut", columns, rows, cuts=(2,))


def long_and_rare(quality: Quality) -> ReportTable:
    """Return the longest and the rarest pieces."""
    pairs = zip(quality.longest, quality.rarest, strict=True)
    rows = tuple((long, f"{often:,}", rare, f"{seldom:,}") for (long, often), (rare, seldom) in pairs)
    return ReportTable("The longest and the rarest pieces", ("longest", "times", "rarest", "times "), rows)


def speeds(bench: Bench) -> ReportTable:
    """Return how fast each encoder is, alone on a core and on all cores."""
    ours = {speed.cores: speed for speed in bench.speed if speed.engine == OURS and not speed.failure}
    rows = tuple(_speed_row(speed, ours.get(speed.cores)) for speed in bench.speed)
    note = (
        f"{bench.speed_records:,} records, {bench.speed_bytes / 1e6:.2f} MB. Each in a process of its own: load is up"
        " to the first word's ids with compiled code on disk, cold the first pass, warm the median of those after it."
        " spanish-tok takes and gives Arrow, the others lists of str."
    )
    if bench.speed_bytes < SMALL_TEXT:
        note += " So small a text says little about speed: give a file of some megabytes."
    columns = (
        "encoder",
        "version",
        "cores",
        "load s",
        "cold MB/s",
        "warm MB/s",
        "cold, ours : it",
        "other ids",
    )
    return ReportTable("Speed", columns, rows, note)


def _speed_row(speed: Speed, ours: Speed | None) -> Row:
    start = (speed.engine, speed.version, str(speed.cores))
    if speed.failure:
        return (*start, "-", "-", "-", "-", speed.failure[:60])
    ratio = f"{ours.cold / speed.cold:.1f}" if ours else "-"
    figures = (f"{speed.load:.2f}", f"{speed.cold:.1f}", f"{speed.warm:.1f}", ratio)
    return (*start, *figures, f"{speed.differing:,}")


def model_tables(model: "ModelFigures") -> list[ReportTable]:
    """Return size, speed and bits per byte of a model, and what it writes for masks."""
    speeds = [(f"tokens a second, batch {rows}", f"{n:,.0f}") for rows, n in model.tokens_per_second.items()]
    rows = (
        ("model", model.name),
        ("parameters", f"{model.parameters:,}"),
        ("bytes in fp32", f"{model.bytes_float32:,}"),
        ("bytes in bf16", f"{model.bytes_bfloat16:,}"),
        *speeds,
        ("bits per byte of masked words", _bits(model.bits_per_byte)),
    )
    note = (
        "Greedy, 128 ids after 64, one thread, without PyTorch. Bits per byte on masks of whole words"
        f" ({model.masked_bytes:,} bytes of {model.records:,} records), the same for every vocabulary."
    )
    figures = ReportTable("Model", ("figure", "value"), rows, note)
    return [figures, ReportTable("Ten fills, as they come", ("masked", "filled"), tuple(model.fills))]


def _bits(value: float | None) -> str:
    return "needs sentinels, of which the vocabulary has none" if value is None else f"{value:.3f}"


def bench_plots(bench: Bench) -> list[Plot]:
    """Return plots of the lengths of records and pieces, and of speed."""
    lengths = columns("Tokens a record", "tokens", length_bins(bench.quality))
    sizes = [(str(size), count) for size, count in sorted(bench.quality.piece_lengths.items())]
    pieces = columns("Tokens by the length of their piece", "characters of the piece, ▁ included", sizes)
    return [lengths, pieces, *speed_plots(bench)]


def length_bins(quality: Quality) -> list[tuple[str, int]]:
    """Return (label, records) of bins of equal width.

    They hold 99 % of records; the last holds the rest.
    """
    last = quality.quantiles[QUANTILES.index(99)]
    width = -(-(last + 1) // MOST_BINS)
    bins = [0] * (last // width + 2)
    for tokens, records in quality.lengths.items():
        bins[min(tokens // width, len(bins) - 1)] += records
    labels = [str(index * width) for index in range(len(bins) - 1)] + [f"{(len(bins) - 1) * width}+"]
    return list(zip(labels, bins, strict=True))


def speed_plots(bench: Bench) -> list[Plot]:
    """Return bars of the first pass over the text, one plot for each number of cores."""
    plots = []
    for cores in dict.fromkeys(speed.cores for speed in bench.speed):
        rows = [
            (speed.engine, speed.cold, f"{speed.cold:.1f} MB/s")
            for speed in bench.speed
            if speed.cores == cores and not speed.failure
        ]
        plots.append(bars(f"Encoding, first pass, {cores} core{'s' * (cores > 1)}", rows))
    return plots
