"""Live sessions without a screen: what was seen is what the plan at the end says, whatever was clicked."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.errors import BadRequest
from twin.live import Frame, LiveSession
from twin.live.frames import joined
from twin.plant import Plant
from twin.recording import cut
from twin.simulation import Simulation
from twin.times import parse_time

MACHINES = ("M-001", "M-002", "M-003")
SCENARIOS = ("High load manufacturing", "Cold environment", "Precision machining")
VERBS = ("activate", "deactivate", "inject", "clear", "schedule", "begin", "complete", "cancel")
MODES = ("bearing_degradation", "motor_overheating", "sensor_drift", "sensor_dropout", "lubrication_loss")


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Plant:
    """A sample plant whose parts live for hours, so that a session sees failures and repairs."""
    made = Plant.create(tmp_path_factory.mktemp("live") / "plant.duckdb", machines=3)
    for row in made.failure_modes.rows():
        mode = made.failure_modes.definition(row["name"])
        if mode.wear is not None:
            made.failure_modes.update(mode.name, wear={**mode.wear.model_dump(), "life_h": mode.wear.life_h / 50.0})
    for row in made.technicians.rows():
        made.technicians.update(row["technician_id"], shift_start_h=0, shift_end_h=24, weekdays="1234567")
    return made


def session_of(plant: Plant, **options: Any) -> LiveSession:
    return LiveSession(plant, **{"interval": "1min", "wear": "used", "seed": 5, "store": False} | options)


@st.composite
def clicks(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """One thing that a person may do, sensible or not."""
    machine = draw(st.sampled_from((*MACHINES, "M-099")))
    verb = draw(st.sampled_from(VERBS))
    if verb in ("activate", "deactivate"):
        where = draw(st.sampled_from(("all", [machine])))
        return verb, {"scenario": draw(st.sampled_from(SCENARIOS)), "machines": where}
    if verb == "inject":
        grows = draw(st.booleans())
        more = {"progression": "progressive", "time_to_failure": "3h"} if grows else {}
        level = draw(st.sampled_from((0.3, 0.9, 1.0)))
        return verb, {"mode": draw(st.sampled_from(MODES)), "machine": machine, "level": level, **more}
    if verb == "clear":
        return verb, {"injection_id": draw(st.integers(0, 4))}
    if verb == "schedule":
        action = draw(st.sampled_from(("inspect", "lubricate", "overhaul")))
        return verb, {"machine": machine, "action": action, "duration": draw(st.sampled_from((None, "20min")))}
    number = draw(st.sampled_from((1, 900_001, 900_002, 100_001)))
    return verb, {"task": f"{machine}/{number}"}


STORIES = st.lists(st.tuples(st.integers(1, 90), st.lists(clicks(), max_size=3)), min_size=1, max_size=6)


def replayed(session: LiveSession) -> tuple[Frame, list[tuple[int, str, int]]]:
    """Return what the plan at the end gives, made in one go: readings, and failures up to the last of them."""
    plan = cut(session.plan, session.tick)
    with Simulation(plan, threads=1) as simulation:
        chunk = simulation.advance(plan.ticks)
    values = chunk.values.reshape(chunk.values.shape[0], len(plan.machines), chunk.ticks)
    frame = Frame(0, chunk.ticks, chunk.ts[: chunk.ticks], session.history(0).machine_ids, values)
    failures = [(f["machine_id"], f["mode"], f["failed_at"]) for f in chunk.events.failures]
    return frame, [failure for failure in failures if failure[2] <= frame.end_us]


@pytest.mark.slow
@settings(max_examples=1000)
@given(STORIES)
def test_what_was_seen_is_what_the_plan_at_the_end_says(plant: Plant, story: Any) -> None:
    frames = []
    with plant.store.reading():  # once, which is quicker
        session = session_of(plant)
        for ticks, asked in story:
            for verb, arguments in asked:
                getattr(session, verb)(**arguments)
            frames.append(session.advance(ticks))
    seen, (again, failed) = joined(frames), replayed(session)
    assert seen is not None
    assert np.array_equal(seen.ts_us, again.ts_us)
    assert np.array_equal(seen.values, again.values, equal_nan=True)
    told = [(row["machine_id"], row["mode"], row["at_us"]) for row in session.failures()]
    assert sorted(told) == sorted(failed)
    assert all(command.status in ("done", "refused") and command.message for command in session.log())
    session.stop()


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[tuple[Plant, LiveSession]]:
    plant = Plant.create(tmp_path / "plant.duckdb", machines=3)
    session = LiveSession(plant, seed=11, interval="1s", wear="used")
    yield plant, session
    session.stop()


def test_a_session_is_a_run_that_replays(recorded: tuple[Plant, LiveSession]) -> None:
    plant, session = recorded
    session.advance(300)
    fault = session.inject("bearing_degradation", "M-001", severity="high")
    session.activate("High load manufacturing", ["M-001"])
    frame = session.advance(600)
    assert [event["kind"] for event in frame.events[:2]] == ["command", "command"]
    session.clear(fault.result)
    session.advance(100)
    run_id = session.run_id
    session.stop()
    assert session.error is None
    run = plant.runs.get(run_id)
    assert (run.status, run.rows) == ("complete", 3000)
    assert run.verify()
    assert run.digest() == run.recomputed_digest()
    stored = plant.sql("SELECT number, tick, verb, status FROM session_commands ORDER BY number")
    assert stored.values.tolist() == [
        [1, 300, "inject", "done"],
        [2, 300, "activate", "done"],
        [3, 900, "clear", "done"],
    ]
    session.stop()  # a second time does nothing


def test_high_load_and_a_bearing_fault_are_seen_within_a_minute_of_the_plant(plant: Plant) -> None:
    session = session_of(plant, interval="1s", wear="off")
    before = session.advance(600)
    session.activate("High load manufacturing", ["M-001"])
    session.inject("bearing_degradation", "M-001", severity="high")
    after = session.advance(60)
    channels = list(session.plan.channels)
    rise = {c: float(after.values[i, 0, -5:].mean() - before.values[i, 0, -60:].mean()) for i, c in enumerate(channels)}
    assert rise["power_w"] > 20.0
    assert rise["vibration_g"] > 0.3
    assert rise["temperature_c"] > 0.3
    session.stop()


BAD: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("inject", {"mode": "bearing", "machine": "M-001", "severity": "high"}, "unknown failure mode"),
    ("inject", {"mode": "sensor_drift", "machine": "M-77", "severity": "high"}, "unknown machine"),
    ("inject", {"mode": "sensor_drift", "machine": "M-001", "severity": "awful"}, "unknown severity"),
    ("inject", {"mode": "sensor_drift", "machine": "M-001"}, "severity"),
    ("inject", {"mode": "sensor_drift", "machine": "M-001", "level": float("nan")}, "level"),
    ("inject", {"mode": "sensor_drift", "machine": "M-001", "level": 0.5, "progression": "progressive"}, "time_to"),
    ("activate", {"scenario": "No such", "machines": "all"}, "unknown scenario"),
    ("activate", {"scenario": "Cold environment", "machines": "all", "until": "2020-01-01"}, "until"),
    ("deactivate", {"scenario": "Cold environment", "machines": "all"}, "not active"),
    ("clear", {"injection_id": 7}, "unknown injection"),
    ("clear", {"injection_id": "x"}, "number"),
    ("schedule", {"machine": "M-001", "action": "hit it"}, "unknown maintenance action"),
    ("schedule", {"machine": "M-001", "action": "inspect", "at": "2020-01-01"}, "has passed"),
    ("schedule", {"machine": "M-001", "action": "inspect", "duration": "-2h"}, "duration"),
    ("schedule", {"machine": "M-001", "action": "inspect", "technician": "T-99"}, "unknown technician"),
    ("schedule", {"machine": "M-001", "action": "inspect", "cost": -1.0}, "cost"),
    ("schedule", {"machine": "M-001", "action": "inspect", "priority": "now"}, "unknown priority"),
    ("begin", {"task": "M-001/77"}, "unknown task"),
    ("complete", {"task": "M-001/1"}, "begin it first"),
    ("set_speed", {"speed": 0.0}, "speed"),
    ("set_speed", {"speed": float("inf")}, "speed"),
    ("step", {"ticks": -1}, "ticks"),
    ("run_until", {"time": "2020-01-01"}, "has passed"),
    ("run_until", {"time": "tomorrow"}, "time"),
)


@pytest.mark.parametrize(("verb", "arguments", "said"), BAD, ids=[f"{b[0]}-{b[2]}" for b in BAD])
def test_what_cannot_be_done_is_refused_in_one_line_and_the_session_lives(
    plant: Plant, verb: str, arguments: dict[str, Any], said: str
) -> None:
    session = session_of(plant)
    session.advance(1)
    command = getattr(session, verb)(**arguments)
    session.advance(1)
    assert command.status == "refused"
    assert said in command.message
    assert "\n" not in command.message
    assert session.log() == [command]
    assert session.tick == 2
    session.stop()


@pytest.mark.parametrize(
    "options",
    [
        {"speed": 0.01},
        {"rate_hz": 100.0},
        {"interval": "0s"},
        {"start": "yesterday"},
        {"machines": "M-99"},
        {"seed": -1},
        {"wear": "some"},
        {"policy": "sometimes"},
        {"policy": lambda seen: []},
        {"resume": 99},
    ],
    ids=lambda options: next(iter(options)),
)
def test_a_session_that_cannot_be_is_refused(plant: Plant, options: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        session_of(plant, **options)


def test_maintenance_is_done_and_its_status_follows(plant: Plant) -> None:
    session = session_of(plant, wear="off")
    task = session.schedule("M-001", "lubricate", at="2026-01-05 02:00", duration="30min")
    later = session.schedule("M-002", "inspect", at="2026-01-05 03:00")
    twice = session.schedule("M-001", "inspect", at="2026-01-05 02:10")
    session.advance(1)
    assert (task.status, later.status, twice.status) == ("done", "done", "refused")

    def status(key: Any) -> str:
        return next(row["status"] for row in session.tasks() if row["number"] == key)

    assert status(task.result) == "planned"
    session.begin(task.result)
    session.cancel(later.result)
    session.advance(5)
    assert status(task.result) == "in_progress"
    assert status(later.result) == "cancelled"
    assert session.fleet()[0]["state"] == "maintenance"
    done = session.complete(task.result)
    session.advance(2)
    assert done.status == "done"
    assert status(task.result) == "done"
    assert session.fleet()[0]["state"] != "maintenance"
    spans = [s for s in session.spans(0) if s.kind == "maintenance"]
    assert [s.label for s in spans] == ["lubricate"]
    assert spans[0].end_us is not None
    session.stop()


def test_nothing_is_told_before_its_time(plant: Plant) -> None:
    """The world goes ahead of the signals to the next whole hour; the screens do not."""
    session = session_of(plant)
    told: list[tuple[int, int]] = []
    for _ in range(200):
        frame = session.advance(13)
        told += [(event["at_us"], frame.end_us) for event in frame.events]
        now = frame.end_us
        assert all(row["at_us"] <= now for row in session.failures() + session.alarms())
        assert all(span.start_us <= now for span in session.spans(0))
    assert any(event for event in told)
    assert all(at <= end for at, end in told)
    assert session.failures(), "no failure in this story: choose another seed"
    session.stop()


def test_a_user_of_another_scenario_and_mode_finds_them(plant: Plant) -> None:
    session = session_of(plant, wear="off")
    session.advance(1)
    plant.scenarios.create("Night shift", load=0.3)
    plant.failure_modes.create("leak", category="mechanical", effects=[{"parameter": "friction", "gain": 0.5}])
    mine = session.activate("Night shift", "all"), session.inject("leak", "M-001", severity="low")
    session.advance(1)
    assert [command.status for command in mine] == ["done", "done"]
    plant.scenarios.delete("Night shift")
    plant.failure_modes.delete("leak")
    session.stop()


def test_reset_begins_another_run(recorded: tuple[Plant, LiveSession]) -> None:
    plant, session = recorded
    first = session.advance(50)
    former = session.run_id
    session.inject("sensor_drift", "M-001", severity="high")
    session.reset()
    second = session.advance(50)
    assert session.run_id != former
    assert session.plan.injections == ()
    assert np.array_equal(first.values, second.values, equal_nan=True)
    session.stop()
    for thread in threading.enumerate():
        if thread.name == "twin-close":
            thread.join(60)
    runs = {row["run_id"]: row for row in plant.runs.rows()}
    assert [runs[i]["status"] for i in (former, session.run_id)] == ["complete", "complete"]


def test_the_history_is_bounded_and_whole(plant: Plant) -> None:
    session = session_of(plant, interval="1s")
    frames = [session.advance(70) for _ in range(5)]
    whole = joined(frames)
    assert whole is not None
    kept = session.history(100_000_000, ["M-002"])
    assert np.array_equal(kept.values, whole.values[:, 1:2, -100:], equal_nan=True)
    assert kept.ts_us[-1] == parse_time("2026-01-05") + 349_000_000
    session.stop()


def test_reset_begins_with_what_the_tables_say_now(recorded: tuple[Plant, LiveSession]) -> None:
    plant, session = recorded
    session.advance(1)
    mode = plant.failure_modes.definition("bearing_degradation")
    plant.failure_modes.update(mode.name, description="as we see it now")
    refused = session.inject(mode.name, "M-001", severity="high")
    session.advance(1)
    assert "reset begins again" in refused.message
    session.reset()
    done = session.inject(mode.name, "M-001", severity="high")
    session.advance(1)
    assert done.status == "done", done.message
    assert session.tick == 1
    assert session.plan.wear == "used"


def test_a_session_that_was_gone_on_with_forgets_its_clicks_at_a_reset(tmp_path: Path) -> None:
    plant = Plant.create(tmp_path / "own.duckdb", machines=2)
    session = LiveSession(plant, interval="1min", policy="periodic:1d:inspect")
    session.inject("sensor_drift", "M-001", severity="high")
    session.advance(5)
    assert session.flush()
    again = LiveSession(plant, resume=session.run_id)  # as if the first had been killed
    assert len(again.plan.injections) == 1
    again.reset()
    again.advance(1)
    assert again.plan.injections == ()
    assert [rule.text() for rule in again.plan.policies] == [rule.text() for rule in session.plan.policies]
    again.stop()


def test_the_run_of_a_session_that_goes_on_is_not_closed_behind_its_back(recorded: tuple[Plant, LiveSession]) -> None:
    plant, session = recorded
    session.advance(100)
    assert session.flush()
    with pytest.raises(BadRequest, match="stop the session first"):
        plant.runs.get(session.run_id).replay()
    session.advance(100)
    session.stop()
    assert session.error is None
    assert plant.runs.get(session.run_id).verify()
