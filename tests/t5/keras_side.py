"""What KerasHub computes, in an environment of its own: it reads a .npz file of arrays and writes another.

KERAS_BACKEND=jax python tests/t5/keras_side.py logits|greedy|tokenize|fit PRESET IN.npz OUT.npz [NEW_PRESET]
"""

import importlib
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np

Arrays = dict[str, Any]


def load(preset: str) -> Any:
    import keras_hub

    return keras_hub.models.T5Seq2SeqLM.from_preset(preset, preprocessor=None)


def logits(preset: str, given: Arrays) -> Arrays:
    model = load(preset)
    parts = [  # 40 rows at a time
        np.asarray(model.predict_on_batch({name: array[at : at + 40] for name, array in given.items()}))
        for at in range(0, len(given["encoder_token_ids"]), 40)
    ]
    return {"logits": np.concatenate(parts)}


def greedy(preset: str, given: Arrays) -> Arrays:
    model = load(preset)
    model.compile(sampler="greedy")
    found = model.generate(dict(given), stop_token_ids=(1,))
    return {"ids": np.asarray(found["decoder_token_ids"])}


def tokenize(preset: str, given: Arrays) -> Arrays:
    """Both ways to ids: inside tf.data tensorflow-text cuts the text, elsewhere sentencepiece."""
    import keras_hub
    import tensorflow as tf

    tokenizer = keras_hub.models.T5Tokenizer.from_preset(preset)
    texts = given["texts"].tolist()
    inside = [row.numpy().tolist() for row in tf.data.Dataset.from_tensor_slices(texts).map(tokenizer)]
    outside = [list(map(int, tokenizer(text))) for text in texts]
    both = {}
    for name, rows in (("inside", inside), ("outside", outside)):
        both[name] = np.array([number for row in rows for number in row])
        both[f"{name}_lengths"] = np.array([len(row) for row in rows])
    return both


def fit(preset: str, given: Arrays, new: str) -> Arrays:
    """Train by the functions of examples/finetune_keras.py; save what came of it, over a copy of the preset."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
    finetune_keras = importlib.import_module("finetune_keras")
    precision = str(given["precision"])
    if precision == "float64":
        os.environ["JAX_ENABLE_X64"] = "1"
    import keras

    keras.config.set_floatx(precision)
    model = finetune_keras.load(Path(preset), dropout=0.0, dtype=precision)
    steps = sum(name.startswith("inputs_") for name in given)
    found = [{name: given[f"{name}_{k}"] for name in ("inputs", "mask", "labels")} for k in range(steps)]
    losses = finetune_keras.train(model, found, float(given["rate"]), tuple(given["betas"].tolist()))
    shutil.copytree(preset, new)
    model.backbone.save_to_preset(new)
    return {"losses": np.array(losses)}


if __name__ == "__main__":
    job, preset_, read, written, *others = sys.argv[1:]
    with np.load(read) as file:
        arrays = dict(file)
    np.savez(written, **globals()[job](preset_, arrays, *others))
