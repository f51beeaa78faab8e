"""Figures of predictions show what scikit-learn and the frames say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from bokeh.models import Legend, Line, Scatter, Step, VArea
from sklearn.metrics import average_precision_score

from twin import plots_prognosis
from twin.errors import BadRequest

RNG = np.random.default_rng(0)
FAILS = RNG.random(500) < 0.2
SCORES = {"good": np.clip(0.6 * FAILS + RNG.random(500) * 0.4, 0, 1), "none": RNG.random(500)}
INDEX = pd.MultiIndex.from_product(
    [[1, 2], pd.date_range("2026-01-05", periods=5, freq="D")], names=["machine_id", "ts"]
)
ENDS = pd.DataFrame(
    {"machine_id": [1, 2], "failed_at": pd.to_datetime(["2026-01-08", "2026-01-09"]), "mode": ["rotor_imbalance"] * 2}
)


def glyphs(panel: Any, kind: type) -> list[Any]:
    return [r for r in panel.renderers if isinstance(r.glyph, kind)]


def legend(panel: Any) -> list[str]:
    return [item.label.value for item in panel.select_one(Legend).items]


def test_curves_of_precision_are_named_with_their_average() -> None:
    panel = plots_prognosis.precision_recall(SCORES, FAILS)
    expected = [f"{name}: {average_precision_score(FAILS, score):.2f}" for name, score in SCORES.items()]
    assert legend(panel) == [*expected, f"guessing: {FAILS.mean():.2f}"]
    for curve in glyphs(panel, Step):
        recall = curve.data_source.data["recall"]
        assert len(recall) <= 400
        assert recall.max() == 1.0
        assert (np.diff(recall) <= 0).all()


def test_a_calibrated_model_lies_on_the_diagonal() -> None:
    said = RNG.random(20_000)
    panel = plots_prognosis.calibration({"honest": said}, RNG.random(20_000) < said, bins=5)
    [dots] = glyphs(panel, Scatter)
    np.testing.assert_allclose(dots.data_source.data["observed"], dots.data_source.data["predicted"], atol=0.05)


def test_a_machines_course_has_its_own_failures_and_work() -> None:
    chance = pd.Series(np.linspace(0, 1, 10), index=INDEX)
    work = pd.DataFrame({"machine_id": [2], "end_at": pd.to_datetime(["2026-01-07"]), "action": ["lubricate"]})
    panel = plots_prognosis.chances(chance, 1, ENDS, work, threshold=0.3)
    failed, done = (r.data_source.data for r in glyphs(panel, Scatter))
    assert failed["ts"].tolist() == ENDS["failed_at"].to_numpy()[:1].tolist()
    assert len(done["ts"]) == 0
    assert plots_prognosis.WORK not in legend(panel)
    assert plots_prognosis.LIMIT in legend(panel)
    with pytest.raises(BadRequest, match=r"unknown machine of these predictions 3; there are: 1, 2|3"):
        plots_prognosis.chances(chance, 3, ENDS)
    with pytest.raises(BadRequest, match="indexed by machine_id and ts"):
        plots_prognosis.chances(chance.reset_index(drop=True), 1, ENDS)


def test_remaining_life_is_in_days() -> None:
    true = pd.Series(np.tile([96.0, 72.0, 48.0, 24.0, 0.0], 2), index=INDEX)
    interval = pd.DataFrame({"low_h": true - 24, "high_h": true + 24})
    panel = plots_prognosis.remaining_life(true, true, interval, 2)
    lines = glyphs(panel, Line)
    assert [line.data_source.data["y"].tolist() for line in lines] == [[4, 3, 2, 1, 0]] * 2
    [band] = glyphs(panel, VArea)
    assert band.data_source.data["y2"].tolist() == [5, 4, 3, 2, 1]


def test_features_before_failures_are_medians_by_day() -> None:
    left = np.array([10.0, 20.0, 30.0, 40.0, 900.0, 10.0])
    labels = pd.DataFrame({"rul_h": left, "censored": [False] * 5 + [True]})
    features = pd.DataFrame({"a_residual": [4.0, 2.0, 1.0, 3.0, 9.0, 99.0]})
    panel = plots_prognosis.before_failures(features, labels)
    [line] = glyphs(panel, Line)
    assert line.data_source.data["day"].tolist() == [1.0, 2.0]
    assert line.data_source.data["value"].tolist() == [3.0, 2.0]
    assert panel.x_range.start > panel.x_range.end  # time runs towards the failure
    with pytest.raises(BadRequest, match="no failure has readings"):
        plots_prognosis.before_failures(features, labels.assign(censored=True))
