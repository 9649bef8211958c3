"""Encode records twice on one core, in a process of its own and with one library: what encode.py starts.

    python benchmarks/encode_worker.py NAME VOCABULARY TEXT.npz OUTPUT.npz

It may run in an environment of the library's own (peers.py), which has that library and NumPy alone. TEXT holds the
bytes of all records, and where each begins. Printed as JSON: seconds of processor time of both passes, the library's
version, and peak memory; OUTPUT gets the ids.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Encode = Callable[[], Any]
Flat = tuple[NDArray[np.uint16], NDArray[np.int64]]  # ids of all records, ids in each record
Contender = tuple[Encode, Callable[[Any], Flat]]  # what encodes, and what makes its result comparable


def ours(folder: Path, data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> Contender:
    """Encode an Arrow column; one record before loads compiled code."""
    import pyarrow as pa

    from spanish_tok import Tokenizer

    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    column = pa.Array.from_buffers(pa.large_string(), len(offsets) - 1, buffers)
    Tokenizer.load(folder).encode_column(column.slice(0, 1), threads=1)
    tokenizer = Tokenizer.load(folder)
    return lambda: tokenizer.encode_column(column, threads=1), lambda lists: (
        lists.flatten().to_numpy(),
        lists.value_lengths().to_numpy().astype(np.int64),
    )


def sentencepiece(folder: Path, texts: list[str], kind: Any = int) -> Contender:
    import sentencepiece as library

    engine = library.SentencePieceProcessor(model_file=str(folder / "spiece.model"))
    return lambda: engine.encode(texts, return_type=kind, num_threads=1), flat


def tokenizers(folder: Path, texts: list[str]) -> Contender:
    """Encode with tokenizers; 1.0 has one function for batches, 0.23 a faster one without offsets."""
    import tokenizers as library

    engine: Any = library.Tokenizer.from_file(str(folder / "tokenizer.json"))
    encode = getattr(engine, "encode_batch_fast", engine.encode_batch)
    return lambda: encode(texts, add_special_tokens=False), lambda found: flat([one.ids for one in found])


def kitoken(folder: Path, texts: list[str]) -> Contender:
    import kitoken as library

    engine = library.Kitoken.from_sentencepiece_file(str(folder / "spiece.model"))
    return lambda: engine.encode_all(texts), flat


def tokie(folder: Path, texts: list[str]) -> Contender:
    import tokie as library

    engine: Any = library.Tokenizer.from_json(str(folder / "tokenizer.json"))
    return lambda: engine.encode_batch_flat(texts, add_special_tokens=False), lambda found: (
        found[0].astype(np.uint16),
        found[1].astype(np.int64),
    )


def splintr(folder: Path, texts: list[str]) -> Contender:
    """Encode with splintr, whose batches end with `</s>`: it is cut off afterwards, outside the time."""
    import splintr as library

    engine: Any = library.from_json(str(folder / "tokenizer.json"))

    def without_ends(found: Any) -> Flat:
        ids, offsets = np.frombuffer(found[0], np.uint32), np.frombuffer(found[1], np.uint64).astype(np.int64)
        kept = np.ones(len(ids), bool)
        kept[offsets[1:] - 1] = False
        return ids[kept].astype(np.uint16), np.diff(offsets) - 1

    return lambda: engine.encode_batch_flat(texts), without_ends


# name -> the package whose version is told, and what makes the contender
PEERS: dict[str, tuple[str, Callable[[Path, list[str]], Contender]]] = {
    "sentencepiece": ("sentencepiece", sentencepiece),
    "sentencepiece numpy": ("sentencepiece", lambda folder, texts: sentencepiece(folder, texts, "numpy")),
    "tokenizers": ("tokenizers", tokenizers),
    "tokenizers 1.0": ("tokenizers", tokenizers),
    "kitoken": ("kitoken", kitoken),
    "tokie": ("tokie", tokie),
    "splintr": ("splintr-rs", splintr),
}


def flat(lists: list[Any]) -> Flat:
    lengths = np.fromiter(map(len, lists), np.int64, len(lists))
    ids = np.empty(lengths.sum(), np.uint16)
    end = 0
    for one in lists:
        ids[end : end + len(one)] = one
        end += len(one)
    return ids, lengths


def main() -> None:
    name, folder, text, output = sys.argv[1:]
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with np.load(text) as archive:
        data, offsets = archive["data"], archive["offsets"]
    if name in PEERS:
        package, make = PEERS[name]
        encoded = data.tobytes()
        texts = [encoded[a:b].decode() for a, b in pairwise(offsets)]
        encode, flatten = make(Path(folder), texts)
        said = version(package)
    else:
        encode, flatten = ours(Path(folder), data, offsets)
        said = ""
    seconds = []
    for _ in range(2):
        found = None  # the memory of the first pass is free for the second
        start = time.process_time()
        found = encode()
        seconds.append(time.process_time() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    ids, lengths = flatten(found)
    np.savez(output, ids=ids, lengths=lengths)
    print(json.dumps({"seconds": seconds, "version": said, "megabytes": peak}))


if __name__ == "__main__":
    main()
