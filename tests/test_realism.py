"""Fresh fleets lie inside the bands of real machines, and the yardstick itself measures what it says."""

from __future__ import annotations

import json
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from lifelines import WeibullFitter

from twin import realism
from twin.catalog.loader import Catalog, load_catalog
from twin.catalog.models import Effect
from twin.cli import run_command
from twin.errors import BadRequest
from twin.plan import PlannedMachine
from twin.realism import Trials, bands, within
from twin.realism_fits import fit_warming, fit_weibull, quantile
from twin.realism_runs import BearingRun

SEEDS = (0, 7, 20260105)
KEYS = ["metric", "band", "value", "holds"]


def doctored(mode: str = "bearing_degradation", parameter: str = "defect_g", gain: float = 0.3) -> Catalog:
    """Return the catalog with one gain of a failure mode changed."""
    catalog = load_catalog()
    old = catalog.failure_modes[mode]
    fields: list[dict[str, Any]] = [effect.model_dump(exclude_none=True) for effect in old.effects]
    changed = [Effect.model_validate(f | ({"gain": gain} if f["parameter"] == parameter else {})) for f in fields]
    modes = dict(catalog.failure_modes) | {mode: old.model_copy(update={"effects": tuple(changed)})}
    return replace(catalog, failure_modes=MappingProxyType(modes))


def broken(rows: list[dict[str, Any]]) -> list[str]:
    return [row["metric"] for row in rows if not row["holds"]]


# -- the bands --------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("machines", [20, 60])
@pytest.mark.parametrize("seed", SEEDS)
def test_all_bands_hold(seed: int, machines: int) -> None:
    rows = bands(seed, machines)
    assert broken(rows) == []
    assert {row["metric"].split()[0] for row in rows} == {*map(str, range(1, 11)), "settled"}


@pytest.mark.slow
def test_a_weak_defect_breaks_the_bands_of_the_bearings_and_no_other() -> None:
    failed = broken(bands(7, 20, catalog=doctored()))
    assert "1 RMS at the end / baseline, median run" in failed
    assert {metric.split()[0] for metric in failed} <= {"1", "2", "4", "settled"}


def test_a_row_says_whether_a_value_lies_within_its_band() -> None:
    assert within("m", 3.0, 3.0, 14.0) == {"metric": "m", "band": "3 to 14", "value": 3.0, "holds": True}
    assert within("m", 2.99, low=3.0) == {"metric": "m", "band": "at least 3", "value": 2.99, "holds": False}
    assert within("m", 5.0, high=2.0) == {"metric": "m", "band": "at most 2", "value": 5.0, "holds": False}
    assert within("m", float("nan"), high=2.0)["holds"] is False
    assert within("m", 9000.0, 8624.4, 9391.8)["band"] == "8,624 to 9,392"


def test_a_fleet_is_fresh_for_each_seed_and_the_same_for_the_same() -> None:
    one, again, other = (Trials(seed, 20).bench.machines for seed in (7, 7, 8))
    assert one == again
    assert all(a.unit_seed != b.unit_seed for a, b in zip(one, other, strict=True))
    assert {machine.machine_type for machine in one} == set(load_catalog().machine_types)
    assert {machine.machine_type for machine in Trials(7, 20).spindles.machines} == {"spindle"}


def test_too_few_machines_are_refused() -> None:
    with pytest.raises(BadRequest, match="20 to 32767"):
        Trials(0, 19)


@pytest.mark.slow
def test_bearings_run_until_the_moment_of_their_failure() -> None:
    """The interval of the readings and the company do not change a life: the last readings are those of the end."""
    for run in Trials(7, 20).bearing_runs:
        assert run.age_h[-1] < run.life_h <= run.age_h[-1] + run.age_h[1] + 1e-9
        assert (run.rms_g > 0.1).all()  # a machine that has failed stands still
        assert run.growth > 2.0


# -- measures of a run ------------------------------------------------------------------------


def bearing(rms: Any, kurtosis: Any = 3.0) -> BearingRun:
    rms = np.asarray(rms, np.float64)
    machine = PlannedMachine(machine_id=1, name="M-001", machine_type="spindle", unit_seed=1)
    return BearingRun(machine, float(rms.size), np.arange(rms.size, dtype=np.float64), rms, np.full_like(rms, kurtosis))


def test_a_run_leaves_3_sigma_after_its_last_reading_within() -> None:
    rms = np.where(np.arange(1000) % 2, 1.01, 0.99)
    rms[500] = 2.0  # a spike is not the end
    rms[900:] = 4.0
    run = bearing(rms)
    assert run.baseline_g == pytest.approx(1.0)
    assert run.exit_share == pytest.approx(0.899)
    assert run.growth == pytest.approx(4.0)
    assert bearing(np.full(100, 1.0)).exit_share == pytest.approx(0.99)


def test_the_late_trend_is_that_of_the_second_half() -> None:
    assert bearing(np.concatenate([np.arange(50.0)[::-1], np.arange(50.0)])).late_trend == pytest.approx(1.0)
    noise = np.random.default_rng(1).normal(1.0, 0.1, 2000)
    assert abs(bearing(noise).late_trend) < 0.1


def test_one_high_reading_of_the_kurtosis_is_no_peak() -> None:
    run = bearing(np.ones(100))
    run.kurtosis[50] = 20.0
    assert run.kurtosis_peak == 3.0
    run = bearing(np.ones(100))
    run.kurtosis[60:70] = 9.0
    assert (run.kurtosis_peak, run.kurtosis_end) == (9.0, 3.0)


def test_warming_is_found_again() -> None:
    minutes = np.arange(240.0)
    truth = 30.0 + 20.0 * (1.0 - np.exp(-minutes / 14.0))
    fit = fit_warming(minutes, truth + np.random.default_rng(2).normal(0.0, 0.1, minutes.size))
    assert (fit.start_c, fit.rise_k, fit.tau_min) == pytest.approx((30.0, 20.0, 14.0), rel=0.02)
    assert fit.rmse_k == pytest.approx(0.1, rel=0.2)
    assert fit.at(minutes) == pytest.approx(truth, abs=0.2)


# -- lives ------------------------------------------------------------------------------------


def lives(seed: int, parts: int = 300, shape: float = 1.6, life_h: float = 9000.0) -> tuple[np.ndarray, ...]:
    """Return lives of a Weibull law, a third of them of parts that were not new, cut off at random ages."""
    rng = np.random.default_rng(seed)
    start = np.where(rng.random(parts) < 0.3, rng.uniform(0.0, 0.6 * life_h, parts), 0.0)
    end = life_h * ((start / life_h) ** shape + rng.exponential(size=parts)) ** (1.0 / shape)
    cut = start + rng.uniform(0.0, 2.0 * life_h, parts)
    return start, np.minimum(end, cut), end <= cut


@pytest.mark.parametrize(("shape", "life_h"), [(1.6, 9000.0), (0.8, 500.0), (3.5, 40_000.0)])
def test_the_weibull_fit_agrees_with_lifelines(shape: float, life_h: float) -> None:
    start, stop, event = lives(3, shape=shape, life_h=life_h)
    fit = fit_weibull(start, stop, event)
    peer = WeibullFitter().fit(stop, event, entry=start)
    assert fit.events == event.sum() == peer.event_observed.sum()
    assert fit.shape == pytest.approx(peer.rho_, rel=1e-3)
    assert fit.life_h == pytest.approx(peer.lambda_, rel=1e-3)
    errors = peer.summary["se(coef)"]  # of the parameters themselves, to first order those of the logs times them
    assert fit.shape_se == pytest.approx(errors["rho_"] / peer.rho_, rel=0.01)
    assert fit.life_se == pytest.approx(errors["lambda_"] / peer.lambda_, rel=0.01)


def test_intervals_hold_their_value_as_often_as_they_say() -> None:
    held = {"shape": 0, "life_h": 0}
    for seed in range(400):
        fit = fit_weibull(*lives(seed, parts=120))
        for name, truth in (("shape", 1.6), ("life_h", 9000.0)):
            low, high = fit.interval(name)
            held[name] += low <= truth <= high
    assert all(0.92 <= count / 400 <= 0.975 for count in held.values()), held  # 0.95 +- 3 standard errors


def test_a_wider_confidence_gives_a_wider_interval() -> None:
    fit = fit_weibull(*lives(1))
    assert quantile(0.95) == pytest.approx(1.96, abs=1e-3)
    narrow, wide = fit.interval("shape"), fit.interval("shape", 0.997)
    assert wide[0] < narrow[0] < fit.shape < narrow[1] < wide[1]


def test_a_fit_needs_failures() -> None:
    start, stop, event = lives(1)
    with pytest.raises(BadRequest, match="1 failures"):
        fit_weibull(start, stop, event & (np.arange(event.size) == np.flatnonzero(event)[0]))


@pytest.mark.slow
def test_plain_intervals_hold_the_catalog_as_often_as_they_say() -> None:
    """Repairs of one part at a time cut off lives independently, so that fits are unbiased."""
    inside, off = [], []
    for seed in range(12):
        laws = Trials(seed, 40).laws()
        for name in ("shape", "life_h"):
            inside += list(laws[name].between(laws[f"{name} low"], laws[f"{name} high"]))
            off += list(np.log(laws[f"{name} fit"] / laws[name]))
    assert len(inside) >= 150
    assert np.mean(inside) >= 0.90  # 168 intervals: 0.95 less 3 standard errors
    assert abs(np.mean(off)) < 0.02


# -- the command ------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_command_prints_rows_with_exactly_these_keys(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["realism", "--seed", "7", "--machines", "20", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows == bands(7, 20)
    for row in rows:
        assert list(row) == KEYS
        assert (type(row["metric"]), type(row["band"]), type(row["value"])) == (str, str, float)
        assert row["holds"] is True


@pytest.mark.slow
def test_a_band_that_does_not_hold_is_a_fault(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(realism, "load_catalog", doctored)
    assert run_command(["realism", "--seed", "7", "--machines", "20"]) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith("error: seed 7: '1 RMS at the end / baseline, median run' and")
    assert printed.err.count("\n") == 1
    table = printed.out.splitlines()
    assert table[0].split() == KEYS
    assert table[1].split()[-1] == "no"
    assert all("..." not in line for line in table)


def test_a_small_fleet_is_a_bad_request(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["realism", "--machines", "19"]) == 2
    assert "20<=x<=32767" in capsys.readouterr().err
