"""Any vocabulary through its own library: ours, a spiece.model, a tokenizer.json; text in, ids and pieces out."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from spanish_tok.errors import SpanishTokError
from spanish_tok.parallel.threads import available_cores
from spanish_tok.text.alphabet import SPACE_MARK
from spanish_tok.tokenization.tokenizer import Tokenizer

SHIPPED = "es-5000, the one that ships"
LISTS = pa.list_(pa.uint32())


@dataclass(frozen=True)
class Segmenter:
    """What measuring needs of a vocabulary.

    name: the path as it was given, kind: which library cuts.
    size: all ids, special: those that text never becomes, unknown: the id of `<unk>`, if there is one.
    encode: a large_string array -> lists of ids, no specials added.
    cut: one word as it stands inside a sentence -> its pieces, `▁` for the space before it.
    pieces: the piece of each id, for people.
    """

    name: str
    kind: str
    size: int
    special: frozenset[int]
    unknown: int | None
    encode: Callable[[Any], Any]
    cut: Callable[[str], list[str]]
    pieces: tuple[str, ...]

    @property
    def ordinary(self) -> int:
        """How many ids text can become."""
        return self.size - len(self.special)


def load_segmenter(path: Path | None) -> Segmenter:
    """A folder of ours, or a folder or file of SentencePiece or tokenizers, in the library that made it.

    None is the vocabulary that ships. Raises SpanishTokError, which names the path, where it is missing, damaged or
    none of these.
    """
    if path is None:
        return of_tokenizer(Tokenizer.load(), SHIPPED)
    if not path.exists():
        raise SpanishTokError(f"{path} does not exist", "Give a vocabulary folder or file.")
    if (path / "manifest.json").exists():
        return of_tokenizer(Tokenizer.load(path), str(path))
    for name, load in (("tokenizer.json", _of_tokenizers), ("spiece.model", _of_sentencepiece)):
        if (path / name).exists():
            return load(path / name, str(path))
    if path.suffix == ".json":
        return _of_tokenizers(path, str(path))
    if path.suffix == ".model":
        return _of_sentencepiece(path, str(path))
    raise SpanishTokError(
        f"{path} is no vocabulary",
        "Give a folder with spiece.model or tokenizer.json, or one of these files.",
    )


def of_tokenizer(tokenizer: Tokenizer, name: str) -> Segmenter:
    """A vocabulary of ours, cut by the column encoder."""
    vocabulary = tokenizer.vocabulary
    return Segmenter(
        name=name,
        kind="spanish-tok",
        size=len(vocabulary),
        special=frozenset(vocabulary.special_ids),
        unknown=2,
        encode=tokenizer.encode_column,
        cut=tokenizer.tokens,
        pieces=vocabulary.pieces,
    )


def _of_sentencepiece(path: Path, name: str) -> Segmenter:
    import sentencepiece

    try:
        engine: Any = sentencepiece.SentencePieceProcessor(model_file=str(path))
    except (RuntimeError, OSError) as error:
        raise SpanishTokError(f"{path} cannot be loaded ({_first_line(error)})", "Is it whole?") from None
    size, threads = engine.get_piece_size(), available_cores()
    special = {i for i in range(size) if engine.is_control(i) or engine.is_unknown(i) or engine.is_unused(i)}
    return Segmenter(
        name=name,
        kind="sentencepiece",
        size=size,
        special=frozenset(special),
        unknown=engine.unk_id() if engine.unk_id() >= 0 else None,
        encode=lambda texts: pa.array(engine.encode(texts.to_pylist(), num_threads=threads), LISTS),
        cut=lambda word: list(engine.encode(word, out_type=str)),
        pieces=tuple(engine.id_to_piece(list(range(size)))),
    )


def _of_tokenizers(path: Path, name: str) -> Segmenter:
    from tokenizers import Tokenizer as Engine

    try:
        engine: Any = Engine.from_file(str(path))
    except Exception as error:  # the library raises bare Exception
        raise SpanishTokError(f"{path} cannot be loaded ({_first_line(error)})", "Is it whole?") from None
    engine.encode_special_tokens = True
    engine.no_truncation()
    engine.no_padding()
    size = engine.get_vocab_size(with_added_tokens=True)
    added = engine.get_added_tokens_decoder()
    described = json.loads(engine.to_str())["model"]
    unknown = described.get("unk_id", engine.token_to_id(described.get("unk_token") or ""))

    def encode(texts: pa.Array) -> pa.ListArray:
        rows = engine.encode_batch_fast(texts.to_pylist(), add_special_tokens=False)
        return pa.array([row.ids for row in rows], LISTS)

    def cut(word: str) -> list[str]:
        """By the places of the text, since byte-level pieces cannot be read."""
        text = " " + word
        places = engine.encode(text, add_special_tokens=False).offsets
        return [text[begin:end].replace(" ", SPACE_MARK) for begin, end in places]

    return Segmenter(
        name=name,
        kind=f"tokenizers ({described['type']})",
        size=size,
        special=frozenset({number for number, token in added.items() if token.special}),
        unknown=unknown,
        encode=encode,
        cut=cut,
        pieces=tuple(engine.id_to_token(number) or "" for number in range(size)),
    )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
