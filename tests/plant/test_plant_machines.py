"""Machines, machine types, technicians and maintenance actions."""

from __future__ import annotations

from typing import Any

import pytest

from twin.errors import BadRequest, InUse, UnknownName
from twin.plant import Plant

BAD_NAMES = ["", " ", "a'b", 'a"b', "a;b", "a\nb", "a\\b", "x" * 10_000, " lead", "all", "12", None, 7]


def test_create_get_update_delete(plant: Plant) -> None:
    created = plant.machines.create("Mill 7", machine_type="pump", location="Hall 2")
    assert created["machine_id"] == 13
    assert created["unit_seed"] == 13
    assert plant.machines.get(13) == plant.machines.get("Mill 7") == plant.machines.get("13") == created
    renamed = plant.machines.update("Mill 7", name="Mill 8", unit_seed=5)
    assert (renamed["name"], renamed["unit_seed"], renamed["location"]) == ("Mill 8", 5, "Hall 2")
    plant.machines.delete("Mill 8")
    assert len(plant.machines) == 12


def test_the_default_type_is_the_spindle(plant: Plant) -> None:
    assert plant.machines.create("X")["machine_type"] == "spindle"


@pytest.mark.parametrize("name", BAD_NAMES)
def test_bad_names_are_refused_with_one_line_and_nothing_is_written(untouched: Plant, name: Any) -> None:
    with pytest.raises(BadRequest) as caught:
        untouched.machines.create(name)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
    assert len(untouched.machines) == 12


@pytest.mark.parametrize(
    "fields",
    [
        {"machine_type": "rocket"},
        {"unit_seed": -1},
        {"unit_seed": 2**63},
        {"unit_seed": 1.5},
        {"unit_seed": True},
        {"unit_seed": "7"},
        {"location": "x" * 10_000},
        {"description": 3},
    ],
)
def test_bad_fields_are_refused(untouched: Plant, fields: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        untouched.machines.create("X", **fields)
    assert len(untouched.machines) == 12


def test_unknown_machines_come_with_a_hint(untouched: Plant) -> None:
    with pytest.raises(UnknownName, match="did you mean 'M-001'"):
        untouched.machines.get("m-001")
    for machine in (99, "99", True, None, 1.0, ["M-001"]):
        with pytest.raises(UnknownName, match="unknown machine"):
            untouched.machines.get(machine)  # type: ignore[arg-type]


def test_taken_names_and_unknown_fields_are_refused(plant: Plant) -> None:
    with pytest.raises(BadRequest, match="already"):
        plant.machines.create("M-001")
    with pytest.raises(BadRequest, match="already"):
        plant.machines.update("M-002", name="M-001")
    with pytest.raises(UnknownName, match="did you mean 'location'"):
        plant.machines.update("M-002", locatoin="x")
    with pytest.raises(BadRequest, match="nothing to change"):
        plant.machines.update("M-002")
    assert plant.machines.update("M-002", name="M-002")["name"] == "M-002"


def test_a_machine_in_use_stays(plant: Plant) -> None:
    plant.machines.create("Y")
    plant.scenarios.activate("Idle standby", "Y", at="2026-01-05")
    with pytest.raises(InUse, match="scenario_activations 1"):
        plant.machines.delete("Y")
    with pytest.raises(InUse, match="maintenance_tasks 1"):
        plant.machines.delete("M-001")


def test_technicians(plant: Plant) -> None:
    created = plant.technicians.create("T-09", name="Eva Lind", skills=["mechanical"], hourly_cost=50)
    assert created == plant.technicians.get("T-09")
    assert plant.technicians.update("T-09", name="Eva Berg")["name"] == "Eva Berg"
    with pytest.raises(BadRequest, match="already"):
        plant.technicians.create("T-09", name="Else")
    for cost in (-1, float("nan"), float("inf"), "5", 1e30):
        with pytest.raises(BadRequest):
            plant.technicians.update("T-09", hourly_cost=cost)
    plant.technicians.delete("T-09")
    with pytest.raises(UnknownName):
        plant.technicians.get("T-09")
    with pytest.raises(InUse, match="maintenance_tasks"):
        plant.technicians.delete("T-01")


def test_maintenance_actions(plant: Plant) -> None:
    created = plant.maintenance_actions.create(
        "paint", duration_min=60, parts_cost=5.0, restores={"rotor_imbalance": 0.1}
    )
    assert created["title"] == "Paint"
    assert plant.maintenance_actions.update("paint", duration_min=90)["duration_min"] == 90
    with pytest.raises(UnknownName, match="failure mode"):
        plant.maintenance_actions.update("paint", restores={"rust": 1.0})
    plant.maintenance_actions.delete("paint")
    with pytest.raises(InUse, match="maintenance_tasks"):
        plant.maintenance_actions.delete("inspect")


def test_machine_types(plant: Plant) -> None:
    spindle = plant.machine_types.get("spindle")
    fields = {key: value for key, value in spindle.items() if key not in ("name", "default")}
    assert plant.machine_types.create("big_spindle", **(fields | {"rated_power_w": 500.0}))["rated_power_w"] == 500.0
    plant.machines.create("Big", machine_type="big_spindle")
    with pytest.raises(InUse, match="Big"):
        plant.machine_types.delete("big_spindle")
    with pytest.raises(BadRequest):
        plant.machine_types.update("big_spindle", efficiency=float("nan"))
    plan = plant.plan("2026-01-05", "2026-01-06", machines="Big")
    assert plan.machine_types["big_spindle"].rated_power_w == 500.0


def test_a_machine_that_the_command_line_could_not_name_is_refused(plant: Plant) -> None:
    with pytest.raises(BadRequest, match="cannot have a comma"):
        plant.machines.create("Mill 1,2")
