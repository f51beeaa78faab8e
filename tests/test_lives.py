"""The compiled walk through the lives against the slow, plain one of `naive_lives`: the same story."""

from __future__ import annotations

from functools import cache

import naive_lives
import numpy as np
import plans
import pytest

from twin.catalog.loader import load_catalog
from twin.catalog.models import Profile, scenario_from_inputs
from twin.life_layout import FAILED
from twin.plan import Activation, Injection, Plan, PlannedTask

CATALOG = load_catalog()
FLEET = (1, 2, 3, 4, 5)  # one of each type
DAY_US = 24 * plans.HOUR_US
ALARMS = dict(CATALOG.alarm_rules)
NEAR_US = 3600  # 1e-6 h


def assert_agrees(plan: Plan, failures: int = 0) -> naive_lives.Story:
    """Check that both tell the same story, with at least that many failures; return the naive one of all machines."""
    ours, stories = plans.lived(plan), naive_lives.lives(plan)
    mine = sorted((f["machine_id"], f["failed_at"], f["mode"], f["cause"]) for f in ours.failures)
    theirs = sorted((m, *failure) for m, story in stories.items() for failure in story.failures)
    assert [(f[0], *f[2:]) for f in mine] == [(f[0], *f[2:]) for f in theirs]
    assert len(mine) >= failures
    assert max((abs(a[1] - b[1]) for a, b in zip(mine, theirs, strict=True)), default=0) <= NEAR_US
    rules = list(plan.alarm_rules.values())
    alarms = ours.alarms([m.machine_id for m in plan.machines], rules)
    raised = [(m, *alarm) for m, story in stories.items() for alarm in story.alarms]
    assert sorted((a["machine_id"], a["ts"], a["code"]) for a in alarms) == sorted(raised)
    work = sorted((row["machine_id"], row["start_at"], row["end_at"], row["action"]) for row in ours.log)
    assert work == sorted((m, *job) for m, story in stories.items() for job in story.work)
    assert_same_truth(plan, ours, stories)
    whole = naive_lives.Story()
    for story in stories.values():
        whole.failures += story.failures
        whole.work += story.work
        whole.alarms += story.alarms
    return whole


def assert_same_truth(plan: Plan, ours: plans.Events, stories: dict[int, naive_lives.Story]) -> None:
    """Check state and damage at each whole interval of the truth."""
    assert ours.truth is not None
    names, modes = ours.truth.state_names(), sorted(plan.failure_modes)
    seen = 0
    for i, m in enumerate(ours.truth.machine.tolist()):
        ts = int(ours.truth.ts_us[i])
        if ts % plan.truth_us != 0:
            continue
        state, damage = stories[plan.machines[m].machine_id].truth[ts]
        assert names[i].replace("idle", "running") == state
        assert np.abs(ours.truth.damage[i] - [damage[mode] for mode in modes]).max() < 1e-6
        seen += 1
    assert seen == sum(len(story.truth) for story in stories.values())


def switched(scenario: str, machine_id: int, start_h: float, end_h: float | None = None) -> Activation:
    """Activate a scenario, hours after `plans.MONDAY_US`."""
    end_us = None if end_h is None else plans.hour(end_h)
    return Activation(scenario=scenario, machine_id=machine_id, start_us=plans.hour(start_h), end_us=end_us)


# -- wear alone -------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_quiet_year_of_all_types() -> None:
    modes = plans.wearing(0.3)
    story = assert_agrees(
        plans.lively(FLEET, 8760.0, failure_modes=modes, corrective=None, truth_us=DAY_US, alarm_rules=ALARMS), 5
    )
    assert story.alarms


@pytest.mark.slow
def test_a_year_of_failures_and_repairs() -> None:
    modes = plans.wearing(0.2)
    story = assert_agrees(plans.lively((1, 3, 5), 8760.0, failure_modes=modes, truth_us=DAY_US, alarm_rules=ALARMS), 40)
    assert {cause for _, _, cause in story.failures} == {"wear", "secondary"}


@pytest.mark.parametrize("wear", ["new", "used"])
def test_months_of_short_lives(wear: str) -> None:
    assert_agrees(plans.lively(FLEET, 1000.0, wear=wear, truth_us=DAY_US), 20)


def test_shapes_and_shares_at_their_ends() -> None:
    for law in ({"shape": 0.3}, {"shape": 20.0}, {"gradual_share": 0.0}, {"gradual_share": 1.0}):
        assert_agrees(plans.lively((1, 2), 500.0, failure_modes=plans.wearing(0.02, None, **law)))


def test_a_machine_that_trips_again_and_again() -> None:
    low = {n: r.model_copy(update={"limit": 60.0} if r.trip else {}) for n, r in ALARMS.items()}
    story = assert_agrees(plans.lively((5, 2), 1000.0, alarm_rules=low))
    assert sum(code == "temperature_trip" for _, code in story.alarms) > 20


# -- what the plan switches -------------------------------------------------------------------


def scenes() -> tuple[Activation, ...]:
    """Return scenarios switched at odd moments on five machines."""
    rng, found = np.random.default_rng(5), {}
    names = sorted(set(plans.scenarios()) - {"Ramp", "Steps"})
    for m in FLEET:
        for _ in range(12):
            start = float(rng.uniform(-50.0, 1300.0))
            name = names[int(rng.integers(len(names)))]
            found.setdefault((name, m), switched(name, m, start, start + float(rng.uniform(1.0, 300.0))))
    return tuple(found.values())


@pytest.mark.slow
def test_scenarios_that_are_switched() -> None:
    switching = {"scenarios": plans.scenarios(), "activations": scenes()}
    assert_agrees(plans.lively(FLEET, 1300.0, alarm_rules=ALARMS, truth_us=DAY_US, **switching), 20)


def test_recorded_duty() -> None:
    columns = {"load": (0.3, 1.0, 0.5), "ambient_c": (10.0, 35.0, 20.0), "speed_rpm": (900.0, 1400.0, 1200.0)}
    recorded = Profile(name="duty", t_s=(0.0, 5000.0, 20_000.0), interpolation="linear", period_s=30_000.0, **columns)
    duty = {"Duty": scenario_from_inputs("Duty", profile=recorded, priority=50)}
    acts = tuple(switched("Duty", m, 3.3 + m, 400.0) for m in FLEET)
    assert_agrees(plans.lively(FLEET, 500.0, scenarios=duty, activations=acts, alarm_rules=ALARMS), 5)


# -- injections -------------------------------------------------------------------------------


@cache
def random_injections() -> tuple[Injection, ...]:
    rng, found = np.random.default_rng(6), []
    names = sorted(set(plans.modes()) - {"sensor_stuck", "poor_instruments"})
    for number in range(50):
        start = float(rng.uniform(-80.0, 450.0))
        end = start + float(rng.uniform(5.0, 300.0)) if rng.random() < 0.6 else None
        level = float(rng.choice([0.001, 0.25, 0.5, 0.95, 1.0], p=[0.2, 0.3, 0.3, 0.15, 0.05]))
        ttf = float(rng.choice([20.0, 50.0, 700.0])) if rng.random() < 0.5 else None
        mode = names[int(rng.integers(len(names)))]
        found.append(plans.put_in(mode, FLEET[number % 5], start, end, level, ttf, number))
    return tuple(found)


def all_modes() -> dict[str, plans.FailureMode]:
    kept = {n: m for n, m in plans.modes().items() if n != "sensor_stuck"}
    return kept | plans.wearing(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("wear", ["off", "new"])
def test_injections_that_hold_grow_and_are_cleared(wear: str) -> None:
    changes = {"failure_modes": all_modes(), "injections": random_injections(), "wear": wear}
    story = assert_agrees(plans.lively(FLEET, 500.0, alarm_rules=ALARMS, truth_us=DAY_US, **changes), 2)
    assert any(cause == "injected" for _, _, cause in story.failures)


@pytest.mark.parametrize("ttf_h", [1e-6, 0.01, 0.7, 2.0, 499.0, 501.0])
def test_a_progressive_injection_fails_when_it_should(ttf_h: float) -> None:
    fault = plans.put_in("bearing_degradation", 1, 7.123, level=0.3, ttf_h=ttf_h)
    modes = plans.wearing(1.0)
    plan = plans.lively((1,), 530.0, failure_modes=modes, wear="off", injections=(fault,), corrective=None)
    story = assert_agrees(plan, 1)
    failed_us = fault.start_us + (fault.time_to_failure_us or 0)
    assert story.failures[0] == (failed_us, fault.failure_mode, "injected")


def test_a_failure_at_a_whole_hour_is_seen_at_that_hour() -> None:
    fault = plans.put_in("bearing_degradation", 1, 4.0, level=0.3, ttf_h=6.0)
    plan = plans.lively((1,), 12.0, wear="off", injections=(fault,), corrective=None)
    assert dict(plans.truth_of(plan, plans.lived(plan), "state")[1])[plans.hour(10.0)] == FAILED
    assert_agrees(plan, 1)


def test_a_progressive_injection_stands_still_with_its_machine() -> None:
    fault = plans.put_in("bearing_degradation", 1, 5.3, level=0.3, ttf_h=30.0)
    tasks = (plans.work(1, "inspect", 10.0, 4.0),)
    plan = plans.lively((1,), 60.0, wear="off", injections=(fault,), tasks=tasks, corrective=None)
    story = assert_agrees(plan, 1)
    assert story.failures == [(plans.hour(39.3), "bearing_degradation", "injected")]


def test_a_partial_repair_stops_the_growth_of_what_was_injected() -> None:
    fault = plans.put_in("rotor_imbalance", 1, 5.0, level=0.5, ttf_h=20.0)
    tasks = (plans.work(1, "balance_rotor", 15.0, 1.0),)
    plan = plans.lively((1,), 200.0, wear="off", injections=(fault,), tasks=tasks)
    assert not assert_agrees(plan).failures
    damage = [d[sorted(plan.failure_modes).index("rotor_imbalance")] for _, d in truth_damage(plan)]
    assert damage[-1] == pytest.approx(0.1 * 0.75, rel=1e-6)


def truth_damage(plan: Plan) -> list[tuple[object, ...]]:
    return plans.truth_of(plan, plans.lived(plan), "damage")[1]


def test_two_injections_of_one_mode_are_the_worse_of_them() -> None:
    faults = (
        plans.put_in("lubrication_loss", 1, 2.0, 90.0, 0.25, number=1),
        plans.put_in("lubrication_loss", 1, 10.7, 60.0, 0.1, 30.0, number=2),
    )
    assert_agrees(plans.lively((1,), 100.0, wear="off", injections=faults, corrective=None))
    assert_agrees(plans.lively((1,), 100.0, injections=faults))


# -- work -------------------------------------------------------------------------------------


@cache
def random_tasks() -> tuple[PlannedTask, ...]:
    rng, actions = np.random.default_rng(8), sorted(CATALOG.maintenance_actions)
    return tuple(
        plans.work(
            int(rng.integers(1, 6)),
            actions[int(rng.integers(len(actions)))],
            float(rng.uniform(-1.0, 900.0)),
            float(rng.choice([0.02, 1.7, 5.0, 40.0])),
            priority=str(rng.choice(["low", "medium", "high", "critical"])),
        )
        for _ in range(60)
    )


@pytest.mark.parametrize("wear", ["new", "used"])
def test_planned_work_alone_and_overlapping(wear: str) -> None:
    story = assert_agrees(plans.lively(FLEET, 900.0, wear=wear, tasks=random_tasks(), alarm_rules=ALARMS), 10)
    assert len(story.work) > 60


def test_work_that_is_halted() -> None:
    plan = plans.lively(FLEET, 900.0, tasks=random_tasks(), halt_us=plans.hour(400.0))
    story = assert_agrees(plan)
    assert all(start < plan.halt_us for start, _, _ in story.work)


def test_overlapping_work_takes_the_more_important_first() -> None:
    tasks = (
        plans.work(1, "lubricate", 10.0, 3.0, priority="low"),
        plans.work(1, "clean_cooling", 10.0, 2.0, priority="critical"),
        plans.work(1, "inspect", 9.5, 1.01, priority="low"),
    )
    story = assert_agrees(plans.lively((1,), 100.0, tasks=tasks, wear="off"))
    assert [action for _, _, action in story.work] == ["inspect", "clean_cooling", "lubricate"]
    assert story.work[1][0] == plans.hour(10.5) + 60_000_000  # the first whole minute after 10:30:36


@pytest.mark.slow
def test_all_at_once() -> None:
    plan = plans.lively(
        FLEET,
        500.0,
        wear="used",
        failure_modes=all_modes(),
        injections=random_injections(),
        tasks=random_tasks(),
        scenarios=plans.scenarios(),
        activations=scenes(),
        alarm_rules=ALARMS,
        start_us=plans.MONDAY_US + 1_234_567,
        halt_us=plans.hour(400.0),
    )
    assert_agrees(plan, 10)
