"""The prediction panel without a browser: what it shows of a fault that grows, and when it shows no number."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

import twin
from twin.errors import BadRequest
from twin.live import LiveSession
from twin.live.dashboard import Dashboard
from twin.live.follow import Follower
from twin.live.prognosis_panel import PrognosisPanel
from twin.live.prognosis_words import feature_words
from twin.prognosis import teaching
from twin.prognosis.features import features as run_features
from twin.prognosis.live import GATHERING, OK, OUT_OF_RANGE, REPAIR, SPARSE, STANDING
from twin.prognosis.spec import FeatureSpec
from twin.prognosis.teaching import Lesson, Pace, train_for
from twin.prognosis.training import train
from twin.workbench import Workbench

HOUR_US = 3_600_000_000
PACE = Pace(window="6h", cadence="1h", baseline="12h", horizon="1d", readings="10min", span="50d")
HOUR = 6
"""Ticks of a session that reads every ten minutes."""
MACHINE, NUMBER = "M-004", 4


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    with threadpool_limits(1, "openmp"):
        yield


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    plant = twin.open(tmp_path_factory.mktemp("prediction") / "template.duckdb", machines=5)
    for task in plant.maintenance.rows():  # scheduled work would open windows anew at times of its own
        plant.maintenance.delete(task["task_id"])
    return plant.path


@pytest.fixture(scope="module")
def lesson(template: Path) -> Lesson:
    return train_for(Workbench.open(template), pace=PACE, machines=16, progress=False)


@pytest.fixture
def plant(template: Path, tmp_path: Path) -> Workbench:
    return twin.open(shutil.copy(template, tmp_path / "plant.duckdb"))


def opened(plant: Workbench, lesson: Lesson, **options: Any) -> Dashboard:
    given = {"playing": False, "interval": "10min", "seed": 2, "store": False} | options
    models = lesson.models
    return plant.live(model=models["failure"], rul=models["rul"], diagnosis=models["diagnosis"], **given)


@pytest.fixture
def room(plant: Workbench, lesson: Lesson) -> Iterator[Dashboard]:
    made = opened(plant, lesson)
    made.prediction.select(MACHINE)
    yield made
    made.close()
    made.session.stop()


def hours(room: Dashboard, number: int) -> None:
    room.session.advance(HOUR * number)
    room.update_now()


def panel_of(room: Dashboard) -> PrognosisPanel:
    assert isinstance(room.prediction.attached, PrognosisPanel)
    return room.prediction.attached


def row(room: Dashboard, machine: str = MACHINE) -> dict[str, Any]:
    return next(row for row in panel_of(room).table.rows if row["machine"] == machine)


def trend(room: Dashboard) -> tuple[np.ndarray, np.ndarray]:
    points = panel_of(room).prognosis.trends[NUMBER]
    return np.array([at for at, _, _ in points]), np.array([share for _, share, _ in points])


def test_the_probability_rises_before_the_failure_and_falls_after_the_repair(room: Dashboard) -> None:
    hours(room, 48)
    injected_us = room.session.now_us
    room.session.inject("bearing_degradation", MACHINE, level=0.2, progression="progressive", time_to_failure="30h")
    seen = []
    for _ in range(72):
        hours(room, 1)
        seen.append(row(room) | {"detail": panel_of(room).detail.value})
    (failed,) = [f for f in room.session.failures() if f["machine"] == MACHINE]
    repaired_us = next(w["end_us"] for w in room.session.work() if w["machine"] == MACHINE)
    at, share = trend(room)
    healthy = np.median(share[at <= injected_us])
    before = np.median(share[(at > failed["at_us"] - 12 * HOUR_US) & (at <= failed["at_us"])])
    after = share[at > repaired_us]
    assert healthy < 0.2
    assert before > 0.5
    assert before > 3 * healthy
    assert after.size > 12
    assert after.max() < 0.3
    assert at[at > failed["at_us"]].min() >= repaired_us + 6 * HOUR_US  # a window of its own
    warned = [line for line in seen if line["state"] == OK and line["risk"] != "–" and int(line["risk"][:-1]) >= 50]
    assert warned
    assert any(line["mode"].startswith("Bearing degradation") for line in warned)
    assert any("Vibration" in line["detail"] and "usually" in line["detail"] for line in warned)
    assert warned[0]["risk_tone"] == "bad"
    states = list(dict.fromkeys(line["state"] for line in seen))
    assert [state for state in states if state in (STANDING, REPAIR, GATHERING)] == [STANDING, REPAIR, GATHERING]
    assert all((line["risk"], line["rul"], line["mode"]) == ("–",) * 3 for line in seen if line["state"] == STANDING)
    assert int(seen[-1]["risk"][:-1]) < 30
    drawn = panel_of(room).figure
    assert np.nanmax(drawn.line.data["p"]) > 50
    assert len(drawn.failed.data["x"]) == 1
    assert len(drawn.shades.data["x0"]) >= 2  # the injection, and the work


def test_the_life_left_comes_with_its_interval_and_shrinks(room: Dashboard) -> None:
    hours(room, 36)
    first = next(o for o in panel_of(room).outlooks if o.machine_id == NUMBER)
    assert row(room)["rul"].endswith("+)")
    room.session.inject("bearing_degradation", MACHINE, level=0.5, progression="progressive", time_to_failure="20h")
    hours(room, 19)
    last = next(o for o in panel_of(room).outlooks if o.machine_id == NUMBER)
    assert None not in (first.rul_h, first.low_h, first.high_h, last.rul_h, last.low_h, last.high_h)
    assert first.low_h <= first.rul_h <= first.high_h  # type: ignore[operator]
    assert last.rul_h < first.rul_h / 2  # type: ignore[operator]


def test_no_number_before_window_and_baseline_are_full(room: Dashboard) -> None:
    assert panel_of(room).table.rows == []
    hours(room, 11)
    assert {line["state"] for line in panel_of(room).table.rows} == {GATHERING}
    assert row(room)["state_tip"] == "baseline and window full in 1.17 h"
    assert row(room)["risk"] == "–"
    assert "first numbers at 2026-01-05 12:00, in 1 h" in panel_of(room).summary.value
    hours(room, 2)
    assert row(room)["state"] == OK
    assert row(room)["risk"].endswith("%")


def test_what_the_training_never_saw_is_said_and_its_number_is_no_sure_one(room: Dashboard) -> None:
    hours(room, 24)
    frame = room.session.advance(HOUR * 12)
    hot = frame.values.copy()
    hot[0, 3] *= 3.0  # the temperature of M-004, as of a sensor that is broken
    panel = panel_of(room)
    panel.prognosis.take(type(frame)(frame.tick, frame.ticks, frame.ts_us, frame.machine_ids, hot), 600_000_000)
    room.update_now()
    told = row(room)
    assert told["state"] == OUT_OF_RANGE
    assert told["risk"].startswith("(")
    assert "risk_share" not in told
    assert told["rul"] == told["mode"] == "–"
    assert "Temperature" in panel.detail.value
    assert "trained on" in panel.detail.value
    assert row(room, "M-003")["state"] == OK


def test_a_session_that_reads_too_rarely_gets_no_number_and_a_line(plant: Workbench, lesson: Lesson) -> None:
    room = opened(plant, lesson, interval="30min")
    room.session.advance(60)
    room.update_now()
    assert {line["state"] for line in panel_of(room).table.rows} == {SPARSE}
    assert "reads every 30 min, the models learnt from readings every 10 min" in panel_of(room).summary.value
    room.session.stop()


def test_a_finer_session_is_thinned_to_the_readings_of_the_training(plant: Workbench, lesson: Lesson) -> None:
    coarse, fine = (opened(plant, lesson, interval=every) for every in ("10min", "1min"))
    for room, ticks in ((coarse, 6), (fine, 60)):
        room.session.advance(20 * ticks + 1)
        room.update_now()
    assert [o.probability for o in panel_of(fine).outlooks] == [o.probability for o in panel_of(coarse).outlooks]
    assert panel_of(fine).outlooks[0].probability is not None
    for room in (coarse, fine):
        room.session.stop()


def test_a_model_given_late_knows_what_came_before(plant: Workbench, lesson: Lesson) -> None:
    room = opened(plant, lesson)
    hours(room, 20)
    known = panel_of(room).outlooks
    late = room.prediction.use(**lesson.models)
    assert late.outlooks == known
    assert late.outlooks[0].state == OK
    room.session.stop()


def test_one_given_late_reads_the_plants_file_where_memory_has_forgotten(plant: Workbench, lesson: Lesson) -> None:
    room = opened(plant, lesson, store=True)
    for _ in range(20):
        hours(room, 1)
    assert room.session.flush()
    known, session = panel_of(room).outlooks, room.session
    session._ring._kept = 12  # as after days at a second
    late = room.prediction.use(**lesson.models)
    assert [o.probability for o in late.outlooks] == pytest.approx([o.probability for o in known])
    seen = Follower(Workbench.open(plant.path, read_only=True), session.run_id)
    watched = Dashboard(seen, start=False, models=lesson.models)
    watched.update_now()
    assert [o.probability for o in panel_of(watched).outlooks] == pytest.approx([o.probability for o in known])
    session.stop()


def test_a_reset_begins_anew(room: Dashboard) -> None:
    hours(room, 20)
    room.session.reset()
    hours(room, 2)
    assert {line["state"] for line in panel_of(room).table.rows} == {GATHERING}
    assert panel_of(room).prognosis.trends == {}
    hours(room, 14)
    assert row(room)["state"] == OK


def test_a_life_that_overtakes_the_former_between_two_looks_is_its_own(room: Dashboard, plant: Workbench) -> None:
    hours(room, 20)
    room.session.inject("bearing_degradation", MACHINE, level=0.85)
    hours(room, 12)
    faulted = panel_of(room).outlooks[NUMBER - 1].probability
    room.session.reset()
    hours(room, 33)
    told = [o.probability for o in panel_of(room).outlooks]
    room.session.reset()
    for step in (1, 32):
        hours(room, step)
    assert [o.probability for o in panel_of(room).outlooks] == told
    assert told[NUMBER - 1] is not None
    assert faulted is not None
    assert told[NUMBER - 1] < faulted / 2


def test_frames_that_fell_out_of_the_buffer_are_read_again(room: Dashboard, plant: Workbench, lesson: Lesson) -> None:
    other = opened(plant, lesson)
    for _ in range(200):  # more than a subscription holds
        room.session.advance(1)
    other.session.advance(200)
    for each in (room, other):
        each.update_now()
    assert [o.probability for o in panel_of(room).outlooks] == [o.probability for o in panel_of(other).outlooks]
    assert panel_of(room).outlooks[0].state == OK
    other.session.stop()


def test_rows_are_scored_on_a_thread_of_their_own_once_each(room: Dashboard) -> None:
    panel = panel_of(room)
    room.session.advance(HOUR * 20 + 1)  # to the reading of the full hour, which ends a row
    room.update_now()
    passes = len(panel.passes_ms)
    frame = room.session.advance(3)
    panel.update([frame])
    assert panel._job is None  # no row has come to its end
    frame = room.session.advance(6)
    panel.update([frame])
    assert panel._job is not None
    panel._job.result()
    panel.update([], at_once=True)
    assert len(panel.passes_ms) == passes + 1
    assert panel.outlooks[0].at_us == panel.prognosis.due_us


def test_the_card_says_when_and_on_what(room: Dashboard, lesson: Lesson) -> None:
    text = panel_of(room).widget.children[-1].children[0].value
    card = lesson.models["failure"].card
    for said in (
        card.created_at[:16], f"{card.rows:,} rows of 16 machines", "24 h ahead", "roc auc", "digest", "scikit-learn",
        "readings each 10 min",
    ):  # fmt: skip
        assert said in text


def test_clicks_choose_the_machine_that_is_drawn(room: Dashboard) -> None:
    hours(room, 20)
    panel_of(room).table.click(2)
    assert panel_of(room).selected == "M-002"
    assert "M-002" in panel_of(room).detail.value
    room.fleet.table.click(5)
    assert panel_of(room).selected == "M-005"
    assert panel_of(room).table.selected == ["5"]


def test_models_come_from_files_and_bad_ones_stop_nothing(plant: Workbench, lesson: Lesson, tmp_path: Path) -> None:
    files = lesson.save(tmp_path / "models")
    room = plant.live(
        playing=False, store=False, interval="10min", model=files["failure"], rul=str(files["rul"]), seed=2
    )
    assert set(panel_of(room).prognosis.models) == {"failure", "rul"}
    shown = room.prediction.attached
    for given, said in (
        ({"failure": files["rul"]}, "the model given for failure is one for rul: give it as rul="),
        ({"failure": tmp_path / "none.model"}, "no file"),
        ({"failure": "x", "rul": files["rul"]}, "no file 'x'"),
        ({"failure": 7}, "failure must be what train\\(\\) returned or the path of a saved model, got 7"),
    ):
        with pytest.raises(BadRequest, match=said):
            room.prediction.use(**given)
        assert room.prediction.attached is shown
    with pytest.raises(BadRequest, match="one for diagnosis"):
        plant.live(model=files["diagnosis"])
    with pytest.raises(BadRequest, match="go with a model of failure"):
        plant.live(rul=files["rul"])
    assert room.session.status == "paused"  # the one that runs was not stopped for a request that cannot be
    room.session.stop()


def test_of_a_model_of_a_run_of_the_plant_the_interval_is_that_of_the_run(plant: Workbench) -> None:
    spec = FeatureSpec.of(channels=("vibration_g",), statistics=("mean",), windows=("4h",), cadence="2h", residuals=())
    run = plant.simulate("2026-01-05", "2026-01-15", "20min", progress=False)
    X = run_features(run, spec)
    labels = pd.DataFrame({"fails": X.iloc[:, 0] > X.iloc[:, 0].median(), "usable": True}, index=X.index)
    with LiveSession(plant, interval="10min", store=False) as session:
        room = Dashboard(session, start=False)
        for digest, every_min, assumed in ((run.digest(), 20, False), ("of another", 60, True)):
            model = train(X, labels, "failure", "logistic", spec=spec, data={"run": run.id, "digest": digest})
            panel = room.prediction.use(model)
            assert (panel.prognosis.readings_us, panel.prognosis.assumed) == (every_min * 60_000_000, assumed)
            assert ("every 60 min is assumed" in panel.summary.value) == assumed
        assert "Failure within the model&#x27;s horizon" in panel.summary.value


def test_without_a_model_the_panel_says_how_to_get_one_and_trains(
    plant: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teaching, "PACES", {0.0: PACE})
    with LiveSession(plant, speed=3600.0, interval="10min", store=False) as session:
        room = Dashboard(session, start=False)
        assert "dashboard.prediction.use(" in room.prediction._empty.value
        thread = room.prediction.train()
        assert thread is not None
        assert room.prediction.train() is None  # one at a time
        assert "being trained" in room.prediction.answer.value
        thread.join(120)
        room.update_now()
        panel = panel_of(room)
        assert panel.prognosis.spec == PACE.spec
        assert set(panel.prognosis.models) == {"failure", "rul", "diagnosis"}


def test_models_that_were_chosen_during_a_lesson_stay(
    plant: Workbench, lesson: Lesson, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teaching, "train_for", lambda *given, **more: lesson)
    with LiveSession(plant, speed=3600.0, interval="10min", store=False) as session:
        room = Dashboard(session, start=False)
        thread = room.prediction.train()
        assert thread is not None
        chosen = room.prediction.use(lesson.models["failure"])
        thread.join(60)
        room.update_now()
        assert room.prediction.attached is chosen
        assert set(panel_of(room).prognosis.models) == {"failure"}


def test_training_that_cannot_be_is_refused_in_the_log(plant: Workbench) -> None:
    with LiveSession(plant, interval="6h", store=False) as session:
        room = Dashboard(session, start=False)
        thread = room.prediction.train()
        assert thread is not None
        thread.join(60)
        room.update_now()
        assert "readings each" in room.prediction.answer.value
        assert any("too sparse" in notice.text for notice in room.prediction.notices.lines())


def test_features_are_told_in_words() -> None:
    assert feature_words("vibration_mm_s_max_30min") == "Velocity, highest of 30min"
    assert feature_words("kurtosis_kurtosis_12h") == "Kurtosis, kurtosis of 12h"
    assert feature_words("time_since_maintenance_h") == "time since maintenance h"
