"""The passes over the input that a sample takes.

One pass is enough unless cleaning rejects more than was expected, or a guess of the number of rows was too high.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager

from spanish_tok.corpus.candidates import CandidatePass
from spanish_tok.corpus.sampling import Keys
from spanish_tok.corpus.writer import SHARD_ROWS, Chunk, RecordWriter
from spanish_tok.files.schema import COUNT
from spanish_tok.parallel.local import Local
from spanish_tok.parallel.ray_engine import Ray
from spanish_tok.progress import Bar
from spanish_tok.readers.inputs import Inputs

SURPLUS = 1.1  # candidates for each record wanted, where cleaning will reject some
LITTLE = 0.1  # a smaller share of candidates kept: any other pass takes all
EVERYTHING = 1 << 62  # candidates
# of a position, see `first_pass`
POSITION = {
    "pass": range(1, 1 << 32),
    "low": range((1 << 64) + 1),
    "wanted": COUNT,
    "before": COUNT,
    "range": COUNT,
    "part?": COUNT,
}


def rounded(size: float) -> int:
    """Round up to whole shards, so that a pass ends where a shard does."""
    return -int(-size // SHARD_ROWS) * SHARD_ROWS


def usable(keys: Keys, rows: int) -> tuple[Keys, bool]:
    """Return the keys of candidates to write, and whether those are all.

    A pass that a guess made too narrow may end in the middle of a shard: what comes after the last whole one
    is left to the next pass.
    """
    if len(keys) >= rows:
        return keys, True
    whole = len(keys) // SHARD_ROWS * SHARD_ROWS
    return (keys[keys <= keys[whole - 1]] if whole else keys[:0]), False


def first_pass(size: int, clean_all: bool, cleans: bool) -> dict[str, int]:
    """Return the position of the first pass.

    A position is {"pass": its number, "low": the smallest key that it takes, "wanted": how many candidates,
    "before": how many there were in earlier passes, "range": shards of it that are done}.
    """
    wanted = EVERYTHING if clean_all else rounded(size * (SURPLUS if cleans else 1))
    return {"pass": 1, "low": 0, "wanted": wanted, "before": 0, "range": 0}


def candidate_pass(
    inputs: Inputs, seed: int, writer: RecordWriter, position: Mapping[str, int]
) -> CandidatePass:
    """Return a pass from a position on."""
    # the guess of rows may have been what made the first pass too narrow
    guess = inputs.guessed_rows() if position["pass"] == 1 else None
    folder = writer.folder.unfinished
    return CandidatePass(inputs, seed, folder, position["wanted"], position["low"], guess)


def write_candidates(
    candidates: CandidatePass,
    writer: RecordWriter,
    position: Mapping[str, int],
    phase: Callable[..., AbstractContextManager[Bar]],
    *,
    stop: bool,
    engine: Local | Ray,
) -> bool:
    """Clean and write the candidates of a pass.

    Returns whether those are all records there are, or enough.
    """
    keys, exhausted = usable(candidates.keys, candidates.rows - position["before"])
    with phase("cleaning" if writer.clean else "writing", writer.wanted) as bar:
        bar.advance(writer.rows)
        writer.write(_ranges(candidates, keys, position), stop=stop, threads=engine.threads_here, bar=bar)
    enough = exhausted or writer.rows == writer.wanted
    if not enough:
        writer.advance(_next_pass(position, keys, writer.wanted or 0, writer.rows))
    candidates.close()
    return enough


def _ranges(candidates: CandidatePass, keys: Keys, position: Mapping[str, int]) -> Iterator[Chunk]:
    """Yield the chunks that are not written yet, and the position after each.

    A position holds the ranges that are done, and the parts of the next one.
    """
    first, done = position["range"], position.get("part", 0)
    position = {name: value for name, value in position.items() if name != "part"}
    ranges = candidates.spill.ranges(keys, SHARD_ROWS, position["before"], first)
    for index, parts in enumerate(ranges, first + 1):
        for part, load in enumerate(parts, 1):
            if index > first + 1 or part > done:
                after = {"range": index} if part == len(parts) else {"range": index - 1, "part": part}
                yield Chunk(load(), {**position, **after})


def _next_pass(position: Mapping[str, int], keys: Keys, size: int, rows: int) -> dict[str, int]:
    """Return the position of the next pass.

    The number of its candidates follows from the share kept so far.
    """
    before = position["before"] + len(keys)
    share = max(rows / before, 0.01) if before else 1.0
    low = int(keys[-1]) + 1 if len(keys) else position["low"]
    # what cleaning keeps is known now: little, so that all is read, or it was guessed wrong twice
    every = share < LITTLE or position["pass"] > 1
    wanted = EVERYTHING if every else rounded((size - rows) / share * SURPLUS)
    return {"pass": position["pass"] + 1, "low": low, "wanted": wanted, "before": before, "range": 0}
