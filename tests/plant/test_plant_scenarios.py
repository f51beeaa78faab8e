"""Scenarios and their activation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from twin.catalog.models import Profile
from twin.errors import BadRequest, InUse, UnknownName
from twin.plant import Plant

HIGH = "High load manufacturing"


def test_create_get_update_delete(plant: Plant) -> None:
    created = plant.scenarios.create("Night shift", load=0.4, ambient_c=15.0)
    assert created["effects"] == [
        {"parameter": "load", "op": "set", "value": 0.4},
        {"parameter": "ambient_c", "op": "set", "value": 15.0},
    ]
    assert not created["builtin"]
    assert plant.scenarios.get("Night shift") == created
    updated = plant.scenarios.update("Night shift", name="Late shift", load=0.5, priority=30)
    values = {effect["parameter"]: effect["value"] for effect in updated["effects"]}
    assert values == {"load": 0.5, "ambient_c": 15.0}
    assert updated["priority"] == 30
    assert plant.scenarios.update("Late shift", effects=[{"parameter": "friction", "value": 1.2}])["effects"] == [
        {"parameter": "friction", "op": "factor", "value": 1.2}
    ]
    plant.scenarios.delete("Late shift")
    assert len(plant.scenarios) == 8


def test_built_in_scenarios_belong_to_the_user_too(plant: Plant) -> None:
    plant.scenarios.update(HIGH, load=0.9)
    assert plant.scenarios.definition(HIGH).effects[0].value == 0.9
    plant.scenarios.delete("Cold environment")
    assert len(plant.scenarios) == 7


@pytest.mark.parametrize(
    "fields",
    [
        {"load": float("nan")},
        {"load": float("inf")},
        {"load": -0.1},
        {"load": 1e9},
        {"load": "0.5"},
        {"speed": 1.0},
        {"priority": 101, "load": 0.5},
        {"priority": 1.5, "load": 0.5},
        {"effects": [{"parameter": "frictoin", "value": 1.0}]},
        {"effects": [{"parameter": "friction", "gain": 1.0}]},
        {"effects": ["friction"]},
        {"effects": [{"parameter": "load", "value": 0.5}], "load": 0.6},
        {"profile": 3},
        {"profile": "nowhere.csv"},
        {"description": "x" * 10_000},
    ],
)
def test_bad_definitions_are_refused_with_one_line(untouched: Plant, fields: dict[str, Any]) -> None:
    with pytest.raises(BadRequest) as caught:
        untouched.scenarios.create("Bad", **fields)
    assert "\n" not in str(caught.value)
    with pytest.raises(BadRequest):
        untouched.scenarios.update("Normal operation", **fields)
    assert len(untouched.scenarios) == 8


@pytest.mark.parametrize("name", ["", "a'b", "a;b", "a\nb", "x" * 10_000, None])
def test_bad_names_are_refused(untouched: Plant, name: Any) -> None:
    for attempt in (
        lambda: untouched.scenarios.create(name, load=0.5),
        lambda: untouched.scenarios.update(HIGH, name=name),
    ):
        with pytest.raises(BadRequest) as caught:
            attempt()
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 400


def test_taken_and_unknown_names(untouched: Plant) -> None:
    with pytest.raises(BadRequest, match="already"):
        untouched.scenarios.create(HIGH, load=0.5)
    with pytest.raises(BadRequest, match="already"):
        untouched.scenarios.update("Cold environment", name=HIGH)
    with pytest.raises(UnknownName, match="did you mean 'High load manufacturing'"):
        untouched.scenarios.activate("High load manufacturin", "all", at="2026-01-05")


def test_a_profile_is_kept_with_its_scenario(plant: Plant, tmp_path: Path) -> None:
    csv = tmp_path / "recorded.csv"
    csv.write_text("t_s,load,note\n0,0.3,a\n60,0.6,b\n120,0.9,c\n")
    plant.scenarios.create("As recorded", profile=csv, interpolation="linear", at_end="end")
    profile = plant.scenarios.definition("As recorded").profile
    assert profile is not None
    assert (profile.load, profile.interpolation, profile.at_end) == ((0.3, 0.6, 0.9), "linear", "end")
    assert plant.scenarios.get("As recorded")["profile_id"] == profile.sha256
    plant.scenarios.update("As recorded", interpolation="hold", priority=3)
    changed = plant.scenarios.definition("As recorded").profile
    assert changed is not None
    assert (changed.interpolation, changed.load) == ("hold", profile.load)
    plant.scenarios.update("As recorded", profile=None, load=0.5)
    assert plant.scenarios.definition("As recorded").profile is None
    with pytest.raises(BadRequest, match="no profile"):
        plant.scenarios.update("As recorded", interpolation="hold")


@pytest.mark.parametrize(
    "text",
    ["", "t_s,load\n", "load\n1\n", "t_s,other\n0,1\n", "t_s,load\n0,nan\n", "t_s,load\n5,1\n0,1\n", "t_s,load\n0\n"],
)
def test_bad_profiles_are_refused(untouched: Plant, tmp_path: Path, text: str) -> None:
    csv = tmp_path / "bad.csv"
    csv.write_text(text)
    with pytest.raises(BadRequest, match=r"bad\.csv") as caught:
        untouched.scenarios.create("Bad", profile=csv)
    assert "\n" not in str(caught.value)
    assert len(untouched.scenarios) == 8


@pytest.mark.parametrize(
    ("machines", "expected"),
    [
        ("M-002", ["M-002"]),
        (2, ["M-002"]),
        ("2", ["M-002"]),
        (["M-003", "M-001", 3], ["M-001", "M-003"]),
        (("M-003",), ["M-003"]),
        (np.array([1, 4]), ["M-001", "M-004"]),
        (pd.Series(["M-005"]), ["M-005"]),
        ("all", [f"M-{i:03d}" for i in range(1, 13)]),
    ],
)
def test_machines_are_named_in_many_ways(plant: Plant, machines: Any, expected: list[str]) -> None:
    ids = plant.scenarios.activate(HIGH, machines, at="2026-01-05 08:00", until="2026-01-06")
    rows = plant.scenarios.activations(HIGH)
    assert list(rows["machine"]) == expected
    assert list(rows["activation_id"]) == ids
    assert str(rows["start_at"][0]) == "2026-01-05 08:00:00"


@pytest.mark.parametrize("machines", [[], None, "M-999", ["M-001", "M-999"], 3.5, {"M-001": 1}, b"M-001", [["M-001"]]])
def test_bad_machines_are_refused_and_nothing_is_written(untouched: Plant, machines: Any) -> None:
    with pytest.raises(BadRequest) as caught:
        untouched.scenarios.activate(HIGH, machines, at="2026-01-05")
    assert "\n" not in str(caught.value)
    assert untouched.scenarios.activations().empty


@pytest.mark.parametrize(
    ("at", "until"),
    [
        ("2026-01-05", "2026-01-05"),
        ("2026-01-05", "2026-01-04"),
        ("2026-01-05T08:00+02:00", None),
        ("yesterday", None),
        ("1850-01-01", None),
        ("2026-01-05", "2999-01-01"),
        (float("nan"), None),
        (None, None),
        (pd.NaT, None),
    ],
)
def test_bad_times_are_refused(untouched: Plant, at: Any, until: Any) -> None:
    with pytest.raises(BadRequest) as caught:
        untouched.scenarios.activate(HIGH, "M-001", at=at, until=until)
    assert "\n" not in str(caught.value)
    assert untouched.scenarios.activations().empty


def test_the_same_scenario_does_not_overlap_itself(plant: Plant) -> None:
    plant.scenarios.activate(HIGH, "M-001", at="2026-01-05", until="2026-01-06")
    for at, until in (("2026-01-05 12:00", None), ("2026-01-04", None), ("2026-01-01", "2026-01-05 00:00:01")):
        with pytest.raises(BadRequest, match=r"already active on M-001 .*activation 1"):
            plant.scenarios.activate(HIGH, ["M-002", "M-001"], at=at, until=until)
    assert len(plant.scenarios.activations()) == 1
    plant.scenarios.activate(HIGH, "M-001", at="2026-01-06")  # the end is not included
    plant.scenarios.activate(HIGH, "M-001", at="2026-01-04", until="2026-01-05")
    plant.scenarios.activate("Hot environment", "M-001", at="2026-01-05")  # another scenario may overlap
    assert len(plant.scenarios.activations(machine="M-001")) == 4


def test_deactivation_ends_what_runs_at_that_time(plant: Plant) -> None:
    plant.scenarios.activate(HIGH, ["M-001", "M-002"], at="2026-01-05")
    assert plant.scenarios.deactivate(HIGH, ["M-001"], at="2026-01-06") == [1]
    rows = plant.scenarios.activations(machine="M-001")
    assert str(rows["end_at"][0]) == "2026-01-06 00:00:00"
    with pytest.raises(BadRequest, match=r"not active on M-001 .*from 2026-01-05T00:00:00Z until 2026-01-06T00:00:00Z"):
        plant.scenarios.deactivate(HIGH, ["M-001", "M-002"], at="2026-01-07")
    assert plant.scenarios.deactivate(HIGH, "all", at="2026-01-07") == [2]
    for at in ("2026-01-08", "2026-01-04", "2026-01-05"):
        with pytest.raises(BadRequest, match="not active on any machine"):
            plant.scenarios.deactivate(HIGH, "all", at=at)


def test_a_scenario_in_use_stays_until_its_activations_are_gone(plant: Plant) -> None:
    plant.scenarios.activate(HIGH, ["M-001", "M-002"], at="2026-01-05")
    assert plant.scenarios.list().set_index("name").loc[HIGH, "activated_on"] == "M-001, M-002"
    with pytest.raises(InUse, match=r"activation 1 on M-001, activation 2 on M-002"):
        plant.scenarios.delete(HIGH)
    plant.scenarios.delete_activation(1)
    plant.scenarios.delete_activation(2)
    plant.scenarios.delete(HIGH)
    with pytest.raises(UnknownName):
        plant.scenarios.delete_activation(1)


def test_a_profile_value_may_be_given_directly(plant: Plant) -> None:
    profile = Profile(t_s=(0.0, 10.0), load=(0.2, 0.8), name="made up")
    assert plant.scenarios.create("Made up", profile=profile)["profile_id"] == profile.sha256


def test_to_end_where_it_begins_is_refused_with_the_activation_to_delete(plant: Plant) -> None:
    number = plant.scenarios.activate("Cold environment", machines="M-002", at="2026-01-05")[0]
    with pytest.raises(BadRequest, match=f"not ended but deleted: activation {number}$"):
        plant.scenarios.deactivate("Cold environment", machines="M-002", at="2026-01-05")
