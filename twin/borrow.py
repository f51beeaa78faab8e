"""Arrays lent to compiled code for the length of a call.

Numba counts references wherever an array is taken out of a tuple or sliced, with atomic additions that cost
more than the arithmetic between them, and that threads fight over. A caller that holds the arrays until
the call returns can lend them uncounted.
"""

from __future__ import annotations

from typing import Any

from numba.core import cgutils, types
from numba.extending import intrinsic


@intrinsic
def borrowed(typingctx, held):
    """Return an array, or a tuple of arrays and numbers, whose references are not counted.

    It must not be returned, nor outlive the argument that it was made of.
    """
    del typingctx

    def lend(context: Any, builder: Any, kind: Any, value: Any) -> Any:
        if not isinstance(kind, types.Array):
            return value
        array = context.make_array(kind)(context, builder, value)
        array.meminfo = cgutils.get_null_value(array.meminfo.type)
        return array._getvalue()

    def codegen(context, builder, signature, args):
        kind, value = signature.args[0], args[0]
        if isinstance(kind, types.Array):
            return lend(context, builder, kind, value)
        for i, part in enumerate(kind.types if hasattr(kind, "types") else [kind.dtype] * kind.count):
            value = builder.insert_value(value, lend(context, builder, part, builder.extract_value(value, i)), i)
        return value

    return held(held), codegen
