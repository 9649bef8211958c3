"""Any vocabulary through its own library.

Ours, a spiece.model, a tokenizer.json; and the other fast encoders.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa

from spanish_tok.errors import SpanishTokError
from spanish_tok.files import sha256_of_file
from spanish_tok.parallel.threads import available_cores
from spanish_tok.tokenization.piece_spelling import PieceSpelling
from spanish_tok.tokenization.pipeline_check import checked_pipeline, told
from spanish_tok.tokenization.tokenizer import Tokenizer
from spanish_tok.vocab.foreign import is_foreign
from spanish_tok.vocab.spiece import load_engine, parse_model
from spanish_tok.vocab.vocabulary import MANIFEST, Vocabulary

SHIPPED = "es-5000, the one that ships"
OURS = "spanish-tok"
LISTS = pa.list_(pa.uint32())
# what transformers' AutoTokenizer reads beside tokenizer.json
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "spiece.model")


def _unsupported(*_: Any) -> NoReturn:
    raise SpanishTokError(
        "This library only encodes whole texts", "Use sentencepiece or tokenizers for that."
    )


@dataclass(frozen=True)
class TokenizerAdapter:
    """One vocabulary in its own library, with one interface for all libraries.

    name: the path as it was given. kind: which library cuts. size: all ids.
    find_special, find_unknown, find_fingerprint: how `special`, `unknown` and `fingerprint` are found when they are
        first asked for, so that loading for speed stays what the library does.
    encode: text -> ids, never a special one, whatever the text says; without `</s>`.
    prepare, encode_batch, lists: a column of text -> what the library takes -> what it returns -> Arrow lists of ids;
        three steps, so that speed can be measured without the conversions.
    cut: one word as it stands inside a sentence -> its pieces, `▁` for the space before it.
    decode: ids -> text; specials leave no trace. piece: id -> its piece, for people.
    save: writes the files that loading a folder needs.
    find_unigram: how the pieces and scores of a Unigram model are found; None for another model.
    vocabulary: the Vocabulary, if it is one of ours.
    """

    name: str
    kind: str
    size: int
    encode: Callable[[str], list[int]]
    encode_batch: Callable[[Any], Any]
    prepare: Callable[[Any], Any] = lambda texts: texts.to_pylist()
    lists: Callable[[Any], pa.ListArray] = lambda rows: pa.array(rows, LISTS)
    find_special: Callable[[], frozenset[int]] = frozenset
    find_unknown: Callable[[], int | None] = lambda: None
    find_fingerprint: Callable[[], str] = str
    cut: Callable[[str], list[str]] = _unsupported
    decode: Callable[[Sequence[int]], str] = _unsupported
    piece: Callable[[int], str] = _unsupported
    save: Callable[[Path], None] = _unsupported
    find_unigram: Callable[[], Vocabulary | None] = lambda: None
    vocabulary: Vocabulary | None = field(default=None, repr=False)

    @cached_property
    def special(self) -> frozenset[int]:
        """The ids that text never becomes."""
        return self.find_special()

    @cached_property
    def unknown(self) -> int | None:
        """The id of `<unk>`; None if there is no such id."""
        return self.find_unknown()

    @cached_property
    def fingerprint(self) -> str:
        """A hash, equal for adapters of the same ids."""
        return self.find_fingerprint()

    @property
    def ordinary(self) -> int:
        """How many ids text can become."""
        return self.size - len(self.special)

    @cached_property
    def pieces(self) -> tuple[str, ...]:
        """The piece of each id."""
        return tuple(map(self.piece, range(self.size)))

    def encode_column(self, texts: Any) -> Any:
        """Return the ids of a large_string column as Arrow lists, no specials added."""
        return self.lists(self.encode_batch(self.prepare(texts)))

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of many texts, which is quicker than one after the other."""
        rows: list[list[int]] = self.encode_column(pa.array(texts, pa.large_string())).to_pylist()
        return rows

    def readable(self, text: str) -> str:
        """Return `text` as a model can read and write it: what is unknown is left out.

        >>> TokenizerAdapter.of(Tokenizer.load()).readable(" Ñandú 日 ")
        'ñandú ri'
        """
        return self.decode([token_id for token_id in self.encode(text) if token_id != self.unknown]).strip()

    @classmethod
    def of(cls, tokenizer: Tokenizer, name: str = OURS, threads: int | None = None) -> "TokenizerAdapter":
        """Return the adapter of a vocabulary of ours.

        Columns go through the column encoder.
        """
        vocabulary = tokenizer.vocabulary
        return cls(
            name=name,
            kind=OURS,
            size=len(vocabulary),
            find_special=lambda: frozenset(vocabulary.special_ids),
            find_unknown=lambda: vocabulary.unknown,
            encode=tokenizer.encode,
            prepare=lambda texts: texts,
            encode_batch=lambda texts: tokenizer.encode_column(texts, threads=threads),
            lists=_lists_of_ours,
            cut=tokenizer.tokens,
            decode=tokenizer.decode,
            piece=vocabulary.pieces.__getitem__,
            find_fingerprint=lambda: vocabulary.fingerprint,
            save=vocabulary.save,
            find_unigram=lambda: vocabulary,
            vocabulary=vocabulary,
        )


def load_adapter(path: Path | None, threads: int | None = None) -> TokenizerAdapter:
    """Load a vocabulary in the library that made it.

    A folder of ours, or a folder or file of SentencePiece or tokenizers.

    None is the vocabulary that ships. Raises SpanishTokError, which names the path, if it is missing, damaged or
    none of these.
    """
    if path is None:
        return TokenizerAdapter.of(Tokenizer.load(), SHIPPED, threads)
    if not path.exists():
        raise SpanishTokError(f"{path} does not exist", "Give a vocabulary folder or file.")
    if (path / MANIFEST).exists():
        return TokenizerAdapter.of(Tokenizer.load(path), str(path), threads)
    for name, library in (("tokenizer.json", "tokenizers"), ("spiece.model", "sentencepiece")):
        if (path / name).exists():
            return LIBRARIES[library](path / name, str(path), threads)
    if path.suffix in (".json", ".model"):
        library = "tokenizers" if path.suffix == ".json" else "sentencepiece"
        return LIBRARIES[library](path, str(path), threads)
    raise SpanishTokError(
        f"{path} is no vocabulary",
        "Give a folder with spiece.model or tokenizer.json, or one of these files.",
    )


def adapter_of_model_folder(folder: Path) -> TokenizerAdapter:
    """Return the tokenizer of a model folder.

    That is our vocabulary, or another T5's spiece.model or tokenizer.json.
    """
    if (folder / MANIFEST).exists() or is_foreign(folder):
        return TokenizerAdapter.of(Tokenizer.load(folder), str(folder))
    raise SpanishTokError(
        f"{folder} holds neither a vocabulary nor a spiece.model or tokenizer.json",
        "Copy the tokenizer's files into the model's folder.",
    )


def _lists_of_ours(lists: pa.Array | pa.ChunkedArray) -> pa.ListArray:
    whole = lists.combine_chunks() if isinstance(lists, pa.ChunkedArray) else lists
    return whole.cast(LISTS)


def _ours(path: Path, name: str, threads: int | None) -> TokenizerAdapter:
    return TokenizerAdapter.of(Tokenizer.load(path.parent), name, threads)


def _sentencepiece(path: Path, name: str, threads: int | None) -> TokenizerAdapter:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SpanishTokError(f"{path} cannot be read ({error.strerror})", "Check the path.") from None
    parse_model(data, str(path), any_kind=True)
    engine = load_engine(data, str(path))
    size, cores = engine.get_piece_size(), threads or available_cores()

    def special() -> frozenset[int]:
        tests = (engine.is_control, engine.is_unknown, engine.is_unused)
        return frozenset(token_id for token_id in range(size) if any(test(token_id) for test in tests))

    def unigram() -> Vocabulary | None:
        try:
            return Vocabulary.from_model(path)
        except SpanishTokError:
            return None  # byte pairs have no scores to compare

    return TokenizerAdapter(
        name=name,
        kind="sentencepiece",
        size=size,
        find_special=special,
        find_unknown=lambda: engine.unk_id() if engine.unk_id() >= 0 else None,
        encode=lambda text: list(engine.encode(text)),
        # NUL, which sentencepiece cannot delete, becomes U+0001, which it deletes
        prepare=lambda texts: [text.replace("\0", "\1") for text in texts.to_pylist()],
        encode_batch=lambda texts: engine.encode(texts, num_threads=cores),
        cut=lambda word: list(engine.encode(word, out_type=str)),
        decode=lambda ids: str(engine.decode(list(ids))),
        piece=engine.id_to_piece,
        find_fingerprint=lambda: sha256_of_file(path),
        find_unigram=unigram,
        save=lambda target: _copy_files(path.parent, target),
    )


def _tokenizers(path: Path, name: str, threads: int | None) -> TokenizerAdapter:  # noqa: ARG001 (set by the environment)
    import tokenizers

    pipeline = checked_pipeline(path)
    with told(path):
        engine: Any = tokenizers.Tokenizer.from_file(str(path))
    engine.encode_special_tokens = True  # `</s>` typed in a text is text
    engine.no_truncation()
    engine.no_padding()

    def special() -> frozenset[int]:
        added = engine.get_added_tokens_decoder()
        return frozenset(token_id for token_id, token in added.items() if token.special)

    def unknown() -> int | None:
        model = pipeline["model"]
        if isinstance(model.get("unk_id"), int):
            return int(model["unk_id"])
        token_id: int | None = engine.token_to_id(model.get("unk_token") or "<unk>")
        return token_id

    spelling = PieceSpelling.of(pipeline)

    def encode(text: str) -> Any:
        with told(path):
            return engine.encode(text, add_special_tokens=False)

    def encode_batch(texts: Any) -> Any:
        with told(path):
            return engine.encode_batch_fast(texts, add_special_tokens=False)

    def decode(ids: Sequence[int]) -> str:
        with told(path):
            return str(engine.decode(list(ids)))

    return TokenizerAdapter(
        name=name,
        kind=f"tokenizers ({type(engine.model).__name__})",
        size=engine.get_vocab_size(with_added_tokens=True),
        find_special=special,
        find_unknown=unknown,
        encode=lambda text: list(encode(text).ids),
        encode_batch=encode_batch,
        lists=lambda rows: pa.array([row.ids for row in rows], LISTS),
        cut=lambda word: spelling.readable(encode(f" {word}").tokens),
        decode=decode,
        piece=lambda token_id: engine.id_to_token(token_id) or "",
        find_fingerprint=lambda: sha256_of_file(path),
        save=lambda target: _copy_files(path.parent, target),
    )


def _kitoken(path: Path, name: str, threads: int | None) -> TokenizerAdapter:  # noqa: ARG001 (it has no threads)
    import kitoken

    engine: Any = kitoken.Kitoken.from_sentencepiece_file(str(path))
    return TokenizerAdapter(
        name=name,
        kind="kitoken",
        size=0,
        encode=lambda text: list(engine.encode(text, False)),
        encode_batch=lambda texts: engine.encode_all(texts, False),
    )


def _tokie(path: Path, name: str, threads: int | None) -> TokenizerAdapter:  # noqa: ARG001 (set by the environment)
    import numpy as np
    import tokie

    engine: Any = tokie.Tokenizer.from_json(str(path))

    def lists(output: Any) -> pa.ListArray:
        ids, lengths = output
        ends = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(ends), pa.array(ids, pa.uint32()))

    return TokenizerAdapter(
        name=name,
        kind="tokie",
        size=0,
        encode=lambda text: list(engine.encode_batch_flat([text], add_special_tokens=False)[0]),
        encode_batch=lambda texts: engine.encode_batch_flat(texts, add_special_tokens=False),
        lists=lists,
    )


# library -> (the file that it reads, its name, threads) -> adapter
LIBRARIES: dict[str, Callable[[Path, str, int | None], TokenizerAdapter]] = {
    OURS: _ours,
    "sentencepiece": _sentencepiece,
    "tokenizers": _tokenizers,
    "kitoken": _kitoken,
    "tokie": _tokie,
}


def _copy_files(folder: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for name in TOKENIZER_FILES:
        if (folder / name).exists() and folder.resolve() != target.resolve():
            shutil.copyfile(folder / name, target / name)
