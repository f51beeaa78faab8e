"""The walk through the machines' lives: wear, injected faults, failures, alarms.

Lives move on a grid of whole hours, cut where something is switched, by the plan or by people. They
know nothing of readings: the same failures come at the same microsecond whether the telemetry is
sampled at 0.1 s, at 1 h or not at all. `twin.kernel` follows them with the signals.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from twin import noise, wear
from twin.borrow import borrowed
from twin.cache import cached_njit
from twin.inputs import inputs_at, parameters_at, parameters_from, scale_inputs
from twin.instruments import true_signals
from twin.kernel import losses
from twin.layout import DRIFT, N_CHANNELS, N_KINDS, N_PHYSICS, NEVER_US, THERMAL_RESISTANCE
from twin.life_layout import (
    BASE_AGE,
    BY_INJECTION,
    BY_WEAR,
    FAILURE,
    FROZEN,
    FULL,
    GROWN_H,
    KEPT,
    REACHED,
    RENEWAL,
    RUNNING,
    SHOWN,
    TRIGGER,
    TRIPPED,
)
from twin.monitor import QUIET_K, hourly_means, is_quiet, keep_reading, look, raise_alarms, triggered
from twin.parts import (
    add_faults,
    age_faults,
    age_parts,
    fail,
    fault_grid_us,
    first_injected,
    first_worn_out,
    has_moved,
    levels_at,
    renew,
    update_duty,
    wake,
    wear_rates,
)
from twin.portable import exp

F = np.float32
HOUR_US = wear.WEAR_US
NOMINAL_AMBIENT_C = 22.0
SETTLED_K = 1e-3
"""So near its target the lumped temperature is there. [choice]"""


@cached_njit
def begin(tl, w, lives, start_us, used):
    """Set all lives at the start of a run: new parts, or used ones."""
    for m in range(lives.state.size):
        s = lives.state[m]
        s.t_us, s.segment = start_us, tl.first[m]
        s.state, s.mode, s.cause = RUNNING, -1, 0
        s.resume_us, s.monitored_us, s.noted_us, s.eager = 0, -1, -1, 1
        s.shown_state, s.shown_segment, s.noted_state, s.noted_segment = -1, -1, -1, -1
        s.rated_state, s.rated_until_us, s.look_us = -1, 0, 0
        for c in range(N_CHANNELS):
            s.drift[c] = tl.drift_before[m, c]
            s.latched[c] = np.nan
        s.housing_c = np.nan
        for k in range(w.source.size):
            lives.parts[m, k, RENEWAL] = 0.0
            age = 0.0
            if used and w.wears[k]:
                a, _, _, _ = noise.words(tl.seed, tl.machines[m].machine_id, w.stream[k], wear.WOBBLE - 1)
                age = wear.USED_SHARE * w.life_h[k] * np.float64(noise.uniform(a))
            renew(tl, w, m, k, age, 0.0, lives.parts[m])
            if used:  # its damage is what its age has made of it
                lives.parts[m, k, BASE_AGE] = 0.0
            lives.parts[m, k, SHOWN] = 0.0
        for i in range(w.fault_first[m], w.fault_first[m + 1]):
            lives.faults[i, GROWN_H] = max(0.0, np.float64(start_us - w.fault_start_us[i]) / HOUR_US)
            lives.faults[i, KEPT] = 1.0
            lives.faults[i, FROZEN] = 0.0


@njit(error_model="numpy")
def note_truth(w, m, s, parts, faults, levels, out):
    """Note the hidden condition; `levels` is scratch."""
    levels_at(w.source, parts, levels)
    add_faults(w, m, s.t_us, faults, levels)
    n = out.counts[0]
    out.truth_at[n, 0], out.truth_at[n, 1], out.truth_at[n, 2], out.truth_at[n, 3] = m, s.t_us, s.state, s.segment
    for k in range(w.source.size):
        out.truth_damage[n, k] = F(levels[w.source[k]])
    out.counts[0] = n + 1
    s.noted_us, s.noted_segment, s.noted_state = s.t_us, s.segment, s.state


@njit(error_model="numpy")
def note_segment(w, m, s, shown, out):
    """Note from when on the signals have another cause."""
    n = out.counts[1]
    out.segment_at[n, 0], out.segment_at[n, 1], out.segment_at[n, 2] = m, s.t_us, s.segment
    out.segment_at[n, 3] = 1 if s.state == RUNNING else 0
    for e in range(shown.size):
        out.segment_levels[n, e] = shown[e]
    out.counts[1] = n + 1
    s.shown_segment, s.shown_state = s.segment, s.state


@njit(error_model="numpy", forceinline=True)
def has_room(truth, segments, readings, rules, out):
    """Return whether the notes have room for one more cell."""
    count = out.counts
    return not (
        (truth and (count[0] + 2 > out.truth_at.shape[0] or count[2] + rules > out.alarm_at.shape[0]))
        or (segments and count[1] + 2 > out.segment_at.shape[0])
        or (readings and count[3] + 2 > out.reading_at.shape[0])
    )


@njit(error_model="numpy")
def drifts(s, p):
    """Return whether an instrument drifts; what does not is true again."""
    found = False
    for c in range(N_CHANNELS):
        if p[N_PHYSICS + c * N_KINDS + DRIFT] == 0.0:
            s.drift[c] = 0.0
        else:
            found = True
    return found


@njit(error_model="numpy")
def drift_on(s, p, hours):
    """Let an interval pass for the instruments that drift."""
    for c in range(N_CHANNELS):
        s.drift[c] += p[N_PHYSICS + c * N_KINDS + DRIFT] * hours / 24.0


@njit(error_model="numpy")
def rate(machine, s, p, u, scales, until_us):
    """Set what holds for the hour that begins, or for what is left of it: duty and temperatures of its middle.

    It looks to where the hour would end if nobody did anything: nothing before an intervention knows of it.
    """
    s.rated_state, s.rated_until_us = s.state, until_us
    hours = np.float64(until_us - s.t_us) / HOUR_US
    s.load = max(0.0, (u[0] + u[1] * 1800.0 * hours) * scales[0])
    s.speed = max(0.0, u[2] + u[3] * 1800.0 * hours)
    heat, winding = 0.0, 0.0
    if s.state == RUNNING:
        heat, winding = losses(machine, p, s.load, s.speed)
    resistance = machine.thermal_resistance_k_per_w * p[THERMAL_RESISTANCE]
    s.target_c = u[4] + u[5] * 1800.0 * hours + scales[1] + resistance * heat
    if np.isnan(s.housing_c):
        s.housing_c = s.target_c  # machines begin settled here, whatever the signals do
    tau_h = machine.housing_tau_s * p[THERMAL_RESISTANCE] / 3600.0
    away = s.housing_c - s.target_c
    mean_c = s.target_c
    if away != 0.0:
        mean_c += away * (1.0 - exp(-hours / tau_h)) * tau_h / hours
    s.winding_c = mean_c + machine.winding_resistance_k_per_w * winding


@njit(error_model="numpy", forceinline=True)
def warm(machine, s, p, hours):
    """Let the hour's lumped temperature of the housing, without weather, come nearer to where it goes."""
    away = s.housing_c - s.target_c
    if away != 0.0:
        away *= exp(-hours * 3600.0 / (machine.housing_tau_s * p[THERMAL_RESISTANCE]))
        s.housing_c = s.target_c + away if abs(away) > SETTLED_K else s.target_c


@njit(error_model="numpy")
def walk_life(tl, w, m, s, parts, faults, shown, raised, above_h, armed, until_us, out):
    """Follow one machine until a time, a failure or a trigger; return which (see `twin.life_layout`).

    Between two cells the plan may switch, the control system looks, and notes are taken; in a cell rates
    are constant and parts age. Physics, signals and rates follow the levels that are shown. The whole of
    `tl` and `w` is passed on only where that is seldom: it costs more than a cell's arithmetic.
    """
    machine, modes, sources = tl.machines[m], w.source.size, tl.levels.shape[1]
    source, stops, wears, injected = w.source, w.stops, w.wears, faults.shape[0] > 0
    levels, p, u = np.zeros(sources), np.empty(N_PHYSICS + N_CHANNELS * N_KINDS), np.empty(6)
    scales, seen, clean = np.array((1.0, 0.0, 1.0)), np.empty(N_CHANNELS), np.empty((2, N_CHANNELS))
    latent, signals = np.empty((4, 1), np.float32), np.empty((N_CHANNELS, 1), np.float32)
    rates, owed, duty, held = np.zeros(modes), np.zeros(modes), np.ones((3, modes)), np.full(4, np.nan)
    sensed = np.full(3, np.nan)  # load, speed and temperature that `clean` is of
    known, change = np.full(tl.effect_source.size, -1.0), np.empty(tl.effect_source.size)
    watching = w.rule_channel.size > 0 or w.condition_channel.size > 0 or w.keep_readings
    fresh, stale = True, True  # nothing is known yet of segment and levels; of rates
    quiet, drifting, due = False, False, False
    recorded_us, switched_us = NEVER_US, NEVER_US
    while True:
        if s.state == TRIPPED and s.t_us >= s.resume_us:
            s.state = RUNNING
        if s.t_us >= until_us:
            return REACHED
        if not has_room(w.keep_truth, w.keep_segments, w.keep_readings, raised.size, out):
            return FULL
        switched = fresh or s.t_us >= switched_us
        if switched:
            while s.segment + 1 < tl.first[m + 1] and tl.start_us[s.segment + 1] <= s.t_us:
                s.segment += 1
                s.eager, s.rated_until_us = 1, 0
            switched_us = tl.start_us[s.segment + 1] if s.segment + 1 < tl.first[m + 1] else NEVER_US
        if switched or recorded_us != NEVER_US:
            recorded_us = inputs_at(tl, m, s.segment, s.t_us, u)
            if not w.hourly:  # nothing depends on what is asked
                recorded_us = NEVER_US
        moved = False
        if (s.t_us >= s.look_us or s.eager == 1) and (wake(parts, wears) or s.eager == 1 or injected):
            levels[:] = tl.levels[tl.level_row[s.segment]]
            for k in range(modes):
                levels[source[k]] = parts[k, SHOWN]
            if injected:
                add_faults(w, m, s.t_us, faults, levels)
            moved = has_moved(levels, shown, s.eager == 1)
            s.eager = 0
            if moved:
                shown[:] = levels
                s.shown_segment, s.rated_until_us = -1, 0  # to be noted, and rated anew
        if moved or fresh:
            scales[0], scales[1], scales[2] = 1.0, 0.0, 1.0
            scale_inputs(tl, shown, scales)
            parameters_from(tl, shown, known, change, p)
            drifting = drifts(s, p)
            stale, sensed[0], fresh = True, np.nan, False
        if watching and s.state == RUNNING and s.t_us % HOUR_US == 0 and s.monitored_us != s.t_us:
            s.monitored_us = s.t_us
            load = max(0.0, u[0] * scales[0])
            if s.housing_c != s.housing_c:
                quiet = True  # not before the first hour is over
            elif (
                drifting
                or sensed[0] != load
                or sensed[1] != u[2]
                or abs(sensed[2] - s.housing_c) > (QUIET_K if quiet else 0.0)
            ):
                sensed[0], sensed[1], sensed[2] = load, u[2], s.housing_c
                hourly_means(machine, tl.channels, s, p, load, u[2], latent, signals, clean)
                quiet = is_quiet(w, m, clean, raised, above_h)
            if not quiet:
                look(machine, tl.seed, s.t_us, clean, seen)
                if w.keep_readings:
                    keep_reading(m, s, seen, out)
                raise_alarms(w, m, s, seen, raised, out)
                s.mode = triggered(w, m, s, seen, above_h, armed)
                quiet = is_quiet(w, m, clean, raised, above_h)
                if s.mode >= 0:
                    return TRIGGER
        running = s.state == RUNNING
        s.look_us = min(recorded_us, switched_us)
        if w.hourly or s.state == TRIPPED:
            s.look_us = min(s.look_us, s.t_us - s.t_us % HOUR_US + HOUR_US)
        if running and injected:
            s.look_us = min(s.look_us, fault_grid_us(w, m, s.t_us, faults))
        end_us = min(until_us, s.look_us)
        if w.truth_us > 0:
            end_us = min(end_us, s.t_us - s.t_us % w.truth_us + w.truth_us)
            due = s.t_us % w.truth_us == 0
        hours = np.float64(end_us - s.t_us) / HOUR_US
        within, mode, cause = np.inf, -1, BY_WEAR
        if w.hourly:
            if s.t_us >= s.rated_until_us or s.state != s.rated_state:
                rate(machine, s, p, u, scales, min(recorded_us, s.t_us - s.t_us % HOUR_US + HOUR_US))
            if running:
                day = np.float64(s.t_us // wear.DAY_US)
                if held[0] != s.load or held[1] != s.speed or held[2] != day or held[3] != s.winding_c:
                    update_duty(tl, w, m, s.load, s.speed, s.winding_c, s.t_us, duty, held)
                    stale = True
                if stale:
                    wear_rates(w, shown, duty, rates, owed)
                    stale = False
                within, mode = first_worn_out(stops, parts, rates, hours)
        if running and injected:
            soonest, which = first_injected(w, m, s.t_us, faults)
            if soonest < within:
                within, mode, cause = soonest, which, BY_INJECTION
        if within * HOUR_US < 0.5:
            within = 0.0  # a rounding short of now
        if within > 0.0:  # what fails at once is never seen running
            changed = due or s.segment != s.noted_segment or s.state != s.noted_state
            if w.keep_truth and changed and s.noted_us != s.t_us:
                note_truth(w, m, s, parts, faults, levels, out)
            if w.keep_segments and (s.segment != s.shown_segment or s.state != s.shown_state):
                note_segment(w, m, s, shown, out)
        failing = within <= hours
        if failing:
            hours = np.float64(within)
        if running:
            age_parts(wears, parts, rates, owed, hours)
            if injected:
                age_faults(w, m, s.t_us, faults, hours)
        if w.hourly:
            warm(machine, s, p, hours)
        if drifting:
            drift_on(s, p, hours)
        if failing:
            fail(w, m, s, mode, cause, min(end_us, s.t_us + np.int64(within * HOUR_US + 0.5)), parts, faults)
            return FAILURE
        s.t_us = end_us


@cached_njit
def walk(tl, w, lives, chosen, until_us, stops, out):
    """Follow machines, each to its own time.

    Parameters
    ----------
    tl, w : Timeline, Wearing
        The whole plan.
    lives : Lives
        Changed in place, only in the rows of the chosen machines.
    chosen, until_us, stops : int64 arrays (n,)
        Positions of machines; where each is to go; filled with why it stopped.
    out : Notes
        Filled; when it is full, machines stop with FULL and can be walked on.
    """
    tl, w, lives, out = borrowed(tl), borrowed(w), borrowed(lives), borrowed(out)
    for i in range(chosen.size):
        m = chosen[i]
        a, b = w.fault_first[m], w.fault_first[m + 1]
        stops[i] = walk_life(
            tl,
            w,
            m,
            lives.state[m],
            lives.parts[m],
            lives.faults[a:b],
            lives.shown[m],
            lives.raised[m],
            lives.above_h[m],
            lives.armed[m],
            until_us[i],
            out,
        )


@cached_njit
def reference(tl, m, nominal_load):
    """Return what a healthy machine settles at under nominal duty: the winding's temperature, and all readings."""
    machine = tl.machines[m]
    p, none = np.empty(N_PHYSICS + N_CHANNELS * N_KINDS), np.zeros(tl.levels.shape[1])
    parameters_at(tl, none, p)
    heat, winding = losses(machine, p, nominal_load, 1.0)
    housing = NOMINAL_AMBIENT_C + machine.thermal_resistance_k_per_w * heat
    latent, signals = np.empty((4, 1), np.float32), np.empty((N_CHANNELS, 1), np.float32)
    latent[0, 0], latent[1, 0], latent[2, 0], latent[3, 0] = F(nominal_load), F(1.0), F(housing), F(1.0)
    true_signals(machine, p, F(1.0), latent[0], latent[1], latent[2], latent[3], signals)
    return housing + machine.winding_resistance_k_per_w * winding, signals[:, 0].copy()
