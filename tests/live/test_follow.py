"""A session seen from the file: the same readings, the same state of the fleet, and no hand on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ipywidgets
import numpy as np
import pytest

from twin.errors import BadRequest
from twin.live import Follower, LiveSession
from twin.live.dashboard import Dashboard
from twin.live.frames import joined
from twin.plant import Plant


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    return Plant.create(tmp_path / "plant.duckdb", machines=3)


def test_a_follower_sees_what_the_session_sees(plant: Plant) -> None:
    session = LiveSession(plant, interval="1min", seed=3)
    frames = [session.advance(100)]
    assert session.flush()
    other = Plant.open(plant.path, read_only=True)
    follower = Follower(other)
    assert np.array_equal(follower.history(10**12).values, session.history(10**12).values, equal_nan=True)
    seen = follower.subscribe()
    session.activate("High load manufacturing", ["M-001"])
    session.inject("bearing_degradation", "M-001", severity="high")
    session.schedule("M-002", "lubricate", at="2026-01-05 09:00")
    frames += [session.advance(150), session.advance(500)]
    assert session.flush()
    follower.look()
    frame, live = seen.take(0.0)[-1], joined(frames)
    assert live is not None
    assert np.array_equal(frame.values, live.values[:, :, 100:], equal_nan=True)
    assert follower.fleet() == session.fleet()
    assert follower.tasks() == session.tasks()
    assert follower.spans(0) == session.spans(0)
    assert follower.alarms() == session.alarms()
    assert follower.limits("temperature_c", 2) == session.limits("temperature_c", 2)
    assert follower.look() is None
    session.stop()
    follower.look()
    assert follower.clock().status == "stopped"


def test_nothing_can_be_asked_of_a_follower(plant: Plant) -> None:
    with LiveSession(plant, interval="1min") as session:
        session.advance(10)
        session.flush()
        follower = Follower(plant, session.run_id or 0)
        for command in (follower.inject("sensor_drift", "M-001", severity="low"), follower.pause(), follower.reset()):
            assert command.status == "refused"
            assert "where it runs" in command.message


def test_the_controls_of_one_who_looks_on_are_turned_off_and_the_lists_are_not(plant: Plant) -> None:
    with LiveSession(plant, interval="1min") as session:
        session.advance(10)
        session.flush()
        own, other = (Dashboard(seen, start=False) for seen in (session, Follower(plant, session.run_id or 0)))
        for dashboard, off in ((own, False), (other, True)):
            controls = [*_below(dashboard.clock.widget), *_below(dashboard.failures.widget)]
            assert {w.disabled for w in controls if isinstance(w, ipywidgets.Button)} == {off}
        assert not any(w.disabled for w in _below(other.signals.widget) if isinstance(w, ipywidgets.Button))


def _below(widget: Any) -> list[Any]:
    return [widget, *(w for child in getattr(widget, "children", ()) for w in _below(child))]


def test_what_is_no_session_is_not_followed(plant: Plant) -> None:
    with pytest.raises(BadRequest, match="no live session yet"):
        Follower(plant)
    run = plant.simulate("2026-01-05", "2026-01-05T01:00", interval="1min", progress=False)
    with pytest.raises(BadRequest, match="no live session"):
        Follower(plant, run.id)
    with pytest.raises(BadRequest, match="unknown run"):
        Follower(plant, 77)
