"""Predictive maintenance as a policy: a fitted model says who is about to fail, and a rule says when to act."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from twin.agenda import best_action
from twin.catalog.checks import check_number
from twin.errors import BadRequest, shown, unknown
from twin.policy import HOUR_US, PRIORITIES, PolicyLike, decided_by
from twin.prognosis.features import FrameReader
from twin.prognosis.spec import FeatureSpec, as_spec

if TYPE_CHECKING:
    import pandas as pd

    from twin.plan import Plan
    from twin.reported import Reported


class Scorer(Protocol):
    """What a policy needs of a model: probabilities from features; any fitted scikit-learn classifier has it."""

    classes_: Any

    def predict_proba(self, X: Any) -> Any:
        """Return one column a class."""


class Predictive:
    """A function for ``policy=``: asks for work on machines that a model expects to fail.

    It sees hourly means, alarms and finished work, as they were reported by then; the first of them are each
    machine's baseline. On a machine that has work waiting, or had some within the features' window, it waits.

    Parameters
    ----------
    model : estimator
        Fitted; ``predict_proba`` of the spec's features gives the probability of failure in its last column.
    treatments : mapping of str to str
        The action for each failure mode: see `treatments`.
    spec : FeatureSpec, optional
        The features that the model was trained on; windows in whole hours.
    threshold : float
        Act from this probability on, 0 to 1; see `cost_threshold`.
    diagnosis : estimator, optional
        Classifier of failure modes on the same features; without it, the same action is asked for each time.
    action : str
        What is asked for without a diagnosis.
    priority : str
        Of the tasks.
    """

    def __init__(
        self,
        model: Scorer,
        treatments: Mapping[str, str],
        spec: FeatureSpec | None = None,
        threshold: float = 0.3,
        diagnosis: Scorer | None = None,
        action: str = "repair",
        priority: str = "high",
    ) -> None:
        self.spec = hourly(spec)
        self.threshold = check_number(threshold, "threshold", 0.0, 1.0)
        for name, given in (("model", model), ("diagnosis", diagnosis)):
            if (given is not None or name == "model") and not hasattr(given, "predict_proba"):
                raise BadRequest(
                    f"{name} must have predict_proba, as a scikit-learn classifier has, got {shown(given)}"
                )
        if not isinstance(treatments, Mapping):
            raise BadRequest(
                f"treatments must be actions by failure mode, as treatments(plan) has, got {shown(treatments)}"
            )
        if priority not in PRIORITIES:
            raise unknown("priority", priority, PRIORITIES)
        if diagnosis is not None:
            for mode in diagnosis.classes_:
                if mode not in treatments:
                    raise unknown("failure mode with a treatment", mode, treatments)
        self.model, self.diagnosis, self.treatments = model, diagnosis, dict(treatments)
        self.action, self.priority = action, priority
        self._reader = FrameReader(self.spec)
        self._baseline: pd.DataFrame | None = None
        self._seen: tuple[dt.datetime, dt.datetime] | None = None

    def __call__(self, reported: Reported) -> list[dict[str, Any]]:
        """Return the tasks that are asked for at a decision."""
        rows = self.newest(reported)
        if rows is None or rows.empty:
            return []
        chances = np.asarray(self.model.predict_proba(rows))[:, -1]
        if np.isnan(chances).any():  # which would be below any threshold: nothing would ever be asked for
            raise BadRequest("the model gives no probability (NaN) for some machines")
        busy = self._busy(reported)
        ids = rows.index.get_level_values("machine_id").to_numpy()
        due = np.flatnonzero((chances >= self.threshold) & ~np.isin(ids, list(busy)))
        if not due.size:
            return []
        actions = self._actions(rows.iloc[due])
        return [
            {"machine": int(ids[k]), "action": action, "priority": self.priority}
            for k, action in zip(due, actions, strict=True)
        ]

    def policy(self, every: Any = "2d", beside: PolicyLike = None, name: str = "predictive") -> list[Any]:
        """Return this as a policy for ``policy=`` and ``plant.evaluate``.

        Parameters
        ----------
        every : duration
            Time between two decisions, whole hours.
        beside : policy, optional
            What is done as well, such as ``"periodic:90d"``.
        name : str
            What tells it from other functions.
        """
        own = (decided_by(self, every=every, name=name), self)
        return [own] if beside is None else [beside, own]

    def newest(self, reported: Reported) -> pd.DataFrame | None:
        """Return the newest features of machines that reported within the last cadence; None before the baseline."""
        import pandas as pd

        now, spec = reported.now, self.spec
        known = reported.began + dt.timedelta(microseconds=spec.baseline_us + spec.cadence_us)
        if now < known:
            return None
        # the healthy relation is a fact of one world: another has begun where time or its beginning is another
        if self._seen is None or self._seen[0] != reported.began or now <= self._seen[1]:
            early = reported.hourly_between(reported.began, known)
            if early.empty:
                return None
            self._baseline = self._reader.baseline(early)
        self._seen = (reported.began, now)
        since = now - dt.timedelta(microseconds=spec.window_us + spec.cadence_us)
        readings = reported.hourly_between(since)
        if readings.empty:
            return None
        alarms = reported.alarms
        recent = alarms[alarms["ts"] > pd.Timestamp(since).tz_localize(None)] if len(alarms) else alarms
        rows = self._reader.newest(readings, self._baseline, recent, reported.log)
        fresh = pd.Timestamp(now).tz_localize(None) - pd.Timedelta(microseconds=spec.cadence_us)
        return rows[rows.index.get_level_values("ts") > fresh]

    def _busy(self, reported: Reported) -> set[int]:
        """Return machines with work that waits, or that was done within the window: their readings are mixed."""
        import pandas as pd

        log, tasks = reported.log, reported.tasks
        since = pd.Timestamp(reported.now).tz_localize(None) - pd.Timedelta(microseconds=self.spec.window_us)
        busy: set[int] = set()
        if len(tasks):
            busy |= {int(m) for m in tasks.loc[tasks["origin"] != "periodic", "machine_id"]}
        if len(log):
            busy |= {int(m) for m in log.loc[log["end_at"] > since, "machine_id"]}
        return busy

    def _actions(self, rows: pd.DataFrame) -> list[str]:
        if self.diagnosis is None:
            return [self.action] * len(rows)
        leading = np.asarray(self.diagnosis.predict_proba(rows)).argmax(axis=1)
        return [self.treatments[self.diagnosis.classes_[k]] for k in leading]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_baseline": None, "_seen": None}


class Recorder:
    """A function for ``policy=`` that asks for nothing and keeps what it was shown last: hourly means, alarms, work."""

    def __init__(self) -> None:
        self.seen: Reported | None = None

    def __call__(self, reported: Reported) -> list[dict[str, Any]]:
        """Keep what is reported; frames are made when they are asked for."""
        self.seen = reported
        return []


def hourly(spec: FeatureSpec | None) -> FeatureSpec:
    """Return a spec that hourly means can serve, or refuse it: of shorter windows most would be empty."""
    found = as_spec(spec)
    if found.cadence_us % HOUR_US:
        raise BadRequest(f"a policy sees hourly means: the spec's cadence must be whole hours, got {found.cadence!r}")
    return found


def treatments(plan: Plan) -> dict[str, str]:
    """Return the action that puts each failure mode of a plan right: the cheapest that restores nearly all."""
    found = {mode: best_action(plan.actions.values(), mode) for mode in plan.failure_modes}
    return {mode: action.name for mode, action in found.items() if action is not None}


def cost_threshold(cost_of_action: float, cost_of_failure: float) -> float:
    """Return the probability from which acting costs less than waiting: the ratio of the two costs."""
    action = check_number(cost_of_action, "cost_of_action", 0.0, 1e12)
    failure = check_number(cost_of_failure, "cost_of_failure", 1e-9, 1e12)
    return min(1.0, action / failure)
