"""A model as a policy: it sees what was reported, asks for what its diagnosis names, and waits where work waits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from twin.errors import BadRequest, PolicyFault
from twin.plant import Plant
from twin.policy import decided_by
from twin.prognosis.features import FrameReader
from twin.prognosis.history import recorded
from twin.prognosis.policies import Predictive, Recorder, cost_threshold, treatments
from twin.prognosis.spec import FeatureSpec

SPEC = FeatureSpec.of(channels=("vibration_mm_s",), statistics=("mean",), residuals=("vibration_mm_s",), cadence="24h")
SPAN = {"start": "2026-01-05", "end": "2026-04-05", "interval": "1h", "seed": 4, "wear": "used", "tasks": False}


class Shaking:
    """Takes a machine for failing whose vibration has left its own level."""

    classes_ = np.array(["bearing_degradation", "rotor_imbalance"])

    def __init__(self) -> None:
        self.seen: list[pd.DataFrame] = []

    def predict_proba(self, X: pd.DataFrame) -> Any:
        self.seen.append(X)
        p = (X["vibration_mm_s_residual_24h"] > 20).to_numpy(float)
        return np.column_stack([1 - p, p])


class Bearing(Shaking):
    def predict_proba(self, X: pd.DataFrame) -> Any:
        return np.tile([1.0, 0.0], (len(X), 1))


def test_a_model_asks_for_what_its_diagnosis_names_and_not_twice(plant: Plant) -> None:
    model, recorder = Shaking(), Recorder()
    known = treatments(plant.plan("2026-01-05", "2026-02-05", wear="used"))
    policy = Predictive(model, known, SPEC, threshold=0.5, diagnosis=Bearing())
    rules = [(decided_by(f, "1d", name=n), f) for n, f in (("predictive", policy), ("recorder", recorder))]
    run = plant.simulate(**SPAN, events_only=True, policy=rules, progress=False)
    orders = run.work_orders()
    asked = orders[orders["origin"] == "callable"]
    assert len(asked)
    assert set(asked["action"]) == {"replace_bearing"}
    for _, mine in asked.groupby("machine_id"):
        assert (mine["raised_at"].sort_values().diff().dropna() >= pd.Timedelta(days=1)).all()
    # what the model saw is what anybody finds in the means that had been reported before the decision
    assert recorder.seen is not None
    reader, hourly, alarms, log = FrameReader(SPEC), recorder.seen.hourly, recorder.seen.alarms, recorder.seen.log
    fits = reader.baseline(hourly)
    for rows in model.seen[:: max(1, len(model.seen) // 8)]:
        at = rows.index.get_level_values("ts")[0]
        before = reader.features(hourly[hourly["ts"] < at], alarms, log, fits)
        pd.testing.assert_frame_equal(before.loc[rows.index], rows, rtol=1e-9, atol=1e-9)


def test_the_same_policy_serves_one_world_after_another(plant: Plant) -> None:
    known = treatments(plant.plan("2026-01-05", "2026-02-05", wear="used"))

    def orders(policy: Predictive) -> pd.DataFrame:
        rule = (decided_by(policy, "2d", name="predictive"), policy)
        run = plant.simulate(**SPAN, events_only=True, policy=rule, progress=False, new=True)
        return run.work_orders()[["machine_id", "action", "raised_at"]]

    policy = Predictive(Shaking(), known, SPEC, threshold=0.5)
    first = orders(policy)
    pd.testing.assert_frame_equal(orders(policy), first)
    assert set(first["action"]) >= {"repair"}


def test_what_cannot_be_a_policy_is_refused(plant: Plant) -> None:
    with pytest.raises(BadRequest, match="predict_proba"):
        Predictive(object(), {})  # type: ignore[arg-type]
    with pytest.raises(BadRequest, match="threshold"):
        Predictive(Shaking(), {}, threshold=1.5)
    with pytest.raises(BadRequest, match="unknown failure mode with a treatment"):
        Predictive(Shaking(), {"bearing_degradation": "repair"}, diagnosis=Shaking())
    assert cost_threshold(100.0, 400.0) == 0.25
    assert cost_threshold(500.0, 400.0) == 1.0
    with pytest.raises(BadRequest, match="cost_of_failure"):
        cost_threshold(1.0, 0.0)


def test_a_world_that_begins_later_has_its_own_baseline(plant: Plant) -> None:
    known = treatments(plant.plan("2026-01-05", "2026-02-05", wear="used"))
    used, fresh = (Predictive(Shaking(), known, SPEC, threshold=0.5) for _ in range(2))

    def orders(policy: Predictive, start: str, end: str) -> pd.DataFrame:
        rule = (decided_by(policy, "2d", name="predictive"), policy)
        span = {**SPAN, "start": start, "end": end, "seed": 9}
        run = plant.simulate(**span, events_only=True, policy=rule, progress=False, new=True)
        return run.work_orders()[["machine_id", "action", "raised_at"]]

    orders(used, "2026-01-05", "2026-02-05")
    later = ("2026-06-01", "2026-09-01")
    pd.testing.assert_frame_equal(orders(used, *later), orders(fresh, *later))


def test_fitted_models_of_ours_serve_as_model_and_diagnosis(models: Any) -> None:
    model, diagnosis = models["failure", "logistic"], models["diagnosis", "logistic"]
    policy = Predictive(model, dict.fromkeys(diagnosis.classes_, "repair"), SPEC, diagnosis=diagnosis)
    assert policy.diagnosis is diagnosis


MINUTES = FeatureSpec.of(windows=("90min",), cadence="30min")


class Speechless(Shaking):
    def predict_proba(self, X: pd.DataFrame) -> Any:
        return np.full((len(X), 2), np.nan)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": None}, "model must have predict_proba"),
        ({"treatments": None}, "treatments must be actions by failure mode"),
        ({"priority": "soon"}, "unknown priority 'soon'"),
        ({"spec": MINUTES}, "cadence must be whole hours, got '30min'"),
    ],
)
def test_what_could_never_act_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(BadRequest, match=said) as caught:
        Predictive(**{"model": Shaking(), "treatments": {}, "spec": SPEC, **change})
    assert "\n" not in str(caught.value)


def test_history_is_of_hourly_means(plant: Plant) -> None:
    with pytest.raises(BadRequest, match="cadence must be whole hours"):
        recorded(plant, [None], "20d", spec=MINUTES, progress=False)


def test_a_model_without_probabilities_is_no_policy_that_waits(plant: Plant) -> None:
    rules = Predictive(Speechless(), {}, SPEC).policy()
    with pytest.raises(PolicyFault, match="no probability"):
        plant.simulate(**SPAN, events_only=True, policy=rules, progress=False)
