"""The figure of savings says what the table says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from bokeh.models import Legend, Scatter, Segment, Text

from twin import plots_worth
from twin.errors import BadRequest
from twin.worth import FIGURES, Evaluation


def evaluation(**costs: list[float]) -> Evaluation:
    rows = [
        {"replication": k, "seed": k, "policy": name.replace("_", "-"), **dict.fromkeys(FIGURES, 1.0), "cost": cost}
        for name, worlds in costs.items()
        for k, cost in enumerate(worlds)
    ]
    return Evaluation(pd.DataFrame(rows).sort_values("replication", kind="stable"), machines=10, years=2.0)


WORTH = evaluation(
    run_to_failure=[2000.0, 2400.0], dear=[2300.0, 2500.0], clever=[1200.0, 1400.0], oracle=[1000.0, 1400.0]
)


def glyphs(panel: Any, kind: type) -> list[Any]:
    return [r for r in panel.renderers if isinstance(r.glyph, kind)]


def test_each_policy_has_its_mean_its_interval_and_its_worlds() -> None:
    panel = plots_worth.savings(WORTH, title="Two years")
    assert panel.title.text == "Two years"
    assert panel.y_range.factors == ["oracle", "clever", "dear"]  # from below
    words = [r.data_source.data["text"][0] for r in glyphs(panel, Text)]
    assert words == [
        "-10  (-20%)",
        "45  (90%)",
        "50  (100%)",
    ]
    low = [r.data_source.data["x0"][0] for r in glyphs(panel, Segment)]
    expected = WORTH.table().loc[["dear", "clever", "oracle"], "saving_low"].to_numpy() / 20.0
    np.testing.assert_allclose(low, expected)
    worlds = [r for r in glyphs(panel, Scatter) if len(r.data_source.data["x"]) == 2]
    np.testing.assert_allclose([sorted(r.data_source.data["x"]) for r in worlds], [[-15, -5], [40, 50], [50, 50]])
    assert {name.label.value for name in panel.select_one(Legend).items} == {
        plots_worth.EACH, plots_worth.SURE, plots_worth.SAVES, plots_worth.COSTS, plots_worth.POSSIBLE
    }  # fmt: skip


def test_without_an_oracle_there_is_no_share() -> None:
    panel = plots_worth.savings(evaluation(run_to_failure=[2.0, 3.0], other=[1.0, 1.5]))
    assert [r.data_source.data["text"][0] for r in glyphs(panel, Text)] == ["0"]
    assert plots_worth.POSSIBLE not in {item.label.value for item in panel.select_one(Legend).items}


def test_some_policies_against_another() -> None:
    panel = plots_worth.savings(WORTH, "dear", policies=["clever", "oracle"])
    assert panel.y_range.factors == ["oracle", "clever"]
    assert panel.xaxis.axis_label.startswith("Saved against dear")


def test_what_is_not_there_is_refused() -> None:
    for given in ({"baseline": "nobody"}, {"policies": ["nobody"]}):
        with pytest.raises(BadRequest, match=r"unknown policy 'nobody'"):
            plots_worth.savings(WORTH, **given)
    with pytest.raises(BadRequest, match="nothing to compare"):
        plots_worth.savings(evaluation(run_to_failure=[2.0, 3.0]))
