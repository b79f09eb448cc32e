"""Intrinsics that numba lacks: prefetching, unaligned loads, bit scans, and vector loops with a fixed order of sums."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from scalr.foundation.arrays import Singles


def _prefetch(typing_context: Any, array: Any, index: Any) -> Any:
    """Prefetch the cache line of `array[index]` of a one-dimensional array; an index outside the array is harmless."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        data = make_array(signature.args[0])(context, builder, values[0]).data
        place = context.cast(builder, values[1], signature.args[1], types.intp)
        address = builder.bitcast(builder.gep(data, [place]), ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [address.type, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [address, number(0), number(3), number(1)])  # for reading, into all cache levels, data
        return context.get_dummy_value()

    return types.void(array, index), generate


prefetch: Any = intrinsic(_prefetch)


def _lowest_bit(typing_context: Any, word: Any) -> Any:
    """Return the position of the lowest set bit of an unsigned 64-bit word; 64 if no bit is set."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.cttz(values[0], ir.IntType(1)(0))

    return types.int64(types.uint64), generate


lowest_bit: Any = intrinsic(_lowest_bit)


def _load_word(typing: Any, data: Any, at: Any) -> Any:
    """Return bytes [at, at + 8) of a uint8 array as one little-endian uint64; `at` need not be aligned."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = make_array(signature.args[0])(context, builder, arguments[0])
        place = builder.bitcast(builder.gep(array.data, [arguments[1]]), ir.IntType(64).as_pointer())
        word = builder.load(place)
        word.align = 1
        return word

    return types.uint64(data, types.int64), generate


load_word: Any = intrinsic(_load_word)


LANES = 16  # vector length of `dot` and `trade`; the length of their arrays is a multiple of it
_LINE = 64  # bytes of a cache line


def line_zeros(shape: tuple[int, int]) -> Singles:
    """Return float32 zeros aligned to a cache line, so that a row of `LANES` numbers never spans two lines."""
    size = shape[0] * shape[1]
    padded = np.zeros(size + _LINE // 4, np.float32)
    first = -padded.ctypes.data % _LINE // 4
    return padded[first : first + size].reshape(shape)


def _dot(typing_context: Any, left: Any, right: Any) -> Any:
    """Return the inner product of two contiguous float32 arrays whose length is a multiple of `LANES`.

    Sixteen partial sums are added in pairs at the end. This order is fixed, whatever vector width a processor has.
    """
    single = ir.FloatType()
    wide = ir.VectorType(single, LANES)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        arrays = [make_array(kind)(context, builder, value) for kind, value in zip(signature.args, values, strict=True)]
        length = builder.extract_value(arrays[0].shape, 0)
        sums = cgutils.alloca_once_value(builder, ir.Constant(wide, [0.0] * LANES))
        with cgutils.for_range(builder, builder.udiv(length, length.type(LANES))) as loop:
            at = builder.mul(loop.index, length.type(LANES))
            numbers = []
            for array in arrays:
                number = builder.load(builder.bitcast(builder.gep(array.data, [at]), wide.as_pointer()))
                number.align = 4
                numbers.append(number)
            builder.store(builder.fadd(builder.load(sums), builder.fmul(*numbers)), sums)
        total, lanes = builder.load(sums), LANES
        while lanes > 1:
            lanes //= 2
            low, high = (
                ir.Constant(ir.VectorType(ir.IntType(32), lanes), list(range(first, first + lanes)))
                for first in (0, lanes)
            )
            nothing = ir.Constant(total.type, ir.Undefined)
            total = builder.fadd(*(builder.shuffle_vector(total, nothing, half) for half in (low, high)))
        return builder.extract_element(total, ir.Constant(ir.IntType(32), 0))

    return types.float32(left, right), generate


dot: Any = intrinsic(_dot)


def _trade(typing_context: Any, item: Any, user: Any, change: Any, keep: Any, gradient: Any) -> Any:
    """Do an item's part of a gradient step: `change += gradient * item`, `item = keep * item - gradient * user`.

    The arrays are contiguous float32 of the same length, a multiple of `LANES`. They must not overlap; assuming so
    saves the check that a compiler would insert for every item.
    """
    wide = ir.VectorType(ir.FloatType(), LANES)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        arrays = [
            make_array(kind)(context, builder, value)
            for kind, value in zip(signature.args[:3], values[:3], strict=True)
        ]
        alike = []
        for number in values[3:]:
            first = builder.insert_element(ir.Constant(wide, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
            order = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
            alike.append(builder.shuffle_vector(first, first, order))
        kept, slope = alike
        length = builder.extract_value(arrays[0].shape, 0)
        with cgutils.for_range(builder, builder.udiv(length, length.type(LANES))) as loop:
            at = builder.mul(loop.index, length.type(LANES))
            places = [builder.bitcast(builder.gep(array.data, [at]), wide.as_pointer()) for array in arrays]
            was, of_user, changed = (builder.load(place, align=4) for place in places)
            builder.store(builder.fadd(changed, builder.fmul(slope, was)), places[2], align=4)
            now = builder.fsub(builder.fmul(kept, was), builder.fmul(slope, of_user))
            builder.store(now, places[0], align=4)
        return context.get_dummy_value()

    return types.void(item, user, change, types.float32, types.float32), generate


trade: Any = intrinsic(_trade)
