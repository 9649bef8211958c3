"""Old public names: each warns when it is used, and goes with the next version."""

from typing import Any

from spanish_tok.errors import warn_deprecated
from spanish_tok.interrupts import import_whole

# old name -> (module with what it was, what replaces it)
OLD_NAMES = {
    "SearchOptions": ("generation.sampling.GenerateOptions", "GenerateOptions"),
    "Training": ("vocab.trainer.TrainOptions", "TrainOptions"),
    "TuningOptions": ("training.finetune_options.FinetuneOptions", "FinetuneOptions"),
    "clean_files": ("old_names.functions.clean_files", "clean"),
    "count_files": ("old_names.functions.count_files", "count"),
    "count_runs": ("vocab.counts.runs.count_runs", "count(texts=...)"),
    "inputs_of": ("readers.inputs.inputs_of", "the files themselves"),
    "read_shards": ("shards.reader.load_shards", "load_shards"),
    "sample_files": ("old_names.functions.sample_files", "sample"),
    "train_vocabularies": ("old_names.functions.train_vocabularies", "train with a list of sizes"),
    "train_vocabulary": ("old_names.functions.train_vocabulary", "train"),
    "write_shards": ("old_names.functions.write_shards", "shard"),
}


def old_name(name: str) -> Any:
    """Return what an old public name stood for, with a warning."""
    home, instead = OLD_NAMES[name]
    warn_deprecated(f"spanish_tok.{name}", instead, stacklevel=4)
    module, _, attribute = home.rpartition(".")
    return getattr(import_whole(f"spanish_tok.{module}"), attribute)
