"""What is asked of a machine at a time, and what its effects make of its parameters."""

from __future__ import annotations

import numpy as np
from numba import njit

from twin import physics
from twin.layout import DEFECT, GAIN, IMPULSIVENESS, MISALIGNMENT, N_CHANNELS, N_KINDS, N_PHYSICS, NEVER_US, NOISE

UNSEEN = 1e-6
"""Damage that no signal shows."""


@njit(error_model="numpy", forceinline=True)
def change_of(tl, e, level):
    """Return by how much an effect changes its parameter at a level of its source."""
    form = tl.effect_form[e]
    return form[0] * physics.effect_shape(level, np.int64(form[1]), form[2], form[3])


@njit(error_model="numpy")
def parameters_at(tl, levels, out):
    """Fill `out` with physics and sensor parameters under the level of each source of effects."""
    n = tl.effect_source.size
    parameters_from(tl, levels, np.full(n, -1.0), np.empty(n), out)


@njit(error_model="numpy")
def parameters_from(tl, levels, known, change, out):
    """Fill `out` as `parameters_at` does, and compute anew only the effects of levels that are not `known`.

    Parameters
    ----------
    known, change : float64 arrays (effects,)
        The level of which each effect's change is known (-1: none yet), and the change; updated.
    """
    for i in range(N_PHYSICS):
        out[i] = 0.0 if i in (MISALIGNMENT, DEFECT, IMPULSIVENESS) else 1.0
    for c in range(N_CHANNELS):
        for k in range(N_KINDS):
            out[N_PHYSICS + c * N_KINDS + k] = 1.0 if k in (NOISE, GAIN) else 0.0
    for e in range(tl.effect_source.size):
        level = levels[tl.effect_source[e]]
        if level <= UNSEEN:
            continue
        if known[e] != level:
            known[e], change[e] = level, change_of(tl, e, level)
        if tl.effect_factor[e]:
            out[tl.effect_target[e]] *= max(0.0, 1.0 + change[e])
        else:
            out[tl.effect_target[e]] += change[e]


@njit(error_model="numpy", forceinline=True)
def scale_inputs(tl, levels, out):
    """Multiply load, add to the ambient and multiply the load's fluctuation by what the modes do to inputs."""
    for e in range(tl.input_source.size):
        level = levels[tl.input_source[e]]
        if level <= UNSEEN:
            continue
        form = tl.input_form[e]
        # a proportional effect is exact, so that a level of 1 is the gain itself
        proportional = form[1] == 0.0 and form[2] == 1.0
        shape = level if proportional else physics.effect_shape(level, np.int64(form[1]), form[2], form[3])
        change = form[0] * shape
        kind = tl.input_kind[e]
        if kind == 0:
            out[0] *= 1.0 + change
        elif kind == 1:
            out[1] += change
        else:
            out[2] *= 1.0 + change


@njit(error_model="numpy", forceinline=True)
def last_at_or_before(times, lo, hi, t):
    """Return the index of the last of times[lo:hi] that is not after t, or lo - 1 (bisection)."""
    a, b = lo, hi
    while a < b:
        middle = (a + b) // 2
        if times[middle] <= t:
            a = middle + 1
        else:
            b = middle
    return a - 1


@njit(error_model="numpy", forceinline=True)
def track_at(tl, track, t_us):
    """Return a recorded input at a time: value, slope per second, and when the next value comes."""
    lo, hi = tl.track_first[track], tl.track_first[track + 1]
    period = tl.track_period_us[track]
    local = t_us % period  # a track that ends has no segment past its end
    j = last_at_or_before(tl.track_us, lo, hi, local)
    if j < lo:
        return tl.track_value[lo], 0.0, t_us + (tl.track_us[lo] - local)
    following = tl.track_us[j + 1] if j + 1 < hi else period
    value, slope = tl.track_value[j], 0.0
    if tl.track_linear[track] and j + 1 < hi:
        slope = (tl.track_value[j + 1] - value) / ((following - tl.track_us[j]) * 1e-6)
        value += slope * ((local - tl.track_us[j]) * 1e-6)
    return value, slope, t_us + (following - local)


@njit(error_model="numpy", forceinline=True)
def inputs_at(tl, m, g, t_us, out):
    """Fill `out` with load, its slope, speed, its slope, ambient, its slope; return when a recording goes on."""
    until = np.int64(NEVER_US)
    for k in range(3):
        value, slope = tl.inputs[g, k], 0.0
        track = tl.tracks[g, k]
        if track >= 0:
            value, slope, following = track_at(tl, track, t_us - tl.track_start_us[g, k])
            until = min(until, following + tl.track_start_us[g, k])
            if tl.track_rpm[track]:
                value /= tl.machines[m].rated_speed_rpm
                slope /= tl.machines[m].rated_speed_rpm
        out[2 * k], out[2 * k + 1] = value, slope
    out[0] *= tl.inputs[g, 3]
    out[1] *= tl.inputs[g, 3]
    out[4] += tl.inputs[g, 4]
    return until
