"""The laws of the machines, one formula a function.

SI units inside, except that loads and speeds are fractions of the rated ones and temperatures are
in degrees C. Sources are named as in the physics notes: [std] a standard, [paper], [data] measured on
public recordings, [choice] ours.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from twin.portable import exp, power

F = np.float32

GRID_US = 60_000_000
"""The physical grid: slow processes have their knots at whole minutes of absolute time. [choice]"""
DAY_US = 86_400e6

# streams of the noise; an address is (seed, machine, stream, time in microseconds)
STREAM_TELEMETRY = 0  # and 1, 2: twelve words a reading
STREAM_SLOW = 8  # load and vibration wander, at the knots
STREAM_HALL = 9  # the weather in the hall, shared by all machines (machine 0)
STREAM_MONITOR = 10  # and 11: hourly means, as the control system sees them
STREAM_UNIT = 16  # unit-to-unit variation, index = field
STREAM_FAULT = 32  # + channel: spikes and dropouts

HALL_SD_K = 0.5  # Ornstein-Uhlenbeck part of the hall's temperature [choice]
HALL_TAU_S = 3.0 * 3600.0
HALL_DAY_K = 0.6  # amplitude of its daily cycle, coolest at 05:00 UTC [choice]
VIBRATION_TAU_S = 300.0

FULL_EFFICIENCY_LOAD = F(0.40)  # below it efficiency and power factor fall [std IEC 60034-30-1]
EFFICIENCY_LOSS = F(0.40)  # what is lost of them at no load [choice]
POWER_FACTOR_LOSS = F(0.45)
SQRT3 = F(1.7320508)


@njit(error_model="numpy", forceinline=True)
def lagged(start, target, slope, tau, s):
    """Return a first-order lag's output s seconds after `start`, driven by the ramp target + slope * s.

    Exact solution of ``tau dx/dt = target + slope t - x``.
    """
    settled = target - slope * tau
    return settled + slope * s + (start - settled) * exp(-s / tau)


@njit(error_model="numpy", forceinline=True)
def lagged_mean(start, target, slope, tau, h, decay):
    """Return the mean over h seconds of a first-order lag's output; `decay` is exp(-h / tau)."""
    settled = target - slope * tau
    return settled + 0.5 * slope * h + (start - settled) * (1.0 - decay) * tau / h


@njit(error_model="numpy", forceinline=True)
def ou_step(x, decay, z):
    """Return the next knot of a standard Ornstein-Uhlenbeck process: exact for any step."""
    return decay * x + np.sqrt(1.0 - decay * decay) * z


@njit(error_model="numpy", forceinline=True)
def day_wave(t_us):
    """Return the daily cycle of the hall, -1 (05:00 UTC) to 1 (17:00 UTC): parabolic arcs for a sine."""
    phase = np.float64((t_us - 11 * 3_600_000_000) % 86_400_000_000) / 86_400_000_000.0
    return 16.0 * phase * (0.5 - phase) if phase < 0.5 else -16.0 * (phase - 0.5) * (1.0 - phase)


@njit(error_model="numpy", forceinline=True)
def effect_shape(damage, shape, exponent, peak):
    """Return how far an effect has developed at a damage in [0, 1].

    Shape 0 is ``damage**exponent``; shape 1 a hump, ``(d / peak) exp(1 - d / peak)``: one at the peak.
    """
    if shape == 1:
        return damage / peak * exp(1.0 - damage / peak)
    return power(damage, exponent)


@njit(error_model="numpy", forceinline=True)
def part_load(load):
    """Return how far below full efficiency a load lies: 0 from 40 % up, 1 at no load."""
    return max(F(0.0), F(1.0) - load / FULL_EFFICIENCY_LOAD)


@njit(error_model="numpy", forceinline=True)
def torque(load, speed, rated_torque, friction_torque):
    """Return the shaft torque in N m: demanded load plus friction (none at standstill)."""
    turning = min(F(1.0), speed * F(20.0))
    return load * rated_torque + friction_torque * turning


@njit(error_model="numpy", forceinline=True)
def motor_loss_fraction(load, efficiency, winding_loss):
    """Return the motor's losses as a fraction of its shaft power: (1 / eta - 1) * winding_loss."""
    q = part_load(load)
    eta = efficiency * (F(1.0) - EFFICIENCY_LOSS * q * q)
    return (F(1.0) / eta - F(1.0)) * winding_loss


@njit(error_model="numpy", forceinline=True)
def electric_power(shaft_torque, omega, loss_fraction, idle_power):
    """Return the electric power in W: P_shaft / eta + P_idle."""
    return shaft_torque * omega * (F(1.0) + loss_fraction) + idle_power


@njit(error_model="numpy", forceinline=True)
def line_current(power_w, load, voltage, power_factor):
    """Return the line current in A of a three-phase motor: P / (sqrt(3) V cos phi)."""
    q = part_load(load)
    return power_w / (SQRT3 * voltage * power_factor * (F(1.0) - POWER_FACTOR_LOSS * q * q))


@njit(error_model="numpy", forceinline=True)
def vibration_sources(load, speed, wander, floor_g, load_g, one_g, two_g, defect_g):
    """Return the squared accelerations (g**2) of the floor, of 1x, of 2x and of the bearing defect.

    Imbalance and misalignment forces go with speed squared; the broadband floor and the defect with
    speed, the defect also with load.
    """
    a_floor = floor_g * speed
    a_load = load_g * load * speed
    a_one = one_g * speed * speed
    a_two = two_g * speed * speed
    a_defect = defect_g * speed * (F(0.7) + F(0.5) * load)
    w2 = wander * wander
    return (
        (a_floor * a_floor + a_load * a_load) * w2,
        a_one * a_one * w2,
        a_two * a_two * w2,
        a_defect * a_defect * w2,
    )


@njit(error_model="numpy", forceinline=True)
def acceleration_rms(floor2, one2, two2, defect2):
    """Return the vibration in g RMS: uncorrelated sources add as squares."""
    return np.sqrt(floor2 + one2 + two2 + defect2)


@njit(error_model="numpy", forceinline=True)
def velocity_rms(load, speed, wander, floor_mm_s, looseness, one_mm_s, two_mm_s, defect_mm_s):
    """Return the vibration velocity in mm/s RMS, 10-1000 Hz.

    Velocity is acceleration over 2 pi f, so the force components go with speed here, and the one
    at 2x has half the velocity of an equal acceleration at 1x.
    """
    v_load = floor_mm_s * looseness * load
    v2 = floor_mm_s * floor_mm_s + v_load * v_load + one_mm_s * one_mm_s + F(0.25) * two_mm_s * two_mm_s
    return np.sqrt(v2 + defect_mm_s * defect_mm_s) * speed * wander


@njit(error_model="numpy", forceinline=True)
def kurtosis(floor2, one2, two2, defect2, impulsiveness):
    """Return the kurtosis of the acceleration.

    Excess kurtoses of independent sources mix with the squares of their energy shares: 0 for the
    Gaussian floor, -1.5 for a sine, `impulsiveness` for the shocks of a bearing defect.
    """
    total2 = floor2 + one2 + two2 + defect2 + F(1e-12)
    excess = impulsiveness * defect2 * defect2 - F(1.5) * (one2 * one2 + two2 * two2)
    return F(3.0) + excess / (total2 * total2)


@njit(error_model="numpy", forceinline=True)
def quantised(value, low, high, counts):
    """Return a reading clipped to the instrument's range and rounded to 1 / counts.

    Adding and subtracting 1.5 * 2**23 rounds to the nearest whole count; the division gives the float
    nearest to the decimal, so 45.27 is stored as 45.27.
    """
    clipped = min(max(value, low), high) * counts
    return ((clipped + F(12582912.0)) - F(12582912.0)) / counts
