"""Addressed noise: every random number is a pure function of where it is used.

The generator is Philox-4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
SC 2011), a counter-based generator: the key is the seed, the counter is the address
(index, stream, machine), and nothing is kept between two calls. Only integer and correctly
rounded floating-point operations are used, so that the numbers agree on every processor.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_F = np.float32
_MASK = np.uint64(0xFFFFFFFF)
_HIGH = np.uint64(32)
_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint32(0x9E3779B9), np.uint32(0xBB67AE85)

# minimax fit of log1p on [0, 1) and of the normal quantile in t = sqrt(-2 log p); see tests/test_noise.py
_LN2 = _F(0.6931472)


@njit(error_model="numpy", forceinline=True)
def philox(c0, c1, c2, c3, k0, k1):
    """Return four uniform 32-bit words for a 128-bit counter and a 64-bit key."""
    for _ in range(10):
        p0 = _M0 * np.uint64(c0)
        p1 = _M1 * np.uint64(c2)
        c0, c1, c2, c3 = (
            np.uint32(p1 >> _HIGH) ^ c1 ^ k0,
            np.uint32(p1),
            np.uint32(p0 >> _HIGH) ^ c3 ^ k1,
            np.uint32(p0),
        )
        k0 = np.uint32(k0 + _W0)
        k1 = np.uint32(k1 + _W1)
    return c0, c1, c2, c3


@njit(error_model="numpy", forceinline=True)
def key_of(seed):
    """Return the two 32-bit halves of a seed."""
    s = np.uint64(seed)
    return np.uint32(s & _MASK), np.uint32(s >> _HIGH)


@njit(error_model="numpy", forceinline=True)
def words(seed, machine, stream, index):
    """Return the four uniform 32-bit words at one address.

    Parameters
    ----------
    seed : int
        0 to 2**63 - 1.
    machine : int
        Machine number; 0 is the hall that all machines share.
    stream : int
        What the numbers are for (see `twin.physics`).
    index : int
        64-bit position in the stream, here a time in microseconds.
    """
    k0, k1 = key_of(seed)
    i = np.uint64(index)
    return philox(np.uint32(i & _MASK), np.uint32(i >> _HIGH), np.uint32(stream), np.uint32(machine), k0, k1)


@njit(error_model="numpy", forceinline=True)
def uniform(word):
    """Return a uniform number in (0, 1): the middle of one of 2**23 cells, which 32-bit floats tell apart."""
    return (_F(np.int32(word >> np.uint32(9))) + _F(0.5)) * _F(2.0**-23)


@njit(error_model="numpy", forceinline=True)
def normal(word):
    """Return a standard normal number: the quantile of a uniform one.

    The lowest bit is the sign, the other 31 give the tail probability p in (0, 1/2), so that
    both tails reach 6.3 sigma. With t = sqrt(-2 ln p) the quantile is ``t - P(t) / Q(t)``
    (the form of Hastings, 1955; coefficients fitted anew, error below 4e-6).
    """
    p = (_F(np.int32(word >> np.uint32(1))) + _F(0.5)) * _F(2.0**-32)
    bits = np.float32(p).view(np.int32)
    exponent = _F((bits >> np.int32(23)) - np.int32(127))
    x = np.int32((bits & np.int32(0x007FFFFF)) | np.int32(0x3F800000)).view(np.float32) - _F(1.0)
    series = _F(-0.10885772406) + x * (_F(0.04494429589) + x * _F(-0.00878325086))
    series = _F(0.33280172914) + x * (_F(-0.24523582095) + x * (_F(0.17825494418) + x * series))
    ln_p = exponent * _LN2 + x * (_F(0.99999983574) + x * (_F(-0.49997699275) + x * series))
    t = np.sqrt(_F(-2.0) * ln_p)
    numerator = _F(2.92337141959) + t * (_F(4.01907552099) + t * _F(0.38657222452))
    denominator = _F(1.0) + t * (_F(3.22006334349) + t * (_F(1.47934199386) + t * _F(0.07044972809)))
    z = t - numerator / denominator
    return z if word & np.uint32(1) else -z
