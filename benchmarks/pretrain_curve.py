"""The losses of our T5 and of transformers' from the same weights.

On the same batches with the same optimizer.

    python benchmarks/pretrain_curve.py SHARDS --output docs/assets/pretraining-transformers

Prints the largest difference and draws both curves as OUTPUT.png and OUTPUT.svg.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import torch
import transformers
from machine import describe

from spanish_tok import SpanCorruption, Tokenizer
from spanish_tok.files import atomic_path, write_json
from spanish_tok.options import changed
from spanish_tok.shards.reader import load_shards
from spanish_tok.t5.model import T5
from spanish_tok.training.held_out import split
from spanish_tok.training.optimizers import optimizer_for
from spanish_tok.training.packing import PackedBatches
from spanish_tok.training.pretrain_options import PretrainOptions
from spanish_tok.training.start import random_model
from spanish_tok.vocab.vocabulary import PAD


def batches_of(shards: Path, recipe: PretrainOptions) -> PackedBatches:
    tokenizer = Tokenizer.load()
    ids, offsets = load_shards(shards, tokenizer.vocabulary)
    records = split(ids, offsets, tokenizer, recipe.held_out).training
    corruption = SpanCorruption.of(tokenizer.vocabulary, seed=recipe.seed)
    return PackedBatches(ids, offsets, records, corruption, recipe.input_length, recipe.batch_size)


def train(model: Any, batches: PackedBatches, recipe: PretrainOptions) -> tuple[list[float], float]:
    """Losses of all steps, and seconds."""
    optimizer = optimizer_for(recipe, model)
    losses = []
    begun = time.perf_counter()
    model.train()
    for step in range(recipe.steps):
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate_at(step)
        batch = batches.batch(step)
        inputs, labels = torch.from_numpy(batch.inputs), torch.from_numpy(batch.labels)
        mask = (inputs != PAD).long()
        if isinstance(model, T5):
            loss = model.loss(inputs, labels, mask)
        else:
            loss = model(input_ids=inputs, attention_mask=mask, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        optimizer.step()
        losses.append(loss.item())
    return losses, time.perf_counter() - begun


def theirs_with_weights_of(ours: T5) -> Any:
    theirs = transformers.T5ForConditionalGeneration(transformers.T5Config(**ours.config.to_dict()))
    missing, unexpected = theirs.load_state_dict(ours.state_dict(), strict=False)
    assert not unexpected
    assert set(missing) <= {"encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"}
    return theirs


def draw(ours: list[float], theirs: list[float], output: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    axes.plot(theirs, color="#b5432a", linewidth=3, alpha=0.5, label="transformers")
    axes.plot(ours, color="#1f4e8c", linewidth=0.9, label="spanish-tok")
    axes.set(xlabel="steps", ylabel="loss, nats per token")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    for suffix in ("png", "svg"):
        with atomic_path(output.with_suffix(f".{suffix}")) as partial:
            figure.savefig(partial, format=suffix)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("shards", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--steps", default="300")
    parser.add_argument("--batch-size", default="4")
    parser.add_argument("--input-length", default="128")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    values = {"steps": arguments.steps, "batch_size": arguments.batch_size, "warmup": "50", "held_out": "0"}
    recipe = changed(PretrainOptions, None, {**values, "input_length": arguments.input_length})
    batches = batches_of(arguments.shards, recipe)
    torch.manual_seed(recipe.seed)
    ours = random_model(recipe, 5000)
    theirs = theirs_with_weights_of(ours)
    (our_losses, our_seconds), (their_losses, their_seconds) = (
        train(model, batches, recipe) for model in (ours, theirs)
    )
    differences = [abs(a - b) for a, b in zip(our_losses, their_losses, strict=True)]
    result = {
        "machine": describe("torch", "transformers"),
        "steps": recipe.steps,
        "batch": f"{recipe.batch_size} x {recipe.input_length}",
        "first and last loss, ours": [our_losses[0], our_losses[-1]],
        "first and last loss, transformers": [their_losses[0], their_losses[-1]],
        "largest difference": max(differences),
        "mean difference": sum(differences) / len(differences),
        "seconds, ours and transformers": [our_seconds, their_seconds],
    }
    for name, value in result.items():
        print(f"{name}: {value}")
    draw(our_losses, their_losses, arguments.output)
    write_json(arguments.output.with_suffix(".json"), result)


if __name__ == "__main__":
    main()
