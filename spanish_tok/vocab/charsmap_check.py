"""Is a charsmap one that can be used? Checked before anything walks through it.

Layout: uint32 size of the trie in bytes, the trie's uint32 units, then NUL-terminated expansions. The trie is a
double array of darts-clone: from node n the byte b leads to node n ^ offset(n) ^ b if the low byte of that unit is b.

    bit 31   the unit is a leaf, bits 0-30 are its value: where its expansion begins
    bit 8    there is a leaf at n ^ offset(n): a key ends at n
    bit 9    the offset is shifted by 8
    10-30    the offset
"""

import numpy as np
from numpy.typing import NDArray

LONGEST_KEY = 64  # bytes
MOST_KEYS = 2_000_000
LONGEST_EXPANSION = 1024  # bytes
Nodes = NDArray[np.int64]


def charsmap_fault(charsmap: bytes) -> str:
    """Return what is wrong with a charsmap; empty if nothing is."""
    if not charsmap:
        return ""
    size = int.from_bytes(charsmap[:4], "little")
    if len(charsmap) < 4 or size % 1024 or size == 0 or 4 + size >= len(charsmap) or charsmap[-1] != 0:
        return "its sizes"
    units = np.frombuffer(charsmap, "<u4", size // 4, 4)
    inner = units >> 31 == 0
    blocks = (_children_at(units, np.flatnonzero(inner))) | 0xFF
    if not inner[0] or blocks.max() >= len(units):
        return "an offset"
    values, fault = _values(units)
    return fault or _expansion_fault(values, np.frombuffer(charsmap, np.uint8, offset=4 + size))


def _children_at(units: NDArray[np.uint32], nodes: Nodes) -> Nodes:
    """Return where the children of nodes lie: that of byte b is at the result ^ b."""
    offsets = (units[nodes] >> 10).astype(np.int64) << ((units[nodes] & 0x200) >> 6)
    return nodes ^ offsets


def _values(units: NDArray[np.uint32]) -> tuple[NDArray[np.int64], str]:
    """Return the values of all keys, and what is wrong with the trie.

    Keys with equal ends and values share nodes, so the ways to a node are counted, level by level.
    """
    labels = units & 0xFF
    labelled = np.flatnonzero((units >> 31 == 0) & (labels > 0))
    homes = labelled ^ labels[labelled]  # the result of `_children_at` for the parent
    order = np.argsort(homes, kind="stable")
    labelled, homes = labelled[order], homes[order]
    nodes: NDArray[np.int64] = np.zeros(1, np.int64)
    ways: NDArray[np.float64] = np.ones(1)
    values, keys = [np.empty(0, np.int64)], 0.0
    for _ in range(LONGEST_KEY):
        bases, ending = _children_at(units, nodes), units[nodes] & 0x100 > 0
        leaves = units[bases[ending]]
        keys += ways[ending].sum()
        if (leaves >> 31 == 0).any() or keys > MOST_KEYS:
            return values[0], "a key without a value" if keys <= MOST_KEYS else "too many keys"
        values.append((leaves & 0x7FFFFFFF).astype(np.int64))
        first, last = np.searchsorted(homes, bases), np.searchsorted(homes, bases, side="right")
        if not (counts := last - first).sum():
            return np.concatenate(values), ""
        children = np.repeat(first - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts) + np.arange(
            counts.sum()
        )
        nodes, same = np.unique(labelled[children], return_inverse=True)
        ways = np.bincount(same, np.repeat(ways, counts)).astype(np.float64)
    return values[0], "a key without an end"


def _expansion_fault(values: NDArray[np.int64], expansions: NDArray[np.uint8]) -> str:
    if values.size and values.max() >= len(expansions):
        return "an expansion that lies outside"
    ends = np.flatnonzero(expansions == 0)
    if values.size and (ends[np.searchsorted(ends, values)] - values).max() > LONGEST_EXPANSION:
        return "an expansion that is too long"
    try:
        expansions.tobytes().decode("utf-8")
    except UnicodeDecodeError:
        return "an expansion that is not UTF-8"
    return ""
