"""Each formula against an independent one: numpy, scipy, or the law it comes from."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit
from scipy.integrate import quad, solve_ivp

from twin import physics

F = np.float32
TAUS = st.floats(0.5, 3000.0)
LEVELS = st.floats(0.0, 2.0)
SLOPES = st.floats(-0.1, 0.1)


def integrated(start: float, target: float, slope: float, tau: float, s: float) -> float:
    """Return the output of tau dx/dt = target + slope t - x by numerical integration."""
    solution = solve_ivp(
        lambda t, x: (target + slope * t - x) / tau, (0.0, s), [start], rtol=1e-9, atol=1e-11, method="LSODA"
    )
    return float(solution.y[0, -1])


# -- lags -------------------------------------------------------------------------------------


@given(LEVELS, LEVELS, SLOPES, TAUS, st.floats(0.01, 120.0))
def test_lag_solves_its_equation(start: float, target: float, slope: float, tau: float, s: float) -> None:
    assert physics.lagged(start, target, slope, tau, s) == pytest.approx(
        integrated(start, target, slope, tau, s), abs=1e-6
    )


@given(LEVELS, LEVELS, SLOPES, TAUS, st.floats(0.1, 60.0), st.floats(0.0, 1.0))
def test_lag_in_two_steps_is_lag_in_one(
    start: float, target: float, slope: float, tau: float, s: float, share: float
) -> None:
    a = share * s
    middle = physics.lagged(start, target, slope, tau, a)
    twice = physics.lagged(middle, target + slope * a, slope, tau, s - a)
    assert twice == pytest.approx(physics.lagged(start, target, slope, tau, s), abs=1e-10)


@given(LEVELS, LEVELS, SLOPES, TAUS, st.floats(0.1, 60.0))
def test_mean_of_a_lag_is_its_integral(start: float, target: float, slope: float, tau: float, h: float) -> None:
    integral, _ = quad(lambda s: physics.lagged(start, target, slope, tau, s), 0.0, h, limit=200)
    mean = physics.lagged_mean(start, target, slope, tau, h, math.exp(-h / tau))
    assert mean == pytest.approx(integral / h, abs=1e-7)


# -- Ornstein-Uhlenbeck -----------------------------------------------------------------------


@njit
def _walks(decay: Any, z: Any, x: Any) -> Any:
    """Step n independent processes through rows of normal numbers."""
    for k in range(z.shape[0]):
        for i in range(x.size):
            x[i] = physics.ou_step(x[i], decay, z[k, i])


def ou(decay: float, steps: int, start: np.ndarray, seed: int) -> np.ndarray:
    x = start.copy()
    _walks(decay, np.random.default_rng(seed).standard_normal((steps, x.size)), x)
    return x


def test_ou_is_stationary_and_its_correlation_decays_exponentially() -> None:
    n, tau, dt, steps = 200_000, 120.0, 60.0, 3
    start = np.random.default_rng(1).standard_normal(n)
    end = ou(math.exp(-dt / tau), steps, start, 2)
    assert abs(end.mean()) < 4 / n**0.5
    assert abs(end.var() - 1.0) < 4 * (2 / n) ** 0.5
    assert np.corrcoef(start, end)[0, 1] == pytest.approx(math.exp(-steps * dt / tau), abs=4 / n**0.5)


@pytest.mark.parametrize("steps", [2, 10, 60])
def test_ou_has_the_same_law_whatever_the_step(steps: int) -> None:
    """Mean and variance after a minute do not depend on how many steps led there."""
    n, tau, start = 200_000, 90.0, np.full(200_000, 2.0)
    end = ou(math.exp(-60.0 / steps / tau), steps, start, steps)
    decay = math.exp(-60.0 / tau)
    assert end.mean() == pytest.approx(2.0 * decay, abs=4 / n**0.5)
    assert end.var() == pytest.approx(1.0 - decay**2, rel=4 * (2 / n) ** 0.5)


# -- day, shape -------------------------------------------------------------------------------


def test_the_hall_is_coolest_at_five_and_warmest_at_seventeen() -> None:
    hours = np.arange(0.0, 48.0, 0.25)
    wave = np.array([physics.day_wave(int(h * 3.6e9)) for h in hours])
    assert wave[hours == 5.0] == wave[hours == 29.0] == -1.0
    assert wave[hours == 17.0] == 1.0
    assert np.abs(wave - np.sin((hours - 11.0) * math.pi / 12.0)).max() < 0.06
    assert wave[:96] == pytest.approx(wave[96:])
    assert abs(wave.mean()) < 1e-12


@given(st.just(0.0) | st.floats(1e-300, 1.0), st.floats(0.1, 10.0))
def test_power_shape(damage: float, exponent: float) -> None:
    assert physics.effect_shape(damage, 0, exponent, 0.5) == pytest.approx(damage**exponent, rel=1e-12, abs=1e-300)


@given(st.floats(0.01, 1.0))
def test_hump_is_one_at_its_peak_and_lower_elsewhere(peak: float) -> None:
    at = [physics.effect_shape(d, 1, 1.0, peak) for d in np.linspace(0.0, 1.0, 101)]
    assert physics.effect_shape(peak, 1, 1.0, peak) == pytest.approx(1.0, rel=1e-14)
    assert max(at) <= 1.0 + 1e-12
    assert at[0] == 0.0


# -- torque, power, current -------------------------------------------------------------------


def test_torque_is_demand_plus_friction_that_needs_a_turning_shaft() -> None:
    assert physics.torque(F(0.6), F(1.0), F(2.0), F(0.1)) == pytest.approx(1.3)
    assert physics.torque(F(0.6), F(0.0), F(2.0), F(0.1)) == pytest.approx(1.2)
    assert physics.torque(F(0.0), F(0.05), F(2.0), F(0.1)) == pytest.approx(0.1)


def efficiency(load: float) -> float:
    """Return the efficiency that the losses mean, for a motor of 80 % at most."""
    return 1.0 / (1.0 + float(physics.motor_loss_fraction(F(load), F(0.8), F(1.0))))


def test_efficiency_is_full_from_forty_percent_load_up_and_falls_below() -> None:
    above = [efficiency(load) for load in (0.4, 0.6, 0.85, 1.2)]
    assert above == pytest.approx([0.8] * 4, rel=1e-6)
    below = [efficiency(load) for load in np.linspace(0.0, 0.4, 41)]
    assert (np.diff(below) > 0.0).all()
    assert below[0] == pytest.approx(0.8 * 0.6, rel=1e-6)


def test_aged_windings_multiply_the_losses_alone() -> None:
    assert physics.motor_loss_fraction(F(0.6), F(0.8), F(1.5)) == pytest.approx(0.375, rel=1e-6)


def test_power_balance() -> None:
    power = physics.electric_power(F(0.3), F(314.16), F(0.25), F(28.6))
    assert power == pytest.approx(0.3 * 314.16 / 0.8 + 28.6, rel=1e-6)


def test_current_of_three_phases() -> None:
    assert physics.line_current(F(1000.0), F(0.7), F(400.0), F(0.8)) == pytest.approx(
        1000.0 / (math.sqrt(3.0) * 400.0 * 0.8), rel=1e-6
    )
    idle = physics.line_current(F(100.0), F(0.0), F(400.0), F(0.8))
    assert idle > physics.line_current(F(100.0), F(0.5), F(400.0), F(0.8))


# -- vibration --------------------------------------------------------------------------------


def sources(load: float = 0.6, speed: float = 1.0, wander: float = 1.0, **g: float) -> list[float]:
    given: dict[str, float] = {"floor_g": 0.4, "load_g": 0.4, "one_g": 0.3, "two_g": 0.0, "defect_g": 0.0} | g
    return [float(x) for x in physics.vibration_sources(F(load), F(speed), F(wander), *map(F, given.values()))]


def rms(**g: Any) -> float:
    return float(physics.acceleration_rms(*map(F, sources(**g))))


def test_sources_add_as_squares() -> None:
    total = rms(one_g=0.3, two_g=0.5, defect_g=0.7)
    parts = [0.4, 0.4 * 0.6, 0.3, 0.5, 0.7 * (0.7 + 0.5 * 0.6)]
    assert total == pytest.approx(math.sqrt(sum(p * p for p in parts)), rel=1e-6)


def test_rms_of_the_sources_is_the_rms_of_a_signal_made_of_them() -> None:
    t = np.arange(200_000) / 10_000.0
    rng = np.random.default_rng(4)
    floor = math.hypot(0.4, 0.24)
    signal = floor * rng.standard_normal(t.size) + 0.3 * math.sqrt(2) * np.sin(2 * math.pi * 50 * t)
    signal += 0.5 * math.sqrt(2) * np.sin(2 * math.pi * 100 * t + 1.0)
    assert np.sqrt(np.mean(signal**2)) == pytest.approx(rms(one_g=0.3, two_g=0.5), rel=0.01)


def test_forces_grow_with_speed_squared_and_the_rest_with_speed() -> None:
    slow, fast = sources(speed=0.5, two_g=0.2, defect_g=0.3), sources(speed=1.0, two_g=0.2, defect_g=0.3)
    assert [math.sqrt(f / s) for f, s in zip(fast, slow, strict=True)] == pytest.approx([2.0, 4.0, 4.0, 2.0], rel=1e-5)


def test_nothing_vibrates_at_rest() -> None:
    assert rms(speed=0.0, two_g=1.0, defect_g=2.0) == 0.0
    at_rest = physics.velocity_rms(F(0.0), F(0.0), F(1.0), F(0.4), F(1.0), F(0.3), F(0.0), F(0.0))
    assert at_rest == 0.0


def test_velocity_is_acceleration_over_angular_frequency() -> None:
    """At 2x the same acceleration has half the velocity."""
    one = physics.velocity_rms(F(0.0), F(1.0), F(1.0), F(0.0), F(1.0), F(0.6), F(0.0), F(0.0))
    two = physics.velocity_rms(F(0.0), F(1.0), F(1.0), F(0.0), F(1.0), F(0.0), F(0.6), F(0.0))
    assert two == pytest.approx(one / 2)
    whole = physics.velocity_rms(F(0.5), F(1.2), F(1.1), F(0.4), F(2.0), F(0.3), F(0.2), F(0.6))
    parts = [0.4, 0.4 * 2.0 * 0.5, 0.3, 0.1, 0.6]
    assert whole == pytest.approx(1.2 * 1.1 * math.sqrt(sum(p * p for p in parts)), rel=1e-6)


def kurtosis(impulsiveness: float = 0.0, **g: Any) -> float:
    return float(physics.kurtosis(*map(F, sources(**g)), F(impulsiveness)))


def test_kurtosis_of_pure_sources() -> None:
    assert kurtosis(one_g=0.0) == pytest.approx(3.0)
    assert kurtosis(floor_g=0.0, load_g=0.0) == pytest.approx(1.5, rel=1e-5)  # a sine
    assert kurtosis(20.0, floor_g=0.0, load_g=0.0, one_g=0.0, defect_g=1.0) == pytest.approx(23.0, rel=1e-5)


def test_kurtosis_mixes_as_that_of_a_sum_of_independent_signals() -> None:
    rng, n = np.random.default_rng(5), 2_000_000
    floor = math.hypot(0.4, 0.24) * rng.standard_normal(n)
    sine = 0.5 * math.sqrt(2.0) * np.sin(2 * math.pi * rng.random(n))
    # rare shocks: a normal number once in 8 samples has kurtosis 3 * 8, an excess of 21
    shocks = 0.6 * math.sqrt(8.0) * rng.standard_normal(n) * (rng.random(n) < 1 / 8)
    x = floor + sine + shocks
    expected = np.mean(x**4) / np.mean(x**2) ** 2
    ours = kurtosis(21.0, one_g=0.5, defect_g=0.6)  # at load 0.6 the defect shows in full
    assert ours == pytest.approx(expected, rel=0.02)


# -- instruments ------------------------------------------------------------------------------


@given(st.floats(-60.0, 250.0), st.sampled_from([1, 10, 100, 1000]))
def test_quantised_is_the_float_nearest_to_the_decimal(value: float, counts: int) -> None:
    stored = physics.quantised(F(value), F(-60.0), F(250.0), F(counts))
    digits = len(str(counts)) - 1
    assert abs(float(F(value)) - float(stored)) <= 0.5 / counts + 2e-5
    assert stored == F(f"{float(stored):.{digits}f}")  # what a person reads is what is stored
    assert float(f"{float(stored):.{digits}f}") * counts == pytest.approx(round(float(stored) * counts), abs=1e-6)


def test_quantised_rounds_and_clips() -> None:
    args = (F(0.0), F(100.0), F(100.0))
    assert physics.quantised(F(45.268), *args) == F(45.27)
    assert physics.quantised(F(-3.0), *args) == 0.0
    assert physics.quantised(F(1e9), *args) == 100.0
    assert physics.quantised(F(2e6), F(0.0), F(4e6), F(1.0)) == 2e6
