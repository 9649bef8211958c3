"""64 sums of products of whole numbers at a time.

`Pairs` of int16 to be multiplied, `Sums` of int32.

Pair j of one is multiplied with pair j of another, number by number, and both products are added to sum j. LLVM finds
the instructions in what is written here: vpdpwssd, one for 16 sums, where the processor has AVX-512 with VNNI; pmaddwd
and an addition with AVX-512, AVX2 or SSE2. Whole numbers are summed without rounding, so the sums are the same on
every machine, as long as none leaves int32. The caller checks bounds.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from spanish_tok.kernels.nn.lanes import LANES, address, lanes, place_type

PAIR = 2
_BYTE, _SHORT, _INT = ir.IntType(8), ir.IntType(16), ir.IntType(32)
_SHORTS, _SUMS, _FLOATS = (ir.VectorType(kind, LANES) for kind in (_SHORT, _INT, ir.FloatType()))
_PAIRS, _PRODUCTS = ir.VectorType(_SHORT, PAIR * LANES), ir.VectorType(_INT, PAIR * LANES)


class Pairs(types.Type):  # type: ignore[misc]
    """Numba's type of 64 pairs of int16 in registers."""

    def __init__(self) -> None:
        super().__init__(name="Pairs")


class Sums(types.Type):  # type: ignore[misc]
    """Numba's type of 64 int32 in registers."""

    def __init__(self) -> None:
        super().__init__(name="Sums")


pairs, sums = Pairs(), Sums()


@register_model(Pairs)
class _PairsModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _PAIRS)


@register_model(Sums)
class _SumsModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _SUMS)


@intrinsic
def load_pairs(_context: Any, array: Any, index: Any) -> Any:
    """Return the 128 numbers from array[index] on, of int16 or int8."""
    stored = {types.int16: _SHORT, types.int8: _BYTE}[array.dtype]

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = ir.VectorType(stored, PAIR * LANES)
        value = builder.load(address(context, builder, signature, arguments, vector), typ=vector)
        value.align = 1
        return value if stored is _SHORT else builder.sext(value, _PAIRS)

    return pairs(array, place_type(index)), generate


@intrinsic
def spread_pair(_context: Any, array: Any, index: Any) -> Any:
    """Return the two numbers from array[index] on, as every pair.

    The array is int16.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        both = builder.load(address(context, builder, signature, arguments, _INT), typ=_INT)
        both.align = 2
        first = builder.insert_element(ir.Constant(_SUMS, ir.Undefined), both, _INT(0))
        return builder.bitcast(builder.shuffle_vector(first, first, ir.Constant(_SUMS, None)), _PAIRS)

    return pairs(array, place_type(index)), generate


@intrinsic
def nothing(_context: Any) -> Any:
    """64 sums of nothing yet."""

    def generate(_target: Any, _builder: Any, _signature: Any, _arguments: Any) -> Any:
        return ir.Constant(_SUMS, None)

    return sums(), generate


@intrinsic
def add_products(_context: Any, _a: Any, _b: Any, _sums: Any) -> Any:
    """Return sums + a * b, both products of a pair in its sum."""

    def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        a, b, before = arguments
        products = builder.mul(builder.sext(a, _PRODUCTS), builder.sext(b, _PRODUCTS))
        first, second = (
            builder.shuffle_vector(products, products, ir.Constant(_SUMS, [*range(k, PAIR * LANES, PAIR)]))
            for k in range(PAIR)
        )
        return builder.add(builder.add(first, second), before)

    return sums(pairs, pairs, sums), generate


@intrinsic
def floats_of(_context: Any, _sums: Any) -> Any:
    """Return the sums as Lanes, rounded to float32."""

    def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.sitofp(arguments[0], _FLOATS)

    return lanes(sums), generate


@intrinsic
def store_rounded(_context: Any, array: Any, index: Any, _value: Any) -> Any:
    """Write 64 Lanes from array[index] on as the nearest whole numbers.

    The array is int16.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(_FLOATS, [_FLOATS])
        rint = cgutils.get_or_insert_function(builder.module, kind, f"llvm.rint.v{LANES}f32")
        whole = builder.fptosi(builder.call(rint, arguments[2:]), _SUMS)
        pointer = address(context, builder, signature, arguments, _SHORTS)
        builder.store(builder.trunc(whole, _SHORTS), pointer, align=2)
        return context.get_dummy_value()

    return types.void(array, place_type(index), lanes), generate
