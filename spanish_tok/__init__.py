"""From Spanish records to a small, exact, fast T5 vocabulary, and from text to training tokens.

The public names; each is loaded when it is first used, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from spanish_tok.alphabet import build_table as build_table
    from spanish_tok.alphabet import normalize as normalize
    from spanish_tok.clean import CleanOptions as CleanOptions
    from spanish_tok.columns import normalize_column as normalize_column
    from spanish_tok.corruption import SpanCollator as SpanCollator
    from spanish_tok.corruption import SpanCorruption as SpanCorruption
    from spanish_tok.counting import count_files as count_files
    from spanish_tok.counts import Counts as Counts
    from spanish_tok.counts import count_runs as count_runs
    from spanish_tok.counts import merge as merge
    from spanish_tok.errors import SpanishTokError as SpanishTokError
    from spanish_tok.generation import Generator as Generator
    from spanish_tok.inputs import inputs_of as inputs_of
    from spanish_tok.prepare import clean_files as clean_files
    from spanish_tok.prepare import sample_files as sample_files
    from spanish_tok.reading import ReadOptions as ReadOptions
    from spanish_tok.sample import merge_samples as merge_samples
    from spanish_tok.search import SearchOptions as SearchOptions
    from spanish_tok.shards import ShardOptions as ShardOptions
    from spanish_tok.shards import decode_shards as decode_shards
    from spanish_tok.shards import read_shards as read_shards
    from spanish_tok.shards import write_shards as write_shards
    from spanish_tok.t5.config import T5Config as T5Config
    from spanish_tok.t5.evaluate import evaluate as evaluate
    from spanish_tok.t5.finetune import finetune as finetune
    from spanish_tok.t5.predict import Predictor as Predictor
    from spanish_tok.t5.predict import predict as predict
    from spanish_tok.t5.tuning_options import TuningOptions as TuningOptions
    from spanish_tok.tasks.task import Task as Task
    from spanish_tok.tokenizer import Tokenizer as Tokenizer
    from spanish_tok.trainer import Training as Training
    from spanish_tok.trainer import train_vocabularies as train_vocabularies
    from spanish_tok.trainer import train_vocabulary as train_vocabulary
    from spanish_tok.vocabulary import Vocabulary as Vocabulary

# public name -> the module that holds it
_HOMES = {
    "CleanOptions": "clean",
    "Counts": "counts",
    "Generator": "generation",
    "Predictor": "t5.predict",
    "ReadOptions": "reading",
    "SearchOptions": "search",
    "ShardOptions": "shards",
    "SpanCollator": "corruption",
    "SpanCorruption": "corruption",
    "SpanishTokError": "errors",
    "T5Config": "t5.config",
    "Task": "tasks.task",
    "Tokenizer": "tokenizer",
    "Training": "trainer",
    "TuningOptions": "t5.tuning_options",
    "Vocabulary": "vocabulary",
    "build_table": "alphabet",
    "clean_files": "prepare",
    "count_files": "counting",
    "count_runs": "counts",
    "decode_shards": "shards",
    "evaluate": "t5.evaluate",
    "finetune": "t5.finetune",
    "inputs_of": "inputs",
    "merge": "counts",
    "merge_samples": "sample",
    "normalize": "alphabet",
    "normalize_column": "columns",
    "predict": "t5.predict",
    "read_shards": "shards",
    "sample_files": "prepare",
    "train_vocabularies": "trainer",
    "train_vocabulary": "trainer",
    "write_shards": "shards",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'spanish_tok' has no attribute {name!r}")
    return getattr(import_module(f"spanish_tok.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
