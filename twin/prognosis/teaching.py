"""Models for a live plant: a small run of the same machines, with faults put in, teaches them in seconds.

Windows and horizon are chosen by how fast the plant runs, so that people see a window fill and a fault grow.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twin.catalog.checks import check_number
from twin.errors import BadRequest, shown, unknown
from twin.plan import Activation, Corrective, Injection, Plan
from twin.prognosis import metrics
from twin.prognosis.fitted import FittedModel
from twin.prognosis.saved import save
from twin.prognosis.spec import FeatureSpec
from twin.times import parse_duration

if TYPE_CHECKING:
    import pandas as pd

    from twin.plant import Plant
    from twin.results import RunRecord

TASKS = ("failure", "diagnosis", "rul")
START = "2026-01-05"
FLEET = 32
"""Machines of the lesson at least: the plant's own, and others like them. [choice]"""
LEVELS = (0.05, 0.9)
"""Damage with which a fault of the lesson begins: as people inject them. [choice]"""
GROWTH = (0.4, 2.5)
"""Time to failure of a fault of the lesson, in horizons. [choice]"""
REST = (3.0, 8.0)
"""From the end of a fault to the next one, in horizons: most machines are well, most of the time. [choice]"""
HELD_OUT = 0.25
"""Share of machines on which a first fit is checked, before all of them teach. [choice]"""
STEPS = ("simulating", "features", "checking", *(f"training {task}" for task in TASKS))


@dataclass(frozen=True)
class Pace:
    """How long things take, for a speed of the clock.

    Attributes
    ----------
    window, cadence, baseline, horizon : duration
        Of the features, and how far ahead failures are foretold.
    readings : duration
        Time between two readings of the lesson; a live session's readings are thinned to it.
    span : duration
        How long the lesson is.
    """

    window: str
    cadence: str
    baseline: str
    horizon: str
    readings: str
    span: str

    @property
    def spec(self) -> FeatureSpec:
        """The features: neither alarms nor times since maintenance, whose range a session soon leaves."""
        windows = (self.window,)
        return FeatureSpec.of(
            windows=windows, cadence=self.cadence, baseline=self.baseline, alarms=False, maintenance=False
        )


PACES = {
    2000.0: Pace("12h", "1h", "1d", "2d", "10min", "120d"),
    300.0: Pace("2h", "10min", "6h", "8h", "2min", "28d"),
    0.0: Pace("30min", "2min", "1h", "2h", "20s", "7d"),
}
"""By the least speed. At each, a window fills in 4 to 30 s of real time, and the horizon is 17 to 120 s. [choice]"""


@dataclass(frozen=True)
class Lesson:
    """What `train_for` returns: the models by task; ``**lesson.models`` goes into ``dashboard.prediction.use``."""

    models: dict[str, FittedModel]
    pace: Pace
    scores: dict[str, float] = field(default_factory=dict)

    def save(self, folder: str | Path) -> dict[str, Path]:
        """Write each model to ``<task>.model`` in a folder, which is made where missing."""
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        return {task: save(model, place / f"{task}.model") for task, model in self.models.items()}


def pace_for(speed: float, interval: Any = "1s") -> Pace:
    """Return windows and horizon for a speed of the clock, and readings no further apart than they come.

    Parameters
    ----------
    speed : float
        Seconds of the plant in a second.
    interval : duration
        Time between two readings of the session.
    """
    speed, every = check_number(speed, "speed", 0.1, 10_000.0), parse_duration(interval, "interval")
    fit = [pace for pace in reversed(PACES.values()) if every <= parse_duration(pace.readings)]
    if not fit:
        slowest = next(iter(PACES.values())).readings
        raise BadRequest(f"readings each {shown(interval)} are too sparse to foretell failures; {slowest} or less")
    meant = next(pace for least, pace in PACES.items() if speed >= least)
    return meant if meant in fit else fit[0]


def train_for(
    plant: Plant,
    speed: float = 60.0,
    *,
    modes: Any = None,
    machines: int = FLEET,
    seed: int = 1,
    pace: Pace | None = None,
    progress: bool | Callable[[int, int, str], object] = True,
) -> Lesson:
    """Train models of failure, diagnosis and remaining life on a small run of the same plant, with faults put in.

    The run lives in a temporary file and is deleted; its plan's hash is in the models' cards.

    Parameters
    ----------
    plant : Plant
        Whose machines, scenarios and failure modes teach.
    speed : float
        Seconds of the plant in a second at which the models are to be used: it chooses windows and horizon.
    modes : str or iterable of str, optional
        Failure modes that are put in; by default all that stop a machine.
    machines : int
        The lesson's fleet: the plant's own machines, and more like them.
    seed : int
        Of the world and of what is put in; another than that of the session to be watched.
    pace : Pace, optional
        Instead of the one for the speed.
    progress : bool or callable
        Whether to show a bar; or a function of (steps done, steps, what is done now).

    Returns
    -------
    Lesson
    """
    from twin.prognosis.features import features
    from twin.prognosis.labels import labels
    from twin.run import simulate
    from twin.store import Store

    pace = pace or pace_for(speed)
    plan = lesson_plan(plant, pace, modes, machines, seed)
    with _Progress(progress) as tell, tempfile.TemporaryDirectory(prefix="twin-lesson-") as folder:
        tell()
        run: RunRecord = simulate(Store.create(Path(folder) / "lesson.duckdb"), plan, progress=False)
        tell()
        made = features(run, pace.spec)
        known = labels(run, made, pace.horizon, window=pace.window)
        source = {
            "plant": plant.path.name,
            "plan_sha256": plan.sha256,
            "digest": run.digest(),
            "seed": seed,
            "readings": pace.readings,
            "faults": len(plan.injections),
            "failures": len(run.failures()),
        }
        models, scores = _fitted(made, known, pace, source, tell)
    return Lesson(models, pace, scores)


def lesson_plan(plant: Plant, pace: Pace, modes: Any = None, machines: int = FLEET, seed: int = 1) -> Plan:
    """Return the plan of a lesson: used machines, scenarios that come and go, and one fault after another on each."""
    end = np.datetime64(START, "us") + np.timedelta64(parse_duration(pace.span, "span"), "us")
    fleet = max(machines, len(plant.machines.rows()))
    options: dict[str, Any] = {"seed": seed, "wear": "used", "tasks": False, "truth_interval": None, "fleet": fleet}
    known = {row["name"]: plant.failure_modes.definition(row["name"]) for row in plant.failure_modes.rows()}
    chosen = _chosen(modes, known)
    plan = plant.plan(START, end, pace.readings, **options)
    scenarios = {row["name"]: plant.store.scenario(row["name"]) for row in plant.scenarios.rows()}
    instruments = [name for name, mode in known.items() if not mode.stops_machine]
    rng = np.random.default_rng(seed)
    injections: list[Injection] = []
    activations: list[Activation] = []
    for place, machine in enumerate(plan.machines):
        for injection in _faults(plan, pace, chosen, instruments, place, rng):
            update = {"injection_id": len(injections) + 1, "machine_id": machine.machine_id}
            injections.append(injection.model_copy(update=update))
        activations += _uses(plan, pace, list(scenarios), machine.machine_id, rng)
    fields = {
        "injections": tuple(injections),
        "activations": tuple(activations),
        "failure_modes": {**plan.failure_modes, **{i.failure_mode: known[i.failure_mode] for i in injections}},
        "scenarios": {a.scenario: scenarios[a.scenario] for a in activations},
        "corrective": Corrective(response_us=0),
    }
    return Plan.model_validate({**dict(plan), **fields})


def _chosen(modes: Any, known: dict[str, Any]) -> list[str]:
    stopping = [name for name, mode in known.items() if mode.stops_machine]
    if modes is None:
        return stopping
    chosen = [modes] if isinstance(modes, str) else list(modes)
    for name in chosen:
        if name not in stopping:
            raise unknown("failure mode that stops a machine", name, stopping)
    if not chosen:
        raise BadRequest("modes names no failure mode: name one or more, or leave it out for all that stop a machine")
    return chosen


def _faults(
    plan: Plan, pace: Pace, modes: list[str], instruments: list[str], place: int, rng: np.random.Generator
) -> Iterator[Injection]:
    """Yield the faults of a machine, each some time after the one before should have ended."""
    horizon, window = parse_duration(pace.horizon), parse_duration(pace.window)
    at = plan.start_us + parse_duration(pace.baseline) + window + int(rng.uniform(0.0, 1.0) * horizon)
    turn = place
    while at < plan.end_us:
        level = float(np.round(rng.uniform(*LEVELS), 3))
        grows = int(horizon * np.exp(rng.uniform(*np.log(GROWTH))))
        given = {"injection_id": 1, "machine_id": 1, "level": level, "start_us": at}
        if instruments and turn % 6 == 5:  # an instrument that lies is no failure of the machine
            name = instruments[int(rng.integers(len(instruments)))]
            yield Injection(failure_mode=name, end_us=at + grows, **given)
        else:
            yield Injection(failure_mode=modes[turn % len(modes)], time_to_failure_us=grows, **given)
        at += grows + window + int(rng.uniform(*REST) * horizon)
        turn += 1


def _uses(
    plan: Plan, pace: Pace, scenarios: list[str], machine_id: int, rng: np.random.Generator
) -> Iterator[Activation]:
    """Yield what a machine is asked for: a third of the time, one of the plant's scenarios."""
    horizon = parse_duration(pace.horizon)
    at = plan.start_us + int(rng.uniform(0.2, 2.0) * horizon)
    while scenarios and at < plan.end_us:
        long = int(rng.uniform(0.2, 1.0) * horizon)
        name = scenarios[int(rng.integers(len(scenarios)))]
        yield Activation(scenario=name, machine_id=machine_id, start_us=at, end_us=at + long)
        at += long + int(rng.uniform(0.4, 2.0) * horizon)


def _fitted(
    made: pd.DataFrame, known: pd.DataFrame, pace: Pace, source: dict[str, Any], tell: Callable[[], object]
) -> tuple[dict[str, FittedModel], dict[str, float]]:
    from twin.prognosis.training import train

    horizon_h = parse_duration(pace.horizon) / 3.6e9
    options: dict[str, Any] = {"spec": pace.spec, "horizon_h": horizon_h}
    tell()
    scores = _checked(made, known, options)
    data = {**source, "validation": {name: round(value, 4) for name, value in scores.items()}}
    models = {}
    for task in TASKS:
        tell()
        if task == "diagnosis" and known.loc[known["usable"], "mode"].nunique() < 2:
            continue  # one mode alone needs no diagnosis
        models[task] = train(made, known, task, data=data, **options)
    tell()
    return models, scores


def _checked(made: pd.DataFrame, known: pd.DataFrame, options: dict[str, Any]) -> dict[str, float]:
    """Return how well failures are foretold on machines held out of a first fit."""
    from twin.prognosis.training import train

    machines = made.index.get_level_values("machine_id").to_numpy()
    names = np.unique(machines)
    held_out = np.isin(machines, names[:: round(1 / HELD_OUT)])
    model = train(made[~held_out], known[~held_out], "failure", **options)
    asked = held_out & known["usable"].to_numpy(bool)
    truly, score = known.loc[asked, "fails"].to_numpy(bool), model.score(made[asked]).to_numpy()
    return {
        "average_precision": metrics.average_precision(truly, score),
        "roc_auc": metrics.roc_auc(truly, score),
        "share_of_failures": float(truly.mean()),
        "machines": float(len(np.unique(machines[held_out]))),
    }


class _Progress:
    """Tells how far the work is: as a bar, to a function, or nobody."""

    def __init__(self, progress: bool | Callable[[int, int, str], object]) -> None:
        self._progress, self._done, self._bar = progress, 0, None

    def __enter__(self) -> Callable[[], object]:
        if self._progress is True:
            from tqdm.auto import tqdm

            self._bar = tqdm(total=len(STEPS), desc="lesson", leave=False)
        return self._tell

    def _tell(self) -> None:
        now = STEPS[self._done] if self._done < len(STEPS) else "done"
        if callable(self._progress):
            self._progress(self._done, len(STEPS), now)
        if self._bar is not None:
            self._bar.update(1 if self._done else 0)
            self._bar.set_description(now)
        self._done += 1

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
