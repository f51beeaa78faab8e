"""What parts and injections do as time passes: levels, rates, the next failure, repair."""

from __future__ import annotations

import numpy as np
from numba import njit

from twin import wear
from twin.cache import cached_njit
from twin.layout import NEVER_US
from twin.life_layout import (
    AGE,
    BASE_AGE,
    BASE_DAMAGE,
    BY_INJECTION,
    BY_OTHERS,
    CURVATURE,
    FAILED,
    FROZEN,
    GROWN_H,
    KEPT,
    LIFE,
    OWED,
    RENEWAL,
    SHOWN,
    WAKE,
)

HOUR_US = wear.WEAR_US
_FULL_DAMAGE = 1.0 - 1e-12


@njit(error_model="numpy", forceinline=True)
def renew(tl, w, m, k, age, damage, parts):
    """Give a part a new life that exceeds its age, with the damage that it has."""
    parts[k, AGE], parts[k, BASE_AGE], parts[k, BASE_DAMAGE], parts[k, OWED] = age, age, damage, 0.0
    parts[k, LIFE], parts[k, CURVATURE], parts[k, WAKE] = np.inf, 1.0, -1.0
    if w.wears[k]:
        parts[k, LIFE], parts[k, CURVATURE] = wear.draw(
            tl.seed,
            tl.machines[m].machine_id,
            w.stream[k],
            np.int64(parts[k, RENEWAL]),
            w.shape[k],
            w.life_h[k],
            w.gradual_share[k],
            age,
        )


@cached_njit
def restore(tl, w, m, k, share, t_us, parts, faults):
    """Take away a share of a mode's damage: what wore (Kijima II), and what was injected.

    ``age <- (1 - share) age, damage <- (1 - share) damage``, and a new life that exceeds the age
    [paper: Kijima 1989]; `faults` are the machine's own rows.
    """
    damage = worn(parts, k)
    parts[k, RENEWAL] += 1.0
    renew(tl, w, m, k, (1.0 - share) * parts[k, AGE], (1.0 - share) * damage, parts)
    first = w.fault_first[m]
    for i in range(first, w.fault_first[m + 1]):
        if w.fault_mode[i] == k and w.fault_start_us[i] <= t_us < w.fault_end_us[i]:
            faults[i - first, KEPT] *= 1.0 - share
            faults[i - first, FROZEN] = 1.0


@njit(error_model="numpy", forceinline=True)
def worn(parts, k):
    """Return the damage that a part has by wear."""
    if parts[k, LIFE] == np.inf:
        return parts[k, BASE_DAMAGE]
    return wear.damage(parts[k, AGE], parts[k, LIFE], parts[k, BASE_AGE], parts[k, BASE_DAMAGE], parts[k, CURVATURE])


@njit(error_model="numpy")
def levels_at(source, parts, levels):
    """Fill the levels of the failure modes by what has worn."""
    for k in range(source.size):
        levels[source[k]] = worn(parts, k)


@njit(error_model="numpy", forceinline=True)
def wake(parts, wears):
    """Let the damage show of the parts whose damage has grown by a step; return whether there are any."""
    found = False
    for k in range(wears.size):
        if parts[k, AGE] >= parts[k, WAKE]:
            found = True
            level = max(worn(parts, k), parts[k, SHOWN] + wear.LEVEL_STEP if parts[k, WAKE] > 0.0 else 0.0)
            level = min(1.0, level)  # a rounding short of the step is a step
            parts[k, SHOWN], parts[k, WAKE] = level, np.inf
            if wears[k] and level < 1.0:
                parts[k, WAKE] = wear.age_at(
                    level + wear.LEVEL_STEP,
                    parts[k, LIFE],
                    parts[k, BASE_AGE],
                    parts[k, BASE_DAMAGE],
                    parts[k, CURVATURE],
                )
    return found


@njit(error_model="numpy")
def add_faults(w, m, t_us, faults, levels):
    """Raise the levels of the modes that are injected further than they have worn."""
    first = w.fault_first[m]
    for i in range(first, w.fault_first[m + 1]):
        if w.fault_start_us[i] <= t_us < w.fault_end_us[i]:
            f = faults[i - first]
            level = wear.injected(w.fault_level[i], f[GROWN_H], w.fault_ttf_h[i], f[KEPT])
            source = w.source[w.fault_mode[i]]
            levels[source] = max(levels[source], level)


@cached_njit
def damage_of(tl, w, m, s, parts, faults, out):
    """Fill the damage of each mode of a machine where its life stands (for whoever is not walking)."""
    levels = np.empty(tl.levels.shape[1])
    levels_at(w.source, parts, levels)
    add_faults(w, m, s.t_us, faults, levels)
    for k in range(w.source.size):
        out[k] = levels[w.source[k]]


@njit(error_model="numpy", forceinline=True)
def has_moved(levels, shown, eager):
    """Return whether a level has moved so far that the signals follow: by a step, or at all where `eager`."""
    for e in range(levels.size):
        step = abs(levels[e] - shown[e])
        if step >= 0.999 * wear.LEVEL_STEP or (step > 0.0 and (eager or levels[e] >= 1.0)):
            return True
    return False


@njit(error_model="numpy")
def update_duty(tl, w, m, load, speed, winding_c, t_us, duty, held):
    """Fill what duty, the day's wobble and temperature make of each mode's rate, where they have changed.

    `duty` is (3, modes); `held` says which load, speed, day and temperature it is of.
    """
    if held[0] != load or held[1] != speed:
        held[0], held[1] = load, speed
        for k in range(w.source.size):
            duty[0, k] = wear.stress(load / w.nominal[m, 0], speed, w.load_exponent[m, k], w.speed_exponent[k])
    day = np.float64(t_us // wear.DAY_US)
    if held[2] != day:
        held[2] = day
        for k in range(w.source.size):
            duty[1, k] = wear.wobble(tl.seed, tl.machines[m].machine_id, w.stream[k], t_us)
    if held[3] != winding_c:
        held[3] = winding_c
        for k in range(w.source.size):
            duty[2, k] = 1.0
            if w.doubling_k[k] > 0.0:
                duty[2, k] = wear.arrhenius(winding_c - w.nominal[m, 1], w.doubling_k[k])


@njit(error_model="numpy")
def wear_rates(w, shown, duty, rates, owed):
    """Fill the effective hours that pass in an hour for each mode, and the part of them owed to other modes."""
    for k in range(w.source.size):
        rates[k], owed[k] = 0.0, 0.0
        if not w.wears[k]:
            continue
        rate = duty[0, k] * duty[1, k] * duty[2, k]
        coupled = 1.0
        for i in range(w.coupling_first[k], w.coupling_first[k + 1]):
            coupled *= 1.0 + w.coupling_gain[i] * shown[w.source[w.coupling_mode[i]]]
        rates[k], owed[k] = rate * coupled, rate * (coupled - 1.0)


@njit(error_model="numpy", forceinline=True)
def first_worn_out(stops, parts, rates, hours):
    """Return when within an interval of work which part is worn out first: (inf, -1) where none is."""
    soonest, mode = np.inf, -1
    for k in range(stops.size):
        if stops[k] and rates[k] > 0.0 and parts[k, AGE] + rates[k] * hours >= parts[k, LIFE]:
            left = max(0.0, (parts[k, LIFE] - parts[k, AGE]) / rates[k])
            if left < soonest:
                soonest, mode = left, k
    return soonest, mode


@njit(error_model="numpy")
def first_injected(w, m, t_us, faults):
    """Return in how many hours of work which injected mode is at full damage first: (inf, -1) where none is."""
    soonest, mode = np.inf, -1
    first = w.fault_first[m]
    for i in range(first, w.fault_first[m + 1]):
        f, k = faults[i - first], w.fault_mode[i]
        if not (w.fault_start_us[i] <= t_us < w.fault_end_us[i]) or not w.stops[k] or f[KEPT] < 1.0:
            continue
        hours = np.inf
        if w.fault_level[i] >= _FULL_DAMAGE:
            hours = 0.0
        elif w.fault_ttf_h[i] > 0.0 and f[FROZEN] == 0.0:
            hours = max(0.0, w.fault_ttf_h[i] - f[GROWN_H])
        if hours < soonest:
            soonest, mode = hours, k
    return soonest, mode


@njit(error_model="numpy")
def fault_grid_us(w, m, t_us, faults):
    """Return when the finest injection that grows takes its next step, or NEVER."""
    soonest = NEVER_US
    first = w.fault_first[m]
    for i in range(first, w.fault_first[m + 1]):
        if w.fault_start_us[i] <= t_us < w.fault_end_us[i] and w.fault_ttf_h[i] > 0.0:
            step = np.int64(w.fault_ttf_h[i] * HOUR_US) // wear.INJECTED_STEPS
            growing = faults[i - first, FROZEN] == 0.0 and faults[i - first, GROWN_H] < w.fault_ttf_h[i]
            if step < HOUR_US and growing:
                step = max(np.int64(1000), step)
                soonest = min(soonest, t_us + step - (t_us - w.fault_start_us[i]) % step)
    return soonest


@njit(error_model="numpy", forceinline=True)
def age_parts(wears, parts, rates, owed, hours):
    """Let an interval of work pass for all parts."""
    for k in range(wears.size):
        if wears[k]:
            parts[k, AGE] = min(parts[k, LIFE], parts[k, AGE] + rates[k] * hours)
            parts[k, OWED] += owed[k] * hours


@njit(error_model="numpy")
def age_faults(w, m, t_us, faults, hours):
    """Let an interval of work pass for what was injected."""
    first = w.fault_first[m]
    for i in range(first, w.fault_first[m + 1]):
        if w.fault_start_us[i] <= t_us < w.fault_end_us[i] and faults[i - first, FROZEN] == 0.0:
            faults[i - first, GROWN_H] += hours


@njit(error_model="numpy")
def fail(w, m, s, mode, cause, t_us, parts, faults):
    """Stop a machine for good: its mode has reached full damage."""
    s.t_us, s.state, s.mode, s.cause = t_us, FAILED, mode, cause
    if cause != BY_INJECTION:
        parts[mode, AGE] = parts[mode, LIFE]
        if parts[mode, OWED] > wear.SECONDARY_SHARE * parts[mode, LIFE]:
            s.cause = BY_OTHERS
        return
    first = w.fault_first[m]
    for i in range(first, w.fault_first[m + 1]):
        f = faults[i - first]
        if w.fault_mode[i] == mode and w.fault_ttf_h[i] - f[GROWN_H] < 1e-6:
            f[GROWN_H] = w.fault_ttf_h[i]  # not a rounding short of full damage
