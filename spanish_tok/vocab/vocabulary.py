"""A vocabulary: pieces, scores and special ids, and the folder that holds it.

Of V ids, `<pad>` is 0, `</s>` 1, `<unk>` 2; then the pieces, most probable first; the sentinels are the last
ids, `<extra_id_k>` = V - 1 - k; other specials stand directly below them, the first one last. Scores are multiples
of 2^-10: sums of them are exact in float32 for any ordinary record, so that float32, float64 and integer engines
choose the same pieces.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from spanish_tok._version import __version__
from spanish_tok.errors import SpanishTokError
from spanish_tok.files import atomic_path, shipped, write_json
from spanish_tok.files.outputs import check_folder as check_folder_free
from spanish_tok.files.outputs import whole_folder
from spanish_tok.options import FieldsAlone
from spanish_tok.text.charsmap import compile_charsmap, spanish_charsmap
from spanish_tok.text.table import NormalizationTable, spanish_table
from spanish_tok.vocab import formats
from spanish_tok.vocab.folder import FORMAT, MANIFEST, MODEL, another_vocabulary, check_folder
from spanish_tok.vocab.foreign import ForeignFiles, is_foreign, read_foreign
from spanish_tok.vocab.formats import EOS, PAD, SPECIALS, UNK
from spanish_tok.vocab.spiece import kinds_are_ours, parse_model

__all__ = ["EOS", "PAD", "RESOLUTION", "SPECIALS", "UNK", "Vocabulary"]

RESOLUTION = 1024  # scores are multiples of 1 / RESOLUTION


@dataclass(frozen=True)
class Vocabulary(FieldsAlone):
    """Pieces and scores by id, the number of sentinels, and the normalization.

    The sentinels come last.

    `charsmap` is the normalization as SentencePiece compiles it; `pairs` are the letters that have a
    decomposed form, which tokenizer.json needs; `notes` say where the vocabulary comes from; `model` is the
    spiece.model that it was read from, if it was; `specials` is how many more specials stand below the sentinels.
    `foreign`: what another T5's vocabulary has beside that (see foreign.py); its specials and sentinels lie where its
    library has them.
    """

    pieces: tuple[str, ...]
    scores: tuple[float, ...]
    sentinels: int
    charsmap: bytes = field(repr=False)
    pairs: Mapping[str, str] = field(default_factory=dict, repr=False)
    notes: Mapping[str, Any] = field(default_factory=dict)
    model: bytes = field(default=b"", repr=False)
    specials: int = 0
    foreign: ForeignFiles | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.pieces)

    @staticmethod
    def build(
        scores: Mapping[str, float],
        sentinels: int,
        table: NormalizationTable,
        notes: Mapping[str, Any] | None = None,
        specials: Sequence[str] = (),
    ) -> "Vocabulary":
        """Build a vocabulary of pieces with natural-logarithm scores.

        They are rounded, ordered, and given their ids. specials: more of them, which stand below the sentinels.

        >>> vocabulary = Vocabulary.build({"▁": -2.0, "▁sol": -1.50001}, sentinels=2, table=spanish_table())
        >>> vocabulary.pieces
        ('<pad>', '</s>', '<unk>', '▁sol', '▁', '<extra_id_1>', '<extra_id_0>')
        >>> vocabulary.scores[3], vocabulary.sentinel_id(0)
        (-1.5, 6)
        """
        kept = {piece: rounded(score) for piece, score in scores.items()}
        ordered = sorted(kept, key=lambda piece: (-kept[piece], piece))
        last = [*reversed(specials), *(f"<extra_id_{k}>" for k in reversed(range(sentinels)))]
        return Vocabulary(
            pieces=(*SPECIALS, *ordered, *last),
            scores=(*(0.0 for _ in SPECIALS), *(kept[piece] for piece in ordered), *(0.0 for _ in last)),
            sentinels=sentinels,
            charsmap=spanish_charsmap() if table is spanish_table() else compile_charsmap(table),
            pairs=dict(table.pairs),
            notes={"normalization": table.origin, **(notes or {})},
            specials=len(specials),
        )

    @cached_property
    def special_ids(self) -> frozenset[int]:
        """The ids that text never becomes: specials and sentinels."""
        if self.foreign:
            return self.foreign.special
        last = range(len(self) - self.sentinels - self.specials, len(self))
        return frozenset({*range(len(SPECIALS)), *last})

    def sentinel_id(self, k: int) -> int:
        """Return the id of `<extra_id_k>`; raise SpanishTokError for an unknown one."""
        if not 0 <= k < self.sentinels:
            raise SpanishTokError(
                f"There is no <extra_id_{k}>", f"This vocabulary has {self.sentinels} sentinels."
            )
        return self.foreign.sentinels[k] if self.foreign else len(self) - 1 - k

    @property
    def pad(self) -> int:
        """The id of `<pad>`."""
        return self.foreign.pad if self.foreign else PAD

    @property
    def eos(self) -> int:
        """The id of `</s>`."""
        return self.foreign.eos if self.foreign else EOS

    @property
    def unknown(self) -> int:
        """The id of `<unk>`."""
        return self.foreign.unknown if self.foreign else UNK

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the (piece, score) list and the normalization.

        It decides every id of every text.
        """
        if self.foreign and self.foreign.by_json:
            return hashlib.sha256(self.foreign.files["tokenizer.json"]).hexdigest()
        rows = "".join(f"{piece}\t{score!r}\n" for piece, score in zip(self.pieces, self.scores, strict=True))
        return hashlib.sha256(rows.encode() + self.charsmap).hexdigest()

    @cached_property
    def exact(self) -> bool:
        """Whether ids are the same in every engine.

        Scores must have limited resolution, and no piece may cross words.
        """
        ordinary = [i for i in range(len(self)) if i not in self.special_ids]
        fine = all((self.scores[i] * RESOLUTION).is_integer() for i in ordinary)
        return fine and not any("▁" in self.pieces[i][1:] for i in ordinary)

    @cached_property
    def serialized(self) -> bytes:
        """The bytes of spiece.model, for sentencepiece.

        Of a foreign one with the sentinels that it lacks.
        """
        if self.foreign and self.foreign.by_json:
            raise SpanishTokError("The vocabulary has no spiece.model", "Get the folder's spiece.model, too.")
        return self.model or formats.model_proto(self)

    def save(self, folder: str | os.PathLike[str], *, force: bool = False) -> None:
        """Write the folder: every format, and last a manifest with all SHA-256.

        Nothing happens if this vocabulary is there. Of another T5's folder its own files are written, and no manifest.
        Raises SpanishTokError for a folder that holds anything else, unless it is a vocabulary and `force` replaces it,
        and for a foreign model alone, whose ids the formats would not agree on.
        """
        if check_folder_free(folder, force=force, kind="a vocabulary"):
            manifest = check_folder(Path(folder))
            if manifest["fingerprint"] == self.fingerprint and manifest["sentinels"] == self.sentinels:
                return
            raise another_vocabulary(folder)
        with whole_folder(folder) as partial:
            self.write_into(partial)

    def write_into(self, folder: str | os.PathLike[str]) -> None:
        """Write the files of `save` into a folder, such as a model's, that holds others."""
        if self.foreign:
            self._write_foreign(Path(folder), self.foreign)
            return
        if not self.exact or "normalization" not in self.notes:  # `build` notes it
            raise SpanishTokError(
                "A foreign model can be read but not saved", "Train a vocabulary from counts."
            )
        folder = Path(folder)
        contents = {
            MODEL: self.serialized,
            "spiece.vocab": formats.vocab_text(self).encode(),
            "tokenizer.json": formats.tokenizer_json(self).encode(),
            "tokenizer_config.json": formats.tokenizer_config(self).encode(),
            "special_tokens_map.json": formats.special_tokens_map(self).encode(),
        }
        (folder / MANIFEST).unlink(missing_ok=True)  # a folder without one is not a vocabulary
        for name, content in contents.items():
            with atomic_path(folder / name) as partial:
                partial.write_bytes(content)
        manifest = {
            "format": FORMAT,
            "spanish_tok": __version__,
            "size": len(self),
            "sentinels": self.sentinels,
            "fingerprint": self.fingerprint,
            **self.notes,
            "pairs": dict(self.pairs),
            "files": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
        }
        write_json(folder / MANIFEST, manifest)

    def _write_foreign(self, folder: Path, foreign: ForeignFiles) -> None:
        (folder / MANIFEST).unlink(missing_ok=True)
        for name, content in foreign.files.items():
            if not (folder / name).exists() or (folder / name).read_bytes() != content:
                with atomic_path(folder / name) as partial:
                    partial.write_bytes(content)

    @staticmethod
    def load(folder: str | os.PathLike[str] | None = None) -> "Vocabulary":
        """Read a folder that `save` wrote; by default the vocabulary that ships.

        Another T5's folder is read as `foreign.py` says.

        Raises SpanishTokError, which names the file, where one is missing or not as it was written.
        """
        folder = Path(folder) if folder is not None else shipped("vocab/es-5000")
        if not (folder / MANIFEST).exists() and is_foreign(folder):
            read = read_foreign(folder)
            return Vocabulary(sentinels=len(read.foreign.sentinels), **read._asdict())
        manifest = check_folder(folder)
        reserved = {"format", "spanish_tok", "size", "sentinels", "fingerprint", "pairs", "files"}
        notes = {name: value for name, value in manifest.items() if name not in reserved}
        data, model = _read_model(folder / MODEL)
        vocabulary = replace(_of_model(data, model), pairs=manifest["pairs"], notes=notes)
        ours = kinds_are_ours(model, vocabulary.special_ids)
        if vocabulary.fingerprint != manifest["fingerprint"] or not ours:
            raise SpanishTokError(
                f"{folder / MODEL} is not the model that {folder / MANIFEST} describes",
                "Copy the whole folder again.",
            )
        return vocabulary

    @staticmethod
    def from_model(path: str | os.PathLike[str]) -> "Vocabulary":
        """Read any Unigram spiece.model, ours or a foreign one.

        Raises SpanishTokError for any other file.

        A foreign model keeps its ids and scores; `exact` tells whether the promise of equal ids holds.
        """
        return _of_model(*_read_model(path))


def _read_model(path: str | os.PathLike[str]) -> tuple[bytes, Any]:
    """Return the bytes of a spiece.model, and what they say, checked."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise SpanishTokError(f"{path} cannot be read ({error.strerror})", "Check the path.") from None
    return data, parse_model(data, str(path))


def _of_model(data: bytes, model: Any) -> Vocabulary:
    pieces = tuple(piece.piece for piece in model.pieces)
    sentinels = 0
    while sentinels < len(pieces) and pieces[-1 - sentinels] == f"<extra_id_{sentinels}>":
        sentinels += 1
    specials = 0
    while model.pieces[-1 - sentinels - specials].type == model.pieces[0].CONTROL and (
        sentinels + specials < len(pieces) - len(SPECIALS)
    ):
        specials += 1
    charsmap = bytes(model.normalizer_spec.precompiled_charsmap)
    ours = charsmap == spanish_charsmap()
    return Vocabulary(
        pieces=pieces,
        scores=tuple(piece.score for piece in model.pieces),
        sentinels=sentinels,
        charsmap=charsmap,
        pairs=dict(spanish_table().pairs) if ours else {},
        model=data,
        specials=specials,
    )


def rounded(score: float) -> float:
    """Return a score as a vocabulary holds it: a multiple of 1 / RESOLUTION."""
    return round(score * RESOLUTION) / RESOLUTION
