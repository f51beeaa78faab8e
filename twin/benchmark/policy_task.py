"""The policy tasks: what maintenance policies save in the same worlds, as a share of what the oracle saves.

The test worlds, the worlds in which the predictive baseline's models were trained, and those in which intervals and
thresholds were chosen (`tune`) are of the same plant, by other seeds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin.benchmark.tasks import Task
from twin.hindsight import ORACLE
from twin.policy import PolicyLike
from twin.worth import BASELINE, Evaluation, evaluate

if TYPE_CHECKING:
    import pandas as pd

    from twin.plant import Plant
    from twin.prognosis.fitted import FittedModel
    from twin.prognosis.policies import Predictive

RECORDED_FROM, TUNED_FROM = 1_000, 2_000
"""What is added to a task's seed for the worlds of the training, and for those of the choice."""
RECORDED = 8
EVERY = "2d"
HORIZON_H = 168.0
SERVICES = ("periodic:30d", "periodic:60d", "periodic:90d", "periodic:120d", "periodic:180d", "periodic:360d")
BESIDE = ("periodic:90d", "periodic:180d")
THRESHOLDS = (0.15, 0.3, 0.45, 0.6)
CONDITION = "condition:vibration_mm_s"


def policy_digest(task: Task, plant: Plant) -> str:
    """Return a hash of what happens in the test worlds when nothing is done before a failure."""
    from twin.run import simulate

    found = hashlib.sha256(f"{task.name} {task.metric} {task.replications}".encode())
    for k in range(task.replications):
        plan = task.world.plan(plant, seed=task.world.seed + k, events_only=True)
        found.update(str(simulate(plant.store, plan, progress=False).row.events_digest).encode())
    return found.hexdigest()[:32]


def recorded(task: Task, plant: Plant, service: str, worlds: int = RECORDED) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return features and labels of training worlds: hourly means as a policy sees them, under a service."""
    import pandas as pd

    from twin.prognosis.history import apart, observed

    parts = []
    for k in range(worlds):
        world = partial(task.world.plan, plant, seed=task.world.seed + RECORDED_FROM + k, events_only=True)
        parts.append([apart(frame, k) for frame in observed(plant.store, world, service, task.spec, task.horizon)])
    return pd.concat([X for X, _ in parts]), pd.concat([y for _, y in parts])


def trained(task: Task, plant: Plant, service: str) -> tuple[FittedModel, FittedModel]:
    """Return the predictive baseline's models: of failure within the horizon, and of its mode."""
    from twin.prognosis.training import train

    X, y = recorded(task, plant, service)
    data = {"task": task.name, "seeds": [task.world.seed + RECORDED_FROM + k for k in range(RECORDED)]}
    failure = train(X, y, "failure", "boosting", spec=task.spec, horizon_h=HORIZON_H, data=data)
    diagnosis = train(X, y, "diagnosis", "boosting", spec=task.spec, horizon_h=HORIZON_H, data=data)
    return failure, diagnosis


def predictive(task: Task, plant: Plant, models: tuple[Any, Any], threshold: float) -> Predictive:
    """Return a model as a policy's function."""
    from twin.prognosis.policies import Predictive, treatments

    failure, diagnosis = models
    known = treatments(task.world.plan(plant))
    return Predictive(failure, known, task.spec, threshold=threshold, diagnosis=diagnosis)


def baselines(task: Task, plant: Plant, chosen: Mapping[str, Any], models: tuple[Any, Any]) -> dict[str, PolicyLike]:
    """Return the baselines by name.

    Parameters
    ----------
    task, plant : Task, Plant
    chosen : mapping
        What `tune` found: ``periodic``, ``service`` and ``threshold``.
    models : tuple
        What `trained` returned for that service.
    """
    policy = predictive(task, plant, models, chosen["threshold"])
    return {
        BASELINE: None,
        "periodic": chosen["periodic"],
        "condition": [chosen["service"], CONDITION],
        "predictive": policy.policy(EVERY, beside=chosen["service"]),
        ORACLE: ORACLE,
    }


def worth_of(
    task: Task, plant: Plant, policies: Mapping[str, PolicyLike], *, workers: int | None = None,
    keep: Path | None = None, progress: bool = False,
) -> Evaluation:  # fmt: skip
    """Return what policies are worth in the test worlds."""
    return evaluate(
        plant, policies, f"{task.world.days}d", task.replications, seed=task.world.seed, workers=workers, keep=keep,
        progress=progress,
    )  # fmt: skip


def tune(task: Task, plant: Plant, *, worlds: int = 3, workers: int | None = None, progress: bool = False) -> Any:
    """Choose the periodic baseline's interval, and the predictive one's service and threshold, in worlds of their own.

    Not part of a run: takes minutes. What it found is frozen with the tasks.

    Returns
    -------
    tuple
        The choice (``periodic, service, threshold``), and the table of what each policy cost.
    """
    policies: dict[str, PolicyLike] = {service.replace(":", "-"): service for service in SERVICES}
    for service in BESIDE:
        models = trained(task, plant, service)
        for threshold in THRESHOLDS:
            name = f"predictive {service.removeprefix('periodic:')} {threshold:g}"
            policies[name] = predictive(task, plant, models, threshold).policy(EVERY, beside=service)
    found = evaluate(
        plant, policies, f"{task.world.days}d", worlds, seed=task.world.seed + TUNED_FROM, workers=workers,
        progress=progress,
    )  # fmt: skip
    cost = found.by_replication().mean()
    periodic = cost[[name for name in cost.index if name.startswith("periodic")]].idxmin()
    best = cost[[name for name in cost.index if name.startswith("predictive")]].idxmin()
    _, days, threshold_text = str(best).split()
    chosen = {
        "periodic": str(periodic).replace("-", ":"),
        "service": f"periodic:{days}",
        "threshold": float(threshold_text),
    }
    return chosen, cost
