"""The sample plant looks like a plant: settled bands, dynamics, and what moves which channel.

A scenario or failure mode *moves* a channel of a machine, against its twin without it under the same noise, if

- the mean shifts by more than 3 pooled standard deviations of the hourly means and by 2 % or more; or
- the spread of the steps from reading to reading changes threefold (interference; a stuck sensor: to nothing); or
- readings are missing that were there.
"""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
import plans
import pytest
from numpy.typing import NDArray
from scipy import stats

from twin.catalog.loader import load_catalog
from twin.catalog.parameters import CHANNELS, SEVERITIES
from twin.plan import Activation, Injection, PlannedMachine
from twin.plant_sample import sample_machines
from twin.realism import SEED_BANDS
from twin.realism_fits import Warming, fit_warming

CATALOG = load_catalog()
HIGH = SEVERITIES["high"]
DAY_S, HOUR = 86_400.0, 360  # readings an hour, at 10 s
STEP_US = 10 * plans.SECOND_US
SETTLED_S = -7200.0
LATE = slice(18 * HOUR, None)  # the last six hours of a day: what drifts has drifted
VISIBLE_SD, VISIBLE_SHARE, VISIBLE_SPREAD, VISIBLE_MISSING = 3.0, 0.02, 3.0, 0.05


def sample(machine_type: str, machines: int = 12) -> list[PlannedMachine]:
    """Return the sample plant's machines of a type."""
    rows = [row for row in sample_machines(machines) if row["machine_type"] == machine_type]
    return [PlannedMachine(**{key: row[key] for key in PlannedMachine.model_fields}) for row in rows]


@cache
def day(
    machine_type: str = "spindle", scenario: str = "", mode: str = "", level: float = HIGH, seed: int = 7
) -> NDArray[np.float32]:
    """Return a settled day of the sample plant's machines of a type."""
    fleet = sample(machine_type)
    acts: list[Activation] = []
    faults: list[Injection] = []
    if scenario:
        acts = [plans.active(scenario, m.machine_id, SETTLED_S) for m in fleet]
    if mode:
        faults = [plans.injected(mode, m.machine_id, SETTLED_S, level=level) for m in fleet]
    return plans.readings(plans.make(fleet, DAY_S, STEP_US, seed, acts, faults))


def settled(scenario: str = "", mode: str = "", seed: int = 7) -> dict[str, float]:
    """Return the median over the spindles of each channel's mean over a day."""
    means = np.nanmean(day("spindle", scenario, mode, seed=seed), axis=2)
    return dict(zip(CHANNELS, np.median(means, axis=1).tolist(), strict=True))


# -- settled bands ----------------------------------------------------------------------------


def test_the_sample_has_spindles() -> None:
    assert len(sample("spindle")) >= 4


@pytest.mark.parametrize("seed", [0, 7, 20260105])
def test_normal_operation(seed: int) -> None:
    normal = settled(seed=seed)
    for channel, _, (low, high), _, _ in SEED_BANDS:
        assert low <= normal[channel] <= high, channel


@pytest.mark.parametrize("seed", [0, 7, 20260105])
def test_high_load_with_a_degraded_bearing(seed: int) -> None:
    normal, loaded = settled(seed=seed), settled("High load manufacturing", "bearing_degradation", seed)
    for channel, _, _, (low, high), (least, most) in SEED_BANDS:
        assert low <= loaded[channel] <= high, channel
        assert least <= 100.0 * (loaded[channel] / normal[channel] - 1.0) <= most, channel


# -- what moves which channel -----------------------------------------------------------------


def ratio(a: float, b: float) -> float:
    """Return how far apart two spreads are, as a factor of 1 or more."""
    small, large = sorted((a, b))
    return np.inf if small == 0.0 < large else 1.0 if large == 0.0 else large / small


def moves(before: NDArray[np.float32], after: NDArray[np.float32]) -> bool:
    """Return whether one channel of one machine moved."""
    missing = float(np.isnan(after).mean() - np.isnan(before).mean())
    hours = [x.reshape(-1, HOUR) for x in (before, after)]
    means = [np.nanmean(x, axis=1) for x in hours]
    shift = abs(means[1].mean() - means[0].mean())
    pooled = np.sqrt((means[0].var(ddof=1) + means[1].var(ddof=1)) / 2)
    shifted = shift > VISIBLE_SD * pooled and shift >= VISIBLE_SHARE * abs(means[0].mean())
    spread = ratio(float(np.nanstd(np.diff(before))), float(np.nanstd(np.diff(after))))
    return bool(shifted or spread >= VISIBLE_SPREAD or missing >= VISIBLE_MISSING)


def moved_channels(machine_type: str, scenario: str = "", mode: str = "") -> tuple[str, ...]:
    """Return the channels that move on most machines of a type."""
    before, after = day(machine_type)[:, :, LATE], day(machine_type, scenario, mode)[:, :, LATE]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        votes = [[moves(before[c, m], after[c, m]) for m in range(before.shape[1])] for c in range(len(CHANNELS))]
    return tuple(name for name, vote in zip(CHANNELS, votes, strict=True) if sum(vote) > len(vote) / 2)


@pytest.mark.parametrize("name", CATALOG.scenarios)
def test_a_scenario_moves_its_channels_and_no_other(name: str) -> None:
    assert moved_channels("spindle", scenario=name) == CATALOG.scenarios[name].channels


@pytest.mark.parametrize("name", CATALOG.failure_modes)
def test_a_failure_mode_moves_its_channels_and_no_other(name: str) -> None:
    assert moved_channels("spindle", mode=name) == CATALOG.failure_modes[name].channels


@pytest.mark.parametrize("machine_type", CATALOG.machine_types)
@pytest.mark.parametrize("name", CATALOG.failure_modes)
def test_other_channels_do_not_change_by_a_bit(name: str, machine_type: str) -> None:
    before, after = day(machine_type), day(machine_type, mode=name)
    for c, channel in enumerate(CHANNELS):
        untouched = np.array_equal(before[c], after[c], equal_nan=True)
        assert untouched == (channel not in CATALOG.failure_modes[name].channels), channel


@pytest.mark.parametrize("name", CATALOG.failure_modes)
def test_a_worse_fault_shows_more(name: str) -> None:
    """Shift, spread or missing share of the first channel grow with the severity."""
    channel = CHANNELS.index(CATALOG.failure_modes[name].channels[0])
    effects = []
    for level in SEVERITIES.values():
        before, after = (day("spindle", mode=m, level=level)[channel, :, LATE] for m in ("", name))
        shift = abs(np.nanmean(after) - np.nanmean(before))
        spread = abs(np.log(ratio(float(np.nanstd(np.diff(before))), max(1e-9, float(np.nanstd(np.diff(after)))))))
        effects.append((float(np.isnan(after).mean()), float(shift), float(spread)))
    if name == "sensor_stuck":  # it sticks or it does not
        assert len({round(e[2], 6) for e in effects}) == 1
        return
    by = 0 if name == "sensor_dropout" else 2 if name == "sensor_interference" else 1
    assert np.all(np.diff([e[by] for e in effects]) > 0.0)


# -- selectivity, dynamics, noise: the metrics of real recordings ---------------------------


def vibration_ratio(mode: str) -> float:
    return settled(mode=mode)["vibration_g"] / settled()["vibration_g"]


def test_an_imbalance_multiplies_vibration_as_recorded() -> None:
    assert 2.3 <= vibration_ratio("rotor_imbalance") <= 2.7


@pytest.mark.parametrize(
    "name", [m for m, f in CATALOG.failure_modes.items() if f.category in ("thermal", "electrical")]
)
def test_a_fault_that_is_not_mechanical_leaves_vibration_alone(name: str) -> None:
    assert 0.98 <= vibration_ratio(name) <= 1.03


@pytest.mark.parametrize("machine_type", CATALOG.machine_types)
def test_healthy_vibration_and_kurtosis(machine_type: str) -> None:
    healthy = day(machine_type)
    g, kurtosis = healthy[CHANNELS.index("vibration_g")], healthy[CHANNELS.index("kurtosis")]
    variation = g.std(axis=1) / g.mean(axis=1)
    assert ((variation >= 0.005) & (variation <= 0.20)).all()
    assert ((kurtosis.mean(axis=1) >= 2.7) & (kurtosis.mean(axis=1) <= 4.0)).all()


def test_kurtosis_rises_early_in_a_bearing_fault_and_falls_back() -> None:
    levels = (0.05, 0.15, 0.25, 0.5, 0.75, 0.95)
    kurtosis = [float(np.median(day("spindle", mode="bearing_degradation", level=level)[3])) for level in levels]
    healthy, peak = float(np.median(day()[3])), max(kurtosis)
    assert peak > 5.0
    assert kurtosis[0] > healthy - 0.1
    assert kurtosis[-1] < peak


def warm_up(machine_type: str, mode: str = "", level: float = HIGH) -> Warming:
    """Return one exponential fitted to a cold start's temperature."""
    fleet = sample(machine_type)[:1]
    faults = [plans.injected(mode, m.machine_id, SETTLED_S, level=level) for m in fleet] if mode else []
    plan = plans.make(fleet, 5 * 3600.0, STEP_US, injections=faults, settled=False)
    temperature = plans.readings(plan)[0, 0].astype(np.float64)
    return fit_warming(np.arange(temperature.size) / 6.0, temperature)


@pytest.mark.parametrize("machine_type", CATALOG.machine_types)
def test_warm_up_is_one_exponential_of_minutes(machine_type: str) -> None:
    fit = warm_up(machine_type)
    assert fit.rmse_k < 2.0
    assert 5.0 <= fit.tau_min <= 35.0


def test_impaired_cooling_warms_more_and_more_slowly_as_recorded() -> None:
    fits = [warm_up("spindle", "motor_overheating", level) for level in (0.01, HIGH, SEVERITIES["critical"])]
    for fit, recorded in zip(fits, (1.0, 1.6, 2.3), strict=True):
        assert fit.rise_k / fits[0].rise_k == pytest.approx(recorded, rel=0.3)
    assert fits[0].tau_min < fits[1].tau_min < fits[2].tau_min


def test_temperature_is_inert() -> None:
    plan = plans.make(sample("spindle")[:1], 12 * 3600.0)
    temperature = plans.readings(plan)[0, 0].astype(np.float64)
    for lag, least in ((1, 0.9), (300, 0.95)):
        # the slow part, as loggers that average a minute report it, decides at five minutes
        series = temperature if lag == 1 else temperature.reshape(-1, 60).mean(axis=1)
        shift = lag if lag == 1 else lag // 60
        assert np.corrcoef(series[:-shift], series[shift:])[0, 1] >= least


def test_instrument_noise_has_the_sd_of_the_catalog() -> None:
    """Steps from one reading to the next, 100 ms apart, are noise and rounding."""
    plan = plans.make(sample("fan")[:1], 600.0, 100_000)
    readings = plans.readings(plan).astype(np.float64)
    for name in ("temperature_c", "kurtosis", "speed_rpm"):
        channel, series = CATALOG.channels[name], readings[CHANNELS.index(name), 0]
        rounding = channel.resolution**2 / 12
        expected = np.sqrt((channel.noise_sd + channel.noise_fraction * series.mean()) ** 2 + rounding)
        assert np.diff(series).std() / np.sqrt(2) == pytest.approx(expected, rel=0.05), name
        steps = np.diff(series)[::2] / np.diff(series).std()
        assert abs(stats.kurtosis(steps)) < 0.3
