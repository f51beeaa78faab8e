"""The rows of the package: complete, consistent, and what the issue names."""

from __future__ import annotations

import pytest

from twin.catalog.loader import load_catalog, parse_table
from twin.catalog.models import MachineType, MaintenanceAction, Scenario
from twin.catalog.parameters import CHANNELS, SEVERITIES
from twin.errors import BadRequest

CATALOG = load_catalog()


def test_the_tables_hold_what_the_plant_needs() -> None:
    assert tuple(CATALOG.channels) == CHANNELS
    assert list(CATALOG.machine_types) == ["spindle", "pump", "fan", "conveyor", "compressor"]
    assert CATALOG.default_machine_type.name == "spindle"
    assert list(CATALOG.scenarios) == [
        "Normal operation",
        "High load manufacturing",
        "Precision machining",
        "Cold environment",
        "High speed production",
        "Hot environment",
        "Idle standby",
        "Stop-and-go duty cycle",
    ]
    assert len(CATALOG.failure_modes) == 13
    assert len(CATALOG.maintenance_actions) == 13
    assert sum(mode.wear is not None for mode in CATALOG.failure_modes.values()) == 7
    assert len(CATALOG.alarm_rules) == 7


def test_normal_operation_yields_and_standby_wins() -> None:
    priorities = {name: scenario.priority for name, scenario in CATALOG.scenarios.items()}
    assert priorities.pop("Normal operation") == 0
    assert priorities.pop("Idle standby") == 20
    assert set(priorities.values()) == {10}


def test_every_failure_mode_can_be_seen_and_repaired() -> None:
    repaired = {mode for action in CATALOG.maintenance_actions.values() for mode in action.restores}
    assert repaired == set(CATALOG.failure_modes)
    for mode in CATALOG.failure_modes.values():
        assert mode.channels
        assert "speed_rpm" not in mode.channels  # the drives hold the speed


def test_sensor_modes_change_only_the_channels_they_name() -> None:
    for mode in CATALOG.failure_modes.values():
        instruments = {e.parameter.split(".")[0] for e in mode.effects if e.layer == "sensor"}
        if mode.category == "sensor":
            assert {e.layer for e in mode.effects} == {"sensor"}
            assert instruments == set(mode.channels)
        else:
            assert not instruments


def test_impaired_cooling_follows_the_recorded_rises() -> None:
    """Rises of 1 : 1.6 : 2.3 for a cooler at 100, 20 and 3 %."""
    (effect,) = CATALOG.failure_modes["motor_overheating"].effects
    assert effect.at(SEVERITIES["high"]) == pytest.approx(1.6, abs=0.02)
    assert effect.at(SEVERITIES["critical"]) == pytest.approx(2.3, abs=0.1)


def test_every_action_finds_a_technician() -> None:
    skills = {skill for technician in CATALOG.technicians.values() for skill in technician.skills}
    assert {action.skill for action in CATALOG.maintenance_actions.values()} <= skills


def test_housings_of_small_machines_warm_up_in_5_to_35_minutes() -> None:
    for kind in CATALOG.machine_types.values():
        assert 300.0 <= kind.housing_tau_s <= 2100.0
        assert kind.source


def test_the_catalog_is_read_once_and_cannot_be_changed() -> None:
    assert load_catalog() is CATALOG
    with pytest.raises(TypeError):
        CATALOG.scenarios["X"] = CATALOG.scenarios["Normal operation"]  # type: ignore[index]


def test_bad_catalog_files_are_refused_with_the_row() -> None:
    with pytest.raises(BadRequest, match="not a catalog file"):
        parse_table("[x", Scenario)
    with pytest.raises(BadRequest, match="Scenario 'x': a row must be a table"):
        parse_table("x = 1", Scenario)
    with pytest.raises(BadRequest, match=r"Scenario 'x': load must be between 0 and 1\.5, got nan"):
        parse_table("[x]\neffects = [{ parameter = 'load', value = nan }]", Scenario)
    with pytest.raises(BadRequest, match="MaintenanceAction 'x': duration_min is missing"):
        parse_table("[x]", MaintenanceAction)
    with pytest.raises(BadRequest, match="MachineType 'x': rated_power_w is missing"):
        parse_table("[x]", MachineType)
