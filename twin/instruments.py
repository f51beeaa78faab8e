"""From latent signals to what the eight instruments show, a block of readings at a time.

Each loop writes one array, so that the compiler vectorises it.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from twin import noise, physics
from twin.layout import (
    CURRENT,
    DEFECT,
    DRIFT,
    DROPOUT,
    FLOOR,
    FRICTION,
    GAIN,
    IMBALANCE,
    IMPULSIVENESS,
    KURTOSIS,
    LOOSENESS,
    MISALIGNMENT,
    N_CHANNELS,
    N_KINDS,
    N_PHYSICS,
    NOISE,
    OFFSET,
    POWER,
    POWERED,
    SPEED,
    SPIKE_PROBABILITY,
    SPIKE_SIZE,
    STUCK,
    TEMPERATURE,
    TORQUE,
    VIBRATION_G,
    VIBRATION_MM_S,
    WINDING_LOSS,
)

F = np.float32


@njit(error_model="numpy")
def fill_latent(machine, state, u, scale, housing_slope, t_us, interval_us, load, speed, housing, wander):
    """Fill the latent signals of consecutive readings inside one cell, the first at `t_us`."""
    moving = state.load != u[0] or state.speed != u[2] or u[1] != 0.0 or u[3] != 0.0
    since = t_us - state.t_us  # whole microseconds: a reading's value depends on its own time only
    into = t_us - state.knot_us
    per_s = 1e6 / physics.GRID_US
    load_sd = machine.load_sd * scale
    load_at, load_slope = state.load_wander[0], (state.load_wander[1] - state.load_wander[0]) * per_s
    vib_at, vib_slope = state.vibration_wander[0], (state.vibration_wander[1] - state.vibration_wander[0]) * per_s
    for i in range(load.size):
        x = state.load
        if moving:
            x = physics.lagged(state.load, u[0], u[1], machine.load_tau_s, np.float64(since + i * interval_us) * 1e-6)
        wandering = load_at + load_slope * (np.float64(into + i * interval_us) * 1e-6)
        load[i] = max(0.0, x * (1.0 + load_sd * wandering))
    for i in range(load.size):
        x = state.speed
        if moving:
            x = physics.lagged(state.speed, u[2], u[3], machine.speed_tau_s, np.float64(since + i * interval_us) * 1e-6)
        speed[i] = max(0.0, x)
    for i in range(load.size):
        wandering = vib_at + vib_slope * (np.float64(into + i * interval_us) * 1e-6)
        wander[i] = 1.0 + machine.vibration_sd * wandering
    for i in range(load.size):
        housing[i] = state.housing_c + housing_slope * (np.float64(since + i * interval_us) * 1e-6)


@njit(error_model="numpy")
def draw_words(seed, machine_id, stream, t_us, interval_us, a, b, c, d):
    """Fill four rows of uniform words for consecutive readings, the first at `t_us`."""
    for i in range(a.size):
        a[i], b[i], c[i], d[i] = noise.words(seed, machine_id, stream, t_us + i * interval_us)


@njit(error_model="numpy")
def true_signals(machine, p, powered, load, speed, housing, wander, signals):
    """Fill the eight signals before the instruments; `load` includes its ripple, `powered` is 1 or 0."""
    friction = machine.friction_torque_nm * F(p[FRICTION])
    winding_loss = F(p[WINDING_LOSS])
    torque, power, current, omega = signals[TORQUE], signals[POWER], signals[CURRENT], machine.rated_omega
    for i in range(load.size):
        torque[i] = powered * physics.torque(load[i], speed[i], machine.rated_torque_nm, friction)
    for i in range(load.size):
        fraction = physics.motor_loss_fraction(load[i], machine.efficiency, winding_loss)
        power[i] = powered * physics.electric_power(torque[i], speed[i] * omega, fraction, machine.idle_power_w)
    for i in range(load.size):
        current[i] = physics.line_current(power[i], load[i], machine.supply_voltage_v, machine.power_factor)
    rpm, temperature, rated_rpm = signals[SPEED], signals[TEMPERATURE], F(machine.rated_speed_rpm)
    for i in range(load.size):
        rpm[i] = speed[i] * rated_rpm
    for i in range(load.size):
        temperature[i] = housing[i]
    true_vibration(machine, p, load, speed, wander, signals)


@njit(error_model="numpy")
def true_vibration(machine, p, load, speed, wander, signals):
    """Fill the three vibration signals from their uncorrelated sources."""
    floor_g = machine.vibration_floor_g * F(p[FLOOR])
    load_g = machine.load_vibration_g * F(p[LOOSENESS])
    one_g = machine.imbalance_g * F(p[IMBALANCE])
    two_g = machine.imbalance_g * F(p[MISALIGNMENT])
    defect_g = machine.vibration_floor_g * F(p[DEFECT])
    impulsiveness = F(p[IMPULSIVENESS])
    g, kurt, mm_s = signals[VIBRATION_G], signals[KURTOSIS], signals[VIBRATION_MM_S]
    for i in range(load.size):
        a, b, c, d = physics.vibration_sources(load[i], speed[i], wander[i], floor_g, load_g, one_g, two_g, defect_g)
        g[i] = physics.acceleration_rms(a, b, c, d)
    for i in range(load.size):
        a, b, c, d = physics.vibration_sources(load[i], speed[i], F(1.0), floor_g, load_g, one_g, two_g, defect_g)
        kurt[i] = physics.kurtosis(a, b, c, d, impulsiveness)
    floor_mm_s = machine.velocity_floor_mm_s * F(p[FLOOR])
    looseness = F(p[LOOSENESS])
    one, two = machine.imbalance_mm_s * F(p[IMBALANCE]), machine.imbalance_mm_s * F(p[MISALIGNMENT])
    defect = machine.defect_mm_s_per_g * defect_g
    for i in range(load.size):
        mm_s[i] = physics.velocity_rms(load[i], speed[i], wander[i], floor_mm_s, looseness, one, two, defect)


@njit(error_model="numpy")
def spikes(seed, machine_id, channel, t_us, interval_us, probability, size, signal):
    """Add spikes to a signal: each reading's own chance, size (0.5 to 1.5 of the mean) and sign."""
    for i in range(signal.size):
        a, b, _, _ = noise.words(seed, machine_id, physics.STREAM_FAULT + channel, t_us + i * interval_us)
        if noise.uniform(a) < probability:
            tall = size * (F(0.5) + noise.uniform(b))
            signal[i] += tall if b & np.uint32(1) else -tall


@njit(error_model="numpy")
def dropouts(seed, machine_id, channel, t_us, interval_us, probability, out):
    """Replace readings that did not arrive by NaN."""
    for i in range(out.size):
        _, _, c, _ = noise.words(seed, machine_id, physics.STREAM_FAULT + channel, t_us + i * interval_us)
        if noise.uniform(c) < probability:
            out[i] = np.nan


@njit(error_model="numpy")
def hold(out, value):
    """Fill readings with the one at which the instrument stuck."""
    for i in range(out.size):
        out[i] = value


@njit(error_model="numpy")
def drifting(drift, per_day, since_us, interval_us, signal):
    """Add an instrument's drift to consecutive signals, the first `since_us` after the segment's start."""
    for i in range(signal.size):
        signal[i] += F(drift + per_day * (np.float64(since_us + i * interval_us) / physics.DAY_US))


@njit(error_model="numpy")
def read_channel(signal, words, gain, offset, sd, relative_sd, counts, low, high, out):
    """Fill an instrument's readings: gain, offset, noise, range and resolution."""
    for i in range(out.size):
        spread = sd + relative_sd * abs(signal[i])
        value = gain * signal[i] + offset + spread * noise.normal(words[i])
        out[i] = physics.quantised(value, low, high, counts)


@njit(error_model="numpy")
def report(tl, m, state, p, t_us, interval_us, load, speed, housing, wander, words, signals, out, at, missing):
    """Turn a block of latent signals of one machine and segment into what its instruments show.

    Parameters
    ----------
    load, speed, housing, wander : float32 arrays of n
        Latent signals; `load` is overwritten by the load with its ripple.
    words : uint32 array (12, n)
        Scratch for the noise.
    signals : float32 array (channels, n)
        Scratch for the true signals.
    out : float32 array (channels, columns)
        The readings go to the columns `at` to ``at + n``.
    missing : bool array (channels,)
        Set where readings may be missing.
    """
    machine = tl.machines[m]
    n = load.size
    for block in range(3):
        a, b, c, d = words[4 * block], words[4 * block + 1], words[4 * block + 2], words[4 * block + 3]
        draw_words(tl.seed, machine.machine_id, block, t_us, interval_us, a[:n], b[:n], c[:n], d[:n])
    ripple = words[N_CHANNELS]
    for i in range(n):
        load[i] *= F(1.0) + machine.ripple_sd * noise.normal(ripple[i])
    true_signals(machine, p, F(tl.inputs[state.segment, POWERED]), load, speed, housing, wander, signals)
    for c in range(N_CHANNELS):
        s = p[N_PHYSICS + c * N_KINDS : N_PHYSICS + (c + 1) * N_KINDS]
        counts, low, high, sd, relative = tl.channels[c]
        signal, column = signals[c, :n], out[c, at : at + n]
        if s[SPIKE_PROBABILITY] > 0.0:
            probability, size = F(s[SPIKE_PROBABILITY]), F(s[SPIKE_SIZE])
            spikes(tl.seed, machine.machine_id, c, t_us, interval_us, probability, size, signal)
        if s[DRIFT] != 0.0:
            drifting(state.drift[c], s[DRIFT], t_us - state.segment_us, interval_us, signal)
        k = F(s[NOISE])
        gain, offset = F(s[GAIN]), F(s[OFFSET])
        read_channel(signal, words[c, :n], gain, offset, k * sd, k * relative, counts, low, high, column)
        if s[STUCK] > 0.0:
            hold(column, state.latched[c])
        if s[DROPOUT] > 0.0:
            missing[c] = True
            dropouts(tl.seed, machine.machine_id, c, t_us, interval_us, F(s[DROPOUT]), column)
