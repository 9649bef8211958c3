"""Pretrain transformers' own T5 with its Trainer, on records masked by SpanCollator.

    pip install 'spanish-tok[t5]' transformers accelerate
    python examples/pretrain_with_trainer.py records.txt --output out

The masks are redrawn every epoch, depend on (seed, epoch, record) alone, and so are the same with any number of
workers and after a resume. Leave `dataloader_persistent_workers` off: such workers keep the epoch they began with.
"""

import argparse
from pathlib import Path
from typing import Any

from transformers import (
    T5Config,
    T5ForConditionalGeneration,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

import spanish_tok
from spanish_tok import SpanCollator, SpanCorruption, Tokenizer


class NextEpoch(TrainerCallback):
    """Tells the collator which epoch begins."""

    def __init__(self, collator: SpanCollator) -> None:
        self.collator = collator

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        self.collator.epoch = round(state.epoch or 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("text", type=Path, help="a text file, one record a line")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--workers", type=int, default=0)
    arguments = parser.parse_args()

    tokenizer = Tokenizer.load()
    tokenizer.vocabulary.save(arguments.output)  # first: the folder must hold nothing else
    lines = arguments.text.read_text(encoding="utf-8").splitlines()
    records = [{"input_ids": tokenizer.encode(line), "record": k} for k, line in enumerate(lines) if line]
    collator = SpanCollator(SpanCorruption.of(tokenizer.vocabulary))
    ours = spanish_tok.T5Config.spanish_tiny(vocab_size=tokenizer.vocab_size)
    options = TrainingArguments(
        output_dir=str(arguments.output),
        num_train_epochs=arguments.epochs,
        per_device_train_batch_size=16,
        learning_rate=1e-3,
        dataloader_num_workers=arguments.workers,
        remove_unused_columns=False,  # the collator reads `record`
        logging_steps=10,
        report_to="none",
    )
    trainer = Trainer(
        model=T5ForConditionalGeneration(T5Config(**ours.to_dict())),
        args=options,
        train_dataset=records,  # type: ignore[arg-type]
        data_collator=collator,
        callbacks=[NextEpoch(collator)],
    )
    trainer.train()
    trainer.save_model(str(arguments.output))


if __name__ == "__main__":
    main()
