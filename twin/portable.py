"""Elementary functions of additions, multiplications and divisions only.

The C library's ``exp`` and ``log`` differ in their last bit between systems and processors. What
feeds the state of a machine uses these instead, so that a run has one digest everywhere.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

_LN2_HIGH = 6.93147180369123816490e-01
_LN2_LOW = 1.90821492927058770002e-10
_ROUND = 1.5 * 2.0**52
_INVERSE = tuple(1.0 / math.factorial(n) for n in range(14))
_ODD = tuple(1.0 / n for n in range(1, 22, 2))


@njit(error_model="numpy", forceinline=True)
def exp(x):
    """Return e**x for x in [-708, 708] (clipped to it), relative error below 1e-15.

    ``x = k ln 2 + r`` with r within half of ln 2, then the Taylor series of ``e**r`` to r**13.
    """
    x = min(max(x, -708.0), 708.0)
    k = (x * 1.4426950408889634 + _ROUND) - _ROUND
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    series = _INVERSE[13]
    for n in range(12, -1, -1):
        series = series * r + _INVERSE[n]
    scale = np.int64((np.int64(k) + np.int64(1023)) << np.int64(52)).view(np.float64)
    return series * scale


@njit(error_model="numpy", forceinline=True)
def log(x):
    """Return the natural logarithm of a normal positive number, error below 1e-15.

    ``x = 2**k m`` with m in [sqrt(1/2), sqrt(2)), then ``ln m = 2 artanh((m - 1) / (m + 1))``.
    """
    bits = np.float64(x).view(np.int64)
    k = (bits >> np.int64(52)) - np.int64(1023)
    m = np.int64((bits & np.int64(0x000FFFFFFFFFFFFF)) | np.int64(0x3FF0000000000000)).view(np.float64)
    if m > 1.4142135623730951:
        m *= 0.5
        k += 1
    s = (m - 1.0) / (m + 1.0)
    s2 = s * s
    series = 0.0
    for n in range(10, -1, -1):
        series = series * s2 + _ODD[n]
    return np.float64(k) * _LN2_HIGH + (np.float64(k) * _LN2_LOW + 2.0 * s * series)


@njit(error_model="numpy", forceinline=True)
def power(x, exponent):
    """Return x**exponent for x >= 0; what is below 1e-300 counts as 0."""
    return exp(exponent * log(x)) if x >= 1e-300 else 0.0
