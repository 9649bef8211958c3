"""Whole data sets of the Hugging Face Hub, streamed by the `datasets` library."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pyarrow as pa

from spanish_tok.errors import SpanishTokError, extra_error
from spanish_tok.readers.columns import table_batches
from spanish_tok.readers.options import FileReport, ReadOptions, check_rows

BATCH_ROWS = 1024


class HubSet(NamedTuple):
    """A split of a data set of the Hub.

    revision: None for the newest. subset: None for the only one.
    """

    repository: str
    revision: str | None
    subset: str | None
    split: str

    @classmethod
    def of_name(cls, name: str) -> "HubSet | None":
        """Return the set that a name means, or None if it is not the name of a set.

        The form is owner/name:split or owner/name/subset@revision:split.

        >>> HubSet.of_name("usuaria/noticias:train")
        HubSet(repository='usuaria/noticias', revision=None, subset=None, split='train')
        """
        match = _NAME.fullmatch(name)
        return cls(*match.group("repository", "revision", "subset", "split")) if match else None


_NAME = re.compile(
    r"(?P<repository>[\w.-]+/[\w.-]+)(/(?P<subset>[\w.-]+))?(@(?P<revision>[\w.-]+))?:(?P<split>\S+)"
)


def read_hub_set(hub_set: HubSet, options: ReadOptions, report: FileReport) -> Iterator[pa.RecordBatch]:
    """Yield batches of (id, text) of a set of the Hub, from where `report` stands.

    Raises SpanishTokError for a set that cannot be loaded, lacks the column of texts, or has other
    than the rows that it states.
    """
    with open_hub_set(hub_set, report) as stream:
        splits = stream.info.splits
        stated = splits[hub_set.split].num_examples if splits else None
        for table in stream.skip(report.rows).with_format("arrow").iter(BATCH_ROWS):
            yield from table_batches(table, report.name, options, report)
    check_rows(report.rows, stated, report.name)
    report.complete = True


@contextmanager
def open_hub_set(hub_set: HubSet, report: FileReport) -> Iterator[Any]:
    """Open a set of the Hub as a stream of records by `datasets`.

    Raises SpanishTokError, from here or from the block, for whatever goes wrong in `datasets`.
    """
    try:
        import datasets
    except ModuleNotFoundError as missing:
        raise extra_error(report.name, missing) or missing from None
    repository, revision, subset, split = hub_set
    try:
        yield datasets.load_dataset(repository, subset, split=split, revision=revision, streaming=True)
    except SpanishTokError:
        raise
    except Exception as error:  # `datasets` passes on the errors of whatever it reads with
        reason = " ".join(str(error).split())
        raise SpanishTokError(
            f"{report.name} failed after row {report.rows:,} ({type(error).__name__}: {reason})",
            "Check name, revision and split; if the Hub did not answer, the same command resumes where it stopped.",
        ) from error
