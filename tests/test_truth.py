"""What no sensor sees: rows at every change, and no sooner or later."""

from __future__ import annotations

import plans
import pytest

from twin.catalog.parameters import CHANNELS
from twin.truth import ground_truth


def rows(**asked) -> list[tuple[float, str, dict[str, float], float]]:  # type: ignore[no-untyped-def]
    """Return second, state, damage and health of the truth of an hour of machine 1."""
    truth = ground_truth(plans.make((1,), 3600.0, **asked))
    assert truth["rul_h"] == [None] * len(truth["ts"])
    seconds = [(ts - plans.START_US) / 1e6 for ts in truth["ts"]]
    return list(zip(seconds, truth["operating_state"], truth["damage"], truth["health"], strict=True))


def test_a_well_machine_has_one_row() -> None:
    assert rows() == [(0.0, "running", {}, 1.0)]


def test_a_row_at_every_change_of_condition() -> None:
    faults = [
        plans.injected("bearing_degradation", 1, 60.0, 600.0, level=0.5, number=1),
        plans.injected("bearing_degradation", 1, 120.0, 300.0, level=0.75, number=2),
        plans.injected("sensor_drift", 1, 240.0, level=0.25, number=3),
    ]
    assert rows(injections=faults) == [
        (0.0, "running", {}, 1.0),
        (60.0, "running", {"bearing_degradation": 0.5}, 0.5),
        (120.0, "running", {"bearing_degradation": 0.75}, 0.25),
        (240.0, "running", {"bearing_degradation": 0.75, "sensor_drift": 0.25}, 0.25),
        (300.0, "running", {"bearing_degradation": 0.5, "sensor_drift": 0.25}, 0.5),
        (600.0, "running", {"sensor_drift": 0.25}, 0.75),
    ]


def test_what_began_before_the_plan_is_there_from_its_start() -> None:
    fault = plans.injected("rotor_imbalance", 1, -500.0, 100.0)
    assert [row[0] for row in rows(injections=[fault])] == [0.0, 100.0]


@pytest.mark.parametrize(("other", "state"), [("Hot environment", "idle"), ("Ramp", "running"), ("Steps", "idle")])
def test_idle_is_what_the_most_important_scenario_asks(other: str, state: str) -> None:
    acts = [plans.active("Idle standby", 1, 60.0, 120.0), plans.active(other, 1, -1.0)]
    assert next(row[1] for row in rows(activations=acts) if row[0] == 60.0) == state


def test_truth_and_telemetry_have_no_column_in_common_but_address() -> None:
    assert set(ground_truth(plans.make())) & {"machine_id", "ts", *CHANNELS} == {"machine_id", "ts"}
