"""A world that forks: both go on alone, and equal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twin.hindsight import oracle_plans
from twin.plan import Plan
from twin.plant import Plant
from twin.timeline import compile_plan
from twin.world import World

DAY_US = 86_400_000_000


def asked(folder: Path) -> Plan:
    plant = Plant.create(folder / "plant.duckdb", machines=4)
    return plant.plan(
        "2026-01-05", "2026-09-01", "1h", seed=3, wear="used", events_only=True, truth_interval=None, tasks=False,
        policy="periodic:60d",
    )  # fmt: skip


def lived(world: World) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    world.advance(world.plan.end_us)
    events = world.drain()
    return events.failures, events.log


def test_a_fork_lives_what_the_world_would_have_lived_and_leaves_it_alone(tmp_path: Path) -> None:
    plan = asked(tmp_path)
    worlds = [World(plan, compile_plan(plan), segments=False, threads=1) for _ in range(2)]
    for world in worlds:
        world.advance(plan.start_us + 90 * DAY_US)
        world.drain()
    first = lived(worlds[0].fork())
    assert first[0]
    assert first[1]
    assert worlds[0].front_us == plan.start_us + 90 * DAY_US
    assert lived(worlds[0]) == first == lived(worlds[1])


def test_the_oracles_plan_lived_as_a_whole_is_what_it_found_step_by_step(tmp_path: Path) -> None:
    for plan in oracle_plans(asked(tmp_path)):
        failures, log = lived(World(plan, compile_plan(plan), segments=False, threads=1))
        predicted = [row for row in log if row["task_type"] == "predictive"]
        assert predicted
        # each task was asked for because of a failure; what is left could not be reached, or comes in the last hours
        assert len(failures) <= 1
        assert len({(task.machine_id, task.number) for task in plan.tasks}) == len(plan.tasks)
