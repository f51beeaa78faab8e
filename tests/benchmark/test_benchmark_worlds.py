"""Worlds of the benchmark: addressed draws, dials that do what they say, and one plan however it is written down."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from twin.benchmark.worlds import SENSOR_FAULTS, START, World
from twin.catalog.loader import load_catalog
from twin.times import parse_time

VARIED = World(12, 60, 3, signal=0.5, variation=4.0, wander=2.0, duty=1.0, turn_days=(1.0, 4.0), faults=20.0, life=2.0)
DAY_US = 86_400_000_000


def test_draws_are_addressed_and_stay_as_they_were() -> None:
    world = World(12, 60, 3)
    assert world.draw(1, "turn", 0) == 0.6355471745238113  # frozen: other draws are other tasks
    assert world.draw(1, "turn", 0) == VARIED.draw(1, "turn", 0)
    many = [world.draw(machine, "turn", k) for machine in range(50) for k in range(40)]
    assert len(set(many)) == len(many)
    assert abs(sum(many) / len(many) - 0.5) < 0.02


def test_the_dials_change_the_catalog_and_nothing_else() -> None:
    ours, whole = VARIED.catalog(), load_catalog()
    wearing = whole.failure_modes["bearing_degradation"]
    changed = ours.failure_modes["bearing_degradation"]
    assert changed.wear is not None
    assert wearing.wear is not None
    assert changed.wear.life_h == 2.0 * wearing.wear.life_h
    assert [e.gain for e in changed.effects] == [0.5 * (e.gain or 0.0) for e in wearing.effects]
    assert ours.failure_modes["sensor_drift"] == whole.failure_modes["sensor_drift"]
    kind, plain = ours.machine_types["fan"], whole.machine_types["fan"]
    assert kind.load_sd == 2.0 * plain.load_sd
    assert kind.variation["efficiency"] == plain.variation["efficiency"]
    assert kind.variation["vibration_floor_g"] == min(0.3, 4.0 * plain.variation["vibration_floor_g"])
    still = World(12, 60, 3).catalog()
    assert still.failure_modes == dict(whole.failure_modes)
    assert still.machine_types == dict(whole.machine_types)


def test_turns_follow_one_another_over_the_whole_span() -> None:
    begin = parse_time(START, "start")
    for machine_id in range(1, 13):
        turns = VARIED.turns(machine_id)
        assert turns[0].start_us == begin
        assert turns[-1].end_us is not None
        assert turns[-1].end_us >= begin + 60 * DAY_US
        for turn, following in pairwise(turns):
            assert turn.end_us == following.start_us
            assert turn.scenario != following.scenario
    assert World(12, 60, 3).turns(1) == []


def test_instrument_faults_come_as_often_as_the_dial_says() -> None:
    faults = [fault for machine_id in range(1, 201) for fault in VARIED.instrument_faults(machine_id)]
    assert len(faults) == pytest.approx(200 * 60 / 365.25 * 20.0, rel=0.1)
    assert {fault.failure_mode for fault in faults} == set(SENSOR_FAULTS)
    assert all(2 * DAY_US <= (f.end_us or 0) - f.start_us <= 20 * DAY_US for f in faults)


def test_a_plan_is_the_same_with_and_without_tables(tmp_path: Path) -> None:
    tables = VARIED.plan(VARIED.plant(tmp_path / "tables.duckdb"))
    memory = VARIED.plan(VARIED.plant(tmp_path / "memory.duckdb", turns=False))
    for field in ("activations", "injections"):
        ours, theirs = (
            sorted((row.machine_id, row.start_us, str(row.model_dump(exclude={"injection_id"}))) for row in rows)
            for rows in (getattr(memory, field), getattr(tables, field))
        )
        assert ours == theirs
    assert memory.failure_modes == tables.failure_modes
    assert memory.machines == tables.machines
    assert len(memory.activations) > 100
    other = replace(VARIED, seed=4).plan(VARIED.plant(tmp_path / "other.duckdb", turns=False))
    assert other.activations != memory.activations
