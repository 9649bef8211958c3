"""Fine-tune a model in TensorFlow or JAX, through KerasHub, and bring it back.

    pip install 'spanish-tok[keras]'
    python examples/finetune_keras.py --backend jax --task summarization records.jsonl --output out
    spanish-tok evaluate out records.jsonl --part held-out      # needs the extra t5

Task files, the division of the data and the batches are those of `spanish-tok finetune`. TensorFlow reads the batches
through tf.data, JAX as NumPy arrays in a grain set.
"""

import argparse
import os
import tempfile
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from spanish_tok import Tokenizer, export
from spanish_tok.files import shipped
from spanish_tok.t5.checkpoint import Checkpoint
from spanish_tok.tasks.batches import IGNORED, batch_of, order_of
from spanish_tok.tasks.bundle import TaskBundle
from spanish_tok.tasks.choices import Labels, count_labels
from spanish_tok.tasks.examples import Example, ExampleSplit, RowReport, divide, read_examples
from spanish_tok.tasks.task import Task
from spanish_tok.tokenization.adapters import TokenizerAdapter

PAD, END = 0, 1
STEP = 32  # lengths are rounded up to its multiples, as JAX compiles a step for every shape
EPSILON = 1e-6  # of Adam: gradients that are smaller are mostly rounding, and make no full steps


class Data(NamedTuple):
    """Records as ids, divided, and what is needed beside them."""

    parts: ExampleSplit
    bundle: TaskBundle
    codec: TokenizerAdapter


def read_data(source: str, task: Task, model: Path, held_out: float, seed: int = 0) -> Data:
    """Read the records of a task with the vocabulary of a model."""
    codec = TokenizerAdapter.of(Tokenizer(Checkpoint.load(model).vocabulary), str(model))
    report = RowReport()
    parts = divide(read_examples(source, task, codec, END, report), task, held_out=held_out, seed=seed)
    labels = count_labels(example.target for example in parts.training) if task.classifies else {}
    division = {"validation": 0.0, "held_out": held_out, "seed": seed}
    print(f"{source}: {report}")
    return Data(parts, TaskBundle(task, labels, division), codec)


def batches(examples: Sequence[Example], size: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Yield batches without end, epoch after epoch: inputs, mask and labels (records, length), padded, int32."""
    lengths, size, epoch = [len(example.input) for example in examples], min(size, len(examples)), 0
    while True:
        for places in order_of(lengths, size, seed, epoch):
            if len(places) == size:  # one shape for all batches of a length
                inputs, mask, labels, _ = batch_of([examples[place] for place in places], PAD)
                yield {
                    "inputs": widened(inputs, PAD),
                    "mask": widened(mask, 0),
                    "labels": widened(labels, IGNORED),
                }
        epoch += 1


def widened(array: Any, filling: int) -> Any:
    """Return an array of ids whose length is a multiple of STEP, as int32."""
    rows, length = array.shape
    wide = np.full((rows, -(-length // STEP) * STEP), filling, np.int32)
    wide[:, :length] = array
    return wide


def for_keras(batch: dict[str, Any]) -> tuple[dict[str, Any], Any, Any]:
    """Return (what the model reads, what it is to write, the weight of each label: 0 for padding)."""
    labels = batch["labels"]
    written = np.where(labels == IGNORED, PAD, labels)
    start = np.full((len(labels), 1), PAD, np.int32)
    inputs = {
        "encoder_token_ids": batch["inputs"],
        "encoder_padding_mask": batch["mask"],
        "decoder_token_ids": np.concatenate([start, written[:, :-1]], 1),
        "decoder_padding_mask": np.ones_like(labels),  # padding comes last: no real label sees it
    }
    return inputs, written, (labels != IGNORED).astype(np.float32)


def feed_of(found: Sequence[dict[str, Any]], backend: str) -> Any:
    """Return batches as what `fit` takes: a tf.data set, or NumPy arrays in a grain set."""
    ready = [for_keras(batch) for batch in found]
    if backend == "jax":
        import grain

        return grain.MapDataset.source(ready)
    import tensorflow as tf

    ids, weights = tf.TensorSpec((None, None), tf.int32), tf.TensorSpec((None, None), tf.float32)
    signature = dict.fromkeys(ready[0][0], ids), ids, weights
    return tf.data.Dataset.from_generator(lambda: iter(ready), output_signature=signature)


def load(preset: Path, dropout: float, dtype: str = "float32") -> Any:
    """Load a preset without a preprocessor: what comes in is ids."""
    import keras_hub

    backbone = keras_hub.models.T5Backbone.from_preset(str(preset), dropout=dropout, dtype=dtype)
    return keras_hub.models.T5Seq2SeqLM(backbone, preprocessor=None)


def train(
    model: Any, found: Sequence[dict[str, Any]], rate: float, betas: tuple[float, float] = (0.9, 0.999)
) -> list[float]:
    """Take a step of plain Adam for each batch, on the mean loss of its real labels; return the losses in nats."""
    import keras

    class Losses(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            totals.append((batch + 1) * float(logs["loss"]))  # Keras tells the mean of all steps so far

    totals, backend = [0.0], keras.config.backend()
    model.compile(
        optimizer=keras.optimizers.Adam(rate, *betas, epsilon=EPSILON),
        loss=keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, reduction="mean_with_sample_weight"
        ),
        weighted_metrics=[],
        sampler="greedy",
        jit_compile=backend == "jax",  # TensorFlow's graph serves all shapes
    )
    model.fit(feed_of(found, backend), epochs=1, verbose=0, shuffle=False, callbacks=[Losses()])
    return [after - before for before, after in pairwise(totals)]


def classify(model: Any, labels: Labels, inputs: Sequence[Sequence[int]]) -> list[str]:
    """Return the most probable label of each input.

    Constrained decoding: at each place the probability is shared among the ids that some label has there.
    """
    longest = -(-max(map(len, inputs)) // STEP) * STEP
    targets = [np.array(ids) for ids in labels.ids]
    written = np.full((len(targets), max(map(len, targets))), PAD, np.int32)
    legal = np.full((*written.shape, model.backbone.vocabulary_size), -np.inf, np.float32)
    for row, ids in enumerate(labels.ids):
        written[row, : len(ids)] = ids
        for place, allowed in enumerate(labels.beside(ids)):
            legal[row, place, list(allowed)] = 0
    read = np.concatenate([np.zeros((len(written), 1), np.int32), written[:, :-1]], 1)
    found = []
    for ids in inputs:
        row = np.full((len(targets), longest), PAD, np.int32)
        row[:, : len(ids)] = ids
        mask = (np.arange(longest) < len(ids)).astype(np.int32)
        logits = np.asarray(
            model.predict_on_batch(
                {
                    "encoder_token_ids": row,
                    "encoder_padding_mask": np.broadcast_to(mask, row.shape),
                    "decoder_token_ids": read,
                    "decoder_padding_mask": np.ones_like(read),
                }
            )
        )
        logits = logits + legal
        best = logits.max(-1)
        nats = best + np.log(np.exp(logits - best[..., None]).sum(-1, where=legal == 0))
        chosen = np.take_along_axis(logits, written[..., None], -1)[..., 0] - nats
        scores = [chosen[k, : len(ids)].sum() for k, ids in enumerate(labels.ids)]
        found.append(labels.names[int(np.argmax(scores))])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", help="records: .parquet, .jsonl or .csv")
    parser.add_argument("--backend", choices=["tensorflow", "jax"], required=True)
    parser.add_argument(
        "--task", required=True, help="summarization, classification, question-answering, a TOML file"
    )
    parser.add_argument("--column", action="append", default=[], metavar="FIELD=COLUMN")
    parser.add_argument("--model", type=Path, default=shipped("models/es-tiny"))
    parser.add_argument("--output", type=Path, required=True, help="a new folder")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--held-out", type=float, default=0.2)
    arguments = parser.parse_args()

    columns = dict(pair.split("=", 1) for pair in arguments.column)
    task = Task.load(arguments.task).with_columns(columns)
    data = read_data(arguments.data, task, arguments.model, arguments.held_out)
    os.environ["KERAS_BACKEND"] = arguments.backend
    with tempfile.TemporaryDirectory() as folder:
        preset = export(arguments.model, Path(folder) / "preset", to="keras")
        model = load(preset, arguments.dropout)
        found = list(islice(batches(data.parts.training, arguments.batch_size), arguments.steps))
        losses = train(model, found, arguments.learning_rate)
        tenth = max(1, len(losses) // 10)
        print(
            f"loss of the first {tenth} steps {np.mean(losses[:tenth]):.3f}, of the last {np.mean(losses[-tenth:]):.3f}"
        )
        if labels := data.bundle.legal(data.codec, END):
            shown = data.parts.held_out[:50]
            right = classify(model, labels, [example.input for example in shown])
            agreed = sum(label == example.target for label, example in zip(right, shown, strict=True))
            print(f"{arguments.backend}: {agreed} of {len(shown)} held-out records right")
        model.backbone.save_to_preset(str(preset))  # over the old weights: the vocabulary stays beside them
        export(preset, arguments.output, to="transformers", source="keras")
    data.bundle.save(arguments.output)
    print(f"spanish-tok evaluate {arguments.output} {arguments.data} --part held-out")


if __name__ == "__main__":
    main()
