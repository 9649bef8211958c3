"""The verbs on text: normalize, tokenize, encode, decode.

They take one text, a list of texts, or lines of files.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, overload

from spanish_tok.errors import SpanishTokError
from spanish_tok.options import check_one_given
from spanish_tok.text.table import normalize as _normalize

if TYPE_CHECKING:
    from spanish_tok.progress import ProgressOption
    from spanish_tok.readers.options import Location, ReadOptions
    from spanish_tok.tokenization.tokenizer import Tokenizer

    VocabOption: TypeAlias = "Tokenizer | Location | None"  # None is the vocabulary that ships
    Files: TypeAlias = "Location | Sequence[Location] | None"


LONG = 1 << 20  # characters or ids, of which no list of Python is made
PART = 1 << 12  # characters, of which scores add up exactly in float32, in all libraries
WORD = re.compile("(?<= )[!-~¡-¬®-ÿ]")  # after a space: what no mark before it changes


@dataclass(frozen=True)
class Tokens:
    """One text as a vocabulary cuts it.

    offsets: for each piece the characters text[begin:end] that it stands for.
    """

    text: str
    normalized: str
    pieces: list[str]
    ids: list[int]
    offsets: list[tuple[int, int]]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, ready for JSON."""
        return asdict(self)


@overload
def normalize(texts: str, *, vocab: "VocabOption" = None) -> str: ...
@overload
def normalize(
    texts: "list[str] | None" = None,
    output: "Location | None" = None,
    *,
    files: "Files" = None,
    vocab: "VocabOption" = None,
    reading: "ReadOptions | None" = None,
    progress: "ProgressOption" = None,
) -> list[str]: ...
def normalize(
    texts: Any = None,
    output: Any = None,
    *,
    files: Any = None,
    vocab: Any = None,
    reading: Any = None,
    progress: Any = None,
) -> Any:
    """Map text into the closed alphabet of a vocabulary, by default the Spanish one.

    Lower case, accents kept, nothing unknown left.

    texts: one text, or a list of texts. files: paths, or "-" for standard input, whose lines are the texts. output: a
    file for the results, a line each; "-" is standard output. vocab: a Tokenizer or a vocabulary folder. reading: how
    lines that are not UTF-8 are treated, their encoding and longest size; what was repaired or dropped is told to
    `progress`.

    Raises SpanishTokError for both or neither of texts and files, for anything but str, and for a lone surrogate.

    >>> normalize("  El PINGÜINO comió 21½ «ñoquis»…\\u00a0¡Olé! ")
    'el pingüino comió 21 1/2 «ñoquis»... ¡olé!'
    >>> normalize(["hola😀mundo", "Man\\u0303ana"])
    ['hola mundo', 'mañana']
    """
    function = _normalize if vocab is None else tokenizer_of(vocab).normalize
    return for_each(function, texts, files, output, reading=reading, progress=progress)


@overload
def encode(texts: str, *, vocab: "VocabOption" = None, append_eos: bool = False) -> list[int]: ...
@overload
def encode(
    texts: "list[str] | None" = None,
    output: "Location | None" = None,
    *,
    files: "Files" = None,
    vocab: "VocabOption" = None,
    append_eos: bool = False,
    reading: "ReadOptions | None" = None,
    progress: "ProgressOption" = None,
) -> list[list[int]]: ...
def encode(
    texts: Any = None,
    output: Any = None,
    *,
    files: Any = None,
    vocab: Any = None,
    append_eos: bool = False,
    reading: Any = None,
    progress: Any = None,
) -> Any:
    """Turn text into ids.

    For whole data sets use `shard`, for columns `Tokenizer.encode_column`.

    texts, files, output, reading, progress: as for `normalize`. vocab: a Tokenizer or a vocabulary folder; the
    shipped one by default.

    >>> encode("Hola Mundo")
    [1884, 340]
    """
    tokenizer = tokenizer_of(vocab)

    def ids_of(text: str) -> list[int]:
        return tokenizer.encode(text, append_eos=append_eos)

    def line_of(text: str) -> str:
        ours = tokenizer.vocabulary.exact and not tokenizer.vocabulary.foreign
        parts = parts_of(text) if ours else [text]
        ids = [" ".join(map(str, some)) for part in parts for some in _some_ids(part, tokenizer)]
        return " ".join([*filter(None, ids), *[str(tokenizer.eos_id)] * append_eos])

    function = ids_of if output is None else line_of
    return for_each(function, texts, files, output, reading=reading, progress=progress)


@overload
def decode(ids: Sequence[int], *, vocab: "VocabOption" = None) -> str: ...
@overload
def decode(
    ids: "Sequence[Sequence[int]] | None" = None,
    output: "Location | None" = None,
    *,
    files: "Files" = None,
    vocab: "VocabOption" = None,
    reading: "ReadOptions | None" = None,
    progress: "ProgressOption" = None,
) -> list[str]: ...
def decode(
    ids: Any = None,
    output: Any = None,
    *,
    files: Any = None,
    vocab: Any = None,
    reading: Any = None,
    progress: Any = None,
) -> Any:
    """Turn ids back into text; specials and sentinels leave no trace.

    ids: the ids of one text, or a list of such lists. files: lines of ids separated by spaces. The others as for
    `normalize`.

    >>> decode([1884, 340]), decode([[1884], [340]])
    ('hola mundo', ['hola', 'mundo'])
    """
    tokenizer = tokenizer_of(vocab)
    if files is None and output is None and ids is not None:
        return tokenizer.decode(ids)

    def id_of(word: str | int) -> int:
        try:
            return int(word)
        except ValueError:
            raise SpanishTokError(
                f"{str(word)[:40]!r} is not an id", "Give whole numbers, one space between."
            ) from None

    def text_of(line: str | Sequence[int]) -> str:
        return tokenizer.decode([id_of(word) for word in (line.split() if isinstance(line, str) else line)])

    return for_each(text_of, ids, files, output, reading=reading, progress=progress)


@overload
def tokenize(texts: str, *, vocab: "VocabOption" = None) -> Tokens: ...
@overload
def tokenize(
    texts: "list[str] | None" = None,
    output: "Location | None" = None,
    *,
    files: "Files" = None,
    vocab: "VocabOption" = None,
    reading: "ReadOptions | None" = None,
    progress: "ProgressOption" = None,
) -> list[Tokens]: ...
def tokenize(
    texts: Any = None,
    output: Any = None,
    *,
    files: Any = None,
    vocab: Any = None,
    reading: Any = None,
    progress: Any = None,
) -> Any:
    """Show how text is cut: normalized text, pieces, ids and offsets.

    Written as JSON lines. Arguments as for `normalize`.

    >>> tokenize("Hola").pieces
    ['▁hola']
    """
    tokenizer = tokenizer_of(vocab)

    def tokens_of(text: str) -> Tokens:
        return Tokens(
            text,
            tokenizer.normalize(text),
            tokenizer.tokens(text),
            tokenizer.encode(text),
            tokenizer.offsets(text),
        )

    def json_of(tokens: Tokens) -> str:
        import json

        return json.dumps(tokens.to_dict(), ensure_ascii=False)

    return for_each(tokens_of, texts, files, output, json_of, reading=reading, progress=progress)


def tokenizer_of(vocab: "VocabOption") -> "Tokenizer":
    """Return the tokenizer that the option `vocab=` of a verb means."""
    from spanish_tok.tokenization.tokenizer import Tokenizer

    return vocab if isinstance(vocab, Tokenizer) else Tokenizer.load(vocab)


def parts_of(text: str) -> Iterator[str]:
    """Yield a text in parts whose ids are, one after the other, those of the whole.

    A part begins with a printable character of Latin-1 after a space: no piece holds a space within.

    >>> [len(part) for part in parts_of("palabra " * 1200)]
    [4096, 4096, 1408]
    """
    begin = 0
    while found := WORD.search(text, begin + PART):
        yield text[begin : found.start()]
        begin = found.start()
    yield text[begin:]


def _some_ids(text: str, tokenizer: "Tokenizer") -> Iterator[list[int]]:
    """Yield the ids of a text in lists, as one of a long text takes much memory."""
    if len(text) < LONG:
        yield tokenizer.encode(text)
        return
    ids = tokenizer.encode_column([text]).flatten()
    for first in range(0, len(ids), LONG):
        yield ids[first : first + LONG].to_pylist()


def for_each(
    function: Callable[[Any], Any],
    texts: Any,
    files: Any,
    output: Any,
    line_of: Callable[[Any], str] = str,
    *,
    reading: "ReadOptions | None" = None,
    progress: "ProgressOption" = None,
) -> Any:
    """Call `function` for one text, each of several, or each line of files.

    Writes the results if there is an output.
    """
    check_one_given(texts, files, to="read", advice="Give either texts or files=.")
    if (
        files is None
        and output is None
        and (isinstance(texts, str | bytes) or not hasattr(texts, "__iter__"))
    ):
        return function(texts)
    if files is None:
        results: Iterator[Any] = map(function, [texts] if isinstance(texts, str) else texts)
    else:
        results = _of_lines(function, files, reading, progress)
    from spanish_tok.files.outputs import as_list, text_output

    with text_output(output, as_list(files)) as out:
        if out is None:
            return list(results)
        for result in results:
            print(line_of(result), file=out, flush=True)
    return []


def _of_lines(
    function: Callable[[str], Any], files: Any, reading: "ReadOptions | None", progress: "ProgressOption"
) -> Iterator[Any]:
    """Yield the result of each line; an error names the file and the line."""
    from spanish_tok.progress import progress_of
    from spanish_tok.readers.options import FileReport, tell_lost
    from spanish_tok.readers.streams import lines_of

    reports: list[FileReport] = []
    for name, line_number, line in lines_of(files, reading, reports):
        try:
            yield function(line)
        except SpanishTokError as error:
            raise SpanishTokError(f"{name}, line {line_number}: {error.problem}", error.advice) from None
    tell_lost(reports, progress_of(progress))
