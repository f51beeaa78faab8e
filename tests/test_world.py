"""The laws where machines wear, fail and are repaired: bit for bit, however a world is told."""

from __future__ import annotations

import time
from functools import cache

import numpy as np
import plans
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import SPANS_H, random_lives

from twin.agenda import periodic_tasks
from twin.catalog.loader import load_catalog
from twin.catalog.models import AlarmRule, FailureMode, Technician, Wear, scenario_from_inputs
from twin.events import Events
from twin.life_layout import FAILED, MAINTENANCE, RUNNING, TRIPPED
from twin.plan import Activation, Corrective, Plan
from twin.policy import Rule, parse
from twin.simulation import Simulation
from twin.times import to_datetime
from twin.what_if import Change, changed

CATALOG = load_catalog()
HOUR_US, MINUTE_US = plans.HOUR_US, 60_000_000
MANY = {"deadline": None, "suppress_health_check": list(HealthCheck)}
SKILLS = ("mechanical", "electrical", "instrumentation")
Told = tuple[plans.Readings, Events]


def technician(name: str = "T", **fields: object) -> Technician:
    return Technician.model_validate({"technician_id": name, "name": name, "skills": SKILLS} | fields)


def assert_same(plan: Plan, one: Events, other: Events, *truth: str) -> None:
    """Check that two tellings of a plan agree in all rows, and in the truth's columns (all of them)."""
    assert plans.rows_of(plan, one) == plans.rows_of(plan, other)
    assert one.digest() == other.digest()
    assert plans.truth_of(plan, one, *truth) == plans.truth_of(plan, other, *truth)


def switched(scenario: str, machine_id: int, start_h: float, end_h: float | None = None) -> Activation:
    end_us = None if end_h is None else plans.hour(end_h)
    return Activation(scenario=scenario, machine_id=machine_id, start_us=plans.hour(start_h), end_us=end_us)


@cache
def eventful(hours: float = 120.0, interval_us: int = 10 * MINUTE_US, **fields: object) -> Plan:
    """Return a plan with short lives, work, alarms, trips, policies, scenarios, injections; people are around."""
    low = {n: r.model_copy(update={"limit": 75.0} if r.trip else {}) for n, r in CATALOG.alarm_rules.items()}
    rules = (*parse("periodic:2d:lubricate")[0], *parse("condition:vibration_mm_s>1.5@1h:repair")[0])
    rng, actions = np.random.default_rng(2), sorted(CATALOG.maintenance_actions)
    tasks = tuple(
        plans.work(
            int(rng.integers(1, 6)),
            actions[int(rng.integers(len(actions)))],
            float(rng.uniform(0, 100)),
            float(rng.choice([0.4, 1.7, 5.0])),
        )
        for _ in range(12)
    )
    asked: dict[str, object] = {
        "interval_us": interval_us,
        "failure_modes": plans.modes() | plans.wearing(0.004),
        "alarm_rules": low,
        "policies": rules,
        "tasks": tasks,
        "scenarios": plans.scenarios(),
        "activations": (
            switched("High load manufacturing", 1, 10.3, 70.0),
            switched("Hot environment", 3, -5.0, 50.77),
            switched("Idle standby", 4, 30.1),
            switched("Ramp", 5, 20.0, 21.5),
        ),
        "injections": (
            plans.put_in("bearing_degradation", 2, 20.02, None, 0.3, 20.0, 1),
            plans.put_in("sensor_drift", 1, 5.0, 60.0, 0.5, None, 2),
            plans.put_in("sensor_stuck", 4, 15.1, 40.0, 0.5, None, 3),
            plans.put_in("lubrication_loss", 3, 2.02, None, 0.6, 1.5, 5),
            plans.put_in("motor_overheating", 5, 55.0, 90.0, 0.9, None, 4),
        ),
    }
    return plans.lively((1, 2, 3, 4, 5), hours, **asked | fields)


def staffed(**fields: object) -> Plan:
    people = (technician("A", hourly_cost=50.0), technician("B", hourly_cost=60.0))
    return eventful(technicians=people, **fields)


def test_much_happens_in_the_plan_of_these_tests() -> None:
    plan = staffed()
    events = plans.lived(plan)
    rows = plans.rows_of(plan, events)
    assert len(rows["failures"]) > 20
    assert {row["cause"] for row in rows["failures"]} == {"wear", "injected", "secondary"}
    assert {row["origin"] for row in rows["tasks"]} == {"planned", "periodic", "condition", "corrective"}
    assert {row["status"] for row in rows["tasks"]} >= {"done", "planned"}
    assert any(row["code"] == "temperature_trip" for row in rows["alarms"])
    assert events.truth is not None
    assert set(events.truth.state.tolist()) == {RUNNING, FAILED, MAINTENANCE, TRIPPED}


# -- law 2: chunked equals whole --------------------------------------------------------------


@cache
def whole(contended: bool) -> Told:
    return plans.told(staffed() if contended else eventful())


@pytest.mark.slow
@pytest.mark.parametrize("contended", [False, True])
@pytest.mark.parametrize(("chunk", "threads"), [(1, 1), (7, 2), (1000, 3)])
def test_chunks_and_threads(chunk: int, threads: int, contended: bool) -> None:
    plan = staffed() if contended else eventful()
    readings, events = plans.told(plan, chunk, threads)
    assert plans.same(readings, whole(contended)[0])
    assert_same(plan, events, whole(contended)[1])


@pytest.mark.parametrize("step_h", [1, 5, 24])
def test_a_world_told_step_by_step(step_h: int) -> None:
    for contended, plan in enumerate((eventful(), staffed())):
        assert_same(plan, plans.lived(plan, step_h), plans.lived(plan))
        assert_same(plan, plans.lived(plan), whole(bool(contended))[1])


@settings(max_examples=6, deadline=None)
@given(st.permutations([0, 1, 2, 3, 4]))
def test_the_order_of_the_machines_does_not_matter(order: list[int]) -> None:
    plan = staffed()
    other = plan.model_copy(update={"machines": tuple(plan.machines[i] for i in order)})
    readings, events = plans.told(other, 333, 2)
    assert plans.same(readings, whole(True)[0][:, order].copy())
    assert plans.rows_of(other, events) == plans.rows_of(plan, whole(True)[1])
    assert plans.truth_of(other, events) == plans.truth_of(plan, whole(True)[1])


@settings(max_examples=6, deadline=None)
@given(st.sets(st.integers(1, 5), min_size=1, max_size=4))
def test_a_part_of_the_fleet_lives_as_in_the_whole(ids: set[int]) -> None:
    plan, (readings, events) = eventful(), whole(False)
    part = part_of(plan, ids)
    ours, told = plans.told(part)
    assert plans.same(ours, readings[:, [i - 1 for i in sorted(ids)]].copy())
    for name, rows in plans.rows_of(part, told).items():
        theirs = [row for row in plans.rows_of(plan, events)[name] if row["machine_id"] in ids]
        assert rows == theirs
    truth = plans.truth_of(plan, events)
    assert plans.truth_of(part, told) == {i: truth[i] for i in ids}


def part_of(plan: Plan, ids: set[int]) -> Plan:
    kept: dict[str, object] = {
        name: tuple(x for x in getattr(plan, name) if x.machine_id in ids)
        for name in ("machines", "activations", "injections", "tasks")
    }
    return plan.model_copy(update=kept)


@pytest.mark.parametrize("people", [0, 3])
def test_a_fleet_large_enough_for_threads(people: int) -> None:
    staff = tuple(technician(f"T-{i}", shift_start_h=6.0, shift_end_h=18.0) for i in range(people))
    plan = plans.lively(range(1, 131), 200.0, technicians=staff, alarm_rules=dict(CATALOG.alarm_rules))
    assert_same(plan, plans.lived(plan, threads=1), plans.lived(plan, threads=2))


@pytest.mark.slow
@settings(max_examples=80, **MANY)
@given(random_lives(SPANS_H[:3], staffed=False), st.sampled_from([1, 7, 100]), st.sampled_from([1, 2]))
def test_random_worlds_in_chunks(plan: Plan, chunk: int, threads: int) -> None:
    plan = plan.model_copy(update={"telemetry": True, "interval_us": HOUR_US})
    (one, first), (other, second) = plans.told(plan), plans.told(plan, chunk, threads)
    assert plans.same(one, other)
    assert_same(plan, first, second, "state", "damage")
    assert_same(plan, first, plans.lived(plan), "state", "damage")


# -- law 3: the plant does not depend on the sampling interval --------------------------------


def hasty(interval_us: int, telemetry: bool = True) -> Plan:
    """Return six hours in which parts live for an hour or two."""
    modes = plans.wearing(0.0003)
    quick = {n: a.model_copy(update={"duration_min": 7.5}) for n, a in CATALOG.maintenance_actions.items()}
    rules = parse("condition:vibration_mm_s>1.2@0h:repair")[0]
    return plans.lively(
        (1, 2, 5),
        6.0,
        interval_us=interval_us,
        telemetry=telemetry,
        failure_modes=modes,
        actions=quick,
        truth_us=10 * MINUTE_US,
        policies=rules,
        corrective=Corrective(response_us=MINUTE_US),
        tasks=(plans.work(1, "lubricate", 0.503, 0.2), plans.work(2, "inspect", 3.0, 0.5)),
        technicians=(technician(),),
        injections=(plans.put_in("shaft_misalignment", 5, 1.01, 4.0, 0.2, 1.5),),
        alarm_rules=dict(CATALOG.alarm_rules),
        start_us=plans.MONDAY_US + 250_000,
    )


@pytest.mark.slow
def test_what_happens_does_not_depend_on_the_sampling_interval() -> None:
    plan = hasty(HOUR_US)
    expected = plans.lived(plan)
    assert len(expected.failures) > 8
    fine, events = plans.told(hasty(100_000))
    assert_same(plan, events, expected)
    second, events = plans.told(hasty(1_000_000))
    assert_same(plan, events, expected)
    hourly, events = plans.told(plan)
    assert_same(plan, events, expected)
    assert plans.same(fine[:, :, ::10].copy(), second)
    assert plans.same(second[:, :, ::3600].copy(), hourly)
    silent = hasty(HOUR_US, telemetry=False)
    assert_same(plan, plans.told(silent)[1], expected)


@pytest.mark.parametrize("share", [0.02, 0.005])
@pytest.mark.parametrize("truth_us", [None, 7 * MINUTE_US, 24 * HOUR_US])
def test_what_happens_does_not_depend_on_how_often_the_truth_is_told(truth_us: int | None, share: float) -> None:
    """But for a rounding to the next microsecond: an age is the sum of more intervals."""
    plan = plans.lively((1, 2, 3, 4, 5), 800.0, failure_modes=plans.wearing(share))
    rows = [
        [(f["machine_id"], f["failed_at"], f["mode"], f["cause"]) for f in plans.lived(p).failures]
        for p in (plan, plan.model_copy(update={"truth_us": truth_us}))
    ]
    assert [r[:1] + r[2:] for r in rows[0]] == [r[:1] + r[2:] for r in rows[1]]
    assert max(abs(a[1] - b[1]) for a, b in zip(*rows, strict=True)) <= 10


# -- law 4: paired worlds ---------------------------------------------------------------------

HALF_US = plans.hour(60.2)
HALF = to_datetime(HALF_US)
KINDS = ("repair", "scenario", "policy")
SCENE = scenario_from_inputs("Rush", load=1.1, speed_factor=1.2, priority=90)
CHANGES = {
    "repair": Change(at=HALF, machines=2, repair="overhaul"),
    "scenario": Change(at=HALF, machines=2, scenario=SCENE),
    "clear": Change(at=HALF, machines=5, clear="motor_overheating"),
    "policy": Change(at=HALF, policy="condition:vibration_mm_s>0.8@0h:overhaul"),
    "calendar": Change(at=HALF, policy="periodic:1d"),
    "halt": Change(at=HALF, maintenance=False),
}


def assert_paired(one: Plan, other: Plan, from_us: int, machine_id: int | None = None) -> None:
    """Check that two worlds agree before a time, and always on all machines but one (None: on none for sure)."""
    (a, first), (b, second) = plans.told(one), plans.told(other)
    times = one.start_us + np.arange(one.ticks, dtype=np.int64) * one.interval_us
    rows = plans.rows_of(one, first), plans.rows_of(other, second)
    truth = plans.truth_of(one, first, "state", "damage"), plans.truth_of(other, second, "state", "damage")
    when = {"failures": "failed_at", "log": "end_at", "lives": "ended_at", "alarms": "ts", "tasks": "started_at"}
    for m, machine in enumerate(one.machines):
        alike = machine_id not in (None, machine.machine_id)
        equal = np.full(one.ticks, True) if alike else times < from_us
        assert plans.same(a[:, m, equal].copy(), b[:, m, equal].copy())
        for name, moment in when.items():
            own = [
                [
                    row
                    for row in side[name]
                    if row["machine_id"] == machine.machine_id
                    and (alike or (row[moment] is not None and row[moment] < from_us))
                ]
                for side in rows
            ]
            if name == "tasks" and not alike:  # what has begun may be cut off or not
                own = [[row["number"] for row in side] for side in own]
            assert own[0] == own[1], name
        own_truth = [[row for row in side[machine.machine_id] if alike or row[0] < from_us] for side in truth]
        assert own_truth[0] == own_truth[1]


@pytest.mark.slow
@pytest.mark.parametrize("kind", CHANGES)
def test_a_change_is_felt_neither_before_nor_elsewhere(kind: str) -> None:
    change, plan = CHANGES[kind], eventful()
    other, _ = changed(plan, change)
    assert_paired(plan, other, HALF_US, change.machines)
    assert not plans.same(plans.told(plan)[0], plans.told(other)[0])


@pytest.mark.slow
@pytest.mark.parametrize("kind", CHANGES)
def test_a_change_is_not_felt_before_where_people_are_shared(kind: str) -> None:
    plan = staffed()
    other, _ = changed(plan, CHANGES[kind])
    assert_paired(plan, other, HALF_US)


def test_an_injection_is_felt_neither_before_nor_elsewhere() -> None:
    plan = eventful()
    for ttf_h in (None, 3.0):
        more = plans.put_in("lubrication_loss", 4, 60.2, None, 0.5, ttf_h, 99)
        assert_paired(plan, plan.model_copy(update={"injections": (*plan.injections, more)}), HALF_US, 4)


@pytest.mark.slow
@settings(max_examples=60, **MANY)
@given(random_lives(SPANS_H[:3], staffed=False), st.floats(0.05, 0.9), st.sampled_from(KINDS))
def test_random_worlds_are_paired(plan: Plan, share: float, kind: str) -> None:
    plan = plan.model_copy(update={"telemetry": True, "interval_us": HOUR_US, "halt_us": None})
    at_us = plan.start_us + round(share * (plan.end_us - plan.start_us))
    machine_id = plan.machines[0].machine_id
    change = {
        "repair": Change(at=to_datetime(at_us), machines=machine_id, repair="overhaul"),
        "scenario": Change(at=to_datetime(at_us), machines=machine_id, scenario=SCENE),
        "policy": Change(at=to_datetime(at_us), policy="condition:vibration_mm_s>1.0@0h"),
    }[kind]
    assert_paired(plan, changed(plan, change)[0], at_us, change.machines)


def uncoupled(share: float = 0.02) -> dict[str, FailureMode]:
    return plans.wearing(share, None, accelerated_by={}, doubling_k=None)


@pytest.mark.parametrize("action", ["replace_bearing", "balance_rotor", "service", "overhaul"])
def test_a_repair_leaves_what_it_does_not_treat_as_it_is(action: str) -> None:
    """Bit for bit as after a look of the same length, for ever; and at its end as at its beginning."""
    restores = CATALOG.maintenance_actions[action].restores
    modes = uncoupled(0.2)
    stories = []
    for done in (action, "inspect"):
        tasks = (plans.work(2, done, 30.37, 3.21),)
        plan = plans.lively((2,), 300.0, failure_modes=modes, corrective=None, tasks=tasks, wear="used", seed=8)
        stories.append(plans.lived(plan))
    names = sorted(modes)
    others = [k for k, name in enumerate(names) if name not in restores]
    tables = [{row[0]: row[2] for row in plans.truth_of(plan, events)[2]} for events in stories]
    failed = [min((f["failed_at"] for f in events.failures), default=plan.end_us) for events in stories]
    both = sorted(ts for ts in tables[0].keys() & tables[1].keys() if ts <= min(failed))
    assert len(both) > 40
    for ts in both:
        assert [tables[0][ts][k] for k in others] == [tables[1][ts][k] for k in others]
    begin, end = plans.work(2, action, 30.37, 3.21).scheduled_us, stories[0].log[0]["end_at"]
    begin = -(-begin // MINUTE_US) * MINUTE_US
    assert [tables[0][begin][k] for k in others] == [tables[0][end][k] for k in others]
    treated = [k for k, name in enumerate(names) if restores.get(name, 0.0) > 0.0]
    for k in treated:
        kept = (1.0 - restores[names[k]]) * tables[0][begin][k]
        assert tables[0][end][k] == pytest.approx(kept, rel=1e-5, abs=1e-9)


# -- resuming ---------------------------------------------------------------------------------


def resumed(plan: Plan, tick: int, threads: int = 1) -> Told:
    """Return what follows a tick at which a simulation was put away and taken up in another."""
    with Simulation(plan, threads) as before:
        before.advance(tick)
        saved = before.state()
    with Simulation(plan, threads).restore(saved) as after:
        chunk = after.advance(plan.ticks)
    return chunk.values.reshape(8, len(plan.machines), -1).copy(), chunk.events


@pytest.mark.slow
@pytest.mark.parametrize("contended", [False, True])
@pytest.mark.parametrize("tick", [1, 5, 6, 7, 61, 300, 719])
def test_a_simulation_goes_on_where_it_was_put_away(tick: int, contended: bool) -> None:
    plan = staffed() if contended else eventful()
    readings, events = resumed(plan, tick)
    assert plans.same(readings, whole(contended)[0][:, :, tick:].copy())
    with Simulation(plan, 1) as undisturbed:
        undisturbed.advance(tick)
        expected = undisturbed.advance(plan.ticks).events
    assert plans.rows_of(plan, events) == plans.rows_of(plan, expected)
    assert plans.truth_of(plan, events) == plans.truth_of(plan, expected)


@settings(max_examples=30, **MANY)
@given(random_lives(SPANS_H[:2], staffed=False), st.integers(1, 29))
def test_random_worlds_go_on_where_they_were_put_away(plan: Plan, tick: int) -> None:
    plan = plan.model_copy(update={"telemetry": True, "interval_us": HOUR_US})
    tick = min(tick, plan.ticks - 1)
    readings, events = resumed(plan, tick)
    with Simulation(plan, 1) as undisturbed:
        undisturbed.advance(tick)
        chunk = undisturbed.advance(plan.ticks)
    assert plans.same(readings, chunk.values.reshape(readings.shape))
    assert_same(plan, events, chunk.events, "state", "damage")


# -- one by one: where the laws were found broken ---------------------------------------------

MONDAYS = technician(weekdays="1", shift_start_h=8.0, shift_end_h=9.0)
WEDNESDAYS = technician(weekdays="3", shift_start_h=8.0, shift_end_h=9.0)


@pytest.mark.xfail(reason="a failed machine that waits for somebody is not followed to the end of what is told")
def test_the_truth_of_a_machine_that_waits_for_somebody_is_told() -> None:
    plan = plans.lively((1, 2), 100.0, failure_modes=plans.wearing(0.005), technicians=(MONDAYS,))
    times = [row[0] for row in plans.truth_of(plan, plans.lived(plan))[1]]
    assert times[-1] == plans.hour(99.0)


@pytest.mark.xfail(reason="so its signals miss what the plan switches meanwhile, unless it is simulated in chunks")
def test_the_signals_of_a_machine_that_waits_for_somebody_follow_the_plan() -> None:
    plan = plans.lively(
        (3,),
        100.0,
        failure_modes=plans.wearing(0.005),
        technicians=(MONDAYS,),
        scenarios={"Hot": scenario_from_inputs("Hot", ambient_c=45.0)},
        activations=(switched("Hot", 3, 30.0),),
    )
    at_once = plans.readings(plan)
    assert at_once[0, 0, 50] > 40.0
    assert plans.same(at_once, plans.readings(plan, 7))


@pytest.mark.xfail(reason="the catching up of a machine that stood stops where the notes are full")
def test_a_machine_that_waited_for_long_is_in_maintenance_from_when_it_is_worked_on() -> None:
    modes = plans.wearing(0.002)
    fine = plans.lively((1,), 60.0, failure_modes=modes, technicians=(WEDNESDAYS,), truth_us=20_000_000)
    events = plans.lived(fine)
    states = dict(plans.truth_of(fine, events, "state")[1])
    assert min(ts for ts, state in states.items() if state == MAINTENANCE) == plans.hour(56.0)


@pytest.mark.parametrize("step_h", [1, 24])
@pytest.mark.xfail(reason="without a look ahead a remaining life is known only where the failure is told with it")
def test_remaining_life_without_an_interval_of_the_truth_does_not_depend_on_chunks(step_h: int) -> None:
    plan = plans.lively((1, 2), 400.0, truth_us=None)
    assert_same(plan, plans.lived(plan, step_h), plans.lived(plan))


@pytest.mark.xfail(reason="the same, where nothing wears nor grows: no look ahead")
def test_remaining_life_before_a_step_to_full_damage_does_not_depend_on_chunks() -> None:
    fault = plans.put_in("bearing_degradation", 1, 7.5, level=1.0)
    plan = plans.lively((1,), 20.0, wear="off", injections=(fault,))
    assert_same(plan, plans.lived(plan, 1), plans.lived(plan))


@pytest.mark.xfail(reason="the horizon is counted from where the look ahead begins, which chunks decide")
def test_the_horizon_of_remaining_life_does_not_depend_on_chunks() -> None:
    law = Wear(shape=20.0, life_h=87_900.0, load_exponent=0.0, speed_exponent=0.0)
    bearing = CATALOG.failure_modes["bearing_degradation"].model_copy(update={"wear": law})
    plan = plans.lively(range(1, 9), 2000.0, failure_modes={"bearing_degradation": bearing})
    assert_same(plan, plans.lived(plan, 24), plans.lived(plan))


@pytest.mark.xfail(reason="the look ahead keeps the trips alone, but takes over what is raised by position")
def test_trips_count_in_remaining_life() -> None:
    """A machine that trips all the time hardly runs, and its remaining life is long."""
    rules = {
        "always": AlarmRule(name="always", channel="vibration_g", limit=0.01),
        "trip": AlarmRule(name="trip", channel="power_w", limit=1.0, trip=True, trip_h=2),
    }
    plan = plans.lively((1,), 500.0, alarm_rules=rules, corrective=None)
    assert_same(plan, plans.lived(plan, 1), plans.lived(plan))


@pytest.mark.xfail(reason="a repair makes the tasks and the policy of a plan act that did not, from its start")
def test_a_repair_in_a_world_without_maintenance_is_not_felt_before() -> None:
    tasks = (plans.work(2, "overhaul", 10.0),)
    plan = plans.lively((1, 2), 100.0, acting=False, corrective=None, tasks=tasks)
    other, _ = changed(plan, Change(at=to_datetime(plans.hour(36.0)), repair="inspect", machines=1))
    assert [row["machine_id"] for row in plans.lived(other).log] == [1]


@pytest.mark.xfail(reason="a policy asks for nothing where the plan's maintenance does not act, and nobody says so")
def test_a_policy_in_a_world_without_maintenance_acts() -> None:
    plan = plans.lively((1,), 300.0, acting=False, corrective=None, failure_modes=plans.wearing(1.0))
    other, _ = changed(plan, Change(at=to_datetime(plans.hour(36.0)), policy="periodic:2d"))
    assert plans.lived(other).log


@pytest.mark.xfail(reason="more than 10,000 tasks of one rule take the numbers of the next rule's")
def test_every_work_order_has_a_number_of_its_own() -> None:
    rules = tuple(Rule(kind="periodic", action="inspect", every_us=HOUR_US) for _ in range(2))
    plan = plans.lively((1,), 24.0 * 430, policies=rules)
    numbers = [task.number for task in periodic_tasks(plan)]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.xfail(reason="work that leaves a machine failed is charged its standstill, and the repair once more")
def test_no_hour_of_standstill_is_charged_twice() -> None:
    tasks = (plans.work(1, "inspect", 60.0),)
    plan = plans.lively((1,), 200.0, corrective=Corrective(response_us=50 * HOUR_US), tasks=tasks)
    events = plans.lived(plan)
    rate = plan.machine_types["spindle"].downtime_cost_per_h
    stood_h = sum(row["downtime_cost"] for row in events.log[:2]) / rate
    begin, end = events.failures[0]["failed_at"], events.log[1]["end_at"]
    assert stood_h <= (end - begin) / HOUR_US + 1e-9


@pytest.mark.xfail(reason="an injection that has grown to the full goes on to cut time into its steps: for ten years")
def test_looking_ahead_of_a_growing_sensor_fault_takes_no_time() -> None:
    fault = plans.put_in("sensor_drift", 1, 1.0, level=0.5, ttf_h=1.0)
    plan = plans.lively((1,), 24.0, wear="off", failure_modes=plans.modes(), injections=(fault,))
    plans.lived(plans.lively((1,), 2.0))  # compiled
    began = time.perf_counter()
    plans.lived(plan)
    assert time.perf_counter() - began < 2.0


@pytest.mark.xfail(reason="loads are divided by the nominal load, also where it is 0: a loaded bearing fails at once")
def test_a_machine_without_a_nominal_load_does_not_fail_at_once() -> None:
    idle = CATALOG.machine_types["spindle"].model_copy(update={"nominal_load": 0.0})
    duty = {"Duty": scenario_from_inputs("Duty", load=0.5)}
    plan = plans.lively(
        (1,),
        48.0,
        failure_modes=plans.wearing(1.0),
        machine_types={"spindle": idle},
        scenarios=duty,
        activations=(switched("Duty", 1, 0.0),),
    )
    assert not plans.lived(plan).failures
