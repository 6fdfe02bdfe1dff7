"""A hint to the processor: load a row into the cache while it works on something else.

Rows of synapses lie scattered over more memory than any cache holds; which are next is known one row before.
"""

from __future__ import annotations

from typing import Any

import numba
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

_A_LINE = 16  # numbers of four bytes


def _typed(typing_context: Any, array: Any, place: Any) -> Any:
    """LLVM's prefetch, to read, into all caches, of the line of array's item number `place` (in C order)."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        address = builder.bitcast(builder.gep(data, [arguments[1]]), cgutils.voidptr_t)
        number = cgutils.int32_t
        ir = cgutils.ir  # type: ignore[attr-defined]
        kind = ir.FunctionType(ir.VoidType(), [address.type, number, number, number])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [address.type], kind)
        builder.call(prefetch, [address, number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


_load_soon: Any = intrinsic(_typed)


@numba.njit(cache=True)
def _prefetch_row(array: NDArray[Any], row: int) -> None:
    width = array.shape[1]
    for place in range(row * width, (row + 1) * width, _A_LINE):
        _load_soon(array, place)


def _nothing(array: NDArray[Any], row: int) -> None:
    """Without the compiler there is nothing to gain."""


# Of array[row], two-dimensional, in C order, of four bytes an item; nothing can be seen of it but time.
_without_compiler: bool = numba.config.DISABLE_JIT  # type: ignore[attr-defined]
prefetch_row: Any = _nothing if _without_compiler else _prefetch_row
