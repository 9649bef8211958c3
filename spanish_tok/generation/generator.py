"""Generator: a trained model that fills gaps and writes text. The search is in `search` and `beams`; no torch here."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from spanish_tok.errors import SpanishTokError
from spanish_tok.files import shipped
from spanish_tok.generation.beam_search import search
from spanish_tok.generation.prompts import Prompt
from spanish_tok.generation.sampling import (
    Backend,
    GeneratedId,
    GenerateOptions,
    Hypothesis,
    PrefixConstraint,
    State,
    write,
)
from spanish_tok.t5.checkpoint import Checkpoint, Precision
from spanish_tok.tokenization.tokenizer import Tokenizer

__all__ = ["Backend", "GenerateOptions", "Generation", "Generator", "Hypothesis", "State"]

BackendName = Literal["cpu", "torch"]
SHIPPED_MODEL = "models/es-tiny"
GREEDY = GenerateOptions()


@dataclass(frozen=True)
class Generation:
    """What was written for a prompt.

    `text` is the prompt with its gaps filled, or, where it has none, what the model wrote. `ids` are the ids
    written, sentinels included, without `</s>`. `score` is the sum of their log-probabilities, None unless asked
    for. `complete` tells whether the model ended by itself.
    """

    text: str
    ids: tuple[int, ...]
    score: float | None
    complete: bool


class Generator:
    """A model and its tokenizer at work; it changes nothing in itself, so threads may share it.

    Options are those of `GenerateOptions`, by name or as one object.
    """

    def __init__(self, backend: Backend, tokenizer: Tokenizer) -> None:
        if tokenizer.vocab_size > backend.config.vocab_size:
            raise SpanishTokError(
                f"The vocabulary has {tokenizer.vocab_size:,} ids, the model {backend.config.vocab_size:,} rows",
                "It is another model's vocabulary.",
            )
        self.backend = backend
        self.tokenizer = tokenizer

    @classmethod
    def load(
        cls,
        folder: str | os.PathLike[str] | None = None,
        backend: BackendName = "cpu",
        precision: Precision | None = None,
    ) -> "Generator":
        """The generator of a model folder; without one, of the tiny model that ships with the package.

        `backend` "cpu" needs NumPy and Numba alone; its `precision` is "float32", "bfloat16" or "int8" (None: int8 for
        weights that are stored so, else float32). "torch" computes in float32. Raises SpanishTokError for a damaged
        folder, and where torch is asked for and missing.
        """
        if backend not in get_args(BackendName):
            raise SpanishTokError(f"There is no backend {backend!r}", "Give cpu or torch.")
        if backend == "torch" and precision not in (None, "float32"):
            raise SpanishTokError(
                f"The backend torch has no precision {precision!r}", "It computes in float32."
            )
        checkpoint = Checkpoint.load(model_folder(folder))
        return cls(_backend(checkpoint, backend, precision), Tokenizer(checkpoint.vocabulary))

    def generate(
        self,
        texts: Sequence[str],
        options: GenerateOptions = GREEDY,
        *,
        allowed: PrefixConstraint | None = None,
        batch_size: int = 32,
    ) -> list[Generation]:
        """Write for each text; results do not depend on which texts share a batch.

        `allowed` restricts what may be written: it takes the ids written so far and gives those that may follow
        (None: all).
        """
        if isinstance(texts, str):
            raise SpanishTokError("texts is one str", "Give a list of texts, or use `fill`.")
        prompts = [Prompt.parse(text, self.tokenizer) for text in texts]
        found = self.write_ids(
            [prompt.ids for prompt in prompts], options, allowed=allowed, batch_size=batch_size
        )
        return [
            Generation(prompt.fill(best.ids), best.ids, best.score, best.complete)
            for prompt, best in zip(prompts, found, strict=True)
        ]

    def fill(self, text: str, options: GenerateOptions = GREEDY) -> str:
        """One text with its gaps `<extra_id_0>`, `<extra_id_1>`, ... filled in place."""
        return self.generate([text], options)[0].text

    def stream(
        self, text: str, options: GenerateOptions = GREEDY, *, allowed: PrefixConstraint | None = None
    ) -> Iterator[str]:
        """The text of `generate` in pieces, each as soon as it is known; beams know theirs at the end only."""
        prompt = Prompt.parse(text, self.tokenizer)
        return (piece for piece in prompt.stream(self._written(prompt, options, allowed)) if piece)

    def _written(
        self, prompt: Prompt, options: GenerateOptions, allowed: PrefixConstraint | None
    ) -> Iterator[int]:
        size = self.tokenizer.vocab_size
        if options.num_beams > 1:
            yield from search(self.backend, [prompt.ids], options, allowed, size)[0].ids
            return
        written: Iterable[GeneratedId] = write(self.backend, [prompt.ids], options, allowed, size)
        yield from (one.id for one in written if one.id != self.backend.config.eos_token_id)

    def write_ids(
        self,
        rows: Sequence[Sequence[int]],
        options: GenerateOptions = GREEDY,
        *,
        allowed: PrefixConstraint | None = None,
        batch_size: int = 32,
    ) -> list[Hypothesis]:
        """Write for rows of ids, `</s>` included; rows of like length are put into one batch."""
        for place, row in enumerate(rows):
            if not len(row) or not 0 <= min(row) <= max(row) < self.tokenizer.vocab_size:
                raise SpanishTokError(
                    f"Row {place} is empty or holds what is no id of the vocabulary",
                    f"Ids go from 0 to {self.tokenizer.vocab_size - 1}.",
                )
        if batch_size < 1:
            raise SpanishTokError(f"batch_size is {batch_size}", "Give a number from 1 up.")
        order = sorted(range(len(rows)), key=lambda place: len(rows[place]))
        found: dict[int, Hypothesis] = {}
        for begin in range(0, len(order), batch_size):
            places = order[begin : begin + batch_size]
            batch = [rows[place] for place in places]
            best = search(self.backend, batch, options, allowed, self.tokenizer.vocab_size)
            found.update(zip(places, best, strict=True))
        return [found[place] for place in range(len(rows))]


def model_folder(folder: str | os.PathLike[str] | None) -> Path:
    """The folder of a model; where none is named, of the one that ships with the package."""
    return Path(folder) if folder is not None else shipped(SHIPPED_MODEL)


def _backend(checkpoint: Checkpoint, name: BackendName, precision: Precision | None) -> Backend:
    if name == "cpu":
        from spanish_tok.t5.cpu_backend import CpuBackend

        return CpuBackend(checkpoint, precision)
    try:
        from spanish_tok.t5.model import T5
        from spanish_tok.t5.torch_backend import TorchBackend
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise SpanishTokError("The backend torch is not installed", "pip install 'spanish-tok[t5]'") from None
    return TorchBackend(T5.from_checkpoint(checkpoint))
