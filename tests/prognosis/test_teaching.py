"""A lesson: faults put into machines like the plant's, and models that have learnt from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from twin.errors import BadRequest
from twin.plant import Plant
from twin.prognosis.live import Prognosis
from twin.prognosis.saved import load
from twin.prognosis.teaching import PACES, STEPS, Lesson, Pace, lesson_plan, pace_for, train_for
from twin.times import parse_duration

PACE = Pace(window="3h", cadence="1h", baseline="6h", horizon="12h", readings="20min", span="20d")


@pytest.fixture(scope="module")
def told() -> list[tuple[int, int, str]]:
    return []


@pytest.fixture(scope="module")
def lesson(plant: Plant, told: list[tuple[int, int, str]]) -> Lesson:
    return train_for(plant, pace=PACE, machines=12, progress=lambda *step: told.append(step))


def test_a_lesson_gives_models_that_belong_together(lesson: Lesson, plant: Plant, tmp_path: Path) -> None:
    before = len(plant.runs.rows())
    assert set(lesson.models) == {"failure", "diagnosis", "rul"}
    assert Prognosis(**lesson.models).readings_us == parse_duration("20min")
    card = lesson.models["failure"].card
    assert card.machines == 12
    assert card.horizon_h == 12.0
    assert card.positives > 100
    assert card.data["failures"] > 10
    assert card.data["validation"]["roc_auc"] == pytest.approx(lesson.scores["roc_auc"], abs=1e-4)
    assert lesson.scores["roc_auc"] > 0.7
    assert len(plant.runs.rows()) == before  # it was a run of a file of its own
    files = lesson.save(tmp_path / "new" / "models")
    assert load(files["rul"]).card == lesson.models["rul"].card


def test_its_progress_is_told_step_by_step(lesson: Lesson, told: list[tuple[int, int, str]]) -> None:
    assert [what for _, _, what in told] == [*STEPS, "done"]
    assert told[-1][:2] == (len(STEPS), len(STEPS))


def test_the_plan_has_faults_scenarios_and_lying_instruments_on_the_plants_machines(plant: Plant) -> None:
    plan = lesson_plan(plant, PACE, machines=12)
    assert {m.name for m in plan.machines} >= {row["name"] for row in plant.machines.rows()}
    modes = {i.failure_mode for i in plan.injections}
    assert modes >= {name for name, mode in plan.failure_modes.items() if mode.stops_machine and mode.wear}
    lying = [i for i in plan.injections if not plan.failure_modes[i.failure_mode].stops_machine]
    assert lying
    assert all(i.end_us is not None for i in lying)
    assert all(i.time_to_failure_us for i in plan.injections if i not in lying)
    assert plan.activations
    assert lesson_plan(plant, PACE, machines=12).sha256 == plan.sha256
    assert lesson_plan(plant, PACE, machines=12, seed=2).sha256 != plan.sha256


def test_one_mode_alone_needs_no_diagnosis(plant: Plant) -> None:
    plan = lesson_plan(plant, PACE, "bearing_degradation", machines=12)
    stopping = {i.failure_mode for i in plan.injections if plan.failure_modes[i.failure_mode].stops_machine}
    assert stopping == {"bearing_degradation"}
    for modes, said in (("sensor_stuck", "failure mode that stops a machine"), ([], "modes names no failure mode")):
        with pytest.raises(BadRequest, match=said):
            lesson_plan(plant, PACE, modes)


def test_windows_fit_the_speed_and_the_readings() -> None:
    assert pace_for(3600.0).window == "12h"
    assert pace_for(600.0).window == "2h"
    assert pace_for(1.0).window == "30min"
    assert pace_for(60.0, "10min").window == "12h"  # readings are no further apart than they come
    with pytest.raises(BadRequest, match="readings each '1h' are too sparse"):
        pace_for(60.0, "1h")
    with pytest.raises(BadRequest, match="speed"):
        pace_for(0.0)


@pytest.mark.parametrize("pace", PACES.values())
def test_each_pace_gives_features(pace: Pace) -> None:
    assert len(pace.spec.columns) == 25
    lengths = [parse_duration(text) for text in (pace.readings, pace.cadence, pace.window, pace.horizon, pace.span)]
    assert np.all(np.diff(lengths) > 0)
