"""Greedy decoding with our ONNX graphs in ONNX Runtime and OpenVINO.

The loop of docs/how-to/export.md, without an end.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from record import Report

from spanish_tok.t5.checkpoint import Checkpoint
from spanish_tok.t5.export.onnx import write_graphs

Rows = Sequence[Sequence[int]]
Way = Callable[[Rows, int], list[list[int]]]
Graph = Callable[[dict[str, NDArray[Any]]], list[NDArray[Any]]]  # named inputs -> outputs
END = 1


def onnx_ways(checkpoint: Checkpoint, folder: Path, threads: int, report: Report) -> dict[str, Way]:
    """Return the engines that are installed and load the graphs; note why others do not."""
    ways = {}
    for name, load in (("ONNX Runtime", onnxruntime_graph), ("OpenVINO", openvino_graph)):
        try:
            if not (folder / "onnx").exists():
                (folder / "onnx").mkdir()
                write_graphs(checkpoint, folder / "onnx")
            encoder, decoder = (
                load(folder / "onnx" / f"{part}.onnx", threads) for part in ("encoder", "decoder")
            )
            ways[f"{name} float32"] = greedy(encoder, decoder, checkpoint)
            ways[f"{name} float32"]([[3, END]], 1)
        except Exception as error:
            ways.pop(f"{name} float32", None)
            report.leave_out(name, f"{type(error).__name__}: {error}".splitlines()[0])
    return ways


def onnxruntime_graph(path: Path, threads: int) -> Graph:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.force_spinning_stop", "1")  # it would take the next one's core
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda inputs: session.run(None, inputs)


def openvino_graph(path: Path, threads: int) -> Graph:
    import openvino

    core = openvino.Core()
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    request = core.compile_model(str(path), "CPU", settings).create_infer_request()
    return lambda inputs: [np.array(output) for output in request.infer(inputs).values()]


def greedy(encoder: Graph, decoder: Graph, checkpoint: Checkpoint) -> Way:
    """Return a way to write; `</s>` is never taken, so that all write as much."""
    config = checkpoint.config
    shape = (config.num_decoder_layers, 2, config.num_heads, config.d_kv)

    def write(rows: Rows, new: int) -> list[list[int]]:
        longest = max(map(len, rows))
        ids = np.array([[*row, *[0] * (longest - len(row))] for row in rows])
        mask = (ids != 0).astype(np.int64)
        (memory,) = encoder({"input_ids": ids, "attention_mask": mask})
        past = np.zeros((*shape[:2], len(rows), shape[2], 0, shape[3]), np.float32)
        last = np.full((len(rows), 1), config.decoder_start_token_id)
        written = []
        for _ in range(new):
            step = {"decoder_input_ids": last, "attention_mask": mask, "memory": memory, "past": past}
            logits, past = decoder(step)
            scores = logits[:, -1]
            scores[:, END] = -np.inf
            last = scores.argmax(-1)[:, None]
            written.append(last)
        return [list(map(int, row)) for row in np.hstack(written)]

    return write
