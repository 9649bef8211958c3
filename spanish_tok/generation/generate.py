"""The verb `generate`: fill gaps of texts, or of lines of files."""

from collections.abc import Iterator, Sized
from itertools import islice
from typing import Any, TextIO, overload

from spanish_tok.errors import SpanishTokError
from spanish_tok.files.outputs import as_list, check_new_file, text_output
from spanish_tok.generation.generator import BackendName, Generation, Generator
from spanish_tok.generation.prompts import Prompt
from spanish_tok.generation.sampling import GenerateOptions
from spanish_tok.options import changed, check_one_given
from spanish_tok.progress import Bar, ProgressOption, progress_of
from spanish_tok.readers.options import FileReport, Location, ReadOptions, tell_lost
from spanish_tok.readers.streams import lines_of
from spanish_tok.t5.safetensors import Precision


@overload
def generate(texts: str, *, model: Generator | Location | None = None, **options: Any) -> Generation: ...


@overload
def generate(
    texts: list[str] | None = None, output: Location | None = None, **options: Any
) -> list[Generation]: ...


def generate(
    texts: Any = None,
    output: Location | None = None,
    *,
    files: Any = None,
    model: Generator | Location | None = None,
    backend: BackendName = "cpu",
    precision: Precision | None = None,
    batch_size: int = 32,
    stream: bool = False,
    options: GenerateOptions | None = None,
    reading: ReadOptions | None = None,
    progress: ProgressOption = None,
    force: bool = False,
    **changes: Any,
) -> Any:
    """Fill the gaps <extra_id_0>, <extra_id_1>, ... of a text, or continue it.

    texts: one text or a list; files: paths, or "-" for standard input, whose lines are the texts. output: a file for
    the texts, a line each, with the log-probability and a tab before it if `scores`; "-" is standard output. reading:
    how lines that are not UTF-8 are treated. model: a folder or a Generator; the shipped model by default. stream:
    write each piece as soon as it is known, one text at a time. changes: fields of GenerateOptions. force: replace a
    file.

    A line that is no prompt, as one that names a gap twice, does not stop the others: with `output` it is told by
    `progress`, its line stays empty, and the failed Generations, which say why, are returned.

    Raises SpanishTokError for both or neither of texts and files, and for a damaged model.

    >>> generate("los archivos que <extra_id_0> encuentran <extra_id_1> directorio indicado .").text
    'los archivos que se encuentran en el directorio indicado .'
    """
    options = changed(GenerateOptions, options, changes)
    check_one_given(texts, files, to="read", advice="Give either texts or files=.")
    if stream and (output is None or options.scores):
        raise SpanishTokError(
            "A text is streamed to an output, before its score is known", "Give an output, and no scores."
        )
    check_new_file(output, as_list(files), force=force)
    generator = model if isinstance(model, Generator) else Generator.load(model, backend, precision)
    if files is None and output is None:
        return generator.generate(texts, options, batch_size=batch_size)
    reports: list[FileReport] = []
    texts = [texts] if isinstance(texts, str) else texts
    total = len(texts) if isinstance(texts, Sized) else None  # lines come as they are read
    given = enumerate(texts or [], 1)
    named = ((f"Text {number}", text) for number, text in given) if files is None else (
        (f"{name}, line {number}", line) for name, number, line in lines_of(files, reading, reports)
    )  # fmt: skip
    shown, failed = progress_of(progress), list[Generation]()
    with shown.phase("writing", total) as bar, text_output(output, force=force) as out:
        if stream and out is not None:
            results = _streamed(generator, named, options, out)
        else:
            results = _in_batches(generator, named, options, batch_size, bar)
        if out is None:
            return list(results)
        for generation in results:
            if generation.error:
                shown.tell(generation.error)
                failed.append(generation)
            score = f"{generation.score or 0:.4f}\t" if options.scores and not generation.error else ""
            print(score + generation.text, file=out, flush=True)
    tell_lost(reports, shown)
    return failed


def _streamed(
    generator: Generator, named: Iterator[tuple[str, str]], options: GenerateOptions, out: TextIO
) -> Iterator[Generation]:
    """Write the answer to each text piece by piece.

    Yields what is left to be told of each."""
    for name, text in named:
        error = ""
        try:
            for piece in generator.stream(text, options):
                out.write(piece)
                out.flush()
        except SpanishTokError as wrong:
            error = f"{name}: {wrong}"
        yield Generation("", (), None, complete=False, error=error)


def _in_batches(
    generator: Generator,
    named: Iterator[tuple[str, str]],
    options: GenerateOptions,
    batch_size: int,
    bar: Bar,
) -> Iterator[Generation]:
    """Yield what is written for texts, each with its name.

    One that is no prompt gives a Generation with an error."""
    while batch := list(islice(named, batch_size)):
        prompts: list[Prompt] = []
        failed: dict[int, list[Generation]] = {}
        for row, (name, text) in enumerate(batch):
            try:
                prompts.append(Prompt.parse(text, generator.tokenizer))
            except SpanishTokError as error:
                failed[row] = [Generation("", (), None, False, f"{name}: {error}")]
        answers = iter(generator._generate_all(prompts, options, None, batch_size))
        for row in range(len(batch)):
            yield from failed.get(row) or next(answers)
        bar.advance(len(batch))
