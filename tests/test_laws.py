"""Laws 1 to 5, with noise on: bit for bit, whatever the way in which the rows were made."""

from __future__ import annotations

import multiprocessing
import random
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import plans
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import activations, injections, random_plans

from twin.digest import as_text
from twin.plan import Plan
from twin.simulation import Simulation
from twin.truth import ground_truth

HERE = Path(__file__).parent
BUSY_S = 3000.0


@cache
def busy() -> tuple[Plan, plans.Readings]:
    plan = plans.busy(seconds=BUSY_S)
    return plan, plans.readings(plan)


def digest(plan: Plan) -> str:
    with Simulation(plan) as simulation:
        return as_text(simulation.advance(plan.ticks).digest())


# -- law 1: noise is addressed, not drawn -----------------------------------------------------


def test_numbers_depend_on_no_generator_and_on_no_earlier_simulation() -> None:
    plan, whole = busy()
    np.random.seed(1)  # noqa: NPY002
    state = np.random.get_state(legacy=False)["state"]["key"]  # noqa: NPY002
    with Simulation(plans.make((9,), 50.0, seed=3)) as other, Simulation(plan) as simulation:
        first = simulation.advance(20).values.copy()
        other.advance(31)
        second = simulation.advance(20).values.copy()
    shape = (len(whole), len(plan.machines), 20)
    assert plans.same(np.concatenate([first.reshape(shape), second.reshape(shape)], axis=2), whole[:, :, :40])
    assert np.array_equal(state, np.random.get_state(legacy=False)["state"]["key"])  # noqa: NPY002


def test_another_seed_is_other_weather() -> None:
    a, b = plans.readings(plans.make((1, 2), 600.0, seed=1)), plans.readings(plans.make((1, 2), 600.0, seed=2))
    for c in range(len(a)):
        correlation = np.corrcoef(np.diff(a[c, 0]), np.diff(b[c, 0]))[0, 1]
        assert abs(correlation) < 5 / 600**0.5
    assert not np.array_equal(a, b)


def test_no_two_machines_share_their_noise() -> None:
    twins = [plans.machine(m, "spindle").model_copy(update={"unit_seed": 1}) for m in range(1, 7)]
    readings = plans.readings(plans.make(twins, 2000.0))
    for channel in readings:
        correlation = np.corrcoef(np.diff(channel, axis=1)) - np.eye(len(twins))
        assert np.abs(correlation).max() < 5 / 2000**0.5


# -- law 2: chunked equals whole --------------------------------------------------------------


@pytest.mark.parametrize("chunk", [1, 7, 1000, 2048, 2049])
def test_chunks(chunk: int) -> None:
    plan, whole = busy()
    assert plans.same(plans.readings(plan, chunk), whole)


@pytest.mark.parametrize("threads", [2, 3, 5])
def test_threads(threads: int) -> None:
    plan, whole = busy()
    assert plans.same(plans.readings(plan, 1000, threads), whole)


@settings(max_examples=15)
@given(st.permutations(range(1, 6)), st.integers(1, 5), st.integers(1, 3))
def test_permuted_and_partial_fleets(order: list[int], size: int, threads: int) -> None:
    _, whole = busy()
    some = order[:size]
    part = plans.readings(plans.busy(some, BUSY_S), 997, threads)
    assert plans.same(part, whole[:, [m - 1 for m in some]])


@settings(max_examples=60)
@given(random_plans(ticks=120), st.lists(st.integers(1, 50), min_size=1, max_size=8), st.integers(1, 3))
def test_random_plans_in_random_chunks(plan: Plan, sizes: list[int], threads: int) -> None:
    assert plans.same(plans.readings(plan, sizes, threads), plans.readings(plan))


@given(random_plans(ticks=60), st.randoms(use_true_random=False))
def test_random_plans_with_parts_of_their_fleet(plan: Plan, rng: random.Random) -> None:
    whole = plans.readings(plan)
    order = list(range(len(plan.machines)))
    rng.shuffle(order)
    some = order[: rng.randint(1, len(order))]
    assert plans.same(plans.readings(part_of(plan, some)), whole[:, some])


def part_of(plan: Plan, positions: list[int]) -> Plan:
    machines = tuple(plan.machines[p] for p in positions)
    ids = {m.machine_id for m in machines}
    fields = dict(plan)
    for name in ("activations", "injections"):
        fields[name] = tuple(x for x in fields[name] if x.machine_id in ids)
    return Plan.model_validate({**fields, "machines": machines})


def _part(ids: list[int]) -> plans.Readings:
    return plans.readings(plans.busy(ids, BUSY_S), 500)


def test_two_processes() -> None:
    _, whole = busy()
    parts = [[4, 1], [2, 5, 3]]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        for ids, readings in zip(parts, pool.map(_part, parts), strict=True):
            assert plans.same(readings, whole[:, [m - 1 for m in ids]])


# -- law 3: the plant does not depend on the sampling interval --------------------------------


@pytest.mark.parametrize(("interval_us", "ours", "theirs"), [(100_000, 10, 1), (60_000_000, 1, 60), (7_000_000, 1, 7)])
def test_sampling_intervals(interval_us: int, ours: int, theirs: int) -> None:
    _, whole = busy()
    sampled = plans.readings(plans.busy(seconds=BUSY_S, interval_us=interval_us))
    assert plans.same(sampled[:, :, ::ours].copy(), whole[:, :, ::theirs].copy())


@given(random_plans(ticks=60), st.integers(2, 20))
def test_random_plans_at_a_coarser_interval(plan: Plan, factor: int) -> None:
    coarse = plan.model_copy(update={"interval_us": plan.interval_us * factor})
    assert plans.same(plans.readings(coarse), plans.readings(plan)[:, :, ::factor].copy())


def test_the_truth_does_not_depend_on_the_interval() -> None:
    assert ground_truth(plans.busy(interval_us=100_000)) == ground_truth(plans.busy(interval_us=60_000_000))


def test_a_longer_plan_begins_as_a_shorter_one() -> None:
    _, whole = busy()
    assert plans.same(plans.readings(plans.busy(seconds=1234.0)), whole[:, :, :1234].copy())


# -- law 4: paired worlds ---------------------------------------------------------------------


def assert_paired(one: Plan, other: Plan, machine_id: int, from_us: int) -> None:
    """Check that two plans agree before a time, and at all times on the other machines."""
    a, b = plans.readings(one), plans.readings(other)
    for m, machine in enumerate(one.machines):
        times = one.start_us + np.arange(one.ticks) * one.interval_us
        equal = times < from_us if machine.machine_id == machine_id else np.full(one.ticks, True)
        assert plans.same(a[:, m, equal].copy(), b[:, m, equal].copy())


@settings(max_examples=60)
@given(random_plans(ticks=80), st.data())
def test_what_begins_later_or_elsewhere_changes_nothing(plan: Plan, data: st.DataObject) -> None:
    machine_id = data.draw(st.sampled_from([m.machine_id for m in plan.machines]))
    seconds = (plan.end_us - plan.start_us) * 1e-6
    more = data.draw(activations((machine_id,), seconds))
    faults = data.draw(injections((machine_id,), seconds))
    taken = {a.scenario for a in plan.activations if a.machine_id == machine_id}
    more = [a for a in more if a.scenario not in taken]
    assume(more or faults)
    from_us = min([a.start_us for a in more] + [i.start_us for i in faults])
    other = Plan.model_validate(
        {
            **dict(plan),
            "activations": (*more, *plan.activations),
            "injections": (*plan.injections, *faults),
            "scenarios": plan.scenarios | {a.scenario: plans.scenarios()[a.scenario] for a in more},
            "failure_modes": plan.failure_modes | {i.failure_mode: plans.modes()[i.failure_mode] for i in faults},
        }
    )
    assert_paired(plan, other, machine_id, from_us)


@settings(max_examples=40)
@given(random_plans(ticks=80), st.data())
def test_what_ends_later_or_elsewhere_changes_nothing(plan: Plan, data: st.DataObject) -> None:
    assume(plan.activations or plan.injections)
    kind = data.draw(st.sampled_from([k for k in ("activations", "injections") if getattr(plan, k)]))
    spans = list(getattr(plan, kind))
    index = data.draw(st.integers(0, len(spans) - 1))
    span = spans[index]
    from_us = span.start_us + data.draw(st.integers(1, plan.end_us - plan.start_us))
    assume(span.end_us is None or from_us < span.end_us)
    spans[index] = span.model_copy(update={"end_us": from_us})
    assert_paired(plan, plan.model_copy(update={kind: tuple(spans)}), span.machine_id, from_us)


def test_a_switch_within_a_minute_is_not_felt_before_it() -> None:
    """The thermal cell that is cut by the switch has the same beginning as the whole one."""
    begin = plans.active("High load manufacturing", 1, 100.0)
    until = plans.active("High load manufacturing", 1, 100.0, 118.0)
    one, other = (plans.make((1,), 400.0, 100_000, activations=[a]) for a in (begin, until))
    assert_paired(one, other, 1, plans.at(118.0))
    assert not plans.same(plans.readings(one), plans.readings(other))


def test_a_repair_leaves_the_weather_as_it_is() -> None:
    """With and without the fault's end, the noise of the instruments is the same number for number."""
    ends = plans.injected("winding_degradation", 1, 0.0, 600.0)
    stays = ends.model_copy(update={"end_us": None})
    a, b = (plans.readings(plans.make((1,), 1200.0, injections=[i])) for i in (ends, stays))
    speed = 6
    assert np.array_equal(a[speed], b[speed])
    assert np.array_equal(a[1], b[1])  # vibration does not know of the winding
    assert not np.array_equal(a[4, 0, 600:], b[4, 0, 600:])


# -- law 5: replay ----------------------------------------------------------------------------


REPLAY = """
import sys
from twin.digest import as_text, join
from twin.plan import Plan
from twin.simulation import Simulation
plan, total = Plan.from_json(sys.stdin.read()), 0
with Simulation(plan, threads=1) as simulation:
    while simulation.tick < plan.ticks:
        total = join(total, simulation.advance(321).digest())
print(as_text(total))
"""


def replayed_elsewhere(text: str) -> str:
    """Return the digest of a plan in a fresh process."""
    made = subprocess.run(
        [sys.executable, "-c", REPLAY], input=text, capture_output=True, text=True, check=True, cwd=HERE.parent
    )
    return made.stdout.strip()


def test_a_plan_replayed_in_another_process_has_the_same_digest() -> None:
    plan, _ = busy()
    assert replayed_elsewhere(plan.to_json()) == digest(plan)


GOLDEN = {
    "plain": "cc175a94d44417f55ef3d5412ff2d7d7",
    "busy": "a000aeb989ce3a5b9e6acc8b733a3abd",
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_digests(name: str) -> None:
    """What was simulated once is simulated for ever; a change here is a change of every user's runs."""
    plan = Plan.from_json((HERE / "golden" / f"{name}.json").read_text())
    assert digest(plan) == GOLDEN[name]


@given(random_plans(ticks=20))
def test_a_plan_survives_its_text(plan: Plan) -> None:
    again = Plan.from_json(plan.to_json())
    assert again == plan
    assert again.sha256 == plan.sha256
    assert digest(again) == digest(plan)


def test_another_plan_has_another_hash() -> None:
    plan, _ = busy()
    assert plan.sha256 != plan.model_copy(update={"seed": plan.seed + 1}).sha256
    assert plan.sha256 == plans.busy(seconds=BUSY_S).sha256
