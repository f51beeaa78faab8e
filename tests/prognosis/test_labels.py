"""Labels: the truth of the run, told at the times of the features, and nothing where nothing can be told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from twin.errors import BadRequest
from twin.plant import Plant
from twin.prognosis.features import features
from twin.prognosis.labels import labels
from twin.prognosis.spec import FeatureSpec

SPEC = FeatureSpec.of(channels=("vibration_mm_s",), statistics=("mean",), residuals=(), cadence="6h")


@pytest.fixture(scope="module")
def index(run: Any) -> pd.MultiIndex:
    return features(run, SPEC).index


def test_each_label_is_what_the_tables_of_the_truth_say(run: Any, index: pd.MultiIndex) -> None:
    told = labels(run, index, "7d", window="24h")
    failures, log = run.failures(), run.maintenance()
    end = pd.Timestamp("2026-07-05")
    assert told["fails"].any()
    for k in np.random.default_rng(2).choice(len(told), 200, replace=False):
        (machine, at), row = index[k], told.iloc[k]
        mine = failures[(failures.machine_id == machine) & (failures.failed_at > at)].sort_values("failed_at")
        work = log[(log.machine_id == machine) & (log.start_at > at)].start_at.min()
        failed = mine.failed_at.iloc[0] if len(mine) else pd.NaT
        event = pd.notna(failed) and not failed > work
        stop = failed if event else min(t for t in (work, end) if pd.notna(t))
        assert row["censored"] == (not event)
        assert row["rul_h"] == pytest.approx((stop - at).total_seconds() / 3600)
        assert row["fails"] == (event and failed <= at + pd.Timedelta(days=7))
        assert row["mode"] == mine["mode"].iloc[0] if row["fails"] else pd.isna(row["mode"])
        if row["usable"]:
            assert row["fails"] or stop >= at + pd.Timedelta(days=7)


def test_windows_that_touch_a_standstill_are_not_used(run: Any, index: pd.MultiIndex) -> None:
    told = labels(run, index, "7d", window="24h")
    stands = run.truth()
    stands = stands[~stands["operating_state"].isin(["running", "idle"])]
    for machine, at in stands[["machine_id", "ts"]].itertuples(index=False):
        near = told.loc[machine].loc[at : at + pd.Timedelta("24h")]
        assert not near["usable"].any()


def test_some_modes_alone(run: Any, index: pd.MultiIndex) -> None:
    told = labels(run, index, "7d")
    mode = told["mode"].dropna().mode()[0]
    alone = labels(run, index, "7d", modes=[mode])
    assert alone["fails"].equals(told["mode"] == mode)
    with pytest.raises(BadRequest, match="bearing_degradation"):
        labels(run, index, modes=["bearing_degradtion"])


def test_what_cannot_be_labelled_is_refused(plant: Plant, run: Any, index: pd.MultiIndex) -> None:
    with pytest.raises(BadRequest, match="as long as the run"):
        labels(run, index, horizon="181d")
    with pytest.raises(BadRequest, match="horizon"):
        labels(run, index, horizon="0d")
    with pytest.raises(BadRequest, match="empty"):
        labels(run, index[:0])
    with pytest.raises(BadRequest, match="sorted"):
        labels(run, index[::-1])
    with pytest.raises(BadRequest, match="index of features"):
        labels(run, pd.DataFrame({"machine_id": [1]}))
    with pytest.raises(BadRequest, match="machine 99"):
        labels(run, pd.MultiIndex.from_tuples([(99, pd.Timestamp("2026-02-01"))], names=["machine_id", "ts"]))


def test_rows_of_another_time_are_not_of_this_run(run: Any, index: pd.MultiIndex) -> None:
    machines, times = (index.get_level_values(name) for name in ("machine_id", "ts"))
    former = pd.MultiIndex.from_arrays([machines, times - pd.Timedelta(days=3650)], names=index.names)
    with pytest.raises(BadRequest, match="from before run 1 began: make the features from this run"):
        labels(run, former)


@pytest.mark.parametrize("modes", [5, [["a"]], [None]])
def test_modes_that_are_none_are_refused(run: Any, index: pd.MultiIndex, modes: Any) -> None:
    with pytest.raises(BadRequest, match="mode"):
        labels(run, index, modes=modes)
