"""From Spanish records to a small, exact, fast T5 vocabulary, and from text to training tokens.

The public names; each is loaded when it is first used, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from spanish_tok._version import __version__

if TYPE_CHECKING:
    from spanish_tok.corpus.cleaning import CleanOptions as CleanOptions
    from spanish_tok.corpus.pipeline import clean_files as clean_files
    from spanish_tok.corpus.pipeline import sample_files as sample_files
    from spanish_tok.corpus.sampling import merge_samples as merge_samples
    from spanish_tok.errors import SpanishTokError as SpanishTokError
    from spanish_tok.generation.generator import Generator as Generator
    from spanish_tok.generation.sampling import GenerateOptions as GenerateOptions
    from spanish_tok.readers.inputs import inputs_of as inputs_of
    from spanish_tok.readers.options import ReadOptions as ReadOptions
    from spanish_tok.shards.writer import ShardOptions as ShardOptions
    from spanish_tok.shards.writer import decode_shards as decode_shards
    from spanish_tok.shards.writer import read_shards as read_shards
    from spanish_tok.shards.writer import write_shards as write_shards
    from spanish_tok.t5.config import T5Config as T5Config
    from spanish_tok.tasks.evaluate import evaluate as evaluate
    from spanish_tok.tasks.predictor import Predictor as Predictor
    from spanish_tok.tasks.predictor import predict as predict
    from spanish_tok.tasks.task import Task as Task
    from spanish_tok.text.build_table import build_table as build_table
    from spanish_tok.text.packed_table import normalize_column as normalize_column
    from spanish_tok.text.table import normalize as normalize
    from spanish_tok.tokenization.tokenizer import Tokenizer as Tokenizer
    from spanish_tok.training.finetune import finetune as finetune
    from spanish_tok.training.finetune_options import FinetuneOptions as FinetuneOptions
    from spanish_tok.training.span_corruption import SpanCollator as SpanCollator
    from spanish_tok.training.span_corruption import SpanCorruption as SpanCorruption
    from spanish_tok.vocab.count_files import count_files as count_files
    from spanish_tok.vocab.counts import Counts as Counts
    from spanish_tok.vocab.counts import count_runs as count_runs
    from spanish_tok.vocab.counts import merge as merge
    from spanish_tok.vocab.trainer import TrainOptions as TrainOptions
    from spanish_tok.vocab.trainer import train_vocabularies as train_vocabularies
    from spanish_tok.vocab.trainer import train_vocabulary as train_vocabulary
    from spanish_tok.vocab.vocabulary import Vocabulary as Vocabulary

# public name -> the module that holds it
_HOMES = {
    "CleanOptions": "corpus.cleaning",
    "Counts": "vocab.counts",
    "Generator": "generation.generator",
    "Predictor": "tasks.predictor",
    "ReadOptions": "readers.options",
    "GenerateOptions": "generation.sampling",
    "ShardOptions": "shards.writer",
    "SpanCollator": "training.span_corruption",
    "SpanCorruption": "training.span_corruption",
    "SpanishTokError": "errors",
    "T5Config": "t5.config",
    "Task": "tasks.task",
    "Tokenizer": "tokenization.tokenizer",
    "TrainOptions": "vocab.trainer",
    "FinetuneOptions": "training.finetune_options",
    "Vocabulary": "vocab.vocabulary",
    "build_table": "text.build_table",
    "clean_files": "corpus.pipeline",
    "count_files": "vocab.count_files",
    "count_runs": "vocab.counts",
    "decode_shards": "shards.writer",
    "evaluate": "tasks.evaluate",
    "finetune": "training.finetune",
    "inputs_of": "readers.inputs",
    "merge": "vocab.counts",
    "merge_samples": "corpus.sampling",
    "normalize": "text.table",
    "normalize_column": "text.packed_table",
    "predict": "tasks.predictor",
    "read_shards": "shards.writer",
    "sample_files": "corpus.pipeline",
    "train_vocabularies": "vocab.trainer",
    "train_vocabulary": "vocab.trainer",
    "write_shards": "shards.writer",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'spanish_tok' has no attribute {name!r}")
    return getattr(import_module(f"spanish_tok.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
