"""What a model can do, without torch.

Size, tokens a second, bits per byte, and fills of masked sentences.
"""

import time
from dataclasses import dataclass
from math import ceil
from statistics import median

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from spanish_tok.generation.generator import Generator
from spanish_tok.generation.sampling import Backend, GenerateOptions, log_softmax
from spanish_tok.measure.figures.texts import texts_of
from spanish_tok.progress import SILENT, Bar
from spanish_tok.t5.checkpoint import Checkpoint
from spanish_tok.t5.cpu_backend import CpuBackend
from spanish_tok.tokenization.tokenizer import Tokenizer
from spanish_tok.training.bits_per_byte import Scorer, bits_per_byte, mask_words
from spanish_tok.vocab.vocabulary import PAD

MEASURED_TEXTS = 200  # records, at even distances, that bits per byte are measured on
INPUT, NEW, PASSES = 64, 128, 3  # ids read and written when speed is measured, and how often
FILLS, LONGEST_FILL = 10, 64


@dataclass(frozen=True)
class ModelFigures:
    """Figures of a model folder.

    tokens_per_second: batch size -> new tokens, on one thread, the encoder's time included.
    fills: (sentence with masks, the same with what the model writes in their place). bits_per_byte: None for a
    vocabulary without sentinels, which cannot say what is masked.
    """

    name: str
    parameters: int
    bytes_float32: int
    bytes_bfloat16: int
    tokens_per_second: dict[int, float]
    bits_per_byte: float | None
    records: int
    masked_bytes: int
    fills: list[tuple[str, str]]


def measure_model(
    checkpoint: Checkpoint, name: str, texts: pa.ChunkedArray, progress: Bar = SILENT
) -> ModelFigures:
    """Measure a model, in float32, on records of `texts`.

    The fills are of sentences that ship.

    The text is cut by the model's own vocabulary.
    """
    backend, tokenizer = CpuBackend(checkpoint), Tokenizer(checkpoint.vocabulary)
    progress.note("model: tokens a second")
    speeds = {rows: tokens_per_second(backend, rows) for rows in (1, 32)}
    progress.note("model: bits per byte")
    rows = texts.take(pa.array(np.arange(0, len(texts), ceil(len(texts) / MEASURED_TEXTS)))).to_pylist()
    gaps = checkpoint.vocabulary.sentinels > 0
    measured = bits_per_byte(scorer_of(backend), tokenizer, rows) if gaps else None
    progress.note("model: fills")
    masked = [mask_words(tokenizer.normalize(text)).shown() for text in _sentences() if gaps]
    filled = Generator(backend, tokenizer).generate(masked, GenerateOptions(max_new_tokens=LONGEST_FILL))
    parameters = sum(array.size for array in checkpoint.tensors.values())
    return ModelFigures(
        name=name,
        parameters=parameters,
        bytes_float32=4 * parameters,
        bytes_bfloat16=2 * parameters,
        tokens_per_second=speeds,
        bits_per_byte=measured.value if measured else None,
        records=len(rows),
        masked_bytes=measured.masked_bytes if measured else 0,
        fills=[(prompt, fill.text) for prompt, fill in zip(masked, filled, strict=True)],
    )


def _sentences() -> list[str]:
    """Return FILLS of the sentences that ship, from ten parts of the file.

    Its parts are of different kinds.
    """
    column = texts_of().column
    return [column[row].as_py() for row in range(0, len(column), len(column) // FILLS)][:FILLS]


def tokens_per_second(backend: Backend, rows: int) -> float:
    """Return new ids a second of greedy decoding in a batch of `rows`.

    The median of some passes after a first one.
    """
    batch = [[3 + (row + column) % 100 for column in range(INPUT)] for row in range(rows)]
    times = []
    for _ in range(1 + PASSES):
        begun = time.perf_counter()
        state = backend.start(batch, NEW)
        last = np.full(rows, backend.config.decoder_start_token_id)
        for _ in range(NEW):
            last = state.step(last).argmax(axis=1)
        times.append(time.perf_counter() - begun)
    return rows * NEW / median(times[1:])


def scorer_of(backend: Backend) -> Scorer:
    """Return a function from (inputs, targets) to summed nats, by any backend.

    One step after the other.
    """

    def score(inputs: NDArray[np.int64], targets: NDArray[np.int64]) -> float:
        state = backend.start([row[row != PAD].tolist() for row in inputs], targets.shape[1])
        last = np.full(len(targets), backend.config.decoder_start_token_id)
        nats = 0.0
        for column in targets.T:
            written = log_softmax(state.step(last))[np.arange(len(column)), column]
            nats -= float(written[column != PAD].sum())
            last = column
        return nats

    return score
