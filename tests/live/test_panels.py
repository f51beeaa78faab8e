"""The panels without a browser: what they offer, what their buttons ask for, what they show."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from twin.live import LiveSession
from twin.live.dashboard import Dashboard
from twin.live.live_figures import MOST_LINES, SignalFigures
from twin.live.panel_choices import Choices
from twin.live.panel_clock import ClockPanel
from twin.live.panel_feed import Feed
from twin.live.panel_table import MISSING, as_sparks, as_values
from twin.live.panel_thin import Thinner
from twin.plant import Plant

START, MACHINE, OTHER = "2026-01-05 08:00", "M-001", "M-002"
LOAD, MODE = "High load manufacturing", "bearing_degradation"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Plant.create(tmp_path_factory.mktemp("panels") / "template.duckdb", machines=4).path


@pytest.fixture
def plant(template: Path, tmp_path: Path) -> Plant:
    return Plant.open(shutil.copy(template, tmp_path / "plant.duckdb"))


@pytest.fixture
def session(plant: Plant) -> Iterator[LiveSession]:
    with LiveSession(plant, start=START, speed=60.0, seed=3, store=False) as made:
        yield made


@pytest.fixture
def room(session: LiveSession) -> Dashboard:
    session.advance(60)
    return Dashboard(session, start=False)


def step(room: Dashboard, ticks: int = 6) -> None:
    room.session.advance(ticks)
    room.update_now()


def asked(room: Dashboard) -> tuple[str, dict[str, Any], str]:
    """Return the last command's verb, arguments and status, after it was taken."""
    step(room)
    command = room.session.log()[-1]
    return command.verb, command.arguments, command.status


def values(control: Any) -> list[Any]:
    return [option[1] if isinstance(option, tuple) else option for option in control.options]


def log_lines(room: Dashboard) -> list[dict[str, Any]]:
    return list(room.log.table.rows)


def test_controls_offer_what_the_catalog_has(room: Dashboard, plant: Plant) -> None:
    assert values(room.scenarios.scenario) == [row["name"] for row in plant.scenarios.rows()]
    assert values(room.failures.mode) == [row["name"] for row in plant.failure_modes.rows()]
    assert values(room.maintenance.action) == [row["name"] for row in plant.maintenance_actions.rows()]
    assert values(room.maintenance.technician)[1:] == [row["technician_id"] for row in plant.technicians.rows()]
    names = [machine.name for machine in room.session.machines]
    for control in (room.scenarios.machines, room.failures.machine, room.maintenance.machine):
        assert values(control) == names


def test_what_a_user_adds_appears_and_what_was_chosen_stays(room: Dashboard, plant: Plant) -> None:
    room.scenarios.scenario.value, room.failures.mode.value = LOAD, "sensor_drift"
    plant.scenarios.create("Night shift", load=0.4)
    plant.failure_modes.create(
        "loose_belt", category="mechanical", effects=[{"parameter": "looseness", "gain": 2.0}], channels=["vibration_g"]
    )
    room.feed.choose()
    assert "Night shift" in values(room.scenarios.scenario)
    assert "loose_belt" in values(room.failures.mode)
    assert (room.scenarios.scenario.value, room.failures.mode.value) == (LOAD, "sensor_drift")
    room.scenarios.scenario.value, room.failures.mode.value = "Night shift", "loose_belt"
    room.scenarios.activate()
    assert asked(room)[::2] == ("activate", "done")
    room.failures.inject()
    assert asked(room)[::2] == ("inject", "done")
    assert room.failures.injected.rows[0]["mode"] == "Loose belt"


def test_scenarios_are_activated_on_chosen_machines_and_ended(room: Dashboard) -> None:
    panel = room.scenarios
    panel.scenario.value, panel.machines.value, panel.until.value = LOAD, (MACHINE, OTHER), "+2h"
    panel.activate()
    verb, arguments, status = asked(room)
    assert (verb, arguments["scenario"], arguments["machines"], status) == ("activate", LOAD, [MACHINE, OTHER], "done")
    assert arguments["until"].startswith("2026-01-05 10:01")
    assert {row["machine"] for row in panel.active.rows} == {MACHINE, OTHER}
    panel.active.click(f"{OTHER}\n{LOAD}", "end")
    assert asked(room) == ("deactivate", {"scenario": LOAD, "machines": [OTHER]}, "done")
    assert {row["machine"] for row in panel.active.rows} == {MACHINE}
    panel.everywhere.value, panel.until.value = True, ""
    panel.deactivate()
    assert asked(room)[1]["machines"] == "all"


def test_failures_are_injected_listed_and_cleared(room: Dashboard) -> None:
    panel = room.failures
    panel.machine.value, panel.mode.value, panel.severity.value = OTHER, MODE, "critical"
    panel.progression.value, panel.time_to_failure.value = "progressive", "3h"
    panel.inject()
    verb, arguments, status = asked(room)
    expected = {"mode": MODE, "machine": OTHER, "severity": "critical"}
    expected |= {"progression": "progressive", "time_to_failure": "3h"}
    assert (verb, arguments, status) == ("inject", expected, "done")
    (row,) = panel.injected.rows
    assert (row["machine"], row["mode"], row["level"]) == (OTHER, "Bearing degradation", "95%, to 100% in 3 h")
    assert "Bearing degradation" in room.fleet.table.rows[1]["failures"]
    panel.injected.click(row["id"], "clear")
    assert asked(room)[::2] == ("clear", "done")
    assert panel.injected.rows == []


def test_a_step_has_no_time_to_failure(room: Dashboard) -> None:
    panel = room.failures
    assert panel.time_to_failure.disabled
    panel.progression.value = "progressive"
    assert not panel.time_to_failure.disabled
    assert panel.time_to_failure.value == "6h"
    panel.progression.value = "step"
    panel.inject()
    assert "time_to_failure" not in asked(room)[1]


def test_maintenance_is_scheduled_begun_completed_and_cancelled(room: Dashboard) -> None:
    panel = room.maintenance
    panel.machine.value, panel.action.value, panel.technician.value = OTHER, "replace_bearing", "T-01"
    panel.at.value, panel.duration.value, panel.cost.value = "+5h", "2h", "450"
    panel.task_type.value, panel.priority.value = "predictive", "high"
    panel.schedule()
    verb, arguments, status = asked(room)
    assert (verb, status, arguments["machine"], arguments["action"]) == ("schedule", "done", OTHER, "replace_bearing")
    assert (arguments["technician"], arguments["duration"], arguments["cost"]) == ("T-01", "2h", 450.0)
    assert (arguments["task_type"], arguments["priority"], arguments["at"][:16]) == (
        "predictive",
        "high",
        "2026-01-05 13:01",
    )
    number = room.session.log()[-1].result
    row = next(row for row in panel.tasks.rows if row["id"] == str(number))
    assert [button[0] for button in row["buttons"]] == ["begin", "cancel"]
    panel.tasks.click(row["id"], "begin")
    assert asked(room)[::2] == ("begin", "done")
    step(room, 120)  # work begins at whole minutes
    row = next(row for row in panel.tasks.rows if row["id"] == str(number))
    assert (row["status"], [button[0] for button in row["buttons"]]) == ("in progress", ["complete"])
    panel.tasks.click(row["id"], "complete")
    assert asked(room)[::2] == ("complete", "done")
    other = next(row for row in panel.tasks.rows if row["status"] == "planned")
    panel.tasks.click(other["id"], "cancel")
    assert asked(room)[::2] == ("cancel", "done")


def test_an_overdue_task_is_marked(room: Dashboard, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = [{**task, "status": "overdue"} for task in room.session.tasks()]
    monkeypatch.setattr(room.session, "tasks", lambda: tasks)
    room.update_now()
    assert {(row["status"], row["status_tone"]) for row in room.maintenance.tasks.rows} == {("overdue", "bad")}


def test_what_is_usual_is_offered_for_each_action(room: Dashboard, plant: Plant) -> None:
    usual = plant.maintenance_actions.get("overhaul")
    room.maintenance.action.value = "overhaul"
    assert room.maintenance.duration.placeholder == f"{usual['duration_min']:g}min"
    assert room.maintenance.cost.placeholder == f"{usual['parts_cost']:g}"


def test_the_clock_plays_pauses_steps_resets_and_changes_speed(room: Dashboard) -> None:
    clock = room.clock
    clock.pause()
    assert asked(room) == ("pause", {}, "done")
    clock.steps.value = 7
    clock.step()
    assert asked(room) == ("step", {"ticks": 7}, "done")
    clock.play()
    assert asked(room) == ("play", {}, "done")
    clock.speed.value = 600.0
    assert asked(room) == ("set_speed", {"speed": 600.0}, "done")
    assert "600x" in clock.face.value
    clock.until.value = "+1h"
    clock.run_until()
    assert asked(room)[::2] == ("run_until", "done")
    clock.reset()
    assert asked(room)[::2] == ("reset", "done")
    assert "2026-01-05 08:00" in clock.face.value


def test_the_slider_follows_a_speed_set_elsewhere_without_asking_again(room: Dashboard) -> None:
    room.session.set_speed(5.0)
    step(room)
    step(room)
    assert room.clock.speed.value == pytest.approx(5.0)
    assert [command.verb for command in room.session.log()] == ["set_speed"]


@pytest.mark.parametrize(
    ("field", "text", "said"),
    [("time_to_failure", "soon", "time_to_failure must be"), ("time_to_failure", "0s", "must be more than zero")],
)
def test_a_refusal_is_readable_and_the_session_goes_on(room: Dashboard, field: str, text: str, said: str) -> None:
    room.failures.progression.value = "progressive"
    getattr(room.failures, field).value = text
    room.failures.inject()
    step(room)
    newest = log_lines(room)[0]
    assert newest["tone"] == "bad"
    assert said in newest["result"]
    assert said in room.failures.answer.value
    room.scenarios.activate()
    assert asked(room)[2] == "done"


@pytest.mark.parametrize("text", ["tomorrow", "+", "+3", "2026-13-01", "<b>", "1e999"])
def test_no_text_in_a_field_raises_or_stops_anything(room: Dashboard, text: str) -> None:
    room.scenarios.until.value = room.maintenance.at.value = room.maintenance.cost.value = room.clock.until.value = text
    room.maintenance.duration.value = text
    for act in (room.scenarios.activate, room.maintenance.schedule, room.clock.run_until):
        act()
    step(room)
    lines = log_lines(room)
    assert len(lines) >= 3
    assert all(line["tone"] == "bad" for line in lines[:3])
    assert "<b>" not in room.clock.answer.value


def test_a_fault_in_a_callback_is_told_in_the_log(room: Dashboard, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **kwargs: Any) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(room.session, "inject", broken)
    room.failures.inject()
    monkeypatch.setattr(room.fleet, "draw", broken)
    step(room)
    step(room)
    texts = [line["result"] for line in log_lines(room)]
    assert "ZeroDivisionError: a bug" in texts
    assert texts.count("Fleet: ZeroDivisionError: a bug") == 1


def test_a_click_in_the_fleet_selects_for_signals_and_controls(room: Dashboard) -> None:
    room.fleet.table.click("2", "select")
    assert room.signals.chosen == [OTHER]
    assert list(room.signals.machines.value) == [OTHER]
    assert room.failures.machine.value == room.maintenance.machine.value == OTHER
    assert room.scenarios.machines.value == (OTHER,)
    room.fleet.table.click("4", "toggle")
    assert room.signals.chosen == [OTHER, "M-004"]
    assert room.failures.machine.value == OTHER
    colours = [row["colour"] for row in room.fleet.table.rows]
    assert colours[0] == ""
    assert colours[1] != colours[3] != ""
    room.fleet.table.click("2", "toggle")
    assert room.signals.chosen == ["M-004"]


def test_a_message_from_a_page_that_is_none_of_ours_is_ignored(room: Dashboard) -> None:
    for message in (None, [], {}, {"row": "2"}, {"row": "99", "action": "select"}):
        room.fleet.table._heard(room.fleet.table, message, [])
    step(room)
    assert room.session.log() == []


def sources(room: Dashboard) -> list[Any]:
    return [source for source in room.signals.figures.lines if len(source.data["t"])]


def test_signals_show_what_a_restart_would_show(room: Dashboard) -> None:
    for ticks in (1, 7, 200, 3, 500):
        step(room, ticks)
    grown = [{name: np.array(column) for name, column in source.data.items()} for source in sources(room)]
    room.signals._restart()
    for before, source in zip(grown, sources(room), strict=True):
        for name, column in source.data.items():
            np.testing.assert_array_equal(before[name], column)


def test_signals_fill_up_after_missed_frames_and_after_a_reset(room: Dashboard) -> None:
    for _ in range(80):  # more than a subscription holds
        room.session.advance(2)
    room.update_now()
    assert room.signals.thin.next_tick == room.session.tick
    room.session.reset()
    step(room, 3)
    assert room.signals.thin.next_tick == room.fleet.thin.next_tick == 3
    assert sources(room)[0].data["t"].tolist() == room.signals.thin.ts_ms.tolist()
    assert len(room.signals.thin.ts_ms) == 2  # the lowest and the highest of three readings


def test_channels_window_and_machines_can_be_chosen(room: Dashboard) -> None:
    panel = room.signals
    former = panel.mirror
    panel.channels.value = ("kurtosis", "torque_nm")
    assert panel.figures.channels == ("kurtosis", "torque_nm")
    assert panel.plot.children == (panel.mirror,)
    assert panel.mirror is not former
    panel.channels.value = ()
    assert panel.figures.channels == ("kurtosis", "torque_nm")
    panel.window.value = 60_000_000
    step(room, 300)
    t = sources(room)[0].data["t"]
    assert t[-1] - t[0] <= 61_000
    panel.show_all()
    assert panel.chosen == [machine.name for machine in room.session.machines]
    panel.band.value = True
    step(room)
    assert len(panel.figures.bands["kurtosis"].data["low"]) == len(panel.thin.ts_ms)
    panel.machines.value = []
    assert panel.chosen == [MACHINE]


def test_scenarios_injections_and_limits_are_drawn(room: Dashboard) -> None:
    room.scenarios.scenario.value = LOAD
    room.scenarios.activate()
    room.failures.inject()
    step(room, 300)
    figures = room.signals.figures
    labels = list(figures.shades.data["label"])
    assert f"{MACHINE}: {LOAD}" in labels
    assert f"{MACHINE}: bearing degradation" in labels
    expected = [limit for _, _, limit in room.session.limits("temperature_c", 1)]
    assert list(figures.limits["temperature_c"].data["y"]) == expected
    assert "High load manufacturing" in room.signals.legend.value


def test_a_crossed_limit_is_marked_in_the_plot_the_fleet_and_the_log(room: Dashboard) -> None:
    room.fleet.table.click("2", "select")
    before = len(room.signals.figures.alarms["vibration_g"].data["x"])
    room.failures.severity.value = "critical"
    room.failures.inject()
    step(room, 300)
    assert len(room.signals.figures.alarms["vibration_g"].data["x"]) > before
    row = room.fleet.table.rows[1]
    assert "Acceleration high" in row["alarms_tip"]
    assert row["alarms_tone"] in {"warn", "bad"}
    assert any(OTHER in line["what"] and "Acceleration high" in line["result"] for line in log_lines(room))


def test_the_prediction_slot_takes_a_panel_and_a_widget(room: Dashboard, session: LiveSession) -> None:
    seen: list[int] = []

    class Prognosis:
        widget = ClockPanel(session).widget

        def update(self, frames: Any) -> None:
            seen.append(len(frames))

    assert "No model is in use" in room.prediction._empty.value
    room.prediction.attach(Prognosis())
    step(room)
    assert room.prediction.widget.children == (Prognosis.widget,)
    assert seen
    room.prediction.attach(Prognosis.widget)
    step(room)
    room.prediction.attach(None)
    assert room.prediction.widget.children == (room.prediction._begin,)


def test_the_log_can_show_commands_alone(room: Dashboard) -> None:
    room.failures.severity.value = "critical"
    room.failures.inject()
    step(room, 300)
    everything = len(log_lines(room))
    room.log.shown.value = "commands"
    assert [line["what"].split()[0] for line in log_lines(room)] == ["inject"]
    room.log.shown.value = "alarms and failures"
    assert len(log_lines(room)) == everything - 1


def test_a_feed_draws_by_itself_and_ends_with_its_session(plant: Plant) -> None:
    session = LiveSession(plant, start=START, speed=60.0, store=False)
    panel = ClockPanel(session)
    playing = threading.Event()
    panel.face.observe(lambda change: "playing" in change["new"] and playing.set(), "value")
    feed = Feed(session, [panel])
    feed.start()
    session.start()
    assert playing.wait(30)
    session.stop()
    for thread in feed._threads:
        thread.join(30)
    assert not feed.alive
    assert "stopped" in panel.face.value


def test_choices_are_equal_where_nothing_changed(room: Dashboard) -> None:
    assert Choices.of(room.session) == room.scenarios.choices


def test_the_whole_is_shown_by_its_root_widget(room: Dashboard) -> None:
    bundle = room._repr_mimebundle_()
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == room.widget.model_id
    assert bundle["text/plain"].startswith("<Dashboard: 4 machines")


readings = arrays.arrays(
    np.float32,
    st.tuples(st.just(1), st.integers(1, 3), st.integers(1, 120)),
    elements=st.one_of(st.floats(-1e6, 1e6, width=32), st.just(float("nan"))),
)


@given(readings, st.integers(0, 50), st.integers(1, 200), st.integers(1, 30), st.integers(1, 40))
def test_thinned_readings_keep_their_spikes_however_they_came(
    values: np.ndarray, tick: int, window: int, columns: int, cut: int
) -> None:
    """Chunked equals whole; and in the window no column loses its lowest or its highest reading."""
    _, series, number = values.shape
    whole, chunked = (Thinner(1, series, window, 1000, columns) for _ in range(2))
    whole.add(tick, tick * 1000, values)
    for i in range(0, number, cut):
        chunked.add(tick + i, (tick + i) * 1000, values[:, :, i : i + cut])
    np.testing.assert_array_equal(whole.ts_ms, chunked.ts_ms)
    np.testing.assert_array_equal(whole.points, chunked.points)
    assert whole.points.shape[2] <= whole.most
    assert np.all(np.diff(whole.ts_ms) >= 0)
    column = (tick + np.arange(number)) // whole.ticks
    kept = column >= column[-1] - whole.most // whole.per_column + 1
    for s in range(series):
        reading, shown = values[0, s, kept], whole.points[0, s]
        if np.isfinite(reading).any():
            assert np.nanmin(shown) == np.nanmin(reading)
            assert np.nanmax(shown) == np.nanmax(reading)
        else:
            assert not np.isfinite(shown).any()


@settings(max_examples=8)
@given(st.integers(2, 40), st.integers(1, 9), st.data())
def test_the_source_is_what_the_thinner_holds(window: int, columns: int, data: st.DataObject) -> None:
    """Streams and patches of the figures add up to the points."""
    figures = SignalFigures(["temperature_c"])
    thin = Thinner(1, 3, window, 1000, columns)
    figures.restart(thin, [4], ["M-001"], True, window)
    tick = 0
    for number in data.draw(st.lists(st.integers(1, 30), min_size=1, max_size=8)):
        values = np.arange(tick, tick + 3 * number, dtype=np.float32).reshape(1, 3, number)
        figures.extend(thin, thin.add(tick, tick * 1000, values), [4], True)
        tick += number
    np.testing.assert_array_equal(figures.lines[4].data["t"], thin.ts_ms)
    np.testing.assert_array_equal(figures.lines[4].data["temperature_c"], thin.points[0, 0])
    np.testing.assert_array_equal(figures.bands["temperature_c"].data["high"], thin.points[0, 2])


def test_sparklines_are_bytes_from_low_to_high() -> None:
    lines = np.array([[1.0, 3.0, np.nan], [100.0, 100.1, 100.0], [np.nan] * 3])
    first, second, third = np.frombuffer(as_sparks(lines), np.uint8).reshape(3, 3)
    assert first.tolist() == [0, 254, MISSING]
    assert int(second.max()) - int(second.min()) < 30
    assert third.tolist() == [MISSING] * 3
    assert as_sparks(np.empty((2, 0))) == b""
    assert np.frombuffer(as_values(np.array([[1.5, 2.5]])), "<f4").tolist() == [1.5, 2.5]


def test_a_hundred_machines_are_drawn_fast(tmp_path: Path) -> None:
    with LiveSession(Plant.create(tmp_path / "many.duckdb", machines=100), start=START, store=False) as session:
        session.advance(1200)
        room = Dashboard(session, start=False)
        room.signals.show_all()
        assert len(room.signals.chosen) == MOST_LINES
        took = []
        for _ in range(40):
            session.advance(6)
            begin = time.process_time()
            room.feed.draw(room.feed._subscription.take(0.0))
            took.append(time.process_time() - begin)
        assert sorted(took)[len(took) // 2] < 0.05  # ten times a second, on a machine that others use as well
        assert len(room.fleet.table.rows) == 100
        assert len(room.fleet.table.values) == 100 * 3 * 4
