"""Text to ids and back for any model folder: our vocabulary, or the tokenizer.json of another T5."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from spanish_tok.errors import SpanishTokError
from spanish_tok.files import read_json, sha256_of_file
from spanish_tok.tokenization.tokenizer import Tokenizer
from spanish_tok.vocab.vocabulary import MANIFEST, UNK, Vocabulary

# what transformers' AutoTokenizer reads beside tokenizer.json
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "spiece.model")


@dataclass(frozen=True)
class Codec:
    """How a model's texts become ids.

    encode: text -> ids, never a special one, whatever the text says; without `</s>`.
    encode_all: the same for many texts, which is quicker than one after the other.
    decode: ids -> text; specials leave no trace.
    unknown: the id that stands for characters that the vocabulary lacks.
    size: how many ids there are.
    fingerprint: what two codecs of the same ids have in common.
    save: writes the files that the next `Codec.of_folder` needs.
    vocabulary: ours, where it is one of ours.
    """

    encode: Callable[[str], list[int]]
    encode_all: Callable[[list[str]], list[list[int]]]
    decode: Callable[[Sequence[int]], str]
    unknown: int | None
    size: int
    fingerprint: str
    save: Callable[[Path], None]
    vocabulary: Vocabulary | None = None

    def readable(self, text: str) -> str:
        """`text` as the model can read and write it: what is unknown is left out.

        >>> Codec.of(Tokenizer.load()).readable(" Ñandú 日 ")
        'ñandú ri'
        """
        return self.decode([number for number in self.encode(text) if number != self.unknown]).strip()

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> "Codec":
        """The codec of a vocabulary of ours."""
        vocabulary = tokenizer.vocabulary
        return cls(
            encode=tokenizer.encode,
            encode_all=lambda texts: tokenizer.encode_column(texts, threads=1).to_pylist(),
            decode=tokenizer.decode,
            unknown=UNK,
            size=len(vocabulary),
            fingerprint=vocabulary.fingerprint,
            save=vocabulary.save,
            vocabulary=vocabulary,
        )

    @classmethod
    def of_folder(cls, folder: str | Path) -> "Codec":
        """The codec of a model folder; raises SpanishTokError where it holds no tokenizer."""
        folder = Path(folder)
        if (folder / MANIFEST).exists():
            return cls.of(Tokenizer.load(folder))
        if (folder / "tokenizer.json").exists():
            return _foreign(folder)
        raise SpanishTokError(
            f"{folder} holds neither a vocabulary nor a tokenizer.json",
            "Copy the tokenizer's files into the model's folder.",
        )


def _foreign(folder: Path) -> Codec:
    import tokenizers

    path = folder / "tokenizer.json"
    try:
        engine = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare Exception
        raise SpanishTokError(f"{path} cannot be read ({error})", "Copy it again.") from None
    engine.encode_special_tokens = True  # `</s>` typed in a text is text
    engine.no_truncation()
    engine.no_padding()
    unknown = read_json(path).get("model", {}).get("unk_id")

    def save(target: Path) -> None:
        target.mkdir(parents=True, exist_ok=True)
        for name in TOKENIZER_FILES:
            if (folder / name).exists() and folder.resolve() != target.resolve():
                shutil.copyfile(folder / name, target / name)

    return Codec(
        encode=lambda text: list(engine.encode(text, add_special_tokens=False).ids),
        encode_all=lambda texts: [
            list(row.ids) for row in engine.encode_batch(texts, add_special_tokens=False)
        ],
        decode=lambda ids: str(engine.decode(list(ids))),
        unknown=engine.token_to_id("<unk>") if unknown is None else unknown,
        size=engine.get_vocab_size(),
        fingerprint=sha256_of_file(path),
        save=save,
    )
