"""The n best segmentations of a text, exactly."""

from collections.abc import Mapping

from spanish_tok.errors import SpanishTokError

Best = tuple[float, int, int, int]  # minus its score, start of its last piece, rank there, id of the piece


def nbest(
    text: str, pieces: Mapping[str, tuple[int, float]], longest: int, n: int
) -> list[tuple[list[int], float]]:
    """Return up to n segmentations with scores, the most probable first.

    text: normalized, with `▁` before every word. pieces: piece -> (id, score); longest: characters of the longest. Each
    place keeps its n best beginnings (Viterbi's algorithm with n paths). Equal sums: the earliest start wins, as in the
    best segmentation.

    Raises SpanishTokError for a character without a piece, and for an n that is no whole number from 1 up.

    >>> nbest("▁a", {"▁": (3, -1.0), "a": (4, -2.0), "▁a": (5, -2.5)}, 2, n=5)
    [([5], -2.5), ([3, 4], -3.0)]
    """
    if not hasattr(n, "__index__") or n < 1:
        raise SpanishTokError(f"n is {n!r}", "Give a whole number from 1 up.")
    best: list[list[Best]] = [[(0.0, 0, 0, 0)]]
    for end in range(1, len(text) + 1):
        reached = [
            (minus - piece[1], start, rank, piece[0])
            for start in range(max(0, end - longest), end)
            if (piece := pieces.get(text[start:end]))
            for rank, (minus, *_) in enumerate(best[start])
        ]
        if not reached:
            raise SpanishTokError(
                f"The vocabulary has no piece for {text[end - 1]!r}", "Use one that was trained here."
            )
        best.append(sorted(reached)[:n])
    return [(_ids(best, rank), -minus) for rank, (minus, *_) in enumerate(best[-1])]


def _ids(best: list[list[Best]], rank: int) -> list[int]:
    ids, end = [], len(best) - 1
    while end:
        _, start, rank, token_id = best[end][rank]
        ids.append(token_id)
        end = start
    return ids[::-1]
