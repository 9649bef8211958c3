"""Vocabularies of other T5s: a folder's spiece.model, its tokenizer.json, or both.

spiece.model decides where both lie. The sentinels are found in the form that the model gives them: T5 has them behind
the pieces of spiece.model (`<extra_id_99>` first), mT5 within it (`▁<extra_id_99>`), umT5 has none.

What is kept of such a vocabulary: its own normalization, its ids, its files byte by byte. Text never becomes a special
id, as everywhere here, even where it spells one out. What is not promised: the closed alphabet, equal ids in every
library, offsets, and pieces that stay within runs.
"""

import json
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from spanish_tok.errors import SpanishTokError, panics_told
from spanish_tok.files import read_json
from spanish_tok.vocab.spiece import parse_model

MODEL, JSON = "spiece.model", "tokenizer.json"
FILES = (MODEL, JSON, "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
SENTINEL = re.compile(r"▁?<extra_id_(\d{1,9})>")
BYTE = re.compile(r"<0x([0-9A-F]{2})>")
MOST_ADDED = 1 << 16  # ids behind the pieces; a damaged file may name any
DEFAULT_SENTINELS = 100  # that transformers gives a T5 whose files name no number
KERAS = "keras_hub>"  # before the name of a class in files of KerasHub, which are called as others' files are
MOST_PRESET = 100_000  # bytes of such a file; another library's tokenizer.json is larger
KERAS_PIECES = "assets/tokenizer/vocabulary.spm"


@dataclass(frozen=True)
class ForeignFiles:
    """What a vocabulary of another library has beside pieces and scores.

    files: as they lie in its folder. special: the ids that text never becomes. sentinels: the id of `<extra_id_k>`.
    byte_of: the bytes that byte pieces stand for. matched: pieces that text becomes wherever it spells them out;
    unused: ids that stand for nothing. by_json: tokenizers cuts the text, as there is no spiece.model.
    """

    files: Mapping[str, bytes] = field(repr=False)
    special: frozenset[int] = field(repr=False)
    sentinels: tuple[int, ...] = field(repr=False)
    byte_of: Mapping[int, int] = field(repr=False)
    matched: frozenset[int] = field(repr=False)
    unused: frozenset[int] = field(repr=False)
    pad: int
    eos: int
    unknown: int
    by_json: bool


class ForeignPieces(NamedTuple):
    """A foreign vocabulary as `Vocabulary` wants it.

    `model` is the spiece.model that sentencepiece gets.
    """

    pieces: tuple[str, ...]
    scores: tuple[float, ...]
    charsmap: bytes
    model: bytes
    foreign: ForeignFiles


class Added(NamedTuple):
    """A token that the tokenizer's files add to the pieces."""

    token: str
    special: bool | None  # None: it stands for nothing


def is_foreign(folder: Path) -> bool:
    """Return whether a folder holds a vocabulary of another library."""
    return (folder / MODEL).exists() or (folder / JSON).exists()


def refuse_keras(folder: Path) -> None:
    """Raise SpanishTokError for a preset of KerasHub; it says how to read one."""
    paths = [folder / name for name in ("config.json", JSON)]
    small = [path for path in paths if path.is_file() and path.stat().st_size < MOST_PRESET]
    for path in small:
        values = read_json(path)
        if isinstance(values, dict) and str(values.get("registered_name")).startswith(KERAS):
            raise SpanishTokError(
                f"{folder} is a preset of KerasHub",
                f"Write it as a model first: spanish-tok export {folder} --from keras --to transformers --output NEW",
            )


def read_foreign(folder: Path) -> ForeignPieces:
    """Read the vocabulary of another T5 from its folder.

    Raises SpanishTokError that names the file: one that is damaged, a vocabulary of bytes, one of ours that is not
    whole. Warns where tokenizer.json gives other ids than spiece.model.
    """
    refuse_keras(folder)
    files = {name: (folder / name).read_bytes() for name in FILES if (folder / name).exists()}
    options = _json_of(files, "tokenizer_config.json", folder)
    if options.get("tokenizer_class") == "ByT5Tokenizer":
        raise SpanishTokError(
            f"{folder} is a ByT5: it reads bytes", "Give a T5 with pieces: T5, mT5 or umT5."
        )
    try:
        return (_of_model if MODEL in files else _of_json)(folder, files, options)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise SpanishTokError(
            f"{folder} has damaged files of a tokenizer ({type(error).__name__}: {error})", "Copy them again."
        ) from None


def _of_model(folder: Path, files: dict[str, bytes], options: Mapping[str, Any]) -> ForeignPieces:
    """Return the vocabulary of a spiece.model, with what other files add to it."""
    path = str(folder / MODEL)
    model = parse_model(files[MODEL], path)
    if not (model.HasField("trainer_spec") and model.HasField("normalizer_spec")):
        raise SpanishTokError(f"{path} is cut off", "Copy the file again.")
    if _is_ours(model):
        raise SpanishTokError(
            f"{folder} holds no vocabulary that is whole: it has no manifest.json: its writing did not end",
            "Copy the whole folder again.",
        )
    pieces = [piece.piece for piece in model.pieces]
    if JSON in files and (difference := _differences(pieces, files[JSON], folder)):
        warnings.warn(difference, stacklevel=4)
        del files[JSON]
    added = _added(files, options, folder)
    extra = {token_id: token for token_id, token in added.items() if token_id >= len(pieces)}
    names = [*pieces, *(token.token for token in extra.values())]
    if not any(map(SENTINEL.fullmatch, names)):
        sentinels = _default_sentinels(folder, options, max([len(pieces), *(n + 1 for n in extra)]))
        extra |= sentinels
        if (
            sentinels and "tokenizer_config.json" not in files
        ):  # beside another config.json they would be guessed again
            stated = {"tokenizer_class": "T5Tokenizer", "extra_ids": len(sentinels)}
            files["tokenizer_config.json"] = (json.dumps(stated, indent=2) + "\n").encode()
    _check_ids({**added, **extra}, len(pieces), folder)
    _add_tokens(model, {**added, **extra})
    kinds = type(model).SentencePiece
    hidden = (kinds.CONTROL, kinds.UNKNOWN, kinds.UNUSED)
    names = [piece.piece for piece in model.pieces]
    special = [token_id for token_id, piece in enumerate(model.pieces) if piece.type in hidden]
    unknown = next(token_id for token_id, piece in enumerate(model.pieces) if piece.type == kinds.UNKNOWN)
    byte_of = {
        token_id: int(match[1], 16)
        for token_id, piece in enumerate(model.pieces)
        if piece.type == kinds.BYTE and (match := BYTE.fullmatch(piece.piece))
    }
    matched = {token_id for token_id, piece in enumerate(model.pieces) if piece.type == kinds.USER_DEFINED}
    unused = {token_id for token_id, piece in enumerate(model.pieces) if piece.type == kinds.UNUSED}
    foreign = _foreign(folder, files, names, special, unknown, byte_of, matched, unused, by_json=False)
    scores = tuple(piece.score for piece in model.pieces)
    charsmap = bytes(model.normalizer_spec.precompiled_charsmap)
    return ForeignPieces(
        tuple(names), scores, charsmap, bytes(model.SerializeToString(deterministic=True)), foreign
    )


def _add_tokens(model: Any, added: Mapping[int, Added]) -> None:
    """Add to a ModelProto the tokens that other files name.

    A piece may be among them: somebody made it special, or a token that text matches wherever it is spelled out.
    """
    kinds = type(model).SentencePiece
    kind_of = {True: kinds.CONTROL, False: kinds.USER_DEFINED, None: kinds.UNUSED}
    first = len(model.pieces)
    for token_id, piece in enumerate(model.pieces):
        if token_id in added and piece.piece == added[token_id].token and piece.type == kinds.NORMAL:
            piece.type = kind_of[added[token_id].special]
    for token_id in range(first, max(added, default=-1) + 1):
        token = added.get(token_id, Added(f"<unused_{token_id}>", None))
        model.pieces.add(piece=token.token, score=0.0, type=kind_of[token.special])
    for piece in model.pieces:
        if SENTINEL.fullmatch(piece.piece):
            piece.type = kinds.CONTROL


def _of_json(folder: Path, files: dict[str, bytes], options: Mapping[str, Any]) -> ForeignPieces:
    """Return the vocabulary of a tokenizer.json alone."""
    import tokenizers

    path = folder / JSON
    with panics_told(path):
        engine: Any = tokenizers.Tokenizer.from_str(files[JSON].decode())
    numbered = {token_id: token for token, token_id in engine.get_vocab(with_added_tokens=True).items()}
    added = _added(files, options, folder)
    _check_ids(added, len(numbered), folder)
    numbered |= {token_id: token.token for token_id, token in added.items() if token_id not in numbered}
    names = [
        numbered.get(token_id, f"<unused_{token_id}>") for token_id in range(max(numbered, default=-1) + 1)
    ]
    model = json.loads(engine.to_str())["model"]
    scored = dict(model["vocab"]) if model.get("type") == "Unigram" else {}
    unknown = model.get("unk_id")
    if unknown is None:
        unknown = engine.token_to_id(model.get("unk_token") or "<unk>")
    special = [token_id for token_id, token in added.items() if token.special]
    special += [
        token_id
        for token_id, name in enumerate(names)
        if SENTINEL.fullmatch(name) or token_id not in numbered
    ]
    byte_of = {
        token_id: int(match[1], 16)
        for token_id, name in enumerate(names)
        if model.get("byte_fallback") and (match := BYTE.fullmatch(name))
    }
    matched = {token_id for token_id, token in added.items() if not token.special}
    unused = {token_id for token_id in range(len(names)) if token_id not in numbered}
    foreign = _foreign(folder, files, names, special, unknown, byte_of, matched, unused, by_json=True)
    return ForeignPieces(tuple(names), tuple(scored.get(name, 0.0) for name in names), b"", b"", foreign)


def _foreign(
    folder: Path,
    files: Mapping[str, bytes],
    names: Sequence[str],
    special: Sequence[int],
    unknown: int | None,
    byte_of: Mapping[int, int],
    matched: set[int],
    unused: set[int],
    by_json: bool,
) -> ForeignFiles:
    sentinel_ids = {int(match[1]): n for n, name in enumerate(names) if (match := SENTINEL.fullmatch(name))}
    count = next(k for k in range(len(sentinel_ids) + 1) if k not in sentinel_ids)
    config = _config(folder)
    pad, eos = (
        names.index(token) if token in names else _first(config.get(entry), fallback)
        for token, entry, fallback in (("<pad>", "pad_token_id", 0), ("</s>", "eos_token_id", 1))
    )
    unknown = unknown if unknown is not None else 2
    return ForeignFiles(
        files=files,
        special=frozenset({*special, *sentinel_ids.values(), unknown, pad, eos}),
        sentinels=tuple(sentinel_ids[k] for k in range(count)),
        byte_of=byte_of,
        matched=frozenset(matched),
        unused=frozenset(unused),
        pad=pad,
        eos=eos,
        unknown=unknown,
        by_json=by_json,
    )


def _first(value: Any, fallback: int) -> int:
    """Return an entry of config.json that is an id, a list of them, or missing."""
    if isinstance(value, list):
        value = value[0] if value else None
    return fallback if value is None else int(value)


def _check_ids(added: Mapping[int, Any], first: int, folder: Path) -> None:
    """Raise SpanishTokError for added tokens with ids that no model has.

    A list of all ids between would fill memory.
    """
    for number in added:
        if not 0 <= number < first + MOST_ADDED:
            raise SpanishTokError(
                f"{folder} has an added token of the id {number}, and {first:,} pieces",
                "Copy the files again.",
            )


def _added(files: Mapping[str, bytes], options: Mapping[str, Any], folder: Path) -> dict[int, Added]:
    """Return the added tokens by id, of every file that may name them.

    Tokenizer.json decides.
    """
    found: dict[int, Added] = {}
    for token, number in _json_of(files, "added_tokens.json", folder).items():
        found[int(number)] = Added(token, bool(SENTINEL.fullmatch(token)))
    listed = options.get("added_tokens_decoder")
    entries = (
        [{"id": number, **entry} for number, entry in listed.items()] if isinstance(listed, dict) else []
    )
    entries += _json_of(files, JSON, folder).get("added_tokens") or []
    for entry in entries:
        found[int(entry["id"])] = Added(str(entry["content"]), bool(entry.get("special")))
    return found


def _default_sentinels(folder: Path, options: Mapping[str, Any], first: int) -> dict[int, Added]:
    """Return the sentinels.

    That transformers gives a T5Tokenizer without being told any.

    None where the model has no rows for them, or is an umT5.
    """
    config = _config(folder)
    count = options.get("extra_ids", 0 if config.get("model_type") == "umt5" else DEFAULT_SENTINELS)
    count = count if isinstance(count, int) else 0
    if count > MOST_ADDED:
        raise SpanishTokError(
            f"{folder / 'tokenizer_config.json'}: extra_ids is {count}", "A T5 has 100 of them."
        )
    rows = config.get("vocab_size")
    if isinstance(rows, int) and first + count > rows:
        return {}
    return {first + count - 1 - k: Added(f"<extra_id_{k}>", True) for k in range(count)}


def _config(folder: Path) -> dict[str, Any]:
    values = read_json(folder / "config.json") if (folder / "config.json").exists() else {}
    return values if isinstance(values, dict) else {}


def _json_of(files: Mapping[str, bytes], name: str, folder: Path) -> dict[str, Any]:
    """Return the JSON object of a file; an empty one where there is no such file."""
    if name not in files:
        return {}
    try:
        values = json.loads(files[name])
    except (ValueError, RecursionError):
        reason = "cannot be loaded (it is not JSON)"
        raise SpanishTokError(f"{folder / name} {reason}", "It may be cut off: copy it again.") from None
    if not isinstance(values, dict):
        raise SpanishTokError(f"{folder / name} is not a JSON object", "Copy the file again.")
    return values


def _differences(pieces: Sequence[str], data: bytes, folder: Path) -> str:
    """Return what is to be told.

    Of a tokenizer.json with other ids than spiece.model; "" for the same.
    """
    model = _json_of({JSON: data}, JSON, folder).get("model")
    vocab = model.get("vocab") if isinstance(model, dict) else None
    theirs = [entry[0] for entry in vocab] if isinstance(vocab, list) else []
    if isinstance(vocab, dict):
        theirs = sorted(vocab, key=vocab.__getitem__)
    other = [n for n, piece in enumerate(pieces) if n >= len(theirs) or theirs[n] != piece]
    if not other:
        return ""
    first = other[0]
    named = theirs[first] if first < len(theirs) else "nothing"
    return (
        f"{folder / JSON} gives {len(other):,} ids another piece than {MODEL}, the first is {first}: {named!r}, not "
        f"{pieces[first]!r}. {MODEL} decides; {JSON} is left out."
    )


def _is_ours(model: Any) -> bool:
    """Return whether a spiece.model is one that this package wrote.

    Whose folder has a manifest.
    """
    scores = [piece.score * 1024 for piece in model.pieces]
    return (
        model.normalizer_spec.name == "user_defined"
        and [piece.piece for piece in model.pieces][:3] == ["<pad>", "</s>", "<unk>"]
        and all(float(score).is_integer() for score in scores)
    )
