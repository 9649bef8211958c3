"""The verb `count`: the runs of any input as one table, here or on a cluster."""

import os
from collections.abc import Sequence
from glob import has_magic
from pathlib import Path, PurePath
from typing import Any, Literal

from spanish_tok.errors import SpanishTokError
from spanish_tok.files.outputs import as_list, check_file
from spanish_tok.parallel.local import Local
from spanish_tok.parallel.ray_engine import Ray
from spanish_tok.progress import Progress, ProgressOption, progress_of
from spanish_tok.readers.datasets import is_recipe
from spanish_tok.readers.inputs import InputOption, Inputs, inputs_of
from spanish_tok.readers.opening.paths import base_name, expand_paths
from spanish_tok.readers.opening.remote import is_remote
from spanish_tok.readers.options import FileReport, Location, ReadOptions, tell_lost
from spanish_tok.text.alphabets import SPANISH_NAME, alphabet_table
from spanish_tok.text.table import NormalizationTable
from spanish_tok.vocab.counts.table import Counts, is_counts_file, merge, one_alphabet
from spanish_tok.vocab.counts.tasks import cache_of, count_inputs
from spanish_tok.vocab.counts.word_lists import TOTAL, WORDS, column_names, number_column


def count(
    input: InputOption = None,  # noqa: A002
    output: Location | None = None,
    *,
    texts: Any = None,
    weights: Sequence[float] | None = None,
    total: int = TOTAL,
    licence: str | Sequence[str] = "",
    alphabet: Location = SPANISH_NAME,
    cased: bool = False,
    reading: ReadOptions | None = None,
    table: NormalizationTable | None = None,
    engine: Local | Ray | None = None,
    progress: ProgressOption = None,
    force: bool = False,
) -> Counts:
    """Count the runs of all texts of the input.

    The table (run, count) is written to `output` if given; other counts there are replaced only by `force`.

    input: files, folders, patterns, or a recipe by name; or `texts=` in memory. A file tells by its columns what it
    holds: run and count are counts already, word and count or word and frequency a list of words (`total`: see
    `Counts.from_words`; lists without a header need reading=ReadOptions(format="words")), any other is text. All are
    added up.

    alphabet, cased: which characters are kept, see `alphabet_table`; or `table`, a normalization of one's own. Counts
    record their alphabet.

    weights: one for each entry of `input` as it is given, so that a folder or a pattern counts as one. licence: of the
    data, recorded with the name and the fingerprint of each source; one for all, or one for each entry.

    The engine Ray counts parts of the files in the cluster and merges them there as a tree. With an `output`, which its
    nodes must share, the counts of each part lie beside it until all is counted: a call that failed resumes.

    Raises SpanishTokError, which names file and row, for what cannot be read, and for counts of two alphabets.

    >>> counts = count(texts=["¡Hola, mundo!", "hola"])
    >>> counts.total, counts.records
    (6, 2)
    """
    engine, reading, shown = engine or Local(), reading or ReadOptions(), progress_of(progress)
    table = table or alphabet_table(alphabet, cased=cased)
    entries = _entries(input, reading, texts)
    licences = [licence] * len(entries) if isinstance(licence, str) else list(licence)
    for setting, values in (("weights", weights), ("licences", licences)):
        if values is not None and len(values) != len(entries):
            raise SpanishTokError(
                f"{len(values)} {setting} are given for {len(entries)} inputs",
                "Give one for each: a folder, or a pattern in quotes, is one input.",
            )
    if weights is None and len(set(licences)) == 1:  # one pass over all texts
        entries = [[path for entry in entries for path in entry]]
    divided = [_apart(entry, reading, total, table) for entry in entries]
    check_counts_file(output, divided, entries, force=force)
    for name, part in [(name, part) for _, name, parts in divided for part in parts]:
        if part.repaired and part.words_only:
            shown.tell(f"{name or part.sources[0].name}: {part.repaired:,} words repaired")
    counted = []
    for (inputs, name, parts), its_licence in zip(divided, licences, strict=False):
        if inputs:
            with shown.phase("counting records", inputs.known_rows()) as bar:
                text_counts = count_inputs(inputs, cache_of(output, engine), table, engine, bar)
            rows = text_counts.records + text_counts.rejected
            tell_lost([FileReport(inputs.called, rows, 0, text_counts.repaired, text_counts.rejected)], shown)
            parts.append(text_counts.named(name))
        counted.append(_sum([part.named(name, its_licence) for part in parts]))
    counts = merge(counted, weights) if weights else _sum(counted)
    one_alphabet([counts.alphabet, table.label], "Count the text with that alphabet, or give its name.")
    _tell_dropped(counts, progress_of(progress))
    if output is not None:
        counts.save(output, force=force)
    return counts


def _tell_dropped(counts: Counts, shown: Progress) -> None:
    if counts.cut:
        shown.tell(f"Runs longer than 64 characters, which were cut: {counts.cut:,}")
    if counts.dropped:
        reasons = ", ".join(f"{words:,} {reason}" for reason, words in counts.dropped.items())
        shown.tell(f"Words of lists that became no run: {reasons}")


def check_counts_file(
    output: Location | None,
    divided: Sequence[tuple[Inputs | None, str, list[Counts]]] = (),
    entries: Sequence[Sequence[Any]] = (),
    *,
    force: bool = False,
) -> None:
    """Check, before the work, that counts can be written.

    Raises SpanishTokError otherwise, and if the file is one of the input.
    """
    read = [item.name for inputs, *_ in divided if inputs for item in inputs.items]
    paths = [str(path) for entry in entries for path in entry if not isinstance(path, Inputs)]
    read += [path for path in paths if Path(path).is_file()]
    read += [str(path) for folder in paths if Path(folder).is_dir() for path in Path(folder).iterdir()]
    check_file(output, read, force=force, kind="a table of counts", is_ours=is_counts_file)


def _sum(parts: list[Counts]) -> Counts:
    return parts[0] if len(parts) == 1 else merge(parts)


def _entries(locations: Any, reading: ReadOptions, texts: Any) -> list[list[Any]]:
    """Return the entries of the input as they were given, each in a list of its own."""
    if isinstance(locations, str | os.PathLike):
        locations = [locations]
    entries = (
        []
        if locations is None or isinstance(locations, Inputs)
        else [[entry] for entry in as_list(locations)]
    )
    return entries if entries and texts is None else [[inputs_of(locations, reading, texts=texts)]]


def _apart(
    entry: list[Any], reading: ReadOptions, total: int, table: NormalizationTable | None
) -> tuple[Inputs | None, str, list[Counts]]:
    """Return the text of an entry, its name, and the counts of its other files."""
    if isinstance(entry[0], Inputs):
        return entry[0], _name_of([item.name for item in entry[0].items]), []
    if len(entry) == 1 and is_recipe(str(entry[0])):
        return inputs_of(entry, reading), _name_of(entry), []
    text, named, tables = [], [], list[Counts]()
    for location in entry:
        files = [location] if is_remote(location) and reading.format != WORDS else expand_paths([location])
        kinds = [kind_of(path, reading) for path in files]
        for path, kind in zip(files, kinds, strict=True):
            if kind == "text":
                text.append(path)
            elif kind == "counts":
                tables.append(Counts.load(path).named(_name_of([path])))
            else:
                how: dict[str, Any] = {"name": _name_of([path]), "table": table, "reading": reading}
                tables.append(Counts.from_words(path, total=total, **how))
        named += [location] * ("text" in kinds)
    return inputs_of(text, reading) if text else None, _name_of(named), tables


def kind_of(path: Location, reading: ReadOptions) -> Literal["counts", "words", "text"]:
    """Return what a file holds, which its columns tell."""
    if is_counts_file(path):
        return "counts"
    names = column_names(path, reading)
    is_list = number_column(names) and reading.text not in names
    return "words" if is_list or reading.format == WORDS else "text"


def _name_of(locations: Sequence[Location]) -> str:
    """Return the name of a source: of its files, its folder, or its pattern's folder."""
    paths = [PurePath(location) for location in locations]
    names = [base_name(path.parent if has_magic(path.name) else path).split(".")[0] for path in paths]
    return ", ".join(names[:3]) + ", ..." * (len(names) > 3)
