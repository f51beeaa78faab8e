"""Failure modes and their injection."""

from __future__ import annotations

from typing import Any

import pytest

from twin.errors import BadRequest, InUse, UnknownName
from twin.plant import Plant

EFFECT = {"parameter": "friction", "gain": 0.8}


def test_create_get_update_delete(plant: Plant) -> None:
    created = plant.failure_modes.create("belt_wear", "mechanical", [EFFECT], channels=["power_w"])
    assert created["title"] == "Belt wear"
    assert created == plant.failure_modes.get("belt_wear")
    changed = plant.failure_modes.update("belt_wear", name="belt_tear", effects=[EFFECT | {"exponent": 2.0}])
    assert changed["effects"][0]["exponent"] == 2.0
    assert changed["channels"] == ["power_w"]
    plant.failure_modes.delete("belt_tear")
    with pytest.raises(UnknownName):
        plant.failure_modes.get("belt_tear")


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "Belt Wear"},
        {"name": "bearing_degradation"},
        {"name": "x; drop table machines"},
        {"category": "magic"},
        {"effects": []},
        {"effects": [{"parameter": "friction", "gain": float("nan")}]},
        {"effects": [{"parameter": "friction", "gain": 1e9}]},
        {"effects": [{"parameter": "friction", "value": 1.0}]},
        {"effects": [{"parameter": "load", "gain": 1.0}]},
        {"effects": [EFFECT, EFFECT]},
        {"channels": ["colour"]},
    ],
)
def test_bad_definitions_are_refused_with_one_line(untouched: Plant, fields: dict[str, Any]) -> None:
    good = {"name": "belt_wear", "category": "mechanical", "effects": [EFFECT]}
    count = len(untouched.failure_modes)
    with pytest.raises(BadRequest) as caught:
        untouched.failure_modes.create(**(good | fields))
    assert "\n" not in str(caught.value)
    assert len(untouched.failure_modes) == count


def test_inject_and_clear(plant: Plant) -> None:
    first = plant.failure_modes.inject("bearing_degradation", machine="M-001", severity="high", at="2026-01-05 12:00")
    second = plant.failure_modes.inject("sensor_drift", 2, level=0.4, at="2026-01-05", until="2026-01-06")
    rows = plant.failure_modes.injections().set_index("injection_id")
    assert rows.loc[first, "level"] == 0.75
    assert rows.loc[second, "severity"] == "medium"
    assert rows.loc[second, "machine"] == "M-002"
    plant.failure_modes.clear(first, at="2026-01-07")
    assert str(plant.failure_modes.injections("M-001")["end_at"][0]) == "2026-01-07 00:00:00"
    for at, message in (("2026-01-05 12:00", "begins at"), ("2026-01-08", "ended at")):
        with pytest.raises(BadRequest, match=message):
            plant.failure_modes.clear(first, at=at)
    plant.failure_modes.clear(first, at="2026-01-06")  # an end may move forward in time
    with pytest.raises(UnknownName, match="unknown injection 99"):
        plant.failure_modes.clear(99, at="2026-01-06")


@pytest.mark.parametrize(
    "fields",
    [
        {"mode": "bearing"},
        {"machine": "M-999"},
        {"machine": ["M-001", "M-002"]},
        {"severity": "awful"},
        {"severity": None},
        {"severity": 0.5},
        {"level": 0.5},
        {"severity": None, "level": 0.0},
        {"severity": None, "level": 1.1},
        {"severity": None, "level": -0.5},
        {"severity": None, "level": float("nan")},
        {"severity": None, "level": "0.5"},
        {"at": None},
        {"at": "2026-13-01"},
        {"until": "2026-01-05"},
        {"progression": "progressive"},
        {"progression": "sudden"},
    ],
)
def test_bad_injections_are_refused_with_one_line(untouched: Plant, fields: dict[str, Any]) -> None:
    good = {"mode": "bearing_degradation", "machine": "M-001", "severity": "high", "at": "2026-01-05"}
    with pytest.raises(BadRequest) as caught:
        untouched.failure_modes.inject(**(good | fields))
    assert "\n" not in str(caught.value)
    assert untouched.failure_modes.injections().empty


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"progression": "progressive"}, "needs a time_to_failure"),
        ({"time_to_failure": "6h"}, "belongs to a progressive injection"),
        ({"progression": "progressive", "time_to_failure": "6"}, "time_to_failure"),
        ({"progression": "progressive", "time_to_failure": "-6h"}, "time_to_failure"),
        ({"progression": "progressive", "time_to_failure": "1ms"}, "1 s or longer"),
        ({"progression": "sudden"}, "unknown progression 'sudden'"),
    ],
)
def test_a_progression_is_refused_unless_it_is_whole(untouched: Plant, fields: dict[str, Any], words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        untouched.failure_modes.inject("sensor_drift", "M-001", "low", at="2026-01-05", **fields)


def test_a_progressive_injection_cannot_begin_at_failure(untouched: Plant) -> None:
    with pytest.raises(BadRequest, match="below level 1"):
        untouched.failure_modes.inject(
            "sensor_drift", "M-001", level=1.0, at="2026-01-05", progression="progressive", time_to_failure="6h"
        )


def test_a_progressive_injection_is_kept_with_its_time_to_failure(plant: Plant) -> None:
    plant.failure_modes.inject(
        "lubrication_loss", "M-001", "low", at="2026-01-05", progression="progressive", time_to_failure="90min"
    )
    (row,) = plant.failure_modes.injection_rows()
    assert (row["progression"], row["time_to_failure_h"], row["level"]) == ("progressive", 1.5, 0.25)


def test_a_failure_mode_of_one_s_own_can_wear(plant: Plant) -> None:
    wear = {"shape": 2.0, "life_h": 500.0, "load_exponent": 1.0, "accelerated_by": {"lubrication_loss": 2.0}}
    created = plant.failure_modes.create("belt_wear", "mechanical", [EFFECT], wear=wear)
    assert created["wear"]["life_h"] == 500.0
    assert plant.failure_modes.get("belt_wear")["wear"]["accelerated_by"] == {"lubrication_loss": 2.0}
    for bad, words in (
        ({"shape": 0.0, "life_h": 1.0}, "shape"),
        ({"shape": 1.0, "life_h": float("nan")}, "life_h"),
        ({"shape": 1.0, "life_h": 10.0, "accelerated_by": {"nonsense": 1.0}}, "accelerates"),
        ({"shape": 1.0, "life_h": 10.0, "accelerated_by": {"belt_wear": 1.0}}, "itself"),
    ):
        with pytest.raises(BadRequest, match=words):
            plant.failure_modes.update("belt_wear", wear=bad)


def test_a_failure_mode_in_use_stays(plant: Plant) -> None:
    plant.failure_modes.create("belt_wear", "mechanical", [EFFECT])
    injection = plant.failure_modes.inject("belt_wear", "M-001", "low", at="2026-01-05")
    with pytest.raises(InUse, match="injection 1 on M-001"):
        plant.failure_modes.delete("belt_wear")
    plant.failure_modes.delete_injection(injection)
    plant.failure_modes.delete("belt_wear")
    with pytest.raises(InUse, match="maintenance action replace_bearing"):
        plant.failure_modes.delete("bearing_degradation")
    with pytest.raises(InUse, match="keeps its name"):
        plant.failure_modes.update("bearing_degradation", name="bearing_wear")
