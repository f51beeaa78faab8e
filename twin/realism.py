"""Does the simulated fleet look like real machines? The bands of public recordings, computed on a fresh fleet.

Ten bands and the settled values of the default machine type. Bands 1 to 4 come from run-to-failure bearing
recordings, 5 to 9 from rigs and machines in use, 10 asks whether the lives are those that the catalog states.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from twin.catalog.loader import Catalog, load_catalog
from twin.catalog.parameters import CHANNELS, SEVERITIES
from twin.errors import BadRequest
from twin.realism_fits import Floats, WeibullFit, fit_weibull, quantile
from twin.realism_runs import (
    BearingRun,
    Bench,
    Lives,
    Readings,
    Steps,
    bearing_runs,
    lifetimes,
    load_steps,
    settled,
    temperatures,
)

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]
LEAST_MACHINES = 20
LEAST_FAILURES = 20  # below which a mode's lives say too little
HOUR = 60  # readings of `settled`
HIGH_LOAD, BEARING = "High load manufacturing", "bearing_degradation"
SEED_BANDS = (  # channel, unit, normal operation, high load with a degraded bearing, and its change in %
    ("temperature_c", "C", (45.0, 50.0), (54.0, 56.0), (10.0, 15.0)),
    ("vibration_g", "g", (0.5, 0.7), (0.8, 1.2), (60.0, 100.0)),
    ("power_w", "W", (120.0, 150.0), (180.0, 200.0), (30.0, 40.0)),
)
COOLING = {"high": 1.6, "critical": 2.3}  # rises for a cooler at 20 and 3 %, of that at 100 %
COOLING_TOLERANCE = 0.3


class Trials:
    """The trials of one fleet; each is carried out when it is first asked for.

    Parameters
    ----------
    seed : int
        Address of all noise, and of what distinguishes the units of the fleet.
    machines : int
        Size of the fleet in every trial, 20 or more.
    catalog : Catalog, optional
        What the machines follow; the package's by default.
    """

    def __init__(self, seed: int = 0, machines: int = 100, catalog: Catalog | None = None) -> None:
        if not LEAST_MACHINES <= machines <= 32767:
            raise BadRequest(f"machines must be {LEAST_MACHINES} to 32767 for shares to mean something, got {machines}")
        self.seed, self.machines = seed, machines
        self.catalog = catalog or load_catalog()
        self.bench = Bench.of(self.catalog, seed, machines)
        self.spindles = Bench.of(self.catalog, seed, machines, self.catalog.default_machine_type.name)

    @cached_property
    def bearing_runs(self) -> list[BearingRun]:
        """Bearings followed from new to failure."""
        return bearing_runs(self.bench)

    @cached_property
    def healthy(self) -> Readings:
        """Three settled days of the mixed fleet at nominal duty."""
        return settled(self.bench)

    @cached_property
    def steps(self) -> dict[str, Steps]:
        """Temperatures after a step of the load with sound cooling, and impaired (``high``, ``critical``)."""
        return {name: load_steps(self.bench, SEVERITIES.get(name, 0.0)) for name in ("sound", *COOLING)}

    @cached_property
    def temperatures(self) -> Readings:
        """A settled day of temperatures, a second apart."""
        return temperatures(self.bench)

    @cached_property
    def lives(self) -> dict[str, Lives]:
        """Lives of all parts over ten years, by failure mode; of modes with enough failures."""
        found = lifetimes(self.bench)
        return {mode: lives for mode, lives in found.items() if lives.event.sum() >= LEAST_FAILURES}

    @cached_property
    def weibull(self) -> dict[str, WeibullFit]:
        """The law that is fitted to the lives, by failure mode."""
        return {mode: fit_weibull(lives.start_h, lives.stop_h, lives.event) for mode, lives in self.lives.items()}

    @cached_property
    def settled(self) -> dict[str, Readings]:
        """Three settled days of the default type: ``normal``, and ``loaded`` (high load, bearing degraded)."""
        loaded = settled(self.spindles, HIGH_LOAD, BEARING, SEVERITIES["high"])
        return {"normal": settled(self.spindles), "loaded": loaded}

    def faulty(self, mode: str) -> Readings:
        """Return the days of `healthy` with a failure mode at high severity."""
        return settled(self.bench, mode=mode, level=SEVERITIES["high"])

    def lifetimes(self) -> pd.DataFrame:
        """Return `lives` as one table: ``mode``, ``start``, ``stop`` (effective hours), ``event``."""
        import pandas as pd

        parts = [pd.DataFrame({"mode": mode, "start": x.start_h, "stop": x.stop_h, "event": x.event})
                 for mode, x in self.lives.items()]  # fmt: skip
        return pd.concat(parts, ignore_index=True)

    def laws(self) -> pd.DataFrame:
        """Return by failure mode the catalog's Weibull law, the fitted one, and its plain 95 % intervals."""
        import pandas as pd

        rows = {}
        for mode, fit in self.weibull.items():
            wear = self.catalog.failure_modes[mode].wear
            row: dict[str, float] = {"failures": fit.events}
            for name in ("shape", "life_h"):
                low, high = fit.interval(name)
                row |= {name: getattr(wear, name), f"{name} fit": getattr(fit, name)}
                row |= {f"{name} low": low, f"{name} high": high}
            rows[mode] = row
        return pd.DataFrame.from_dict(rows, orient="index")

    def shifts(self) -> pd.DataFrame:
        """Return how far each fault of the machine moves each channel, at high severity.

        Failure modes by channels; in standard deviations of hourly means, of the median machine.
        """
        import pandas as pd

        rows = {}
        for name, mode in self.catalog.failure_modes.items():
            if mode.category != "sensor":
                faulty = self.faulty(name)
                rows[name] = {channel: float(np.median(_shift(self.healthy, faulty, channel))) for channel in CHANNELS}
        return pd.DataFrame.from_dict(rows, orient="index")

    def bands(self, progress: bool = False) -> list[Row]:
        """Return all bands, see `bands`."""
        from tqdm.auto import tqdm

        rows: list[Row] = []
        for name, band in tqdm(BANDS.items(), desc="realism", unit="band", leave=False, disable=not progress):
            rows += [{**row, "metric": f"{name} {row['metric']}"} for row in band(self)]
        return rows


def bands(
    seed: int = 0, machines: int = 100, progress: bool = False, catalog: Catalog | None = None
) -> list[dict[str, Any]]:
    """Compute the bands on a fresh fleet.

    Parameters
    ----------
    seed, machines, catalog
        See `Trials`.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    list of dict
        ``metric`` (begins with the number of the band), ``band`` in words, ``value``, ``holds``.
    """
    return Trials(seed, machines, catalog).bands(progress)


def within(metric: str, value: float, low: float = -np.inf, high: float = np.inf) -> Row:
    """Return the row of a metric that holds between two limits, ends included."""
    ends = [f"{end:,.0f}" if abs(end) >= 1000.0 else f"{end:.4g}" for end in (low, high)]
    if high == np.inf:
        band = f"at least {ends[0]}"
    else:
        band = f"at most {ends[1]}" if low == -np.inf else f"{ends[0]} to {ends[1]}"
    return {"metric": metric, "band": band, "value": float(f"{value:.5g}"), "holds": bool(low <= value <= high)}


def spread(metric: str, values: Floats, low: float, high: float) -> list[Row]:
    """Return the rows of a metric that all machines keep: the lowest and the highest."""
    ends = (("lowest", values.min()), ("highest", values.max()))
    return [within(f"{metric}, {end} machine", float(value), low, high) for end, value in ends]


# -- bearing runs -----------------------------------------------------------------------------


def growth(trials: Trials) -> list[Row]:
    """Band 1."""
    grown = np.array([run.growth for run in trials.bearing_runs])
    low, middle, high = np.quantile(grown, (0.1, 0.5, 0.9))
    return [
        within("RMS at the end / baseline, median run", middle, 3.0, 14.0),
        within("RMS at the end / baseline, 10 % of runs", low, 1.4, 28.0),
        within("RMS at the end / baseline, 90 % of runs", high, 1.4, 28.0),
    ]


def departure(trials: Trials) -> list[Row]:
    """Band 2."""
    share = np.array([run.exit_share for run in trials.bearing_runs])
    return [
        within("life at which RMS leaves 3 sigma, median run", float(np.median(share)), 0.75, 0.98),
        within("runs that leave 3 sigma before 0.8 of life", float(np.mean(share < 0.8)), low=0.15),
        within("runs that leave 3 sigma after 0.95 of life", float(np.mean(share > 0.95)), low=0.30),
    ]


def wandering(trials: Trials) -> list[Row]:
    """Band 3."""
    flat = np.mean([run.late_trend < 0.3 for run in trials.bearing_runs])
    return [within("runs with Spearman(RMS, late time) below 0.3", float(flat), low=0.25)]


def shocks(trials: Trials) -> list[Row]:
    """Band 4."""
    runs = trials.bearing_runs
    peaks = np.array([run.kurtosis_peak for run in runs])
    fallen = np.mean([run.kurtosis_end < run.kurtosis_peak for run in runs])
    return [
        *spread("kurtosis, healthy", _means(trials.healthy, "kurtosis"), 2.7, 4.0),
        within("kurtosis, peak of the median run", float(np.median(peaks)), low=5.0),
        within("runs whose kurtosis ends below its peak", float(fallen), low=0.5),
    ]


# -- machines in use --------------------------------------------------------------------------


def _means(readings: Readings, channel: str) -> Floats:
    """Return the mean of a channel for each machine."""
    return readings[CHANNELS.index(channel)].mean(axis=1, dtype=np.float64)


def steadiness(trials: Trials) -> list[Row]:
    """Band 5."""
    rms = trials.healthy[CHANNELS.index("vibration_g")].astype(np.float64)
    return spread("healthy vibration, CV %", 100.0 * rms.std(axis=1) / rms.mean(axis=1), 0.5, 20.0)


def warm_up(trials: Trials) -> list[Row]:
    """Band 6."""
    steps = trials.steps["sound"]
    worst = float(steps.values("rmse_k").max())
    row = within("warm-up as one exponential, RMSE K, worst", worst, high=2.0)
    return [row, *spread("warm-up, tau min", steps.values("tau_min"), 5.0, 35.0)]


def cooling(trials: Trials) -> list[Row]:
    """Band 7."""
    rows, before, worse = [], np.ones(trials.machines), "sound"
    sound = trials.steps["sound"]
    for severity, recorded in COOLING.items():
        steps = trials.steps[severity]
        rise = float(np.median(steps.values("rise_k") / sound.values("rise_k")))
        reach = COOLING_TOLERANCE * recorded
        rows.append(within(f"rise, {severity} cooling loss / sound", rise, recorded - reach, recorded + reach))
        tau = steps.values("tau_min") / sound.values("tau_min")
        grown = float(np.mean(tau > before))
        grows = f"{worse} to {severity}"
        rows.append(within(f"machines whose tau grows: {grows}", grown, low=1.0))
        before, worse = tau, severity
    return rows


def inertia(trials: Trials) -> list[Row]:
    """Band 8."""
    seconds = trials.temperatures.astype(np.float64)
    minutes = seconds.reshape(trials.machines, -1, 60).mean(axis=2)  # as loggers store them
    return [
        within("temperature autocorrelation at 1 s, lowest", _autocorrelation(seconds, 1), low=0.9),
        within("temperature autocorrelation at 5 min, lowest", _autocorrelation(minutes, 5), low=0.95),
    ]


def _autocorrelation(series: Floats, lag: int) -> float:
    """Return the lowest autocorrelation of several series."""
    return float(min(np.corrcoef(row[:-lag], row[lag:])[0, 1] for row in series))


def selectivity(trials: Trials) -> list[Row]:
    """Band 9: an imbalance, and the faults of the machine that are not mechanical."""
    healthy = _means(trials.healthy, "vibration_g")
    raised = _means(trials.faulty("rotor_imbalance"), "vibration_g") / healthy
    rows = spread("imbalance: vibration times", raised, 2.0, 3.0)
    for name, mode in trials.catalog.failure_modes.items():
        if mode.category not in ("thermal", "electrical"):
            continue
        faulty = trials.faulty(name)
        moved = 100.0 * (_means(faulty, "vibration_g") / healthy - 1.0)
        rows.append(within(f"{name}: vibration moves, %, most", float(np.abs(moved).max()), high=5.0))
        shift = float(_shift(trials.healthy, faulty, mode.channels[0]).min())
        rows.append(within(f"{name}: own channel, sigma, least", shift, low=3.0))
    return rows


def _shift(before: Readings, after: Readings, channel: str) -> Floats:
    """Return how far hourly means of a channel move, in their pooled standard deviations, for each machine."""
    hours = [x[CHANNELS.index(channel)].reshape(x.shape[1], -1, HOUR).mean(axis=2) for x in (before, after)]
    pooled = np.sqrt((hours[0].var(axis=1, ddof=1) + hours[1].var(axis=1, ddof=1)) / 2.0)
    return np.abs(hours[1].mean(axis=1) - hours[0].mean(axis=1)) / pooled


# -- lives ------------------------------------------------------------------------------------


def weibull(trials: Trials) -> list[Row]:
    """Band 10: for each mode that wears, is the catalog's law inside the interval of the fit?

    All intervals shall hold together with 95 %, so each reaches as far as 2 n intervals need (Bonferroni).
    The interval is symmetrical on the log scale: that of the fit holds the catalog's value where the one
    around the catalog's value holds the fit, and the latter is what the row shows.
    """
    fits = trials.weibull
    reach = quantile(joint_confidence(trials))
    rows = []
    for mode, fit in fits.items():
        wear = trials.catalog.failure_modes[mode].wear
        for name, said, fitted, error in (
            ("shape", wear.shape, fit.shape, fit.shape_se),  # type: ignore[union-attr]
            ("scale h", wear.life_h, fit.life_h, fit.life_se),  # type: ignore[union-attr]
        ):
            factor = float(np.exp(reach * error))
            row = within(f"{mode}: Weibull {name}", fitted, said / factor, said * factor)
            rows.append(row | {"band": f"{row['band']} (joint 95 %)"})
    return rows


def joint_confidence(trials: Trials) -> float:
    """Return the confidence of each interval that makes all of band 10 hold together with 95 %."""
    return 1.0 - 0.05 / (2 * max(1, len(trials.weibull)))


# -- settled values ---------------------------------------------------------------------------


def seed_bands(trials: Trials) -> list[Row]:
    """Return the settled values of the default machine type: the median machine."""
    rows = []
    for channel, unit, *limits in SEED_BANDS:
        before, after = (_means(trials.settled[state], channel) for state in ("normal", "loaded"))
        named = (
            (f"{channel}, normal, {unit}", before),
            (f"{channel}, high load + bearing, {unit}", after),
            (f"{channel}, change, %", 100.0 * (after / before - 1.0)),
        )
        for (what, values), (low, high) in zip(named, limits, strict=True):
            rows.append(within(what, float(np.median(values)), low, high))
    return rows


BANDS: dict[str, Callable[[Trials], list[Row]]] = {
    "1": growth,
    "2": departure,
    "3": wandering,
    "4": shocks,
    "5": steadiness,
    "6": warm_up,
    "7": cooling,
    "8": inertia,
    "9": selectivity,
    "10": weibull,
    "settled": seed_bands,
}
"""The bands by their number."""
