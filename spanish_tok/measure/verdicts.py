"""What the figures of `bench` say: is it right, fast, good?"""

from collections.abc import Sequence

from spanish_tok.measure.figures.quality import FEWEST_TEXTS, Quality
from spanish_tok.measure.figures.round_trip import RoundTrip
from spanish_tok.measure.figures.speed import Speed
from spanish_tok.measure.tables import Mark, Verdict, percent, with_interval
from spanish_tok.tokenization.adapters import OURS

SMALL_TEXT = 1_000_000  # bytes; below, figures of speed are mostly those of starting up


MOST_TOKENS_A_WORD = 2.0  # of a good vocabulary: the threshold of its verdict


def is_right(result: RoundTrip) -> Verdict:
    """Return whether round trips hold, without `<unk>`, and engines agree."""
    other = sum(parity.differing for parity in result.parities)
    counts = (result.failures, result.unknown, other)
    answer = (
        f"{result.failures:,} of {result.tried:,} round trips fail, {result.unknown:,} <unk>,"
        f" {other:,} texts with other ids elsewhere."
    )
    rule = "Rule: no failed round trip, no <unk>, no other id in any engine (threshold 0)."
    return Verdict("Is it right?", "no" if any(counts) else "yes", answer, rule)


def is_fast(speeds: Sequence[Speed], text_bytes: int) -> Verdict:
    """Return whether the first pass on one core is as quick as any peer's."""
    alone = [speed for speed in speeds if speed.cores == 1 and not speed.failure]
    ours = next((speed.cold for speed in alone if speed.engine == OURS), 0.0)
    best = max((speed for speed in alone if speed.engine != OURS), key=lambda s: s.cold, default=None)
    rule = (
        f"Rule: the first pass on one core is no slower than the quickest peer's (ratio 1.0 or more), on"
        f" {SMALL_TEXT / 1e6:g} MB of text or more."
    )
    if best is None or not ours:
        return Verdict("Is it fast?", "unsure", f"{ours:.1f} MB/s; no peer was measured.", rule)
    ratio = ours / best.cold
    answer = f"{ours:.1f} MB/s, {ratio:.1f} times {best.engine}."
    if text_bytes < SMALL_TEXT:
        return Verdict("Is it fast?", "unsure", f"{answer} The text is too small to tell.", rule)
    return Verdict("Is it fast?", "yes" if ratio >= 1 else "no", answer, rule)


def is_good(quality: Quality) -> Verdict:
    """Return whether words are cut into few pieces, as far as the texts can tell."""
    shown = with_interval(quality.tokens_per_word, quality.interval)
    rule = f"Rule: at most {MOST_TOKENS_A_WORD:g} tokens a word, by the whole 95 % interval over texts."
    if quality.interval is None:
        answer = f"{shown} tokens a word. Too few texts for an interval: give {FEWEST_TEXTS} or more."
        return Verdict("Is it good?", "unsure", answer, rule)
    low, high = quality.interval
    answer = f"{shown} tokens a word; {percent(quality.whole_words)} of running words are one piece."
    mark: Mark = (
        "unsure" if low <= MOST_TOKENS_A_WORD < high else "yes" if high <= MOST_TOKENS_A_WORD else "no"
    )
    return Verdict("Is it good?", mark, answer, rule)
