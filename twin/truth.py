"""What no sensor sees, of a whole plan at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from twin.events import Truth
from twin.plan import Plan
from twin.timeline import compile_plan
from twin.world import World


def ground_truth(plan: Plan) -> dict[str, list[Any]]:
    """Return columns of the table ``ground_truth`` for a plan without functions in its policy.

    Parameters
    ----------
    plan : Plan

    Returns
    -------
    dict of str to list
        ``machine_id, ts`` (microseconds)``, operating_state, damage`` (dict of failure mode to
        level)``, health`` (1 less the largest damage)``, rul_h`` (None: no failure is coming).
    """
    world = World(plan, compile_plan(plan), segments=False)
    world.advance(plan.end_us)
    truth = world.drain().truth
    assert truth is not None
    return truth_columns(truth, [m.machine_id for m in plan.machines], world.modes)


def truth_columns(truth: Truth, ids: list[int], modes: list[str]) -> dict[str, list[Any]]:
    """Return the truth as columns of plain values; modes without damage are left out."""
    return {
        "machine_id": np.array(ids)[truth.machine].tolist(),
        "ts": truth.ts_us.tolist(),
        "operating_state": truth.state_names(),
        "damage": [
            {mode: level for mode, level in zip(modes, row, strict=True) if level > 0.0}
            for row in truth.damage.tolist()
        ],
        "health": truth.health().tolist(),
        "rul_h": [None if np.isnan(hours) else hours for hours in truth.rul_h.tolist()],
    }
