"""Prognosis of a stream: models that belong together score a fleet as its readings come.

A number is given where the models have a right to it. Where a window is not filled, a machine stands, its readings
have ceased, or are unlike the training, the state says so.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from twin.errors import BadRequest, shown
from twin.prognosis.features import FrameReader
from twin.prognosis.fitted import FittedModel
from twin.prognosis.saved import load
from twin.prognosis.spec import FeatureSpec
from twin.prognosis.stream import Stream
from twin.times import parse_duration

if TYPE_CHECKING:
    import pandas as pd

Model = FittedModel | str | PathLike[str]
OK, GATHERING, STALE, OUT_OF_RANGE = "ok", "gathering", "stale", "out of range"
STANDING, REPAIR, SPARSE = "standing", "under repair", "too sparse"
STATES = (OK, GATHERING, STALE, OUT_OF_RANGE, STANDING, REPAIR, SPARSE)
LEAST_COVERED = 0.5
"""Share of a window's readings below which it is not filled. [choice]"""
EXPLAINED_FROM = 0.2
"""Probability from which a mode is named and features are asked for. [choice]"""
MOST_EXPLAINED = 8
"""Machines a pass whose features are asked for, the likeliest to fail first: each costs a score for each feature."""
LEAST_EFFECT = 0.01
"""Of a feature that is said to speak for a failure: a hundredth of probability."""
MOST_ROWS = 4_000
"""Rows a pass: of more that have come at once, the newest."""
TREND = 600
"""Points of a machine's trend that are kept."""
HOUR_US = 3_600_000_000


@dataclass(frozen=True)
class Speaks:
    """A feature that speaks for a score: what it is, what it usually is, and by how much the score would fall."""

    feature: str
    value: float
    median: float
    effect: float


@dataclass(frozen=True)
class Outlook:
    """What is known of a machine's future.

    Attributes
    ----------
    machine_id : int
    at_us : int or None
        The time of the features; None: none have been made.
    state, reason : str
        One of `STATES`, and why in words.
    probability : float or None
        Of failure within the horizon; given only when the state is ``ok`` or ``out of range``, and not to be
        trusted in the latter.
    rul_h, low_h, high_h : float or None
        Hours to failure, with the model's interval.
    mode, mode_share : str and float, or None
        The leading failure mode and its probability, given a failure; where that has a probability of 20 % or more.
    speaks : tuple of Speaks
        The features that speak most for it.
    """

    machine_id: int
    at_us: int | None
    state: str
    reason: str = ""
    probability: float | None = None
    rul_h: float | None = None
    low_h: float | None = None
    high_h: float | None = None
    mode: str | None = None
    mode_share: float | None = None
    speaks: tuple[Speaks, ...] = ()


class Prognosis:
    """Models of failure, remaining life and diagnosis at work on one stream.

    Parameters
    ----------
    failure : FittedModel or path
        Of the task ``failure``.
    rul, diagnosis : FittedModel or path, optional
        Of those tasks, trained on the same features.
    readings : duration, optional
        Time between two readings of the training; by default what the card's data say under ``readings``, else
        1 h or the cadence.

    Attributes
    ----------
    models : dict of str to FittedModel
        By task.
    spec : FeatureSpec
    assumed : bool
        Whether `readings` is a guess.
    trends : dict of int to deque of (time in µs, probability, trusted)

    Raises
    ------
    BadRequest
        For a file that is no model or has been changed, a model of another task, one without or with another
        feature spec.
    """

    def __init__(
        self, failure: Model, rul: Model | None = None, diagnosis: Model | None = None, readings: Any = None
    ) -> None:
        if failure is None:
            raise BadRequest("a prognosis needs a model of failure: give what train() returned or a saved model's path")
        given = {"failure": failure, "rul": rul, "diagnosis": diagnosis}
        self.models = {task: _model(task, model) for task, model in given.items() if model is not None}
        self.spec = _common_spec(self.models)
        self.card = self.models["failure"].card
        self.readings_us, self.assumed = _readings(self.models, readings, self.spec)
        self._reader = FrameReader(self.spec)
        query = self.spec.query()
        baseline_us = self.spec.baseline_us + self.spec.cadence_us if query.residuals else 0
        self._has_baseline = bool(query.residuals)
        self._given = (query.channels(), self.readings_us, self.spec.window_us, baseline_us)
        self._taking, self._scoring = threading.RLock(), threading.RLock()
        self.restart()

    def restart(self) -> None:
        """Forget the stream: another one begins."""
        with self._scoring, self._taking:
            self.stream = Stream(*self._given)
            self.trends: dict[int, deque[tuple[int, float, bool]]] = {}
            self._baseline: pd.DataFrame | None = None
            self._last_us = 0
            self._known: dict[int, Outlook] = {}

    def close(self) -> None:
        """Let go of the database in memory that makes features; another is opened where it is needed again."""
        with self._scoring:
            self._reader = FrameReader(self.spec)

    def take(self, frame: Any, interval_us: int) -> None:
        """Take in a frame of readings, also while others are scored: see `twin.live.frames.Frame`."""
        with self._taking:
            self.stream.take(frame.ts_us, frame.machine_ids, frame.values, interval_us)

    @property
    def scored_us(self) -> int:
        """Time of the newest rows; 0 before the first."""
        return self._last_us

    @property
    def due_us(self) -> int:
        """Time of the newest row that can be made; 0 before the first."""
        newest, cadence = self.stream.newest_us, self.spec.cadence_us
        return 0 if newest is None else newest // cadence * cadence

    @property
    def is_due(self) -> bool:
        """Whether a row has come to its end that has not been scored."""
        return self.due_us > self._last_us

    @property
    def ready_us(self) -> int | None:
        """When the first number can come: a window is filled and the baseline is known; None without readings."""
        if self.stream.began_us is None:
            return None
        first = self.stream.began_us + max(self.spec.window_us, self.spec.baseline_us * self._has_baseline)
        return -(-first // self.spec.cadence_us) * self.spec.cadence_us

    def score(
        self,
        alarms: pd.DataFrame | None = None,
        log: pd.DataFrame | None = None,
        failures: pd.DataFrame | None = None,
        states: Mapping[int, str] | None = None,
        asked: tuple[int, ...] = (),
    ) -> list[Outlook]:
        """Score what has come since the last time, and return the newest outlook of each machine.

        A window that touches a standstill is no basis for a number: it mixes two conditions of the machine.

        Parameters
        ----------
        alarms : DataFrame, optional
            ``machine_id``, ``ts``.
        log : DataFrame, optional
            Finished work: ``machine_id``, ``end_at``.
        failures : DataFrame, optional
            ``machine_id``, ``ts``: a machine stands from there until work on it is done.
        states : mapping of int to str, optional
            What each machine does now, as `LiveSession.fleet` says it.
        asked : tuple of int
            Machines whose features are to be explained however unlikely their failure is.
        """
        with self._scoring:
            if self.is_due:
                self._score_due(alarms, log, failures, asked)
        return self.outlooks(states)

    def outlooks(self, states: Mapping[int, str] | None = None) -> list[Outlook]:
        """Return the newest outlook of each machine, in the states that they have now."""
        return [self._in_state(int(m), (states or {}).get(int(m), "")) for m in self.stream.machine_ids]

    def _in_state(self, machine_id: int, state: str) -> Outlook:
        known = self._known.get(machine_id) or self._waiting(machine_id, None)
        if state == "maintenance":
            return _blank(known, REPAIR, "work is under way")
        if state in ("failed", "tripped"):
            said = "the machine has failed" if state == "failed" else "its guard has tripped"
            return _blank(known, STANDING, said)
        return known

    def _waiting(self, machine_id: int, at_us: int | None) -> Outlook:
        """Return the outlook before the first number."""
        ready, newest = self.ready_us, self.stream.newest_us
        if ready is None or newest is None:
            return Outlook(machine_id, at_us, GATHERING, "no reading yet")
        left_h = max(0, ready - newest) / HOUR_US
        what = "baseline and window" if self._has_baseline else "window"
        return Outlook(machine_id, at_us, GATHERING, f"{what} full in {left_h:.3g} h")

    def _score_due(self, alarms: Any, log: Any, failures: Any, asked: tuple[int, ...]) -> None:
        """Make the rows that have come to their end, and score them; readings are taken in meanwhile."""
        cadence, window, due = self.spec.cadence_us, self.spec.window_us, self.due_us
        self._learn_baseline(due)
        ids = self.stream.machine_ids
        rows = max(1, MOST_ROWS // ids.size)
        first = max(self._last_us + cadence, due - (rows - 1) * cadence, self.ready_us or 0)
        self._last_us = due
        if first > due:
            self._known = {int(m): self._waiting(int(m), due) for m in ids}
            return
        with self._taking:
            readings = self.stream.recent(first - window, due)
            heard, counts = self.stream.heard_us().copy(), self.stream.counts(due - window, due)
        made = self._features(readings, alarms, log, first, due)
        at, machines = _times(made), made.index.get_level_values("machine_id").to_numpy()
        worked, failed = _last(log, "end_at", machines, at), _last(failures, "ts", machines, at)
        settled = (worked <= at - window) & (failed <= worked)
        made, at, machines, newest = made[settled], at[settled], machines[settled], at[settled] == due
        strange = self.models["failure"].out_of_range(made).to_numpy()
        trusted = np.asarray(~strange.any(axis=1), bool)
        chances = self.models["failure"].score(made).to_numpy()
        for m, t, p, sure in zip(machines.tolist(), at.tolist(), chances.tolist(), trusted.tolist(), strict=True):
            self.trends.setdefault(m, deque(maxlen=TREND)).append((t, p, sure))
        found = self._outlooks(made[newest], chances[newest], strange[newest], asked)
        now = np.full(ids.size, due)
        worked, failed = _last(log, "end_at", ids, now), _last(failures, "ts", ids, now)
        facts = np.stack([heard, worked, failed, counts], axis=1).tolist()
        self._known = {int(m): self._checked(int(m), found.get(int(m)), *facts[i]) for i, m in enumerate(ids)}
        with self._taking:
            self.stream.forget(due - window)

    def _learn_baseline(self, due: int) -> None:
        """Take each machine's healthy relation from its first readings, once they are complete."""
        began = self.stream.began_us
        if self._baseline is not None or not self._has_baseline or began is None:
            return
        if due >= began + self.spec.baseline_us:
            with self._taking:
                early = self.stream.early()
                self.stream.forget_early()
            self._baseline = self._reader.baseline(early)

    def _features(self, readings: pd.DataFrame, alarms: Any, log: Any, first: int, due: int) -> pd.DataFrame:
        """Return the rows that have come to their end: one a machine, or several where the stream made a leap."""
        if first == due:
            made = self._reader.newest(readings, self._baseline, alarms, log)
        else:
            since = np.datetime64(first, "us")
            made = self._reader.features(readings, alarms, log, self._baseline, since=since)
        at = _times(made)
        return made[(at >= first) & (at <= due)]

    def _outlooks(
        self,
        made: pd.DataFrame,
        chances: NDArray[np.float64],
        strange: NDArray[np.bool_],
        asked: tuple[int, ...],
    ) -> dict[int, Outlook]:
        """Return what all models say of the newest rows."""
        machines = made.index.get_level_values("machine_id").to_numpy()
        answers: list[dict[str, Any]] = [{"probability": float(p)} for p in chances]
        if "rul" in self.models and len(made):
            centre, bounds = self.models["rul"].predict(made), self.models["rul"].predict_interval(made)
            for answer, *hours in zip(answers, centre, bounds["low_h"], bounds["high_h"], strict=True):
                answer |= dict(zip(("rul_h", "low_h", "high_h"), map(float, hours), strict=True))
        likely = np.flatnonzero(chances >= EXPLAINED_FROM)
        if "diagnosis" in self.models and likely.size:
            shares = self.models["diagnosis"].predict_proba(made.iloc[likely])
            for place, share in zip(likely.tolist(), shares, strict=True):
                lead = int(share.argmax())
                known = {"mode": str(self.models["diagnosis"].classes_[lead]), "mode_share": float(share[lead])}
                answers[place] |= known
        for place, speaks in self._explained(made, machines, chances, asked).items():
            answers[place]["speaks"] = speaks
        at = self._last_us
        found = {}
        for i, (m, answer) in enumerate(zip(machines.tolist(), answers, strict=True)):
            state, reason = (OUT_OF_RANGE, self._strange(made.iloc[i], strange[i])) if strange[i].any() else (OK, "")
            found[m] = Outlook(m, at, state, reason, **answer)
        return found

    def _explained(
        self, made: pd.DataFrame, machines: NDArray[np.int64], chances: NDArray[np.float64], asked: tuple[int, ...]
    ) -> dict[int, tuple[Speaks, ...]]:
        """Return the features that speak for the likeliest failures, and for those asked of, by place."""
        likeliest = [int(i) for i in np.argsort(-chances)[:MOST_EXPLAINED] if chances[i] >= EXPLAINED_FROM]
        places = sorted({*likeliest, *np.flatnonzero(np.isin(machines, asked)).tolist()})
        if not places:
            return {}
        told = self.models["failure"].explain(made.iloc[places], top=6)
        found = {}
        for place in places:
            mine = told[(told["machine_id"] == machines[place]) & (told["effect"] >= LEAST_EFFECT)].head(3)
            found[place] = tuple(
                Speaks(str(row.feature), float(row.value), float(row.median), float(row.effect))
                for row in mine.itertuples()
            )
        return found

    def _strange(self, row: pd.Series, flags: NDArray[np.bool_]) -> str:
        """Say which features are unlike the training."""
        names = row.index[flags].tolist()
        told = []
        for name in names[:2]:
            known, value = self.card.ranges[name], float(row[name])
            spoken = "missing" if np.isnan(value) else f"{value:.4g}"
            span = "never seen" if known.low is None else f"trained on {known.low:.4g} to {known.high:.4g}"
            told.append(f"{name} {spoken} ({span})")
        more = f" and {len(names) - 2} more" if len(names) > 2 else ""
        return "; ".join(told) + more

    def _checked(self, m: int, found: Outlook | None, heard: int, worked: int, failed: int, count: int) -> Outlook:
        """Return an outlook, or why there is none."""
        due, stream = self._last_us, self.stream
        none = Outlook(m, due, OK) if found is None else found
        silent, expected = due - heard, max(1, self.spec.window_us // max(self.readings_us, stream.interval_us))
        if stream.interval_us > self.readings_us:
            said = f"a reading each {stream.interval_us / HOUR_US:.3g} h; trained on {self.readings_us / HOUR_US:.3g} h"
            return _blank(none, SPARSE, said)
        if silent > self.spec.cadence_us:
            return _blank(none, STALE, f"no reading for {silent / HOUR_US:.3g} h")
        if failed > worked:
            return _blank(none, STANDING, "the machine has failed")
        if worked > due - self.spec.window_us:
            left_h = (worked + self.spec.window_us - due) / HOUR_US
            return _blank(none, GATHERING, f"after work, window full in {left_h:.3g} h")
        if count < LEAST_COVERED * expected:
            return _blank(none, GATHERING, f"{count} of {expected} readings in the window")
        if found is None:
            return _blank(none, STANDING, "its shaft has not turned in the last row")
        return found


def _blank(known: Outlook, state: str, reason: str) -> Outlook:
    """Return an outlook without numbers."""
    return Outlook(known.machine_id, known.at_us, state, reason)


def _times(made: pd.DataFrame) -> NDArray[np.int64]:
    """Return the times of features, µs."""
    times = made.index.get_level_values("ts").to_numpy()
    return np.asarray(times.astype("datetime64[us]").astype(np.int64))


def _last(events: Any, when: str, machines: NDArray[Any], at: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return when something last happened to each machine, up to a time each; long ago where it never did."""
    found = np.full(len(machines), np.iinfo(np.int64).min // 2, np.int64)
    if events is None or not len(events):
        return found
    times, whose = events[when].to_numpy().astype("datetime64[us]").astype(np.int64), events["machine_id"].to_numpy()
    for m in np.unique(whose):
        mine, rows = np.sort(times[whose == m]), np.flatnonzero(machines == m)
        place = np.searchsorted(mine, at[rows], side="right") - 1
        found[rows] = np.where(place >= 0, mine[place], found[rows])
    return found


def _model(task: str, given: Any) -> FittedModel:
    """Return a model of a task, read from its file where a path is given."""
    model = load(given) if isinstance(given, str | PathLike) else given
    if not isinstance(model, FittedModel):
        raise BadRequest(f"{task} must be what train() returned or the path of a saved model, got {shown(given)}")
    if model.card.task != task:
        raise BadRequest(f"the model given for {task} is one for {model.card.task}: give it as {model.card.task}=")
    return model


def _common_spec(models: Mapping[str, FittedModel]) -> FeatureSpec:
    """Return the feature spec of all models."""
    specs = {task: _spec(task, model) for task, model in models.items()}
    spec = specs["failure"]
    for task, other in specs.items():
        if other != spec:
            differing = [name for name, value in other.model_dump().items() if value != getattr(spec, name)]
            raise BadRequest(
                f"the models for failure and {task} have different features ({', '.join(differing)}): train them alike"
            )
    return spec


def _spec(task: str, model: FittedModel) -> FeatureSpec:
    given, card = model.card.spec, model.card
    if not isinstance(given, dict):
        raise BadRequest(f"the card of the model for {task} has no feature spec: train it with spec=")
    try:
        spec = FeatureSpec.of(**given)
    except (BadRequest, TypeError) as fault:
        raise BadRequest(f"the card of the model for {task} has no usable feature spec: {fault}") from None
    if set(spec.columns) != set(card.features):
        strange = sorted(set(spec.columns) ^ set(card.features))
        raise BadRequest(
            f"the model for {task} was trained on other features than its spec gives ({', '.join(strange[:3])}"
            f"{', ...' if len(strange) > 3 else ''}): train it on plant.features(run, spec)"
        )
    return spec


def _readings(models: Mapping[str, FittedModel], given: Any, spec: FeatureSpec) -> tuple[int, bool]:
    """Return the time between two readings of the training (µs), and whether it is a guess."""
    said = {task: model.card.data.get("readings") for task, model in models.items()}
    stated = {task: parse_duration(value, "readings") for task, value in said.items() if value is not None}
    if given is None and len(set(stated.values())) > 1:
        told = ", ".join(f"{task}: {said[task]}" for task in stated)
        raise BadRequest(f"the models learnt from readings at different intervals ({told}): train them alike")
    known = parse_duration(given, "readings") if given is not None else next(iter(stated.values()), None)
    readings = min(HOUR_US, spec.cadence_us) if known is None else known
    if readings > spec.cadence_us:
        raise BadRequest(f"readings {shown(given)} are further apart than the features' cadence of {spec.cadence}")
    return readings, known is None
