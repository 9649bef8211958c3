"""The Generator: a trained model that fills gaps and writes text.

Which ids are written is decided in sampling.py and beam_search.py; no torch here.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args, overload

from spanish_tok.errors import SpanishTokError
from spanish_tok.files import shipped
from spanish_tok.generation.beam_search import search, search_all
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
from spanish_tok.options import changed
from spanish_tok.t5.checkpoint import Checkpoint
from spanish_tok.t5.safetensors import Precision
from spanish_tok.tokenization.tokenizer import Tokenizer
from spanish_tok.vocab.ids import ids_array

__all__ = ["Backend", "GenerateOptions", "Generation", "Generator", "Hypothesis", "State"]

BackendName = Literal["cpu", "torch"]
SHIPPED_MODEL = "models/es-tiny"
GREEDY = GenerateOptions()


@dataclass(frozen=True)
class Generation:
    """What was written for a prompt.

    `text` is the prompt with its gaps filled, or, where it has none, what the model wrote. `ids` are the ids
    written, sentinels included, without `</s>`. `score` is the sum of their log-probabilities, None unless asked
    for. `complete` tells whether the model ended by itself. `error` says why a line of a file has no answer.
    """

    text: str
    ids: tuple[int, ...]
    score: float | None
    complete: bool
    error: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, ready for JSON."""
        return asdict(self)


class Generator:
    """A model and its tokenizer at work.

    It changes nothing in itself, so threads may share it.

    Every method takes `options`, or fields of GenerateOptions by name.
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
        """Load the generator of a model folder; by default of the shipped model.

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

    @overload
    def generate(self, texts: str, options: GenerateOptions | None = None, **how: Any) -> Generation: ...
    @overload
    def generate(
        self, texts: list[str] | tuple[str, ...], options: GenerateOptions | None = None, **how: Any
    ) -> list[Generation]: ...
    def generate(
        self,
        texts: Any,
        options: GenerateOptions | None = None,
        *,
        allowed: PrefixConstraint | None = None,
        batch_size: int = 32,
        **changes: Any,
    ) -> Generation | list[Generation]:
        """Write for a text, or for each of a list.

        Results do not depend on which texts share a batch.

        changes: fields of GenerateOptions; with `num_return_sequences` above 1 a list is returned, several texts of
        each one behind the other. allowed: restricts what may be written; it takes the ids written so far and
        returns those that may follow (None: all).

        >>> Generator.load().generate("la capital de <extra_id_0> es madrid .", max_new_tokens=8).text[-11:]
        'es madrid .'
        """
        options = changed(GenerateOptions, options, changes)
        prompts = [texts] if isinstance(texts, str) else texts
        written = self._generate_all(
            [Prompt.parse(text, self.tokenizer) for text in prompts], options, allowed, batch_size
        )
        generations = [generation for several in written for generation in several]
        single = isinstance(texts, str) and options.num_return_sequences == 1
        return generations[0] if single else generations

    def _generate_all(
        self,
        prompts: Sequence[Prompt],
        options: GenerateOptions,
        allowed: PrefixConstraint | None,
        batch_size: int,
    ) -> list[list[Generation]]:
        """Write for prompts; return the texts of each."""
        written = self._write_all([prompt.ids for prompt in prompts], options, allowed, batch_size)
        return [
            [Generation(prompt.fill(best.ids), best.ids, best.score, best.complete) for best in hypotheses]
            for prompt, hypotheses in zip(prompts, written, strict=True)
        ]

    @overload
    def fill(self, text: str, options: GenerateOptions | None = None, **changes: Any) -> str: ...
    @overload
    def fill(self, text: list[str], options: GenerateOptions | None = None, **changes: Any) -> list[str]: ...
    def fill(self, text: Any, options: GenerateOptions | None = None, **changes: Any) -> str | list[str]:
        """Return a text, or each of a list, with its gaps filled in place.

        The gaps are `<extra_id_0>`, `<extra_id_1>`, ...

        >>> Generator.load().fill("los archivos que <extra_id_0> encuentran .", num_beams=2).startswith("los archivos")
        True
        """
        written: Generation | list[Generation] = self.generate(text, options, **changes)
        return [generation.text for generation in written] if isinstance(written, list) else written.text

    def stream(
        self,
        text: str,
        options: GenerateOptions | None = None,
        *,
        allowed: PrefixConstraint | None = None,
        **changes: Any,
    ) -> Iterator[str]:
        """Yield the text of `generate` in pieces, each as soon as it is known.

        Beams know theirs at the end.
        """
        options = changed(GenerateOptions, options, changes)
        if options.num_return_sequences > 1:
            raise SpanishTokError(
                "Several texts cannot be streamed at once", "Leave num_return_sequences out."
            )
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
        yield from (step.id for step in written if step.id != self.backend.config.eos_token_id)

    def write_ids(
        self,
        rows: Sequence[Sequence[int]],
        options: GenerateOptions | None = None,
        *,
        allowed: PrefixConstraint | None = None,
        batch_size: int = 32,
    ) -> list[Hypothesis]:
        """Write for rows of ids, `</s>` included.

        Rows of similar length are put into one batch. Several texts of a row come one behind the other.
        """
        written = self._write_all(rows, options or GREEDY, allowed, batch_size)
        return [hypothesis for hypotheses in written for hypothesis in hypotheses]

    def _write_all(
        self,
        rows: Sequence[Sequence[int]],
        options: GenerateOptions,
        allowed: PrefixConstraint | None,
        batch_size: int,
    ) -> list[list[Hypothesis]]:
        """Write for rows of ids; return the texts of each."""
        for index, row in enumerate(rows):
            if not ids_array(row, self.tokenizer.vocab_size, f"row {index}").size:
                raise SpanishTokError(f"Row {index} is empty", "Give ids, </s> last.")
        if batch_size < 1:
            raise SpanishTokError(f"batch_size is {batch_size}", "Give a number from 1 up.")
        order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
        written: dict[int, list[Hypothesis]] = {}
        for begin in range(0, len(order), batch_size):
            indices = order[begin : begin + batch_size]
            batch = [rows[index] for index in indices]
            try:
                hypotheses = search_all(self.backend, batch, options, allowed, self.tokenizer.vocab_size)
            except MemoryError:
                raise SpanishTokError(
                    f"{len(batch)} texts of {options.num_beams} beams and {options.max_new_tokens:,} tokens do not fit "
                    "into memory",
                    "Give a smaller batch size, fewer beams or fewer tokens.",
                ) from None
            written.update(zip(indices, hypotheses, strict=True))
        return [written[index] for index in range(len(rows))]


def model_folder(folder: str | os.PathLike[str] | None) -> Path:
    """Return the folder of a model, by default of the one that ships with the package."""
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
