"""Each metric against values worked out by hand, or against the library that defines it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prognosis_fleets import failures, fleet

from twin.errors import BadRequest
from twin.prognosis import evaluation, metrics, metrics_lives

START = pd.Timestamp("2026-01-05")


def index(*hours: float, machine: int = 1) -> pd.MultiIndex:
    return pd.MultiIndex.from_arrays(
        [[machine] * len(hours), START + pd.to_timedelta(list(hours), unit="h")], names=["machine_id", "ts"]
    )


def failed(*hours: float, machine: int = 1, mode: str = "a") -> pd.DataFrame:
    return pd.DataFrame({"machine_id": machine, "ts": START + pd.to_timedelta(list(hours), unit="h"), "mode": mode})


def test_detection_by_hand() -> None:
    y, score = [1, 0, 1, 0], [0.9, 0.8, 0.7, 0.1]
    assert metrics.average_precision(y, score) == pytest.approx((1.0 + 2.0 / 3.0) / 2.0)
    assert metrics.roc_auc(y, score) == 0.75
    assert metrics.brier(y, score) == pytest.approx((0.01 + 0.64 + 0.09 + 0.01) / 4.0)
    curve = metrics.calibration_curve(y, score, bins=2)
    assert curve["n"].tolist() == [1, 3]
    assert curve["observed"].tolist() == [0.0, 2 / 3]
    np.testing.assert_allclose(curve["predicted"], [0.1, 0.8])
    assert metrics.calibration_curve([1], [1.0], bins=3)["n"].tolist() == [0, 0, 1]


def test_one_class_has_no_value() -> None:
    assert np.isnan(metrics.average_precision([0, 0], [0.1, 0.2]))
    assert np.isnan(metrics.roc_auc([1, 1], [0.1, 0.2]))
    assert np.isnan(metrics.brier([], []))
    assert np.isnan(metrics.rmse([], []))
    assert np.isnan(metrics.concordance([5.0, 5.0], [1.0, 2.0], [False, False]))


def test_lives_by_hand() -> None:
    assert metrics.rmse([10.0, 20.0], [13.0, 16.0]) == pytest.approx(np.sqrt(12.5))
    early, late = np.exp(1.0) - 1.0, np.exp(2.0) - 1.0
    assert metrics.phm08([100.0, 100.0], [87.0, 120.0], unit_h=1.0) == pytest.approx(early + late)
    assert metrics.phm08([2400.0], [2400.0 + 240.0]) == pytest.approx(np.exp(1.0) - 1.0)
    assert metrics.phm08([0.0], [1e9]) == np.inf
    assert metrics.coverage([1.0, 5.0, 9.0], [[0, 1], [6, 7], [8, 10]]) == pytest.approx(2 / 3)
    assert metrics.width([[0, 1], [6, 7], [8, 10]]) == pytest.approx(4 / 3)
    assert metrics.concordance([1.0, 2.0, 3.0], [3.0, 1.0, 2.0]) == pytest.approx(2 / 3)
    assert metrics.concordance([1.0, 2.0, 3.0], [3.0, 1.0, 2.0], [True, False, True]) == 1.0


@given(st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=20))
def test_late_costs_more_than_early(errors: list[float]) -> None:
    d = np.abs(np.array(errors))
    truth = np.full(len(d), 1e5)
    assert metrics.phm08(truth, truth + d, 100.0) >= metrics.phm08(truth, truth - d, 100.0) >= 0.0


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: metrics.roc_auc([0, 1], [0.1, np.nan]), "1 of 2 scores are NaN"),
        (lambda: metrics.roc_auc([0, 1], [0.1]), "2 values wanted"),
        (lambda: metrics.roc_auc([0, 2], [0.1, 0.2]), "true or false"),
        (lambda: metrics.brier([0, 1], [0.1, 1.2]), "within 0 and 1"),
        (lambda: metrics.rmse([[1.0]], [1.0]), "one dimension"),
        (lambda: metrics.rmse([1.0], ["x"]), "not numbers"),
        (lambda: metrics.coverage([1.0], [[3.0, 2.0]]), "lower bound above"),
        (lambda: metrics.coverage([1.0], [1.0]), r"\(1, 2\) wanted"),
        (lambda: metrics.phm08([1.0], [1.0], 0.0), "positive"),
        (lambda: metrics_lives.lead_times([1.0], index(0), failed(1), np.nan, within_h=1.0), "threshold"),
        (lambda: metrics_lives.lead_times([1.0], index(0), failed(1), 0.5, within_h=0.0), "within_h"),
        (lambda: metrics_lives.lead_times([1.0, 1.0], index(0, 0), failed(1), 0.5, within_h=1.0), "twice"),
        (lambda: metrics_lives.alpha_lambda([1.0], [1.0], index(0), alpha=2.0), "shares"),
    ],
)
def test_wrong_input_is_one_line(call: Any, text: str) -> None:
    with pytest.raises(BadRequest, match=text) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_lead_time_is_that_of_the_first_sustained_warning() -> None:
    rows = index(0, 10, 20, 30, 40, 50)
    score = [0.9, 0.1, 0.9, 0.1, 0.9, 0.9]
    found = metrics_lives.lead_times(score, rows, failed(60), 0.5, within_h=100.0, sustained=2)
    assert found["lead_h"].tolist() == [10.0]
    assert metrics_lives.lead_times(score, rows, failed(60), 0.5, within_h=100.0, sustained=1)["lead_h"].tolist() == [
        60.0
    ]
    assert metrics_lives.lead_times(score, rows, failed(60), 0.5, within_h=25.0, sustained=1)["lead_h"].tolist() == [
        20.0
    ]
    assert np.isnan(metrics_lives.lead_times(score, rows, failed(60), 0.5, within_h=100.0, sustained=3)["lead_h"][0])


def test_a_warning_before_one_failure_does_not_count_for_the_next() -> None:
    rows = index(0, 10, 20, 30)
    found = metrics_lives.lead_times([0.9, 0.9, 0.1, 0.1], rows, failed(15, 40), 0.5, within_h=100.0, sustained=1)
    assert found["lead_h"].tolist()[0] == 15.0
    assert np.isnan(found["lead_h"].tolist()[1])


def test_false_alarms_are_counted_outside_the_windows() -> None:
    rows = index(*range(0, 100, 10))
    score = [0.9, 0.9, 0.9, 0.1, 0.9, 0.1, 0.1, 0.9, 0.9, 0.9]  # rows 7 to 9 lie in the window before 100
    found = metrics_lives.false_alarms(score, rows, failed(100), 0.5, within_h=30.0, sustained=1)
    assert found["alarms"].tolist() == [2]
    assert found["months"].tolist() == [pytest.approx(70.0 / 730.5)]
    assert metrics_lives.false_alarms(score, rows, failed(100), 0.5, within_h=30.0, sustained=2)["alarms"].tolist() == [
        1
    ]


def test_alpha_lambda_and_horizon_by_hand() -> None:
    rows = index(0, 25, 50, 75)
    truth = [100.0, 75.0, 50.0, 25.0]
    judged = metrics_lives.alpha_lambda(truth, [0.0, 0.0, 59.0, 0.0], rows, alpha=0.2, lam=0.5)
    assert judged[["true_h", "predicted_h", "inside", "life_h"]].to_numpy().tolist() == [[50.0, 59.0, True, 100.0]]
    assert not metrics_lives.alpha_lambda(truth, [0.0, 0.0, 61.0, 0.0], rows)["inside"][0]
    horizon = metrics_lives.prognostic_horizon(truth, [105.0, 100.0, 59.0, 20.0], rows, alpha=0.1)
    assert horizon["horizon_h"].tolist() == [50.0]  # in, out, in, in
    assert metrics_lives.prognostic_horizon(truth, [100.0, 75.0, 50.0, 50.0], rows)["horizon_h"].tolist() == [0.0]
    two = index(0, 50, 100, 150)
    assert len(metrics_lives.alpha_lambda([100.0, 50.0, 100.0, 50.0], [1.0] * 4, two)) == 2  # a repair between


def test_the_bootstrap_resamples_machines() -> None:
    machines = np.repeat([1, 2], 50)
    values = np.repeat([0.0, 1.0], 50)
    low, high = evaluation.bootstrap(machines, lambda rows: float(values[rows].mean()))
    assert (low, high) == (0.0, 1.0)  # rows resampled one by one would stay near a half
    assert evaluation.bootstrap(machines, lambda rows: float(values[rows].mean()), seed=0) == (low, high)
    assert np.isnan(evaluation.bootstrap([1, 1], lambda rows: 1.0)).all()


def test_frames_are_tidy_and_hold_the_plain_metrics() -> None:
    _, labels = fleet(20, seed=4)
    score = np.exp(-labels["rul_h"].to_numpy() / 200.0)
    found = evaluation.evaluate_detection(labels, score, failures(labels), within_h=168.0, replications=20)
    assert list(found) == evaluation.COLUMNS
    cell = found.set_index(["metric", "mode"])
    assert cell.loc[("roc_auc", "all"), "value"] == metrics.roc_auc(labels["fails"], score)
    assert cell.loc[("detected", "all"), "value"] == 1.0
    assert set(found["mode"]) == {"all", "bearing_degradation", "cooling_loss"}
    assert ((found["low"] <= found["value"]) & (found["value"] <= found["high"]))[found["note"] == ""].all()
    life = labels["rul_h"].to_numpy()
    bounds = np.column_stack([life - 1.0, life + 1.0])
    lives = evaluation.evaluate_rul(labels, life, bounds, replications=20).set_index(["metric", "mode"])["value"]
    assert lives["rmse_h", "all"] == lives["phm08_mean", "all"] == 0.0
    assert lives["alpha_lambda", "all"] == lives["coverage", "all"] == 1.0
    assert lives["width_h", "all"] == pytest.approx(2.0)
    order = evaluation.evaluate_survival(labels, -life, replications=3).set_index(["metric", "mode"])["value"]
    assert order["concordance", "all"] == 1.0


def test_what_has_no_value_says_why() -> None:
    _, labels = fleet(4, seed=4)
    found = evaluation.evaluate_detection(labels.assign(fails=False, mode=None), np.zeros(len(labels)), replications=5)
    notes = found.set_index("metric")["note"]
    assert notes["roc_auc"] == "one class only"
    none = evaluation.evaluate_detection(labels.assign(usable=False), np.zeros(len(labels)), replications=5)
    assert set(none["note"]) == {"no rows"}
