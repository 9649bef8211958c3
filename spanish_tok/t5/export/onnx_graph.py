"""The nodes of an ONNX graph of T5, written one by one with the package `onnx`.

No shape is left to be inferred: a Reshape copies the free axes and states the others, so that any engine runs them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spanish_tok.t5.checkpoint import Tensors
from spanish_tok.t5.config import T5Config
from spanish_tok.t5.positions import buckets
from spanish_tok.t5.quantization import quantize

FLOAT, INT64 = 1, 7  # onnx.TensorProto's numbers of these types


class Graph:
    """Nodes under way.

    Every method adds some and returns the name of what they compute.
    """

    def __init__(self, config: T5Config, tensors: Tensors, int8: bool) -> None:
        self.config, self.tensors, self.int8 = config, tensors, int8
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self._names: dict[str, str] = {}

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node of one output."""
        from onnx import helper

        name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        """Return numbers that the graph holds; a few numbers are held only once."""
        array = np.array(value, dtype, order="C")
        key = f"{array.dtype} {array.tolist()}" if array.size < 9 else f"constant {len(self.initializers)}"
        if key not in self._names:
            self._names[key] = self.hold(f"constant_{len(self.initializers)}", array)
        return self._names[key]

    def hold(self, name: str, array: NDArray[Any]) -> str:
        from onnx import numpy_helper

        self.initializers.append(numpy_helper.from_array(np.array(array, order="C"), name))
        return name

    def integers(self, *values: int) -> str:
        return self.constant(values, np.int64)

    def weight(self, name: str) -> str:
        """Return a tensor of the model; a matrix of int8 is unpacked."""
        if name not in self._names:
            tensor = self.tensors[name]
            if self.int8 and tensor.ndim == 2:
                rounded, scales = quantize(tensor)
                wide = self.node("Cast", self.hold(name, rounded), to=FLOAT)
                self._names[name] = self.node("Mul", wide, self.hold(f"{name}.scale", scales[:, None]))
            else:
                self._names[name] = self.hold(name, tensor)
        return self._names[name]

    def linear(self, x: str, name: str) -> str:
        """(..., inputs) -> (..., outputs) by a matrix (outputs, inputs)."""
        key = f"{name} turned"
        if key not in self._names:
            self._names[key] = self.node("Transpose", self.weight(name), perm=[1, 0])
        return self.node("MatMul", x, self._names[key])

    def norm(self, x: str, name: str) -> str:
        square = self.node("ReduceMean", self.node("Mul", x, x), self.integers(-1), keepdims=1)
        size = self.node("Sqrt", self.node("Add", square, self.constant(self.config.layer_norm_epsilon)))
        return self.node("Mul", self.node("Div", x, size), self.weight(name))

    def heads(self, x: str, name: str) -> str:
        """Return queries, keys or values of each head.

        (batch, length, d_model) -> (batch, heads, length, d_kv).
        """
        shape = self.integers(0, 0, self.config.num_heads, self.config.d_kv)  # 0: as it was
        return self.node("Transpose", self.node("Reshape", self.linear(x, name), shape), perm=[0, 2, 1, 3])

    def attend(self, x: str, keys: str, values: str, bias: str, block: str) -> str:
        """Return what attention adds to x; the scores of T5 are not scaled."""
        turned = self.node("Transpose", keys, perm=[0, 1, 3, 2])
        scores = self.node("Add", self.node("MatMul", self.heads(x, f"{block}.q.weight"), turned), bias)
        mixed = self.node("MatMul", self.node("Softmax", scores, axis=-1), values)
        rows = self.node("Transpose", mixed, perm=[0, 2, 1, 3])
        return self.linear(
            self.node("Reshape", rows, self.integers(0, 0, self.config.inner)), f"{block}.o.weight"
        )

    def forward(self, x: str, block: str) -> str:
        """Return what the feed-forward layer adds to x."""
        if not self.config.gated:
            inner = self.node("Relu", self.linear(x, f"{block}.wi.weight"))
        else:
            gate = self.gate(self.linear(x, f"{block}.wi_0.weight"))
            inner = self.node("Mul", gate, self.linear(x, f"{block}.wi_1.weight"))
        return self.linear(inner, f"{block}.wo.weight")

    def gate(self, x: str) -> str:
        """Return SiLU or GELU of x, the latter by its tanh."""
        if self.config.feed_forward_proj == "gated-silu":
            return self.node("Mul", x, self.node("Sigmoid", x))
        cube = self.node("Mul", self.node("Mul", x, self.node("Mul", x, x)), self.constant(0.044715))
        inner = self.node("Mul", self.node("Add", x, cube), self.constant((2 / np.pi) ** 0.5))
        half = self.node("Mul", x, self.constant(0.5))
        return self.node("Mul", half, self.node("Add", self.node("Tanh", inner), self.constant(1)))

    def axis(self, x: str, axis: int) -> str:
        """Return the length of an axis, a scalar."""
        return self.node("Gather", self.node("Shape", x), self.constant(axis, np.int64))

    def positions(self, first: str, end: str) -> str:
        return self.node("Range", first, end, self.constant(1, np.int64))

    def position_bias(self, block: str, queries: str, keys: str, bidirectional: bool) -> str:
        """Return the bias of each pair of positions, (1, heads, queries, keys).

        It is looked up by the distance; all beyond the furthest share a bucket. A decoder sees nothing ahead: -inf.
        """
        c = self.config
        furthest = c.relative_attention_max_distance
        bucket = buckets(
            furthest + 1, furthest + 1, bidirectional, c.relative_attention_num_buckets, furthest
        )  # distances -furthest to furthest
        table = self.tensors[f"{block}.relative_attention_bias.weight"][bucket]
        if not bidirectional:
            table[furthest + 1 :] = -np.inf
        distances = self.node("Sub", keys, self.node("Unsqueeze", queries, self.integers(1)))
        least, most = (self.constant(bound, np.int64) for bound in (-furthest, furthest))
        bounded = self.node("Max", self.node("Min", distances, most), least)
        rows = self.node("Add", bounded, most)
        bias = self.node("Transpose", self.node("Gather", self.constant(table), rows), perm=[2, 0, 1])
        return self.node("Unsqueeze", bias, self.integers(0))

    def mask_bias(self, mask: str) -> str:
        """(batch, keys) of 0 and 1 -> (batch, 1, 1, keys) of -largest and 0."""
        hidden = self.node("Sub", self.constant(1), self.node("Cast", mask, to=FLOAT))
        bias = self.node("Mul", hidden, self.constant(np.finfo(np.float32).min))
        return self.node("Unsqueeze", bias, self.integers(1, 2))

    def stack(self, pairs: Sequence[tuple[str, str]]) -> str:
        """Return (keys, values) of all layers as one tensor.

        (layers, 2, batch, heads, length, d_kv).
        """
        front = self.integers(0, 1)
        both = [
            self.node("Concat", *(self.node("Unsqueeze", part, front) for part in pair), axis=1)
            for pair in pairs
        ]
        return self.node("Concat", *both, axis=0)

    def pair(self, stacked: str, layer: int) -> tuple[str, str]:
        """Return keys and values of a layer of what `stack` made."""
        both = self.node("Gather", stacked, self.constant(layer, np.int64))
        keys, values = (self.node("Gather", both, self.constant(k, np.int64)) for k in (0, 1))
        return keys, values

    def read(self, name: str, kind: int, *shape: int | str) -> str:
        from onnx import helper

        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def give(self, x: str, name: str, *shape: int | str) -> None:
        from onnx import helper

        self.nodes.append(helper.make_node("Identity", [x], [name], name=name))
        self.outputs.append(helper.make_tensor_value_info(name, FLOAT, shape))
