"""Accents and ñ put back into Spanish text: the Restorer and `restore`."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from spanish_tok._version import __version__
from spanish_tok.errors import SpanishTokError
from spanish_tok.files import (
    atomic_path,
    check_files,
    check_format,
    read_json,
    sha256_of_file,
    shipped,
    write_json,
)
from spanish_tok.files.outputs import as_list, text_output
from spanish_tok.options import check_one_given
from spanish_tok.progress import ProgressOption, progress_of
from spanish_tok.readers.options import FileReport, Location, ReadOptions, tell_lost
from spanish_tok.readers.streams import lines_of
from spanish_tok.t5.checkpoint import RESTORER, Tensors
from spanish_tok.t5.config import T5Config
from spanish_tok.t5.quantization import dequantize_tensors, quantize_tensors
from spanish_tok.t5.safetensors import read_tensors, write_tensors
from spanish_tok.tasks.accents.forms import Forms
from spanish_tok.tasks.accents.pieces import SLOTS, PieceReader, Window
from spanish_tok.tasks.accents.scores import KINDS, chosen
from spanish_tok.tasks.accents.words import with_forms
from spanish_tok.text.table import valid_text
from spanish_tok.tokenization.tokenizer import Tokenizer
from spanish_tok.vocab.vocabulary import Vocabulary

SHIPPED_RESTORER = "models/es-accents"
RELEASED = "vocab/es-5000/spiece.model"
FORMAT = 1
HEAD = "head.weight"  # (KINDS x SLOTS, d_model)
WEIGHTS, FORMS, VOCABULARY = "restorer.safetensors", "forms.parquet", "spiece.model"
PIECES = 2048  # that the encoder takes at a time, of whole windows
SHAPE = {"format": int, "config": dict, "files": {str: str}}
LINES = 64  # that are restored at a time
LONG = 1 << 18  # characters of a text, from which on it is cut at spaces, and that are restored at a time

Scorer: TypeAlias = Callable[[Sequence[Window]], list[NDArray[np.float32]]]  # (kinds, places) of each window


class Restorer:
    """Restores accents and ñ; nothing else of a text changes.

    >>> Restorer.load().restore("El nino comio pina. ¡MANANA!")
    'El niño comió piña. ¡MAÑANA!'
    """

    def __init__(self, tokenizer: Tokenizer, forms: Forms, score: Scorer) -> None:
        """Put one together; `score` gives the letters of windows their scores."""
        self.forms = forms
        self._reader = PieceReader(tokenizer)
        self._score = score

    @classmethod
    def load(cls, folder: Location | None = None) -> "Restorer":
        """Load a folder that `finetune --task accents` wrote; by default what ships.

        Raises SpanishTokError for another folder, and for a damaged one.
        """
        from spanish_tok.tasks.accents.encoder import CpuScorer

        folder = Path(folder) if folder is not None else shipped(SHIPPED_RESTORER)
        config, vocabulary = _checked(folder)
        tensors = dequantize_tensors(read_tensors(folder / WEIGHTS), str(folder / WEIGHTS))
        tokenizer = Tokenizer(Vocabulary.from_model(vocabulary))
        _check_fit(config, tensors, tokenizer, folder)
        return cls(tokenizer, Forms.load(folder / FORMS), CpuScorer(config, tensors))

    def restore(self, text: str, redo: bool = False) -> str:
        """Return a text with accents and ñ.

        Those that are there stay, unless `redo` asks to decide them too.
        """
        return next(self.restore_all([text], redo))

    def restore_all(self, texts: Iterable[str], redo: bool = False) -> Iterator[str]:
        """Yield each text restored; some are read and computed at a time."""
        parts = (part for text in texts for part in _parts(valid_text(text)))
        waiting = list[str]()  # parts of a text whose end is not restored yet
        for batch in _batches(parts):
            windows = [list(self._reader.windows(part.text)) for part in batch]
            scores = self._scores([window for some in windows for window in some])
            for part, some in zip(batch, windows, strict=True):
                waiting.append(self._restored(part.text, some, scores, redo))
                if part.last:
                    yield "".join(waiting)
                    waiting = []

    def _scores(self, windows: Sequence[Window]) -> Iterator[NDArray[np.float32]]:
        """Yield the scores of each window, computed PIECES at a time."""
        group: list[Window] = []
        for window in windows:
            if sum(len(other.ids) for other in group) + len(window.ids) > PIECES:
                yield from self._score(group)
                group = []
            group.append(window)
        if group:
            yield from self._score(group)

    def _restored(
        self, text: str, windows: Sequence[Window], scores: Iterator[NDArray[np.float32]], redo: bool
    ) -> str:
        forms = {}
        for window, values in zip(windows, scores, strict=False):
            for word, positions in window.words:
                present = word.base if redo else word.composed
                forms[word.start] = chosen(word.base, present, positions, values, self.forms)
        return with_forms(text, lambda word: forms.get(word.start, word.composed))


def save_restorer(
    folder: Path,
    config: T5Config,
    tensors: Mapping[str, NDArray[np.float32]],
    forms: Forms,
    tokenizer: Tokenizer,
    notes: Mapping[str, Any],
) -> None:
    """Write the folder of a restorer, its weights in int8; restorer.json comes last."""
    (folder / RESTORER).unlink(missing_ok=True)
    write_tensors(folder / WEIGHTS, quantize_tensors(tensors))
    forms.save(folder / FORMS)
    with atomic_path(folder / VOCABULARY) as partial:
        partial.write_bytes(tokenizer.vocabulary.serialized)
    files = {name: sha256_of_file(folder / name) for name in (WEIGHTS, FORMS, VOCABULARY)}
    manifest = {"format": FORMAT, "spanish_tok": __version__, "config": config.to_dict(), "files": files}
    write_json(folder / RESTORER, {**manifest, "notes": dict(notes)})


def is_restorer(model: Any) -> bool:
    """Whether a model is a restorer, or the folder of one."""
    return isinstance(model, Restorer) or (
        isinstance(model, str | Path) and (Path(model) / RESTORER).exists()
    )


class _Part(NamedTuple):
    """A text, or a part of one that is very long; whether it is the last."""

    text: str
    last: bool


def _parts(text: str) -> Iterator[_Part]:
    """Yield a text in parts of at most LONG characters, cut after spaces.

    A word that is longer is cut, too."""
    begin = 0
    while len(text) - begin > LONG:
        space = text.rfind(" ", begin, begin + LONG)
        end = space + 1 if space > begin else begin + LONG
        yield _Part(text[begin:end], last=False)
        begin = end
    yield _Part(text[begin:] if begin else text, last=True)


def _batches(parts: Iterable[_Part]) -> Iterator[list[_Part]]:
    """Yield at most LINES parts at a time, about LONG characters."""
    batch, size = list[_Part](), 0
    for part in parts:
        batch.append(part)
        size += len(part.text)
        if len(batch) == LINES or size >= LONG:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def restorer_of(model: Any) -> Restorer:
    """Return the restorer that an option `model=` means; None is what ships."""
    return model if isinstance(model, Restorer) else Restorer.load(model)


def _checked(folder: Path) -> tuple[T5Config, Path]:
    """Check the files; return the encoder's shape and the vocabulary's file."""
    path = folder / RESTORER
    if not path.exists():
        raise SpanishTokError(
            f"{folder} does not restore accents: it has no {RESTORER}",
            "Give a folder that `finetune --task accents` wrote.",
        )
    manifest = read_json(path, SHAPE)
    check_format(folder, manifest["format"], FORMAT)
    files, vocabulary = manifest["files"], folder / VOCABULARY
    if not vocabulary.exists() and files.get(VOCABULARY) == sha256_of_file(shipped(RELEASED)):
        vocabulary = shipped(RELEASED)  # what ships has the released vocabulary, which is not packed twice
        del files[VOCABULARY]
    check_files(folder, files)
    return T5Config.from_dict(manifest["config"]), vocabulary


def _check_fit(config: T5Config, tensors: Tensors, tokenizer: Tokenizer, folder: Path) -> None:
    """Raise SpanishTokError unless weights, shape and vocabulary fit together."""
    encoder = {
        name: shape for name, shape in config.shapes().items() if name.startswith(("shared", "encoder"))
    }
    expected = {**encoder, HEAD: (KINDS * SLOTS, config.d_model)}
    for name in sorted(expected.keys() | tensors):
        fits = name in expected and name in tensors and tensors[name].shape == expected[name]
        if not fits or tensors[name].dtype != np.float32 or not np.isfinite(tensors[name]).all():
            raise SpanishTokError(
                f"{folder / WEIGHTS}: {name} is not that of the encoder in {RESTORER}",
                "Copy the folder again.",
            )
    if tokenizer.vocab_size > config.vocab_size:
        raise SpanishTokError(
            f"{folder / VOCABULARY} has {tokenizer.vocab_size:,} ids, the encoder {config.vocab_size:,} rows",
            "It is another model's vocabulary.",
        )


@overload
def restore(texts: str, *, model: "Restorer | Location | None" = None, redo: bool = False) -> str: ...
@overload
def restore(
    texts: "list[str] | None" = None,
    output: "Location | None" = None,
    *,
    files: "Location | Sequence[Location] | None" = None,
    model: "Restorer | Location | None" = None,
    redo: bool = False,
    reading: ReadOptions | None = None,
    progress: ProgressOption = None,
    force: bool = False,
) -> list[str]: ...
def restore(
    texts: Any = None,
    output: Any = None,
    *,
    files: Any = None,
    model: Any = None,
    redo: bool = False,
    reading: Any = None,
    progress: Any = None,
    force: bool = False,
) -> Any:
    """Put accents and ñ back into Spanish text; nothing else of it changes.

    texts: one text, or several. files: paths, or "-" for standard input; their lines are written with the ends that
    they have. output: a new file for the results (`force` replaces one); "-" is standard output. model: a Restorer,
    or a folder that `finetune --task accents` wrote; what ships by default. redo: decide accents that are there too.
    reading: how lines that are not UTF-8 are treated, their encoding and longest size; what was repaired or dropped is
    told to `progress`.

    URLs, e-mails, @names and words with digits or `_` stay, as do words of other alphabets. A text of more than 262,144
    characters is restored in parts, cut at spaces.
    Raises SpanishTokError for both or neither of texts and files, and for what is no text.

    >>> restore("Manana vendra.")
    'Mañana vendrá.'
    """
    check_one_given(texts, files, to="read", advice="Give either texts or files=.")
    restorer, reports = restorer_of(model), list[FileReport]()
    if isinstance(texts, str) and output is None:
        return restorer.restore(texts, redo)
    if files is None:
        lines: Iterable[str] = [texts] if isinstance(texts, str) else texts
        lines = lines if output is None else (f"{line}\n" for line in lines)
    else:
        lines = _whole_lines(as_list(files), reading, reports)
    with text_output(output, as_list(files), force=force) as out:
        if out is None:
            restored = list(restorer.restore_all(lines, redo))
            results = restored if files is None else [line.removesuffix("\n") for line in restored]
        else:
            results = []
            for line in restorer.restore_all(lines, redo):
                out.write(line)
    tell_lost(reports, progress_of(progress))
    return results


def _whole_lines(
    files: Sequence[Location], reading: ReadOptions | None, reports: list[FileReport]
) -> Iterator[str]:
    """Yield the lines of files with their ends."""
    for _, _, line in lines_of(files, reading, reports):
        yield line if reports[-1].unterminated else f"{line}\n"
