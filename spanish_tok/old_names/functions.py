"""Old public functions with their old arguments, in terms of the new ones."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal

from spanish_tok.corpus import pipeline
from spanish_tok.corpus.cleaning import CleanOptions
from spanish_tok.corpus.pipeline import sample
from spanish_tok.files.outputs import as_list
from spanish_tok.parallel.local import Local
from spanish_tok.parallel.ray_engine import Ray
from spanish_tok.progress import SILENT, Bar, Progress
from spanish_tok.readers.inputs import InputOption, inputs_of
from spanish_tok.readers.options import Location, ReadOptions
from spanish_tok.shards.writer import shard
from spanish_tok.text.table import NormalizationTable
from spanish_tok.tokenization.tokenizer import Tokenizer
from spanish_tok.vocab import trainer
from spanish_tok.vocab.counts.table import Counts, is_counts_file, merge
from spanish_tok.vocab.counts.tasks import count_inputs
from spanish_tok.vocab.vocabulary import Vocabulary

EngineName = Literal["local", "ray"]


class _Shown(Progress):
    """What the old functions took to show progress, as one object."""

    def __init__(
        self,
        display: Callable[..., AbstractContextManager[Bar]] | None = None,
        announce: Callable[[str], None] | None = None,
    ) -> None:
        self._display, self._announce = display, announce

    def phase(
        self, description: str, total: float | None = None, *, unit: str = ""
    ) -> AbstractContextManager[Bar]:
        if self._display is None:
            return super().phase(description, total, unit=unit)
        return self._display(description, total, unit=unit)

    def tell(self, message: str) -> None:
        if self._announce:
            self._announce(message)


def _engine(name: EngineName, address: str | None, threads: int | None) -> Local | Ray:
    return Ray(address, threads=threads) if name == "ray" else Local(threads)


def sample_files(
    inputs: InputOption,
    output: Location,
    size: int,
    *,
    clean: CleanOptions | None = None,
    threads: int | None = None,
    engine: EngineName = "local",
    address: str | None = None,
    display: Callable[..., AbstractContextManager[Bar]] | None = None,
    announce: Callable[[str], None] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Call `sample` with the old arguments; return the manifest."""
    chosen = {"engine": _engine(engine, address, threads), "progress": _Shown(display, announce), **options}
    return sample(inputs, output, size=size, clean=clean or False, **chosen).to_dict()


def clean_files(
    inputs: InputOption,
    output: Location,
    *,
    clean: CleanOptions,
    threads: int | None = None,
    display: Callable[..., AbstractContextManager[Bar]] | None = None,
) -> dict[str, Any]:
    """Call `clean` with the old arguments; return the manifest."""
    shown = _Shown(display)
    return pipeline.clean(inputs, output, options=clean, engine=Local(threads), progress=shown).to_dict()


def count_files(
    paths: Location | Iterable[Location],
    *,
    options: ReadOptions | None = None,
    threads: int | None = None,
    table: NormalizationTable | None = None,
    engine: EngineName = "local",
    address: str | None = None,
    kept: Location | None = None,
    progress: Bar = SILENT,
) -> Counts:
    """Count files as `count` does, with the old arguments.

    `kept` is where a cluster keeps counts of parts.
    """
    paths = as_list(paths)
    tables = [Counts.load(path) for path in paths if is_counts_file(path)]
    if texts := [path for path in paths if not is_counts_file(path)]:
        cache = None if kept is None else Path(kept).absolute()
        runner = _engine(engine, address, threads)
        tables.append(count_inputs(inputs_of(texts, options), cache, table, runner, progress))
    return tables[0] if len(tables) == 1 else merge(tables)


def write_shards(
    paths: Iterable[Location],
    output: Location,
    tokenizer: Tokenizer | None = None,
    *,
    workers: int | None = None,
    engine: EngineName = "local",
    address: str | None = None,
    **how: Any,
) -> dict[str, Any]:
    """Call `shard` with the old arguments; return the manifest."""
    return shard(as_list(paths), output, tokenizer, engine=_engine(engine, address, workers), **how).to_dict()


def train_vocabularies(
    counts: Counts, sizes: Sequence[int], sentinels: int = 100, *, progress: Bar = SILENT, **how: Any
) -> dict[int, Vocabulary]:
    """Call `train` with the old arguments, for several sizes."""
    return trainer.train_vocabularies(counts, sizes, sentinels, bar=progress, **how)


def train_vocabulary(counts: Counts, size: int = 5000, sentinels: int = 100, **how: Any) -> Vocabulary:
    """Call `train` with the old arguments, for one size."""
    return train_vocabularies(counts, [size], sentinels, **how)[size]
