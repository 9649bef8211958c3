"""The verb `pretrain`: a T5 trained by span corruption on token shards."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spanish_tok.errors import SpanishTokError
from spanish_tok.files.outputs import as_list
from spanish_tok.generation.generator import Generator
from spanish_tok.options import changed, check_one_given
from spanish_tok.progress import ProgressOption, progress_of
from spanish_tok.readers.options import Location
from spanish_tok.shards.reader import TokenArrays, check_arrays, joined, load_shards
from spanish_tok.shards.writer import shard
from spanish_tok.t5.model import torch_device
from spanish_tok.tokenization.tokenizer import Tokenizer
from spanish_tok.tokenization.verbs import tokenizer_of
from spanish_tok.training.loop import check_folder_of_training
from spanish_tok.training.pretrain_options import PretrainOptions
from spanish_tok.training.pretraining.loop import Pretraining
from spanish_tok.training.state import TrainingState


@dataclass(frozen=True)
class PretrainResult:
    """A pretraining that came to its last step.

    checkpoint: the model folder; None if there was no output. generator: the model, ready to write. losses in nats a
    token: the mean of the first and of the last 20 steps.
    """

    checkpoint: Path | None
    steps: int
    tokens: int
    cpu_seconds: float
    first_loss: float
    last_loss: float
    generator: Generator

    def to_dict(self) -> dict[str, Any]:
        """Return the figures, ready for JSON."""
        return {
            "checkpoint": self.checkpoint and str(self.checkpoint),
            "steps": self.steps,
            "tokens": self.tokens,
            "cpu_seconds": self.cpu_seconds,
            "first_loss": self.first_loss,
            "last_loss": self.last_loss,
        }

    def __str__(self) -> str:
        return f"{TrainingState(self.steps, self.tokens, self.cpu_seconds).shown()}: {self.checkpoint}"


def pretrain(
    input: Location | Sequence[Location] | TokenArrays | None = None,  # noqa: A002
    output: Location | None = None,
    *,
    texts: Any = None,
    tokenizer: Tokenizer | Location | None = None,
    device: str = "cpu",
    threads: int | None = None,
    options: PretrainOptions | None = None,
    progress: ProgressOption = None,
    **changes: Any,
) -> PretrainResult:
    """Pretrain a T5 by span corruption on token shards.

    Records that end with `</s>` (`shard --eos`) give the same training as those without: none is added then.

    input: a folder that `shard` wrote, several of them (the option `weights` says how often each one's records are
    seen), or the arrays of `load_shards`; or `texts=` in memory. output: the folder for checkpoints, log.csv and the
    loss curve; without it only the result holds the model. tokenizer: that of the shards, the shipped one by default.
    device: "cpu" or "cuda". threads: None stands for all cores. changes: fields of PretrainOptions.

    An interrupted call resumes from the newest checkpoint when it is given again, and its losses are those of a call
    that was not interrupted. Raises SpanishTokError for shards of another vocabulary, another training in `output`, and
    a loss that is not a number or does not fall. (T5: Raffel et al. 2020, https://arxiv.org/abs/1910.10683.)
    """
    options, shown = changed(PretrainOptions, options, changes), progress_of(progress)
    check_one_given(input, texts, to="train on", advice="Give either shards or texts=.")
    if output is not None:
        check_folder_of_training(Path(output))
    tokenizer = tokenizer_of(tokenizer)
    if texts is not None:
        input = shard(texts=texts, tokenizer=tokenizer).load()  # noqa: A001
    if isinstance(input, TokenArrays):
        sources = [check_arrays(input, tokenizer.vocab_size, "The input")]
    else:
        sources = [load_shards(folder, tokenizer.vocabulary) for folder in as_list(input)]
    if not sources:
        raise SpanishTokError("There is no folder of shards", "Give at least one.")
    repeats = repeats_of(sources, options)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary if output is None else output)
        training = Pretraining(
            *joined(sources), tokenizer, options, folder, torch_device(device, threads), shown.tell, repeats
        )
        shown.tell(training.summary())
        with shown.phase("pretraining", options.steps) as bar:
            training.run(bar)
        checkpoint, state, log = training.newest(), training.state, training.log
        return PretrainResult(
            checkpoint=checkpoint if output is not None else None,
            steps=state.step,
            tokens=state.tokens,
            cpu_seconds=state.cpu_seconds,
            first_loss=log.mean_loss(0, 20),
            last_loss=log.mean_loss(-20, len(log.rows)),
            generator=Generator.load(checkpoint),
        )


def repeats_of(sources: Sequence[TokenArrays], options: PretrainOptions) -> NDArray[np.int64]:
    """Return how many times an epoch shows each record: int64[records of all sources].

    Raises SpanishTokError unless there is a weight for each source, or none at all.
    """
    repeats = options.repeats or (1,) * len(sources)
    if len(repeats) != len(sources):
        raise SpanishTokError(
            f"There are {len(sources)} sources of shards, but {len(repeats)} weights",
            "Give one each, or none.",
        )
    return np.repeat(np.array(repeats, np.int64), [source.offsets.size - 1 for source in sources])
