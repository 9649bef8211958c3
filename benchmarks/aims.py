"""What the figures should reach, and whether they do."""

from collections.abc import Iterator
from typing import Any, NamedTuple


class Aim(NamedTuple):
    """A figure in words, where it stands among the kept ones, and what it should be, at least or at most."""

    words: str
    key: str
    value: float
    at_most: bool = False


ENCODE = "encoding beside the best peer, words"
COLD, WARM = (f"encode / {place}, MB/s / ours : the best peer" for place in ("cold", "warm"))
VARIANTS = "encode-variants / cold, MB/s / ours : the best peer"
TRAIN = "train / on all records / sentencepiece : spanish-tok"
DECODE = "decode / tokens a second, one thread"
CT2 = "ours : CTranslate2's best run"
THREADS = "decode / two threads, batch 32, by the clock"
FIRST = "first-use / seconds by the clock"
BEFORE = "before / against the commit before"
AIMS = [
    Aim(f"{ENCODE} not known yet", f"{COLD} / plain", 6),
    Aim(f"{ENCODE} known", f"{WARM} / plain", 9),
    Aim(f"{ENCODE} unseen (one in five)", f"{VARIANTS} / unseen", 6),
    Aim(f"{ENCODE} in upper case", f"{VARIANTS} / upper", 6),
    Aim(f"{ENCODE} decomposed", f"{VARIANTS} / decomposed", 6),
    Aim("training, sentencepiece's time over ours", f"{TRAIN} / time", 20),
    Aim("training, sentencepiece's memory over ours", f"{TRAIN} / peak memory", 8),
    Aim(
        "decoding, float32, batch 1, beside CTranslate2's best run", f"{DECODE} / float32, {CT2} / batch 1", 2
    ),
    Aim("decoding, int8, batch 1", f"{DECODE} / int8, {CT2} / batch 1", 2),
    Aim("decoding, float32, batch 32", f"{DECODE} / float32, {CT2} / batch 32", 1.3),
    Aim("decoding, int8, batch 32", f"{DECODE} / int8, {CT2} / batch 32", 1.3),
    Aim("two threads over one, float32", f"{THREADS} / spanish-tok float32 / 2 : 1", 1.8),
    Aim("two threads over one, bfloat16", f"{THREADS} / spanish-tok bfloat16 / 2 : 1", 1.8),
    Aim("two threads over one, int8", f"{THREADS} / spanish-tok int8 / 2 : 1", 1.8),
    Aim("the first ids ever, s", f"{FIRST} / the first ids / the first use ever", 5, at_most=True),
    Aim(
        "the first gaps filled ever, s",
        f"{FIRST} / the first gaps filled / the first use ever",
        8,
        at_most=True,
    ),
    Aim("the first ids, compiled, s", f"{FIRST} / the first ids / compiled", 1, at_most=True),
    Aim("the first gaps filled, compiled, s", f"{FIRST} / the first gaps filled / compiled", 1, at_most=True),
    Aim("count_runs, before over now", f"{BEFORE} / count_runs (processor time) / before : now", 1.1),
    Aim(
        "count, one thread, before over now",
        f"{BEFORE} / count, one thread (processor time) / before : now",
        1.3,
    ),
    Aim("count, two threads over one", f"{BEFORE} / count, one thread over two (by the clock) / now", 1.8),
    Aim(
        "clean, all rules, before over now",
        f"{BEFORE} / clean, all rules, one thread (processor time) / before : now",
        3,
    ),
]


def found(kept: dict[str, Any], key: str) -> Any:
    """Return a figure, or a part of an entry, by its path; None if it is not kept.

    >>> kept = {"count": {"date": "2026-11-30", "figures": {"speed": {"ours": {"cold": {"median": 2}}}}}}
    >>> found(kept, "count / speed / ours / cold"), found(kept, "count / date"), found(kept, "train / date")
    ({'median': 2}, '2026-11-30', None)
    """
    name, *path = key.split(" / ")
    entry = kept.get(name)
    if entry is None:
        return None
    place: Any = entry["figures"] if path[0] in entry["figures"] else entry
    for part in path:
        place = place.get(part) if isinstance(place, dict) else None
    return place


def held(kept: dict[str, Any]) -> Iterator[tuple[str, str, bool]]:
    """Yield each aim whose figure is kept: in words, the figure beside what it should be, whether it is reached."""
    for aim in AIMS:
        figure = found(kept, aim.key)
        if figure is None:
            continue
        value = figure["median"]
        sign = "at most" if aim.at_most else "at least"
        is_held = value <= aim.value if aim.at_most else value >= aim.value
        yield aim.words, f"{value:.3g} ({sign} {aim.value:g})", is_held
