"""Whole data sets of the Hugging Face Hub, streamed by the `datasets` library."""

from collections.abc import Iterator

import pyarrow as pa

from spanish_tok.errors import SpanishTokError
from spanish_tok.readers.options import FileReport, ReadOptions, check_rows
from spanish_tok.readers.parquet import BATCH_ROWS, places_of, table_batch


def read_hub_set(
    repository: str,
    revision: str | None,
    subset: str | None,
    split: str,
    options: ReadOptions,
    report: FileReport,
) -> Iterator[pa.RecordBatch]:
    """Stream a data set of the Hub by `datasets` as batches of (id, text), from where `report` stands.

    Raises SpanishTokError where the set cannot be had, lacks the column of texts, or ends before the
    number of rows that it says it has.
    """
    import datasets

    try:
        stream = datasets.load_dataset(repository, subset, split=split, revision=revision, streaming=True)
        stated = stream.info.splits[split].num_examples if stream.info.splits else None
        for table in stream.skip(report.rows).with_format("arrow").iter(BATCH_ROWS):
            places_of(table.column_names, report.name, options)
            for batch in table.combine_chunks().to_batches():
                yield table_batch(batch, report.name, options, report)
    except SpanishTokError:
        raise
    except Exception as error:  # `datasets` passes on the errors of whatever it reads with
        raise SpanishTokError(
            f"{report.name} failed after row {report.rows:,} ({type(error).__name__}: {' '.join(str(error).split())})",
            "Check name and revision; if the Hub did not answer, the same command goes on where it stopped.",
        ) from error
    check_rows(report.rows, stated, report.name)
    report.complete = True
