"""The encoders that speed and ids are compared with: each loads the same vocabulary folder in its own library."""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from spanish_tok.errors import SpanishTokError
from spanish_tok.tokenization.adapters import LISTS
from spanish_tok.tokenization.tokenizer import Tokenizer


class Engine(NamedTuple):
    """A loaded encoder: `encode` is timed on what `prepare` made of texts; `lists` makes its result Arrow."""

    prepare: Callable[[pa.ChunkedArray], Any]
    encode: Callable[[Any], Any]
    lists: Callable[[Any], pa.ListArray]


def load_spanish_tok(folder: Path, threads: int) -> Engine:
    """The column encoder: Arrow in, Arrow out."""
    tokenizer = Tokenizer.load(folder)
    return Engine(
        prepare=lambda texts: texts,
        encode=lambda texts: tokenizer.encode_column(texts, threads=threads),
        lists=lambda lists: lists.combine_chunks().cast(LISTS),
    )


def load_sentencepiece(folder: Path, threads: int) -> Engine:
    """A batch of strings; NUL, which it cannot delete, is given as U+0001."""
    import sentencepiece

    engine: Any = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spiece.model"))
    return Engine(
        prepare=lambda texts: [text.replace("\0", "\1") for text in texts.to_pylist()],
        encode=lambda texts: engine.encode(texts, num_threads=threads),
        lists=_from_lists,
    )


def load_tokenizers(folder: Path, threads: int) -> Engine:  # noqa: ARG001 (threads come by the environment)
    """`encode_batch_fast`, typed specials read as text."""
    import tokenizers

    engine: Any = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    engine.encode_special_tokens = True
    return Engine(
        prepare=lambda texts: texts.to_pylist(),
        encode=lambda texts: engine.encode_batch_fast(texts, add_special_tokens=False),
        lists=lambda rows: _from_lists([row.ids for row in rows]),
    )


def load_kitoken(folder: Path, threads: int) -> Engine:  # noqa: ARG001 (it has no threads)
    """`encode_all` of the spiece.model."""
    import kitoken

    engine: Any = kitoken.Kitoken.from_sentencepiece_file(str(folder / "spiece.model"))
    return Engine(lambda texts: texts.to_pylist(), lambda texts: engine.encode_all(texts, False), _from_lists)


def load_tokie(folder: Path, threads: int) -> Engine:  # noqa: ARG001 (threads come by the environment)
    """`encode_batch_flat`: one array of ids and one of lengths."""
    import numpy as np
    import tokie

    def lists(output: Any) -> pa.ListArray:
        ids, lengths = output
        ends = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(ends), pa.array(ids, pa.uint32()))

    engine: Any = tokie.Tokenizer.from_json(str(folder / "tokenizer.json"))
    return Engine(lambda texts: texts.to_pylist(), lambda texts: _flat(engine, texts), lists)


def _flat(engine: Any, texts: list[str]) -> Any:
    return engine.encode_batch_flat(texts, add_special_tokens=False)


def _from_lists(rows: Any) -> pa.ListArray:
    return pa.array(rows, LISTS)


OURS = "spanish-tok"
LOADERS: dict[str, Callable[[Path, int], Engine]] = {
    OURS: load_spanish_tok,
    "sentencepiece": load_sentencepiece,
    "tokenizers": load_tokenizers,
    "kitoken": load_kitoken,
    "tokie": load_tokie,
}
THREADLESS = {"kitoken"}


def installed_peers() -> list[str]:
    """The peers that can take part here."""
    return [name for name in LOADERS if name != OURS and find_spec(name)]


def chosen_peers(names: Sequence[str]) -> list[str]:
    """The peers of these names, all installed ones without any; raises SpanishTokError for one that is not there."""
    for name in names:
        if name not in LOADERS or name == OURS:
            known = ", ".join(peer for peer in LOADERS if peer != OURS)
            raise SpanishTokError(f"There is no peer {name!r}", f"Give some of: {known}.")
        if not find_spec(name):
            raise SpanishTokError(f"{name} is not installed", f"pip install {name}")
    return list(names) or installed_peers()
