"""What `bench` found, as tables to be read."""

from typing import TYPE_CHECKING

from spanish_tok.measure.bench import Bench
from spanish_tok.measure.peers import OURS
from spanish_tok.measure.quality import QUANTILES, Quality
from spanish_tok.measure.speed import Speed
from spanish_tok.measure.tables import ReportTable, Row, percent

if TYPE_CHECKING:
    from spanish_tok.measure.model import ModelFigures

from spanish_tok.measure.compare import Comparison
from spanish_tok.measure.svg import Plot, bars, columns, line

SMALL_TEXT = 1_000_000  # bytes; below, figures of speed are mostly those of starting up


def bench_tables(bench: Bench) -> list[ReportTable]:
    """All tables of one run, in the order of reading."""
    return [
        overview(bench),
        round_trips(bench),
        quality_figures(bench.quality),
        words_that_split(bench.quality),
        long_and_rare(bench.quality),
        speeds(bench),
        *(model_tables(bench.model) if bench.model else []),
    ]


def overview(bench: Bench) -> ReportTable:
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
    found = bench.round_trip
    rows: list[Row] = [
        ("decode(encode(x)) == normalize(x)", f"{found.tried:,}", f"{found.failures:,}"),
        ("no <unk>", f"{found.tried:,}", f"{found.unknown:,}"),
    ]
    rows += [
        (f"ids of {p.engine} = ids of the column encoder", f"{p.tried:,}", f"{p.differing:,}")
        for p in found.parities
    ]
    note = "An even sample where fewer records than all were tried." if _sampled(bench) else ""
    if found.examples:
        note += " Failed: " + " | ".join(text[:80] for text in found.examples)
    return ReportTable("Round trips", ("check", "records tried", "failures"), tuple(rows), note.strip())


def _sampled(bench: Bench) -> bool:
    return any(parity.tried < bench.round_trip.tried for parity in bench.round_trip.parities)


def quality_figures(found: Quality) -> ReportTable:
    quantiles = ", ".join(f"{q} %: {n}" for q, n in zip(QUANTILES, found.quantiles, strict=True))
    rows = (
        ("tokens", f"{found.tokens:,}"),
        ("characters per token", f"{found.characters_per_token:.3f}"),
        ("bytes per token", f"{found.bytes_per_token:.3f}"),
        ("tokens per word", f"{found.tokens_per_word:.3f}"),
        ("words in one piece", percent(found.whole_words)),
        ("pieces that occur", percent(found.coverage)),
        ("Rényi efficiency (alpha 2.5)", f"{found.renyi:.4f}"),
        ("tokens a record", quantiles),
    )
    note = "Characters and words of the normalized text, bytes of the text as it was given."
    return ReportTable("Quality", ("figure", "value"), rows, note)


def words_that_split(found: Quality) -> ReportTable:
    rows = tuple((word, f"{count:,}", pieces) for word, count, pieces in found.split_words)
    return ReportTable("The most frequent words that are cut", ("word", "times", "pieces"), rows)


def long_and_rare(found: Quality) -> ReportTable:
    pairs = zip(found.longest, found.rarest, strict=True)
    rows = tuple((long, f"{often:,}", rare, f"{seldom:,}") for (long, often), (rare, seldom) in pairs)
    return ReportTable("The longest and the rarest pieces", ("longest", "times", "rarest", "times "), rows)


def speeds(bench: Bench) -> ReportTable:
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


def model_tables(found: "ModelFigures") -> list[ReportTable]:
    """Size, speed and bits per byte of a model, and what it writes for masks."""
    speeds = [(f"tokens a second, batch {rows}", f"{n:,.0f}") for rows, n in found.tokens_per_second.items()]
    rows = (
        ("model", found.name),
        ("parameters", f"{found.parameters:,}"),
        ("bytes in fp32", f"{found.bytes_float32:,}"),
        ("bytes in bf16", f"{found.bytes_bfloat16:,}"),
        *speeds,
        ("bits per byte of masked words", f"{found.bits_per_byte:.3f}"),
    )
    note = (
        "Greedy, 128 ids after 64, one thread, without PyTorch. Bits per byte on masks of whole words"
        f" ({found.masked_bytes:,} bytes of {found.records:,} records), the same for every vocabulary."
    )
    figures = ReportTable("Model", ("figure", "value"), rows, note)
    return [figures, ReportTable("Ten fills, as they come", ("masked", "filled"), tuple(found.fills))]


MOST_BINS = 30


def bench_plots(found: Bench) -> list[Plot]:
    """Lengths of records and of pieces, and speed on one core and on all."""
    lengths = columns("Tokens a record", "tokens", length_bins(found.quality))
    sizes = [(str(size), count) for size, count in sorted(found.quality.piece_lengths.items())]
    pieces = columns("Tokens by the length of their piece", "characters of the piece, ▁ included", sizes)
    return [lengths, pieces, *speed_plots(found)]


def length_bins(quality: Quality) -> list[tuple[str, int]]:
    """(label, records): bins of equal width up to where 99 % of the records are; the last holds the rest."""
    last = quality.quantiles[QUANTILES.index(99)]
    width = -(-(last + 1) // MOST_BINS)
    bins = [0] * (last // width + 2)
    for tokens, records in quality.lengths.items():
        bins[min(tokens // width, len(bins) - 1)] += records
    labels = [str(place * width) for place in range(len(bins) - 1)] + [f"{(len(bins) - 1) * width}+"]
    return list(zip(labels, bins, strict=True))


def speed_plots(found: Bench) -> list[Plot]:
    """Bars of the first pass over the text, one plot for each number of cores."""
    plots = []
    for cores in dict.fromkeys(speed.cores for speed in found.speed):
        rows = [
            (speed.engine, speed.cold, f"{speed.cold:.1f} MB/s")
            for speed in found.speed
            if speed.cores == cores and not speed.failure
        ]
        plots.append(bars(f"Encoding, first pass, {cores} core{'s' * (cores > 1)}", rows))
    return plots


def comparison_plots(found: Comparison) -> list[Plot]:
    """Tokens per word of each vocabulary, and against its size."""
    figures = [(one.name, one.size, one.normalized.tokens_per_word) for one in found.vocabularies]
    plot = bars("Tokens per word, normalized text", [(name, y, f"{y:.3f}") for name, _, y in figures])
    sizes = {size: ratio for _, size, ratio in figures}
    if len(sizes) < 2:
        return [plot]
    return [line("Tokens per word against vocabulary size", "ids", list(sizes.items())), plot]
