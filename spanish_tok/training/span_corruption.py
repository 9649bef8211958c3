"""Span corruption: mask spans of ids, and ask for what was masked.

Raffel et al. 2020, section 3.1.4.

Works on ids, never on text. Nothing here needs torch: a batch is two NumPy arrays, and `SpanCollator` makes
of them what transformers' Trainer, or any loop over a DataLoader, takes.
"""

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spanish_tok.errors import SpanishTokError
from spanish_tok.options import FieldsAlone, check_seed
from spanish_tok.training.masks.seeds import seeds_of
from spanish_tok.vocab.ids import MOST_IDS, check_offsets, ids_array
from spanish_tok.vocab.vocabulary import EOS, PAD, Vocabulary

IGNORED = -100  # the label that losses in torch skip
ADVICE = "T5's own are a rate of 0.15 and a mean span of 3."


class Batch(NamedTuple):
    """Inputs and targets of a batch: int64[rows, longest].

    Each row ends in `</s>`, then `<pad>`.
    """

    inputs: NDArray[np.int64]
    targets: NDArray[np.int64]

    @property
    def labels(self) -> NDArray[np.int64]:
        """The targets with -100, which losses skip, in place of `<pad>`."""
        return np.where(self.targets == PAD, IGNORED, self.targets)


@dataclass(frozen=True)
class SpanCorruption(FieldsAlone):
    """How records are masked.

    The draw depends on (seed, epoch, record) alone, on no global state.

    Sentinels go down from `first_sentinel` (`<extra_id_0>`), in order of appearance; up, where `sentinel_step` is 1,
    as in some vocabularies of others.

    >>> corruption = SpanCorruption(first_sentinel=4999)
    >>> inputs, targets = corruption.corrupt([10, 11, 12, 13, 14, 15, 16], epoch=0, record=1)
    >>> inputs
    [4999, 11, 12, 13, 14, 15, 16, 1]
    >>> targets
    [4999, 10, 1]
    """

    first_sentinel: int
    sentinels: int = 100
    rate: float = 0.15  # the share of tokens that is masked
    mean_span: float = 3.0  # tokens
    seed: int = 0
    sentinel_step: int = -1

    def __post_init__(self) -> None:
        if not 0 < self.rate < 1:
            raise SpanishTokError(f"The masking rate is {self.rate}, not between 0 and 1", ADVICE)
        if not self.mean_span >= 1:
            raise SpanishTokError(f"The mean span is {self.mean_span}, not 1 or more", ADVICE)
        if not 1 <= self.sentinels <= self.first_sentinel - EOS:
            raise SpanishTokError(f"There are {self.sentinels} sentinels", "Give at least one.")
        if self.first_sentinel >= MOST_IDS:
            raise SpanishTokError(f"The first sentinel is {self.first_sentinel}", "Ids go up to 2^31.")
        check_seed(self.seed)

    @classmethod
    def of(cls, vocabulary: Vocabulary, **options: Any) -> "SpanCorruption":
        """Span corruption with the sentinels of a vocabulary.

        Raises SpanishTokError for one without sentinels, or with ids that the layout here does not have.
        """
        ids = [vocabulary.sentinel_id(k) for k in range(max(vocabulary.sentinels, 1))]
        step = ids[1] - ids[0] if len(ids) > 1 else -1
        if ids != list(range(ids[0], ids[0] + step * len(ids), step)) or abs(step) != 1:
            raise SpanishTokError("The sentinels do not follow one another", "Use another vocabulary.")
        if (vocabulary.pad, vocabulary.eos) != (PAD, EOS):
            raise SpanishTokError(
                f"<pad> is {vocabulary.pad} and </s> {vocabulary.eos}",
                f"Span corruption needs {PAD} and {EOS}.",
            )
        return cls(first_sentinel=ids[0], sentinels=len(ids), sentinel_step=step, **options)

    def lengths(self, tokens: int) -> tuple[int, int]:
        """Input and target length of a sequence of so many tokens, `</s>` included.

        >>> SpanCorruption(4999).lengths(568)
        (512, 114)
        """
        from spanish_tok.kernels.span_corruption import how_many

        masked, spans = how_many(tokens, tokens, self.rate, self.mean_span, self.sentinels)
        return tokens - masked + spans + 1, masked + spans + 1

    def tokens_for(self, input_length: int) -> int:
        """Return the most tokens whose input is no longer than `input_length`.

        This is T5's random_spans_helper.

        >>> SpanCorruption(4999).tokens_for(512)
        568
        """
        tokens = input_length - 1
        while self.lengths(tokens + 1)[0] <= input_length:
            tokens += 1
        if tokens < 1 or self.lengths(tokens)[0] > input_length:
            raise SpanishTokError(f"An input of {input_length} ids holds no tokens", "Give a longer one.")
        return tokens

    def corrupt(
        self, ids: Sequence[int] | NDArray[Any], epoch: int, record: int
    ) -> tuple[list[int], list[int]]:
        """Return the ids of input and targets of one record.

        ids: a list, an array or a tensor [tokens], without sentinels and padding.

        Raises SpanishTokError that names the first place that holds anything else.
        """
        row = self._checked(ids)
        batch = self.corrupt_rows(row, np.array([0, row.size]), epoch, [record])
        return batch.inputs[0].tolist(), batch.targets[0].tolist()

    def _checked(self, ids: Any) -> NDArray[Any]:
        """Return ordinary ids as an array."""
        array = ids_array(ids, MOST_IDS)
        sentinel_index = (array.astype(np.int64) - self.first_sentinel) * self.sentinel_step
        above = (array > self.first_sentinel) & (self.sentinel_step < 0)
        sentinel = (sentinel_index >= 0) & (sentinel_index < self.sentinels)
        if wrong := np.flatnonzero((array == PAD) | sentinel | above).tolist():
            item = array[wrong[0]]
            kind = "<pad>" if item == PAD else "a sentinel" if sentinel[wrong[0]] else "above <extra_id_0>"
            raise SpanishTokError(
                f"Item {wrong[0]} of the ids is {item}, {kind}", "Give the ids of text alone."
            )
        return array

    def corrupt_rows(
        self, tokens: NDArray[Any], offsets: NDArray[np.int64], epoch: int, records: Sequence[int]
    ) -> Batch:
        """Corrupt the rows tokens[offsets[r]:offsets[r + 1]].

        Single records or packed ones.

        An `</s>` inside a row parts two records: no span covers it. records[r] is the number that the draw depends
        on. Rows of packed records so short that T5's number of spans does not fit keep more tokens.

        Raises SpanishTokError for offsets that are out of order or range.
        """
        rows = len(records)
        check_offsets(offsets, tokens.size)
        if offsets.size != rows + 1:
            raise SpanishTokError(f"{offsets.size} offsets do not fit {rows} records", "Give one more.")
        longest = int(np.diff(offsets).max(initial=0))
        inputs = np.full((rows, longest + 2), PAD, np.int64)
        targets = np.full((rows, 2 * longest + 2), PAD, np.int64)
        sizes = np.zeros((rows, 2), np.int64)
        self._corrupt(tokens, offsets, seeds_of(self.seed, epoch, records), inputs, targets, sizes)
        input_width, target_width = sizes.max(axis=0, initial=0)
        return Batch(inputs[:, :input_width], targets[:, :target_width])

    def _corrupt(self, tokens: NDArray[Any], offsets: NDArray[np.int64], *rows: NDArray[Any]) -> None:
        """Corrupt rows with their seeds into inputs and targets; see the kernel."""
        from spanish_tok.kernels.span_corruption import corrupt_rows

        corrupt_rows(tokens, offsets, self._options, *rows)

    @cached_property
    def _options(self) -> tuple[float, float, int, int, int, int]:
        step = self.sentinel_step
        return float(self.rate), float(self.mean_span), self.first_sentinel, self.sentinels, step, EOS

    def rebuild(self, inputs: Sequence[int], targets: Sequence[int]) -> list[int]:
        """Return the record that inputs and targets were made from.

        Padding at their ends is dropped.

        >>> SpanCorruption(4999).rebuild([10, 4999, 12, 1], [4999, 11, 1, 0])
        [10, 11, 12]
        """
        spans: dict[int, list[int]] = {}
        for position, token_id in enumerate(_without_end(targets, "targets")):
            if self._is_sentinel(token_id):
                if token_id in spans:
                    raise _damaged("targets", position, f"the sentinel {token_id} for the second time")
                span = spans[token_id] = []
            elif spans:
                span.append(token_id)
            else:
                raise _damaged("targets", position, f"{token_id} before any sentinel")
        rebuilt: list[int] = []
        for position, token_id in enumerate(_without_end(inputs, "inputs")):
            if self._is_sentinel(token_id) and token_id not in spans:
                raise _damaged(
                    "inputs",
                    position,
                    f"the sentinel {token_id}, which the targets lack or which came before",
                )
            rebuilt += spans.pop(token_id) if self._is_sentinel(token_id) else [token_id]
        if spans:
            raise SpanishTokError(
                f"The inputs lack the sentinel {min(spans)}", "Are the targets another record's?"
            )
        return rebuilt

    def _is_sentinel(self, token_id: int) -> bool:
        return 0 <= (token_id - self.first_sentinel) * self.sentinel_step < self.sentinels


@dataclass
class SpanCollator:
    """Makes a batch of single records, for a DataLoader or transformers' Trainer.

    Takes mappings with `input_ids` (without `</s>`) and, where it is there, `record`, the number of the record that
    the draw depends on; without it, the ids themselves. Set `epoch` every epoch. Gives input_ids, attention_mask
    and labels (-100 for padding) as tensors of torch, or as NumPy arrays with `tensors=False`.
    """

    corruption: SpanCorruption
    epoch: int = 0
    tensors: bool = True

    def __call__(self, items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        if not items:
            raise SpanishTokError("The batch is empty", "Give at least one record.")
        rows = [self._corrupted(index, item) for index, item in enumerate(items)]
        inputs, targets = (padded(column) for column in zip(*rows, strict=True))
        batch = Batch(inputs, targets)
        arrays = {
            "input_ids": inputs,
            "attention_mask": (inputs != PAD).astype(np.int64),
            "labels": batch.labels,
        }
        if not self.tensors:
            return arrays
        import torch

        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    def _corrupted(self, index: int, item: Mapping[str, Any]) -> tuple[list[int], list[int]]:
        """Return inputs and targets of one item; an error names its place."""
        try:
            return self.corruption.corrupt(item["input_ids"], self.epoch, _record_of(item))
        except (KeyError, SpanishTokError) as error:
            fault = error if isinstance(error, SpanishTokError) else SpanishTokError("It has no input_ids")
            raise SpanishTokError(f"Record {index} of the batch: {fault.problem}", fault.advice) from None


def _record_of(item: Mapping[str, Any]) -> int:
    """Return the number of a record, or a hash of its ids."""
    if "record" in item:
        return operator.index(item["record"])
    ids = ids_array(item["input_ids"], MOST_IDS)
    kind = np.uint16 if ids.max(initial=0) < 1 << 16 else np.uint32
    return int.from_bytes(blake2b(ids.astype(kind).tobytes(), digest_size=8).digest(), "little")


def padded(rows: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """Rows of ids as int64[rows, longest], `<pad>` at their ends."""
    out = np.full((len(rows), max(map(len, rows))), PAD, np.int64)
    for row, ids in zip(out, rows, strict=True):
        row[: len(ids)] = ids
    return out


def _without_end(ids: Any, name: str) -> list[int]:
    """Return ids without the padding (also as -100) and the `</s>` at the end."""
    try:
        kept = list(map(operator.index, ids))
    except TypeError as error:
        raise SpanishTokError(f"The {name} are no whole numbers ({error})", "Give lists of ids.") from None
    while kept and kept[-1] in (PAD, IGNORED):
        kept.pop()
    if not kept or kept.pop() != EOS:
        raise _damaged(name, len(kept), "no </s> at the end")
    if wrong := [position for position, token_id in enumerate(kept) if token_id < 0 or token_id == PAD]:
        raise _damaged(name, wrong[0], str(kept[wrong[0]]))
    return kept


def _damaged(name: str, position: int, fault: str) -> SpanishTokError:
    return SpanishTokError(
        f"The {name} hold {fault} at place {position}", "Give them as `corrupt` returned them."
    )
