"""The control system of a machine: hourly means of what is reported, alarms, trips, conditions of the policy."""

from __future__ import annotations

import numpy as np
from numba import njit

from twin import noise, physics, wear
from twin.instruments import true_signals
from twin.layout import GAIN, N_CHANNELS, N_KINDS, N_PHYSICS, OFFSET, STUCK, TEMPERATURE
from twin.life_layout import TRIPPED

F = np.float32
HOUR_US = wear.WEAR_US
QUIET_K = 0.5  # what the housing may change by while nothing can happen
_NOISE_ENDS = 6.4  # normal numbers end at 6.3 sigma
_MEANS_SD = (0.3, 0.0, 0.0, 0.05, 0.0, 0.0, 0.0, 0.0)  # of hourly means: absolute ... [choice]
_MEANS_SHARE = (0.0, 0.015, 0.015, 0.0, 0.005, 0.005, 0.0005, 0.005)  # ... and relative [choice]


@njit(error_model="numpy")
def hourly_means(machine, channels, s, p, load, speed, latent, signals, clean):
    """Fill the hour's means of what the instruments report, without noise, and the noise's sd: `clean` is (2, n)."""
    latent[0, 0], latent[1, 0], latent[2, 0], latent[3, 0] = F(load), F(speed), F(s.housing_c), F(1.0)
    true_signals(machine, p, F(1.0), latent[0], latent[1], latent[2], latent[3], signals)
    for c in range(N_CHANNELS):
        q = N_PHYSICS + c * N_KINDS
        value = np.float64(signals[c, 0])
        clean[1, c] = _MEANS_SD[c] + _MEANS_SHARE[c] * value
        value = p[q + GAIN] * (value + s.drift[c]) + p[q + OFFSET]
        if p[q + STUCK] <= 0.0:
            s.latched[c] = np.nan
        else:
            if np.isnan(s.latched[c]):
                s.latched[c] = value
            value = s.latched[c]
            clean[1, c] = 0.0
        clean[0, c] = min(max(value, np.float64(channels[c, 1])), np.float64(channels[c, 2]))


@njit(error_model="numpy")
def is_quiet(w, m, clean, raised, above_h):
    """Return whether neither noise nor a little warmth can take a channel over a limit, or an alarm back."""
    for r in range(w.rule_channel.size):
        c = w.rule_channel[r]
        noise_ends = _NOISE_ENDS * clean[1, c] + (QUIET_K if c == TEMPERATURE else 0.0)
        stays = clean[0, c] - noise_ends > w.rule_limit[m, r] * w.rule_back[r]
        if not (stays if raised[r] else clean[0, c] + noise_ends < w.rule_limit[m, r]):
            return False
    for i in range(w.condition_channel.size):
        c = w.condition_channel[i]
        noise_ends = _NOISE_ENDS * clean[1, c] + (QUIET_K if c == TEMPERATURE else 0.0)
        if c < 0 or above_h[i] > 0 or clean[0, c] + noise_ends >= w.condition_limit[m, i]:
            return False
    return not w.keep_readings


@njit(error_model="numpy")
def look(machine, seed, t_us, clean, seen):
    """Fill what the control system sees of an hour: the means with their noise."""
    a, b, c, d = noise.words(seed, machine.machine_id, physics.STREAM_MONITOR, t_us)
    half = noise.normal(a), noise.normal(b), noise.normal(c), noise.normal(d)
    a, b, c, d = noise.words(seed, machine.machine_id, physics.STREAM_MONITOR + 1, t_us)
    drawn = (*half, noise.normal(a), noise.normal(b), noise.normal(c), noise.normal(d))
    for i in range(N_CHANNELS):
        seen[i] = (
            max(0.0, clean[0, i] + clean[1, i] * np.float64(drawn[i]))
            if i != TEMPERATURE
            else (clean[0, i] + clean[1, i] * np.float64(drawn[i]))
        )


@njit(error_model="numpy")
def raise_alarms(w, m, s, seen, raised, out):
    """Raise the alarms that are due, end those that are over, and trip to protect the machine."""
    for r in range(w.rule_channel.size):
        value = seen[w.rule_channel[r]]
        if value < w.rule_limit[m, r] * w.rule_back[r]:
            raised[r] = False
        if not value > w.rule_limit[m, r] or raised[r]:
            continue
        raised[r] = True
        if w.keep_truth:
            n = out.counts[2]
            out.alarm_at[n, 0], out.alarm_at[n, 1], out.alarm_at[n, 2] = m, s.t_us, r
            out.alarm_value[n] = value
            out.counts[2] = n + 1
        if w.rule_trip_h[r] > 0:
            s.state, s.resume_us = TRIPPED, s.t_us + w.rule_trip_h[r] * HOUR_US
            raised[r] = False  # it trips again if nothing has changed by then


@njit(error_model="numpy")
def triggered(w, m, s, seen, above_h, armed):
    """Return which condition of the policy triggers, or -1."""
    found = -1
    for c in range(w.condition_channel.size):
        if w.condition_channel[c] < 0:  # hours of work
            above_h[c] += 1
        else:
            above_h[c] = above_h[c] + 1 if seen[w.condition_channel[c]] > w.condition_limit[m, c] else 0
        applies = w.condition_from_us[c] <= s.t_us < w.condition_until_us[c]
        if found < 0 and armed[c] and applies and above_h[c] > w.condition_hold_h[c]:
            armed[c] = False
            found = c
    return found


@njit(error_model="numpy")
def keep_reading(m, s, seen, out):
    """Keep an hour's means for whoever decides on them."""
    n = out.counts[3]
    out.reading_at[n, 0], out.reading_at[n, 1] = m, s.t_us
    for c in range(N_CHANNELS):
        out.reading[n, c] = F(seen[c])
    out.counts[3] = n + 1
