"""Costs add up, and survival is learned from those that did not fail, too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from bokeh.models import HBar, Legend, Line, Step, Text, VAreaStep
from hypothesis import given
from hypothesis import strategies as st
from lifelines import KaplanMeierFitter

from twin import plots_outcomes
from twin.errors import BadRequest


def bills(**more: Any) -> pd.DataFrame:
    table = {
        "policy": ["run-to-failure", "periodic:720h:service"],
        "labour_cost": [10.0, 20.0],
        "parts_cost": [5.0, 6.0],
        "downtime_cost": [100.0, 50.0],
    }
    return pd.DataFrame(table | more)


def lives(*rows: tuple[float, float, bool]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=["start", "stop", "event"]).assign(mode="bearing_degradation")


def legend(panel: Any) -> list[str]:
    [found] = panel.select(Legend)
    assert found in panel.above  # outside the data
    return [item.label.value for item in found.items]


def test_each_policy_is_a_bar_of_three_parts_with_its_sum() -> None:
    panel = plots_outcomes.costs(bills(), title="A year")
    assert legend(panel) == ["labour", "parts", "downtime"]
    assert panel.xaxis.axis_label == "Cost (currency of the plant)"
    assert panel.y_range.factors == ["periodic:720h:service", "run-to-failure"]  # from below
    assert panel.title.text == "A year"
    bars = [r for r in panel.renderers if isinstance(r.glyph, HBar)]
    assert len(bars) == 3
    [sums] = [r.data_source.data["text"] for r in panel.renderers if isinstance(r.glyph, Text)]
    assert sums == ["115", "76"]
    assert panel.x_range.end > 115  # the longest bar has room for its sum


def test_bars_are_named_by_a_column_or_by_the_index() -> None:
    named = bills().assign(policy="same").set_index(pd.Index(["a", "b"], name="kind"))
    assert plots_outcomes.costs(named, "kind").y_range.factors == ["b", "a"]
    with pytest.raises(BadRequest, match="two bars are called 'same'"):
        plots_outcomes.costs(named)
    long = bills(policy=["x" * 60, "y"])
    assert max(map(len, plots_outcomes.costs(long).y_range.factors)) == 34


lifetimes = st.lists(
    st.tuples(st.integers(0, 20), st.integers(1, 30), st.booleans()).map(lambda r: (r[0], r[0] + r[1], r[2])),
    min_size=1,
    max_size=60,
)


@given(rows=lifetimes)
def test_survival_is_the_product_over_the_failures(rows: list[tuple[float, float, bool]]) -> None:
    found = plots_outcomes.kaplan_meier(lives(*rows))
    share = 1.0
    expected = [(0.0, sum(start <= 0 for start, _, _ in rows), 0, 1.0)]
    for age in sorted({stop for _, stop, event in rows if event}):
        at_risk = sum(start < age <= stop for start, stop, _ in rows)
        failed = sum(event and stop == age for _, stop, event in rows)
        share *= 1 - failed / at_risk
        expected.append((age, at_risk, failed, share))
    np.testing.assert_allclose(found[["hours", "at_risk", "failed", "survival"]].to_numpy(float), expected, atol=1e-12)
    assert (found["low"] <= found["survival"] + 1e-12).all()
    assert (found["survival"] <= found["high"] + 1e-12).all()


@pytest.mark.parametrize("truncated", [False, True])
def test_survival_and_its_band_are_those_of_lifelines(truncated: bool) -> None:
    rng = np.random.default_rng(3)
    ages, entry = 9000 * rng.weibull(1.5, 600), rng.uniform(0, 3000, 600) * (truncated & (np.arange(600) > 300))
    frame = pd.DataFrame({"start": entry, "stop": np.minimum(ages, 6000.0), "event": ages < 6000.0})
    frame = frame[frame["stop"] > frame["start"]]
    found = plots_outcomes.kaplan_meier(frame).iloc[1:]
    usual = KaplanMeierFitter().fit(frame["stop"], frame["event"], entry=frame["start"])
    survival = usual.survival_function_at_times(found["hours"]).to_numpy()
    band = usual.confidence_interval_survival_function_.loc[found["hours"]].to_numpy()
    np.testing.assert_allclose(found["survival"], survival, atol=1e-9)
    np.testing.assert_allclose(found[["low", "high"]].to_numpy(), band, atol=1e-6)


def test_to_forget_the_censored_is_to_see_lives_too_short() -> None:
    rng = np.random.default_rng(4)
    ages, ends = 9000 * rng.weibull(1.5, 3000), rng.uniform(0, 12_000, 3000)
    frame = pd.DataFrame({"stop": np.minimum(ages, ends), "event": ages < ends})
    curve = plots_outcomes.kaplan_meier(frame)
    true = 9000 * np.log(2) ** (1 / 1.5)
    assert curve.loc[curve["survival"] <= 0.5, "hours"].min() == pytest.approx(true, rel=0.06)
    assert frame.loc[frame["event"], "stop"].median() < 0.7 * true


def test_each_group_is_a_curve_with_its_band_and_its_law() -> None:
    frame = pd.concat(
        [lives((0, 10, True), (0, 20, False), (0, 30, True)), lives((0, 40, False)).assign(mode="lubrication_loss")]
    )
    laws = {"bearing_degradation": (1.5, 30.0)}
    panel = plots_outcomes.survival(frame, laws=laws, title="Survival")
    assert legend(panel) == ["Bearing degradation", "Lubrication loss", "the law behind it"]
    kinds = [type(r.glyph) for r in panel.renderers]
    assert (kinds.count(Step), kinds.count(VAreaStep), kinds.count(Line)) == (2, 2, 1)
    assert panel.xaxis.axis_label == "Age (effective hours)"
    assert panel.x_range.end == 40
    (never,) = [r for r in panel.renderers if isinstance(r.glyph, Step) and r.name == "Lubrication loss"]
    assert list(never.data_source.data["survival"]) == [1.0, 1.0]  # nothing failed: a line to the oldest age
    assert plots_outcomes.survival(frame, until=25.0).x_range.end == 25.0


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: plots_outcomes.costs(bills().iloc[:0]), "no rows"),
        (lambda: plots_outcomes.costs(bills().drop(columns="parts_cost")), "no column 'parts_cost'"),
        (lambda: plots_outcomes.costs(bills(), "name"), "no column 'name'"),
        (lambda: plots_outcomes.survival(lives().iloc[:0]), "no rows"),
        (lambda: plots_outcomes.survival(lives((0, 1, True)), by="type"), "no column 'type'"),
        (lambda: plots_outcomes.kaplan_meier(bills()), "no column 'stop'"),
    ],
)
def test_bad_requests_are_refused_in_one_line(call: Any, said: str) -> None:
    with pytest.raises(BadRequest) as caught:
        call()
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
