"""Every library that reads vocabularies, as a TokenizerAdapter."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from spanish_tok.errors import SpanishTokError, panics_told
from spanish_tok.files import sha256_of_file
from spanish_tok.parallel.threads import available_cores
from spanish_tok.tokenization.adapters import LISTS, OURS, TokenizerAdapter
from spanish_tok.tokenization.piece_spelling import PieceSpelling
from spanish_tok.tokenization.pipeline_check import checked_pipeline
from spanish_tok.tokenization.tokenizer import Tokenizer
from spanish_tok.vocab.folder import MANIFEST
from spanish_tok.vocab.foreign import refuse_keras
from spanish_tok.vocab.spiece import load_engine, parse_model
from spanish_tok.vocab.vocabulary import Vocabulary

SHIPPED = "es-5000, the one that ships"


# what transformers' AutoTokenizer reads beside tokenizer.json
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "spiece.model")


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
    refuse_keras(path)
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
    with panics_told(path):
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
        with panics_told(path):
            return engine.encode(text, add_special_tokens=False)

    def encode_batch(texts: Any) -> Any:
        with panics_told(path):
            return engine.encode_batch_fast(texts, add_special_tokens=False)

    def decode(ids: Sequence[int]) -> str:
        with panics_told(path):
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
