"""The verbs `sample` and `clean`: from any input to a folder of clean records."""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from spanish_tok.corpus.cleaning import CleanOptions
from spanish_tok.corpus.job import IN_ORDER, announce, described, input_facts, job_folder, readable
from spanish_tok.corpus.passes import POSITION, SURPLUS, candidate_pass, first_pass, write_candidates
from spanish_tok.corpus.sampling import chunk_ends, weighted
from spanish_tok.corpus.writer import SHARD_ROWS, Chunk, Records, RecordWriter
from spanish_tok.errors import SpanishTokError
from spanish_tok.files.schema import made
from spanish_tok.options import changed, check_seed
from spanish_tok.parallel.local import Local
from spanish_tok.parallel.ray_engine import Ray
from spanish_tok.progress import Bar, Progress, ProgressOption, progress_of
from spanish_tok.readers.inputs import InputOption, Inputs, inputs_of, rereadable
from spanish_tok.readers.options import FileReport, Location, ReadOptions, tell_lost
from spanish_tok.readers.validation import SCHEMA

RULES = {rule.name for rule in fields(CleanOptions)}


@dataclass(frozen=True)
class SampleOptions:
    """How to sample.

    seed: another seed draws other records.
    clean: the rules of cleaning; True for the defaults with the parameters of the recipe, False for none.
    clean_all: clean and report on the whole input, not only on candidates; gives the same sample.
    at_most: fewer records than `size` are no error.
    source: replaces the name that enters the keys of records, by default that of the file or recipe.
    """

    seed: int = 0
    clean: CleanOptions | bool = True
    clean_all: bool = False
    at_most: bool = False
    source: str | None = None

    def __post_init__(self) -> None:
        check_seed(self.seed)


def sample(
    input: InputOption = None,  # noqa: A002
    output: Location | None = None,
    *,
    size: int,
    texts: Any = None,
    reading: ReadOptions | None = None,
    options: SampleOptions | None = None,
    engine: Local | Ray | None = None,
    progress: ProgressOption = None,
    force: bool = False,
    **changes: Any,
) -> Records:
    """Draw `size` records uniformly from all of the input into the folder `output`.

    input: files, folders, patterns, or a recipe by name; or `texts=` in memory. changes: fields of SampleOptions, and
    parameters of cleaning rules (fields of CleanOptions). Without `output` the records are in memory alone.
    force: replace the work of another job in `output`.

    The records are those with the smallest keys (see sampling.py) among those that cleaning keeps, in the order of
    their keys, which is random. The shards depend on the input, `size` and the options alone, not on `engine`. An
    interrupted call resumes when it is given again. With the engine Ray candidates are found and merged in the cluster,
    which must see the input under the same paths; cleaning and writing are done here.

    Memory: 16 bytes for each record of the sample, 32 more with cleaning, about 32 for each distinct text of a
    source without ids, and 400 MB. Disk: the text of the candidates while it runs.

    Raises SpanishTokError if fewer than `size` records come out, unless `at_most`.

    >>> texts = [f"El perro número {n} duerme en la casa." for n in range(100)]
    >>> sample(texts=texts, size=3, seed=1).table()["text"].to_pylist()[0]
    'El perro número 16 duerme en la casa.'
    """
    if size < 1:
        raise SpanishTokError(f"size is {size}", "Give at least 1.")
    rules, own = _rules_apart(changes)
    options = changed(SampleOptions, options, own)
    engine, shown = engine or Local(), progress_of(progress)
    once = readable(inputs_of(input, reading, options.source, texts=texts), engine, shown)
    clean = _rules(options.clean, once, rules)
    if output is None:
        with tempfile.TemporaryDirectory() as temporary:
            options = replace(options, clean=clean or False)
            return _in_memory(
                sample(once, temporary, size=size, options=options, engine=engine, progress=progress)
            )
    job = {"verb": "sample", "size": size, "seed": options.seed, "clean_all": options.clean_all}
    with rereadable(once, output) as inputs:
        folder = job_folder(output, job | described(inputs, clean), inputs, POSITION, force)
        if (manifest := folder.finished()) is None:
            share = SURPLUS * size / (inputs.guessed_rows() or SURPLUS * size)
            cleaned = 1.0 if options.clean_all else share * (clean is not None)
            announce(inputs, folder.path, engine, shown, share=share, cleaned=cleaned, spilled=True)
            with folder.filling():
                manifest = _fill_sample(inputs, RecordWriter(folder, clean, size), options, engine, shown)
    return Records(folder.path, manifest)


def _fill_sample(
    inputs: Inputs, writer: RecordWriter, options: SampleOptions, engine: Local | Ray, shown: Progress
) -> dict[str, Any]:
    """Scan the input and write what cleaning keeps, pass by pass.

    Returns the manifest.
    """
    size = writer.wanted or 0
    if inputs.rows is not None and size > inputs.rows and not options.at_most:
        raise _too_few(size, inputs.rows, "the input holds")
    position = writer.position or first_pass(size, options.clean_all, writer.clean is not None)
    while True:
        candidates = candidate_pass(inputs, options.seed, writer, position)
        with shown.phase("reading", inputs.guessed_rows()) as bar:
            candidates.scan(engine, bar)
        stop = not options.clean_all
        if write_candidates(candidates, writer, position, shown.phase, stop=stop, engine=engine):
            break
        position = writer.position
        shown.tell(
            f"{writer.rows:,} records came out of {position['before']:,} candidates, and {size:,} are wanted:"
            " the input is read once more."
        )
    tell_lost(candidates.reports, shown)
    if writer.rows < size and not options.at_most:
        where = f"of {candidates.rows:,} records cleaning keeps" if writer.clean else "the input holds"
        raise _too_few(size, writer.rows, where)
    facts = input_facts(inputs, candidates.reports) | {"kind": "sample", "size": size, "seed": options.seed}
    return writer.finish(facts)


def clean(
    input: InputOption = None,  # noqa: A002
    output: Location | None = None,
    *,
    texts: Any = None,
    reading: ReadOptions | None = None,
    options: CleanOptions | None = None,
    engine: Local | None = None,
    progress: ProgressOption = None,
    force: bool = False,
    **changes: Any,
) -> Records:
    """Clean all records of the input into a folder, in the order of the input.

    input: files, folders, patterns, or a recipe by name, whose parameters of rules apply unless `options` are given;
    or `texts=` in memory. changes: parameters of rules. Without `output` the records are in memory alone.
    force: replace the work of another job in `output`.

    Of duplicates the first stays. An interrupted call resumes when it is given again.
    Memory: 64 bytes for each distinct text and 400 MB.

    >>> clean(texts=["<b>El aÃ±o</b> prÃ³ximo será mejor.", "?!"]).table()["text"].to_pylist()
    ['El año próximo será mejor.']
    """
    engine, shown = engine or Local(), progress_of(progress)
    once = readable(inputs_of(input, reading, texts=texts), engine, shown)
    rules = changed(CleanOptions, options, changes) if options else _rules(True, once, changes)
    if output is None:
        with tempfile.TemporaryDirectory() as temporary:
            return _in_memory(clean(once, temporary, options=rules, engine=engine, progress=progress))
    with rereadable(once, output) as inputs:
        folder = job_folder(output, {"verb": "clean", **described(inputs, rules)}, inputs, IN_ORDER, force)
        if (manifest := folder.finished()) is None:
            announce(inputs, folder.path, engine, shown, share=1.0, cleaned=1.0, spilled=False)
            with folder.filling():
                manifest = _fill_cleaned(inputs, RecordWriter(folder, rules), engine, shown)
    return Records(folder.path, manifest)


def _fill_cleaned(
    inputs: Inputs, writer: RecordWriter, engine: Local | Ray, shown: Progress
) -> dict[str, Any]:
    """Clean and write the input in its order; return the manifest."""
    position = writer.position or {"reports": [], "skip": 0}
    if len(position["reports"]) > len(inputs.items):
        raise SpanishTokError(f"{writer.folder.unfinished} is of other inputs", "Delete it and start over.")
    reports = [made(FileReport, report) for report in position["reports"]]
    reports += [FileReport(item.name) for item in inputs.items[len(reports) :]]
    with shown.phase("cleaning", inputs.guessed_rows()) as bar:
        chunks = _in_input_order(inputs, reports, position["skip"], bar)
        writer.write(chunks, threads=engine.task_threads)
    inputs.check(reports)
    tell_lost(reports, shown)
    return writer.finish(input_facts(inputs, reports) | {"kind": "clean"})


def _in_input_order(inputs: Inputs, reports: list[FileReport], skip: int, bar: Bar) -> Iterator[Chunk]:
    """Yield chunks of records across batches and files, see `chunk_ends`.

    A position is the state of reading before the batch that the next chunk begins in, and how many rows of that
    batch were in chunks before.
    """
    parts: list[pa.RecordBatch] = []
    rows = size = 0  # of the parts
    for index, item in enumerate(inputs.items):
        if reports[index].complete:
            continue
        before = [asdict(report) for report in reports]
        for batch in item.read(reports[index]):
            bar.advance(batch.num_rows)
            begin, skip = skip, 0
            lengths = pc.binary_length(batch.column("text")).to_numpy()
            for end in (begin + chunk_ends(lengths[begin:], SHARD_ROWS, rows, size)).tolist():
                chunk = joined([*parts, batch.slice(begin, end - begin)])
                yield Chunk(chunk, {"reports": before, "skip": end})
                parts, rows, size, begin = [], 0, 0, end
            parts.append(batch.slice(begin))
            rows += batch.num_rows - begin
            size += int(weighted(lengths[begin:]).sum())
            before = [asdict(report) for report in reports]
    yield Chunk(joined(parts), {"reports": [asdict(report) for report in reports], "skip": 0})


def joined(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    """Return batches of (id, text) as one."""
    batches = pa.Table.from_batches(parts, SCHEMA).combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], SCHEMA)


def _rules_apart(changes: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the changes that are parameters of rules, and the others."""
    rules = {name: value for name, value in changes.items() if name in RULES}
    return rules, {name: value for name, value in changes.items() if name not in RULES}


def _rules(rules: CleanOptions | bool, inputs: Inputs, changes: Mapping[str, Any]) -> CleanOptions | None:
    """Return the rules of cleaning, None for no cleaning.

    Those given, or the defaults with the parameters of the recipe; then the changes.
    """
    if rules is False:
        return None
    if rules is True:
        rules = changed(CleanOptions, None, inputs.recipe.clean if inputs.recipe else {})
    return changed(CleanOptions, rules, changes)


def _in_memory(records: Records) -> Records:
    return Records(None, records.manifest, records.table())


def _too_few(size: int, rows: int, where: str) -> SpanishTokError:
    return SpanishTokError(
        f"{size:,} records are wanted, and {where} {rows:,}",
        "Ask for fewer, or take what there is with --at-most.",
    )
