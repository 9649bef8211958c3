"""The training of `finetune --task accents`: text, its forms, a part set apart."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from spanish_tok.errors import SpanishTokError
from spanish_tok.files import shipped
from spanish_tok.generation.generator import SHIPPED_MODEL, model_folder
from spanish_tok.kernels.bytes import hash_rows
from spanish_tok.progress import ProgressOption, progress_of
from spanish_tok.readers.inputs import Inputs
from spanish_tok.readers.options import Location
from spanish_tok.t5.checkpoint import Checkpoint
from spanish_tok.t5.model import T5
from spanish_tok.tasks.accents.evaluation import AccentEvaluation, evaluate_restorer, texts_of
from spanish_tok.tasks.accents.forms import Forms
from spanish_tok.tasks.accents.restorer import Restorer
from spanish_tok.tasks.examples import RowReport
from spanish_tok.text.arrow import bytes_and_offsets
from spanish_tok.tokenization.tokenizer import Tokenizer
from spanish_tok.training.accents.loop import AccentTraining
from spanish_tok.training.accents.tagger import AccentTagger
from spanish_tok.training.finetune_options import FinetuneOptions
from spanish_tok.vocab.counts.runs import count_runs
from spanish_tok.vocab.counts.table import Counts

UNUSED = ("patience", "held_out", "label_smoothing", "accumulation", "split_seed")  # options of other tasks
SHOUTED = "[A-ZÁÉÍÓÚÜÑ]{2,}"  # words in capitals alone, which many write without accents


def train_accents(
    inputs: Inputs,
    folder: Path,
    model: Location | None,
    random_weights: bool,
    device: str,
    options: FinetuneOptions,
    progress: ProgressOption,
) -> tuple[Restorer, AccentEvaluation | None, RowReport]:
    """Train a restorer of accents on text; return it, its evaluation, and a report.

    The known forms come from the counts of the text, those of words that it lacks from the counts that ship. Raises
    SpanishTokError for options that have no part in it, and where there is no text.
    """
    if given := [name for name in UNUSED if getattr(options, name) != getattr(FinetuneOptions(), name)]:
        raise SpanishTokError(f"{given[0]} has no part in a training on accents", "Leave it out.")
    torch.manual_seed(options.seed)
    checkpoint = Checkpoint.load(model_folder(model))
    config = replace(checkpoint.config, dropout_rate=options.dropout)
    t5 = T5(config) if random_weights else T5.from_tensors(config, checkpoint.tensors)
    tokenizer = Tokenizer(checkpoint.vocabulary)
    texts = texts_of(inputs)
    training, validation = _divided(texts, options)
    if not len(training):
        raise SpanishTokError("There is no text to train on", "Give text with accents.")
    forms = Forms.of_counts(_counts(training), Counts.load(shipped("corpus/es-counts.parquet")))
    if options.records:
        order = np.random.default_rng(options.seed).permutation(len(training))[: options.records]
        training = training.take(pa.array(np.sort(order)))
    report = RowReport(
        len(texts), noted=Counter({"set apart": len(validation), "words known": len(forms.forms)})
    )
    start = "random weights" if random_weights else str(model or SHIPPED_MODEL)
    tagger = AccentTagger.of_model(t5).to(device)
    loop = AccentTraining(tagger, tokenizer, forms, training, validation, options, folder, {"start": start})
    with progress_of(progress).phase("training", loop.planned) as bar:
        loop.run(bar)
    restorer = Restorer.load(folder)
    evaluation = evaluate_restorer(restorer, validation) if validation else None
    return restorer, evaluation, report


def _divided(texts: pa.LargeStringArray, options: FinetuneOptions) -> tuple[pa.LargeStringArray, list[str]]:
    """Set texts apart by a hash of each, so that copies fall on one side.

    The texts set apart that are not validated on are left out of both.
    """
    hashes = np.empty(len(texts), np.uint64)
    hash_rows(*bytes_and_offsets(texts), hashes)
    apart = hashes < np.uint64(options.validation * 2.0**64)
    chosen = texts.filter(pa.array(apart)).slice(0, options.validation_records)
    return texts.filter(pa.array(~apart)), chosen.to_pylist()


def _counts(texts: pa.LargeStringArray) -> Counts:
    """Count the runs of texts, those in capitals alone left out."""
    return count_runs(pc.replace_substring_regex(texts, SHOUTED, " "))
