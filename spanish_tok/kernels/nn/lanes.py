"""64 float32 numbers at a time: a type for kernels.

They sum in a written order and still fill vector registers.

Without fast-math a compiler may not reorder a sum, so a plain loop over a dot product stays scalar. `Lanes` are 64
independent sums (4 registers of AVX-512, 8 of AVX2, 16 of NEON: LLVM splits them as the processor needs), and the
order of additions is the same on every machine. They support +, -, *, and what follows. The caller checks bounds.
"""

import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

from spanish_tok.kernels import kernel

LANES = 64
_FLOAT, _INT = ir.FloatType(), ir.IntType(32)
_FLOATS, _INTS = ir.VectorType(_FLOAT, LANES), ir.VectorType(_INT, LANES)


class Lanes(types.Type):  # type: ignore[misc]
    """Numba's type of 64 float32 numbers in registers."""

    def __init__(self) -> None:
        super().__init__(name="Lanes")


lanes = Lanes()


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _FLOATS)


def address(context: Any, builder: Any, signature: Any, arguments: Any, kind: Any) -> Any:
    """Return the address of array[index].

    An index of a flat array, or (row, column) if rows are contiguous.
    """
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    index, start = arguments[1], array.data
    if isinstance(signature.args[1], types.UniTuple):
        row, index = cgutils.unpack_tuple(builder, arguments[1], 2)
        stride = builder.extract_value(array.strides, 0)
        start = cgutils.pointer_add(builder, start, builder.mul(row, stride))
    return builder.bitcast(builder.gep(start, [index]), kind.as_pointer())


def place_type(kind: Any) -> Any:
    """Return the type of such an index."""
    return types.UniTuple(types.intp, 2) if isinstance(kind, types.BaseTuple) else types.intp


@intrinsic
def load(_context: Any, array: Any, index: Any) -> Any:
    """Return the 64 numbers from array[index] on, as float32.

    Of float32, int8, int16, or bfloat16 as uint16.
    """
    whole = {types.int8: 8, types.int16: 16, types.uint16: 16}
    stored = _FLOAT if array.dtype == types.float32 else ir.IntType(whole[array.dtype])

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = ir.VectorType(stored, LANES)
        value = builder.load(address(context, builder, signature, arguments, vector), typ=vector)
        value.align = 1
        if array.dtype in (types.int8, types.int16):
            return builder.sitofp(builder.sext(value, _INTS), _FLOATS)
        if array.dtype == types.uint16:
            high = builder.shl(builder.zext(value, _INTS), ir.Constant(_INTS, [16] * LANES))
            return builder.bitcast(high, _FLOATS)
        return value

    return lanes(array, place_type(index)), generate


@intrinsic
def store(_context: Any, array: Any, index: Any, _value: Any) -> Any:
    """Write 64 numbers from array[index] on, in a float32 array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[2], address(context, builder, signature, arguments, _FLOATS), align=4)
        return context.get_dummy_value()

    return types.void(array, place_type(index), lanes), generate


@intrinsic
def spread(_context: Any, array: Any, index: Any) -> Any:
    """Return the one number array[index] of a float32 array in all lanes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value = builder.load(address(context, builder, signature, arguments, _FLOAT), typ=_FLOAT)
        return _in_all_lanes(builder, value)

    return lanes(array, place_type(index)), generate


@intrinsic
def prefetch(_context: Any, array: Any, _index: Any) -> Any:
    """Ask for the cache line of array[index], which may lie beyond the end."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, _INT, _INT, _INT])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        pointer = address(context, builder, signature, arguments, ir.IntType(8))
        builder.call(function, [pointer, _INT(0), _INT(3), _INT(1)])  # for reading, into all levels, data
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


def _in_all_lanes(builder: Any, value: Any) -> Any:
    first = builder.insert_element(ir.Constant(_FLOATS, ir.Undefined), value, _INT(0))
    return builder.shuffle_vector(first, first, ir.Constant(_INTS, None))


@intrinsic
def broadcast(_context: Any, _value: Any) -> Any:
    """Return a float32 number in all lanes."""

    def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return _in_all_lanes(builder, arguments[0])

    return lanes(types.float32), generate


def _call(builder: Any, name: str, arguments: Any) -> Any:
    kind = ir.FunctionType(_FLOATS, [_FLOATS] * len(arguments))
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.v{LANES}f32")
    return builder.call(function, arguments)


@intrinsic
def fma(_context: Any, _a: Any, _b: Any, _c: Any) -> Any:
    """Return a * b + c, rounded once if the processor can."""

    def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return _call(builder, "fmuladd", arguments)

    return lanes(lanes, lanes, lanes), generate


@intrinsic
def maximum(_context: Any, _a: Any, _b: Any) -> Any:
    """Return the larger of each pair."""

    def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", *arguments), *arguments)

    return lanes(lanes, lanes), generate


@intrinsic
def minimum(_context: Any, _a: Any, _b: Any) -> Any:
    """Return the smaller of each pair."""

    def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.select(builder.fcmp_ordered("<", *arguments), *arguments)

    return lanes(lanes, lanes), generate


@intrinsic
def whole(_context: Any, _a: Any) -> Any:
    """Return the nearest whole number of each."""

    def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return _call(builder, "rint", arguments)

    return lanes(lanes), generate


@intrinsic
def two_to_the(_context: Any, _a: Any) -> Any:
    """2^a of whole numbers from -126 to 127; 0 for -127."""

    def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        exponent = builder.add(builder.fptosi(arguments[0], _INTS), ir.Constant(_INTS, [127] * LANES))
        return builder.bitcast(builder.shl(exponent, ir.Constant(_INTS, [23] * LANES)), _FLOATS)

    return lanes(lanes), generate


def _halves(operation: Any, value: Any, builder: Any) -> Any:
    """Fold 64 numbers to one: the upper half onto the lower, six times."""
    width = LANES
    while width > 1:
        width //= 2
        masks = [[*range(width)], [*range(width, 2 * width)]]
        low, high = (
            builder.shuffle_vector(value, value, ir.Constant(ir.VectorType(_INT, width), mask))
            for mask in masks
        )
        value = operation(low, high)
    return builder.extract_element(value, _INT(0))


@intrinsic
def reduce_sum(_context: Any, _a: Any) -> Any:
    """Return the sum of the 64 numbers."""

    def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return _halves(builder.fadd, arguments[0], builder)

    return types.float32(lanes), generate


@intrinsic
def reduce_max(_context: Any, _a: Any) -> Any:
    """Return the largest of the 64 numbers."""

    def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        def larger(low: Any, high: Any) -> Any:
            return builder.select(builder.fcmp_ordered(">", low, high), low, high)

        return _halves(larger, arguments[0], builder)

    return types.float32(lanes), generate


def _operation(name: str) -> Any:
    @intrinsic
    def operation(_context: Any, _a: Any, _b: Any) -> Any:
        def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            return getattr(builder, name)(*arguments)

        return lanes(lanes, lanes), generate

    return operation


def _register(python: Any, name: str) -> None:
    operation = _operation(name)

    @overload(python)
    def _overloaded(a, b):
        if isinstance(a, Lanes) and isinstance(b, Lanes):
            return lambda a, b: operation(a, b)
        return None


_register(operator.add, "fadd")
_register(operator.sub, "fsub")
_register(operator.mul, "fmul")
_register(operator.truediv, "fdiv")

_LOWEST, _HIGHEST = np.float32(-88), np.float32(88)
_PER_LOG2 = np.float32(1.4426950408889634)
_LOG2_HIGH, _LOG2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)  # their sum is ln 2
# e^r = 1 + r + r^2 p(r) for |r| <= ln(2) / 2: coefficients of expf in Cephes (Moshier), the highest power first
_P0, _P1, _P2 = np.float32(1.9875691500e-4), np.float32(1.3981999507e-3), np.float32(8.3334519073e-3)
_P3, _P4, _P5 = np.float32(4.1665795894e-2), np.float32(1.6666665459e-1), np.float32(0.5)
ONE = np.float32(1)


@kernel
def exponential(x):
    """Return e^x of 64 numbers, right to a few units in the last place.

    0 from -87.7 down, e^88 from 88 up.
    """
    x = maximum(minimum(x, broadcast(_HIGHEST)), broadcast(_LOWEST))
    power = whole(x * broadcast(_PER_LOG2))
    r = fma(power, broadcast(-_LOG2_HIGH), x)
    r = fma(power, broadcast(-_LOG2_LOW), r)
    p = fma(broadcast(_P0), r, broadcast(_P1))
    p = fma(p, r, broadcast(_P2))
    p = fma(p, r, broadcast(_P3))
    p = fma(p, r, broadcast(_P4))
    p = fma(p, r, broadcast(_P5))
    p = fma(p, r * r, r) + broadcast(ONE)
    return p * two_to_the(power)
