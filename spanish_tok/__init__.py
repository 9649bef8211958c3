"""Spanish records to a small, exact, fast T5 vocabulary, and text to tokens.

The public names. Each is loaded when it is first used, so that importing the package costs nothing; a name whose
extra is not installed says so when it is used.
"""

from typing import TYPE_CHECKING, Any

from spanish_tok._version import __version__
from spanish_tok.interrupts import import_whole

if TYPE_CHECKING:
    from spanish_tok.corpus.cleaning import CleanOptions as CleanOptions
    from spanish_tok.corpus.cleaning import explain as explain
    from spanish_tok.corpus.pipeline import SampleOptions as SampleOptions
    from spanish_tok.corpus.pipeline import clean as clean
    from spanish_tok.corpus.pipeline import sample as sample
    from spanish_tok.corpus.sampling import merge_samples as merge_samples
    from spanish_tok.corpus.writer import Records as Records
    from spanish_tok.errors import SpanishTokError as SpanishTokError
    from spanish_tok.generation.generate import generate as generate
    from spanish_tok.generation.generator import Generation as Generation
    from spanish_tok.generation.generator import Generator as Generator
    from spanish_tok.generation.sampling import GenerateOptions as GenerateOptions
    from spanish_tok.measure.bench import bench as bench
    from spanish_tok.measure.checks.results import Check as Check
    from spanish_tok.measure.checks.results import Verification as Verification
    from spanish_tok.measure.compare import compare as compare
    from spanish_tok.measure.comparison import Comparison as Comparison
    from spanish_tok.measure.demo import demo as demo
    from spanish_tok.measure.presentation import Bench as Bench
    from spanish_tok.measure.verify import verify as verify
    from spanish_tok.options import assigned as assigned
    from spanish_tok.parallel.local import Local as Local
    from spanish_tok.parallel.ray_engine import Ray as Ray
    from spanish_tok.plans.build import build as build
    from spanish_tok.plans.page import BuildResult as BuildResult
    from spanish_tok.plans.plan import Plan as Plan
    from spanish_tok.progress import Bar as Bar
    from spanish_tok.progress import Progress as Progress
    from spanish_tok.readers.datasets import Dataset as Dataset
    from spanish_tok.readers.datasets import recipes as recipes
    from spanish_tok.readers.options import ReadOptions as ReadOptions
    from spanish_tok.shards.reader import TokenArrays as TokenArrays
    from spanish_tok.shards.reader import load_shards as load_shards
    from spanish_tok.shards.writer import ShardOptions as ShardOptions
    from spanish_tok.shards.writer import ShardResult as ShardResult
    from spanish_tok.shards.writer import decode_shards as decode_shards
    from spanish_tok.shards.writer import shard as shard
    from spanish_tok.t5.config import T5Config as T5Config
    from spanish_tok.t5.export.libraries import export as export
    from spanish_tok.t5.foreign.transplant import TransplantResult as TransplantResult
    from spanish_tok.t5.foreign.transplant import transplant as transplant
    from spanish_tok.t5.foreign.trim import TrimOptions as TrimOptions
    from spanish_tok.t5.foreign.trim import TrimResult as TrimResult
    from spanish_tok.t5.foreign.trim import trim as trim
    from spanish_tok.t5.model import T5 as T5
    from spanish_tok.tasks.accents.evaluation import AccentEvaluation as AccentEvaluation
    from spanish_tok.tasks.accents.restorer import Restorer as Restorer
    from spanish_tok.tasks.accents.restorer import restore as restore
    from spanish_tok.tasks.evaluate import evaluate as evaluate
    from spanish_tok.tasks.examples import RowReport as RowReport
    from spanish_tok.tasks.mixture import MixedTask as MixedTask
    from spanish_tok.tasks.mixture import Mixture as Mixture
    from spanish_tok.tasks.predict import predict as predict
    from spanish_tok.tasks.predictor import Prediction as Prediction
    from spanish_tok.tasks.predictor import Predictor as Predictor
    from spanish_tok.tasks.scores import Evaluation as Evaluation
    from spanish_tok.tasks.task import Task as Task
    from spanish_tok.text.alignment import changes as changes
    from spanish_tok.text.alphabets import alphabet_table as alphabet_table
    from spanish_tok.text.build_table import build_table as build_table
    from spanish_tok.text.packed_table import normalize_column as normalize_column
    from spanish_tok.text.table import NormalizationTable as NormalizationTable
    from spanish_tok.tokenization.adapters import TokenizerAdapter as TokenizerAdapter
    from spanish_tok.tokenization.tokenizer import Tokenizer as Tokenizer
    from spanish_tok.tokenization.verbs import Tokens as Tokens
    from spanish_tok.tokenization.verbs import decode as decode
    from spanish_tok.tokenization.verbs import encode as encode
    from spanish_tok.tokenization.verbs import normalize as normalize
    from spanish_tok.tokenization.verbs import tokenize as tokenize
    from spanish_tok.training.finetune import FinetuneResult as FinetuneResult
    from spanish_tok.training.finetune import MixtureResult as MixtureResult
    from spanish_tok.training.finetune import finetune as finetune
    from spanish_tok.training.finetune_options import FinetuneOptions as FinetuneOptions
    from spanish_tok.training.pretrain import PretrainResult as PretrainResult
    from spanish_tok.training.pretrain import pretrain as pretrain
    from spanish_tok.training.pretrain_options import PretrainOptions as PretrainOptions
    from spanish_tok.training.pretrain_options import shipped_recipe as shipped_recipe
    from spanish_tok.training.span_corruption import SpanCollator as SpanCollator
    from spanish_tok.training.span_corruption import SpanCorruption as SpanCorruption
    from spanish_tok.vocab.counts.files import count as count
    from spanish_tok.vocab.counts.table import Counts as Counts
    from spanish_tok.vocab.counts.table import merge as merge
    from spanish_tok.vocab.trainer import TrainOptions as TrainOptions
    from spanish_tok.vocab.trainer import train as train
    from spanish_tok.vocab.vocabulary import Vocabulary as Vocabulary

# module -> its public names
_MODULES = {
    "corpus.cleaning": "CleanOptions explain",
    "corpus.pipeline": "SampleOptions clean sample",
    "corpus.sampling": "merge_samples",
    "corpus.writer": "Records",
    "errors": "SpanishTokError",
    "generation.generate": "generate",
    "generation.generator": "Generation Generator",
    "generation.sampling": "GenerateOptions",
    "measure.bench": "bench",
    "measure.compare": "compare",
    "measure.comparison": "Comparison",
    "measure.demo": "demo",
    "measure.presentation": "Bench",
    "measure.checks.results": "Check Verification",
    "measure.verify": "verify",
    "options": "assigned",
    "parallel.local": "Local",
    "parallel.ray_engine": "Ray",
    "plans.build": "build",
    "plans.page": "BuildResult",
    "plans.plan": "Plan",
    "progress": "Bar Progress",
    "readers.datasets": "Dataset recipes",
    "readers.options": "ReadOptions",
    "shards.reader": "TokenArrays load_shards",
    "shards.writer": "ShardOptions ShardResult decode_shards shard",
    "t5.config": "T5Config",
    "t5.export.libraries": "export",
    "t5.foreign.transplant": "TransplantResult transplant",
    "t5.foreign.trim": "TrimOptions TrimResult trim",
    "t5.model": "T5",
    "tasks.accents.evaluation": "AccentEvaluation",
    "tasks.accents.restorer": "Restorer restore",
    "tasks.evaluate": "evaluate",
    "tasks.examples": "RowReport",
    "tasks.mixture": "MixedTask Mixture",
    "tasks.predict": "predict",
    "tasks.predictor": "Prediction Predictor",
    "tasks.scores": "Evaluation",
    "tasks.task": "Task",
    "text.alignment": "changes",
    "text.alphabets": "alphabet_table",
    "text.build_table": "build_table",
    "text.packed_table": "normalize_column",
    "text.table": "NormalizationTable",
    "tokenization.adapters": "TokenizerAdapter",
    "tokenization.tokenizer": "Tokenizer",
    "tokenization.verbs": "Tokens decode encode normalize tokenize",
    "training.finetune": "FinetuneResult MixtureResult finetune",
    "training.finetune_options": "FinetuneOptions",
    "training.pretrain": "PretrainResult pretrain",
    "training.pretrain_options": "PretrainOptions shipped_recipe",
    "training.span_corruption": "SpanCollator SpanCorruption",
    "vocab.counts.files": "count",
    "vocab.counts.table": "Counts merge",
    "vocab.trainer": "TrainOptions train",
    "vocab.vocabulary": "Vocabulary",
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names.split()}

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return _loaded(_HOMES[name], name)
    old = import_whole("spanish_tok.old_names")
    if name in old.OLD_NAMES:
        return old.old_name(name)
    raise AttributeError(f"module 'spanish_tok' has no attribute {name!r}")


def _loaded(module: str, name: str) -> Any:
    """Return a public name, or what stands for it where its extra is not installed."""
    from spanish_tok.errors import MissingExtra, extra_error

    try:
        return getattr(import_whole(f"spanish_tok.{module}"), name)
    except ModuleNotFoundError as missing:
        if error := extra_error(name, missing):
            return MissingExtra(error)
        raise


def __dir__() -> list[str]:
    return __all__
