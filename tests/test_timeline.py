"""How what is asked combines: priorities, factors, recordings, and that the order of asking cannot matter."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import plans
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import random_plans

from twin.catalog.loader import load_catalog
from twin.catalog.models import Profile, Scenario, scenario_from_inputs
from twin.inputs import inputs_at, parameters_at
from twin.layout import N_CHANNELS, N_KINDS, N_PHYSICS, Timeline
from twin.plan import Activation, Injection, Plan
from twin.stretches import Stretches
from twin.timeline import compile_plan, unit_constants, unit_factor
from twin.world import World

SPINDLE = load_catalog().machine_types["spindle"]
US = plans.SECOND_US


def plan_of(*asked: tuple[Scenario, float, float | None], injections: list[Injection] | None = None) -> Plan:
    """Return an hour's plan of one spindle with these scenarios from and to these seconds."""
    acts = tuple(
        Activation(scenario=s.name, machine_id=1, start_us=plans.at(a), end_us=plans.at_or_open(b)) for s, a, b in asked
    )
    plan = plans.make((1,), 3600.0, injections=injections or [])
    return Plan.model_validate({**dict(plan), "scenarios": {s.name: s for s, _, _ in asked}, "activations": acts})


def lived(plan: Plan) -> Timeline:
    """Return the plan's timeline with what failure modes make of it."""
    planned = compile_plan(plan)
    world, stretches = World(plan, planned), Stretches(planned)
    world.advance(plan.end_us)
    events = world.drain()
    stretches.add(events.segment_at, events.segment_levels)
    return stretches.timeline()


def inputs(plan: Plan, seconds: float) -> dict[str, float]:
    """Return the inputs of the plan's machine some seconds after its start."""
    tl, t = lived(plan), plans.at(seconds)
    segment = int(np.searchsorted(tl.start_us[: tl.first[1]], t, side="right")) - 1
    u = np.empty(6)
    inputs_at(tl, 0, segment, t, u)
    return {"load": u[0], "load_slope": u[1], "speed": u[2], "ambient_c": u[4], "variation": tl.inputs[segment, 5]}


def parameters(plan: Plan, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Return physics parameters, and those of the instruments (channels, kinds)."""
    tl, t = lived(plan), plans.at(seconds)
    segment = int(np.searchsorted(tl.start_us, t, side="right")) - 1
    p = np.empty(N_PHYSICS + N_CHANNELS * N_KINDS)
    parameters_at(tl, tl.levels[tl.level_row[segment]], p)
    return p[:N_PHYSICS], p[N_PHYSICS:].reshape(N_CHANNELS, N_KINDS)


def scenario(name: str, priority: int = 10, profile: Profile | None = None, **values: Any) -> Scenario:
    return scenario_from_inputs(name, priority=priority, profile=profile, **values)


# -- constants --------------------------------------------------------------------------------


def test_a_machine_of_which_nothing_is_asked_runs_at_its_nominal_point() -> None:
    asked = inputs(plan_of(), 100.0)
    assert asked["load"] == SPINDLE.nominal_load
    assert (asked["speed"], asked["ambient_c"], asked["variation"]) == (1.0, 22.0, 1.0)


def test_a_scenario_acts_from_its_start_to_before_its_end() -> None:
    plan = plan_of((scenario("a", load=0.9), 100.0, 200.0))
    loads = [inputs(plan, s)["load"] for s in (99.999999, 100.0, 199.999999, 200.0)]
    assert loads == [0.6, 0.9, 0.9, 0.6]


def test_the_highest_priority_sets_an_input_then_the_largest_value() -> None:
    low, high, higher = scenario("a", 5, load=1.2), scenario("b", 10, load=0.3), scenario("c", 10, load=0.4)
    assert inputs(plan_of((low, 0, None), (high, 0, None)), 1.0)["load"] == 0.3
    assert inputs(plan_of((low, 0, None), (high, 0, None), (higher, 0, None)), 1.0)["load"] == 0.4


def test_overlapping_scenarios_give_way_and_come_back() -> None:
    base, peak = scenario("base", 5, load=0.5, ambient_c=30.0), scenario("peak", 20, load=1.1)
    plan = plan_of((base, 0.0, 1000.0), (peak, 300.0, 400.0))
    assert [inputs(plan, s)["load"] for s in (299.0, 300.0, 399.0, 400.0, 1000.0)] == [0.5, 1.1, 1.1, 0.5, 0.6]
    assert inputs(plan, 350.0)["ambient_c"] == 30.0  # what the more important one does not set stays


def test_factors_multiply_and_offsets_add() -> None:
    a, b = scenario("a", load_factor=0.5, ambient_offset_c=3.0), scenario("b", load_factor=0.5, ambient_offset_c=4.0)
    c = scenario("c", load=0.8, load_variation=2.0)
    asked = inputs(plan_of((a, 0, None), (b, 0, None), (c, 0, None)), 1.0)
    assert asked["load"] == pytest.approx(0.2)
    assert asked["ambient_c"] == 29.0
    assert asked["variation"] == 2.0


def test_speed_may_be_given_in_rpm_which_overrides_the_factor() -> None:
    assert inputs(plan_of((scenario("a", speed_rpm=1500.0), 0, None)), 1.0)["speed"] == pytest.approx(0.5)
    both = scenario("b", speed_rpm=1500.0, speed_factor=0.9)
    assert inputs(plan_of((both, 0, None)), 1.0)["speed"] == pytest.approx(0.5)


def test_failure_modes_change_inputs_by_factors_and_offsets() -> None:
    plan = plan_of((scenario("a", load=0.5), 0, None), injections=[plans.injected("heavy_going", 1, 10.0, level=0.5)])
    assert inputs(plan, 9.0)["load"] == 0.5
    assert inputs(plan, 10.0)["load"] == pytest.approx(0.5 * 1.15)
    assert inputs(plan, 10.0)["ambient_c"] == 24.0


# -- recordings -------------------------------------------------------------------------------


def recorded(**form: Any) -> Profile:
    return Profile(name="p", t_s=(0.0, 10.0, 30.0), load=(0.2, 0.8, 0.4), period_s=60.0, **form)


@pytest.mark.parametrize(
    ("interpolation", "expected"),
    [
        ("hold", {0: 0.2, 5: 0.2, 10: 0.8, 29: 0.8, 30: 0.4, 59: 0.4}),
        ("linear", {0: 0.2, 5: 0.5, 10: 0.8, 20: 0.6, 59: 0.4}),
    ],
)
def test_recordings_hold_or_run_straight_between_points(interpolation: str, expected: dict[int, float]) -> None:
    plan = plan_of((scenario("p", profile=recorded(interpolation=interpolation)), 100.0, None))
    for seconds, load in expected.items():
        assert inputs(plan, 100.0 + seconds)["load"] == pytest.approx(load)
        assert inputs(plan, 100.0 + seconds + 600.0)["load"] == pytest.approx(load)  # it repeats
    assert inputs(plan, 99.0)["load"] == 0.6


def test_a_recording_that_ends_leaves_the_input_to_others() -> None:
    plan = plan_of(
        (scenario("p", profile=recorded(at_end="end")), 100.0, None), (scenario("base", 0, load=0.33), 0.0, None)
    )
    assert [inputs(plan, s)["load"] for s in (100.0, 159.0, 160.0, 500.0)] == [0.2, 0.4, 0.33, 0.33]


def test_before_its_first_point_a_recording_holds_its_first_value() -> None:
    late = Profile(name="p", t_s=(20.0, 40.0), load=(0.7, 0.1), period_s=60.0)
    plan = plan_of((scenario("p", profile=late), 0.0, None))
    assert [inputs(plan, s)["load"] for s in (0.0, 19.0, 20.0, 39.0, 40.0, 61.0)] == [0.7, 0.7, 0.7, 0.7, 0.1, 0.7]


def test_a_recording_counts_from_its_activation_even_before_the_plan() -> None:
    plan = plan_of((scenario("p", profile=recorded()), -15.0, None))
    assert [inputs(plan, s)["load"] for s in (0.0, 14.0, 15.0, 45.0)] == [0.8, 0.8, 0.4, 0.2]


def test_among_equals_a_recording_goes_before_a_constant() -> None:
    asked = ((scenario("p", profile=recorded()), 0.0, None), (scenario("z", load=1.4), 0.0, None))
    assert inputs(plan_of(*asked), 1.0)["load"] == 0.2
    more = (scenario("z", 11, load=1.4), 0.0, None)
    assert inputs(plan_of(asked[0], more), 1.0)["load"] == 1.4


def test_recordings_are_scaled_too_and_their_slopes() -> None:
    plan = plan_of(
        (scenario("p", profile=recorded(interpolation="linear")), 0, None), (scenario("f", load_factor=0.5), 0, None)
    )
    asked = inputs(plan, 5.0)
    assert asked["load"] == pytest.approx(0.25)
    assert asked["load_slope"] == pytest.approx(0.03)


def test_recordings_of_different_inputs_combine() -> None:
    ambient = Profile(name="a", t_s=(0.0, 50.0), ambient_c=(5.0, 35.0), interpolation="linear")
    rpm = Profile(name="r", t_s=(0.0, 50.0), speed_rpm=(600.0, 1800.0))
    plan = plan_of(
        (scenario("a", profile=ambient), 0, None),
        (scenario("r", profile=rpm), 0, None),
        (scenario("p", profile=recorded()), 0, None),
    )
    asked = inputs(plan, 25.0)
    assert (asked["load"], asked["ambient_c"]) == (0.8, 20.0)
    assert asked["speed"] == pytest.approx(0.2)


# -- effects on machine and instruments -------------------------------------------------------


def test_damages_of_one_mode_do_not_add_but_modes_combine() -> None:
    faults = [
        plans.injected("bearing_degradation", 1, 0.0, 100.0, level=0.25, number=1),
        plans.injected("bearing_degradation", 1, 50.0, 80.0, level=0.75, number=2),
        plans.injected("lubrication_loss", 1, 60.0, 70.0, level=0.5, number=3),
    ]
    plan = plan_of(injections=faults)
    mode, oil = plans.modes()["bearing_degradation"], plans.modes()["lubrication_loss"]
    friction = {e.parameter: e for e in mode.effects}["friction"]
    dry = {e.parameter: e for e in oil.effects}["friction"]
    expected = [
        friction.at(0.25),
        friction.at(0.75),
        friction.at(0.75) * dry.at(0.5),
        friction.at(0.75),
        friction.at(0.25),
        1.0,
    ]
    assert [parameters(plan, s)[0][0] for s in (10, 50, 65, 70, 80, 100)] == pytest.approx(expected)


@given(st.sampled_from(sorted(plans.modes())), st.floats(0.01, 1.0))
def test_every_effect_of_every_mode_is_the_catalog_s(name: str, level: float) -> None:
    physics, sensors = parameters(plan_of(injections=[plans.injected(name, 1, 0.0, level=level)]), 1.0)
    from twin.catalog.parameters import PHYSICS_INDEX, SENSOR_INDEX

    for effect in plans.modes()[name].effects:
        if effect.layer == "physics":
            assert physics[PHYSICS_INDEX[effect.parameter]] == pytest.approx(effect.at(level), rel=1e-9)
        if effect.layer == "sensor":
            assert sensors.ravel()[SENSOR_INDEX[effect.parameter]] == pytest.approx(effect.at(level), rel=1e-9)


def test_scenarios_may_change_the_machine_too() -> None:
    plan = plan_of((plans.EXTRA_SCENARIOS["Dusty"], 10.0, 20.0))
    assert [parameters(plan, s)[0][1] for s in (9.0, 10.0, 20.0)] == [1.0, 1.4, 1.0]


# -- order ------------------------------------------------------------------------------------


@given(random_plans(ticks=40), st.randoms(use_true_random=False))
def test_the_order_of_asking_does_not_matter(plan: Plan, rng: random.Random) -> None:
    def shuffled(things: Any) -> Any:
        things = list(things.items()) if isinstance(things, dict) else list(things)
        rng.shuffle(things)
        return things

    changed = plan.model_copy(
        update={
            "activations": tuple(shuffled(plan.activations)),
            "injections": tuple(shuffled(plan.injections)),
            "scenarios": dict(shuffled(plan.scenarios)),
            "failure_modes": dict(shuffled(plan.failure_modes)),
        }
    )
    assert plans.same(plans.readings(plan), plans.readings(changed))


# -- units ------------------------------------------------------------------------------------


def test_units_differ_as_their_type_says_and_stay_within_three_sd() -> None:
    factors = np.array([unit_factor(seed, "efficiency", 0.05) for seed in range(20_000)])
    assert factors.mean() == pytest.approx(1.0, abs=4 * 0.05 / 20_000**0.5)
    assert factors.std() == pytest.approx(0.05, rel=0.03)
    assert np.abs(factors - 1.0).max() <= 0.15 + 1e-9


def test_units_are_addressed_by_their_seed_and_field_alone() -> None:
    machine = plans.machine(1)
    renamed = machine.model_copy(update={"machine_id": 77, "name": "X"})
    assert unit_constants(machine, SPINDLE) == unit_constants(renamed, SPINDLE)
    other = unit_constants(machine.model_copy(update={"unit_seed": 2}), SPINDLE)
    changed = {name for name, value in unit_constants(machine, SPINDLE).items() if value != other[name]}
    assert changed == set(SPINDLE.variation)
    fields = {unit_factor(1, field, 0.05) for field in SPINDLE.variation}
    assert len(fields) == len(SPINDLE.variation)
