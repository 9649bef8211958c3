"""Is a vocabulary right on a text?

Round trips, unknown pieces, and the same ids in every engine.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from spanish_tok.measure.figures.quality import slices
from spanish_tok.measure.figures.texts import sampled
from spanish_tok.parallel.threads import available_cores
from spanish_tok.tokenization.tokenizer import Tokenizer

SAMPLE_BYTES = 4_000_000
EXAMPLES = 5


@dataclass(frozen=True)
class Parity:
    """How many records one engine encoded, and how many got other ids.

    Other than those of the bulk encoder.
    """

    engine: str
    tried: int
    differing: int


@dataclass(frozen=True)
class RoundTrip:
    """Records tried, failures with examples, `<unk>`, and parities.

    A failure is decode(encode(x)) != normalize(x).
    """

    tried: int
    failures: int
    examples: list[str]
    unknown: int
    parities: list[Parity]


def check_round_trip(folder: Path, texts: pa.ChunkedArray) -> RoundTrip:
    """Encode and decode every record, and compare the ids of all engines.

    With sentencepiece on all records, with slower engines on a sample.

    The expected text comes from sentencepiece's own normalizer, not from the code that is tried.
    """
    tokenizer = Tokenizer.load(folder)
    engine = _engine(tokenizer, folder)
    failed: list[str] = []
    failures = unknown = differing = 0
    for part in slices(texts):
        lists = tokenizer.encode_column(part)
        batch = [text.replace("\0", "\1") for text in part.to_pylist()]
        expected = [text.removeprefix("▁").replace("▁", " ") for text in engine.normalize(batch)]
        decoded = tokenizer.decode_column(lists).to_pylist()
        wrong = [row for row, text in enumerate(expected) if text != decoded[row]]
        failures += len(wrong)
        failed += [part[row].as_py() for row in wrong[: EXAMPLES - len(failed)]]
        unknown += int(pc.sum(pc.equal(lists.flatten(), tokenizer.vocabulary.unknown)).as_py() or 0)
        theirs = engine.encode(batch, num_threads=available_cores())
        differing += count_differing(pa.array(theirs, lists.type), lists)
    parities = [Parity("sentencepiece", len(texts), differing), *_on_a_sample(tokenizer, folder, texts)]
    return RoundTrip(len(texts), failures, failed, unknown, parities)


def _engine(tokenizer: Tokenizer, folder: Path) -> Any:
    """Return sentencepiece itself.

    For a foreign vocabulary with the sentinels that its spiece.model lacks.
    """
    if tokenizer.vocabulary.foreign:
        from spanish_tok.tokenization.engines import engine_of

        return engine_of(tokenizer.vocabulary)
    import sentencepiece

    return sentencepiece.SentencePieceProcessor(model_file=str(folder / "spiece.model"))


def _on_a_sample(tokenizer: Tokenizer, folder: Path, texts: pa.ChunkedArray) -> list[Parity]:
    peer = _peer(folder)
    sample = sampled(texts, SAMPLE_BYTES)
    expected = tokenizer.encode_column(sample).to_pylist()
    batch = sample.to_pylist()
    engines: dict[str, Callable[[], list[list[int]]]] = {
        "tokenizers": lambda: [row.ids for row in peer.encode_batch_fast(batch, add_special_tokens=False)],
        "Tokenizer.encode": lambda: [tokenizer.encode(text) for text in batch],
    }
    if peer is None:
        del engines["tokenizers"]
    return [
        Parity(name, len(batch), sum(ids != right for ids, right in zip(encode(), expected, strict=True)))
        for name, encode in engines.items()
    ]


def _peer(folder: Path) -> Any:
    """Return the library tokenizers with the folder's tokenizer.json, if there is one."""
    from tokenizers import Tokenizer as Peer

    if not (folder / "tokenizer.json").exists():
        return None
    peer = Peer.from_file(str(folder / "tokenizer.json"))
    peer.encode_special_tokens = True
    return peer


def count_differing(lists: pa.ListArray, reference: pa.ListArray) -> int:
    """How many records have other ids than in `reference`."""
    if lists.equals(reference):
        return 0
    rows = zip(lists.to_pylist(), reference.to_pylist(), strict=True)
    return sum(row != expected for row, expected in rows)
