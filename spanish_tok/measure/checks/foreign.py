"""The checks of another T5's vocabulary.

Its ids here, in its own libraries, and in transformers.

Other libraries differ where a text has characters that the vocabulary lacks (transformers 5 leaves byte pieces out),
where it spells a special token out, and around tokens that somebody added, so they are compared on texts without.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from spanish_tok.errors import SpanishTokError, panics_told
from spanish_tok.measure.checks.results import Check
from spanish_tok.tokenization.tokenizer import Tokenizer


def foreign_checks(tokenizer: Tokenizer, folder: Path, texts: Sequence[str]) -> list[Check]:
    """Return the checks of a foreign vocabulary on texts.

    For every library that is installed.
    """
    vocabulary = tokenizer.vocabulary
    assert vocabulary.foreign
    odd = {vocabulary.unknown, *vocabulary.foreign.byte_of, *vocabulary.foreign.matched}
    names = (vocabulary.pieces[number].removeprefix("▁") for number in sorted(vocabulary.special_ids))
    special = re.compile("|".join(map(re.escape, filter(None, names))))
    encoded = {text: tokenizer.encode(text) for text in texts if not special.search(text)}
    plain = [text for text, ids in encoded.items() if not odd.intersection(ids)]
    sentinels = [(k, vocabulary.sentinel_id(k)) for k in range(vocabulary.sentinels)]
    checks = [
        Check.of(
            "decode(encode(x)) == normalize(x), no special id",
            plain,
            lambda text: tokenizer.decode(encoded[text]) == tokenizer.normalize(text),
        )
    ]
    for name, encode, piece in _peers(folder):
        checks.append(Check.of(f"{name}: ids", plain, _cuts_as(encode, encoded)))
        if name != "sentencepiece":
            checks.append(Check.of(f"{name}: sentinels", sentinels, _names(piece)))
    return checks


def _cuts_as(encode: Callable[[str], list[int]], encoded: Mapping[str, list[int]]) -> Callable[[str], bool]:
    return lambda text: encode(text) == encoded[text]


def _names(piece: Callable[[int], str]) -> Callable[[tuple[int, int]], bool]:
    return lambda pair: piece(pair[1]).removeprefix("▁") == f"<extra_id_{pair[0]}>"


def _peers(folder: Path) -> list[tuple[str, Callable[[str], list[int]], Callable[[int], str]]]:
    """Return the libraries that read the folder: (name, text -> ids, id -> piece)."""
    peers: list[tuple[str, Callable[[str], list[int]], Callable[[int], str]]] = []
    if (folder / "spiece.model").exists():
        import sentencepiece

        spm = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spiece.model"))
        peers.append(("sentencepiece", lambda text: list(spm.encode(text)), spm.id_to_piece))
    if (folder / "tokenizer.json").exists():
        from tokenizers import Tokenizer as Peer

        with panics_told(folder / "tokenizer.json"):
            peer: Any = Peer.from_file(str(folder / "tokenizer.json"))
        peers.append(
            (
                "tokenizers",
                lambda text: list(peer.encode(text, add_special_tokens=False).ids),
                peer.id_to_token,
            )
        )
    if find_spec("transformers"):
        theirs = transformers_tokenizer(folder)
        peers.append(
            (
                "transformers",
                lambda text: list(theirs(text, add_special_tokens=False)["input_ids"]),
                theirs.convert_ids_to_tokens,
            )
        )
    return peers


def transformers_tokenizer(folder: Path) -> Any:
    """Return the tokenizer that transformers makes of a folder.

    AutoTokenizer of transformers 5 loads no umT5 with a spiece.model alone, and none with a config.json of text for
    numbers; T5's own class does. Raises SpanishTokError where neither can.
    """
    from transformers import AutoTokenizer, T5Tokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # whatever its readers of several files raise
        with suppress(Exception):
            return T5Tokenizer.from_pretrained(folder)
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise SpanishTokError(f"transformers cannot load {folder} ({reason})", "Is it whole?") from None
