"""State and time: restore, refusals, buffers."""

from __future__ import annotations

import numpy as np
import plans
import pytest

from twin.catalog.parameters import CHANNELS
from twin.errors import BadRequest
from twin.plan import Plan
from twin.simulation import Buffers, Simulation


@pytest.fixture(scope="module")
def plan() -> Plan:
    return plans.busy(seconds=1500.0)


@pytest.mark.parametrize("tick", [0, 1, 59, 733, 1499])
def test_a_restored_simulation_goes_on_as_if_nothing_had_happened(plan: Plan, tick: int) -> None:
    with Simulation(plan, threads=1) as first, Simulation(plan, threads=1) as second:
        if tick:
            first.advance(tick)
        second.restore(first.state())
        assert second.tick == tick
        a, b = first.advance(plan.ticks), second.advance(plan.ticks)
        assert plans.same(a.values, b.values)
        assert first.state() == second.state()


def test_the_state_does_not_depend_on_the_chunks(plan: Plan) -> None:
    states = []
    for sizes in ((1000,), (1, 7, 13, 979)):
        with Simulation(plan, threads=1) as simulation:
            for size in sizes:
                simulation.advance(size)
            states.append(simulation.state())
    assert states[0] == states[1]


def test_a_state_of_another_version_or_fleet_is_refused(plan: Plan) -> None:
    with Simulation(plan) as simulation:
        saved = simulation.state()
        smaller = Simulation(plans.busy((1, 2), 1500.0))
        with pytest.raises(BadRequest, match="another version"):
            smaller.restore(saved)
        with pytest.raises(BadRequest, match="another version"):
            simulation.restore(b"00000000" + saved[8:])


def test_a_damaged_state_is_refused(plan: Plan) -> None:
    with Simulation(plan) as simulation:
        saved = simulation.state()
        for broken in (b"", saved[:5], saved[:-1], saved + b"x", saved.replace(b":0:", b":x:", 1)):
            with pytest.raises(BadRequest):
                simulation.restore(broken)


def test_asking_for_too_little_or_beyond_the_end_is_refused(plan: Plan) -> None:
    with Simulation(plan) as simulation:
        for ticks in (0, -1):
            with pytest.raises(BadRequest, match="ask for 1 to"):
                simulation.advance(ticks)
        assert simulation.advance(10 * plan.ticks).ticks == plan.ticks
        with pytest.raises(BadRequest, match="0 left"):
            simulation.advance(1)


def test_a_chunk_names_its_machines_and_times() -> None:
    plan = plans.make((4, 2), 10.0, 250_000)
    with Simulation(plan) as simulation:
        simulation.advance(3)
        chunk = simulation.advance(5)
    assert (chunk.tick, chunk.ticks, chunk.rows) == (3, 5, 10)
    assert chunk.machine_id.tolist() == [4] * 5 + [2] * 5
    assert chunk.ts.tolist() == [plan.start_us + k * 250_000 for k in range(3, 8)] * 2
    columns = chunk.columns()
    assert list(columns) == ["machine_id", "ts", *CHANNELS]
    assert all(np.shares_memory(columns[name], chunk.values) for name in CHANNELS)


def test_missing_readings_are_announced() -> None:
    quiet = plans.make((1, 2), 60.0)
    dropping = plans.make((1, 2), 60.0, injections=[plans.injected("sensor_dropout", 2, 20.0)])
    with Simulation(quiet) as a, Simulation(dropping) as b:
        assert not any(a.advance(60).missing)
        assert not any(b.advance(20).missing)
        after = b.advance(40)
    assert after.missing == tuple(bool(np.isnan(channel).any()) for channel in after.values)
    assert any(after.missing)


def test_buffers_are_used_again(plan: Plan) -> None:
    with Simulation(plan, threads=1) as simulation, Simulation(plan, threads=1) as fresh:
        buffers = Buffers(100 * len(plan.machines))
        for size in (100, 37, 100, 1):
            used, own = simulation.advance(size, buffers), fresh.advance(size)
            assert plans.same(used.values, own.values)
            assert np.array_equal(used.ts, own.ts)
            assert np.array_equal(used.machine_id, own.machine_id)
        assert np.shares_memory(used.values, simulation.advance(50, buffers).values)


def test_more_threads_than_machines_are_not_started(plan: Plan) -> None:
    assert Simulation(plan, threads=64).threads == len(plan.machines)
    assert Simulation(plans.make((1,), 5.0), threads=2).threads == 1
