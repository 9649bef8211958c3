"""The verb `trim`: a model with the pieces that a text uses, and no others.

Tokenizer, embedding and output layer are cut together. What text needs kept pieces only is cut as before, and the
model computes the same numbers for it: `verify DIR --against MODEL` proves it.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spanish_tok.errors import SpanishTokError
from spanish_tok.files.outputs import as_list, check_new_file, check_new_folder, whole_folder
from spanish_tok.options import changed
from spanish_tok.progress import Bar, ProgressOption, progress_of
from spanish_tok.readers.inputs import InputOption, Inputs, inputs_of
from spanish_tok.readers.options import FileReport, Location, ReadOptions, tell_lost
from spanish_tok.t5.foreign.kept_pieces import kept_pieces
from spanish_tok.t5.foreign.piece_counts import PieceCounts
from spanish_tok.t5.foreign.source import ModelSource
from spanish_tok.tokenization.tokenizer import Tokenizer


@dataclass(frozen=True)
class TrimOptions:
    """How a vocabulary is cut.

    size: ids in all, the most used pieces, fewer where the text uses fewer; None: all pieces in use.
    multiple: the rows of the embedding are rounded up to a multiple of it; those beyond the ids repeat `<pad>`'s.
    """

    size: int | None = None
    multiple: int = 1

    def __post_init__(self) -> None:
        if self.multiple < 1:
            raise SpanishTokError(f"multiple is {self.multiple}", "Give a whole number from 1 up, such as 8.")


@dataclass(frozen=True)
class TrimResult:
    """A trimmed model.

    Its folder, ids and rows before and after, and the share of all uses that kept pieces have.
    """

    folder: Path
    ids_before: int
    ids: int
    rows_before: int
    rows: int
    share: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return {**asdict(self), "folder": str(self.folder)}

    def __str__(self) -> str:
        return (
            f"{self.ids:,} ids of {self.ids_before:,}, {self.rows:,} rows of {self.rows_before:,}; the pieces that "
            f"stay are {self.share:.2%} of all uses: {self.folder}"
        )


def trim(
    model: Location,
    output: Location | None = None,
    *,
    input: InputOption = None,  # noqa: A002
    texts: Any = None,
    counts: Location | None = None,
    keep_characters: Location | None = None,
    save_counts: Location | None = None,
    reading: ReadOptions | None = None,
    options: TrimOptions | None = None,
    progress: ProgressOption = None,
    **changes: Any,
) -> TrimResult:
    """Cut the vocabulary of a model down to the pieces that a text uses.

    model: a folder of any T5. output: a new folder. input, texts: what to read, as for `count`; or counts: a table
    (piece, count) that `save_counts` wrote, for our vocabularies also (run, count). keep_characters: a file of
    characters to keep beside those that the text uses; a vocabulary without byte pieces keeps all of its own. changes:
    fields of TrimOptions.

    Rows are read from the file: memory holds what stays, never the whole model. Raises SpanishTokError for a damaged
    model, a size that is too small, and an output that holds anything.
    """
    options = changed(TrimOptions, options, changes)
    if output is None:
        raise SpanishTokError("trim needs an output", "Give a new folder.")
    check_new_folder(output)
    if sum(given is not None for given in (input, texts, counts)) != 1:
        raise SpanishTokError("trim needs one of text, texts= and counts", "Give one.")
    if save_counts is not None:
        check_new_file(save_counts, [*as_list(input), *([] if counts is None else [counts])])
    source = ModelSource.of(Path(model))
    tokenizer = Tokenizer(source.vocabulary)
    if counts is not None:
        piece_counts = PieceCounts.of_table(tokenizer, counts)
    else:
        inputs, reports = inputs_of(input, reading, texts=texts), list[FileReport]()
        with progress_of(progress).phase("counting pieces", inputs.guessed_rows()) as bar:
            piece_counts = PieceCounts.of_texts(tokenizer, _columns(inputs, reports, bar))
        inputs.check(reports)
        tell_lost(reports, progress_of(progress))
        if not piece_counts.uses.any():
            raise SpanishTokError(f"{inputs.called} holds no word", "Give text that the model will read.")
    if save_counts is not None:
        piece_counts.save(save_counts)
    characters = tokenizer.normalize(_text_of(keep_characters)) if keep_characters is not None else ""
    kept = kept_pieces(piece_counts, options.size, characters, source.named)
    rows = -(-len(kept) // options.multiple) * options.multiple
    with whole_folder(output) as partial, progress_of(progress).phase("writing", unit="share"):
        source.write(partial, kept, rows)
    total = int(piece_counts.uses.sum())
    return TrimResult(
        folder=Path(output),
        ids_before=len(source.vocabulary),
        ids=len(kept),
        rows_before=source.config.vocab_size,
        rows=rows,
        share=int(piece_counts.uses[kept].sum()) / total if total else 0.0,
    )


def _text_of(path: Location) -> str:
    try:
        return Path(path).read_text("utf-8")
    except OSError as error:
        raise SpanishTokError(f"{path} cannot be read ({error.strerror})", "Check the path.") from None
    except UnicodeDecodeError:
        raise SpanishTokError(f"{path} is not UTF-8", "Give a text file of characters.") from None


def _columns(inputs: Inputs, reports: list[FileReport], bar: Bar) -> Iterator[Any]:
    for item in inputs.items:
        reports.append(FileReport(item.name))
        for batch in item.read(reports[-1]):
            bar.advance(batch.num_rows)
            yield batch.column("text")
