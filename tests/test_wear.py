"""The laws of wear: damage, lives, wobble, couplings, temperature."""

from __future__ import annotations

import math

import numpy as np
import plans
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import kstest

from twin import wear
from twin.catalog.loader import load_catalog
from twin.catalog.models import scenario_from_inputs
from twin.life_layout import AGE, LIFE, OWED
from twin.plan import Activation, Plan
from twin.timeline import compile_plan
from twin.wearing import mode_stream
from twin.world import World

CATALOG = load_catalog()
DAY_US = 24 * plans.HOUR_US
STREAM = mode_stream("bearing_degradation")
curvatures = st.floats(wear.GRADUAL_LOW, wear.SUDDEN_HIGH)
ages = st.floats(0.0, 1e5)
lengths = st.floats(1e-3, 1e5)
bases = st.floats(0.0, 0.98)


# -- damage -----------------------------------------------------------------------------------


@given(ages, lengths, bases, curvatures, st.lists(st.floats(-0.1, 1.2), min_size=2, max_size=20))
def test_damage_grows_from_its_base_to_one_and_never_falls(
    base_age: float, length: float, base: float, curvature: float, shares: list[float]
) -> None:
    life = base_age + length
    damages = [wear.damage(base_age + x * length, life, base_age, base, curvature) for x in sorted(shares)]
    assert all(base <= d <= 1.0 for d in damages)
    assert damages == sorted(damages)
    assert wear.damage(base_age, life, base_age, base, curvature) == base
    assert wear.damage(life, life, base_age, base, curvature) == 1.0


@given(ages, lengths, bases, curvatures, st.floats(1e-9, 1.0))
def test_age_at_is_the_inverse_of_damage(
    base_age: float, length: float, base: float, curvature: float, grown: float
) -> None:
    life, target = base_age + length, base + (1.0 - base) * grown
    age = wear.age_at(target, life, base_age, base, curvature)
    assert base_age - 1e-9 * life <= age <= life
    # an age is known to a part in 1e16, which the steepest damage multiplies
    slack = 1e-9 + 4e-16 * life / length * curvature
    assert wear.damage(age, life, base_age, base, curvature) == pytest.approx(target, abs=slack)


@given(curvatures, st.floats(0.0, 1.0))
def test_damage_is_the_formula_of_its_description(curvature: float, x: float) -> None:
    expected = math.expm1(curvature * x) / math.expm1(curvature)
    assert wear.damage(1000.0 * x, 1000.0, 0.0, 0.0, curvature) == pytest.approx(expected, abs=1e-12)


def test_ends_of_age_at() -> None:
    assert wear.age_at(1.0, 100.0, 0.0, 0.0, 5.0) == 100.0
    assert wear.age_at(0.3, 100.0, 20.0, 1.0, 5.0) == 100.0
    assert wear.age_at(0.0, 100.0, 20.0, 0.0, 5.0) == pytest.approx(20.0)


@pytest.mark.parametrize(
    ("level", "grown", "ttf", "kept"), [(0.3, 5.0, 0.0, 1.0), (0.3, 5.0, 10.0, 0.4), (0.3, 99.0, 10.0, 1.0)]
)
def test_injected_levels(level: float, grown: float, ttf: float, kept: float) -> None:
    share = min(1.0, grown / ttf) if ttf else 0.0
    assert wear.injected(level, grown, ttf, kept) == pytest.approx(kept * (level + (1.0 - level) * share))


@given(st.floats(1e-12, 1.0))
def test_what_is_injected_ends_at_one_exactly(level: float) -> None:
    assert wear.injected(level, 7.3, 7.3, 1.0) == 1.0


# -- lives ------------------------------------------------------------------------------------


def drawn(age: float, shape: float, scale: float, number: int = 4000, share: float = 0.4) -> NDArray[np.float64]:
    """Return lives and curvatures of many machines."""
    return np.array([wear.draw(11, m, STREAM, m % 7, shape, scale, share, age) for m in range(1, number + 1)])


@pytest.mark.parametrize("shape", [0.7, 1.5, 4.0])
@pytest.mark.parametrize("used", [0.0, 0.5, 1.5])
def test_lives_follow_the_weibull_law_given_their_age(shape: float, used: float) -> None:
    scale, age = 9000.0, used * 9000.0
    lives = drawn(age, shape, scale)[:, 0]
    assert lives.min() > age
    hazards = (lives / scale) ** shape - used**shape  # cumulative hazard from the age on: exponential
    assert kstest(hazards, "expon").pvalue > 1e-3


@given(st.floats(0.3, 20.0), st.floats(0.0, 1.5), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_a_life_never_ends_before_the_age_it_is_given(shape: float, used: float, a: int, b: int) -> None:
    u = wear.uniform53(np.uint32(a), np.uint32(b))
    assert 0.0 < u < 1.0
    life = wear.weibull_life(u, shape, 1000.0, 1000.0 * used)
    assert life >= 1000.0 * used * (1.0 - 1e-14)
    expected = 1000.0 * (used**shape - math.log(u)) ** (1.0 / shape)
    assert life == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("word", [0, 1, 2**32 - 1])
def test_the_ends_of_the_uniform_numbers(word: int) -> None:
    u = wear.uniform53(np.uint32(word), np.uint32(word))
    assert 0.0 < u < 1.0
    assert u == ((word << 20 | word >> 12) + 0.5) / 2.0**52


def test_curvatures_are_of_two_kinds() -> None:
    curvature = drawn(0.0, 1.5, 9000.0)[:, 1]
    gradual = curvature[curvature <= wear.GRADUAL_HIGH]
    sudden = curvature[curvature > wear.GRADUAL_HIGH]
    assert sudden.min() >= wear.SUDDEN_LOW
    assert len(gradual) / len(curvature) == pytest.approx(0.4, abs=4 * (0.24 / len(curvature)) ** 0.5)
    for kind, low, high in (
        (gradual, wear.GRADUAL_LOW, wear.GRADUAL_HIGH),
        (sudden, wear.SUDDEN_LOW, wear.SUDDEN_HIGH),
    ):
        assert kstest(np.log(kind / low) / math.log(high / low), "uniform").pvalue > 1e-3


def test_renewals_modes_and_machines_have_lives_of_their_own() -> None:
    at = [(1, STREAM, 0), (1, STREAM, 1), (2, STREAM, 0), (1, mode_stream("lubrication_loss"), 0)]
    lives = {wear.draw(11, m, stream, renewal, 1.5, 9000.0, 0.4, 0.0)[0] for m, stream, renewal in at}
    assert len(lives) == len(at)


def test_no_two_modes_of_the_catalog_share_their_noise() -> None:
    assert len({mode_stream(name) for name in CATALOG.failure_modes}) == len(CATALOG.failure_modes)


# -- rates ------------------------------------------------------------------------------------


def test_the_days_wobble_is_one_on_average() -> None:
    days = np.array([wear.wobble(5, 3, STREAM, day * DAY_US) for day in range(4000)])
    assert kstest(days - 0.5, "uniform").pvalue > 1e-3
    assert days.mean() == pytest.approx(1.0, abs=4 * 12**-0.5 / 4000**0.5)
    assert abs(np.corrcoef(days[:-1], days[1:])[0, 1]) < 4 / 4000**0.5
    within = {wear.wobble(5, 3, STREAM, 20_000 * DAY_US + h * plans.HOUR_US) for h in range(24)}
    assert len(within) == 1


def test_stress_is_load_to_the_exponent_times_speed() -> None:
    assert wear.stress(2.0, 1.5, 3.0, 1.0) == pytest.approx(12.0)
    assert wear.stress(1.0, 1.0, 10.0 / 3.0, 2.0) == 1.0
    assert wear.stress(0.0, 1.0, 3.0, 1.0) == 0.0
    assert wear.stress(0.0, 0.5, 0.0, 2.0) == pytest.approx(0.25)
    assert wear.stress(-0.1, -0.1, 0.0, 0.0) == 1.0


@given(st.floats(-60.0, 120.0), st.floats(1.0, 50.0))
def test_arrhenius_doubles(kelvin: float, doubling: float) -> None:
    assert wear.arrhenius(kelvin, doubling) == pytest.approx(2.0 ** (kelvin / doubling), rel=1e-12)


# -- in a world -------------------------------------------------------------------------------

MODES = sorted(plans.wearing())


def aged(plan: Plan, hours: float) -> NDArray[np.float64]:
    """Return the parts of the machines after that many hours (machine, mode, column)."""
    world = World(plan, compile_plan(plan))
    world.advance(plans.hour(hours))
    return world.lives.parts.copy()


def duty(hours: float = 400.0, **inputs: float) -> Plan:
    scenario = {"Duty": scenario_from_inputs("Duty", priority=90, **inputs)}
    acts = tuple(
        Activation(scenario="Duty", machine_id=m, start_us=plans.MONDAY_US, end_us=None) for m in (1, 2, 3, 4, 5)
    )
    modes = plans.wearing(1e3)
    return plans.lively((1, 2, 3, 4, 5), hours, failure_modes=modes, scenarios=scenario, activations=acts)


def rates(one: Plan, other: Plan, mode: str) -> NDArray[np.float64]:
    """Return how much faster a mode ages in one world than in another, settled."""
    k = MODES.index(mode)
    a, b = ([aged(plan, h)[:, k, AGE] for h in (240.0, 48.0)] for plan in (one, other))
    return (a[0] - a[1]) / (b[0] - b[1])


def test_at_nominal_duty_effective_hours_are_hours_but_for_the_wobble() -> None:
    parts = aged(plans.lively((1, 2, 3, 4, 5), 400.0, failure_modes=plans.wearing(1e3)), 240.0)
    for m in range(5):
        for k, mode in enumerate(MODES):
            days = [wear.wobble(3, m + 1, mode_stream(mode), plans.MONDAY_US + d * DAY_US) for d in range(10)]
            assert parts[m, k, AGE] == pytest.approx(24.0 * sum(days), rel=1e-5)


def test_bearings_wear_with_the_exponent_of_their_kind() -> None:
    faster = rates(duty(load=1.0), plans.lively((1, 2, 3, 4, 5), 400.0, failure_modes=plans.wearing(1e3)), MODES[0])
    types = [CATALOG.machine_types[t] for t in plans.TYPES]
    exponents = [3.0 if t.bearing.kind == "ball" else 10.0 / 3.0 for t in types]
    assert MODES[0] == "bearing_degradation"
    assert {t.bearing.kind for t in types} == {"ball", "roller"}
    expected = [(1.0 / t.nominal_load) ** a for t, a in zip(types, exponents, strict=True)]
    assert faster == pytest.approx(expected, rel=1e-6)


def test_speed_counts_as_each_mode_says() -> None:
    still = plans.lively((1, 2, 3, 4, 5), 400.0, failure_modes=plans.wearing(1e3))
    for mode, exponent in (("bearing_degradation", 1.0), ("motor_overheating", 0.5), ("rotor_imbalance", 2.0)):
        assert rates(duty(speed_factor=0.5), still, mode) == pytest.approx([0.5**exponent] * 5, rel=1e-6)


def test_ten_kelvins_halve_the_life_of_insulation_and_fifteen_that_of_grease() -> None:
    cool, warm = duty(ambient_c=22.0), duty(ambient_c=32.0)
    assert rates(warm, cool, "winding_degradation") == pytest.approx([2.0] * 5, rel=1e-6)
    assert rates(warm, cool, "lubrication_loss") == pytest.approx([2.0 ** (10.0 / 15.0)] * 5, rel=1e-6)
    assert rates(warm, cool, "bearing_degradation") == pytest.approx([1.0] * 5)


@pytest.mark.parametrize("level", [0.25, 0.8])
def test_couplings_multiply_and_what_they_add_is_owed(level: float) -> None:
    still = plans.lively((1,), 400.0, failure_modes=plans.wearing(1e3))
    faults = tuple(
        plans.put_in(mode, 1, 0.0, None, level, number=n)
        for n, mode in enumerate(("lubrication_loss", "rotor_imbalance"))
    )
    hurt = still.model_copy(update={"injections": faults})
    k, gains = MODES.index("bearing_degradation"), CATALOG.failure_modes["bearing_degradation"].wear.accelerated_by
    factor = (1.0 + gains["lubrication_loss"] * level) * (1.0 + gains["rotor_imbalance"] * level)
    a, b = aged(hurt, 240.0)[0, k], aged(still, 240.0)[0, k]
    assert a[AGE] / b[AGE] == pytest.approx(factor, rel=1e-3)  # the rest has worn a little, too
    assert a[OWED] / a[AGE] == pytest.approx(1.0 - 1.0 / factor, rel=1e-3)
    assert a[LIFE] == b[LIFE]


def test_used_parts_are_of_all_ages_up_to_their_share() -> None:
    plan = plans.lively(range(1, 301), 1.0, failure_modes=plans.wearing(1.0), wear="used", truth_us=None)
    world = World(plan, compile_plan(plan))
    for k, mode in enumerate(MODES):
        parts, scale = world.lives.parts[:, k], CATALOG.failure_modes[mode].wear.life_h
        assert (parts[:, LIFE] > parts[:, AGE]).all()
        assert kstest(parts[:, AGE] / scale / wear.USED_SHARE, "uniform").pvalue > 1e-4
