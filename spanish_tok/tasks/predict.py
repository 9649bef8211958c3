"""The verb `predict`: a fine-tuned model answers texts, or rows of files."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from spanish_tok.errors import SpanishTokError, warn_deprecated
from spanish_tok.files.outputs import as_list, check_new_file, text_output
from spanish_tok.options import check_one_given
from spanish_tok.progress import Bar, ProgressOption, progress_of
from spanish_tok.readers.options import Location, ReadOptions
from spanish_tok.readers.rows import Row, rows_of
from spanish_tok.t5.model import torch_device
from spanish_tok.tasks.examples import columns_of
from spanish_tok.tasks.predictor import Predictor, check_task, usable_rows


def predict(
    texts: Any = None,
    output: Location | None = None,
    *old: Any,
    files: Location | Sequence[Location] | None = None,
    model: Predictor | Location | None = None,
    task: str | None = None,
    batch_size: int = 32,
    beams: int = 1,
    device: str = "cpu",
    threads: int | None = None,
    reading: ReadOptions | None = None,
    progress: ProgressOption = None,
    force: bool = False,
) -> Any:
    """Answer records with a fine-tuned model.

    texts: one text or record (a dictionary), or a list of them. files: .parquet, .jsonl, .csv, Hub sets as
    owner/name:split, or "-" for JSON lines on standard input. reading: how files are read. output: a .jsonl file for
    the answers, "-" is standard output. model: a folder that `finetune` wrote, or a Predictor. task: its name, where
    the folder holds several. force: replace a file.

    One text gives a Prediction, a list a list of them; files give a list of dictionaries ready for JSON: row, id if
    there is one, prediction, score, probabilities, or row, id and error for a row that cannot be used. With an output
    the counts of "predicted" and "errors" are returned.

    The old order of arguments, predict(predictor, source, counts), is deprecated.
    """
    if model is None and texts is not None and output is not None and files is None:
        warn_deprecated("predict(model, source, counts)", "predict(files=source, model=model)")
        predictor = texts if isinstance(texts, Predictor) else Predictor.load(texts)
        return answers_of(predictor, output, *old)
    check_one_given(texts, files, to="answer", advice="Give either texts or files=.")
    if model is None:
        raise SpanishTokError("predict needs a model", "Give model=, a folder that finetune wrote.")
    check_new_file(output, as_list(files), force=force)
    if not isinstance(model, Predictor):
        model = Predictor.load(model, batch_size, beams, torch_device(device, threads), task)
    check_task(model, task)
    if texts is not None and output is None:
        return model.predict(texts)
    sources = [texts] if files is None else as_list(files)
    counts: Counter[str] = Counter()
    with progress_of(progress).phase("predicting") as bar:
        answers = _of_all(model, sources, counts, reading, bar)
        with text_output(output, force=force) as out:
            if out is None:
                return list(answers)
            for answer in answers:
                print(json.dumps(answer, ensure_ascii=False), file=out, flush=str(output) == "-")
    return {name: counts[name] for name in ("predicted", "errors")}


def _of_all(
    predictor: Predictor, sources: Sequence[Any], counts: Counter[str], reading: ReadOptions | None, bar: Bar
) -> Iterator[dict[str, Any]]:
    """Yield the answers of several sources; with the name of each if they are several."""
    for source in sources:
        for answer in answers_of(predictor, source, counts, reading):
            bar.advance()
            yield {"file": source, **answer} if len(sources) > 1 else answer


def answers_of(
    predictor: Predictor, source: Any, counts: Counter[str] | None = None, reading: ReadOptions | None = None
) -> Iterator[dict[str, Any]]:
    """Yield one dictionary a row of a source, ready for JSON.

    `counts` counts "predicted" and "errors".
    """
    columns, optional = columns_of(predictor.task, with_target=False)
    counts = counts if counts is not None else Counter()
    rows = rows_of(source, columns, [*optional, "id"], options=reading)
    for chunk in _chunks(rows, predictor.batch_size * 8):
        examples, faults = usable_rows(chunk, predictor)
        predictions = dict(zip((e.row for e in examples), predictor.predict_examples(examples), strict=True))
        for row in chunk:
            answer: dict[str, Any] = {"row": row.number}
            if "id" in row.values:
                answer["id"] = row.values["id"]
            if row.number in faults:
                counts["errors"] += 1
                yield {**answer, "error": faults[row.number]}
            else:
                counts["predicted"] += 1
                yield {**answer, **predictions[row.number].to_dict()}


def _chunks(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    iterator = iter(rows)
    while chunk := list(islice(iterator, size)):
        yield chunk
