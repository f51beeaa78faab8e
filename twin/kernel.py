"""The only simulation loop there is.

`advance` takes machines from one tick to a later one. A machine's state lives on a physical grid
(whole minutes, and the moments when something is switched), never on the grid of the readings: each
reading is a pure function of the plan and its own time. So chunks, threads, subsets and sampling
intervals cannot change a row.

Two passes: `walk` follows the grid and leaves the latent signals of a block of readings;
`twin.instruments.report` turns a block into readings, in loops that the compiler vectorises.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from twin import noise, physics
from twin.cache import cached_njit
from twin.inputs import inputs_at, parameters_at
from twin.instruments import fill_latent, report, true_signals
from twin.layout import (
    BLOCK,
    DRIFT,
    FRICTION,
    GAIN,
    N_CHANNELS,
    N_KINDS,
    N_PHYSICS,
    NEVER_US,
    OFFSET,
    POWERED,
    STUCK,
    THERMAL_RESISTANCE,
    WINDING_LOSS,
)
from twin.portable import exp

F = np.float32


@njit(error_model="numpy", forceinline=True)
def losses(machine, p, load, speed):
    """Return the heat that a machine gives off, and the part of it in the winding, in W."""
    shaft_torque = physics.torque(
        F(load), F(speed), machine.rated_torque_nm, machine.friction_torque_nm * F(p[FRICTION])
    )
    omega = F(speed) * machine.rated_omega
    fraction = physics.motor_loss_fraction(F(load), machine.efficiency, F(p[WINDING_LOSS]))
    electric = physics.electric_power(shaft_torque, omega, fraction, machine.idle_power_w)
    useful = F(load) * machine.rated_torque_nm * omega
    return np.float64(electric - useful), np.float64(shaft_torque * omega * fraction)


@njit(error_model="numpy", forceinline=True)
def step_knots(tl, m, state):
    """Move the slow random processes to their next whole minute."""
    machine = tl.machines[m]
    state.knot_us += physics.GRID_US
    a, b, _, _ = noise.words(tl.seed, machine.machine_id, physics.STREAM_SLOW, state.knot_us + physics.GRID_US)
    c, _, _, _ = noise.words(tl.seed, 0, physics.STREAM_HALL, state.knot_us)
    state.load_wander[0] = state.load_wander[1]
    state.load_wander[1] = physics.ou_step(state.load_wander[1], machine.load_decay, noise.normal(a))
    state.vibration_wander[0] = state.vibration_wander[1]
    state.vibration_wander[1] = physics.ou_step(state.vibration_wander[1], machine.vibration_decay, noise.normal(b))
    state.hall = physics.ou_step(state.hall, machine.hall_decay, noise.normal(c))


@njit(error_model="numpy", forceinline=True)
def hall_c(state, ambient_c, recorded):
    """Return the air's temperature: as asked, with the hall's own wander unless it was recorded."""
    if recorded:
        return ambient_c
    return ambient_c + physics.HALL_SD_K * state.hall + physics.HALL_DAY_K * physics.day_wave(state.knot_us)


@njit(error_model="numpy")
def start(tl, m, t_us, settled, state):
    """Set a machine's state at the start of a run: at its operating point, or cold and at rest."""
    machine = tl.machines[m]
    state.t_us = t_us
    first = tl.first[m]
    state.segment = first - 1
    state.segment_us = t_us
    state.knot_us = t_us // physics.GRID_US * physics.GRID_US
    a, b, c, d = noise.words(tl.seed, machine.machine_id, physics.STREAM_SLOW, state.knot_us)
    e, f, _, _ = noise.words(tl.seed, machine.machine_id, physics.STREAM_SLOW, state.knot_us + physics.GRID_US)
    h, _, _, _ = noise.words(tl.seed, 0, physics.STREAM_HALL, state.knot_us)
    state.load_wander[0], state.vibration_wander[0] = noise.normal(a), noise.normal(b)
    state.load_wander[1] = physics.ou_step(state.load_wander[0], machine.load_decay, noise.normal(e))
    state.vibration_wander[1] = physics.ou_step(state.vibration_wander[0], machine.vibration_decay, noise.normal(f))
    state.hall = noise.normal(h)
    for c in range(N_CHANNELS):
        state.drift[c] = tl.drift_before[m, c]
        state.latched[c] = np.nan
    p = np.empty(N_PHYSICS + N_CHANNELS * N_KINDS)
    u = np.empty(6)
    parameters_at(tl, tl.levels[tl.level_row[first]], p)
    inputs_at(tl, m, first, t_us, u)
    state.load, state.speed = (u[0], u[2]) if settled else (0.0, 0.0)
    heat, winding = losses(machine, p, state.load, state.speed)
    heat, winding = heat * tl.inputs[first, POWERED], winding * tl.inputs[first, POWERED]
    state.housing_c = hall_c(state, u[4], tl.tracks[first, 2] >= 0)
    state.winding_k = 0.0
    if settled:
        state.housing_c += machine.thermal_resistance_k_per_w * p[THERMAL_RESISTANCE] * heat
        state.winding_k = machine.winding_resistance_k_per_w * winding


@njit(error_model="numpy")
def enter_segment(tl, m, state, p, signals):
    """Begin the machine's next segment: its parameters, the drift so far, the readings that stick."""
    machine = tl.machines[m]
    for c in range(N_CHANNELS):
        grown = p[N_PHYSICS + c * N_KINDS + DRIFT] * (np.float64(state.t_us - state.segment_us) / physics.DAY_US)
        state.drift[c] += grown
    state.segment += 1
    state.segment_us = state.t_us
    parameters_at(tl, tl.levels[tl.level_row[state.segment]], p)
    for c in range(N_CHANNELS):
        if p[N_PHYSICS + c * N_KINDS + DRIFT] == 0.0:
            state.drift[c] = 0.0
    latch(tl, machine, m, state, p, signals)


@njit(error_model="numpy")
def latch(tl, machine, m, state, p, signals):
    """Let instruments that stick keep what they would show now without noise; release the others."""
    u = np.empty(6)
    now = np.empty((4, 1), np.float32)
    inputs_at(tl, m, state.segment, state.t_us, u)
    scale = tl.inputs[state.segment, 5]
    fill_latent(machine, state, u, scale, 0.0, state.t_us, 0, now[0], now[1], now[2], now[3])
    powered = F(tl.inputs[state.segment, POWERED])
    true_signals(machine, p, powered, now[0], now[1], now[2], now[3], signals)
    for c in range(N_CHANNELS):
        s = p[N_PHYSICS + c * N_KINDS : N_PHYSICS + (c + 1) * N_KINDS]
        if s[STUCK] <= 0.0:
            state.latched[c] = np.nan
        elif np.isnan(state.latched[c]):
            counts, low, high, _, _ = tl.channels[c]
            value = F(s[GAIN]) * (signals[c, 0] + F(state.drift[c])) + F(s[OFFSET])
            state.latched[c] = physics.quantised(value, low, high, counts)


@cached_njit
def advance(tl, states, t0_us, interval_us, ticks, out, column, stride, missing):
    """Take every machine of the timeline through its next readings.

    Parameters
    ----------
    tl : Timeline
        The plan of these machines.
    states : STATE array (machines,)
        Changed in place.
    t0_us, interval_us : int
        Time of the first reading and between two, in microseconds.
    ticks : int
        Readings of each machine; 1 or more.
    out : float32 array (channels, columns), C-contiguous
        Filled machine by machine from `column` on; NaN where a reading is missing.
    column, stride : int
        Where the first machine's readings begin, and how far on the next machine's do.
    missing : bool array (channels,)
        Set for the channels in which readings may be missing.
    """
    width = min(BLOCK, ticks)
    latent = np.empty((4, width), np.float32)
    words = np.empty((12, width), np.uint32)
    signals = np.empty((N_CHANNELS, width), np.float32)
    for m in range(states.size):
        walk(tl, m, states[m], t0_us, interval_us, ticks, out, column + m * stride, latent, words, signals, missing)


@njit(error_model="numpy")
def walk(tl, m, state, t0_us, interval_us, n, out, column, latent, words, signals, missing):
    """Follow one machine from cell to cell until its n readings are in `out`, from `column` on.

    A cell ends at a whole minute or where something is switched, whichever comes first; inside it the
    inputs are ramps, the thermal drive is constant and all lags have closed forms. The thermal drive looks
    ahead to where the cell would end if nothing were switched: no reading knows what is switched later.
    """
    machine = tl.machines[m]
    load, speed, housing, wander = latent[0], latent[1], latent[2], latent[3]
    p = np.empty(N_PHYSICS + N_CHANNELS * N_KINDS)
    u = np.empty(6)
    decays = np.zeros(5)
    if state.segment < tl.first[m]:
        p = np.zeros(p.size)
        enter_segment(tl, m, state, p, signals)
    else:
        parameters_at(tl, tl.levels[tl.level_row[state.segment]], p)
    done, filled, t_us = 0, 0, t0_us
    until_us = inputs_at(tl, m, state.segment, state.t_us, u)
    while True:
        if until_us != NEVER_US:  # a recording goes on
            until_us = inputs_at(tl, m, state.segment, state.t_us, u)
        planned_us = min(until_us, state.knot_us + physics.GRID_US)
        switched_us = tl.start_us[state.segment + 1] if state.segment + 1 < tl.first[m + 1] else NEVER_US
        end_us = min(planned_us, switched_us)
        scale = tl.inputs[state.segment, 5]
        slope, winding_slope = thermal_slopes(tl, m, state, p, u, scale, planned_us, decays)
        while done + filled < n and t_us < end_us:
            k = min(-((t_us - end_us) // interval_us), n - done - filled, load.size - filled)
            a, b = filled, filled + k
            fill_latent(
                machine, state, u, scale, slope, t_us, interval_us, load[a:b], speed[a:b], housing[a:b], wander[a:b]
            )
            filled += k
            t_us += k * interval_us
            if filled == load.size:
                flush(tl, m, state, p, t_us, interval_us, filled, latent, words, signals, out, column + done, missing)
                done += filled
                filled = 0
        leaving = end_us == switched_us
        if filled > 0 and (leaving or done + filled == n):
            flush(tl, m, state, p, t_us, interval_us, filled, latent, words, signals, out, column + done, missing)
            done += filled
            filled = 0
        if done == n:
            return
        h = (end_us - state.t_us) * 1e-6
        state.housing_c += slope * h
        state.winding_k += winding_slope * h
        state.load = settle(u[0], u[1], state.load, machine.load_tau_s, h)
        state.speed = settle(u[2], u[3], state.speed, machine.speed_tau_s, h)
        state.t_us = end_us
        if end_us == state.knot_us + physics.GRID_US:
            step_knots(tl, m, state)
        if leaving:
            enter_segment(tl, m, state, p, signals)
            until_us = inputs_at(tl, m, state.segment, state.t_us, u)
            decays[0] = 0.0


@njit(error_model="numpy")
def flush(tl, m, state, p, t_us, interval_us, k, latent, words, signals, out, at, missing):
    """Report the k latent readings that end just before `t_us`."""
    t0_us = t_us - k * interval_us
    load, speed, housing, wander = latent[0, :k], latent[1, :k], latent[2, :k], latent[3, :k]
    report(tl, m, state, p, t0_us, interval_us, load, speed, housing, wander, words, signals, out, at, missing)


@njit(error_model="numpy")
def update_decays(machine, resistance, h, decays):
    """Fill step, load, speed, housing and winding decays; most cells are alike, so they are seldom new."""
    if decays[0] != h:
        decays[0] = h
        decays[1] = exp(-h / machine.load_tau_s)
        decays[2] = exp(-h / machine.speed_tau_s)
        decays[3] = exp(-h / (machine.housing_tau_s * resistance))
        decays[4] = exp(-h / machine.winding_tau_s)


@njit(error_model="numpy", forceinline=True)
def thermal_slopes(tl, m, state, p, u, scale, end_us, decays):
    """Return how fast housing and winding warm, in K/s, from the state's time to the cell's planned end.

    The thermal drive is the loss at the cell's mean load and speed: exact for the lags, and the same
    whatever the interval of the readings.
    """
    machine = tl.machines[m]
    h = (end_us - state.t_us) * 1e-6
    resistance = p[THERMAL_RESISTANCE]
    update_decays(machine, resistance, h, decays)
    middle = ((state.t_us - state.knot_us) + (end_us - state.knot_us)) * 0.5 / physics.GRID_US
    wandering = state.load_wander[0] + (state.load_wander[1] - state.load_wander[0]) * middle
    load_mean = physics.lagged_mean(state.load, u[0], u[1], machine.load_tau_s, h, decays[1])
    load_mean = max(0.0, load_mean * (1.0 + machine.load_sd * scale * wandering))
    speed_mean = max(0.0, physics.lagged_mean(state.speed, u[2], u[3], machine.speed_tau_s, h, decays[2]))
    heat, winding_heat = losses(machine, p, load_mean, speed_mean)
    heat, winding_heat = heat * tl.inputs[state.segment, POWERED], winding_heat * tl.inputs[state.segment, POWERED]
    air_c = hall_c(state, u[4] + 0.5 * u[5] * h, tl.tracks[state.segment, 2] >= 0)
    target_c = air_c + machine.thermal_resistance_k_per_w * resistance * heat
    housing = (target_c - state.housing_c) * (1.0 - decays[3])
    rise = machine.winding_resistance_k_per_w * winding_heat
    winding = (rise - state.winding_k) * (1.0 - decays[4])
    return housing / h, winding / h


@njit(error_model="numpy", forceinline=True)
def settle(target, slope, start, tau, h):
    """Return a lag's output after h seconds, and what it follows itself once it is within a billionth."""
    if start == target and slope == 0.0:
        return target
    decay = exp(-h / tau)
    left = (start - target) * decay
    settled = target + slope * h - slope * tau * (1.0 - decay)
    return settled if abs(left) < 1e-9 else settled + left


@cached_njit
def start_all(tl, states, t_us, settled):
    """Set all machines' states at the start of a run; `advance` enters their first segments."""
    for m in range(states.size):
        start(tl, m, t_us, settled, states[m])
