"""The plots of the report, from what `bench` and `compare` found."""

from spanish_tok.bench import Bench
from spanish_tok.compare import Comparison
from spanish_tok.plots import Plot, bars, columns, line
from spanish_tok.quality import QUANTILES, Quality

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
