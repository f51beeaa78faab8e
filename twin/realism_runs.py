"""Trials of simulated fleets that repeat what was measured on real machines.

Everything is simulated in memory, on a fleet of its own; a plant is neither needed nor touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.catalog.loader import Catalog
from twin.catalog.parameters import CHANNELS
from twin.errors import BadRequest
from twin.plan import Activation, Corrective, Injection, Plan, PlannedMachine
from twin.plant_sample import sample_machines
from twin.realism_fits import Warming, fit_warming
from twin.simulation import Buffers, Simulation

Floats = NDArray[np.float64]
Readings = NDArray[np.float32]

START_US = 1_767_571_200_000_000  # Monday, 2026-01-05
MINUTE_US, HOUR_US = 60_000_000, 3_600_000_000
BEFORE_US = 4 * HOUR_US  # what is asked for from so long before the first reading has settled
LEAST_READINGS = 200  # of a bearing run; an hour lies between two where that is enough
GROUPS = 6  # of bearing runs of about equal length, simulated together
CHUNK_ROWS = 200_000


@dataclass(frozen=True)
class BearingRun:
    """A bearing from new until it fails, in a machine at its nominal duty in which nothing else wears.

    Attributes
    ----------
    machine : PlannedMachine
    life_h : float
        When it failed.
    age_h, rms_g, kurtosis : arrays
        Readings at even intervals, each a second of acceleration as a monitoring system stores it.
    """

    machine: PlannedMachine
    life_h: float
    age_h: Floats
    rms_g: Floats
    kurtosis: Floats

    @property
    def _early(self) -> Floats:
        return self.rms_g[: max(2, self.rms_g.size // 4)]

    @cached_property
    def baseline_g(self) -> float:
        """Mean RMS over the first quarter of life."""
        return float(self._early.mean())

    @cached_property
    def sigma_g(self) -> float:
        """Standard deviation of single readings of the RMS over the first quarter of life."""
        return float(self._early.std(ddof=1))

    @property
    def share(self) -> Floats:
        """Share of the life that has passed at each reading."""
        return self.age_h / self.life_h

    @property
    def growth(self) -> float:
        """RMS at the end (median of the last five readings) over the baseline."""
        return float(np.median(self.rms_g[-5:])) / self.baseline_g

    @property
    def exit_share(self) -> float:
        """Share of life after which no reading of the RMS lies within 3 sigma of the baseline any more."""
        within = np.flatnonzero(np.abs(self.rms_g - self.baseline_g) <= 3.0 * self.sigma_g)
        return float(self.share[within[-1]]) if within.size else 0.0

    @property
    def late_trend(self) -> float:
        """Spearman's rank correlation of RMS and time over the second half of life."""
        from scipy.stats import spearmanr

        late = self.rms_g[self.rms_g.size // 2 :]
        return float(spearmanr(late, np.arange(late.size)).statistic)

    @cached_property
    def smooth_kurtosis(self) -> Floats:
        """Kurtosis, medians of five consecutive readings: one noisy reading makes no peak."""
        return np.median(np.lib.stride_tricks.sliding_window_view(self.kurtosis, 5), axis=1)

    @property
    def kurtosis_peak(self) -> float:
        """Highest smooth kurtosis."""
        return float(self.smooth_kurtosis.max())

    @property
    def kurtosis_end(self) -> float:
        """Last smooth kurtosis."""
        return float(self.smooth_kurtosis[-1])


@dataclass(frozen=True)
class Steps:
    """Temperatures after a step from standby to high load, all machines at the same moment.

    Attributes
    ----------
    minutes : array (readings,)
        Time since the step.
    temperature_c : array (machines, readings)
    fits : list of Warming
        One exponential for each machine.
    """

    minutes: Floats
    temperature_c: Readings
    fits: list[Warming]

    def values(self, name: str) -> Floats:
        """Return one number of all fits: ``rise_k``, ``tau_min`` or ``rmse_k``."""
        return np.array([getattr(fit, name) for fit in self.fits])


@dataclass(frozen=True)
class Lives:
    """Lives of one kind of part in a fleet that is repaired when something fails.

    Attributes
    ----------
    start_h, stop_h : arrays
        Effective age at which the part came under observation and at which it failed or was last seen.
    event : bool array
        Whether it failed.
    """

    start_h: Floats
    stop_h: Floats
    event: NDArray[np.bool_]


@dataclass(frozen=True)
class Bench:
    """Where trials take place: a fleet, its seed, and the catalog that it follows.

    Attributes
    ----------
    catalog : Catalog
    seed : int
        Address of the noise, and of what distinguishes the units.
    machines : tuple of PlannedMachine
    """

    catalog: Catalog
    seed: int
    machines: tuple[PlannedMachine, ...]

    @classmethod
    def of(cls, catalog: Catalog, seed: int, machines: int, machine_type: str | None = None) -> Bench:
        """Return a bench with a fresh fleet: the mix of the sample plant, or all of one type."""
        fleet = tuple(
            PlannedMachine(
                machine_id=row["machine_id"],
                name=row["name"],
                machine_type=machine_type or row["machine_type"],
                unit_seed=(seed * 1_000_003 + row["machine_id"]) % 2**63,
            )
            for row in sample_machines(machines)
        )
        return cls(catalog, seed, fleet)

    def plan(self, hours: float, interval_us: int = HOUR_US, modes: Iterable[str] = (), **choices: Any) -> Plan:
        """Return a plan of the fleet with those failure modes; `choices` are fields of `Plan`."""
        fields: dict[str, Any] = {
            "machines": self.machines,
            "start_us": START_US,
            "end_us": START_US + round(hours * HOUR_US),
            "interval_us": interval_us,
            "seed": self.seed,
            "channels": dict(self.catalog.channels),
            "failure_modes": {mode: self.catalog.failure_modes[mode] for mode in modes},
        } | choices
        kinds = {machine.machine_type for machine in fields["machines"]}
        return Plan(machine_types={kind: self.catalog.machine_types[kind] for kind in sorted(kinds)}, **fields)

    def asked(self, scenario: str, start_us: int, end_us: int | None = None) -> tuple[Activation, ...]:
        """Return activations of a scenario on the whole fleet."""
        spans = {"start_us": start_us, "end_us": end_us}
        return tuple(Activation(scenario=scenario, machine_id=m.machine_id, **spans) for m in self.machines)

    def faults(self, mode: str, level: float) -> tuple[Injection, ...]:
        """Return injections of a failure mode into the whole fleet, from long before the first reading."""
        since = {"injection_id": 1, "failure_mode": mode, "level": level, "start_us": START_US - BEFORE_US}
        return tuple(Injection(machine_id=m.machine_id, **since) for m in self.machines) if level > 0.0 else ()


def readings(plan: Plan, channels: Sequence[str] = CHANNELS) -> Readings:
    """Simulate a plan and return the readings of some channels, (channels, machines, ticks)."""
    rows = [CHANNELS.index(name) for name in channels]
    count = len(plan.machines)
    ticks = max(1, CHUNK_ROWS // count)
    made = np.empty((len(rows), count, plan.ticks), np.float32)
    buffers = Buffers(ticks * count)
    with Simulation(plan) as simulation:
        while simulation.tick < plan.ticks:
            first = simulation.tick
            values = simulation.advance(ticks, buffers).values.reshape(len(CHANNELS), count, -1)
            made[:, :, first : simulation.tick] = values[rows]
    return made


def settled(bench: Bench, scenario: str = "", mode: str = "", level: float = 0.0, days: float = 3.0) -> Readings:
    """Return readings of a fleet that has settled, a minute apart: (channels, machines, ticks)."""
    activations = bench.asked(scenario, START_US - BEFORE_US) if scenario else ()
    plan = bench.plan(
        24.0 * days,
        MINUTE_US,
        [mode] if mode else [],
        scenarios={scenario: bench.catalog.scenarios[scenario]} if scenario else {},
        activations=activations,
        injections=bench.faults(mode, level) if mode else (),
    )
    return readings(plan)


def temperatures(bench: Bench, hours: float = 24.0) -> Readings:
    """Return a settled day of temperatures, a second apart: (machines, ticks)."""
    return readings(bench.plan(hours, 1_000_000), ["temperature_c"])[0]


def load_steps(bench: Bench, cooling_damage: float = 0.0, hours: float = 5.0) -> Steps:
    """Let a fleet rest in standby, put it to hard work, and fit an exponential to each temperature.

    Parameters
    ----------
    bench : Bench
    cooling_damage : float
        Damage of the mode ``motor_overheating``.
    hours : float
        How long the temperatures are followed.
    """
    rest, work, mode = "Idle standby", "High load manufacturing", "motor_overheating"
    step_us = START_US + 10 * MINUTE_US
    before_us = START_US - BEFORE_US
    plan = bench.plan(
        hours + 1.0 / 6.0,
        MINUTE_US,
        [mode],
        scenarios={name: bench.catalog.scenarios[name] for name in (rest, work)},
        activations=bench.asked(rest, before_us, step_us) + bench.asked(work, step_us),
        injections=bench.faults(mode, cooling_damage),
    )
    temperature_c = readings(plan, ["temperature_c"])[0][:, 10:]
    minutes = np.arange(temperature_c.shape[1], dtype=np.float64)
    return Steps(minutes, temperature_c, [fit_warming(minutes, row) for row in temperature_c])


def bearing_runs(bench: Bench, mode: str = "bearing_degradation") -> list[BearingRun]:
    """Let every machine run from new until its bearing fails, nothing else wearing.

    The failures are found first, without signals. Then machines of about equal lives are simulated together:
    a life depends neither on the company nor on the interval of the readings.
    """
    lives = _bearing_lives(bench, mode)
    order = sorted(bench.machines, key=lambda machine: lives[machine.machine_id])
    runs = []
    for group in np.array_split(np.arange(len(order)), min(GROUPS, len(order))):
        fleet = tuple(sorted((order[i] for i in group), key=lambda machine: machine.machine_id))
        own = [lives[machine.machine_id] for machine in fleet]
        minutes = min(60, max(1, int(min(own) * 60 / LEAST_READINGS)))
        plan = bench.plan(np.ceil(max(own)), minutes * MINUTE_US, [mode], machines=fleet, wear="new")
        rms, kurtosis = readings(plan, ["vibration_g", "kurtosis"]).astype(np.float64)
        for i, (machine, life_h) in enumerate(zip(fleet, own, strict=True)):
            n = int(np.ceil(life_h * 60.0 / minutes))  # readings before the failure
            age_h = np.arange(n, dtype=np.float64) * (minutes / 60.0)
            runs.append(BearingRun(machine, life_h, age_h, rms[i, :n].copy(), kurtosis[i, :n].copy()))
    return sorted(runs, key=lambda run: run.machine.machine_id)


def _bearing_lives(bench: Bench, mode: str) -> dict[int, float]:
    """Return when each machine fails, h."""
    wear = bench.catalog.failure_modes[mode].wear
    if wear is None:
        raise BadRequest(f"failure mode {mode!r} does not come by wear: there is no life to follow")
    longest = wear.life_h * (np.log(len(bench.machines)) + 16.0) ** (1.0 / wear.shape)  # one fleet in 10 million
    plan = bench.plan(np.ceil(longest), modes=[mode], wear="new", telemetry=False)
    with Simulation(plan) as simulation:
        failures = simulation.advance(plan.ticks).events.failures
    return {row["machine_id"]: (row["failed_at"] - START_US) / HOUR_US for row in failures}


def lifetimes(bench: Bench, years: float = 10.0) -> Mapping[str, Lives]:
    """Let all parts of a fleet wear for years, each failure being repaired, and return the lives by failure mode.

    Repairs are done by actions that treat the failed part and hardly another. An overhaul for a loose bolt
    would cut off the lives of other parts, and where the bolt is loose because of an imbalance, the more so
    the nearer that is to failing: such censoring tells something of the life, and biases every fit that
    takes it to be independent.
    """
    modes = [name for name, mode in bench.catalog.failure_modes.items() if mode.wear is not None]
    actions = {name: a for name, a in bench.catalog.maintenance_actions.items() if len(a.restores) <= 2}
    choices: dict[str, Any] = {"wear": "new", "telemetry": False, "acting": True, "corrective": Corrective()}
    plan = bench.plan(8766.0 * years, modes=modes, actions=actions, **choices)
    with Simulation(plan) as simulation:
        lives = simulation.advance(plan.ticks).events.lives
    found = {}
    for mode in modes:
        own = [life for life in lives if life["mode"] == mode]
        start, stop, event = (np.array([life[key] for life in own]) for key in ("start_h", "stop_h", "event"))
        found[mode] = Lives(start, stop, event.astype(np.bool_))
    return found
