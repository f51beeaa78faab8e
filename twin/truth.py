"""What no sensor sees, as far as the plan alone decides it: written beside a run, never into its telemetry."""

from __future__ import annotations

from typing import Any

from twin.catalog.models import Scenario
from twin.plan import Plan
from twin.timeline import Spans

IDLE_LOAD = 0.1
"""A machine that is asked for less of its rated torque than this is idle. [choice]"""


def _asked_load(active: list[Scenario], nominal: float) -> float:
    """Return the load that is asked for, by the rules of the timeline; a recorded one counts as nominal."""
    asked = [(s.priority, 0, float(e.value or 0.0)) for s in active for e in s.effects if e.parameter == "load"]
    asked += [(s.priority, 1, nominal) for s in active if s.profile is not None and s.profile.load is not None]
    return max(asked)[2] if asked else nominal


def ground_truth(plan: Plan) -> dict[str, list[Any]]:
    """Return columns of the table ``ground_truth``: a row a machine at every change of its hidden condition.

    Parameters
    ----------
    plan : Plan

    Returns
    -------
    dict of str to list
        ``machine_id, ts`` (microseconds)``, operating_state, damage`` (dict of failure mode to
        level)``, health`` (1 less the largest damage)``, rul_h`` (None: injected severities hold).
    """
    spans = Spans(plan)
    columns: dict[str, list[Any]] = {
        key: [] for key in ("machine_id", "ts", "operating_state", "damage", "health", "rul_h")
    }
    for machine in plan.machines:
        nominal = plan.machine_types[machine.machine_type].nominal_load
        for t_us in spans.cuts(machine.machine_id, plan):
            active, damage = spans.at(machine.machine_id, t_us)
            columns["machine_id"].append(machine.machine_id)
            columns["ts"].append(t_us)
            idle = _asked_load([scenario for scenario, _ in active], nominal) < IDLE_LOAD
            columns["operating_state"].append("idle" if idle else "running")
            columns["damage"].append(dict(sorted(damage.items())))
            columns["health"].append(1.0 - max(damage.values(), default=0.0))
            columns["rul_h"].append(None)
    return columns
