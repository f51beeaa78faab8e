"""One number for a run: equal digests, equal rows.

Each row is mixed into 64 bits (a splitmix64 chain over machine, time and the readings' bits), the
rows' numbers are summed modulo 2**64, and the sum of their squares' upper halves is kept beside it.
Sums do not depend on the order, so neither chunks nor threads nor storage can change the digest.
It guards against accidents, not against forgery.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from twin.cache import cached_njit

_A, _B, _C = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_NAN = np.uint64(0x7FC00000)
_S32, _S29 = np.uint64(32), np.uint64(29)
_MASK = (1 << 64) - 1


@njit(error_model="numpy", forceinline=True)
def _mix(h, word):
    h = (h ^ word) * _B
    return h ^ (h >> _S32)


@njit(error_model="numpy", forceinline=True)
def _pair(low, high):
    a, b = np.uint64(low), np.uint64(high)
    return a | (b << _S32)


@cached_njit
def _fold(machine_id, ts, bits, scratch):
    """Return both sums over rows; `bits` are the readings as uint32 (channels, rows)."""
    total, second = np.uint64(0), np.uint64(0)
    n = ts.size
    for a in range(0, n, scratch.size):
        h = scratch[: min(scratch.size, n - a)]
        for i in range(h.size):
            h[i] = _mix(_mix(_A, np.uint64(ts[a + i])), np.uint64(np.int64(machine_id[a + i])))
        for c in range(0, bits.shape[0], 2):
            low, high = bits[c], bits[c + 1]
            for i in range(h.size):
                h[i] = _mix(h[i], _pair(low[a + i], high[a + i]))
        for i in range(h.size):
            x = h[i] * _C
            total += x ^ (x >> _S29)
        for i in range(h.size):
            x = (h[i] ^ _C) * _A
            second += x ^ (x >> _S32)
    return total, second


def row_digest(
    machine_id: NDArray[np.int16], ts: NDArray[np.int64], values: NDArray[np.float32], missing: bool = True
) -> int:
    """Return the digest of rows as a 128-bit number; digests of parts are joined by `join`.

    Parameters
    ----------
    machine_id : int16 array (rows,)
    ts : int64 array (rows,)
        Microseconds since 1970 UTC.
    values : float32 array (channels, rows)
        NaN where a reading is missing; any NaN counts as the same.
    missing : bool
        Whether there may be NaN.
    """
    bits = values.view(np.uint32)
    if missing:
        bits = np.where(np.isnan(values), np.uint32(_NAN), bits)
    total, second = _fold(machine_id, ts, bits, np.empty(4096, np.uint64))
    return (int(second) << 64) | int(total)


def join(a: int, b: int) -> int:
    """Return the digest of two disjoint sets of rows."""
    return ((((a >> 64) + (b >> 64)) & _MASK) << 64) | (((a & _MASK) + (b & _MASK)) & _MASK)


def as_text(digest: int) -> str:
    """Return a digest as 32 hexadecimal digits."""
    return f"{digest:032x}"
