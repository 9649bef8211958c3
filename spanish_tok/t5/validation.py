"""How a model does on what it never saw: nats per token on packed sequences, bits per byte on texts."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from spanish_tok.batches import PackedBatches
from spanish_tok.t5.bits_per_byte import BitsPerByte, bits_per_byte
from spanish_tok.t5.held_out import texts_of
from spanish_tok.t5.scoring import scorer_of
from spanish_tok.tokenizer import Tokenizer
from spanish_tok.vocabulary import PAD

if TYPE_CHECKING:
    from spanish_tok.t5.model import T5

SEQUENCES = 64


@dataclass(frozen=True)
class Validation:
    """Held-out records, masked in the same way every time. `texts` is how many bits per byte are measured on."""

    batches: PackedBatches
    tokenizer: Tokenizer
    texts: int

    def nats_per_token(self, model: "T5") -> float:
        """The mean loss of the first 64 sequences."""
        score = scorer_of(model)
        count = min(-(-SEQUENCES // self.batches.batch_size), self.batches.batches_per_epoch)
        chosen = [self.batches.batch(number) for number in range(count)]
        return sum(score(*batch) for batch in chosen) / sum(int((b.targets != PAD).sum()) for b in chosen)

    def bits_per_byte(self, model: "T5") -> BitsPerByte:
        """See `bits_per_byte.bits_per_byte`."""
        return bits_per_byte(scorer_of(model), self.tokenizer, self.sample)

    @cached_property
    def sample(self) -> list[str]:
        """Normalized texts, evenly spaced among the held-out records."""
        records = self.batches.records
        places = np.linspace(0, records.size - 1, min(self.texts, records.size)).astype(np.int64)
        ids, offsets = self.batches.ids, self.batches.offsets
        return [
            texts_of(ids, offsets, self.tokenizer, record, record + 1)[0].as_py()
            for record in records[places]
        ]
